//! Claims of bookings and holds, as the planner of groups decides about them: what a policy's yes takes of the tenant's counters is
//! there, or the request is refused. What is taken is written in the transaction of the group, under each counter's revision.
//!
//! Called by the planner. Pure.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::{
    error::{Error, ErrorCode, Result},
    modules::repositories::ClaimChange,
    types::{BookingId, Claim, ClaimCounter, ClaimKey, ClaimUse},
};

/// The counters while a group is planned, and what its members take.
#[derive(Default)]
pub(super) struct ClaimsPlan {
    counters: HashMap<ClaimKey, ClaimCounter>,
    uses: Vec<(BookingId, ClaimUse)>,
}

impl ClaimsPlan {
    /// Takes what a decision claims, for the booking or hold of this id. Nothing is taken if one claim is refused. `known` has the
    /// counters as they were read.
    ///
    /// # Errors
    /// `claim-exhausted`.
    pub(super) fn take(
        &mut self,
        claims: &[Claim],
        id: BookingId,
        known: &HashMap<ClaimKey, ClaimCounter>,
        now: Timestamp,
    ) -> Result<Vec<ClaimUse>> {
        let planned = |key: &ClaimKey| self.counters.get(key).or_else(|| known.get(key));
        let (counters, uses) = taken(claims, planned, now)?;
        self.counters.extend(counters);
        let with_id = uses.iter().map(|one| (id, one.clone()));
        self.uses.extend(with_id);
        Ok(uses)
    }

    /// What the group writes of counters, and what its members have of them.
    pub(super) fn written(
        self,
        known: &HashMap<ClaimKey, ClaimCounter>,
    ) -> (Vec<ClaimChange>, Vec<(BookingId, ClaimUse)>) {
        let changes = self.counters.into_values().map(|after| {
            let before = known.get(&after.key).cloned();
            let revision = before.as_ref().map_or(0, |before| before.revision) + 1;
            ClaimChange {
                before,
                after: ClaimCounter { revision, ..after },
            }
        });
        (changes.collect(), self.uses)
    }
}

/// Refuses claims of which not enough is left.
///
/// # Errors
/// `claim-exhausted`.
pub(in crate::modules) fn require_left(
    claims: &[Claim],
    known: &HashMap<ClaimKey, ClaimCounter>,
) -> Result<()> {
    taken(claims, |key| known.get(key), Timestamp::UNIX_EPOCH).map(drop)
}

/// Counters after claims, and what the claims take of each.
type Taken = (HashMap<ClaimKey, ClaimCounter>, Vec<ClaimUse>);

/// Takes claims of counters as they are known.
///
/// # Errors
/// `claim-exhausted`.
fn taken<'k>(
    claims: &[Claim],
    known: impl Fn(&ClaimKey) -> Option<&'k ClaimCounter>,
    now: Timestamp,
) -> Result<Taken> {
    let mut counters: HashMap<ClaimKey, ClaimCounter> = HashMap::new();
    let mut uses: Vec<ClaimUse> = Vec::new();
    for claim in claims {
        let none = || ClaimCounter {
            key: claim.key.clone(),
            used: 0,
            limit: claim.limit,
            updated_at: now,
            revision: 0,
        };
        let counter = counters
            .entry(claim.key.clone())
            .or_insert_with(|| known(&claim.key).cloned().unwrap_or_else(none));
        let used = counter.used.saturating_add(u64::from(claim.amount));
        if used > u64::from(claim.limit) {
            let left = u64::from(claim.limit).saturating_sub(counter.used);
            let detail = format!(
                "Of {} {left} are left, and {} are wanted.",
                claim.key, claim.amount
            );
            return Err(Error::new(ErrorCode::ClaimExhausted, detail));
        }
        counter.used = used;
        counter.limit = claim.limit;
        counter.updated_at = now;
        match uses.iter_mut().find(|one| one.key == claim.key) {
            Some(one) => one.amount = one.amount.saturating_add(claim.amount),
            None => uses.push(ClaimUse {
                key: claim.key.clone(),
                amount: claim.amount,
                returned: 0,
            }),
        }
    }
    Ok((counters, uses))
}
