//! Bookings: book, show, list and cancel.

pub(in crate::routes) mod export;
mod responses;

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json as JsonAnswer, extract::State, response::Response};
use boxoffice_engine::{
    BookLine, BookTickets, BookingId, BookingNumber, CancelTickets, ChangeBooking, Engine, Error,
    EventId, Reference, Result, UserId,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    booking_details::{AttendeeRequest, GivenDetails, request_with_details},
    created,
    integers::{TicketCount, Whole},
    sales::{SoldToRequest, sell_to},
    unconfirmed::UnconfirmedTickets,
};
use crate::routes::{
    extract::{
        AsCaller, AtCustomerPage, AtPage, ClientAddress, CustomerParams, Id, Json, OptionalJson,
        PageParams, Prefix,
    },
    refusals,
};

pub(in crate::routes) use responses::{BookingLineResponse, BookingResponse};

/// The engine's name of the field in a booking of the short form.
const FIRST_QUANTITY: &str = "lines[0].quantity";
const FIRST_TICKET_TYPE: &str = "lines[0].ticketType";

request_with_details! {
    /// The tickets to book or hold: `numTickets` of the event's only ticket type, or `lines`.
    #[derive(Debug, Deserialize, ToSchema)]
    CreateBookingRequest {
        /// The event's id.
        event_id: String,
        /// The number of tickets of the only type; instead of `lines`.
        #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000, example = 2)]
        num_tickets: Option<TicketCount>,
        /// The numbers of tickets by type; instead of `numTickets`. 1 to 10 lines, each type once.
        lines: Option<Vec<BookLineRequest>>,
        /// The total that the customer agreed to, in minor units. Another total is refused (`price-changed`).
        #[schema(value_type = Option<u64>)]
        expected_total_minor: Option<Whole<u64>>,
        /// The customer that the tickets are sold to; without it the caller gets them. For the event's organizer, the tenant's
        /// owner and staff, and programs, which must name somebody.
        customer: Option<SoldToRequest>,
        /// Why it costs nothing, only with `customer`: the price is set to 0 after the policies decided. Customers do not see it.
        #[schema(min_length = 1, max_length = 200)]
        complimentary: Option<String>,
    }
}

/// A number of tickets of one type.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct BookLineRequest {
    /// The ticket type. The default is the event's only one.
    ticket_type: Option<String>,
    /// The number of tickets.
    #[schema(value_type = u32, minimum = 1, maximum = 10_000)]
    quantity: TicketCount,
}

/// The tickets to cancel: `lines` or `ticketNumbers`; with neither, all that are left.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct CancelBookingRequest {
    /// The numbers of tickets by type, each type once: the last ones of the type that are not checked in.
    lines: Option<Vec<BookLineRequest>>,
    /// The tickets, by their `number` in the booking; instead of `lines`.
    #[schema(value_type = Option<Vec<u32>>, min_items = 1, max_items = 1_000)]
    ticket_numbers: Option<Vec<Whole<u32>>>,
}

/// What a booking carries beside its tickets. Each member replaces what was there; those that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ChangeBookingRequest {
    /// The platform's own name of the booking, unique within the tenant: visible ASCII characters. Not for customers.
    #[schema(min_length = 1, max_length = 64)]
    reference: Option<String>,
    /// The platform's own strings: up to 50 keys of 40 characters, with values of up to 500. Not for customers.
    metadata: Option<BTreeMap<String, String>>,
    /// The answers to the questions that are asked per booking, by the id of the question: a text, a number, true or false, or a list of
    /// choices.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    answers: Option<Map<String, Value>>,
    /// Who has the tickets, with answers to the questions that are asked per ticket.
    #[schema(max_items = 100)]
    attendees: Option<Vec<AttendeeRequest>>,
}

impl ChangeBookingRequest {
    fn command(&self, booking: BookingId) -> Result<ChangeBooking> {
        let given = GivenDetails {
            reference: self.reference.as_deref(),
            metadata: self.metadata.as_ref(),
            codes: None,
            answers: self.answers.as_ref(),
            attendees: self.attendees.as_deref(),
        };
        let details = given.command()?;
        Ok(ChangeBooking { booking, details })
    }
}

impl CreateBookingRequest {
    pub(super) fn command(&self) -> Result<BookTickets> {
        let lines = wanted_lines(self.num_tickets, self.lines.as_deref())?;
        Ok(BookTickets {
            event: self.event_id.parse()?,
            lines,
            idempotency_key: None,
            expected_total_minor: self.expected_total_minor.map(|Whole(total)| total),
            sell_to: sell_to(self.customer.as_ref(), self.complimentary.as_deref())?,
            details: self.details()?,
        })
    }

    /// The same error, with this request's name of the field.
    pub(super) fn at_own_field(&self, error: Error) -> Error {
        match self.num_tickets {
            Some(_) => at_num_tickets(error),
            None => error,
        }
    }
}

