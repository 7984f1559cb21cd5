//! Notifications (what customers must hear) and deliveries (one notification to one customer).

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BookingId, EmailAddress, EventId, NotificationId, TenantId, UserId};
use crate::error::{Error, Result};

/// Which stream a task goes through; transactional mails never wait behind bulk ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Answers to what somebody did.
    Transactional,
    /// Bulk mails.
    Bulk,
}

impl Lane {
    /// The lane of mails of this kind.
    pub(crate) fn of(kind: NotificationKind) -> Self {
        match kind.is_transactional() {
            true => Self::Transactional,
            false => Self::Bulk,
        }
    }

    /// Both lanes, the hurried one first.
    pub const ALL: [Lane; 2] = [Lane::Transactional, Lane::Bulk];

    /// The lane as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transactional => "transactional",
            Self::Bulk => "bulk",
        }
    }
}

impl FromStr for Lane {
    type Err = Error;

    /// Reads a lane's name; any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|lane| lane.as_str() == text);
        let shown: String = (text.chars())
            .filter(|one| !one.is_control())
            .take(80)
            .collect();
        found.ok_or_else(|| Error::not_found("lane", shown))
    }
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationKind {
    /// A booking was made (transactional).
    BookingConfirmed,
    /// A booking was cancelled (transactional).
    BookingCancelled,
    /// Somebody on a waiting list was offered tickets (transactional).
    WaitingListOffer,
    /// An event changed in a way that its customers must know (bulk).
    EventUpdated,
    /// An event was cancelled (bulk).
    EventCancelled,
    /// An event is near (bulk).
    EventReminder,
    /// The organizer has something to say to everybody who booked (bulk).
    EventAnnouncement,
    /// A plugin failed for several customers and is not asked any more (transactional, to the tenant's owners). About no
    /// event, and always in the built-in words: the plugin that failed may be the one that words mails.
    PluginQuarantined,
    /// Somebody signed up and is asked whether the address is theirs (transactional). About no event, and in the built-in
    /// words.
    EmailVerification,
    /// Somebody signed up with the address of an account that is there (transactional, to its owner). About no event, and in
    /// the built-in words.
    SignUpNotice,
}

impl NotificationKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::BookingConfirmed,
        Self::BookingCancelled,
        Self::WaitingListOffer,
        Self::EventUpdated,
        Self::EventCancelled,
        Self::EventReminder,
        Self::EventAnnouncement,
        Self::PluginQuarantined,
        Self::EmailVerification,
        Self::SignUpNotice,
    ];

    /// The kinds that go to many, by the bulk lane.
    pub const BULK: &'static [Self] = &[
        Self::EventUpdated,
        Self::EventCancelled,
        Self::EventReminder,
        Self::EventAnnouncement,
    ];

    /// The kinds that need their reader's consent: a customer may do without them, and they go to confirmed addresses
    /// only where the tenant wants that. Whoever booked must hear of everything else.
    pub const NEED_CONSENT: &'static [Self] = &[Self::EventReminder, Self::EventAnnouncement];

    /// The kind as text, which is also the name of its template folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BookingConfirmed => "booking-confirmed",
            Self::BookingCancelled => "booking-cancelled",
            Self::WaitingListOffer => "waiting-list-offer",
            Self::EventUpdated => "event-updated",
            Self::EventCancelled => "event-cancelled",
            Self::EventReminder => "event-reminder",
            Self::EventAnnouncement => "event-announcement",
            Self::PluginQuarantined => "plugin-quarantined",
            Self::EmailVerification => "email-verification",
            Self::SignUpNotice => "sign-up-notice",
        }
    }

    /// Whether the mail answers something its reader did, or is for one reader only; such mails go first and are sent at least once.
    /// Bulk mails but `EventCancelled` are sent at most once where SMTP leaves the outcome open.
    pub fn is_transactional(self) -> bool {
        matches!(
            self,
            Self::BookingConfirmed
                | Self::BookingCancelled
                | Self::WaitingListOffer
                | Self::PluginQuarantined
                | Self::EmailVerification
                | Self::SignUpNotice
        )
    }

    /// Whether a customer may do without it, and it needs a confirmed address where the tenant wants that.
    pub fn needs_consent(self) -> bool {
        Self::NEED_CONSENT.contains(&self)
    }

    /// Whether it is sent again, under the same Message-ID, where the outcome of a try is not known. A mail twice is a
    /// nuisance; a customer who stands before closed doors is a loss.
    pub(crate) fn is_sent_again(self) -> bool {
        self.is_transactional() || self == Self::EventCancelled
    }

    /// Whether it tells of an event.
    pub(crate) fn is_about_event(self) -> bool {
        !matches!(
            self,
            Self::PluginQuarantined | Self::EmailVerification | Self::SignUpNotice
        )
    }

    /// Whether a tenant or a platform may word it.
    pub fn has_templates(self) -> bool {
        self.is_about_event()
    }
}

impl fmt::Display for NotificationKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for NotificationKind {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Error::internal(format!("unknown notification kind {text}")))
    }
}

