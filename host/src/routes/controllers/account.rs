//! People's own accounts: a forgotten password, changes of password, name and address, and sessions.

use std::sync::Arc;

use axum::{Json as JsonAnswer, extract::State, http::StatusCode};
use boxoffice_engine::{
    AccountLink, AccountLinkPurpose, ChangeEmail, ChangePassword, EmailAddress, Engine, Error,
    ErrorCode, Label, SessionId,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Answer,
    auth::{SignIn, TokensResponse, UserResponse},
    operators::SessionsResponse,
};
use crate::{
    auth::MailLinks,
    routes::{
        extract::{AsCaller, Id, Json, SignInOrigin, Visitor},
        refusals,
    },
};

/// Asks for a link to choose a new password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ForgotPasswordRequest {
    /// The login.
    #[schema(example = "ann@example.org")]
    email: String,
}

/// Chooses a password with a link.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ResetPasswordRequest {
    /// The last part of the link's path.
    pub(super) token: String,
    /// The new password: 8 to 200 characters.
    pub(super) password: String,
}

/// Changes the caller's password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ChangeOwnPasswordRequest {
    /// The password until now.
    current_password: String,
    /// The new password: 8 to 200 characters.
    new_password: String,
}

/// Changes the caller's name.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct RenameRequest {
    /// Their display name.
    name: String,
}

/// Asks for another address.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ChangeEmailRequest {
    /// The new address.
    #[schema(example = "ann@example.org")]
    email: String,
    /// The account's password.
    current_password: String,
}

/// Mails a link to choose a new password
///
/// The answer and its time are the same whether or not the address has an account. The link is valid for an hour and works once. An
/// address gets at most five such mails a day. It leads to a page of this host; a page of your own sends the last part of the
/// link's path as `token` to `/api/auth/password/reset`.
#[utoipa::path(post, path = "/api/auth/password/forgotten", tag = "auth", request_body = ForgotPasswordRequest,
    security(()), responses((status = 202), refusals::AskForLink))]
pub(in crate::routes) async fn forgot_password(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    Visitor(caller): Visitor,
    origin: SignInOrigin,
    Json(request): Json<ForgotPasswordRequest>,
) -> Answer<StatusCode> {
    let email = EmailAddress::parse("email", &request.email)?;
    if let Some(sign_ups) = &sign_in.sign_ups {
        // As many as sign-ups, counted apart: both send mails to addresses that anybody types.
        sign_ups.take("forgotten password", origin.address, 1)?;
    }
    engine.users().forgot_password(&caller, &email).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Chooses a new password with a link
///
/// Ends all sessions of the account. A link works once: of several concurrent requests one succeeds. An address that was not
/// confirmed is confirmed by it.
#[utoipa::path(post, path = "/api/auth/password/reset", tag = "auth", request_body = ResetPasswordRequest,
    security(()), responses((status = 204), refusals::ResetPassword))]
pub(in crate::routes) async fn reset_password(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Visitor(caller): Visitor,
    Json(request): Json<ResetPasswordRequest>,
) -> Answer<StatusCode> {
    let link = account_link(
        links.as_ref(),
        AccountLinkPurpose::ResetPassword,
        &request.token,
    )?;
    let users = engine.users();
    users
        .reset_password(&caller, &link, request.password)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The content of a link to change an account, proven by its signature.
pub(super) fn account_link(
    links: Option<&MailLinks>,
    purpose: AccountLinkPurpose,
    token: &str,
) -> Result<AccountLink, Error> {
    let links = links.ok_or_else(|| {
        Error::new(
            ErrorCode::LinksOff,
            "No public address and keys for links in mails are configured here.",
        )
    })?;
    links.read_account(purpose, token).ok_or_else(|| {
        Error::new(
            ErrorCode::LinkInvalid,
            "This token is incomplete or altered; send the last part of the link's path.",
        )
    })
}

/// Changes the caller's password
///
/// Ends the caller's other sessions. The current one goes on with the tokens of the answer. Wrong passwords count as those of
/// sign-ins do.
#[utoipa::path(post, path = "/api/auth/password", tag = "auth", request_body = ChangeOwnPasswordRequest,
    operation_id = "change_own_password",
    responses((status = 200, body = TokensResponse), refusals::ChangePassword))]
