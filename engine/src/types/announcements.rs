//! Announcements: what an organizer tells everybody who booked an event.

use super::{EventId, IdempotencyKey, Label, Prose};
use crate::error::{Error, Result};

/// Tells all customers of an event something, in one mail to each.
#[derive(Debug, Clone)]
pub struct Announce {
    /// The event whose customers hear it.
    pub event: EventId,
    /// The subject of the mail.
    pub subject: Label,
    /// The words, as plain text; templates escape them.
    pub message: Prose,
    /// The same key and words within 24 hours give the same notification.
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
