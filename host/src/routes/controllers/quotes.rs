//! Quotes.

use axum::{Json as JsonAnswer, extract::State};
use boxoffice_engine::{CustomerLimit, Engine, Error, Quote, QuoteTickets};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Answer,
    booking_details::request_with_details,
    bookings::{BookLineRequest, BookingLineResponse, at_num_tickets, wanted_lines},
    integers::TicketCount,
};
use crate::routes::{
    extract::{AsCaller, Json},
    refusals,
};

request_with_details! {
    /// The tickets whose price is asked for: `numTickets` of the event's only ticket type, or `lines`.
    #[derive(Debug, Deserialize, ToSchema)]
    QuoteRequest {
        /// The event's id.
        event_id: String,
        /// The number of tickets of the only type; instead of `lines`.
        #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000, example = 2)]
        num_tickets: Option<TicketCount>,
        /// The numbers of tickets by type; instead of `numTickets`. 1 to 10 lines, each type once.
        lines: Option<Vec<BookLineRequest>>,
        /// The customer who would get them, for those who may sell to them; without it the caller.
        customer_id: Option<String>,
    }
}

/// What tickets would cost now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct QuoteResponse {
    /// The event.
    event_id: String,
    /// The customer.
    customer_id: String,
    /// The number of tickets of all types.
    num_tickets: u32,
    /// The tickets, at their prices.
    lines: Vec<BookingLineResponse>,
    /// Price of all `lines`, in minor units.
    total_minor: u64,
    /// ISO 4217 code of all its amounts.
    currency: String,
    /// Texts of the tenant's policies about the prices, for the customer.
    messages: Vec<String>,
    /// How many tickets of the event the customer may have; null for no limit.
    customer_limit: Option<CustomerLimitResponse>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    quoted_at: Timestamp,
}

/// How many tickets of an event one customer may have.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct CustomerLimitResponse {
    /// The most, in all their bookings and holds.
    max: u32,
    /// What they have now.
    has: u32,
}

impl From<Quote> for QuoteResponse {
    fn from(quote: Quote) -> Self {
        Self {
            event_id: quote.event.to_string(),
            customer_id: quote.customer.to_string(),
            num_tickets: quote.lines.iter().map(|line| line.quantity).sum(),
            lines: quote.lines.iter().map(BookingLineResponse::from).collect(),
            total_minor: quote.total_minor,
            currency: quote.currency,
            messages: quote.messages,
            customer_limit: (quote.customer_limit)
                .map(|CustomerLimit { max, has }| CustomerLimitResponse { max, has }),
            quoted_at: quote.quoted_at,
        }
    }
}

/// Tells what tickets would cost now, as the policies decide
///
/// Nothing is written or reserved. What a booking would be refused for, a quote is refused for. A booking with the quote's total as
/// `expectedTotalMinor` costs that, or is refused (`price-changed`).
#[utoipa::path(post, path = "/api/quotes", tag = "bookings", request_body = QuoteRequest, operation_id = "quote",
    responses((status = 200, body = QuoteResponse), refusals::Quote))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Json(request): Json<QuoteRequest>,
) -> Answer<JsonAnswer<QuoteResponse>> {
    let customer = request.customer_id.as_deref().map(str::parse).transpose();
    let unknown = |_| Error::field("customerId", "No user of this tenant has this id.");
    let command = QuoteTickets {
        event: request.event_id.parse()?,
        lines: wanted_lines(request.num_tickets, request.lines.as_deref())?,
        customer: customer.map_err(unknown)?,
        details: request.details()?,
    };
    let quote = engine.bookings().quote(&caller, command).await;
    let quote = quote.map_err(|error| match request.num_tickets {
        Some(_) => at_num_tickets(error),
        None => error,
    });
    let quote = quote.map_err(|error| match error.field_name() {
        Some("customer" | "customer.id") => error.at_field("customerId"),
        _ => error,
    })?;
    Ok(JsonAnswer(quote.into()))
}
