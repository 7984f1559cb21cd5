//! Storage steps of sessions and of the revocation log. Called by the sessions module; calls models.
//!
//! The log only invalidates caches. Whether a session is valid is in its own row and its account's.

use std::{fmt, time::Duration};

use surrealdb::types::RecordId;

use super::{
    db::{Db, Script, SystemScope},
    models::{
        AccountRow, IdRow, RevocationHeadRow, RevocationRow, SessionRow, account_key, key_ulid,
        owner_key,
    },
};
use crate::{
    error::Result,
    types::{Principal, SessionId, SessionOwner, SessionRecord, TenantId},
};

/// Entries that the log keeps. A process that is further behind clears its cache.
const REVOCATIONS_KEPT: i64 = 4_096;
/// Entries that are read at a time. A process that has missed more clears its cache, too.
const REVOCATIONS_READ_MAX: usize = 1_024;
/// Longest wait for the read of a principal: requests wait for it, and can be answered with 503.
const PRINCIPAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the read of the log, which happens twice a second.
const REVOCATIONS_TIMEOUT: Duration = Duration::from_secs(2);

/// The account of a step. Operators are outside tenants.
#[derive(Clone, Copy)]
pub(in crate::modules) enum SessionScope<'a> {
    /// A user's, within their tenant.
    Tenant(&'a TenantId, &'a SessionOwner),
    /// An operator's.
    System(SystemScope, &'a SessionOwner),
}

/// New entries of the log.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::modules) enum Revoked {
    /// Sessions of these owners have ended, as [`SessionOwner`] is displayed.
    Of(Vec<String>),
    /// Too many to list.
    Any,
}

impl<'a> SessionScope<'a> {
    fn owner(self) -> &'a SessionOwner {
        match self {
            Self::Tenant(_, owner) | Self::System(_, owner) => owner,
        }
    }

    fn script(self) -> Script {
        match self {
            Self::Tenant(tenant, _) => Script::of(tenant),
            Self::System(scope, _) => Script::across_tenants(scope),
        }
    }

    fn transaction(self) -> Script {
        match self {
            Self::Tenant(tenant, _) => Script::transaction(tenant),
            Self::System(scope, _) => Script::transaction_across_tenants(scope),
        }
    }
}

pub(in crate::modules) struct SessionsRepository {
    db: Db,
}

