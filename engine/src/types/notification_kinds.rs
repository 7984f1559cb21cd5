//! The kinds of notifications, and the two lanes that their mails go by. What the engine knows of each kind stands with
//! the rules of notifications (`modules/notifications/kinds`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

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
    /// Both lanes, the urgent one first.
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
    /// Somebody confirmed an address from which mails about bookings were held back, and reads all coming bookings in one mail
    /// (transactional). About no single event, and in the built-in words.
    BookingSummary,
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
        Self::BookingSummary,
    ];

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
            Self::BookingSummary => "booking-summary",
        }
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
