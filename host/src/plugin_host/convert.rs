//! Between the engine's requests and answers and the generated types of the contract, with the bounds that answers have.
//!
//! Called around each call. Pure.

use boxoffice_engine::{
    LineFault, check_line,
    ports::{
        BookingRequest, CancellationRequest, Decision, PluginAnswer, PluginRequest, RenderRequest,
        Rendered, RequestCustomer, RequestEvent, RequestLine, RequestMoment,
    },
};
use boxoffice_wit::host::{
    policy::{
        boxoffice::plugin::types as wit, exports::boxoffice::plugin::booking_policy as policy,
    },
    template::exports::boxoffice::plugin::notification_template as template,
};

/// Longest code of a rejection.
const CODE_BYTES_MAX: usize = 64;
/// Longest sentence for customers.
const SENTENCE_CHARACTERS_MAX: usize = 300;
/// Most sentences of an adjustment.
const MESSAGES_MAX: usize = 10;
/// Longest subject of a mail.
const SUBJECT_CHARACTERS_MAX: usize = 200;
/// Longest text and longest HTML of a mail.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// How many bytes a request has, near enough: its texts, and a little for each number.
pub(super) fn size_of(request: &PluginRequest) -> usize {
    match request {
        PluginRequest::ValidateBooking(request) => {
            event_size(&request.event)
                + lines_size(&request.lines)
                + customer_size(&request.customer)
        }
        PluginRequest::ValidateCancellation(request) => {
            event_size(&request.event)
                + lines_size(&request.lines)
                + customer_size(&request.customer)
                + request.booking.len()
        }
        PluginRequest::Render(request) => {
            request.kind.len() + request.locale.len() + request.data.to_string().len()
        }
    }
}

const NUMBERS_SIZE: usize = 32;

fn event_size(event: &RequestEvent) -> usize {
    let types: usize = event
        .ticket_types
        .iter()
        .map(|kind| kind.id.len() + kind.name.len() + NUMBERS_SIZE)
        .sum();
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    event.id.len()
        + event.title.len()
        + event.starts_at.len()
        + optional(&event.ends_at)
        + optional(&event.location)
        + event.time_zone.len()
        + event.currency.len()
        + types
}

fn lines_size(lines: &[RequestLine]) -> usize {
    lines
        .iter()
        .map(|line| line.ticket_type.len() + NUMBERS_SIZE)
        .sum()
}

fn customer_size(customer: &RequestCustomer) -> usize {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    customer.pseudonym.len() + optional(&customer.email) + optional(&customer.name) + NUMBERS_SIZE
}

pub(super) fn booking(request: &BookingRequest) -> policy::BookingRequest {
    policy::BookingRequest {
        event: event(&request.event),
        lines: lines(&request.lines),
        customer: customer(&request.customer),
        now: moment(&request.now),
    }
}

pub(super) fn cancellation(request: &CancellationRequest) -> policy::CancellationRequest {
    policy::CancellationRequest {
        event: event(&request.event),
        booking: request.booking.clone(),
        booked_at: request.booked_at.clone(),
        lines: lines(&request.lines),
        customer: customer(&request.customer),
        now: moment(&request.now),
    }
}

pub(super) fn render(request: &RenderRequest) -> template::RenderRequest {
    template::RenderRequest {
        kind: request.kind.clone(),
        locale: request.locale.clone(),
        data_json: request.data.to_string(),
    }
}

/// Takes a decision over, if it keeps to the contract.
pub(super) fn decided(decision: policy::Decision) -> Result<PluginAnswer, String> {
    Ok(PluginAnswer::Decided(match decision {
        policy::Decision::Accept => Decision::Accept,
        policy::Decision::Reject(rejection) => rejected(rejection)?,
        policy::Decision::Adjust(adjustment) => {
            if adjustment.messages.len() > MESSAGES_MAX {
                return Err(format!(
                    "an adjustment has up to {MESSAGES_MAX} messages, and it has {}",
                    adjustment.messages.len()
                ));
            }
            adjustment
                .messages
                .iter()
                .try_for_each(|message| sentence("a message", message, SENTENCE_CHARACTERS_MAX))?;
            Decision::Adjust {
                unit_prices_minor: adjustment.unit_prices_minor,
                messages: adjustment.messages,
            }
        }
    }))
}

