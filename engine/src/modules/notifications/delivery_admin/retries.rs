//! Trying failed deliveries again, and what was said of them.
//!
//! Called by app_modules. Calls the delivery_admin repository.

use std::time::Duration;

use jiff::Timestamp;

use super::{ATTEMPTS_MAX, DeliveryAdminModule};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::support::Attempts,
    types::{
        Attempt, AuditEntry, DeliveryBatch, DeliveryId, DeliveryState, KeyedRequest, OutboxEntry,
        OutboxPart, ReasonGroup, RecordedAnswer, Retried, TenantId,
    },
};

/// Most groups of reasons; others are counted with the last.
const GROUPS_MAX: usize = 100;

/// Which deliveries of the batches that are looked at.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) state: DeliveryState,
    pub(crate) only: Option<DeliveryId>,
    pub(crate) reason: Option<String>,
}

impl Wanted {
    fn matches(&self, batch: &DeliveryBatch, index: usize) -> bool {
        let delivery = &batch.deliveries[index];
        let reason = delivery.reason.as_deref().unwrap_or_default();
        delivery.state == self.state
            && self
                .only
                .is_none_or(|only| only == batch.delivery_id(index))
            && self
                .reason
                .as_ref()
                .is_none_or(|wanted| *wanted == reason_class(reason))
    }

    /// How many deliveries of these batches are meant.
    pub(crate) fn count(&self, batches: &[DeliveryBatch]) -> u64 {
        let matched = |batch: &DeliveryBatch| {
            let indexes = 0..batch.deliveries.len();
            indexes.filter(|index| self.matches(batch, *index)).count() as u64
        };
        batches.iter().map(matched).sum()
    }

    /// The writes of a retry.
    fn plan(&self, tenant: &TenantId, batches: &[DeliveryBatch], now: Timestamp) -> RetryPlan {
        let mut plan = RetryPlan::default();
        for batch in batches {
            let mut after = batch.clone();
            let mut matched = 0;
            for index in 0..batch.deliveries.len() {
                if !self.matches(batch, index) {
                    continue;
                }
                matched += 1;
                let delivery = &mut after.deliveries[index];
                if let (Some(at), Some(reply)) = (delivery.at.take(), delivery.reason.take()) {
                    delivery.remember(Attempt {
                        at,
                        state: delivery.state,
                        reply,
                    });
                }
                delivery.state = DeliveryState::Queued;
                delivery.reason = Some("to be tried again, by hand".to_owned());
                (delivery.attempts, delivery.lost, delivery.next_at) = (0, 0, None);
            }
            plan.sum.matched += matched;
            if matched == 0 {
                continue;
            }
            if batch.claim.is_some() {
                plan.sum.busy += matched;
                continue;
            }
            plan.sum.retried += matched;
            after.claims = 0;
            plan.batches.push(after);
            plan.outbox.push(OutboxEntry {
                due_at: now,
                tenant: tenant.clone(),
                notification: batch.notification,
                part: OutboxPart::DeliveryBatch(batch.number),
                lane: batch.kind.lane(),
                published: false,
            });
        }
        plan
    }
}

/// Batches as they are to be written, what they owe then, and what comes of it.
#[derive(Default)]
struct RetryPlan {
    batches: Vec<DeliveryBatch>,
    outbox: Vec<OutboxEntry>,
    sum: Retried,
}

impl DeliveryAdminModule {
    /// Sets failed deliveries of these batches waiting again, with all their tries before them, and writes who did it: all
    /// at once, except claimed ones. `audit` gets their number; nothing is written without any.
    pub(crate) async fn retry(
        &self,
        tenant: &TenantId,
        mut batches: Vec<DeliveryBatch>,
        wanted: &Wanted,
        (mut audit, is_cut): (AuditEntry, bool),
        request: Option<&KeyedRequest>,
    ) -> Result<Retried> {
        let place = |batch: &DeliveryBatch| (batch.notification, batch.number);
        let places: Vec<_> = batches.iter().map(place).collect();
        let serial = self.context.next_id();
        let mut attempts = Attempts::new("retry_deliveries", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            if attempt > 0 {
                batches = self.batches(tenant, &places).await?;
            }
            let plan = wanted.plan(tenant, &batches, self.context.now());
            let sum = Retried { is_cut, ..plan.sum };
            if sum.matched == 0 && request.is_none() {
                return Ok(sum);
            }
            audit.count = Some(sum.matched);
            let written = self
                .repository
                .retry_batches(
                    tenant,
                    (&plan.batches, &plan.outbox),
                    (serial, &audit),
                    request.map(|one| one.recorded(RecordedAnswer::Retried(sum))),
                )
                .await?;
            if written {
                self.context.outbox_added.notify_one();
                return Ok(sum);
            }
        }
        Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "These deliveries kept changing; send the request again.",
        )
        .retry_after(Duration::from_secs(1)))
    }
}

/// Adds a batch's failed deliveries to groups by reason.
pub(crate) fn group_reasons(groups: &mut Vec<ReasonGroup>, batch: &DeliveryBatch) {
    for (index, delivery) in batch.deliveries.iter().enumerate() {
        if !matches!(delivery.state, DeliveryState::Dead | DeliveryState::Unknown) {
            continue;
        }
        let said = delivery.reason.clone().unwrap_or_default();
        let reason = reason_class(&said);
        let is_full = groups.len() >= GROUPS_MAX;
        let known = groups
            .iter_mut()
            .find(|group| group.reason == reason && group.state == delivery.state);
        match known {
            Some(group) => group.count += 1,
            None if is_full => {
                if let Some(last) = groups.last_mut() {
                    last.count += 1;
                }
            }
            None => groups.push(ReasonGroup {
                reason,
                state: delivery.state,
                count: 1,
                example: batch.delivery_id(index),
                example_reason: said,
            }),
        }
    }
}

/// A reply without its variable parts: reply code and class of a mail server stay, words with an address or a
/// number are removed. At most 120 characters.
fn reason_class(reply: &str) -> String {
    let mut class = String::new();
    for (index, word) in reply.split_whitespace().take(16).enumerate() {
        let differs = word.contains('@') || word.bytes().any(|byte| byte.is_ascii_digit());
        let is_code = index < 2
            && word
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !class.is_empty() {
            class.push(' ');
        }
        class.push_str(if differs && !is_code { "…" } else { word });
    }
    class.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_same_for_different_people_and_keep_their_codes() {
        let said = [
            "550 5.1.1 <ann@north.test> no mailbox here by that name",
            "550 5.1.1 <ben@north.test> no mailbox here by that name",
        ];
        let classes = said.map(reason_class);
        assert_eq!(classes[0], "550 5.1.1 … no mailbox here by that name");
        assert_eq!(classes[0], classes[1]);
        assert_ne!(classes[0], reason_class("552 5.2.2 <ann@north.test> full"));
        assert_eq!(reason_class(""), "");
    }
}
