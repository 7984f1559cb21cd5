//! Erasing people's data, and the list of erased accounts that is kept beside backups.

use std::sync::Arc;

use axum::{Json as JsonAnswer, extract::State, http::StatusCode};
use boxoffice_engine::{Engine, Erasure, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    auth::{SignIn, UserResponse},
};
use crate::routes::{
    extract::{AsCaller, AsOperator, AtPage, Id, Json, PageParams, SignInOrigin},
    refusals,
};

/// Erases the caller's own account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct EraseMeRequest {
    /// The account's password.
    current_password: String,
}

/// An erased account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ErasureResponse {
    /// The account's tenant.
    tenant: String,
    /// The account's id.
    user_id: String,
    /// When it was erased.
    #[schema(value_type = String, format = DateTime)]
    erased_at: Timestamp,
}

impl From<Erasure> for ErasureResponse {
    fn from(erasure: Erasure) -> Self {
        Self {
            tenant: erasure.tenant.to_string(),
            user_id: erasure.user.to_string(),
            erased_at: erasure.at,
        }
    }
}

/// Erases a user's personal data, for owners
///
/// Name, address, logins, sessions, places in teams, recorded answers, and what policies were told about their bookings are removed.
/// Bookings, tickets and totals stay under the user's id; tickets stay valid, and no mail goes out about them any more. It cannot be
/// undone.
#[utoipa::path(post, path = "/api/users/{id}/erase", tag = "tenant", operation_id = "erase_user",
    params(("id" = String, Path, description = "Which user")),
    responses((status = 200, body = UserResponse), refusals::ChangeUser))]
pub(in crate::routes) async fn erase(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(user): Id<UserId>,
) -> Answer<JsonAnswer<UserResponse>> {
    let erased = engine.users().erase(&caller, user).await?;
    Ok(JsonAnswer(erased.into()))
}

/// Erases the caller's own personal data
///
/// As an owner does with `/api/users/{id}/erase`; it needs the password. All sessions end. It cannot be undone.
#[utoipa::path(post, path = "/api/auth/me/erase", tag = "auth", operation_id = "erase_me", request_body = EraseMeRequest,
    responses((status = 204), refusals::EraseMe))]
pub(in crate::routes) async fn erase_me(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    AsCaller(caller): AsCaller,
    origin: SignInOrigin,
    Json(request): Json<EraseMeRequest>,
) -> Answer<StatusCode> {
    let user = engine.users().me(&caller).await?;
    let counted = sign_in.begin(Some(&user.tenant), &user.email, &origin)?;
    let users = engine.users();
    let outcome = users.erase_me(&caller, request.current_password).await;
    counted.settle(&outcome);
    outcome?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists erased accounts of all tenants
///
/// In the order of tenant and id. Keep the list beside backups: `boxoffice restore --erasures` erases these accounts again.
#[utoipa::path(get, path = "/api/operator/erasures", tag = "operator", params(PageParams), operation_id = "list_erasures",
    responses((status = 200, body = PageResponse<ErasureResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<ErasureResponse>>> {
    let page = engine.operators().erasures(&caller, page).await?;
    Ok(PageResponse::of(page, ErasureResponse::from))
}
