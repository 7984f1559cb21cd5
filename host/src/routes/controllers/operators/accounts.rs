//! Operators' accounts: sign-in, sign-out, passwords, sessions, and the list of operators.

use std::sync::Arc;

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{
    Caller, EmailAddress, Engine, ErrorCode, ListedSession, Login, Operator, OperatorSession,
    Result, SessionId, SessionOwner, SetOperatorPassword,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::{
    Answer,
    auth::{LoginRequest, RefreshRequest, SignIn},
    with_cookies,
};
use crate::routes::refusals;
use crate::{
    auth::{ACCESS_TOKEN_LIFE, RefreshToken, not_authenticated},
    routes::extract::{
        AsOperator, Json, NamedOperator, NamedOperatorSession, NamedTenant, SignInOrigin,
    },
};

/// Changes the caller's password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ChangePasswordRequest {
    /// The old password.
    present_password: String,
    /// The new password: 8 to 200 characters.
    password: String,
}

/// A signed-in session of an operator.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct OperatorTokensResponse {
    /// Access token; send it as `Authorization: Bearer`.
    token: String,
    /// Exchanged for the next pair of tokens, once.
    refresh_token: String,
    /// Lifetime of the access token.
    expires_in_seconds: u64,
    /// When the session ends at the latest, 12 hours after the sign-in.
    #[schema(value_type = String, format = DateTime)]
    session_expires_at: Timestamp,
    /// The signed-in account.
    operator: OperatorResponse,
}

/// An operator of the installation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct OperatorResponse {
    /// Their address and login.
    email: String,
    /// Their display name.
    name: String,
    /// When the account was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Operator> for OperatorResponse {
    fn from(operator: Operator) -> Self {
        Self {
            email: operator.email.to_string(),
            name: operator.name.to_string(),
            created_at: operator.created_at,
        }
    }
}

/// The operators of the installation, by address; the first 100.
#[derive(Serialize, ToSchema)]
pub(in crate::routes) struct OperatorsResponse {
    items: Vec<OperatorResponse>,
}

/// The sessions of an account, newest first; at most 100.
#[derive(Serialize, ToSchema)]
pub(in crate::routes) struct SessionsResponse {
    items: Vec<SessionResponse>,
}

impl SessionsResponse {
    /// The sessions, with the current one marked.
    pub(in crate::routes::controllers) fn of(
        sessions: Vec<ListedSession>,
        current: Option<SessionId>,
    ) -> Self {
        let items = sessions.into_iter();
        let items = items.map(|session| SessionResponse::of(session, current));
        Self {
            items: items.collect(),
        }
    }
}

/// A signed-in session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct SessionResponse {
    /// The session's id.
    id: String,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// When its refresh token was last used, or when it was opened.
    #[schema(value_type = String, format = DateTime)]
    refreshed_at: Timestamp,
    /// When it ends at the latest.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// What the client called itself at the sign-in (`User-Agent`), if it is known. Anybody can write anything there.
    device: Option<String>,
    /// Whether it is the session of this request.
    is_current: bool,
}

impl SessionResponse {
    pub(in crate::routes::controllers) fn of(
        session: ListedSession,
        current: Option<SessionId>,
    ) -> Self {
        Self {
            id: session.id.to_string(),
            opened_at: session.opened_at,
            refreshed_at: session.refreshed_at,
            expires_at: session.expires_at,
            device: session.device.map(|device| device.to_string()),
            is_current: Some(session.id) == current,
        }
    }
}

/// Signs an operator in, for 12 hours at most
#[utoipa::path(post, path = "/api/operator/login", tag = "operator", request_body = LoginRequest, security(()),
    operation_id = "operator_login",
    responses((status = 200, body = OperatorTokensResponse), refusals::SignIn))]
pub(in crate::routes) async fn login(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    origin: SignInOrigin,
    Json(request): Json<LoginRequest>,
) -> Answer<Response> {
    let command: Login = request.command()?;
    let email = command.email.clone();
    let counted = sign_in.begin(None, &email, &origin)?;
    let client = origin.client.clone();
    let outcome = engine.operators().sign_in_from(command, client).await;
    counted.settle(&outcome);
    Ok(with_cookies(
        JsonAnswer(tokens(&sign_in, outcome?)?).into_response(),
        sign_in.remember(None, &email, &origin),
    ))
}

/// Exchanges an operator's refresh token for the next pair of tokens
///
/// As for users: each refresh token works once, and for 30 seconds again with the same result. The session's end does not change.
#[utoipa::path(post, path = "/api/operator/refresh", tag = "operator", request_body = RefreshRequest, security(()),
    operation_id = "operator_refresh",
    responses((status = 200, body = OperatorTokensResponse), refusals::RefreshSession))]
pub(in crate::routes) async fn refresh(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    _counted: NamedTenant,
    Json(request): Json<RefreshRequest>,
) -> Answer<JsonAnswer<OperatorTokensResponse>> {
    let token = sign_in.keys.verify_refresh(&request.refresh_token)?;
    require_operators(&token)?;
    let session = engine
        .operators()
        .rotate(&token.caller(), token.session, token.generation)
        .await?;
    Ok(JsonAnswer(tokens(&sign_in, session)?))
}

/// Ends an operator's session
///
/// An invalid token is no error. The session's access tokens are refused within a second at every host.
#[utoipa::path(post, path = "/api/operator/logout", tag = "operator", request_body = RefreshRequest, security(()),
    operation_id = "operator_logout",
    responses((status = 204), refusals::EndSession))]