/// How far a notification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationStatus {
    /// Waits for its time (later changes of the event still merge into it).
    Scheduled,
    /// Its recipients are being listed.
    FanningOut,
    /// All recipients are listed; their deliveries say the rest.
    FannedOut,
    /// Something newer made it pointless before it was done.
    Superseded,
    /// Somebody stopped it for good; what had not gone out is suppressed.
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
    /// Which notification; its progress can be asked for.
    pub id: NotificationId,
    /// How many customers it will reach, counted just before the change.
    pub recipients: u64,
}

/// Something customers must hear, and how far telling them has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Which notification.
    pub id: NotificationId,
    /// What it is about.
    pub kind: NotificationKind,
    /// The event it is about.
    pub event: EventId,
    /// How far it has come.
    pub status: NotificationStatus,
    /// How many customers it reaches: an estimate until it is fanned out, exact from then on.
    pub recipients: u64,
    /// How its deliveries stand.
    pub deliveries: DeliveryCounts,
    /// When it was caused, UTC.
    pub created_at: Timestamp,
    /// When it goes out, UTC.
    pub due_at: Timestamp,
    /// Whether nothing more of it goes out until it is resumed.
    pub is_paused: bool,
}

/// What a notification's record says of it, without the sum of its deliveries.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationHead {
    /// Which notification.
    pub id: NotificationId,
    /// What it is about.
    pub kind: NotificationKind,
    /// The event it is about.
    pub event: EventId,
    /// How far it has come.
    pub status: NotificationStatus,
    /// How many customers it reaches: an estimate until it is fanned out, exact from then on.
    pub recipients: u64,
    /// When it was caused, UTC.
    pub created_at: Timestamp,
    /// When it goes out, UTC.
    pub due_at: Timestamp,
    /// Whether nothing more of it goes out until it is resumed.
    pub is_paused: bool,
}

/// What became of one notification for one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waits for a worker.
    Queued,
    /// On a connection right now.
    Sending,
    /// Taken over by the mail server.
    Sent,
    /// Failed for now; tried again at its time.
    Deferred,
    /// Given up, with a reason.
    Dead,
    /// No longer wanted, with a reason: its bookings were cancelled first, or its customer has unsubscribed.
    Suppressed,
    /// Perhaps sent: a worker or connection died at the wrong moment, and a second mail would be worse.
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

    /// Whether nothing more happens by itself.
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

/// How many deliveries stand how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DeliveryCounts {
    /// Wait for a worker.
    pub queued: u64,
    /// On a connection right now.
    pub sending: u64,
    /// Taken over by the mail server.
    pub sent: u64,
    /// Failed for now.
    pub deferred: u64,
    /// Given up.
    pub dead: u64,
    /// No longer wanted.
    pub suppressed: u64,
    /// Perhaps sent.
    pub unknown: u64,
    /// Were `unknown` at some time, whatever they are now.
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

/// Which delivery: its place in the ledger, so that a look-up is one point read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId {
    notification: NotificationId,
    block: u32,
    index: u32,
}

impl DeliveryId {
    pub(crate) fn new(notification: NotificationId, block: u32, index: u32) -> Self {
        Self {
            notification,
            block,
            index,
        }
    }

    /// What it is one delivery of. Transactional kinds have no record under this id.
    pub fn notification(self) -> NotificationId {
        self.notification
    }

    pub(crate) fn block(self) -> u32 {
        self.block
    }

    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    /// Names the delivery to a mailer: the same for every attempt.
    pub(crate) fn key(self, tenant: &TenantId) -> String {
        format!("{tenant}.{self}")
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}.{}-{}",
            self.notification, self.block, self.index
        )
    }
}

impl FromStr for DeliveryId {
    type Err = Error;

    /// Reads the public text of an id; any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let parts = || {
            let (notification, place) = text.split_once('.')?;
            let (block, index) = place.split_once('-')?;
            Some(Self {
                notification: notification.parse().ok()?,
                block: block.parse().ok()?,
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

/// What an attempt at a delivery came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it ended, UTC.
    pub at: Timestamp,
    /// The state it led to.
    pub state: DeliveryState,
    /// The mail server's reply, or our reason.
    pub reply: String,
}

/// One notification to one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which delivery.
    pub id: DeliveryId,
    /// What it tells.
    pub kind: NotificationKind,
    /// The event it is about, for kinds that are about one.
    pub event: Option<EventId>,
    /// The customer it goes to.
    pub customer: UserId,
    /// The booking it is about, for kinds that are about one.
    pub booking: Option<BookingId>,
    /// What became of it.
    pub state: DeliveryState,
    /// How often a send was tried to its end.
    pub attempts: u32,
    /// Why it is where it is: the mail server's reply, or our reason.
    pub reason: Option<String>,
    /// When it is tried again, if it is.
    pub next_at: Option<Timestamp>,
    /// Whether its outcome was unknown at some time.
    pub ever_unknown: bool,
    /// How often a worker died while sending it.
    pub lost: u32,
    /// The Message-ID of its mail, with angle brackets: the same at every attempt.
    pub message_id: String,
    /// When it was listed, UTC.
    pub created_at: Timestamp,
    /// When its state last came of something, UTC; none before the first attempt.
    pub at: Option<Timestamp>,
    /// What attempts before the last came to, oldest first: the first and the newest seven, where there were more.
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
