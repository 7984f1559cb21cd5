//! The dashboard's session: the same accounts and tokens, in cookies that no script can read.

use std::{sync::Arc, time::Duration};

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use boxoffice_engine::{
    Caller, EmailAddress, Engine, Error, ErrorCode, Login, Operator, OperatorSession, Result, Role,
    Session, SessionId, SessionOwner, TenantId, User,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Answer, auth::SignIn, with_cookies};
use crate::{
    auth::{ACCESS_TOKEN_LIFE, cookies, not_authenticated},
    routes::extract::{Json, OverTls, SignInOrigin},
};

/// A sign-in to the dashboard.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct OpenRequest {
    email: String,
    password: String,
    /// The tenant; `None` for an operator, or if there is only one.
    tenant: Option<String>,
    /// Whether to sign in as an operator.
    #[serde(default)]
    operator: bool,
}

/// The signed-in account, and the header value that the page sends with every request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionResponse {
    csrf_token: String,
    expires_in_seconds: u64,
    role: &'static str,
    tenant: Option<String>,
    name: Option<String>,
}

/// Not signed in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NobodyResponse {
    /// Whether there is a session that can be refreshed.
    may_refresh: bool,
    /// The header value for the refresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
}

/// A session that was just opened or refreshed.
struct Opened {
    owner: SessionOwner,
    id: SessionId,
    generation: u32,
    expires_at: Timestamp,
    shown: SessionResponse,
}

/// Signs in.
pub(in crate::routes) async fn open(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    headers: HeaderMap,
    origin: SignInOrigin,
    Json(request): Json<OpenRequest>,
) -> Answer<Response> {
    cookies::require_own_site(&headers)?;
    let email = EmailAddress::parse("email", &request.email)?;
    let login = Login {
        email: email.clone(),
        password: request.password,
    };
    if request.operator {
        let counted = sign_in.begin(None, &email, &origin)?;
        let client = origin.client.clone();
        let outcome = engine.operators().sign_in_from(login, client).await;
        counted.settle(&outcome);
        let opened = Opened::by_operator(&sign_in, outcome?);
        let answer = answer(&sign_in, origin.is_over_tls, opened)?;
        return Ok(with_cookies(
            answer,
            sign_in.remember(None, &email, &origin),
        ));
    }
    let tenant = match request.tenant.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() => TenantId::parse(name)?,
        _ => {
            let implied = engine.tenants().implied().await?;
            implied.ok_or_else(|| {
                Error::field("tenant", "Name the tenant, because there are several.")
            })?
        }
    };
    let counted = sign_in.begin(Some(&tenant), &email, &origin)?;
    let visitor = Caller::anonymous(tenant.clone());
    let client = origin.client.clone();
    let outcome = engine.sessions().sign_in(&visitor, login, client).await;
    counted.settle(&outcome);
    let opened = Opened::by_user(&sign_in, outcome?);
    let answer = answer(&sign_in, origin.is_over_tls, opened)?;
    Ok(with_cookies(
        answer,
        sign_in.remember(Some(&tenant), &email, &origin),
    ))
}

/// Shows the signed-in account. Only the page itself can read the response, with the header value to send.
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    headers: HeaderMap,
    OverTls(is_over_tls): OverTls,
) -> Answer<Response> {
    cookies::require_own_site(&headers)?;
    let tokens = cookies::read(&headers, is_over_tls);
    if let Some(access) = tokens.access {
        match session_of(&engine, &sign_in, access).await {
            Ok(session) => return Ok(JsonAnswer(session).into_response()),
            Err(error) if error.code() == ErrorCode::NotAuthenticated => {}
            Err(error) => return Err(error.into()),
        }
    }
    let refresh = tokens.refresh;
    let refresh = refresh.and_then(|refresh| sign_in.keys.verify_refresh(refresh).ok());
    // No error: the page is also opened to sign in.
    let nobody = NobodyResponse {
        may_refresh: refresh.is_some(),
        csrf_token: refresh.map(|token| sign_in.keys.csrf_of(token.session)),
    };
    Ok(JsonAnswer(nobody).into_response())
}

