//! Notifications (something that customers are told) and deliveries (one notification to one customer).

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::Serialize;

use super::{BookingId, EmailAddress, EventId, NotificationId, NotificationKind, TenantId, UserId};
use crate::error::{Error, Result};

/// The state of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationStatus {
    /// Waits for its time. Later changes of the event still merge into it.
    Scheduled,
    /// Its recipients are being listed.
    FanningOut,
    /// All recipients are listed. Their deliveries have their own states.
    FannedOut,
    /// A newer change made it pointless before it was done.
    Superseded,
    /// Somebody cancelled it. Deliveries that had not been sent are suppressed.
    Cancelled,
}

impl NotificationStatus {
    /// The status as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::FanningOut => "fanning-out",
            Self::FannedOut => "fanned-out",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for NotificationStatus {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "scheduled" => Ok(Self::Scheduled),
            "fanning-out" => Ok(Self::FanningOut),
            "fanned-out" => Ok(Self::FannedOut),
            "superseded" => Ok(Self::Superseded),
            "cancelled" => Ok(Self::Cancelled),
            other => Err(Error::internal(format!(
                "unknown notification status {other}"
            ))),
        }
    }
}

/// A notification that a change caused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationSummary {
    /// The notification's id, with which its progress can be read.
    pub id: NotificationId,
    /// The number of customers it will reach, counted just before the change.
    pub recipients: u64,
}

/// Something that customers are told, with its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The notification's id.
    pub id: NotificationId,
    /// Its kind.
    pub kind: NotificationKind,
    /// The event.
    pub event: EventId,
    /// Its state.
    pub status: NotificationStatus,
    /// The number of customers it reaches: an estimate until its fan-out is finished, then exact.
    pub recipients: u64,
    /// The states of its deliveries.
    pub deliveries: DeliveryCounts,
    /// When it was caused, UTC.
    pub created_at: Timestamp,
    /// When it is sent, UTC.
    pub due_at: Timestamp,
    /// Whether it is paused.
    pub is_paused: bool,
}

/// A notification without the counts of its deliveries.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationHead {
    /// The notification's id.
    pub id: NotificationId,
    /// Its kind.
    pub kind: NotificationKind,
    /// The event.
    pub event: EventId,
    /// Its state.
    pub status: NotificationStatus,
    /// The number of customers it reaches: an estimate until its fan-out is finished, then exact.
    pub recipients: u64,
    /// When it was caused, UTC.
    pub created_at: Timestamp,
    /// When it is sent, UTC.
    pub due_at: Timestamp,
    /// Whether it is paused.
    pub is_paused: bool,
}

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waits for a worker.
    Queued,
    /// On a connection right now.
    Sending,
    /// Accepted by the mail server.
    Sent,
    /// Failed for now; will be retried at its time.
    Deferred,
    /// Given up, for a reason.
    Dead,
    /// No longer wanted, for a reason: its bookings were cancelled first, or its customer unsubscribed.
    Suppressed,
    /// Perhaps sent: a worker or a connection failed while sending, and the kind is sent at most once.
    Unknown,
}

impl DeliveryState {
    /// The state as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Dead => "dead",
            Self::Suppressed => "suppressed",
            Self::Unknown => "unknown",
        }
    }

    /// Returns whether the state is final unless somebody retries.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Sent | Self::Dead | Self::Suppressed | Self::Unknown
        )
    }
}

impl FromStr for DeliveryState {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "queued" => Self::Queued,
            "sending" => Self::Sending,
            "sent" => Self::Sent,
            "deferred" => Self::Deferred,
            "dead" => Self::Dead,
            "suppressed" => Self::Suppressed,
            "unknown" => Self::Unknown,
            other => return Err(Error::internal(format!("unknown delivery state {other}"))),
        })
    }
}

/// Deliveries by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DeliveryCounts {
    /// Wait for a worker.
    pub queued: u64,
    /// On a connection right now.
    pub sending: u64,
    /// Accepted by the mail server.
    pub sent: u64,
    /// Failed for now.
    pub deferred: u64,
    /// Given up.
    pub dead: u64,
    /// No longer wanted.
    pub suppressed: u64,
    /// The outcome is unknown.
    pub unknown: u64,
    /// Those that were ever `unknown`, whatever their state is now.
    pub ever_unknown: u64,
}

