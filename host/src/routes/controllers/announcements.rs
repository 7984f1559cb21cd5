//! What organizers tell everybody who booked.

use axum::{extract::State, response::Response};
use boxoffice_engine::{Announce, Engine, EventId, Label, Prose, Result};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, created, notifications::NotificationSummaryResponse};
use crate::routes::extract::{AsCaller, Id, Json, Prefix};

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
    fn command(&self, event: EventId) -> Result<Announce> {
        Ok(Announce {
            event,
            subject: Label::parse("subject", &self.subject)?,
            message: Prose::parse("message", &self.message)?,
            idempotency_key: None,
        })
    }
}

/// Tells all customers of an event something, in one mail to each
///
/// Counts against the announcements that the tenant may make in a day.
#[utoipa::path(post, path = "/api/events/{id}/announcements", tag = "notifications", request_body = AnnouncementRequest,
    operation_id = "announce",
    params(("id" = String, Path, description = "Which event")),
    responses((status = 201, body = NotificationSummaryResponse, headers(("Location" = String)))),
    extensions(("x-error-codes" = json!([
        "forbidden", "not-found", "event-not-published", "event-cancelled", "too-many-requests",
        "conflict-try-again", "outcome-unknown"]))))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    Id(event): Id<EventId>,
    Json(request): Json<AnnouncementRequest>,
) -> Answer<Response> {
    let command = request.command(event)?;
    let summary = engine.notifications().announce(&caller, command).await?;
    let location = format!("{prefix}/api/notifications/{}", summary.id);
    Ok(created(
        &location,
        NotificationSummaryResponse::from(summary),
    ))
}