/// Takes a decision about a cancellation over, if it keeps to the contract.
pub(super) fn cancellation_decided(
    decision: policy::CancellationDecision,
) -> Result<PluginAnswer, String> {
    Ok(PluginAnswer::Decided(match decision {
        policy::CancellationDecision::Accept => Decision::Accept,
        policy::CancellationDecision::Reject(rejection) => rejected(rejection)?,
    }))
}

/// Takes the words of a mail over, if they keep to the contract.
pub(super) fn rendered(answer: Result<template::Rendered, String>) -> Result<PluginAnswer, String> {
    let words = match answer {
        Ok(words) => words,
        Err(reason) => {
            return Ok(PluginAnswer::Declined {
                declined: reason.chars().take(SENTENCE_CHARACTERS_MAX).collect(),
            });
        }
    };
    sentence("the subject", &words.subject, SUBJECT_CHARACTERS_MAX)?;
    for (what, text) in [("the text", &words.text), ("the HTML", &words.html)] {
        if text.len() > BODY_BYTES_MAX {
            return Err(format!(
                "{what} has up to {BODY_BYTES_MAX} bytes, and it has {}",
                text.len()
            ));
        }
    }
    Ok(PluginAnswer::Rendered {
        rendered: Rendered {
            subject: words.subject,
            text: words.text,
            html: words.html,
        },
    })
}

fn rejected(rejection: policy::Rejection) -> Result<Decision, String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=CODE_BYTES_MAX).contains(&rejection.code.len()) || !rejection.code.bytes().all(allowed)
    {
        return Err(format!(
            "a rejection's code is 1 to {CODE_BYTES_MAX} of a-z, 0-9 and -"
        ));
    }
    sentence(
        "a rejection's reason",
        &rejection.reason,
        SENTENCE_CHARACTERS_MAX,
    )?;
    Ok(Decision::Reject {
        code: rejection.code,
        reason: rejection.reason,
    })
}

/// One line that may be shown to people.
fn sentence(what: &str, text: &str, characters_max: usize) -> Result<(), String> {
    check_line(text, characters_max).map_err(|fault| match fault {
        LineFault::TooLong => format!("{what} has up to {characters_max} characters"),
        fault => format!("{what} {fault}"),
    })
}

fn event(event: &RequestEvent) -> wit::Event {
    wit::Event {
        id: event.id.clone(),
        version: event.version,
        title: event.title.clone(),
        starts_at: event.starts_at.clone(),
        ends_at: event.ends_at.clone(),
        time_zone: event.time_zone.clone(),
        location: event.location.clone(),
        currency: event.currency.clone(),
        ticket_types: event
            .ticket_types
            .iter()
            .map(|kind| wit::TicketType {
                id: kind.id.clone(),
                name: kind.name.clone(),
                price_minor: kind.price_minor,
            })
            .collect(),
    }
}

fn lines(lines: &[RequestLine]) -> Vec<wit::Line> {
    lines
        .iter()
        .map(|line| wit::Line {
            ticket_type: line.ticket_type.clone(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
        })
        .collect()
}

fn customer(customer: &RequestCustomer) -> wit::Customer {
    wit::Customer {
        pseudonym: customer.pseudonym.clone(),
        tickets_in_event: customer.tickets_in_event,
        email: customer.email.clone(),
        name: customer.name.clone(),
    }
}

fn moment(moment: &RequestMoment) -> wit::Moment {
    wit::Moment {
        utc: moment.utc.clone(),
        local: moment.local.clone(),
    }
}
