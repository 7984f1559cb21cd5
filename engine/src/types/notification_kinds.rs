//! The kinds of notifications, and the two lanes that their mails go by. What the engine knows of each kind stands with
//! the rules of notifications (`modules/notifications/kinds`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The priority of mails. Transactional mails never wait behind bulk mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Mails that answer what somebody did.
    Transactional,
    /// Bulk mails.
    Bulk,
}

impl Lane {
    /// Both lanes, transactional first.
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

    /// Parses a lane's name. Any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|lane| lane.as_str() == text);
        let shown: String = (text.chars())
            .filter(|one| !one.is_control())
            .take(80)
            .collect();
        found.ok_or_else(|| Error::not_found("lane", shown))
    }
}

/// The kind of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationKind {
    /// A booking was made (transactional).
    BookingConfirmed,
    /// A booking was cancelled (transactional).
    BookingCancelled,
    /// Somebody on a waiting list was offered tickets (transactional).
    WaitingListOffer,
    /// Somebody got a ticket by a transfer, with its new code (transactional, to them).
    TicketReceived,
    /// A ticket no longer admits its reader: they gave it to somebody else, or it was cancelled after they got it by a transfer
    /// (transactional).
    TicketVoided,
    /// A receipt or a credit note was numbered: its customer gets it as a page to print (transactional).
    Receipt,
    /// An event changed in a way that concerns its customers (bulk).
    EventUpdated,
    /// An event was cancelled (bulk).
    EventCancelled,
    /// An event begins soon (bulk).
    EventReminder,
    /// The organizer wrote to everybody who booked (bulk).
    EventAnnouncement,
    /// A plugin failed for several customers and is quarantined (transactional, to the tenant's owners). About no event,
    /// and always with the built-in text, because the plugin that failed may be the one that writes mails.
    PluginQuarantined,
    /// Somebody signed up and is asked to confirm the address (transactional). About no event, with the built-in
    /// text.
    EmailVerification,
    /// Somebody signed up with the address of an existing account (transactional, to its owner). About no event, with
    /// the built-in text.
    SignUpNotice,
    /// Somebody confirmed an address after mails about bookings were held back, and gets one mail that lists all coming
    /// bookings (transactional). About no single event, with the built-in text.
    BookingSummary,
    /// Somebody asked for a link to choose a new password (transactional, to the account's address). About no event, with the
    /// built-in text.
    PasswordReset,
    /// Somebody asked to move their account to another address (transactional, to the new address). About no event, with the
    /// built-in text.
    EmailChange,
    /// An account moved to another address (transactional, to the old address if it was confirmed). About no event, with the
    /// built-in text.
    EmailChanged,
    /// Somebody was invited to work for the tenant (transactional, to their address). About no event, with the built-in text.
    Invitation,
    /// Somebody made an API key (transactional, to the tenant's owners). About no event, with the built-in text.
    ApiKeyCreated,
    /// A way to sign in at a provider was added to an account (transactional, to its confirmed address). About no event, with the
    /// built-in text.
    IdentityLinked,
}

impl NotificationKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::BookingConfirmed,
        Self::BookingCancelled,
        Self::WaitingListOffer,
        Self::TicketReceived,
        Self::TicketVoided,
        Self::Receipt,
        Self::EventUpdated,
        Self::EventCancelled,
        Self::EventReminder,
        Self::EventAnnouncement,
        Self::PluginQuarantined,
        Self::EmailVerification,
        Self::SignUpNotice,
        Self::BookingSummary,
        Self::PasswordReset,
        Self::EmailChange,
        Self::EmailChanged,
        Self::Invitation,
        Self::ApiKeyCreated,
        Self::IdentityLinked,
    ];

    /// The kind as text, which is also the name of its template folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BookingConfirmed => "booking-confirmed",
            Self::BookingCancelled => "booking-cancelled",
            Self::WaitingListOffer => "waiting-list-offer",
            Self::TicketReceived => "ticket-received",
            Self::TicketVoided => "ticket-voided",
            Self::Receipt => "receipt",
            Self::EventUpdated => "event-updated",
            Self::EventCancelled => "event-cancelled",
            Self::EventReminder => "event-reminder",
            Self::EventAnnouncement => "event-announcement",
            Self::PluginQuarantined => "plugin-quarantined",
            Self::EmailVerification => "email-verification",
            Self::SignUpNotice => "sign-up-notice",
            Self::BookingSummary => "booking-summary",
            Self::PasswordReset => "password-reset",
            Self::EmailChange => "email-change",
            Self::EmailChanged => "email-changed",
            Self::Invitation => "invitation",
            Self::ApiKeyCreated => "api-key-created",
            Self::IdentityLinked => "identity-linked",
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
