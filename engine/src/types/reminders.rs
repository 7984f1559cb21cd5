//! Reminders: when customers are told that an event is near.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::NotificationId;
use crate::error::{Error, Result};

/// The time between a reminder and the event's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ReminderLead(u32);

impl ReminderLead {
    /// Shortest lead. With less the mails of a large event would arrive after its beginning.
    pub const MINUTES_MIN: u32 = 5;
    /// Longest lead: 60 days.
    pub const MINUTES_MAX: u32 = 60 * 24 * 60;

    /// Checks a number of minutes from the request's `field`.
    ///
    /// # Errors
    /// `field-invalid` outside 5 minutes to 60 days.
    pub fn parse(field: &'static str, minutes: u32) -> Result<Self> {
        if (Self::MINUTES_MIN..=Self::MINUTES_MAX).contains(&minutes) {
            Ok(Self(minutes))
        } else {
            Err(Error::field(
                field,
                "A reminder is sent 5 to 86,400 minutes (60 days) before the event; 0 means none.",
            ))
        }
    }

    pub(crate) fn stored(minutes: u32) -> Self {
        Self(minutes)
    }

    /// The lead in minutes.
    pub fn minutes(self) -> u32 {
        self.0
    }

    /// The lead as a duration.
    pub(crate) fn duration(self) -> SignedDuration {
        SignedDuration::from_mins(i64::from(self.0))
    }
}

/// Whether and when an event reminds its customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reminder {
    /// The tenant's default.
    #[default]
    AsTenant,
    /// No reminder.
    Off,
    /// This time before it begins.
    Before(ReminderLead),
}

impl Reminder {
    /// The effective lead, given the tenant's default; `None` for no reminder.
    pub(crate) fn lead(self, tenant: Option<ReminderLead>) -> Option<ReminderLead> {
        match self {
            Self::AsTenant => tenant,
            Self::Off => None,
            Self::Before(lead) => Some(lead),
        }
    }
}

/// The newest reminder of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventReminder {
    /// The notification's id, with which its progress can be read.
    pub notification: NotificationId,
    /// When it is sent, or was sent, UTC.
    pub due_at: Timestamp,
    /// The event's beginning that it announces, UTC.
    pub starts_at: Timestamp,
}
