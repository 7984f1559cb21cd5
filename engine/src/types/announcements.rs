//! Announcements: free text from an organizer to everybody who booked an event.

use super::{EventId, IdempotencyKey, Label, Prose};
use crate::error::{Error, Result};

/// Sends an announcement to all customers of an event, one mail each.
#[derive(Debug, Clone)]
pub struct Announce {
    /// The event whose customers get it.
    pub event: EventId,
    /// The subject of the mail.
    pub subject: Label,
    /// The text. It is plain text; templates escape it.
    pub message: Prose,
    /// The same key and text within 24 hours return the same notification.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl Announce {
    pub(crate) fn validate(&self) -> Result<()> {
        if self.message.is_blank() {
            Err(Error::field("message", "Say something: it is empty."))
        } else {
            Ok(())
        }
    }
}
