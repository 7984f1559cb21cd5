//! The sizes of requests and answers, for the limits of a call.
//!
//! Called around each call. Pure.

use std::collections::BTreeMap;

use boxoffice_engine::{
    Metadata,
    ports::{
        Decision, PluginAnswer, PluginRequest, RequestAnswer, RequestAttendee, RequestCustomer,
        RequestDetails, RequestEvent, RequestLine, RequestSeller,
    },
};

/// The size that is counted for the numbers of a record.
const NUMBERS_SIZE: usize = 32;

/// The approximate size of a request in bytes: its texts, and a little for each record.
pub(super) fn size_of(request: &PluginRequest) -> usize {
    match request {
        PluginRequest::ValidateBooking(request) => {
            event_size(&request.event)
                + lines_size(&request.lines)
                + customer_size(&request.customer)
                + request.channel.len()
                + request.seller.as_ref().map_or(0, seller_size)
                + details_size(&request.details)
        }
        PluginRequest::ValidateCancellation(request) => {
            event_size(&request.event)
                + lines_size(&request.lines)
                + customer_size(&request.customer)
                + request.booking.len()
                + details_size(&request.details)
        }
        PluginRequest::Render(request) => {
            request.kind.len() + request.locale.len() + request.data.to_string().len()
        }
    }
}

/// The approximate size of an answer in bytes.
pub(super) fn answer_size(answer: &PluginAnswer) -> usize {
    match answer {
        PluginAnswer::Decided(Decision::Accept) => 0,
        PluginAnswer::Decided(Decision::Reject { code, reason }) => code.len() + reason.len(),
        PluginAnswer::Decided(Decision::Adjust {
            unit_prices_minor,
            messages,
            claims,
        }) => {
            let messages: usize = messages.iter().map(String::len).sum();
            let keys: usize = claims.iter().map(|claim| claim.key.as_str().len()).sum();
            4 * unit_prices_minor.len() + messages + 8 * claims.len() + keys
        }
        PluginAnswer::Rendered { rendered } => {
            rendered.subject.len() + rendered.text.len() + rendered.html.len()
        }
        PluginAnswer::Declined { declined } => declined.len(),
    }
}

fn event_size(event: &RequestEvent) -> usize {
    let types = event.ticket_types.iter();
    let types: usize = types
        .map(|kind| kind.id.len() + kind.name.len() + metadata_size(&kind.metadata) + NUMBERS_SIZE)
        .sum();
    event.id.len()
        + event.title.len()
        + event.starts_at.len()
        + optional(&event.ends_at)
        + optional(&event.location)
        + event.time_zone.len()
        + event.currency.len()
        + types
        + optional(&event.reference)
        + metadata_size(&event.metadata)
}

fn lines_size(lines: &[RequestLine]) -> usize {
    lines
        .iter()
        .map(|line| line.ticket_type.len() + NUMBERS_SIZE)
        .sum()
}

fn customer_size(customer: &RequestCustomer) -> usize {
    customer.pseudonym.len() + optional(&customer.email) + optional(&customer.name) + NUMBERS_SIZE
}

fn seller_size(seller: &RequestSeller) -> usize {
    optional(&seller.id) + NUMBERS_SIZE
}

fn details_size(details: &RequestDetails) -> usize {
    let codes: usize = details.codes.iter().map(String::len).sum();
    let attendees: usize = details.attendees.iter().map(attendee_size).sum();
    optional(&details.reference)
        + metadata_size(&details.metadata)
        + codes
        + answers_size(&details.answers)
        + attendees
}

fn attendee_size(attendee: &RequestAttendee) -> usize {
    attendee.ticket_type.len()
        + answers_size(&attendee.answers)
        + optional(&attendee.email)
        + optional(&attendee.name)
        + NUMBERS_SIZE
}

fn answers_size(answers: &BTreeMap<String, RequestAnswer>) -> usize {
    let answers = answers.iter();
    answers
        .map(|(question, answer)| {
            let answer = match answer {
                RequestAnswer::Text(text)
                | RequestAnswer::Choice(text)
                | RequestAnswer::Date(text) => text.len(),
                RequestAnswer::Choices(choices) => choices.iter().map(String::len).sum(),
                RequestAnswer::Number(_) | RequestAnswer::YesNo(_) => 0,
            };
            question.len() + answer + NUMBERS_SIZE
        })
        .sum()
}

fn metadata_size(metadata: &Metadata) -> usize {
    let entries = metadata.iter();
    entries.map(|(key, value)| key.len() + value.len()).sum()
}

fn optional(text: &Option<String>) -> usize {
    text.as_ref().map_or(0, String::len)
}
