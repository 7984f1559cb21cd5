//! Check-ins: check tickets in, undo it, and list and export check-ins.

use axum::{Json as JsonAnswer, extract::State, response::Response};
use boxoffice_engine::{BookingId, Engine, EventId, ListedCheckIn, Ticket, TicketId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    booking_details::TicketHolderResponse,
    created,
    customers::{CustomerResponse, name_and_address},
    exports::{ExportRow, Reader},
};
use crate::routes::{
    choices,
    extract::{AsCaller, AtPage, ExportParams, Id, InFormat, Json, PageParams, Prefix},
    refusals,
};

/// A ticket's code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct CheckInRequest {
    /// The text of the ticket's QR code.
    code: String,
}

/// Identifies a check-in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct UndoRequest {
    /// The ticket that was checked in.
    ticket_id: String,
}

/// A check-in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct CheckInResponse {
    /// The ticket's id.
    ticket_id: String,
    /// The ticket's booking.
    booking_id: String,
    /// The booking's number for people.
    booking_number: String,
    /// The ticket's number in the booking, from 1.
    number: u32,
    /// Its ticket type.
    ticket_type: String,
    /// The customer who booked.
    customer_id: String,
    /// Who they are; null if the account was deleted.
    customer: Option<CustomerResponse>,
    /// Who has the ticket; null if nobody was named.
    attendee: Option<TicketHolderResponse>,
    /// When it was checked in.
    #[schema(value_type = String, format = DateTime)]
    checked_in_at: Timestamp,
    /// The user who checked it in; null for a program.
    checked_in_by: Option<String>,
    /// Their name.
    checked_in_by_name: Option<String>,
}

/// A ticket: the admission of one person.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TicketResponse {
    /// The ticket's id.
    id: String,
    /// Its number in its booking, from 1.
    number: u32,
    /// Its ticket type.
    ticket_type: String,
    /// `valid`, `checked-in` or `cancelled`.
    #[schema(value_type = choices::TicketStatus)]
    status: &'static str,
    /// The ticket's code, for who has the ticket only. Null for everybody else, and if the host has no keys for codes.
    code: Option<String>,
    /// The page of all tickets that who has this one has of the booking, to show or print without signing in. Whoever has the link has
    /// the tickets. For whoever gets the code; null for everybody else, and if the host makes no links.
    tickets_url: Option<String>,
    /// When it was last given to somebody else; null if it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    transferred_at: Option<Timestamp>,
}

impl From<ListedCheckIn> for CheckInResponse {
    fn from(listed: ListedCheckIn) -> Self {
        let (check_in, holder) = (listed.check_in, listed.holder.as_ref());
        Self {
            ticket_id: check_in.ticket.to_string(),
            booking_id: check_in.ticket.booking.to_string(),
            booking_number: check_in.booking_number.to_string(),
            number: check_in.ticket.number,
            ticket_type: check_in.ticket_type.to_string(),
            customer_id: check_in.customer().to_string(),
            customer: listed.customer.map(CustomerResponse::from),
            attendee: holder.map(|holder| TicketHolderResponse::of(check_in.ticket.number, holder)),
            checked_in_at: check_in.at,
            checked_in_by: check_in.by.map(|by| by.to_string()),
            checked_in_by_name: listed.by_name.map(|name| name.to_string()),
        }
    }
}

impl From<Ticket> for TicketResponse {
    fn from(ticket: Ticket) -> Self {
        Self {
            id: ticket.id.to_string(),
            number: ticket.id.number,
            ticket_type: ticket.ticket_type.to_string(),
            status: ticket.status.as_str(),
            code: ticket.code,
            tickets_url: ticket.tickets_url,
            transferred_at: ticket.transferred_at,
        }
    }
}

/// Lists a booking's tickets, with their codes and the link to print them for its customer
#[utoipa::path(get, path = "/api/bookings/{id}/tickets", tag = "check-ins",
    params(("id" = String, Path, description = "Which booking"), PageParams),
    responses((status = 200, body = PageResponse<TicketResponse>), refusals::Restricted))]