/// Refreshes the tokens. Needs the cookie with the refresh token and the page's header. The
/// session's end does not change.
pub(in crate::routes) async fn refresh(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    headers: HeaderMap,
    OverTls(is_over_tls): OverTls,
) -> Answer<Response> {
    cookies::require_own_site(&headers)?;
    let refresh = cookies::read(&headers, is_over_tls).refresh;
    let token = sign_in
        .keys
        .verify_refresh(refresh.ok_or_else(signed_out)?)?;
    cookies::require_own_page(&headers, &sign_in.keys, token.session)?;
    let (caller, id, generation) = (token.caller(), token.session, token.generation);
    let opened = match token.owner {
        SessionOwner::User { .. } => {
            let session = engine.sessions().rotate(&caller, id, generation).await?;
            Opened::by_user(&sign_in, session)
        }
        SessionOwner::Operator(_) => {
            let session = engine.operators().rotate(&caller, id, generation).await?;
            Opened::by_operator(&sign_in, session)
        }
    };
    answer(&sign_in, is_over_tls, opened)
}

/// Signs out. No error if nobody is signed in.
pub(in crate::routes) async fn end(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    headers: HeaderMap,
    OverTls(is_over_tls): OverTls,
) -> Answer<Response> {
    cookies::require_own_site(&headers)?;
    if let Some(refresh) = cookies::read(&headers, is_over_tls).refresh
        && let Ok(token) = sign_in.keys.verify_refresh(refresh)
    {
        cookies::require_own_page(&headers, &sign_in.keys, token.session)?;
        engine
            .sessions()
            .end(&token.caller(), token.session)
            .await?;
    }
    Ok(with_cookies(
        StatusCode::NO_CONTENT.into_response(),
        cookies::clear(is_over_tls),
    ))
}

impl Opened {
    fn by_user(sign_in: &SignIn, session: Session) -> Self {
        let owner = SessionOwner::User {
            tenant: session.user.tenant.clone(),
            user: session.user.id,
        };
        Self {
            owner,
            id: session.id,
            generation: session.generation,
            expires_at: session.expires_at,
            shown: SessionResponse::of_user(sign_in, session.id, &session.user),
        }
    }

    fn by_operator(sign_in: &SignIn, session: OperatorSession) -> Self {
        let Operator { email, .. } = session.operator;
        Self {
            id: session.id,
            generation: session.generation,
            expires_at: session.expires_at,
            shown: SessionResponse::of_operator(sign_in, session.id, Some(&email)),
            owner: SessionOwner::Operator(email),
        }
    }
}

impl SessionResponse {
    fn of_user(sign_in: &SignIn, session: SessionId, user: &User) -> Self {
        Self {
            csrf_token: sign_in.keys.csrf_of(session),
            expires_in_seconds: ACCESS_TOKEN_LIFE.as_secs(),
            role: user.role.as_str(),
            tenant: Some(user.tenant.to_string()),
            name: Some(user.name.to_string()),
        }
    }

    fn of_operator(sign_in: &SignIn, session: SessionId, email: Option<&EmailAddress>) -> Self {
        Self {
            csrf_token: sign_in.keys.csrf_of(session),
            expires_in_seconds: ACCESS_TOKEN_LIFE.as_secs(),
            role: "operator",
            tenant: None,
            name: email.map(EmailAddress::to_string),
        }
    }
}

fn answer(sign_in: &SignIn, is_over_tls: bool, opened: Opened) -> Answer<Response> {
    let (access, refresh) = sign_in.sign(&opened.owner, opened.id, opened.generation)?;
    let left = opened.expires_at.duration_since(Timestamp::now());
    let left = Duration::try_from(left).unwrap_or_default();
    Ok(with_cookies(
        JsonAnswer(opened.shown).into_response(),
        cookies::set(is_over_tls, &access, (&refresh, left)),
    ))
}

async fn session_of(engine: &Engine, sign_in: &SignIn, access: &str) -> Result<SessionResponse> {
    let token = sign_in.keys.verify_access(access)?;
    let (id, sessions) = (token.session, engine.sessions());
    let caller = sessions.caller(&token.owner, id).await?;
    Ok(match caller.role() {
        Role::Operator => SessionResponse::of_operator(sign_in, id, caller.operator_email()),
        _ => {
            let user = engine.users().me(&caller).await?;
            SessionResponse::of_user(sign_in, id, &user)
        }
    })
}

fn signed_out() -> Error {
    not_authenticated("Nobody is signed in on this page.")
}