impl CancelBookingRequest {
    fn command(&self, booking: BookingId) -> Result<CancelTickets> {
        let lines = self.lines.as_ref().map(|lines| {
            let lines = lines.iter().enumerate();
            lines.map(|(index, line)| line.command(index)).collect()
        });
        let tickets = self.ticket_numbers.as_ref();
        let tickets = tickets.map(|numbers| numbers.iter().map(|Whole(number)| *number).collect());
        Ok(CancelTickets {
            booking,
            lines: lines.transpose()?,
            tickets,
            idempotency_key: None,
        })
    }
}

impl BookLineRequest {
    fn command(&self, index: usize) -> Result<BookLine> {
        let ticket_type = self.ticket_type.as_deref().map(str::parse).transpose();
        Ok(BookLine {
            ticket_type: ticket_type
                .map_err(|error: Error| error.at_field(format!("lines[{index}].ticketType")))?,
            quantity: self.quantity.0,
        })
    }
}

/// The same error, with `numTickets` for the only line.
pub(super) fn at_num_tickets(error: Error) -> Error {
    match error.field_name() {
        Some(FIRST_QUANTITY | FIRST_TICKET_TYPE) => error.at_field("numTickets"),
        _ => error,
    }
}

/// The tickets that a request takes for the caller: none if it sells them, which only those do who look after the event.
pub(super) fn own_lines(command: &BookTickets) -> &[BookLine] {
    match command.sell_to {
        None => &command.lines,
        Some(_) => &[],
    }
}

/// The lines of a request in either form.
pub(super) fn wanted_lines(
    num_tickets: Option<TicketCount>,
    lines: Option<&[BookLineRequest]>,
) -> Result<Vec<BookLine>> {
    match (num_tickets, lines) {
        (Some(TicketCount(quantity)), None) => Ok(vec![BookLine {
            ticket_type: None,
            quantity,
        }]),
        (None, Some(lines)) => {
            let lines = lines.iter().enumerate();
            lines.map(|(index, line)| line.command(index)).collect()
        }
        (Some(_), Some(_)) => Err(Error::field("lines", "Send numTickets or lines, not both.")),
        (None, None) => Err(Error::field("numTickets", "Send numTickets or lines.")),
    }
}

/// Books tickets for the caller, or for a customer that they are sold to
///
/// With the answer 201 the booking is on disk, and a confirmation will be mailed.
#[utoipa::path(post, path = "/api/bookings", tag = "bookings", request_body = CreateBookingRequest,
    responses((status = 201, body = BookingResponse, headers(("Location" = String))), refusals::BookTickets))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    State(unconfirmed): State<Arc<UnconfirmedTickets>>,
    AsCaller(caller): AsCaller,
    ClientAddress(address): ClientAddress,
    Prefix(prefix): Prefix,
    Json(request): Json<CreateBookingRequest>,
) -> Answer<Response> {
    let command = request.command()?;
    let counted = unconfirmed.count(&engine, caller, address, own_lines(&command));
    let counted = counted.await?;
    let booking = engine.bookings();
    let booking = booking.book_tickets(&counted.caller, command).await;
    let booking = counted.settle(booking);
    let booking = BookingResponse::from(booking.map_err(|error| request.at_own_field(error))?);
    Ok(created(
        &format!("{prefix}/api/bookings/{}", booking.id),
        &booking,
    ))
}

