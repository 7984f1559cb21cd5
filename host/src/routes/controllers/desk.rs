//! Signing in to the dashboard: the same accounts and tokens, kept in cookies that no script can read.

use std::sync::Arc;

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE},
    response::{IntoResponse, Response},
};
use boxoffice_engine::{
    Caller, EmailAddress, Engine, Error, ErrorCode, Login, Result, Role, TenantId,
};
use serde::{Deserialize, Serialize};

use super::{Answer, auth::SignIn};
use crate::{
    auth::{ACCESS_TOKEN_LIFE, cookies, not_authenticated},
    routes::extract::{ClientAddress, Json},
};

/// Proves who somebody is, and where they want in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct OpenRequest {
    email: String,
    password: String,
    /// Which tenant; none for an operator, or where there is only one.
    tenant: Option<String>,
    /// Whether somebody signs in as an operator of the installation.
    #[serde(default)]
    operator: bool,
}

/// Who is signed in, and what the page sends along with every request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionResponse {
    csrf_token: String,
    expires_in_seconds: u64,
    role: &'static str,
    tenant: Option<String>,
    name: Option<String>,
}

/// Nobody is signed in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NobodyResponse {
    /// Whether there is a session that can go on.
    may_refresh: bool,
}

/// Signs in.
pub(in crate::routes) async fn open(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    headers: HeaderMap,
    ClientAddress(address): ClientAddress,
    Json(request): Json<OpenRequest>,
) -> Answer<Response> {
    cookies::require_own_site(&headers)?;
    let email = EmailAddress::parse("email", &request.email)?;
    let login = Login {
        email: email.clone(),
        password: request.password,
    };
    if request.operator {
        sign_in.count_try((None::<&TenantId>, email.as_str()), address)?;
        let operator = engine.operators().login(login).await?;
        let access = sign_in.keys.sign_operator(Some(&operator.email))?;
        return answer(&engine, &sign_in, &headers, &access, None).await;
    }
    let tenant = match request.tenant.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() => TenantId::parse(name)?,
        _ => {
            let implied = engine.tenants().implied().await?;
            implied
                .ok_or_else(|| Error::field("tenant", "Which tenant? There are several here."))?
        }
    };
    sign_in.count_try((Some(&tenant), email.as_str()), address)?;
    let user = engine
        .users()
        .login(&Caller::anonymous(tenant), login)
        .await?;
    let caller = Caller::user(user.tenant.clone(), user.id, user.role);
    let session = engine.sessions().open(&caller).await?;
    let access = sign_in.keys.sign_user(&session.user)?;
    let refresh = sign_in.keys.sign_refresh(&session);
    answer(&engine, &sign_in, &headers, &access, Some(&refresh)).await
}

/// Shows who is signed in. Its answer can be read by our own page only, which is told what to send along.
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    headers: HeaderMap,
) -> Answer<Response> {
    cookies::require_own_site(&headers)?;
    let tokens = cookies::read(&headers);
    if let Some(access) = tokens.access {
        match session_of(&engine, &sign_in, access).await {
            Ok(session) => return Ok(JsonAnswer(session).into_response()),
            Err(error) if error.code() == ErrorCode::NotAuthenticated => {}
            Err(error) => return Err(error.into()),
        }
    }
    // No error: whoever opens the page to sign in has done nothing wrong.
    let nobody = NobodyResponse {
        may_refresh: tokens.refresh.is_some(),
    };
    Ok(JsonAnswer(nobody).into_response())
}

/// Gets the next pair of tokens. An operator's goes on for as long as the page is open.
pub(in crate::routes) async fn refresh(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    headers: HeaderMap,
) -> Answer<Response> {
    cookies::require_own_site(&headers)?;
    let tokens = cookies::read(&headers);
    if let Some(refresh) = tokens.refresh {
        let token = sign_in.keys.verify_refresh(refresh)?;
        let session = engine
            .sessions()
            .rotate(&token.caller(), token.session, token.generation)
            .await?;
        let access = sign_in.keys.sign_user(&session.user)?;
        let refresh = sign_in.keys.sign_refresh(&session);
        return answer(&engine, &sign_in, &headers, &access, Some(&refresh)).await;
    }
    let caller = sign_in
        .keys
        .verify_access(tokens.access.ok_or_else(signed_out)?)?;
    if caller.role() != Role::Operator {
        return Err(signed_out().into());
    }
    let access = sign_in.keys.sign_operator(caller.operator_email())?;
    answer(&engine, &sign_in, &headers, &access, None).await
}

/// Signs out. Somebody who is not signed in is signed out already.
pub(in crate::routes) async fn end(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    headers: HeaderMap,
) -> Answer<Response> {
    cookies::require_own_site(&headers)?;
    if let Some(refresh) = cookies::read(&headers).refresh
        && let Ok(token) = sign_in.keys.verify_refresh(refresh)
    {
        engine
            .sessions()
            .end(&token.caller(), token.session)
            .await?;
    }
    Ok(with_cookies(
        StatusCode::NO_CONTENT.into_response(),
        cookies::clear(&headers),
    ))
}

async fn answer(
    engine: &Engine,
    sign_in: &SignIn,
    headers: &HeaderMap,
    access: &str,
    refresh: Option<&str>,
) -> Answer<Response> {
    let session = session_of(engine, sign_in, access).await?;
    Ok(with_cookies(
        JsonAnswer(session).into_response(),
        cookies::set(headers, access, refresh),
    ))
}

async fn session_of(engine: &Engine, sign_in: &SignIn, access: &str) -> Result<SessionResponse> {
    let caller = sign_in.keys.verify_access(access)?;
    let (role, name) = match caller.role() {
        Role::Operator => (
            "operator",
            caller.operator_email().map(EmailAddress::to_string),
        ),
        _ => {
            let user = engine.users().me(&caller).await?;
            (user.role.as_str(), Some(user.name.to_string()))
        }
    };
    Ok(SessionResponse {
        csrf_token: sign_in.keys.csrf_of(access),
        expires_in_seconds: ACCESS_TOKEN_LIFE.as_secs(),
        role,
        tenant: caller.tenant().ok().map(TenantId::to_string),
        name,
    })
}

fn with_cookies(mut response: Response, cookies: Vec<HeaderValue>) -> Response {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn signed_out() -> Error {
    not_authenticated("Nobody is signed in on this page.")
}
