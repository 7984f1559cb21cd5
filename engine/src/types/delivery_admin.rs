//! Delivery administration: the state of lanes, workers and deliveries, and the commands to change it.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    DeliveryCounts, DeliveryId, DeliveryState, Lane, LaneCounts, MailCounts, Notification,
    NotificationId, Reason,
};
use crate::error::{Error, Result};

/// The state of a lane, in the queue and in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStatus {
    /// The lane.
    pub lane: Lane,
    /// Tasks that no worker has fetched; `None` if the queue does not answer.
    pub waiting: Option<u64>,
    /// Tasks that a worker has; `None` if the queue does not answer.
    pub in_flight: Option<u64>,
    /// Outbox entries: delivery batches of up to 32 mails, and fan-outs.
    pub outbox_entries: u64,
    /// Those of them that are due later: retries, checks, and schedules.
    pub later: u64,
    /// Whether there are more than were counted.
    pub is_cut: bool,
    /// When the oldest entry that is due was caused, UTC.
    pub oldest_at: Option<Timestamp>,
}

/// A worker process, as of its last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    /// The id of the process, new at every start.
    pub id: String,
    /// When it started, UTC.
    pub started_at: Timestamp,
    /// When it wrote its last heartbeat, UTC by its own clock.
    pub at: Timestamp,
    /// Whether that was recent.
    pub is_alive: bool,
    /// What it has sent.
    pub mails: MailCounts,
    /// The same by lane, with durations; empty for a process of another version that counts differently.
    pub lanes: Vec<LaneCounts>,
}

/// The health of the database or the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartHealth {
    /// Whether it answered without an error and in time.
    pub answers: bool,
    /// The duration of the request.
    pub took: Duration,
}

/// The health of the parts that every process needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemHealth {
    /// The database.
    pub database: PartHealth,
    /// The job queue: the embedded one, or a broker.
    pub queue: PartHealth,
}

/// A lane that an operator has stopped for all tenants: no worker takes its tasks. Its outbox entries stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePause {
    /// The lane.
    pub lane: Lane,
    /// Since when, UTC.
    pub at: Timestamp,
    /// Who stopped it; shown to operators only.
    pub who: Option<String>,
    /// Why; shown to operators only.
    pub why: Option<String>,
}

/// The overview that a caller may see.
#[derive(Debug, Clone)]
pub struct DeliveryOverview {
    /// When this was read, UTC.
    pub at: Timestamp,
    /// The lanes, which all tenants share; for operators only.
    pub lanes: Option<Vec<LaneStatus>>,
    /// Whether database and queue answer; for operators only.
    pub health: Option<SystemHealth>,
    /// Lanes that an operator has stopped.
    pub paused_lanes: Vec<LanePause>,
    /// Worker processes.
    pub workers: Vec<WorkerStatus>,
    /// Deliveries that were given up: the tenant's, or all for an operator outside tenants.
    pub dead: u64,
    /// Deliveries with an unknown outcome.
    pub unknown: u64,
    /// Whether there are more of either than were counted.
    pub is_cut: bool,
    /// The tenant's newest unfinished notifications; empty outside a tenant.
    pub active: Vec<Notification>,
}

/// Deliveries that failed for the same reason, judged by its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonGroup {
    /// The reason, without addresses, numbers and times.
    pub reason: String,
    /// `Dead` or `Unknown`.
    pub state: DeliveryState,
    /// The number of deliveries.
    pub count: u64,
    /// One of these deliveries.
    pub example: DeliveryId,
    /// The reason of that one.
    pub example_reason: String,
}

/// The reasons of a tenant's failed deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonGroups {
    /// The groups, the largest first.
    pub groups: Vec<ReasonGroup>,
    /// Whether there are failed deliveries that were not read.
    pub is_cut: bool,
}

/// The code that a mail server's reply begins with, or the beginning of one: `5`, `550`, `5.1.1` (RFC 5321, RFC 3463).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyCode(String);

