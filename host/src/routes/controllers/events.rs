//! Events: create, show, list, change, cancel and delete.

pub(in crate::routes) mod availability;
pub(in crate::routes) mod clones;
mod patch;
mod questions;
mod requests;
mod responses;
pub(in crate::routes) mod team;
pub(in crate::routes) mod ticket_types;

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use boxoffice_engine::{Engine, EventChange, EventId, EventStatus, Reference};
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::{Answer, PageResponse, created, with_etag};
use crate::routes::{
    extract::{
        AsCaller, AtEventPage, EventParams, Id, Json, MergePatch, OptionalVersions, PageParams,
        Prefix, SeenVersions, Versions, read_value,
    },
    refusals,
};
pub(in crate::routes) use patch::EventPatchRequest;
pub(in crate::routes) use requests::{CreateEventRequest, ReplaceEventRequest};
pub(in crate::routes) use responses::{EventChangeResponse, EventResponse};

/// The precondition of a change.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what the extractor reads")]
struct SeenVersion {
    /// The ETag of the version that the caller saw; several, or `*` for any version.
    #[param(rename = "If-Match")]
    if_match: String,
}

/// Creates an event, which the caller owns
///
/// Without `status` it is published at once.
#[utoipa::path(post, path = "/api/events", tag = "events", request_body = CreateEventRequest,
    responses((status = 201, body = EventResponse, headers(("Location" = String), ("ETag" = String))), refusals::CreateEvent))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    Json(request): Json<CreateEventRequest>,
) -> Answer<Response> {
    let command = request.command()?;
    let event = engine.events().create(&caller, command).await;
    let event = EventResponse::from(event.map_err(|error| request.at_own_field(error))?);
    let response = created(&format!("{prefix}/api/events/{}", event.id), &event);
    Ok(with_etag(event.version, response))
}

/// Lists the events that the caller may see
///
/// Counts are null in events that the caller does not manage: `available` says what is left, as the tenant shows it. All filters go
/// together. In order of creation; with `startsFrom`, `startsBefore` or `sort=startsAt` in order of their beginning. A page may have fewer items than its
/// limit, or none, and still have a next page.
#[utoipa::path(get, path = "/api/events", tag = "events", params(PageParams, EventParams), security((), ("bearer" = [])),
    responses((status = 200, body = PageResponse<EventResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtEventPage(page, filter): AtEventPage,
) -> Answer<JsonAnswer<PageResponse<EventResponse>>> {
    let page = engine.events().list(&caller, filter, page).await?;
    Ok(PageResponse::of(page, EventResponse::from))
}

/// Shows an event
///
/// Its ETag is its version, which counts organizers' changes. Send it as If-Match with a change. Ticket counters
/// change without it, so it does not show whether a cached answer is fresh: there is no 304. Counts are null for callers who do not
/// manage the event: `available` says what is left, as the tenant shows it. Its organizer, the tenant's owners, managers of its team,
/// operators, and API keys with `bookings:read` or `events:write` see all counts.
#[utoipa::path(get, path = "/api/events/{id}", tag = "events", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "Which event")),
    responses((status = 200, body = EventResponse, headers(("ETag" = String))), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
) -> Answer<Response> {
    let event = EventResponse::from(engine.events().show(&caller, event).await?);
    let version = event.version;
    Ok(with_etag(version, JsonAnswer(event).into_response()))
}

/// Shows the event with a reference
#[utoipa::path(get, path = "/api/event-references/{reference}", tag = "events", operation_id = "find_event_by_reference",
    security((), ("bearer" = [])),
    params(("reference" = String, Path, description = "The platform's own name of the event")),
    responses((status = 200, body = EventResponse, headers(("ETag" = String))), refusals::Restricted))]
pub(in crate::routes) async fn find_by_reference(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(reference): Id<Reference>,
) -> Answer<Response> {
    let events = engine.events();
    let event = events.show_by_reference(&caller, &reference).await?;
    let event = EventResponse::from(event);
    let version = event.version;
    Ok(with_etag(version, JsonAnswer(event).into_response()))
}

