//! The data that templates see of a mail, and how moments, amounts and changes are written for readers.
//!
//! Called by the choice of templates, and by the kinds, each of which adds its own.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    branding::{booking_url, brand_data, links_data},
    context::{MailContext, MailTicket},
};
use crate::types::{
    AnswerValue, Answers, Booking, BookingLine, CancelCause, Event, EventDetails, Label, Metadata,
    QuestionId, TicketTypeId,
};
pub(in crate::modules::notifications) use crate::types::{local_time as local, money};

/// What templates see of every mail, in one shape: what is not known is `null`, lists may be empty. A kind adds its own.
pub(super) fn common_data(context: &MailContext<'_>) -> Value {
    let event = context.event;
    let bookings = context.bookings.iter();
    let bookings = bookings.map(|booking| booking_data(context, booking));
    json!({
        "kind": context.kind,
        "tenant": { "name": context.tenant.name, "senderName": context.sender_name() },
        "brand": brand_data(context),
        "links": links_data(context),
        "recipient": {
            "name": context.recipient_name(),
            "metadata": metadata_data(&context.recipient.metadata),
        },
        "event": event.map(event_data),
        "bookings": bookings.collect::<Value>(),
        "cancellation": null,
        "tickets": [],
        "voidTickets": [],
        "announcement": null,
        "offer": null,
        "receipt": null,
        "unsubscribeUrl": context.unsubscribe_url,
        "changes": [],
    })
}

/// The zone of the event that a mail is about.
pub(in crate::modules::notifications) fn time_zone<'a>(context: &MailContext<'a>) -> &'a str {
    let event = context.event;
    event.map_or("UTC", |event| event.details.time_zone.as_str())
}

fn event_data(event: &Event) -> Value {
    let details = &event.details;
    let zone = details.time_zone.as_str();
    json!({
        "id": event.id,
        "title": details.title,
        "description": details.description,
        "startsAt": details.starts_at,
        "startsAtLocal": local(details.starts_at, zone),
        "endsAt": details.ends_at,
        "endsAtLocal": details.ends_at.map(|ends_at| local(ends_at, zone)),
        "timeZone": zone,
        "location": details.location,
        "reference": details.reference,
        "metadata": metadata_data(&details.metadata),
    })
}

/// What templates see of the tickets whose codes a mail shows.
pub(in crate::modules::notifications) fn tickets_data(context: &MailContext<'_>) -> Value {
    let is_confirmed = context.recipient.email_verified;
    let ticket = |ticket: &MailTicket| {
        json!({
            "number": ticket.number,
            "name": ticket.name,
            "attendee": ticket.attendee.as_ref().filter(|_| is_confirmed),
            "code": ticket.code,
            "imageId": ticket.image_id(),
        })
    };
    context.tickets.iter().map(ticket).collect()
}

fn metadata_data(metadata: &Metadata) -> Value {
    let entries = metadata.iter();
    entries
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect()
}

/// What a ticket type is called; its id, if the event does not have it any more.
pub(in crate::modules::notifications) fn type_name<'a>(
    event: Option<&'a Event>,
    id: &'a TicketTypeId,
) -> &'a str {
    event.map_or(id.as_str(), |event| event.type_name(id))
}

pub(in crate::modules::notifications) fn lines_data(
    event: Option<&Event>,
    lines: &[BookingLine],
    currency: &str,
) -> Vec<Value> {
    let line = |line: &BookingLine| {
        json!({
            "ticketType": line.ticket_type,
            "name": type_name(event, &line.ticket_type),
            "quantity": line.quantity,
            "unitPriceMinor": line.unit_price_minor,
            "unitPrice": money(u64::from(line.unit_price_minor), currency),
        })
    };
    lines.iter().map(line).collect()
}

