//! The ticket types of an event, one by one.
//!
//! Called by the URL table. A change of a type is a change of its event: it uses the event's version and ETag.

use std::collections::BTreeMap;

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use boxoffice_engine::{
    Caller, Engine, Error, ErrorCode, Event, EventId, Label, Metadata, NewTicketType, Result,
    SeenEvent, TicketTypeId, UpdateEvent,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::{Answer, created, integers::Whole, patched::Patched, with_etag},
    SeenVersion,
    responses::TicketTypeResponse,
};
use crate::routes::{
    extract::{
        AsCaller, Id, Ids, Json, MergePatch, Prefix, SeenVersions, Versions, read_value, times,
    },
    refusals,
};

/// A ticket type of an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct TicketTypeRequest {
    /// Its name.
    #[schema(example = "General")]
    name: String,
    /// Tickets of this type that can be sold.
    #[schema(value_type = u32, minimum = 1, maximum = 10_000_000)]
    capacity: Whole<u32>,
    /// Price of one ticket, in minor units of the tenant's currency. The default is 0.
    #[schema(value_type = Option<u32>)]
    price_minor: Option<Whole<u32>>,
    /// When its sale begins. The default is at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    sales_open_at: Option<String>,
    /// When its sale ends. The default is when the event begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    sales_close_at: Option<String>,
    /// Fewest tickets of one booking. The default is 1.
    #[schema(value_type = Option<u32>)]
    min_per_booking: Option<Whole<u32>>,
    /// Most tickets of one booking. The default is 100.
    #[schema(value_type = Option<u32>, maximum = 10_000)]
    max_per_booking: Option<Whole<u32>>,
    /// The rate of the tax that is in the price, in hundredths of a percent. The default is no tax on receipts.
    #[schema(value_type = Option<u32>, maximum = 10_000, example = 1900)]
    tax_basis_points: Option<Whole<u32>>,
    /// The platform's own strings: up to 50 keys of 40 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
}

/// A ticket type in the replacement of an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ReplaceTicketTypeRequest {
    /// The type to change. Without it a new one is created, or the only one is meant if there is one before and after.
    id: Option<String>,
    /// Its name.
    #[schema(example = "General")]
    name: String,
    /// Tickets of this type that can be sold.
    #[schema(value_type = u32, minimum = 1, maximum = 10_000_000)]
    capacity: Whole<u32>,
    /// Price of one ticket, in minor units of the tenant's currency; 0 for free ones.
    #[schema(value_type = u32)]
    price_minor: Whole<u32>,
    /// When its sale begins. The default is at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    sales_open_at: Option<String>,
    /// When its sale ends. The default is when the event begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    sales_close_at: Option<String>,
    /// Fewest tickets of one booking. The default is 1.
    #[schema(value_type = Option<u32>)]
    min_per_booking: Option<Whole<u32>>,
    /// Most tickets of one booking. The default is 100.
    #[schema(value_type = Option<u32>, maximum = 10_000)]
    max_per_booking: Option<Whole<u32>>,
    /// The rate of the tax that is in the price, in hundredths of a percent. The default is no tax on receipts.
    #[schema(value_type = Option<u32>, maximum = 10_000, example = 1900)]
    tax_basis_points: Option<Whole<u32>>,
    /// The platform's own strings: up to 50 keys of 40 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
}

/// The fields to change of a ticket type. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct TicketTypePatchRequest {
    /// Its name.
    #[schema(value_type = String, required = false, example = "General")]
    #[serde(default)]
    name: Patched<String>,
    /// Tickets of this type that can be sold; not below the sold and held ones.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 10_000_000)]
    #[serde(default)]
    capacity: Patched<Whole<u32>>,
    /// Price of one ticket, in minor units of the tenant's currency. Existing bookings and holds keep their price.
    #[schema(value_type = u32, required = false)]
    #[serde(default)]
    price_minor: Patched<Whole<u32>>,
    /// When its sale begins. Null: at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default)]
    sales_open_at: Patched<String>,
    /// When its sale ends. Null: when the event begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default)]
    sales_close_at: Patched<String>,
    /// Fewest tickets of one booking.
    #[schema(value_type = u32, required = false)]
    #[serde(default)]
    min_per_booking: Patched<Whole<u32>>,
    /// Most tickets of one booking.
    #[schema(value_type = u32, required = false, maximum = 10_000)]
    #[serde(default)]
    max_per_booking: Patched<Whole<u32>>,
    /// The rate of the tax that is in the price, in hundredths of a percent. Null: no tax on receipts. Existing bookings keep theirs.
    #[schema(value_type = Option<u32>, maximum = 10_000)]
    #[serde(default)]
    tax_basis_points: Patched<Whole<u32>>,
    /// The platform's own strings. Keys that are left out stay; a null removes its key. Null: none.
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    #[serde(default)]
    metadata: Patched<BTreeMap<String, Option<String>>>,
}

