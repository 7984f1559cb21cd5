//! Making, seeing, changing and calling off events.

mod requests;
mod responses;
mod times;

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use boxoffice_engine::{Caller, Engine, EventChange, EventId, EventStatus};
use serde_json::Value;
use utoipa::IntoParams;

use super::{Answer, PageResponse, created, with_etag};
use crate::routes::extract::{
    AsCaller, AtEventPage, EventParams, Id, Json, JsonObject, MergePatch, OptionalVersions,
    PageParams, Prefix, SeenVersions, Versions, read_value,
};
pub(in crate::routes) use requests::EventRequest;
pub(in crate::routes) use responses::{EventChangeResponse, EventResponse};
pub(in crate::routes) use times::instant;

/// What replacing and changing an event may be refused with.
const CHANGE_ERRORS: [&str; 8] = [
    "forbidden",
    "not-found",
    "event-cancelled",
    "capacity-below-sold",
    "conflict-try-again",
    "version-mismatch",
    "precondition-required",
    "outcome-unknown",
];

/// What a change says of the version that it changes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what the extractor reads")]
struct SeenVersion {
    /// The ETag of the version that the caller saw; several, or `*` for whichever there is.
    #[param(rename = "If-Match")]
    if_match: String,
}

/// Makes an event; the caller owns it
///
/// Without `status` it is published at once.
#[utoipa::path(post, path = "/api/events", tag = "events", request_body = EventRequest,
    responses((status = 201, body = EventResponse, headers(("Location" = String), ("ETag" = String)))),
    extensions(("x-error-codes" = json!(["forbidden", "not-found"]))))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    Json(request): Json<EventRequest>,
) -> Answer<Response> {
    let command = request.create_command()?;
    let event = engine.events().create(&caller, command).await;
    let event = EventResponse::from(event.map_err(|error| request.at_own_field(error))?);
    let response = created(&format!("{prefix}/api/events/{}", event.id), &event);
    Ok(with_etag(event.version, response))
}

/// Lists the events that the caller may see
///
/// As they were made; with `startsFrom`, `startsBefore` or `sort=startsAt` as they begin. A page may hold fewer than its
/// limit, or none, and still have a next one.
#[utoipa::path(get, path = "/api/events", tag = "events", params(PageParams, EventParams), security((), ("bearer" = [])),
    responses((status = 200, body = PageResponse<EventResponse>)))]
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
/// Its ETag is its version, which counts organizers' changes; send it as If-Match with a change. Counts of tickets
/// move without it, so that it does not tell whether a cached answer is fresh: there is no 304.
#[utoipa::path(get, path = "/api/events/{id}", tag = "events", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "Which event")),
    responses((status = 200, body = EventResponse, headers(("ETag" = String)))),
    extensions(("x-error-codes" = json!(["not-found"]))))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
) -> Answer<Response> {
    let event = EventResponse::from(engine.events().show(&caller, event).await?);
    let version = event.version;
    Ok(with_etag(version, JsonAnswer(event).into_response()))
}

/// Replaces what an event says and offers
///
/// Optional fields that are left out go back to their defaults. Customers are told when title, time, zone or place
/// change, unless `notifyCustomers` says otherwise.
#[utoipa::path(put, path = "/api/events/{id}", tag = "events", request_body = EventRequest,
    params(("id" = String, Path, description = "Which event"), SeenVersion),
    responses((status = 200, body = EventChangeResponse, headers(("ETag" = String)))),
    extensions(("x-error-codes" = json!(CHANGE_ERRORS))))]
pub(in crate::routes) async fn replace(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    SeenVersions(seen): SeenVersions,
    JsonObject(body): JsonObject,
) -> Answer<Response> {
    // The precondition goes before the body's rules (RFC 9110, 13.2.1).
    let current = engine.events().show_to_manager(&caller, event).await?;
    let version = seen.judge(current.version)?;
    let request: EventRequest = read_value(Value::Object(body))?;
    update(&engine, &caller, (event, version), &seen, &request).await
}

/// Changes some of what an event says and offers (RFC 7396)
///
/// The patch is merged into what PUT would send for the event as it is; null resets an optional field.
/// `ticketTypes` is replaced as a whole. `totalTickets` changes the capacity of the only type, or, with several, what
/// can be sold of all of them together (null: what they hold together).
#[utoipa::path(patch, path = "/api/events/{id}", tag = "events",
    request_body(content((EventRequest = "application/merge-patch+json"), (EventRequest = "application/json")),
        description = "Any of the fields of PUT"),
    params(("id" = String, Path, description = "Which event"), SeenVersion),
    responses((status = 200, body = EventChangeResponse, headers(("ETag" = String)))),
    extensions(("x-error-codes" = json!(CHANGE_ERRORS))))]
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
    let total_is_patched = current.ticket_types.len() == 1
        && patch.contains_key("totalTickets")
        && !patch.contains_key("ticketTypes");
    let mut request: EventRequest = read_value(requests::merged(&current, patch)?)?;
    request.total_is_patched = total_is_patched;
    update(&engine, &caller, (event, version), &seen, &request).await
}

/// Calls an event off: its bookings end, and its customers are told
///
/// An event that is called off already is answered as it is.
#[utoipa::path(post, path = "/api/events/{id}/cancel", tag = "events",
    params(("id" = String, Path, description = "Which event"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that the caller saw")),
    responses((status = 200, body = EventChangeResponse, headers(("ETag" = String)))),
    extensions(("x-error-codes" = json!([
        "forbidden", "not-found", "version-mismatch", "conflict-try-again", "outcome-unknown"]))))]
pub(in crate::routes) async fn cancel(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    OptionalVersions(seen): OptionalVersions,
) -> Answer<Response> {
    let version = match seen {
        // Whichever version there is may be cancelled anyway.
        None | Some(Versions::Any) => None,
        Some(seen) => {
            let current = engine.events().show_to_manager(&caller, event).await?;
            // What the request asks for has happened already, at whichever version (RFC 9110, 13.1.1).
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
    responses((status = 204)),
    extensions(("x-error-codes" = json!([
        "forbidden", "not-found", "event-has-bookings", "conflict-try-again", "version-mismatch",
        "precondition-required", "outcome-unknown"]))))]
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

async fn update(
    engine: &Engine,
    caller: &Caller,
    (event, version): (EventId, u64),
    seen: &Versions,
    request: &EventRequest,
) -> Answer<Response> {
    let command = request.update_command(event, version)?;
    let change = engine.events().update(caller, command).await;
    Ok(changed(change.map_err(|refusal| {
        request.at_own_field(seen.refused(refusal))
    })?))
}

fn changed(change: EventChange) -> Response {
    let version = change.event.version;
    with_etag(
        version,
        JsonAnswer(EventChangeResponse::from(change)).into_response(),
    )
}
