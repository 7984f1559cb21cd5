//! Sign-up, sign-in and sign-out, with own tokens.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{
    Caller, EmailAddress, Engine, ErrorCode, Label, Login, Register, Result, Session, SessionId,
    SessionOwner, TenantId, User, UserRole,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Answer,
    booking_details::{json_cell, metadata_response},
    created,
    exports::{ExportRow, time},
    with_cookies,
};
use crate::routes::{choices, refusals};
use crate::{
    auth::{
        ACCESS_TOKEN_LIFE, IdTokens, LoginThrottle, NetworkAllowance, RefreshToken, TokenKeys, Try,
        devices, network, not_authenticated,
    },
    routes::extract::{AsCaller, Json, NamedTenant, Prefix, SignInOrigin, Visitor},
};

/// What a sign-in needs: the keys of its tokens, and the limits of attempts.
#[derive(Debug)]
pub(in crate::routes) struct SignIn {
    /// Signs tokens.
    pub(in crate::routes) keys: TokenKeys,
    /// Limits failures; `None` for no limit.
    pub(in crate::routes) throttle: Option<LoginThrottle>,
    /// Limits the accounts that each network creates; `None` for no limit.
    pub(in crate::routes) sign_ups: Option<NetworkAllowance>,
    /// Limits the settings of identity providers that each tenant tries; `None` for no limit.
    pub(in crate::routes) provider_tries: Option<NetworkAllowance>,
    /// Checks ID tokens of tenants' identity providers.
    pub(in crate::routes) id_tokens: IdTokens,
}

impl SignIn {
    /// Counts an attempt with an ID token. Nobody guesses one, so failures count per tenant and network alone: a stranger's do not
    /// affect others. Settle it with its outcome.
    pub(super) fn begin_elsewhere(
        &self,
        tenant: &TenantId,
        origin: &SignInOrigin,
    ) -> Result<Try<'_>> {
        let Some(throttle) = &self.throttle else {
            return Ok(Try::uncounted());
        };
        let account = ("id token", tenant.as_str(), origin.address.map(network));
        throttle.begin(account, origin.address, None)
    }

    /// Counts an attempt on an account; operators have no tenant. Settle it with its outcome.
    pub(in crate::routes) fn begin(
        &self,
        tenant: Option<&TenantId>,
        email: &EmailAddress,
        origin: &SignInOrigin,
    ) -> Result<Try<'_>> {
        let Some(throttle) = &self.throttle else {
            return Ok(Try::uncounted());
        };
        let device = origin.device.as_deref();
        let device = device.and_then(|cookie| devices::known(&self.keys, cookie, tenant, email));
        let account = (tenant.map(TenantId::as_str), email.as_str());
        throttle.begin(account, origin.address, device)
    }

    /// The cookie that makes a device known after a sign-in, unless it is known already.
    pub(super) fn remember(
        &self,
        tenant: Option<&TenantId>,
        email: &EmailAddress,
        origin: &SignInOrigin,
    ) -> Option<HeaderValue> {
        let device = origin.device.as_deref();
        let known = device.and_then(|cookie| devices::known(&self.keys, cookie, tenant, email));
        match known {
            Some(_) => None,
            None => devices::remember(&self.keys, origin.is_over_tls, tenant, email),
        }
    }

    /// Signs the access and the refresh token of a session's generation.
    pub(super) fn sign(
        &self,
        owner: &SessionOwner,
        session: SessionId,
        generation: u32,
    ) -> Result<(String, String)> {
        let access = self.keys.sign_access(owner, session)?;
        let refresh = self.keys.sign_refresh(owner, session, generation);
        Ok((access, refresh))
    }

    pub(super) fn tokens(&self, session: Session) -> Result<TokensResponse> {
        let owner = SessionOwner::User {
            tenant: session.user.tenant.clone(),
            user: session.user.id,
        };
        let (token, refresh_token) = self.sign(&owner, session.id, session.generation)?;
        Ok(TokensResponse {
            token,
            refresh_token,
            expires_in_seconds: ACCESS_TOKEN_LIFE.as_secs(),
            user: session.user.into(),
        })
    }
}

