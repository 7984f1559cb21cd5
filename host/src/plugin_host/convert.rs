//! Conversion between the engine's requests and answers and the generated types of the WIT.
//!
//! Called around each call. Pure.

use std::collections::BTreeMap;

use boxoffice_engine::{
    Metadata,
    ports::{
        BookingRequest, CancellationRequest, Decision, PluginAnswer, RenderRequest, Rendered,
        RequestAnswer, RequestAttendee, RequestCustomer, RequestDetails, RequestEvent, RequestLine,
        RequestMoment, RequestSeller, RequestSellerKind, claim_of,
    },
};
use boxoffice_wit::host::{
    policy::{
        boxoffice::plugin::types as wit, exports::boxoffice::plugin::booking_policy as policy,
    },
    template::exports::boxoffice::plugin::notification_template as template,
};

/// Longest stored reason why a template declines a mail.
const DECLINED_CHARACTERS_MAX: usize = 300;

pub(super) fn booking(request: &BookingRequest) -> policy::BookingRequest {
    policy::BookingRequest {
        event: event(&request.event),
        lines: lines(&request.lines),
        customer: customer(&request.customer),
        channel: request.channel.clone(),
        seller: request.seller.as_ref().map(seller),
        details: details(&request.details),
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
        details: details(&request.details),
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

/// Converts a decision about a request. The engine checks whether it is valid.
///
/// # Errors
/// A claim that is none, as a sentence. The call then counts as failed.
pub(super) fn decided(
    request: &BookingRequest,
    decision: policy::Decision,
) -> Result<PluginAnswer, String> {
    Ok(PluginAnswer::Decided(match decision {
        policy::Decision::Accept => Decision::Accept,
        policy::Decision::Reject(rejection) => rejected(rejection),
        policy::Decision::Adjust(adjustment) => Decision::Adjust {
            unit_prices_minor: adjustment.unit_prices_minor.unwrap_or_else(|| {
                let lines = request.lines.iter();
                lines.map(|line| line.unit_price_minor).collect()
            }),
            messages: adjustment.messages,
            claims: adjustment
                .claims
                .iter()
                .map(|claim| claim_of(&claim.key, claim.limit, claim.amount))
                .collect::<Result<_, String>>()?,
        },
    }))
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
                metadata: metadata(&kind.metadata),
            })
            .collect(),
        reference: event.reference.clone(),
        metadata: metadata(&event.metadata),
    }
}

fn metadata(metadata: &Metadata) -> Vec<wit::MetadataEntry> {
    let entries = metadata.iter();
    entries
        .map(|(key, value)| wit::MetadataEntry {
            key: key.to_owned(),
            value: value.to_owned(),
        })
        .collect()
}

fn seller(seller: &RequestSeller) -> wit::Seller {
    wit::Seller {
        kind: match seller.kind {
            RequestSellerKind::User => wit::SellerKind::User,
            RequestSellerKind::ApiKey => wit::SellerKind::ApiKey,
            RequestSellerKind::Platform => wit::SellerKind::Platform,
        },
        id: seller.id.clone(),
    }
}

fn details(details: &RequestDetails) -> wit::BookingDetails {
    wit::BookingDetails {
        reference: details.reference.clone(),
        metadata: metadata(&details.metadata),
        codes: details.codes.clone(),
        answers: answers(&details.answers),
        attendees: details.attendees.iter().map(attendee).collect(),
    }
}

fn attendee(attendee: &RequestAttendee) -> wit::Attendee {
    wit::Attendee {
        ticket: attendee.ticket,
        ticket_type: attendee.ticket_type.clone(),
        answers: answers(&attendee.answers),
        email: attendee.email.clone(),
        name: attendee.name.clone(),
    }
}

fn answers(answers: &BTreeMap<String, RequestAnswer>) -> Vec<wit::Answer> {
    let answers = answers.iter();
    answers
        .map(|(question, answer)| wit::Answer {
            question: question.clone(),
            value: match answer {
                RequestAnswer::Text(text) => wit::AnswerValue::Text(text.clone()),
                RequestAnswer::Number(number) => wit::AnswerValue::Number(number.get()),
                RequestAnswer::Choice(choice) => wit::AnswerValue::Choice(choice.clone()),
                RequestAnswer::Choices(choices) => wit::AnswerValue::Choices(choices.clone()),
                RequestAnswer::YesNo(answer) => wit::AnswerValue::YesNo(*answer),
                RequestAnswer::Date(day) => wit::AnswerValue::Date(day.clone()),
            },
        })
        .collect()
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
