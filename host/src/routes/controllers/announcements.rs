//! Announcements: free text from an organizer to everybody who booked.

use axum::{extract::State, response::Response};
use boxoffice_engine::{Announce, Engine, EventId, Label, Prose, Result};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answer, created, notifications::NotificationSummaryResponse};
use crate::routes::{
    extract::{AsCaller, Id, Json, Prefix},
    refusals,
};

/// An announcement to everybody who booked an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct AnnouncementRequest {
    /// The mail's subject: one line of 1 to 200 characters.
    #[schema(example = "Doors open at six")]
    subject: String,
    /// Plain text of 1 to 10,000 characters. Markup is shown as text.
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

/// Sends an announcement to all customers of an event, one mail each
///
/// Counts against the tenant's daily limit.
#[utoipa::path(post, path = "/api/events/{id}/announcements", tag = "notifications", request_body = AnnouncementRequest,
    operation_id = "announce",
    params(("id" = String, Path, description = "Which event")),
    responses((status = 201, body = NotificationSummaryResponse, headers(("Location" = String))), refusals::Announce))]
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
