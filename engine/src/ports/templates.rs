//! The port for the text of mails, and the built-in templates.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::{NotificationKind, TenantId};

/// The text of one mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

/// Why a template gave no text. The built-in template is used instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RenderFailure(pub String);

/// Writes the text of mails.
#[async_trait]
pub trait Templates: Send + Sync + 'static {
    /// Renders a notification kind for one recipient. `data` has the same shape for every mail. What a kind does not
    /// have is `null` or empty:
    ///
    /// - `kind`, `tenant {name}`, `recipient {name}`
    /// - `event {id, title, description, startsAt, startsAtLocal, endsAt, endsAtLocal, timeZone, location}`
    /// - `bookings [{id, status, cancelledBy, channel, numTickets, totalMinor, total, currency, lines [{ticketType, name,
    ///   quantity, unitPriceMinor, unitPrice}]}]`
    /// - `changes [{what, label, before, after}]`, for `event-updated`
    /// - `announcement {subject, message}`, plain text for `event-announcement`
    /// - `unsubscribeUrl`, for bulk kinds where the platform makes such links; show it
    ///
    /// # Errors
    /// [`RenderFailure`]; the engine then uses the built-in template.
    async fn render(
        &self,
        tenant: &TenantId,
        kind: NotificationKind,
        data: &Value,
    ) -> Result<Rendered, RenderFailure>;
}
