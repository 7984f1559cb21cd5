//! Mails: from what is known to finished bytes, composed once, so that every mailer carries the same.
//!
//! Called by the delivery of notifications. Calls the templates port; reads and writes no store.

mod branding;
pub(super) mod context;
pub(super) mod data;
mod direction;
mod message;
pub(super) mod receipt_file;
mod samples;
mod templates;
#[cfg(test)]
mod tests;

pub(super) use branding::booking_url;
pub(crate) use samples::sample as mail_sample;

use self::context::MailContext;
use crate::{
    error::Result,
    modules::{
        notifications::kinds::{self, CalendarAction},
        tickets::calendar::{self, CalendarEntry},
    },
    ports::{OutgoingMail, Templates},
    types::{CalendarFile, EventStatus, message_id},
};

/// A finished mail and the name it goes by.
#[derive(Debug)]
pub(crate) struct ComposedMail {
    /// The Message-ID with its angle brackets; the same for every attempt at one delivery.
    pub(crate) message_id: String,
    /// The mail, ready for any mailer.
    pub(crate) mail: OutgoingMail,
}

/// Words a mail with the platform's templates, or the built-in ones, and finishes its bytes (RFC 5322).
///
/// The same context gives the same bytes.
///
/// # Errors
/// `internal` if a value that must be checked when it enters holds a line break all the same.
pub(crate) async fn compose(
    templates: Option<&dyn Templates>,
    context: &MailContext<'_>,
) -> Result<ComposedMail> {
    let rendered = templates::render(templates, context).await?;
    let calendar = calendar(context);
    let message_id = message_id(context.delivery_key, context.mail_from);
    let bytes = message::build(context, &message_id, &rendered, calendar.as_ref())?;
    Ok(ComposedMail {
        message_id,
        mail: OutgoingMail {
            delivery_key: context.delivery_key.to_owned(),
            from: context.sender().clone(),
            to: context.recipient.email.clone(),
            bytes,
        },
    })
}

/// The event for the recipient's calendar. The kind says whether there is anything for the calendar.
fn calendar(context: &MailContext<'_>) -> Option<CalendarFile> {
    let event = context.event?;
    let action = kinds::of(context.kind).calendar(context)?;
    Some(calendar::write(&CalendarEntry {
        event,
        // A confirmation that was late must not put an event back that is off by now.
        is_cancelled: action == CalendarAction::Cancel || event.status == EventStatus::Cancelled,
        organizer: (context.sender_name(), context.sender()),
        now: context.now,
    }))
}