/// Lists the caller's own bookings, newest first
#[utoipa::path(get, path = "/api/bookings/me", tag = "bookings", params(PageParams),
    responses((status = 200, body = PageResponse<BookingResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_mine(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<BookingResponse>>> {
    let page = engine.bookings().list_mine(&caller, page).await?;
    Ok(PageResponse::of(page, BookingResponse::from))
}

/// Lists a customer's bookings, newest first, for the tenant's owner and staff
#[utoipa::path(get, path = "/api/users/{id}/bookings", tag = "bookings",
    params(("id" = String, Path, description = "Which user"), PageParams),
    responses((status = 200, body = PageResponse<BookingResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_of_user(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(customer): Id<UserId>,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<BookingResponse>>> {
    let bookings = engine.bookings();
    let page = bookings.list_of_user(&caller, customer, page).await?;
    Ok(PageResponse::of(page, BookingResponse::from))
}

/// Lists an event's bookings, all or a customer's, for its organizer, the tenant's owner and staff
#[utoipa::path(get, path = "/api/events/{id}/bookings", tag = "bookings",
    params(("id" = String, Path, description = "Which event"), PageParams, CustomerParams),
    responses((status = 200, body = PageResponse<BookingResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_of_event(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    AtCustomerPage(page, customer): AtCustomerPage,
) -> Answer<JsonAnswer<PageResponse<BookingResponse>>> {
    let page = engine
        .bookings()
        .list_of_event(&caller, event, customer, page)
        .await?;
    Ok(PageResponse::of(page, BookingResponse::from))
}

/// Shows a booking
#[utoipa::path(get, path = "/api/bookings/{id}", tag = "bookings",
    params(("id" = String, Path, description = "Which booking")),
    responses((status = 200, body = BookingResponse), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(booking): Id<BookingId>,
) -> Answer<JsonAnswer<BookingResponse>> {
    Ok(JsonAnswer(
        engine.bookings().show(&caller, booking).await?.into(),
    ))
}

/// Changes what a booking carries beside its tickets
///
/// Each member replaces what was there; those that are left out stay. Customers change answers and attendees until the event's
/// `attendeesUntil`; those who look after the event change everything at any time.
#[utoipa::path(patch, path = "/api/bookings/{id}", tag = "bookings", request_body = ChangeBookingRequest, operation_id = "change_booking",
    params(("id" = String, Path, description = "Which booking")),
    responses((status = 200, body = BookingResponse), refusals::ChangeBooking))]
pub(in crate::routes) async fn change(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(booking): Id<BookingId>,
    Json(request): Json<ChangeBookingRequest>,
) -> Answer<JsonAnswer<BookingResponse>> {
    let command = request.command(booking)?;
    let changed = engine.bookings().change(&caller, command).await?;
    Ok(JsonAnswer(changed.into()))
}

/// Shows the booking with a number
#[utoipa::path(get, path = "/api/booking-numbers/{number}", tag = "bookings", operation_id = "find_booking",
    params(("number" = String, Path, description = "In any case, with or without the hyphen; O is 0, I and L are 1")),
    responses((status = 200, body = BookingResponse), refusals::Restricted))]
pub(in crate::routes) async fn find(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(number): Id<BookingNumber>,
) -> Answer<JsonAnswer<BookingResponse>> {
    let found = engine.bookings().show_by_number(&caller, number).await?;
    Ok(JsonAnswer(found.into()))
}

/// Shows the booking with a reference
#[utoipa::path(get, path = "/api/booking-references/{reference}", tag = "bookings", operation_id = "find_booking_by_reference",
    params(("reference" = String, Path, description = "The platform's own name of the booking")),
    responses((status = 200, body = BookingResponse), refusals::Restricted))]
pub(in crate::routes) async fn find_by_reference(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(reference): Id<Reference>,
) -> Answer<JsonAnswer<BookingResponse>> {
    let bookings = engine.bookings();
    let found = bookings.show_by_reference(&caller, &reference).await?;
    Ok(JsonAnswer(found.into()))
}

/// Cancels a booking or some of its tickets, which go back on sale at once
///
/// Customers cancel under the event's `cancellationTerms` (or those when they booked, if they are better) and if
/// the tenant's policies allow it; organizers at any time, with a full refund. `refundDueMinor` is the whole
/// refund, `cancellations` has the cancelled tickets. A cancelled booking is returned unchanged, unless
/// `lines` or `ticketNumbers` name a part of it.
#[utoipa::path(post, path = "/api/bookings/{id}/cancel", tag = "bookings", request_body = Option<CancelBookingRequest>,
    params(("id" = String, Path, description = "Which booking")),
    responses((status = 200, body = BookingResponse), refusals::CancelTickets))]
pub(in crate::routes) async fn cancel(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(booking): Id<BookingId>,
    OptionalJson(request): OptionalJson<CancelBookingRequest>,
) -> Answer<JsonAnswer<BookingResponse>> {
    let command = request.command(booking)?;
    let cancelled = engine.bookings().cancel_tickets(&caller, command).await?;
    Ok(JsonAnswer(cancelled.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::extract::read_value;

    const EVENT: &str = "01hzy0000000000000000000ab";

    fn command(rest: &str) -> Result<BookTickets> {
        let body = format!("{{\"eventId\":\"{EVENT}\"{rest}}}");
        read_value::<CreateBookingRequest>(serde_json::from_str(&body).unwrap())?.command()
    }

    #[test]
    fn the_short_form_and_lines_become_lines() {
        assert_eq!(command(r#","numTickets":2"#).unwrap().lines[0].quantity, 2);
        let lines = command(r#","lines":[{"ticketType":"t1","quantity":1},{"quantity":3}]"#)
            .unwrap()
            .lines;
        assert_eq!(lines[0].ticket_type.as_ref().unwrap().as_str(), "t1");
        assert_eq!(
            (lines[1].ticket_type.is_none(), lines[1].quantity),
            (true, 3)
        );
    }

    #[test]
    fn wrong_numbers_name_their_field() {
        for number in ["0", "-5", "1099511627776", "1.5", "1e30"] {
            let error = command(&format!(",\"numTickets\":{number}")).unwrap_err();
            assert_eq!(error.field_name(), Some("numTickets"), "{number}");
            let error = command(&format!(",\"lines\":[{{\"quantity\":{number}}}]")).unwrap_err();
            assert_eq!(error.field_name(), Some(FIRST_QUANTITY), "{number}");
        }
        assert_eq!(command("").unwrap_err().field_name(), Some("numTickets"));
        assert_eq!(
            command(r#","numTickets":1,"lines":[]"#)
                .unwrap_err()
                .field_name(),
            Some("lines")
        );
        let error = command(r#","numTickets":1,"expectedTotalMinor":-1"#).unwrap_err();
        assert_eq!(error.field_name(), Some("expectedTotalMinor"));
    }
}
