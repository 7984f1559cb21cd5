//! Storage steps of operators' accounts. Called by the operators module; calls models.

use super::{
    db::{Db, Script, StepError, SystemScope},
    models::OperatorRow,
    sessions::add_end_of_sessions,
    users::written_or_taken,
};
use crate::{
    error::Result,
    types::{EmailAddress, Operator, SessionId, SessionOwner},
};

/// The guard's word when there is no such operator.
const OPERATOR_GONE: &str = "operator-gone";

/// An operator with the data that is checked at sign-in.
pub(in crate::modules) struct OperatorRecord {
    pub(in crate::modules) operator: Operator,
    pub(in crate::modules) password_hash: String,
    pub(in crate::modules) session_epoch: Option<String>,
}

pub(in crate::modules) struct OperatorsRepository {
    db: Db,
}

impl OperatorsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes a new operator: 1 row. Returns false if the address is taken.
    pub(in crate::modules) async fn insert(
        &self,
        scope: SystemScope,
        operator: &Operator,
        hash: String,
        epoch: String,
    ) -> Result<bool> {
        let mut script = Script::transaction_across_tenants(scope);
        let row = script.bind(OperatorRow::of(operator, hash, epoch));
        script.push(format!("INSERT INTO operator {row} RETURN NONE"));
        written_or_taken(self.db.run_retrying(&script).await)
    }

    pub(in crate::modules) async fn find(
        &self,
        scope: SystemScope,
        email: &EmailAddress,
    ) -> Result<Option<OperatorRecord>> {
        let mut script = Script::across_tenants(scope);
        let index = script.read(OperatorRow::key(email));
        let row: Option<OperatorRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| {
            Ok(OperatorRecord {
                password_hash: row.password_hash.clone(),
                session_epoch: row.session_epoch.clone(),
                operator: row.into_type()?,
            })
        })
        .transpose()
    }

    /// The first 100 operators, by address.
    pub(in crate::modules) async fn list(&self, scope: SystemScope) -> Result<Vec<Operator>> {
        let mut script = Script::across_tenants(scope);
        let index = script.push("SELECT * FROM operator LIMIT 100");
        let rows: Vec<OperatorRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(OperatorRow::into_type).collect()
    }

    /// Sets an operator's password and ends their sessions except one: 6 rows and the sessions. Returns false if there is no
    /// such operator, or their password is no longer the one that it replaces, if it names one.
    pub(in crate::modules) async fn set_password(
        &self,
        scope: SystemScope,
        email: &EmailAddress,
        (hash, replaces): (String, Option<String>),
        (keep, epoch): (Option<SessionId>, &str),
    ) -> Result<bool> {
        let mut script = Script::transaction_across_tenants(scope);
        let id = script.bind(OperatorRow::key(email));
        let condition = match replaces {
            None => String::new(),
            Some(seen) => format!(" WHERE password_hash = {}", script.bind(seen)),
        };
        let hash = script.bind(hash);
        script.require(
            format!("UPDATE {id} SET password_hash = {hash}{condition} RETURN id"),
            OPERATOR_GONE,
        );
        let owner = SessionOwner::Operator(email.clone());
        add_end_of_sessions(&mut script, &owner, keep, epoch);
        self.done(&script).await
    }

    /// Removes an operator and ends their sessions: 4 rows and the sessions. Returns false if there is no such operator.
    pub(in crate::modules) async fn remove(
        &self,
        scope: SystemScope,
        email: &EmailAddress,
        epoch: &str,
    ) -> Result<bool> {
        let mut script = Script::transaction_across_tenants(scope);
        let id = script.bind(OperatorRow::key(email));
        script.require(format!("DELETE {id} RETURN BEFORE"), OPERATOR_GONE);
        let owner = SessionOwner::Operator(email.clone());
        add_end_of_sessions(&mut script, &owner, None, epoch);
        self.done(&script).await
    }

    async fn done(&self, script: &Script) -> Result<bool> {
        match self.db.run_retrying(script).await {
            Ok(_) => Ok(true),
            Err(StepError::Thrown(text)) if text.contains(OPERATOR_GONE) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
