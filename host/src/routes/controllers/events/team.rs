//! The team of an event: who may look after it beside its organizer.

use axum::{Json as JsonAnswer, extract::State, http::StatusCode};
use boxoffice_engine::{Engine, EventId, ListedTeamMember, TeamMember, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Answer;
use crate::routes::{
    choices,
    extract::{AsCaller, Id, Ids, Json},
    refusals,
};

/// What somebody may do for an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct TeamRoleRequest {
    /// `manager`: what the organizer may, except changing the team; `door`: check tickets in, and see bookings.
    #[schema(value_type = choices::TeamRole)]
    role: String,
}

/// Somebody in the team of an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TeamMemberResponse {
    /// The user's id.
    user_id: String,
    /// Their display name.
    name: String,
    /// Their address.
    email: String,
    /// What they may do.
    #[schema(value_type = choices::TeamRole)]
    role: &'static str,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

impl From<ListedTeamMember> for TeamMemberResponse {
    fn from(listed: ListedTeamMember) -> Self {
        Self {
            user_id: listed.member.user.to_string(),
            name: listed.name.to_string(),
            email: listed.email.to_string(),
            role: listed.member.role.as_str(),
            since: listed.member.since,
        }
    }
}

/// The team of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct TeamResponse {
    /// All of them, in the order in which they joined; at most 100.
    items: Vec<TeamMemberResponse>,
}

/// A place in the team of an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct OwnTeamResponse {
    /// The event's id.
    event_id: String,
    /// What the caller may do there.
    #[schema(value_type = choices::TeamRole)]
    role: &'static str,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

impl From<TeamMember> for OwnTeamResponse {
    fn from(member: TeamMember) -> Self {
        Self {
            event_id: member.event.to_string(),
            role: member.role.as_str(),
            since: member.since,
        }
    }
}

/// The caller's places in teams.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct OwnTeamsResponse {
    /// All of them, the newest event first; at most 1,000.
    items: Vec<OwnTeamResponse>,
}

/// Lists the team of an event, for those who manage it
#[utoipa::path(get, path = "/api/events/{id}/team", tag = "events", operation_id = "list_team",
    params(("id" = String, Path, description = "Which event")),
    responses((status = 200, body = TeamResponse), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
) -> Answer<JsonAnswer<TeamResponse>> {
    let team = engine.events().team(&caller, event).await?;
    Ok(JsonAnswer(TeamResponse {
        items: team.into_iter().map(TeamMemberResponse::from).collect(),
    }))
}

/// Puts a user into the team of an event, or changes what they may do, for its organizer and owners
///
/// A manager of the team may not change the team. It has at most 100 people.
#[utoipa::path(put, path = "/api/events/{id}/team/{user}", tag = "events", operation_id = "put_team_member",
    params(("id" = String, Path, description = "Which event"), ("user" = String, Path, description = "Which user")),
    request_body = TeamRoleRequest, responses((status = 200, body = TeamMemberResponse), refusals::RestrictedChange))]
pub(in crate::routes) async fn put(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Ids(event, user): Ids<EventId, UserId>,
    Json(request): Json<TeamRoleRequest>,
) -> Answer<JsonAnswer<TeamMemberResponse>> {
    let role = request.role.parse()?;
    let events = engine.events();
    let member = events.put_team_member(&caller, event, user, role).await?;
    Ok(JsonAnswer(member.into()))
}

/// Removes somebody from the team of an event, for its organizer, owners, and themselves
#[utoipa::path(delete, path = "/api/events/{id}/team/{user}", tag = "events", operation_id = "remove_team_member",
    params(("id" = String, Path, description = "Which event"), ("user" = String, Path, description = "Which user")),
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn remove(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Ids(event, user): Ids<EventId, UserId>,
) -> Answer<StatusCode> {
    let events = engine.events();
    events.remove_team_member(&caller, event, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the teams that the caller is in, the newest event first
#[utoipa::path(get, path = "/api/auth/me/teams", tag = "auth", operation_id = "list_own_teams",
    responses((status = 200, body = OwnTeamsResponse), refusals::Restricted))]
pub(in crate::routes) async fn list_own(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<OwnTeamsResponse>> {
    let teams = engine.events().own_teams(&caller).await?;
    Ok(JsonAnswer(OwnTeamsResponse {
        items: teams.into_iter().map(OwnTeamResponse::from).collect(),
    }))
}