/// Shows a ticket type
#[utoipa::path(get, path = "/api/events/{id}/ticket-types/{type}", tag = "events", operation_id = "show_ticket_type",
    security((), ("bearer" = [])),
    params(("id" = String, Path, description = "Which event"), ("type" = String, Path, description = "Which ticket type")),
    responses((status = 200, body = TicketTypeResponse, headers(("ETag" = String))), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Ids(event, kind): Ids<EventId, TicketTypeId>,
) -> Answer<Response> {
    let seen = engine.events().show(&caller, event).await?;
    let index = index_of(&seen.event, &kind)?;
    Ok(shown(seen, index))
}

/// Adds a ticket type to an event
///
/// The event's `totalTickets` grows with it, unless the organizer set a lower one.
#[utoipa::path(post, path = "/api/events/{id}/ticket-types", tag = "events", operation_id = "create_ticket_type",
    request_body = TicketTypeRequest,
    params(("id" = String, Path, description = "Which event")),
    responses((status = 201, body = TicketTypeResponse, headers(("Location" = String), ("ETag" = String))), refusals::AddTicketType))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    Id(event): Id<EventId>,
    Json(request): Json<TicketTypeRequest>,
) -> Answer<Response> {
    let new = request.command("")?;
    let changed = engine.events().add_ticket_type(&caller, event, new).await;
    let changed = changed.map_err(at_type)?.event;
    // It is the last one.
    let index = changed.ticket_types.len() - 1;
    let version = changed.version;
    let kind = &changed.ticket_types[index].id;
    let location = format!("{prefix}/api/events/{event}/ticket-types/{kind}");
    let kind = TicketTypeResponse::at(SeenEvent::managed(changed), index);
    let response = created(&location, kind);
    Ok(with_etag(version, response))
}

/// Changes some fields of a ticket type (RFC 7396)
#[utoipa::path(patch, path = "/api/events/{id}/ticket-types/{type}", tag = "events", operation_id = "merge_ticket_type",
    request_body(content((TicketTypePatchRequest = "application/merge-patch+json"),
        (TicketTypePatchRequest = "application/json"))),
    params(("id" = String, Path, description = "Which event"), ("type" = String, Path, description = "Which ticket type"),
        SeenVersion),
    responses((status = 200, body = TicketTypeResponse, headers(("ETag" = String))), refusals::ChangeEvent))]
pub(in crate::routes) async fn merge(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Ids(event, kind): Ids<EventId, TicketTypeId>,
    SeenVersions(seen): SeenVersions,
    MergePatch(patch): MergePatch,
) -> Answer<Response> {
    let current = engine.events().show_to_manager(&caller, event).await?;
    let index = index_of(&current, &kind)?;
    seen.judge(current.version)?;
    let patch: TicketTypePatchRequest = read_value(Value::Object(patch))?;
    let mut update = UpdateEvent::of(&current);
    patch.write(&mut update.ticket_types[index])?;
    let changed = change(&engine, &caller, &seen, update).await?;
    Ok(shown(SeenEvent::managed(changed), index))
}

/// Deletes a ticket type that nobody ever booked or held
///
/// An event keeps at least one. A `totalTickets` above the sum of the others is lowered to it.
#[utoipa::path(delete, path = "/api/events/{id}/ticket-types/{type}", tag = "events", operation_id = "delete_ticket_type",
    params(("id" = String, Path, description = "Which event"), ("type" = String, Path, description = "Which ticket type"),
        SeenVersion),
    responses((status = 204), refusals::DeleteTicketType))]
