//! Door lists: who booked an event, by name, as JSON and as a file.

use axum::{Json as JsonAnswer, extract::State, response::Response};
use boxoffice_engine::{
    DoorListAttendee, DoorListEntry, DoorListLine, Engine, EventId, PageRequest, TicketTypeId,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    customers::CustomerResponse,
    exports::{ExportRow, Reader},
};
use crate::routes::{
    extract::{AsCaller, AtPage, ExportParams, Id, InFormat, PageParams},
    refusals,
};

/// A booking as the door of its event sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DoorListEntryResponse {
    /// The booking's id.
    booking_id: String,
    /// Its number for people.
    booking_number: String,
    /// Who booked; null if the account was deleted.
    customer: Option<CustomerResponse>,
    /// Its valid tickets by type.
    lines: Vec<DoorListLineResponse>,
    /// Who has these tickets, as far as they were named, by the tickets' numbers.
    attendees: Vec<DoorListAttendeeResponse>,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Tickets of one type in a door list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DoorListLineResponse {
    /// The ticket type.
    ticket_type: String,
    /// Its name; null if the type was deleted.
    name: Option<String>,
    /// The number of tickets that admit somebody.
    quantity: u32,
    /// How many of them are checked in.
    num_checked_in: u32,
}

/// Somebody who has a valid ticket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DoorListAttendeeResponse {
    /// The ticket's number in the booking, from 1.
    number: u32,
    /// Its ticket type.
    ticket_type: String,
    /// Their name.
    name: String,
    /// Whether the ticket is checked in.
    checked_in: bool,
}

impl From<DoorListAttendee> for DoorListAttendeeResponse {
    fn from(attendee: DoorListAttendee) -> Self {
        Self {
            number: attendee.number,
            ticket_type: attendee.ticket_type.to_string(),
            name: attendee.name.to_string(),
            checked_in: attendee.is_checked_in,
        }
    }
}

impl From<DoorListLine> for DoorListLineResponse {
    fn from(line: DoorListLine) -> Self {
        Self {
            ticket_type: line.ticket_type.to_string(),
            name: line.name.map(|name| name.to_string()),
            quantity: line.tickets,
            num_checked_in: line.checked_in,
        }
    }
}

impl From<DoorListEntry> for DoorListEntryResponse {
    fn from(entry: DoorListEntry) -> Self {
        Self {
            booking_id: entry.booking.to_string(),
            booking_number: entry.number.to_string(),
            customer: entry.customer.map(CustomerResponse::from),
            lines: entry.lines.into_iter().map(Into::into).collect(),
            attendees: entry.attendees.into_iter().map(Into::into).collect(),
            created_at: entry.booked_at,
        }
    }
}

/// Lists an event's bookings with valid tickets by the customers' names, for its organizer, the tenant's owner and staff
///
/// It has no ticket codes. Each page reads all bookings of the event: for the whole list take the export.
#[utoipa::path(get, path = "/api/events/{id}/door-list", tag = "check-ins",
    operation_id = "door_list",
    params(("id" = String, Path, description = "Which event"), PageParams),
    responses((status = 200, body = PageResponse<DoorListEntryResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<DoorListEntryResponse>>> {
    let page = engine.check_ins().door_list(&caller, event, page).await?;
    Ok(PageResponse::of(page, DoorListEntryResponse::from))
}

/// A line of an exported door list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DoorListRow {
    /// The customer's name; null if the account was deleted.
    customer_name: Option<String>,
    /// Their e-mail address.
    customer_email: Option<String>,
    /// The ticket type.
    ticket_type: String,
    /// Its name; null if the type was deleted.
    ticket_type_name: Option<String>,
    /// The number of tickets that admit somebody.
    quantity: u32,
    /// How many of them are checked in.
    num_checked_in: u32,
    /// The names of who has these tickets, as far as they were named, with `; ` between them.
    attendees: String,
    /// The booking's id.
    booking_id: String,
    /// Its number for people.
    booking_number: String,
    /// The customer's id.
    customer_id: Option<String>,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl ExportRow for DoorListRow {
    const COLUMNS: &'static [&'static str] = &[
        "customerName",
        "customerEmail",
        "ticketType",
        "ticketTypeName",
        "quantity",
        "numCheckedIn",
        "attendees",
        "bookingId",
        "bookingNumber",
        "customerId",
        "createdAt",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.customer_name.clone().unwrap_or_default(),
            self.customer_email.clone().unwrap_or_default(),
            self.ticket_type.clone(),
            self.ticket_type_name.clone().unwrap_or_default(),
            self.quantity.to_string(),
            self.num_checked_in.to_string(),
            self.attendees.clone(),
            self.booking_id.clone(),
            self.booking_number.clone(),
            self.customer_id.clone().unwrap_or_default(),
            self.created_at.to_string(),
        ]
    }
}

/// Exports an event's door list
///
/// A line for each booking and ticket type. CSV is RFC 4180 in UTF-8 with a byte order mark, so that spreadsheets read accents; cells
/// that look like a formula begin with an apostrophe.
#[utoipa::path(get, path = "/api/events/{id}/door-list/export", tag = "check-ins",
    operation_id = "export_door_list",
    params(("id" = String, Path, description = "Which event"), ExportParams),
    responses((status = 200, content((String = "text/csv"), (DoorListRow = "application/x-ndjson"))), refusals::Restricted))]
pub(in crate::routes) async fn export(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    InFormat(format): InFormat,
) -> Answer<Response> {
    let read = move |reader: Reader, page: PageRequest| async move {
        // Each page reads the event's bookings once: few large ones are better.
        let page = PageRequest {
            limit: DoorListEntry::EXPORT_LIMIT_MAX,
            ..page
        };
        let check_ins = reader.engine.check_ins();
        check_ins.door_list(&reader.caller, event, page).await
    };
    let reader = Reader { engine, caller };
    Ok(reader.file("door-list", format, read, rows).await?)
}

fn rows(entry: DoorListEntry) -> Vec<DoorListRow> {
    let customer = entry.customer.as_ref();
    let lines = entry.lines.iter();
    lines
        .map(|line| DoorListRow {
            customer_name: customer.map(|customer| customer.name.to_string()),
            customer_email: customer.map(|customer| customer.email.to_string()),
            ticket_type: line.ticket_type.to_string(),
            ticket_type_name: line.name.as_ref().map(ToString::to_string),
            quantity: line.tickets,
            num_checked_in: line.checked_in,
            attendees: names_of(&entry, &line.ticket_type),
            booking_id: entry.booking.to_string(),
            booking_number: entry.number.to_string(),
            customer_id: customer.map(|customer| customer.id.to_string()),
            created_at: entry.booked_at,
        })
        .collect()
}

/// The names of who has the tickets of a type.
fn names_of(entry: &DoorListEntry, ticket_type: &TicketTypeId) -> String {
    let named = entry.attendees.iter();
    let named = named.filter(|attendee| attendee.ticket_type == *ticket_type);
    let names: Vec<&str> = named.map(|attendee| attendee.name.as_str()).collect();
    names.join("; ")
}
