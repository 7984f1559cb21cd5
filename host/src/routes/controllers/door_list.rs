//! Door lists: who booked an event, by name, as JSON and CSV.

use axum::{Json as JsonAnswer, extract::State, response::Response};
use boxoffice_engine::{DoorListEntry, DoorListLine, Engine, EventId, PageRequest};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, PageResponse, csv, customers::CustomerResponse};
use crate::routes::{
    extract::{AsCaller, AtPage, Id, PageParams},
    refusals,
};

/// A booking as the door of its event sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DoorListEntryResponse {
    /// The booking's id.
    booking_id: String,
    /// Who booked; null if the account was deleted.
    customer: Option<CustomerResponse>,
    /// Its valid tickets by type.
    lines: Vec<DoorListLineResponse>,
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
            customer: entry.customer.map(CustomerResponse::from),
            lines: entry.lines.into_iter().map(Into::into).collect(),
            created_at: entry.booked_at,
        }
    }
}

/// Lists an event's bookings with valid tickets by the customers' names, for its organizer, the tenant's owner and staff
///
/// It has no ticket codes. Each page reads all bookings of the event: for the whole list take the CSV.
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

/// Exports an event's door list as CSV (RFC 4180)
///
/// A line for each booking and ticket type. UTF-8 with a byte order mark, so that spreadsheets read accents. Cells that look
/// like a formula begin with an apostrophe.
#[utoipa::path(get, path = "/api/events/{id}/door-list.csv", tag = "check-ins",
    operation_id = "export_door_list",
    params(("id" = String, Path, description = "Which event")),
    responses((status = 200, body = String, content_type = "text/csv"), refusals::Restricted))]
pub(in crate::routes) async fn export(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
) -> Answer<Response> {
    let names = [
        "customerName",
        "customerEmail",
        "ticketType",
        "ticketTypeName",
        "quantity",
        "numCheckedIn",
        "bookingId",
        "customerId",
        "createdAt",
    ];
    let read = move |reader: csv::Reader, cursor| async move {
        let page = PageRequest {
            cursor,
            limit: DoorListEntry::EXPORT_LIMIT_MAX,
        };
        let check_ins = reader.engine.check_ins();
        check_ins.door_list(&reader.caller, event, page).await
    };
    let file = "attachment; filename=\"door-list.csv\"";
    let reader = csv::Reader { engine, caller };
    Ok(reader.file(file, csv::head(names), read, csv_lines).await?)
}

fn csv_lines(entry: DoorListEntry) -> String {
    let row = DoorListEntryResponse::from(entry);
    let customer = row.customer.as_ref();
    let (name, email, id) = customer.map_or(("", "", ""), |customer| {
        (&customer.name, &customer.email, &customer.id)
    });
    let line = |line: DoorListLineResponse| {
        csv::line([
            name.to_owned(),
            email.to_owned(),
            line.ticket_type,
            line.name.unwrap_or_default(),
            line.quantity.to_string(),
            line.num_checked_in.to_string(),
            row.booking_id.clone(),
            id.to_owned(),
            row.created_at.to_string(),
        ])
    };
    row.lines.into_iter().map(line).collect()
}
