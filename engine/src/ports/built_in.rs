//! What a built-in policy is asked. Recorded decisions and dry runs have the same JSON.
//!
//! Written by the policy check, read by the catalogue. Pure.

use serde::{Deserialize, Serialize};

use super::{BookingView, RequestEvent, RequestLine, RequestMoment};
use crate::types::{Answers, BookingCode, SalesChannel};

/// A question to a built-in policy. None of them decides about cancellations: they accept each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "export", content = "request", rename_all = "kebab-case")]
pub enum BuiltInRequest {
    /// About a booking.
    ValidateBooking(Box<BuiltInBooking>),
}

/// A booking, as a built-in policy sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuiltInBooking {
    /// The event to be booked.
    pub event: RequestEvent,
    /// The tickets to book, at the prices after the policy before.
    pub lines: Vec<RequestLine>,
    /// The customer.
    pub customer: BuiltInCustomer,
    /// Whether the customer asks, or somebody sells to them.
    #[serde(default = "own_channel")]
    pub channel: SalesChannel,
    /// The codes that the customer gives.
    #[serde(default)]
    pub codes: Vec<BookingCode>,
    /// The answers to the questions that are asked once per booking.
    #[serde(default)]
    pub answers: Answers,
    /// What is known of those who get the tickets.
    #[serde(default)]
    pub attendees: Vec<BuiltInAttendee>,
    /// What the keys of its counters begin with: the name of the activation, and its event if it has one.
    #[serde(default)]
    pub counters: String,
    /// The moment of the call.
    pub now: RequestMoment,
}

/// The customer, as a built-in policy sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuiltInCustomer {
    /// The pseudonym, unique within the tenant.
    pub pseudonym: String,
    /// Tickets of this event that the customer already has.
    pub tickets_in_event: u32,
    /// The e-mail address, if the owner lets the policy see who the customer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the address counts as confirmed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub email_confirmed: bool,
    /// The platform's id of the customer, if the owner lets the policy see who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The name. No built-in policy looks at it; a plugin's fixture may have one.
    #[serde(default, skip_serializing)]
    pub name: Option<String>,
}

/// The person who gets a ticket, as a built-in policy sees them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuiltInAttendee {
    /// The number of the ticket in the booking, from 1, in the order of its lines.
    pub ticket: u32,
    /// The answers to the questions that are asked for each ticket.
    #[serde(default)]
    pub answers: Answers,
}

impl BuiltInBooking {
    /// The question about a booking, without anything that tells who the customer is.
    pub(crate) fn about(view: &BookingView, counters: String) -> Self {
        let holders = view.details.ticket_holders.iter();
        Self {
            event: RequestEvent::from(&view.event),
            lines: view.lines.iter().map(RequestLine::from).collect(),
            customer: BuiltInCustomer {
                pseudonym: view.customer.pseudonym.clone(),
                tickets_in_event: view.customer.tickets_in_event,
                ..BuiltInCustomer::default()
            },
            channel: view.channel,
            codes: view.details.codes.clone(),
            answers: view.details.answers.clone(),
            attendees: holders
                .map(|(ticket, holder)| BuiltInAttendee {
                    ticket: *ticket,
                    answers: holder.answers.clone(),
                })
                .collect(),
            counters,
            now: RequestMoment::at(view.now, &view.event.time_zone),
        }
    }
}

fn own_channel() -> SalesChannel {
    SalesChannel::Own
}