pub(in crate::routes) async fn change_password(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    AsCaller(caller): AsCaller,
    origin: SignInOrigin,
    Json(request): Json<ChangeOwnPasswordRequest>,
) -> Answer<JsonAnswer<TokensResponse>> {
    let user = engine.users().me(&caller).await?;
    let counted = sign_in.begin(Some(&user.tenant), &user.email, &origin)?;
    let command = ChangePassword {
        current: request.current_password,
        new: request.new_password,
    };
    let outcome = engine.users().change_password(&caller, command).await;
    counted.settle(&outcome);
    outcome?;
    let session = engine.sessions().renew(&caller).await?;
    Ok(JsonAnswer(sign_in.tokens(session)?))
}

/// Changes the caller's name
#[utoipa::path(patch, path = "/api/auth/me", tag = "auth", request_body = RenameRequest, operation_id = "rename_me",
    responses((status = 200, body = UserResponse), refusals::RestrictedChange))]
pub(in crate::routes) async fn rename(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Json(request): Json<RenameRequest>,
) -> Answer<JsonAnswer<UserResponse>> {
    let name = Label::parse("name", &request.name)?;
    let user = engine.users().rename(&caller, name).await?;
    Ok(JsonAnswer(user.into()))
}

/// Mails a link to a new address that moves the caller's account there
///
/// The answer is the same if the address has an account; then no mail is sent. The link is valid for a day and works once, and only
/// the newest one is valid. Using it confirms the address; the old one is told by mail. An account asks at most five times a day.
#[utoipa::path(post, path = "/api/auth/me/email", tag = "auth", request_body = ChangeEmailRequest,
    operation_id = "ask_for_email", responses((status = 202), refusals::AskForEmail))]
pub(in crate::routes) async fn ask_for_email(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    AsCaller(caller): AsCaller,
    origin: SignInOrigin,
    Json(request): Json<ChangeEmailRequest>,
) -> Answer<StatusCode> {
    let command = ChangeEmail {
        email: EmailAddress::parse("email", &request.email)?,
        password: request.current_password,
    };
    let user = engine.users().me(&caller).await?;
    let counted = sign_in.begin(Some(&user.tenant), &user.email, &origin)?;
    let outcome = engine.users().ask_for_email(&caller, command).await;
    counted.settle(&outcome);
    outcome?;
    Ok(StatusCode::ACCEPTED)
}

/// Lists the caller's sessions, newest first
#[utoipa::path(get, path = "/api/auth/me/sessions", tag = "auth", operation_id = "list_own_sessions",
    responses((status = 200, body = SessionsResponse), refusals::Restricted))]
pub(in crate::routes) async fn list_sessions(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<SessionsResponse>> {
    caller.acting_user()?;
    let sessions = engine.sessions().list(&caller).await?;
    Ok(JsonAnswer(SessionsResponse::of(sessions, caller.session())))
}

/// Ends one of the caller's sessions
///
/// Its tokens are refused within a second at every host.
#[utoipa::path(delete, path = "/api/auth/me/sessions/{id}", tag = "auth", operation_id = "end_own_session",
    params(("id" = String, Path, description = "Which session")),
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn end_session(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(session): Id<SessionId>,
) -> Answer<StatusCode> {
    caller.acting_user()?;
    engine.sessions().end_listed(&caller, session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the caller's other sessions
///
/// The current one goes on. The others' tokens are refused within a second at every host.
#[utoipa::path(delete, path = "/api/auth/me/sessions/others", tag = "auth", operation_id = "end_other_sessions",
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn end_other_sessions(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<StatusCode> {
    caller.acting_user()?;
    engine.sessions().end_others(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
