//! Who works for the tenant: invitations, roles and suspensions, for its owners.

use std::collections::BTreeMap;

use axum::{Json as JsonAnswer, extract::State, http::StatusCode, response::Response};
use boxoffice_engine::{
    AccountLinkPurpose, ChangeMember, EmailAddress, Engine, Invitation, Invite, Label, UserId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Answer,
    account::{ResetPasswordRequest, account_link},
    auth::UserResponse,
    created,
};
use crate::{
    auth::MailLinks,
    routes::{
        choices,
        extract::{AsCaller, Id, Json, Prefix, Visitor},
        refusals,
    },
};

/// Invites somebody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct InvitationRequest {
    /// The address that gets the link.
    #[schema(example = "stella@example.org")]
    email: String,
    /// Their display name.
    name: String,
    /// `owner`, `organizer` or `staff`.
    #[schema(value_type = choices::InvitedRole)]
    role: String,
}

/// An invitation that waits for an answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct InvitationResponse {
    /// The invitation's id; the account that accepting it makes has the same.
    id: String,
    /// The address that got the link.
    email: String,
    /// The display name.
    name: String,
    /// The role that accepting it gives.
    #[schema(value_type = choices::InvitedRole)]
    role: &'static str,
    /// The id of the owner who invited; null: the platform or an operator did.
    invited_by: Option<String>,
    /// When the newest mail was asked for.
    #[schema(value_type = String, format = DateTime)]
    invited_at: Timestamp,
    /// When the newest link expires.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl From<Invitation> for InvitationResponse {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.user.to_string(),
            email: invitation.email.to_string(),
            name: invitation.name.to_string(),
            role: invitation.role.as_str(),
            invited_by: invitation.invited_by.map(|user| user.to_string()),
            invited_at: invitation.invited_at,
            expires_at: invitation.expires_at,
        }
    }
}

/// The invitations that wait for an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct InvitationsResponse {
    /// All of them, the newest first; at most 100.
    items: Vec<InvitationResponse>,
}

/// Changes what a user may do, and their metadata. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ChangeUserRequest {
    /// The new role.
    #[schema(value_type = Option<choices::UserRole>)]
    role: Option<String>,
    /// Whether they may not sign in.
    suspended: Option<bool>,
    /// New values of keys of the metadata; null removes a key, and the others stay.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    metadata: BTreeMap<String, Option<String>>,
}

/// Invites somebody to work for the tenant, for owners
///
/// The address gets a link, valid for a week, to a page where they choose a password. Inviting an address again renews its
/// invitation. An address gets at most five such mails a day. For an address with an account, change the account's role.
#[utoipa::path(post, path = "/api/invitations", tag = "tenant", operation_id = "invite", request_body = InvitationRequest,
    responses((status = 201, body = InvitationResponse, headers(("Location" = String))), refusals::Invite))]
pub(in crate::routes) async fn invite(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    Json(request): Json<InvitationRequest>,
) -> Answer<Response> {
    let command = Invite {
        email: EmailAddress::parse("email", &request.email)?,
        name: Label::parse("name", &request.name)?,
        role: request.role.parse()?,
    };
    let invitation = engine.users().invite(&caller, command).await?;
    let location = format!("{prefix}/api/invitations/{}", invitation.user);
    Ok(created(&location, InvitationResponse::from(invitation)))
}

/// Lists the invitations that wait for an answer, for owners
#[utoipa::path(get, path = "/api/invitations", tag = "tenant", operation_id = "list_invitations",
    responses((status = 200, body = InvitationsResponse), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<InvitationsResponse>> {
    let invitations = engine.users().invitations(&caller).await?;
    let items = invitations.into_iter().map(InvitationResponse::from);
    Ok(JsonAnswer(InvitationsResponse {
        items: items.collect(),
    }))
}

/// Withdraws an invitation, for owners
///
/// Its links are invalid from then on. An invitation that was accepted is not found.
#[utoipa::path(delete, path = "/api/invitations/{id}", tag = "tenant", operation_id = "withdraw_invitation",
    params(("id" = String, Path, description = "The invitation's id")),
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn withdraw(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(user): Id<UserId>,
) -> Answer<StatusCode> {
    engine.users().withdraw_invitation(&caller, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accepts an invitation with a link
///
/// Send the last part of the link's path as `token`, with the password to sign in with from then on. A link works once: of several
/// concurrent requests one succeeds.
#[utoipa::path(post, path = "/api/auth/invitations/accept", tag = "auth", operation_id = "accept_invitation",
    request_body = ResetPasswordRequest, security(()), responses((status = 204), refusals::ResetPassword))]
pub(in crate::routes) async fn accept(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Visitor(caller): Visitor,
    Json(request): Json<ResetPasswordRequest>,
) -> Answer<StatusCode> {
    let link = account_link(
        links.as_ref(),
        AccountLinkPurpose::AcceptInvitation,
        &request.token,
    )?;
    let users = engine.users();
    users
        .accept_invitation(&caller, &link, request.password)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes what a user may do, for owners, and their metadata, also for programs
///
/// Programs with the scope `customers` may send `metadata` alone. A change of rights counts within a second at every host. A suspension ends the user's sessions; API keys that they made stay. A tenant keeps an
/// owner who may sign in.
#[utoipa::path(patch, path = "/api/users/{id}", tag = "tenant", operation_id = "change_user",
    params(("id" = String, Path, description = "Which user")), request_body = ChangeUserRequest,
    responses((status = 200, body = UserResponse), refusals::ChangeUser))]
pub(in crate::routes) async fn change(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(user): Id<UserId>,
    Json(request): Json<ChangeUserRequest>,
) -> Answer<JsonAnswer<UserResponse>> {
    let role = request.role.map(|role| role.parse());
    let change = ChangeMember {
        role: role.transpose()?,
        is_suspended: request.suspended,
        metadata: request.metadata,
    };
    let changed = engine.users().change_member(&caller, user, change).await?;
    Ok(JsonAnswer(changed.into()))
}