impl DeliveryCounts {
    /// Counts one more delivery.
    pub(crate) fn add(&mut self, state: DeliveryState, ever_unknown: bool) {
        let counter = match state {
            DeliveryState::Queued => &mut self.queued,
            DeliveryState::Sending => &mut self.sending,
            DeliveryState::Sent => &mut self.sent,
            DeliveryState::Deferred => &mut self.deferred,
            DeliveryState::Dead => &mut self.dead,
            DeliveryState::Suppressed => &mut self.suppressed,
            DeliveryState::Unknown => &mut self.unknown,
        };
        *counter += 1;
        self.ever_unknown += u64::from(ever_unknown);
    }

    /// All deliveries, whatever their state.
    pub fn total(&self) -> u64 {
        self.queued
            + self.sending
            + self.sent
            + self.deferred
            + self.dead
            + self.suppressed
            + self.unknown
    }
}

/// A delivery's id: the key of its batch and its place there, so a look-up is one point read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId {
    notification: NotificationId,
    batch: u32,
    index: u32,
}

impl DeliveryId {
    pub(crate) fn new(notification: NotificationId, batch: u32, index: u32) -> Self {
        Self {
            notification,
            batch,
            index,
        }
    }

    /// The notification. Transactional kinds have no record with this id.
    pub fn notification(self) -> NotificationId {
        self.notification
    }

    pub(crate) fn batch(self) -> u32 {
        self.batch
    }

    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    /// The delivery's key for a mailer, the same for every attempt.
    pub(crate) fn key(self, tenant: &TenantId) -> String {
        format!("{tenant}.{self}")
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}.{}-{}",
            self.notification, self.batch, self.index
        )
    }
}

impl FromStr for DeliveryId {
    type Err = Error;

    /// Reads the public text of an id; any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let parts = || {
            let (notification, place) = text.split_once('.')?;
            let (batch, index) = place.split_once('-')?;
            Some(Self {
                notification: notification.parse().ok()?,
                batch: batch.parse().ok()?,
                index: index.parse().ok()?,
            })
        };
        let shown: String = text
            .chars()
            .filter(|one| !one.is_control())
            .take(80)
            .collect();
        parts().ok_or_else(|| Error::not_found("delivery", shown))
    }
}

/// The Message-ID of a delivery (RFC 5322, 3.6.4), with its angle brackets.
pub(crate) fn message_id(delivery_key: &str, mail_from: &EmailAddress) -> String {
    let domain = mail_from
        .as_str()
        .rsplit_once('@')
        .map_or("localhost", |(_, domain)| domain);
    format!("<{delivery_key}@{domain}>")
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it ended, UTC.
    pub at: Timestamp,
    /// The state after it.
    pub state: DeliveryState,
    /// The mail server's reply, or the engine's reason.
    pub reply: String,
}

/// One notification to one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The delivery's id.
    pub id: DeliveryId,
    /// Its kind.
    pub kind: NotificationKind,
    /// The event, for kinds that are about one.
    pub event: Option<EventId>,
    /// The recipient.
    pub customer: UserId,
    /// The booking, for kinds that are about one.
    pub booking: Option<BookingId>,
    /// Its state.
    pub state: DeliveryState,
    /// The number of finished attempts.
    pub attempts: u32,
    /// The reason of its state: the mail server's reply, or the engine's own.
    pub reason: Option<String>,
    /// The time of its next attempt, if there is one.
    pub next_at: Option<Timestamp>,
    /// Whether it was ever `unknown`.
    pub ever_unknown: bool,
    /// The number of workers that died while they sent it.
    pub lost: u32,
    /// The Message-ID of its mail, with angle brackets: the same at every attempt.
    pub message_id: String,
    /// When it was listed, UTC.
    pub created_at: Timestamp,
    /// When its state last changed, UTC; `None` before the first attempt.
    pub at: Option<Timestamp>,
    /// Outcomes of earlier attempts, oldest first: at most the first and the newest seven.
    pub earlier: Vec<Attempt>,
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    #[test]
    fn a_delivery_id_comes_back_from_its_text_and_nothing_else_is_one() {
        let id = DeliveryId::new(NotificationId::from_ulid(Ulid::from_parts(1, 2)), 3, 31);
        assert_eq!(id.to_string().parse::<DeliveryId>().unwrap(), id);
        for odd in [
            "",
            "x",
            "01jzzzzzzzzzzzzzzzzzzzzzzz",
            "01jzzzzzzzzzzzzzzzzzzzzzzz.1",
            "x.1-2",
        ] {
            assert!(odd.parse::<DeliveryId>().is_err(), "{odd}");
        }
    }
}
