//! Imports of bookings: many rows in one request, with an outcome for each.

use std::collections::BTreeMap;

use axum::{Json as JsonAnswer, extract::State};
use boxoffice_engine::{
    Engine, Error, ImportBookings, ImportOutcome, ImportRow, ImportedTickets, Label, Metadata,
    Result,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    Answer,
    integers::{TicketCount, Whole},
    sales::SoldToRequest,
};
use crate::routes::{
    choices,
    extract::{AsCaller, Json, read_value, times::instant},
    refusals,
};

/// Bookings of another system.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ImportRequest {
    /// The bookings. A row that cannot be read is one of the answer's faulty rows.
    #[schema(value_type = Vec<ImportRowRequest>, max_items = 1_000)]
    rows: Vec<Map<String, Value>>,
    /// Whether nothing is written: the answer then says what would become of each row.
    #[serde(default)]
    dry_run: bool,
    /// Whether the customers get a confirmation.
    #[serde(default)]
    send_mails: bool,
    /// For a dry run of more rows than one request has: the `taken` of the answer before.
    #[serde(default)]
    #[schema(max_items = 1_000)]
    taken: Vec<ImportedTicketsItem>,
}

/// A booking of another system.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ImportRowRequest {
    /// Its name there, unique within the tenant: visible ASCII characters.
    #[schema(min_length = 1, max_length = 64)]
    reference: String,
    /// The event's id.
    event_id: String,
    /// The id or the name of the ticket type. The default is the event's only one.
    ticket_type: Option<String>,
    /// The number of tickets.
    #[schema(value_type = u32, minimum = 1, maximum = 10_000)]
    quantity: TicketCount,
    /// The customer.
    customer: SoldToRequest,
    /// The paid price of one ticket, in minor units of the event's currency; or `totalMinor`.
    #[schema(value_type = Option<u32>)]
    unit_price_minor: Option<Whole<u32>>,
    /// The paid price of all tickets, in minor units: a multiple of their number.
    #[schema(value_type = Option<u64>)]
    total_minor: Option<Whole<u64>>,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    booked_at: String,
    /// When all its tickets were checked in, if they were.
    #[schema(value_type = Option<String>, format = DateTime)]
    checked_in_at: Option<String>,
    /// The platform's own strings: up to 50 keys of 40 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
}

/// Tickets that imported bookings take.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ImportedTicketsItem {
    /// The event.
    event_id: String,
    /// The ticket type.
    ticket_type: String,
    /// The number of tickets.
    quantity: u32,
}

/// What became of the rows.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ImportResponse {
    /// How many rows are imported now; of a dry run: would be.
    num_created: u32,
    /// How many were imported before, with the same content.
    num_present: u32,
    /// How many are not imported.
    num_faulty: u32,
    /// Each row, in the order of the request.
    rows: Vec<ImportRowResponse>,
    /// For a dry run: what the rows and the request's `taken` take together. Send it with the next rows.
    taken: Vec<ImportedTicketsItem>,
}

/// What became of a row.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ImportRowResponse {
    /// Its number in the request, from 0.
    row: usize,
    /// `created`, `present` (it was imported before, with the same content), `valid` (of a dry run) or `faulty`.
    #[schema(value_type = choices::ImportStatus)]
    status: &'static str,
    /// The booking; null for a dry run, and if it is faulty.
    booking_id: Option<String>,
    /// Why it is faulty; null if it is not.
    error: Option<ImportFault>,
}

/// Why a row is not imported.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ImportFault {
    /// The error's stable code.
    #[schema(value_type = choices::ErrorCode)]
    code: &'static str,
    /// The error's sentence.
    detail: String,
    /// The path of the member at fault in the row; null if it is the row as a whole.
    field: Option<String>,
}

impl From<&Error> for ImportFault {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code().as_str(),
            detail: error.detail().to_owned(),
            field: error.field_name().map(str::to_owned),
        }
    }
}

impl ImportRowRequest {
    fn command(&self) -> Result<ImportRow> {
        let event = self.event_id.parse();
        let no_event = "The tenant has no event with this id.";
        let ticket_type = self.ticket_type.as_deref();
        let ticket_type = ticket_type.map(|named| Label::parse("ticketType", named));
        let TicketCount(quantity) = self.quantity;
        Ok(ImportRow {
            reference: self.reference.parse()?,
            event: event.map_err(|_: Error| Error::field("eventId", no_event))?,
            ticket_type: ticket_type.transpose()?,
            quantity,
            customer: self.customer.command()?,
            unit_price_minor: self.unit_price(quantity)?,
            booked_at: instant(&self.booked_at, "bookedAt")?,
            checked_in_at: match &self.checked_in_at {
                Some(at) => Some(instant(at, "checkedInAt")?),
                None => None,
            },
            metadata: Metadata::parse("metadata", self.metadata.clone().unwrap_or_default())?,
        })
    }

