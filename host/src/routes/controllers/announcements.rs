//! What organizers tell everybody who booked.

use axum::{extract::State, response::Response};
use boxoffice_engine::{Announce, Engine, EventId, IdempotencyKey, Label, Prose, Result};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, created, notifications::NotificationSummaryResponse};
use crate::routes::extract::{AsCaller, Id, IdempotencyKeyHeader, Json, Prefix};

/// What an organizer tells everybody who booked an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct AnnouncementRequest {
    /// The mail's subject: one line of 1 to 200 characters.
    #[schema(example = "Doors open at six")]
    subject: String,
    /// Plain text of 1 to 10,000 characters; markup in it is shown as it is.
    message: String,
}

impl AnnouncementRequest {
    fn command(&self, event: EventId, key: Option<IdempotencyKey>) -> Result<Announce> {
        Ok(Announce {
            event,
            subject: Label::parse("subject", &self.subject)?,
            message: Prose::parse("message", &self.message)?,
            idempotency_key: key,
        })
    }
}

/// Tells all customers of an event something, in one mail to each
///
/// Counts against the announcements that the tenant may make in a day. With an `Idempotency-Key` it can be sent again
/// for 24 hours without telling anybody twice.
#[utoipa::path(post, path = "/api/events/{id}/announcements", tag = "notifications", request_body = AnnouncementRequest,
    operation_id = "announce",
    params(("id" = String, Path, description = "Which event"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 255 visible ASCII characters; the same key tells once")),
    responses((status = 201, body = NotificationSummaryResponse, headers(("Location" = String)))),
    extensions(("x-error-codes" = json!([
        "forbidden", "not-found", "event-not-published", "event-cancelled", "too-many-requests",
        "idempotency-key-reused", "conflict-try-again", "outcome-unknown"]))))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    Id(event): Id<EventId>,
    IdempotencyKeyHeader(key): IdempotencyKeyHeader,
    Json(request): Json<AnnouncementRequest>,
) -> Answer<Response> {
    let command = request.command(event, key)?;
    let summary = engine.notifications().announce(&caller, command).await?;
    let location = format!("{prefix}/api/notifications/{}", summary.id);
    Ok(created(
        &location,
        NotificationSummaryResponse::from(summary),
    ))
}
