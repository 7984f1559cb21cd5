//! Storage steps of claims. What is taken is written with the booking or hold that takes it, and what is given back with the step
//! that ends it: a counter is the sum of what bookings and holds have. Called by the claims module and by other repositories.

use surrealdb::types::SurrealValue;

use super::{
    db::{Db, Script, StepError, SystemScope},
    models::{ClaimRow, ClaimUseRow, IdRow, millisecond},
};
use crate::{
    error::Result,
    types::{BookingId, ClaimCounter, ClaimKey, ClaimUse, TenantId},
};

/// The word of a guard: others have taken of a counter, or given back.
pub(in crate::modules) const STALE_CLAIM: &str = "stale-claim";

/// A counter before and after a step; `before` is `None` if nobody has taken of it yet.
#[derive(Debug, Clone)]
pub(in crate::modules) struct ClaimChange {
    pub(in crate::modules) before: Option<ClaimCounter>,
    pub(in crate::modules) after: ClaimCounter,
}

/// What a booking or a hold gives back of a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::modules) struct ClaimReturn {
    pub(in crate::modules) booking: BookingId,
    pub(in crate::modules) key: ClaimKey,
    pub(in crate::modules) amount: u32,
    /// What it still has after that.
    pub(in crate::modules) left: u32,
}

impl ClaimReturn {
    /// All that a booking or a hold has.
    pub(in crate::modules) fn all(
        booking: BookingId,
        claims: &[ClaimUse],
    ) -> impl Iterator<Item = Self> {
        claims.iter().map(move |one| Self {
            booking,
            key: one.key.clone(),
            amount: one.left(),
            left: 0,
        })
    }
}

/// Adds what is taken: 1 row for each counter, guarded by its revision, and 1 for each booking or hold and counter.
pub(in crate::modules::repositories) fn add_claims<'a>(
    script: &mut Script,
    tenant: &TenantId,
    changes: &[ClaimChange],
    uses: impl Iterator<Item = (BookingId, &'a ClaimUse)>,
) {
    let mut new = Vec::new();
    for change in changes {
        let row = ClaimRow::of(tenant, &change.after);
        match &change.before {
            Some(before) => {
                script.replace_if(row.id.clone(), before.revision, row, STALE_CLAIM);
            }
            None => new.push(row),
        }
    }
    script.insert("claim", new);
    let uses = uses.map(|(booking, one)| ClaimUseRow::of(tenant, booking, one));
    script.insert("claim_use", uses);
}

/// Adds what is given back: 2 rows for each. A counter that others write at the same time is a conflict, and tried again.
pub(in crate::modules::repositories) fn add_returns(
    script: &mut Script,
    tenant: &TenantId,
    returns: impl IntoIterator<Item = ClaimReturn>,
    at: jiff::Timestamp,
) {
    for one in returns.into_iter().filter(|one| one.amount > 0) {
        let (amount, at) = (script.bind(one.amount), script.bind(millisecond(at)));
        let claim = script.bind(ClaimRow::key(tenant, &one.key));
        script.push(format!(
            "UPDATE {claim} SET used -= {amount}, revision += 1, updated_at = {at} RETURN NONE"
        ));
        let id = ClaimUseRow::key(tenant, &one.key, one.booking);
        match one.left {
            0 => script.remove([id]),
            left => {
                let (id, left) = (script.bind(id), script.bind(left));
                script.push(format!("UPDATE {id} SET amount = {left} RETURN NONE"));
            }
        }
    }
}

/// A counter, and the sum of what bookings and holds have of it, read at one moment.
#[derive(Debug)]
pub(in crate::modules) struct ClaimSums {
    pub(in crate::modules) counter: ClaimCounter,
    pub(in crate::modules) taken: u64,
}

#[derive(SurrealValue)]
struct Taken {
    amount: u64,
}

pub(in crate::modules) struct ClaimsRepository {
    db: Db,
}

impl ClaimsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Those of some counters that exist.
    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        keys: &[ClaimKey],
    ) -> Result<Vec<ClaimCounter>> {
        let mut script = Script::of(tenant);
        let keys = keys.iter().map(|key| ClaimRow::key(tenant, key));
        let index = script.read_all(keys.collect::<Vec<_>>());
        let rows: Vec<ClaimRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(ClaimRow::into_type).collect()
    }

    /// Up to `limit` counters of a tenant after one of them, in the order of keys.
    pub(in crate::modules) async fn list(
        &self,
        tenant: &TenantId,
        after: Option<&ClaimKey>,
        limit: u32,
    ) -> Result<Vec<ClaimCounter>> {
        let mut script = Script::of(tenant);
        let after = script.bind(after.map_or("", ClaimKey::as_str).to_owned());
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT * FROM type::record('claim', [$tenant, {after}]>..[$tenant, ..]) LIMIT {limit}"
        ));
        let rows: Vec<ClaimRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(ClaimRow::into_type).collect()
    }

    /// Up to `max` counters of all tenants after one of them.
    pub(in crate::modules) async fn all(
        &self,
        scope: SystemScope,
        after: Option<(TenantId, ClaimKey)>,
        max: u32,
    ) -> Result<Vec<(TenantId, ClaimKey)>> {
        let mut script = Script::across_tenants(scope);
        let (tenant, key) = after.map_or_else(Default::default, |(tenant, key)| {
            (tenant.as_str().to_owned(), key.as_str().to_owned())
        });
        let (tenant, key) = (script.bind(tenant), script.bind(key));
        let max = script.bind(i64::from(max));
        let index = script.push(format!(
            "SELECT id FROM type::record('claim', [{tenant}, {key}]>..) LIMIT {max}"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.iter().map(|row| ClaimRow::path(row.id())).collect()
    }

    /// A counter with what is taken of it; `None` if there is none.
    pub(in crate::modules) async fn sums(
        &self,
        tenant: &TenantId,
        key: &ClaimKey,
    ) -> Result<Option<ClaimSums>, StepError> {
        let mut script = Script::snapshot(tenant);
        let counter = script.read(ClaimRow::key(tenant, key));
        let key = script.bind(key.as_str().to_owned());
        let taken = script.push(format!(
            "SELECT math::sum(amount) AS amount FROM claim_use:[$tenant, {key}]..[$tenant, {key}, ..] GROUP ALL"
        ));
        let mut answers = self.db.run(script).await?;
        let other = |error: crate::error::Error| StepError::Other(error.into());
        let taken: Vec<Taken> = answers.rows(taken).map_err(other)?;
        let row: Option<ClaimRow> = answers.row(counter).map_err(other)?;
        let counter = row.map(ClaimRow::into_type).transpose().map_err(other)?;
        Ok(counter.map(|counter| ClaimSums {
            counter,
            taken: taken.first().map_or(0, |sum| sum.amount),
        }))
    }
}