pub(in crate::routes) async fn delete(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Ids(event, kind): Ids<EventId, TicketTypeId>,
    SeenVersions(seen): SeenVersions,
) -> Answer<StatusCode> {
    let current = engine.events().show_to_manager(&caller, event).await?;
    let index = index_of(&current, &kind)?;
    seen.judge(current.version)?;
    let mut update = UpdateEvent::of(&current);
    update.ticket_types.remove(index);
    let together: u32 = update.ticket_types.iter().map(|kind| kind.capacity).sum();
    update.total_tickets = update.total_tickets.filter(|total| *total < together);
    change(&engine, &caller, &seen, update).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl TicketTypeRequest {
    /// The type to create; `at` is the prefix of its fields in errors.
    pub(super) fn command(&self, at: &str) -> Result<NewTicketType> {
        let at = |name: &str| format!("{at}{name}");
        let time = |text: &Option<String>, name: &str| {
            text.as_deref()
                .map(|text| times::instant(text, at(name)))
                .transpose()
        };
        Ok(NewTicketType {
            id: None,
            name: Label::parse("name", &self.name).map_err(|error| error.at_field(at("name")))?,
            capacity: self.capacity.0,
            price_minor: self.price_minor.map_or(0, |Whole(price)| price),
            sales_open_at: time(&self.sales_open_at, "salesOpenAt")?,
            sales_close_at: time(&self.sales_close_at, "salesCloseAt")?,
            min_per_booking: self.min_per_booking.map_or(1, |Whole(min)| min),
            max_per_booking: (self.max_per_booking)
                .map_or(NewTicketType::PER_BOOKING_DEFAULT, |Whole(max)| max),
            tax_basis_points: self.tax_basis_points.map(|Whole(rate)| rate),
            metadata: Metadata::parse(&at("metadata"), self.metadata.clone().unwrap_or_default())?,
        })
    }
}

impl ReplaceTicketTypeRequest {
    /// Its id and fields.
    pub(super) fn into_parts(self) -> (Option<String>, TicketTypeRequest) {
        let said = TicketTypeRequest {
            name: self.name,
            capacity: self.capacity,
            price_minor: Some(self.price_minor),
            sales_open_at: self.sales_open_at,
            sales_close_at: self.sales_close_at,
            min_per_booking: self.min_per_booking,
            max_per_booking: self.max_per_booking,
            tax_basis_points: self.tax_basis_points,
            metadata: self.metadata,
        };
        (self.id, said)
    }
}

impl TicketTypePatchRequest {
    fn write(&self, kind: &mut NewTicketType) -> Result<()> {
        if let Some(name) = self.name.value("name")? {
            kind.name = Label::parse("name", name)?;
        }
        let number =
            |given: &Patched<Whole<u32>>, target: &mut u32, field: &'static str| -> Result<()> {
                if let Some(Whole(number)) = given.value(field)? {
                    *target = *number;
                }
                Ok(())
            };
        number(&self.capacity, &mut kind.capacity, "capacity")?;
        number(&self.price_minor, &mut kind.price_minor, "priceMinor")?;
        number(
            &self.min_per_booking,
            &mut kind.min_per_booking,
            "minPerBooking",
        )?;
        number(
            &self.max_per_booking,
            &mut kind.max_per_booking,
            "maxPerBooking",
        )?;
        self.tax_basis_points
            .write(&mut kind.tax_basis_points, None, |Whole(rate)| {
                Ok(Some(*rate))
            })?;
        let time =
            |given: &Patched<String>, target: &mut Option<Timestamp>, field: &'static str| {
                given.write(target, None, |text| times::instant(text, field).map(Some))
            };
        time(&self.sales_open_at, &mut kind.sales_open_at, "salesOpenAt")?;
        time(
            &self.sales_close_at,
            &mut kind.sales_close_at,
            "salesCloseAt",
        )?;
        let before = kind.metadata.clone();
        self.metadata
            .write(&mut kind.metadata, Metadata::default(), |patch| {
                before.merged("metadata", patch)
            })
    }
}

/// Writes a change of one type; errors name the fields of the type.
async fn change(
    engine: &Engine,
    caller: &Caller,
    seen: &Versions,
    update: UpdateEvent,
) -> Result<Event> {
    let changed = engine.events().update(caller, update).await;
    changed
        .map(|change| change.event)
        .map_err(|refusal| at_type(seen.refused(refusal)))
}

/// The same error, with the type's own field. Of two types with one name the later is named.
fn at_type(refusal: Error) -> Error {
    let own = refusal
        .field_name()
        .and_then(|field| field.strip_prefix("ticketTypes[")?.split_once("]."))
        .map(|(_, own)| own.to_owned());
    match own {
        Some(own) => refusal.at_field(own),
        None => refusal,
    }
}

fn index_of(event: &Event, kind: &TicketTypeId) -> Result<usize> {
    let found = event.ticket_types.iter().position(|one| one.id == *kind);
    found.ok_or_else(|| {
        Error::new(
            ErrorCode::NotFound,
            "This event has no ticket type with this id.",
        )
    })
}

fn shown(seen: SeenEvent, index: usize) -> Response {
    let version = seen.event.version;
    let kind = TicketTypeResponse::at(seen, index);
    with_etag(version, JsonAnswer(kind).into_response())
}
