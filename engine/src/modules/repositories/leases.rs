//! Storage steps of singleton leases. Called by the leases module.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::{
    db::{Db, Script, StepError, SystemScope},
    models::record,
};
use crate::error::Result;

/// A lease. A process that sees `counter` unchanged for long enough may take it over.
#[derive(Debug, Clone, PartialEq, Eq, SurrealValue)]
pub(in crate::modules) struct LeaseRecord {
    /// The holder.
    pub(in crate::modules) holder: String,
    /// Raised by every renewal and every change of the holder.
    pub(in crate::modules) counter: i64,
}

pub(in crate::modules) struct LeasesRepository {
    db: Db,
}

impl LeasesRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    pub(in crate::modules) async fn find(
        &self,
        scope: SystemScope,
        name: &str,
    ) -> Result<Option<LeaseRecord>> {
        let mut script = Script::across_tenants(scope);
        let id = script.bind(key(name));
        let index = script.push(format!("SELECT holder, counter FROM ONLY {id}"));
        self.db.run_retrying(&script).await?.row(index)
    }

    /// Writes a lease if it is unchanged (`None`: missing): 1 row. Returns whether it was.
    pub(in crate::modules) async fn replace(
        &self,
        scope: SystemScope,
        name: &str,
        seen: Option<&LeaseRecord>,
        new: &LeaseRecord,
    ) -> Result<bool> {
        let mut script = Script::transaction_across_tenants(scope);
        let id = script.bind(key(name));
        let holder = script.bind(new.holder.clone());
        let counter = script.bind(new.counter);
        let index = match seen {
            None => script.push(format!(
                "CREATE {id} SET holder = {holder}, counter = {counter} RETURN VALUE counter"
            )),
            Some(seen) => {
                let seen = script.bind(seen.counter);
                script.push(format!(
                    "UPDATE {id} SET holder = {holder}, counter = {counter} WHERE counter = {seen} RETURN VALUE counter"
                ))
            }
        };
        match self.db.run(script).await {
            Ok(mut answers) => Ok(!answers.rows::<i64>(index)?.is_empty()),
            Err(StepError::Conflict | StepError::Exists(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn key(name: &str) -> RecordId {
    record("lease", [Value::String(name.to_owned())])
}