pub(in crate::routes) async fn logout(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    _counted: NamedTenant,
    Json(request): Json<RefreshRequest>,
) -> Answer<StatusCode> {
    match sign_in.keys.verify_refresh(&request.refresh_token) {
        Ok(token) => {
            require_operators(&token)?;
            let sessions = engine.sessions();
            sessions.end(&token.caller(), token.session).await?;
        }
        Err(error) if error.code() == ErrorCode::SessionEnded => {}
        Err(error) => return Err(error.into()),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Changes the caller's password
///
/// Needs the old password, and ends the caller's other sessions. Another operator's password is set in the store:
/// `boxoffice operator password`.
#[utoipa::path(put, path = "/api/operator/password", tag = "operator", request_body = ChangePasswordRequest,
    operation_id = "operator_password",
    responses((status = 204), refusals::SetPassword))]
pub(in crate::routes) async fn set_password(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    AsOperator(caller): AsOperator,
    origin: SignInOrigin,
    Json(request): Json<ChangePasswordRequest>,
) -> Answer<StatusCode> {
    let email = own_address(&caller)?;
    let counted = sign_in.begin(None, &email, &origin)?;
    let command = SetOperatorPassword {
        email,
        password: request.password,
        present: Some(request.present_password),
    };
    let outcome = engine.operators().set_password(&caller, command).await;
    counted.settle(&outcome);
    outcome?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists operators by address; the first 100
#[utoipa::path(get, path = "/api/operator/operators", tag = "operator",
    responses((status = 200, body = OperatorsResponse), refusals::Restricted))]
pub(in crate::routes) async fn list_operators(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
) -> Answer<JsonAnswer<OperatorsResponse>> {
    let operators = engine.operators().list(&caller).await?;
    let items = operators.into_iter().map(OperatorResponse::from).collect();
    Ok(JsonAnswer(OperatorsResponse { items }))
}

/// Removes an operator
///
/// Their sessions end with the account. Their tokens are refused within a second at every host. Operators are created
/// in the store: `boxoffice operator add`.
#[utoipa::path(delete, path = "/api/operator/operators/{operator}", tag = "operator",
    params(("operator" = String, Path, description = "The operator's address, or `me`")),
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn remove_operator(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    NamedOperator(named): NamedOperator,
) -> Answer<StatusCode> {
    let email = named_or_own(named, &caller)?;
    engine.operators().remove(&caller, &email).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists an operator's sessions, newest first
#[utoipa::path(get, path = "/api/operator/operators/{operator}/sessions", tag = "operator",
    params(("operator" = String, Path, description = "The operator's address, or `me`")),
    responses((status = 200, body = SessionsResponse), refusals::Restricted))]
pub(in crate::routes) async fn list_sessions(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    NamedOperator(named): NamedOperator,
) -> Answer<JsonAnswer<SessionsResponse>> {
    let email = named_or_own(named, &caller)?;
    let sessions = engine.operators().sessions(&caller, &email).await?;
    Ok(JsonAnswer(SessionsResponse::of(sessions, caller.session())))
}

/// Ends one of an operator's sessions
#[utoipa::path(delete, path = "/api/operator/operators/{operator}/sessions/{id}", tag = "operator",
    operation_id = "end_operator_session",
    params(("operator" = String, Path, description = "The operator's address, or `me`"),
        ("id" = String, Path, description = "Which session")),
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn end_session(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    NamedOperatorSession(named, session): NamedOperatorSession,
) -> Answer<StatusCode> {
    let email = named_or_own(named, &caller)?;
    engine
        .operators()
        .end_session(&caller, &email, session)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all of an operator's sessions
///
/// For `me` the session of this request is included.
#[utoipa::path(delete, path = "/api/operator/operators/{operator}/sessions", tag = "operator",
    operation_id = "end_operator_sessions",
    params(("operator" = String, Path, description = "The operator's address, or `me`")),
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn end_sessions(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    NamedOperator(named): NamedOperator,
) -> Answer<StatusCode> {
    let email = named_or_own(named, &caller)?;
    engine.operators().end_sessions(&caller, &email).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn tokens(sign_in: &SignIn, session: OperatorSession) -> Result<OperatorTokensResponse> {
    let owner = SessionOwner::Operator(session.operator.email.clone());
    let (token, refresh_token) = sign_in.sign(&owner, session.id, session.generation)?;
    Ok(OperatorTokensResponse {
        token,
        refresh_token,
        expires_in_seconds: ACCESS_TOKEN_LIFE.as_secs(),
        session_expires_at: session.expires_at,
        operator: session.operator.into(),
    })
}

fn require_operators(token: &RefreshToken) -> Result<()> {
    match token.tenant() {
        None => Ok(()),
        Some(_) => Err(not_authenticated(
            "This is a user's token; send it to /api/auth.",
        )),
    }
}

fn named_or_own(named: Option<EmailAddress>, caller: &Caller) -> Result<EmailAddress> {
    match named {
        Some(named) => Ok(named),
        None => own_address(caller),
    }
}

/// A platform that authenticates operators itself may not name them.
fn own_address(caller: &Caller) -> Result<EmailAddress> {
    let own = caller.operator_email().cloned();
    own.ok_or_else(|| not_authenticated("Sign in as an operator of this host."))
}
