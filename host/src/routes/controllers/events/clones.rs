//! Copies of events.

use axum::{extract::State, response::Response};
use boxoffice_engine::{CloneEvent, Engine, EventId, Label};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, EventResponse, created, with_etag};
use crate::routes::{
    extract::{AsCaller, Id, Json, Prefix, times::instant},
    refusals,
};

/// Copies an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct CloneEventRequest {
    /// When the copy begins, with an offset (RFC 3339). Its other times are as far from that as the event's are.
    #[schema(format = DateTime, example = "2027-05-08T20:00:00+02:00")]
    starts_at: String,
    /// The copy's name: one line of 1 to 200 characters. The default is the event's.
    title: Option<String>,
    /// The platform's own name of the copy, unique within the tenant: visible ASCII characters. The default is none.
    #[schema(min_length = 1, max_length = 64)]
    reference: Option<String>,
}

/// Makes a draft of an event at another time
///
/// With its texts, ticket types, sales windows, reminder and terms; without its bookings, team and waiting list. The caller owns it.
#[utoipa::path(post, path = "/api/events/{id}/clone", tag = "events", request_body = CloneEventRequest, operation_id = "clone_event",
    params(("id" = String, Path, description = "Which event")),
    responses((status = 201, body = EventResponse, headers(("Location" = String), ("ETag" = String))), refusals::CreateEvent))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    Prefix(prefix): Prefix,
    Json(request): Json<CloneEventRequest>,
) -> Answer<Response> {
    let title = request.title.as_deref();
    let command = CloneEvent {
        event,
        starts_at: instant(&request.starts_at, "startsAt")?,
        title: title
            .map(|title| Label::parse("title", title))
            .transpose()?,
        reference: request.reference.as_deref().map(str::parse).transpose()?,
    };
    let event = engine.events().clone_event(&caller, command).await?;
    let event = EventResponse::from(event);
    let response = created(&format!("{prefix}/api/events/{}", event.id), &event);
    Ok(with_etag(event.version, response))
}