pub(in crate::routes) async fn tickets(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(booking): Id<BookingId>,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<TicketResponse>>> {
    let page = engine.check_ins().tickets(&caller, booking, page).await?;
    Ok(PageResponse::of(page, TicketResponse::from))
}

/// Checks a ticket in by its code, once
///
/// For the event's organizer, the tenant's owner and staff. If two scan one ticket at once, one gets 201.
#[utoipa::path(post, path = "/api/events/{id}/check-ins", tag = "check-ins", request_body = CheckInRequest,
    params(("id" = String, Path, description = "Which event")),
    responses((status = 201, body = CheckInResponse, headers(("Location" = String))), refusals::CheckIn))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    Id(event): Id<EventId>,
    Json(request): Json<CheckInRequest>,
) -> Answer<Response> {
    let check_ins = engine.check_ins();
    let check_in = check_ins.check_in(&caller, event, &request.code).await?;
    let check_in = CheckInResponse::from(check_in);
    let location = format!("{prefix}/api/check-ins/{}", check_in.ticket_id);
    Ok(created(&location, check_in))
}

/// Shows the check-in of a ticket
///
/// For the event's organizer, the tenant's owner and staff. 404 before the check-in, and after it was undone.
#[utoipa::path(get, path = "/api/check-ins/{id}", tag = "check-ins",
    operation_id = "show_check_in",
    params(("id" = String, Path, description = "The ticket's id")),
    responses((status = 200, body = CheckInResponse), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(ticket): Id<TicketId>,
) -> Answer<JsonAnswer<CheckInResponse>> {
    Ok(JsonAnswer(
        engine.check_ins().show(&caller, ticket).await?.into(),
    ))
}

/// Undoes a check-in, so that the ticket is valid again
#[utoipa::path(post, path = "/api/events/{id}/check-ins/undo", tag = "check-ins", request_body = UndoRequest,
    params(("id" = String, Path, description = "Which event")),
    responses((status = 200, body = TicketResponse), refusals::RestrictedKeyed))]
pub(in crate::routes) async fn undo(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    Json(request): Json<UndoRequest>,
) -> Answer<JsonAnswer<TicketResponse>> {
    let ticket: TicketId = request.ticket_id.parse()?;
    let ticket = engine.check_ins().undo(&caller, event, ticket).await?;
    Ok(JsonAnswer(ticket.into()))
}

/// Lists an event's check-ins, for its organizer, the tenant's owner and staff
#[utoipa::path(get, path = "/api/events/{id}/check-ins", tag = "check-ins",
    params(("id" = String, Path, description = "Which event"), PageParams),
    responses((status = 200, body = PageResponse<CheckInResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<CheckInResponse>>> {
    let page = engine.check_ins().list(&caller, event, page).await?;
    Ok(PageResponse::of(page, CheckInResponse::from))
}

/// Exports an event's check-ins
///
/// CSV is RFC 4180 in UTF-8 with a byte order mark, so that spreadsheets read accents; cells that look like a formula begin with an
/// apostrophe.
#[utoipa::path(get, path = "/api/events/{id}/check-ins/export", tag = "check-ins", operation_id = "export_check_ins",
    params(("id" = String, Path, description = "Which event"), ExportParams),
    responses((status = 200, content((String = "text/csv"), (CheckInResponse = "application/x-ndjson"))), refusals::Restricted))]
pub(in crate::routes) async fn export(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    InFormat(format): InFormat,
) -> Answer<Response> {
    let read = move |reader: Reader, page| async move {
        let check_ins = reader.engine.check_ins();
        check_ins.list(&reader.caller, event, page).await
    };
    let reader = Reader { engine, caller };
    let rows = |listed| vec![CheckInResponse::from(listed)];
    Ok(reader.file("check-ins", format, read, rows).await?)
}

impl ExportRow for CheckInResponse {
    const COLUMNS: &'static [&'static str] = &[
        "ticketId",
        "bookingId",
        "bookingNumber",
        "number",
        "ticketType",
        "customerId",
        "customerName",
        "customerEmail",
        "attendeeName",
        "checkedInAt",
        "checkedInBy",
        "checkedInByName",
    ];

    fn cells(&self) -> Vec<String> {
        let [name, email] = name_and_address(self.customer.as_ref());
        let attendee = self.attendee.as_ref().and_then(|one| one.name.clone());
        vec![
            self.ticket_id.clone(),
            self.booking_id.clone(),
            self.booking_number.clone(),
            self.number.to_string(),
            self.ticket_type.clone(),
            self.customer_id.clone(),
            name,
            email,
            attendee.unwrap_or_default(),
            self.checked_in_at.to_string(),
            self.checked_in_by.clone().unwrap_or_default(),
            self.checked_in_by_name.clone().unwrap_or_default(),
        ]
    }
}
