//! Conversion between the engine's requests and answers and the generated types of the WIT.
//!
//! Called around each call. Pure.

use boxoffice_engine::ports::{
    BookingRequest, CancellationRequest, Decision, PluginAnswer, PluginRequest, RenderRequest,
    Rendered, RequestCustomer, RequestEvent, RequestLine, RequestMoment,
};
use boxoffice_wit::host::{
    policy::{
        boxoffice::plugin::types as wit, exports::boxoffice::plugin::booking_policy as policy,
    },
    template::exports::boxoffice::plugin::notification_template as template,
};

/// Longest stored reason why a template declines a mail.
const DECLINED_CHARACTERS_MAX: usize = 300;

/// The approximate size of a request in bytes: its texts, and a little for each number.
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

/// Converts a decision. The engine checks whether it is valid.
pub(super) fn decided(decision: policy::Decision) -> PluginAnswer {
    PluginAnswer::Decided(match decision {
        policy::Decision::Accept => Decision::Accept,
        policy::Decision::Reject(rejection) => rejected(rejection),
        policy::Decision::Adjust(adjustment) => Decision::Adjust {
            unit_prices_minor: adjustment.unit_prices_minor,
            messages: adjustment.messages,
            claims: Vec::new(),
        },
    })
}

/// Converts a decision about a cancellation.
pub(super) fn cancellation_decided(decision: policy::CancellationDecision) -> PluginAnswer {
    PluginAnswer::Decided(match decision {
        policy::CancellationDecision::Accept => Decision::Accept,
        policy::CancellationDecision::Reject(rejection) => rejected(rejection),
    })
}

/// Converts the text of a mail.
pub(super) fn rendered(answer: Result<template::Rendered, String>) -> PluginAnswer {
    match answer {
        Ok(rendered) => PluginAnswer::Rendered {
            rendered: Rendered {
                subject: rendered.subject,
                text: rendered.text,
                html: rendered.html,
            },
        },
        Err(reason) => PluginAnswer::Declined {
            declined: reason.chars().take(DECLINED_CHARACTERS_MAX).collect(),
        },
    }
}

fn rejected(rejection: policy::Rejection) -> Decision {
    Decision::Reject {
        code: rejection.code,
        reason: rejection.reason,
    }
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
