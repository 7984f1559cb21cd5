//! What goes out, how it stands, and what people do about it: for those who look after it.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    DeliveryCounts, DeliveryId, DeliveryState, Lane, LaneCounts, Notification, NotificationId,
    Reason,
};
use crate::error::{Error, Result};

/// How a lane stands, in the queue and in what is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStatus {
    /// Which lane.
    pub lane: Lane,
    /// Tasks that nobody has fetched; none if the queue gives no answer.
    pub waiting: Option<u64>,
    /// Tasks that a worker has; none if the queue gives no answer.
    pub in_flight: Option<u64>,
    /// Pieces of work that are owed: blocks of up to 32 mails, and recipients to be listed.
    pub owed: u64,
    /// Those of them that are owed at a later time: tried again, looked at again, or scheduled.
    pub later: u64,
    /// Whether there is more than was counted.
    pub is_cut: bool,
    /// When the oldest of what is owed and due was caused, UTC.
    pub oldest_at: Option<Timestamp>,
}

/// What one process has sent since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailCounts {
    /// Taken over by mail servers.
    pub sent: u64,
    /// Refused for good.
    pub refused: u64,
    /// Failed for now.
    pub deferred: u64,
    /// Perhaps sent.
    pub unknown: u64,
}

impl MailCounts {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            refused: self.refused + other.refused,
            deferred: self.deferred + other.deferred,
            unknown: self.unknown + other.unknown,
        }
    }
}

/// A worker process, as it last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Names the process, anew at every start.
    pub id: String,
    /// When it started, UTC.
    pub started_at: Timestamp,
    /// When it last showed that it lives, UTC by its own clock.
    pub at: Timestamp,
    /// Whether that was a moment ago.
    pub is_alive: bool,
    /// What it has sent.
    pub mails: MailCounts,
    /// The same by lane, with how long it took; empty for a process of another version that counts otherwise.
    pub lanes: Vec<LaneCounts>,
}

/// Whether something that everything rests on answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartHealth {
    /// Whether it answered, without an error and in time.
    pub answers: bool,
    /// How long that took.
    pub took: Duration,
}

/// Whether the installation's own parts answer this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemHealth {
    /// The database.
    pub database: PartHealth,
    /// What tasks go through on their way to the workers: the embedded queue, or a broker.
    pub queue: PartHealth,
}

/// A lane that an operator has stopped, for all tenants: no worker takes anything of it. What it owes stays owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePause {
    /// Which lane.
    pub lane: Lane,
    /// Since when, UTC.
    pub at: Timestamp,
    /// Who stopped it: for operators.
    pub who: Option<String>,
    /// Why, in their words: for operators.
    pub why: Option<String>,
}

/// How everything stands that a caller may see.
#[derive(Debug, Clone)]
pub struct DeliveryOverview {
    /// When this was seen, UTC.
    pub at: Timestamp,
    /// The lanes, which all tenants share: for operators.
    pub lanes: Option<Vec<LaneStatus>>,
    /// Whether database and queue answer: for operators.
    pub health: Option<SystemHealth>,
    /// Lanes that an operator has stopped.
    pub paused_lanes: Vec<LanePause>,
    /// Worker processes.
    pub workers: Vec<WorkerStatus>,
    /// Deliveries that were given up; in the tenant, or for an operator outside one in all.
    pub dead: u64,
    /// Deliveries that were perhaps sent.
    pub unknown: u64,
    /// Whether there are more of both than were counted.
    pub is_cut: bool,
    /// The tenant's newest notifications that are not done with; none outside a tenant.
    pub active: Vec<Notification>,
}

/// Deliveries that failed for the same reason, as far as its words say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonGroup {
    /// The reason without what differs between mails: addresses, numbers, times.
    pub reason: String,
    /// `Dead` or `Unknown`.
    pub state: DeliveryState,
    /// How many.
    pub count: u64,
    /// One of them.
    pub example: DeliveryId,
    /// What was said of that one.
    pub example_reason: String,
}

/// The reasons of a tenant's failed deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonGroups {
    /// The groups, the largest first.
    pub groups: Vec<ReasonGroup>,
    /// Whether there are failed deliveries that were not looked at.
    pub is_cut: bool,
}

/// The code that a mail server's reply begins with, or the beginning of one: `5`, `550`, `5.1.1` (RFC 5321, RFC 3463).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyCode(String);

impl ReplyCode {
    /// Reads a code that came in as `field`.
    ///
    /// # Errors
    /// `field-invalid` for anything else than 1 to 3 digits of which the first is 2, 4 or 5, or such a digit with two
    /// numbers behind full stops.
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

/// Which failed deliveries are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedFilter {
    /// Those of one notification.
    pub notification: Option<NotificationId>,
    /// `Dead` or `Unknown`; none for both.
    pub state: Option<DeliveryState>,
    /// Those that a mail server refused with this code.
    pub code: Option<ReplyCode>,
}

impl FailedFilter {
    /// Whether a delivery in this state, for this reason, failed and is wanted.
    pub(crate) fn matches(&self, state: DeliveryState, reason: Option<&str>) -> bool {
        matches!(state, DeliveryState::Dead | DeliveryState::Unknown)
            && self.state.is_none_or(|wanted| wanted == state)
            && (self.code.as_ref()).is_none_or(|code| code.is_of(reason.unwrap_or_default()))
    }
}

/// Which failed deliveries are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryScope {
    /// One.
    Delivery(DeliveryId),
    /// All of one notification.
    Notification(NotificationId),
    /// All of the tenant.
    Tenant,
}

/// Tries failed deliveries again.
#[derive(Debug, Clone)]
pub struct RetryDeliveries {
    /// Where they are looked for.
    pub scope: RetryScope,
    /// `Dead`, or `Unknown`: a mail that was perhaps sent may then come twice.
    pub state: DeliveryState,
    /// Only those of one [`ReasonGroup`].
    pub reason: Option<String>,
    /// Only count them.
    pub dry_run: bool,
    /// Why; kept in the audit.
    pub why: Reason,
}

/// What came of trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retried {
    /// Deliveries that were meant.
    pub matched: u64,
    /// Those that wait for a worker now; none in a dry run.
    pub retried: u64,
    /// Those in a worker's hand at that moment; try again.
    pub busy: u64,
    /// Whether there are more than one call looks at; call again.
    pub is_cut: bool,
}

/// What somebody did about what goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, UTC.
    pub at: Timestamp,
    /// In which capacity, and who.
    pub who: String,
    /// What: `pause`, `resume`, `cancel`, `promote`, `move`, `retry`, `pause-lane`, `resume-lane`.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// Why, in their words.
    pub why: String,
    /// Deliveries that were meant, where that is known.
    pub count: Option<u64>,
}

/// What a notification has delivered, for whoever counts further.
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