/// A sign-up. Passwords are never logged, so this has no `Debug`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct RegisterRequest {
    /// Their address and login.
    #[schema(example = "ann@example.org")]
    email: String,
    /// Their display name.
    name: String,
    /// 8 to 200 characters.
    password: String,
    /// `customer`, or `organizer` if the tenant allows that. The default is `customer`.
    #[schema(value_type = Option<choices::RegistrationRole>)]
    role: Option<String>,
}

/// E-mail address and password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct LoginRequest {
    /// The login.
    #[schema(example = "ann@example.org")]
    email: String,
    /// The password.
    password: String,
}

impl LoginRequest {
    pub(super) fn command(self) -> Result<Login> {
        Ok(Login {
            email: EmailAddress::parse("email", &self.email)?,
            password: self.password,
        })
    }
}

/// Identifies a session.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct RefreshRequest {
    /// The last refresh token.
    pub(super) refresh_token: String,
}

/// A signed-in session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TokensResponse {
    /// Access token; send it as `Authorization: Bearer`.
    token: String,
    /// Exchanged for the next pair of tokens, once.
    refresh_token: String,
    /// Lifetime of the access token.
    expires_in_seconds: u64,
    /// The signed-in account.
    user: UserResponse,
}

/// A user of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct UserResponse {
    /// The user's id.
    id: String,
    /// Their address and login.
    email: String,
    /// Whether the address is confirmed. Bulk mails may go to confirmed addresses only.
    email_verified: bool,
    /// Their display name.
    name: String,
    /// `owner`, `organizer`, `staff` or `customer`.
    #[schema(value_type = choices::UserRole)]
    role: &'static str,
    /// Whether they may not sign in.
    suspended: bool,
    /// When their personal data were erased; null: they were not.
    #[schema(value_type = Option<String>, format = DateTime)]
    erased_at: Option<Timestamp>,
    /// The tenant they belong to.
    tenant: String,
    /// The platform's id of the user, if a platform brought them.
    external_id: Option<String>,
    /// The platform's own strings.
    metadata: BTreeMap<String, String>,
    /// When the account was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<User> for UserResponse {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.to_string(),
            email_verified: user.email_verified,
            name: user.name.to_string(),
            role: user.role.as_str(),
            suspended: user.is_suspended,
            erased_at: user.erased_at,
            tenant: user.tenant.to_string(),
            external_id: user.external_id,
            metadata: metadata_response(&user.metadata),
            created_at: user.created_at,
        }
    }
}

impl ExportRow for UserResponse {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "email",
        "emailVerified",
        "name",
        "role",
        "suspended",
        "erasedAt",
        "externalId",
        "metadata",
        "createdAt",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.email.clone(),
            self.email_verified.to_string(),
            self.name.clone(),
            self.role.to_owned(),
            self.suspended.to_string(),
            time(self.erased_at),
            self.external_id.clone().unwrap_or_default(),
            json_cell(&self.metadata, self.metadata.is_empty()),
            self.created_at.to_string(),
        ]
    }
}

/// Signs somebody up and in
///
/// If the tenant confirms addresses, the answer does not reveal whether the address has an account: a new one is created, can be used at
/// once, and waits for its address. The address gets a link to confirm it, or, if it has an account, a notice. `email-taken` is only
/// answered if nobody confirms addresses.
#[utoipa::path(post, path = "/api/auth/register", tag = "auth", request_body = RegisterRequest, security(()),
    responses((status = 201, body = TokensResponse, headers(("Location" = String))), refusals::Register))]
pub(in crate::routes) async fn register(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    Visitor(caller): Visitor,
    origin: SignInOrigin,
    Prefix(prefix): Prefix,
    Json(request): Json<RegisterRequest>,
) -> Answer<Response> {
    let command = Register {
        email: EmailAddress::parse("email", &request.email)?,
        name: Label::parse("name", &request.name)?,
        password: request.password,
        role: request
            .role
            .as_deref()
            .map_or(Ok(UserRole::Customer), str::parse)?,
    };
    if let Some(sign_ups) = &sign_in.sign_ups {
        sign_ups.take("sign-up", origin.address, 1)?;
    }
    let user = engine.users().register(&caller, command).await?;
    let sessions = engine.sessions();
    let session = sessions.open_from(&signed_in(&user), origin.client).await?;
    let location = format!("{prefix}/api/auth/me");
    Ok(created(&location, sign_in.tokens(session)?))
}

