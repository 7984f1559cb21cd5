//! What goes out, how it stands, and what people do about it: for those who look after it.

use jiff::Timestamp;

use super::{DeliveryCounts, DeliveryId, DeliveryState, Label, Lane, Notification, NotificationId};

/// How a lane stands, in the queue and in what is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneSight {
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

/// A worker process, as it last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSight {
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
}

/// How everything stands that a caller may see.
#[derive(Debug, Clone)]
pub struct DispatchSight {
    /// When this was seen, UTC.
    pub at: Timestamp,
    /// The lanes, which all tenants share: for operators.
    pub lanes: Option<Vec<LaneSight>>,
    /// Worker processes.
    pub workers: Vec<WorkerSight>,
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
    pub why: Label,
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
    /// What: `pause`, `resume`, `cancel`, `retry`.
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