    fn unit_price(&self, quantity: u32) -> Result<u32> {
        let quantity = u64::from(quantity.max(1));
        match (self.unit_price_minor, self.total_minor) {
            (Some(Whole(price)), None) => Ok(price),
            (None, Some(Whole(total))) if total % quantity == 0 => u32::try_from(total / quantity)
                .map_err(|_| Error::field("totalMinor", "A ticket costs at most 4294967295.")),
            (None, Some(_)) => Err(Error::field(
                "totalMinor",
                "The total is a multiple of the number of tickets: make rows of one price each.",
            )),
            _ => Err(Error::field(
                "unitPriceMinor",
                "Send unitPriceMinor or totalMinor.",
            )),
        }
    }
}

impl ImportedTicketsItem {
    fn command(&self, index: usize) -> Result<ImportedTickets> {
        let at = |member: &str| format!("taken[{index}].{member}");
        let event = self.event_id.parse();
        let kind = self.ticket_type.parse();
        Ok(ImportedTickets {
            event: event.map_err(|error: Error| error.at_field(at("eventId")))?,
            ticket_type: kind.map_err(|error: Error| error.at_field(at("ticketType")))?,
            quantity: self.quantity,
        })
    }
}

impl From<ImportedTickets> for ImportedTicketsItem {
    fn from(tickets: ImportedTickets) -> Self {
        Self {
            event_id: tickets.event.to_string(),
            ticket_type: tickets.ticket_type.to_string(),
            quantity: tickets.quantity,
        }
    }
}

impl ImportResponse {
    fn add(&mut self, row: usize, outcome: &ImportOutcome) {
        let (count, status) = match outcome {
            ImportOutcome::Created(_) => (&mut self.num_created, "created"),
            ImportOutcome::Valid => (&mut self.num_created, "valid"),
            ImportOutcome::Present(_) => (&mut self.num_present, "present"),
            ImportOutcome::Faulty(_) => (&mut self.num_faulty, "faulty"),
        };
        *count += 1;
        let (booking, error) = match outcome {
            ImportOutcome::Created(booking) | ImportOutcome::Present(booking) => {
                (Some(booking.to_string()), None)
            }
            ImportOutcome::Valid => (None, None),
            ImportOutcome::Faulty(error) => (None, Some(ImportFault::from(error))),
        };
        self.rows.push(ImportRowResponse {
            row,
            status,
            booking_id: booking,
            error,
        });
    }
}

/// Imports bookings of another system, for the tenant's owners
///
/// Capacity, ticket types and references are checked; sales windows, limits per booking and policies are not. Price, times
/// and check-ins are kept. A row with a `reference` that was imported is not imported again, so a request is safe to repeat:
/// after an answer that is lost, or an error, some rows may be imported. `boxoffice import` sends whole files.
#[utoipa::path(post, path = "/api/imports", tag = "imports", request_body = ImportRequest,
    operation_id = "import_bookings",
    responses((status = 200, body = ImportResponse), refusals::ImportBookings))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Json(request): Json<ImportRequest>,
) -> Answer<JsonAnswer<ImportResponse>> {
    if request.rows.len() > ImportBookings::ROWS_MAX {
        return Err(Error::field("rows", "Send at most 1,000 rows.").into());
    }
    let (mut rows, mut places, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    for (index, row) in request.rows.into_iter().enumerate() {
        let read = read_value::<ImportRowRequest>(Value::Object(row));
        match read.and_then(|row| row.command()) {
            Ok(row) => {
                rows.push(row);
                places.push(index);
            }
            Err(fault) => outcomes.push((index, ImportOutcome::Faulty(fault))),
        }
    }
    let taken = request.taken.iter().enumerate();
    let taken = taken.map(|(index, item)| item.command(index));
    let command = ImportBookings {
        rows,
        dry_run: request.dry_run,
        sends_mails: request.send_mails,
        taken: taken.collect::<Result<_>>()?,
    };
    let report = engine.imports().import(&caller, command).await?;
    outcomes.extend(places.into_iter().zip(report.rows));
    outcomes.sort_by_key(|(index, _)| *index);
    let mut response = ImportResponse {
        taken: report.taken.into_iter().map(Into::into).collect(),
        ..ImportResponse::default()
    };
    for (index, outcome) in &outcomes {
        response.add(*index, outcome);
    }
    Ok(JsonAnswer(response))
}
