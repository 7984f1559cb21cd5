//! Plans of a group whose write was not answered: whether one may still be committed, and what its members are answered then.
//!
//! Called by the group commit. Pure.

use super::requests::Placement;
use crate::{
    error::Result,
    modules::repositories::{GroupPlan, GroupSnapshot},
    types::{ClaimKey, PaymentKey, Reference, RequestKey, UserId},
};

/// The answer of each member of a group.
pub(super) type Answers = Vec<Result<Placement>>;

/// A plan whose write was not answered.
pub(super) struct OpenPlan {
    /// The revision of the inventory that its guard compares.
    pub(super) revision: i64,
    /// The version of the tenant's plugin set that its guard compares.
    policy_version: u64,
    /// The ids that it inserts.
    keys: Vec<RequestKey>,
    holders: Vec<UserId>,
    /// The payments that it writes, and the revisions that its guards compare.
    payments: Vec<(PaymentKey, i64)>,
    references: Vec<Reference>,
    /// The counters that it writes, and the revisions that its guards compare; 0 for a new one.
    claims: Vec<(ClaimKey, i64)>,
    pub(super) answers: Answers,
}

impl OpenPlan {
    pub(super) fn of(plan: &GroupPlan, answers: Answers) -> Self {
        Self {
            revision: plan.change.before.revision,
            policy_version: plan.policy_version,
            keys: plan.keys().cloned().collect(),
            holders: plan.holders().collect(),
            payments: plan.payments().collect(),
            references: plan.references().cloned().collect(),
            claims: plan.claims().collect(),
            answers,
        }
    }

    /// Returns whether it may still be committed after a snapshot in which it was not: its guards hold, and its ids are free.
    pub(super) fn is_possible(&self, snapshot: &GroupSnapshot) -> bool {
        let inventory = snapshot.inventory.as_ref();
        inventory.is_some_and(|inventory| inventory.revision == self.revision)
            && snapshot.policy_version == self.policy_version
            && !self
                .keys
                .iter()
                .any(|key| snapshot.recorded.contains_key(key))
            && !self
                .holders
                .iter()
                .any(|one| snapshot.open_holds.contains_key(one))
            && !self
                .references
                .iter()
                .any(|one| snapshot.references.contains(one))
            && self.claims.iter().all(|(key, revision)| {
                let counter = snapshot.claims.get(key);
                counter.map_or(0, |counter| counter.revision) == *revision
            })
            && self.payments.iter().all(|(key, revision)| {
                let payment = snapshot.payments.get(key);
                payment.is_some_and(|payment| payment.revision == *revision)
            })
    }
}