impl SessionsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// The epoch of an account: `None` if there is no such account.
    pub(in crate::modules) async fn epoch(
        &self,
        scope: SessionScope<'_>,
    ) -> Result<Option<Option<String>>> {
        let mut script = scope.script();
        let index = push_account(&mut script, scope.owner());
        let row: Option<AccountRow> = self.db.run_retrying(&script).await?.row(index)?;
        Ok(row.map(|row| row.session_epoch))
    }

    /// Writes a new session: 1 row. Returns the account's other sessions, the newest first, up to `max`.
    pub(in crate::modules) async fn insert(
        &self,
        scope: SessionScope<'_>,
        id: SessionId,
        session: &SessionRecord,
        max: usize,
    ) -> Result<Vec<SessionId>> {
        let mut script = scope.transaction();
        let row = script.bind(SessionRow::of(scope.owner(), id, session));
        let own = script.bind(SessionRow::key(scope.owner(), id));
        let range = range(&mut script, scope.owner());
        let most = script.bind(max as i64);
        let index = script.push(format!(
            "SELECT id FROM {range} WHERE id != {own} ORDER BY id DESC LIMIT {most}"
        ));
        script.push(format!("INSERT INTO session {row} RETURN NONE"));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let ids = rows.iter().map(|row| key_ulid(row.id(), 2));
        ids.map(|id| Ok(SessionId::from_ulid(id?))).collect()
    }

    /// A session, if it is valid: its account exists, and is in the epoch in which the session was opened.
    pub(in crate::modules) async fn find(
        &self,
        scope: SessionScope<'_>,
        id: SessionId,
    ) -> Result<Option<(SessionRecord, Principal)>> {
        let mut script = scope.script();
        let session = script.read(SessionRow::key(scope.owner(), id));
        // Read after the session, so that an epoch that ended meanwhile is noticed.
        let account = push_account(&mut script, scope.owner());
        let mut answers = self.db.run_within(script, PRINCIPAL_TIMEOUT).await?;
        let session: Option<SessionRow> = answers.row(session)?;
        let account: Option<AccountRow> = answers.row(account)?;
        let (Some(session), Some(account)) = (session, account) else {
            return Ok(None);
        };
        let (_, record) = session.into_type()?;
        if record.epoch != account.session_epoch {
            return Ok(None);
        }
        let principal = Principal {
            owner: scope.owner().clone(),
            role: account.role.map(|role| role.parse()).transpose()?,
            email_verified: account.unverified.is_none(),
            expires_at: record.expires_at,
        };
        Ok(Some((record, principal)))
    }

    /// An account's sessions, the newest first; at most `max`.
    pub(in crate::modules) async fn list(
        &self,
        scope: SessionScope<'_>,
        max: usize,
    ) -> Result<Vec<(SessionId, SessionRecord)>> {
        let mut script = scope.script();
        let range = range(&mut script, scope.owner());
        let most = script.bind(max as i64);
        let rows = script.push(format!(
            "SELECT * FROM {range} ORDER BY id DESC LIMIT {most}"
        ));
        let account = push_account(&mut script, scope.owner());
        let mut answers = self.db.run_retrying(&script).await?;
        let rows: Vec<SessionRow> = answers.rows(rows)?;
        let account: Option<AccountRow> = answers.row(account)?;
        let mut sessions = rows
            .into_iter()
            .map(SessionRow::into_type)
            .collect::<Result<Vec<_>>>()?;
        sessions.retain(|(_, session)| {
            let account = account.as_ref();
            account.is_some_and(|account| account.session_epoch == session.epoch)
        });
        Ok(sessions)
    }

    /// Replaces a session if it is still at this generation: 1 row. Returns whether it was.
    pub(in crate::modules) async fn rotate(
        &self,
        scope: SessionScope<'_>,
        id: SessionId,
        seen_generation: u32,
        new: &SessionRecord,
    ) -> Result<bool> {
        let mut script = scope.transaction();
        let key = script.bind(SessionRow::key(scope.owner(), id));
        let row = script.bind(SessionRow::of(scope.owner(), id, new));
        let seen = script.bind(seen_generation);
        let index = script.push(format!(
            "UPDATE {key} CONTENT {row} WHERE generation = {seen} RETURN id"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        Ok(!rows.is_empty())
    }

    /// Ends some of an account's sessions, if they exist: their rows, and 3 of the log. Returns whether one did.
    pub(in crate::modules) async fn end(
        &self,
        scope: SessionScope<'_>,
        ids: &[SessionId],
    ) -> Result<bool> {
        let mut script = scope.transaction();
        let keys = ids.iter().map(|id| SessionRow::key(scope.owner(), *id));
        let keys = script.bind(keys.collect::<Vec<RecordId>>());
        let index = script.push(format!("LET $ended = (DELETE {keys} RETURN BEFORE)")) + 2;
        let log = log_entry(&mut script, scope.owner());
        script.push(format!("IF array::len($ended) > 0 {{ {log} }}"));
        script.push("RETURN [array::len($ended)]");
        let ended: Vec<i64> = self.db.run_retrying(&script).await?.rows(index)?;
        Ok(ended.first().is_some_and(|count| *count > 0))
    }

    /// Ends all of an account's sessions except one: their rows, and 5 more.
    pub(in crate::modules) async fn end_all(
        &self,
        scope: SessionScope<'_>,
        keep: Option<SessionId>,
        epoch: &str,
    ) -> Result<()> {
        let mut script = scope.transaction();
        add_end_of_sessions(&mut script, scope.owner(), keep, epoch);
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// The entries after this entry of the log, and the last entry.
    pub(in crate::modules) async fn revoked_since(
        &self,
        scope: SystemScope,
        seen: Option<i64>,
    ) -> Result<(i64, Revoked)> {
        let mut script = Script::across_tenants(scope);
        let index = script.read(RevocationHeadRow::key());
        let mut answers = self.db.run_within(script, REVOCATIONS_TIMEOUT).await?;
        let head: Option<RevocationHeadRow> = answers.row(index)?;
        let head = head.map_or(0, |head| head.number);
        match seen {
            Some(seen) if seen == head => return Ok((head, Revoked::Of(Vec::new()))),
            Some(seen) if seen < head => {
                let rows = self.revocations_after(scope, seen).await?;
                let first = rows.first().map(|row| row.number);
                // A gap means that entries were deleted meanwhile.
                if first == Some(seen + 1) && rows.len() <= REVOCATIONS_READ_MAX {
                    let last = rows.last().map_or(seen, |row| row.number);
                    let owners = rows.into_iter().map(|row| row.owner).collect();
                    return Ok((last, Revoked::Of(owners)));
                }
            }
            // Never read, or another store than before.
            _ => {}
        }
        Ok((head, Revoked::Any))
    }

    async fn revocations_after(&self, scope: SystemScope, seen: i64) -> Result<Vec<RevocationRow>> {
        let mut script = Script::across_tenants(scope);
        let seen = script.bind(seen);
        let most = script.bind(REVOCATIONS_READ_MAX as i64 + 1);
        let index = script.push(format!(
            "SELECT * FROM type::record('revocation', [{seen}]>..) LIMIT {most}"
        ));
        let mut answers = self.db.run_within(script, REVOCATIONS_TIMEOUT).await?;
        answers.rows(index)
    }
}

/// Ends all of an account's sessions except one, and begins its next epoch: a password that was checked before opens no session
/// any more.
pub(super) fn add_end_of_sessions(
    script: &mut Script,
    owner: &SessionOwner,
    keep: Option<SessionId>,
    epoch: &str,
) {
    let account = script.bind(account_key(owner));
    let epoch = script.bind(epoch.to_owned());
    let range = range(script, owner);
    let kept = match keep {
        Some(keep) => {
            let keep = script.bind(SessionRow::key(owner, keep));
            script.push(format!("UPDATE {keep} SET epoch = {epoch} RETURN NONE"));
            format!(" WHERE id != {keep}")
        }
        None => String::new(),
    };
    script.push(format!(
        "UPDATE {account} SET session_epoch = {epoch} RETURN NONE"
    ));
    script.push(format!(
        "DELETE (SELECT VALUE id FROM {range}{kept}) RETURN NONE"
    ));
    let log = log_entry(script, owner);
    script.push(format!("{{ {log} }}"));
}

/// The statements that write an entry of the log. Its number is one more than the last one's, whoever writes: the head is
/// written with it, so two concurrent transactions cannot take the same.
pub(super) fn log_entry(script: &mut Script, owner: impl fmt::Display) -> String {
    let head = script.bind(RevocationHeadRow::key());
    let whose = script.bind(owner.to_string());
    format!(
        "LET $number = (UPSERT {head} SET number += 1 RETURN VALUE number)[0]; \
         CREATE type::record('revocation', [$number]) SET number = $number, owner = {whose} RETURN NONE; \
         DELETE type::record('revocation', [$number - {REVOCATIONS_KEPT}]) RETURN NONE;"
    )
}

/// The range of an account's sessions. Their number is limited, so the range may be read to its end.
fn range(script: &mut Script, owner: &SessionOwner) -> String {
    let (tenant, whose) = owner_key(owner);
    let (tenant, whose) = (script.bind(tenant), script.bind(whose));
    format!("session:[{tenant}, {whose}]..[{tenant}, {whose}, ..]")
}

fn push_account(script: &mut Script, owner: &SessionOwner) -> usize {
    script.read(account_key(owner))
}