/// Numbers of tickets for readers, in runs: `2, 5-7`.
pub(in crate::modules::notifications) fn numbers_text(numbers: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let run = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

/// The answers for readers, each with its question.
fn answers_data(event: Option<&Event>, answers: &Answers) -> Value {
    let answer = |(id, answer): (&QuestionId, &AnswerValue)| {
        let mut questions = event.into_iter().flat_map(|event| &event.details.questions);
        let asked = questions.find(|question| question.id == *id);
        json!({
            "question": id,
            "label": asked.map_or(id.as_str(), |question| question.label.as_str()),
            "answer": answer.to_string(),
        })
    };
    answers.iter().map(answer).collect()
}

/// What templates see of a booking. Of what it carries only the reference, if the reader's address is not confirmed: a stranger may
/// have typed the rest.
pub(in crate::modules::notifications) fn booking_data(
    context: &MailContext<'_>,
    booking: &Booking,
) -> Value {
    let reader = context.recipient.id;
    let (event, details) = (context.event, booking.details.as_deref());
    let typed = details.filter(|_| context.recipient.email_verified);
    let none = Answers::default();
    let url = match booking.customer == reader {
        true => booking_url(
            &context.tenant.settings.links,
            booking,
            event.map(|one| &one.details),
        ),
        // It is not theirs to see.
        false => None,
    };
    let answers = typed.map_or(&none, |details| &details.answers);
    json!({
        "reference": details.and_then(|details| details.reference.as_ref()),
        "metadata": typed.map_or_else(|| json!([]), |details| metadata_data(&details.metadata)),
        "answers": answers_data(event, answers),
        "id": booking.id.to_string(),
        "url": url,
        "bookingNumber": booking.number,
        "status": booking.status,
        "channel": booking.channel(),
        "cancelledBy": booking.cancelled.map(|(cause, _): (CancelCause, Timestamp)| cause),
        "numTickets": booking.tickets(),
        "isOwn": booking.customer == reader,
        "numOwnTickets": booking.tickets_of(reader).count(),
        "totalMinor": booking.total_minor,
        "total": money(booking.total_minor, &booking.currency),
        "currency": booking.currency,
        "messages": booking.messages,
        "ticketsUrl": context.tickets_url(booking.id),
        "lines": lines_data(event, &booking.lines, &booking.currency),
    })
}

/// What differs for customers, each as its name for programs and readers, and the old and new value for readers.
pub(in crate::modules::notifications) fn changes(
    before: &EventDetails,
    after: &EventDetails,
) -> Vec<Value> {
    let open = || "not announced".to_owned();
    let start = |details: &EventDetails| local(details.starts_at, &details.time_zone);
    let end = |details: &EventDetails| {
        details
            .ends_at
            .map_or_else(open, |ends_at| local(ends_at, &details.time_zone))
    };
    let place = |details: &EventDetails| {
        details
            .location
            .as_ref()
            .map_or_else(open, Label::to_string)
    };
    let mut changes = Vec::new();
    let mut note = |differs: bool, what: &str, label: &str, before: String, after: String| {
        if differs {
            changes.push(json!({ "what": what, "label": label, "before": before, "after": after }));
        }
    };
    note(
        before.has_other_title(after),
        "title",
        "Title",
        before.title.to_string(),
        after.title.to_string(),
    );
    note(
        before.starts_at != after.starts_at,
        "startsAt",
        "Begins",
        start(before),
        start(after),
    );
    note(
        before.ends_at != after.ends_at,
        "endsAt",
        "Ends",
        end(before),
        end(after),
    );
    note(
        before.has_other_zone(after),
        "timeZone",
        "Time zone",
        before.time_zone.clone(),
        after.time_zone.clone(),
    );
    note(
        before.has_other_location(after),
        "location",
        "Place",
        place(before),
        place(after),
    );
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_tickets_are_read_in_runs() {
        assert_eq!(numbers_text(&[]), "");
        assert_eq!(numbers_text(&[3]), "3");
        assert_eq!(numbers_text(&[1, 2, 5, 7, 8, 9]), "1-2, 5, 7-9");
    }
}