impl ReplyCode {
    /// Checks a code from the request's `field`.
    ///
    /// # Errors
    /// `field-invalid` unless it is 1 to 3 digits of which the first is 2, 4 or 5, or such a digit with two numbers behind
    /// full stops.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        let text = text.trim();
        let is_number = |part: &str| {
            (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let parts: Vec<&str> = text.split('.').collect();
        let has_shape = match parts.as_slice() {
            [code] => is_number(code),
            [class, subject, detail] => {
                class.len() == 1 && [class, subject, detail].iter().all(|part| is_number(part))
            }
            _ => false,
        };
        if has_shape && text.starts_with(['2', '4', '5']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::field(
                field,
                "A reply's code is such as 550 or 5.1.1, or begins so: 5, 55.",
            ))
        }
    }

    /// Whether a reply has this code.
    pub fn is_of(&self, reply: &str) -> bool {
        let mut words = reply.split_whitespace().take(2);
        if self.0.contains('.') {
            words.any(|word| word == self.0)
        } else {
            let is_code =
                |word: &str| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
            words
                .next()
                .is_some_and(|word| is_code(word) && word.starts_with(&self.0))
        }
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The filter for lists of failed deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedFilter {
    /// Those of one notification.
    pub notification: Option<NotificationId>,
    /// `Dead` or `Unknown`; `None` for both.
    pub state: Option<DeliveryState>,
    /// Those that a mail server refused with this code.
    pub code: Option<ReplyCode>,
}

impl FailedFilter {
    /// Returns whether a delivery with this state and reason passes the filter.
    pub(crate) fn matches(&self, state: DeliveryState, reason: Option<&str>) -> bool {
        matches!(state, DeliveryState::Dead | DeliveryState::Unknown)
            && self.state.is_none_or(|wanted| wanted == state)
            && (self.code.as_ref()).is_none_or(|code| code.is_of(reason.unwrap_or_default()))
    }
}

/// The failed deliveries that a retry is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryScope {
    /// One.
    Delivery(DeliveryId),
    /// All of one notification.
    Notification(NotificationId),
    /// All of the tenant.
    Tenant,
}

/// Retries failed deliveries.
#[derive(Debug, Clone)]
pub struct RetryDeliveries {
    /// Which deliveries.
    pub scope: RetryScope,
    /// `Dead` or `Unknown`. With `Unknown` a customer may get a mail twice.
    pub state: DeliveryState,
    /// Only those of one [`ReasonGroup`].
    pub reason: Option<String>,
    /// Only count them.
    pub dry_run: bool,
    /// Why; written to the audit log.
    pub why: Reason,
}

/// The result of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retried {
    /// Deliveries that match.
    pub matched: u64,
    /// Those that wait for a worker now; 0 in a dry run.
    pub retried: u64,
    /// Those that a worker was sending at that moment. Call again later.
    pub busy: u64,
    /// Whether there are more than one call handles. Call again.
    pub is_cut: bool,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The time, UTC.
    pub at: Timestamp,
    /// The role, and who.
    pub who: String,
    /// The action: `pause`, `resume`, `cancel`, `promote`, `move`, `retry`, `pause-lane`, `resume-lane`, `create-key`,
    /// `revoke-key`.
    pub action: String,
    /// What it changed.
    pub subject: String,
    /// The reason.
    pub why: String,
    /// The number of deliveries, if it is known.
    pub count: Option<u64>,
}

/// A notification's counts of deliveries, as a base for further counting.
pub(crate) type Tally = (u32, DeliveryCounts);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_found_by_its_code_and_by_what_that_begins_with() {
        let code = |text: &str| ReplyCode::parse("code", text).unwrap();
        let reply = "550 5.1.1 <ann@north.test> no mailbox here by that name";
        for one in ["5", "55", "550", "5.1.1"] {
            assert!(code(one).is_of(reply), "{one}");
        }
        for other in ["4", "552", "5.1.10", "5.2.1"] {
            assert!(!code(other).is_of(reply), "{other}");
        }
        assert!(!code("5").is_of("5 of 7 were refused"));
        assert!(!code("5").is_of(""));
        for odd in ["", "1", "5500", "5.1", "a", "5.1.1.1", "550 5.1.1", "5..1"] {
            assert!(ReplyCode::parse("code", odd).is_err(), "{odd}");
        }
    }
}