/// Signs somebody in
///
/// Wrong passwords count per account and network, so strangers cannot lock anybody out: 10 at once and as many again each
/// minute. A browser that signed in before sends its cookie `boxoffice-device` and is not affected by others' attempts.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", request_body = LoginRequest, security(()),
    responses((status = 200, body = TokensResponse), refusals::SignIn))]
pub(in crate::routes) async fn login(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    Visitor(caller): Visitor,
    origin: SignInOrigin,
    Json(request): Json<LoginRequest>,
) -> Answer<Response> {
    let command = request.command()?;
    let (tenant, email) = (caller.tenant()?, command.email.clone());
    let counted = sign_in.begin(Some(tenant), &email, &origin)?;
    let client = origin.client.clone();
    let outcome = engine.sessions().sign_in(&caller, command, client).await;
    counted.settle(&outcome);
    let session = outcome?;
    let cookie = sign_in.remember(Some(tenant), &email, &origin);
    Ok(with_cookies(
        JsonAnswer(sign_in.tokens(session)?).into_response(),
        cookie,
    ))
}

/// Exchanges a refresh token for the next pair of tokens
///
/// Each refresh token works once. For 30 seconds it is accepted again, any number of times, and returns the tokens that are
/// current then, because several tabs may refresh at once and responses get lost. An older one ends the session, because somebody
/// else may have a copy.
#[utoipa::path(post, path = "/api/auth/refresh", tag = "auth", request_body = RefreshRequest, security(()),
    responses((status = 200, body = TokensResponse), refusals::RefreshSession))]
pub(in crate::routes) async fn refresh(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    named: NamedTenant,
    Json(request): Json<RefreshRequest>,
) -> Answer<JsonAnswer<TokensResponse>> {
    let token = sign_in.keys.verify_refresh(&request.refresh_token)?;
    require_same_tenant(&named, &token)?;
    let session = engine
        .sessions()
        .rotate(&token.caller(), token.session, token.generation)
        .await?;
    Ok(JsonAnswer(sign_in.tokens(session)?))
}

/// Ends a session
///
/// An invalid token is no error, because the session has ended already (RFC 7009, 2.2). The session's access tokens are
/// refused within a second at every host.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", request_body = RefreshRequest, security(()),
    responses((status = 204), refusals::EndSession))]
pub(in crate::routes) async fn logout(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    named: NamedTenant,
    Json(request): Json<RefreshRequest>,
) -> Answer<StatusCode> {
    match sign_in.keys.verify_refresh(&request.refresh_token) {
        Ok(token) => {
            require_same_tenant(&named, &token)?;
            engine
                .sessions()
                .end(&token.caller(), token.session)
                .await?;
        }
        Err(error) if error.code() == ErrorCode::SessionEnded => {}
        Err(error) => return Err(error.into()),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of the caller
///
/// The current session included. Their tokens are refused within a second at every host.
#[utoipa::path(delete, path = "/api/auth/me/sessions", tag = "auth", operation_id = "end_sessions",
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn end_sessions(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<StatusCode> {
    caller.acting_user()?;
    engine.sessions().end_all(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the caller
#[utoipa::path(get, path = "/api/auth/me", tag = "auth",
    responses((status = 200, body = UserResponse), refusals::Restricted))]
pub(in crate::routes) async fn me(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<UserResponse>> {
    Ok(JsonAnswer(engine.users().me(&caller).await?.into()))
}

/// Sends the mail to confirm the caller's address again
///
/// Nothing is sent if it is confirmed, or if nobody is asked. At most one mail a minute, and after five none for a day.
#[utoipa::path(post, path = "/api/auth/me/verification", tag = "auth", operation_id = "ask_to_verify",
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn ask_to_verify(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<StatusCode> {
    engine.users().ask_to_verify(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn signed_in(user: &User) -> Caller {
    Caller::user(user.tenant.clone(), user.id, user.role)
}

fn require_same_tenant(named: &NamedTenant, token: &RefreshToken) -> Result<()> {
    match (token.tenant(), &named.0) {
        (None, _) => Err(not_authenticated(
            "This is an operator's token; send it to /api/operator.",
        )),
        (Some(own), Some(named)) if own != named => {
            Err(not_authenticated("This token belongs to another tenant."))
        }
        _ => Ok(()),
    }
}
