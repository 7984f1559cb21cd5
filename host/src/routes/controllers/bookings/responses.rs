//! Bookings as JSON: responses.
//!
//! Called by the controllers of bookings, holds and quotes.

use std::collections::BTreeMap;

use boxoffice_engine::{Booking, BookingLine, Cancellation, WithCustomer};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::routes::{
    choices,
    controllers::{
        booking_details::{DetailsResponse, TicketHolderResponse},
        customers::CustomerResponse,
        sales::{SaleResponse, SellerResponse},
    },
};

/// Tickets of a booking that were cancelled together.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct CancellationResponse {
    /// The time.
    #[schema(value_type = String, format = DateTime)]
    cancelled_at: Timestamp,
    /// `customer` or `organizer`.
    #[schema(value_type = choices::CancelledBy)]
    cancelled_by: &'static str,
    /// The number of tickets of all types.
    num_tickets: u32,
    /// The cancelled tickets.
    lines: Vec<BookingLineResponse>,
    /// Their numbers in the booking, in order.
    ticket_numbers: Vec<u32>,
    /// The refunded share of the price, in percent.
    refund_percent: u32,
    /// The refund, in minor units. The running total of a booking is rounded
    /// down, not each part.
    refund_minor: u64,
}

/// Tickets of one type at one price.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct BookingLineResponse {
    /// The ticket type.
    pub(super) ticket_type: String,
    /// The number of tickets.
    pub(super) quantity: u32,
    /// Price of one, in minor units.
    unit_price_minor: u32,
}

/// Tickets that a customer booked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct BookingResponse {
    /// The booking's id.
    pub(in crate::routes::controllers) id: String,
    /// Its number for people, unique within the tenant.
    #[schema(example = "7K3QX-9TB0A")]
    pub(super) booking_number: String,
    /// The booked event.
    pub(super) event_id: String,
    /// The customer who booked.
    pub(super) customer_id: String,
    /// Who they are, where bookings are read. Null in answers to requests that make or cancel it, and if the account was
    /// deleted.
    pub(super) customer: Option<CustomerResponse>,
    /// `confirmed` or `cancelled`.
    #[schema(value_type = choices::BookingStatus)]
    pub(super) status: &'static str,
    /// The number of tickets of all types.
    pub(super) num_tickets: u32,
    /// Its tickets, or those at its end.
    pub(super) lines: Vec<BookingLineResponse>,
    /// Price of all `lines`, in minor units.
    pub(super) total_minor: u64,
    /// Price of all its tickets, cancelled ones included, in minor units.
    pub(super) paid_minor: u64,
    /// Price of its cancelled tickets, in minor units.
    pub(super) cancelled_minor: u64,
    /// Texts of the tenant's policies about the prices, for the customer.
    pub(super) messages: Vec<String>,
    /// The refund for all that was cancelled, in minor units. Boxoffice does not pay it out.
    pub(super) refund_due_minor: u64,
    /// The refund, in minor units. The running total of a booking is rounded
    /// down, not each part.
    pub(super) refund_minor: u64,
    /// Its cancellations, in order. Cancelling the event adds none.
    pub(super) cancellations: Vec<CancellationResponse>,
    /// ISO 4217 code of all its amounts.
    pub(super) currency: String,
    /// How it came about.
    #[schema(value_type = choices::SalesChannel)]
    pub(super) channel: &'static str,
    /// Who sold it, for those who look after the event; null for customers, and if nobody did.
    pub(super) sold_by: Option<SellerResponse>,
    /// Why it costs nothing, for those who look after the event; null for customers, and if it is not complimentary.
    pub(super) complimentary: Option<String>,
    /// The platform's own name of it, unique within the tenant; null if it has none.
    pub(super) reference: Option<String>,
    /// The platform's own strings.
    pub(super) metadata: BTreeMap<String, String>,
    /// Codes that were given for the tenant's policies to judge.
    pub(super) codes: Vec<String>,
    /// The answers, by the id of the question: a text, a number, true or false, or a list of choices.
    #[schema(value_type = BTreeMap<String, Value>)]
    pub(super) answers: BTreeMap<String, Value>,
    /// Who has the tickets, as far as the customer named them, by the number of the ticket.
    pub(super) attendees: Vec<TicketHolderResponse>,
    /// The version of the event when it was made.
    pub(super) event_version: u64,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Timestamp,
    /// When it was cancelled, if it was.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) cancelled_at: Option<Timestamp>,
    /// `customer`, `organizer` or `event` (the whole event was cancelled).
    #[schema(value_type = Option<choices::CancelledBy>)]
    pub(super) cancelled_by: Option<&'static str>,
}

impl From<&BookingLine> for BookingLineResponse {
    fn from(line: &BookingLine) -> Self {
        Self {
            ticket_type: line.ticket_type.to_string(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
        }
    }
}

impl From<&Cancellation> for CancellationResponse {
    fn from(one: &Cancellation) -> Self {
        Self {
            cancelled_at: one.at,
            cancelled_by: one.cause.as_str(),
            num_tickets: one.tickets(),
            lines: one.lines.iter().map(BookingLineResponse::from).collect(),
            ticket_numbers: one.numbers.clone(),
            refund_percent: one.refund_percent,
            refund_minor: one.refund_minor,
        }
    }
}

impl From<Booking> for BookingResponse {
    fn from(booking: Booking) -> Self {
        let channel = booking.channel().as_str();
        let sale = SaleResponse::of(booking.sale.as_deref());
        let details = DetailsResponse::of(booking.details.as_deref());
        Self {
            channel,
            sold_by: sale.sold_by,
            complimentary: sale.complimentary,
            reference: details.reference,
            metadata: details.metadata,
            codes: details.codes,
            answers: details.answers,
            attendees: details.attendees,
            paid_minor: booking.paid_minor(),
            cancelled_minor: booking.cancelled_minor(),
            refund_due_minor: booking.refund_minor(),
            refund_minor: booking.refund_minor(),
            cancellations: booking
                .cancellations
                .iter()
                .map(CancellationResponse::from)
                .collect(),
            id: booking.id.to_string(),
            booking_number: booking.number.to_string(),
            event_id: booking.event.to_string(),
            customer_id: booking.customer.to_string(),
            customer: None,
            status: booking.status.as_str(),
            num_tickets: booking.tickets(),
            lines: booking
                .lines
                .iter()
                .map(BookingLineResponse::from)
                .collect(),
            total_minor: booking.total_minor,
            messages: booking.messages,
            currency: booking.currency,
            event_version: booking.event_version,
            created_at: booking.created_at,
            cancelled_at: booking.cancelled.map(|(_, at)| at),
            cancelled_by: booking.cancelled.map(|(cause, _)| cause.as_str()),
        }
    }
}

impl From<WithCustomer<Booking>> for BookingResponse {
    fn from(booking: WithCustomer<Booking>) -> Self {
        Self {
            customer: booking.person.map(CustomerResponse::from),
            ..booking.item.into()
        }
    }
}