/// Replaces an event
///
/// Fields that are left out are reset: send the whole event, its ticket types with their ids included. PATCH changes only
/// the fields that it names. Customers are told if title, time, zone or place
/// change, unless `notifyCustomers` says otherwise.
#[utoipa::path(put, path = "/api/events/{id}", tag = "events", request_body = ReplaceEventRequest,
    params(("id" = String, Path, description = "Which event"), SeenVersion),
    responses((status = 200, body = EventChangeResponse, headers(("ETag" = String))), refusals::ChangeEvent))]
pub(in crate::routes) async fn replace(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    SeenVersions(seen): SeenVersions,
    Json(body): Json<Map<String, Value>>,
) -> Answer<Response> {
    // The precondition is checked before the body's rules (RFC 9110, 13.2.1).
    let current = engine.events().show_to_manager(&caller, event).await?;
    let version = seen.judge(current.version)?;
    let request: ReplaceEventRequest = read_value(Value::Object(body))?;
    let has_date = request.has_date();
    let command = request.command(event, version)?;
    let change = engine.events().update(&caller, command).await;
    let change = change.map_err(|refusal| match refusal.field_name() {
        Some("startsAt") if has_date => refusal.at_field("date"),
        _ => seen.refused(refusal),
    })?;
    Ok(changed(change))
}

/// Changes some fields of an event (RFC 7396)
///
/// Fields that are left out stay; null resets an optional field. Ticket types have their own resource.
#[utoipa::path(patch, path = "/api/events/{id}", tag = "events",
    request_body(content((EventPatchRequest = "application/merge-patch+json"), (EventPatchRequest = "application/json"))),
    params(("id" = String, Path, description = "Which event"), SeenVersion),
    responses((status = 200, body = EventChangeResponse, headers(("ETag" = String))), refusals::ChangeEvent))]
pub(in crate::routes) async fn merge(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    SeenVersions(seen): SeenVersions,
    MergePatch(patch): MergePatch,
) -> Answer<Response> {
    // If somebody changes the event in between, the version no longer matches and nothing is written.
    let current = engine.events().show_to_manager(&caller, event).await?;
    let version = seen.judge(current.version)?;
    let patch: EventPatchRequest = read_value(Value::Object(patch))?;
    let command = patch.command(&current, version)?;
    let change = engine.events().update(&caller, command).await;
    Ok(changed(change.map_err(|refusal| {
        patch.at_own_field(seen.refused(refusal))
    })?))
}

/// Cancels an event: its bookings end, and its customers are notified
///
/// A cancelled event is returned unchanged.
#[utoipa::path(post, path = "/api/events/{id}/cancel", tag = "events",
    params(("id" = String, Path, description = "Which event"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that the caller saw")),
    responses((status = 200, body = EventChangeResponse, headers(("ETag" = String))), refusals::RestrictedKeyed))]
pub(in crate::routes) async fn cancel(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    OptionalVersions(seen): OptionalVersions,
) -> Answer<Response> {
    let version = match seen {
        // Any version may be cancelled.
        None | Some(Versions::Any) => None,
        Some(seen) => {
            let current = engine.events().show_to_manager(&caller, event).await?;
            // The event is cancelled already, at any version (RFC 9110, 13.1.1).
            match current.status {
                EventStatus::Cancelled => None,
                _ => Some(seen.judge(current.version)?),
            }
        }
    };
    Ok(changed(
        engine.events().cancel(&caller, event, version).await?,
    ))
}

/// Deletes an event that nobody ever booked
#[utoipa::path(delete, path = "/api/events/{id}", tag = "events",
    params(("id" = String, Path, description = "Which event"), SeenVersion),
    responses((status = 204), refusals::DeleteEvent))]
pub(in crate::routes) async fn delete(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    SeenVersions(seen): SeenVersions,
) -> Answer<StatusCode> {
    let current = engine.events().show_to_manager(&caller, event).await?;
    let version = seen.judge(current.version)?;
    let deleted = engine.events().delete(&caller, event, version).await;
    deleted.map_err(|refusal| seen.refused(refusal))?;
    Ok(StatusCode::NO_CONTENT)
}

fn changed(change: EventChange) -> Response {
    let version = change.event.version;
    with_etag(
        version,
        JsonAnswer(EventChangeResponse::from(change)).into_response(),
    )
}
