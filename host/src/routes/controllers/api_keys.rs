//! API keys of the tenant, for its owners.

use axum::{Json as JsonAnswer, extract::State, http::StatusCode, response::Response};
use boxoffice_engine::{
    ApiKey, ApiKeyId, CreateApiKey, Engine, Error, Label, NewApiKey, Result, Scope, Scopes,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, created};
use crate::routes::{
    choices,
    extract::{AsCaller, Id, Json, times::instant},
    refusals,
};

/// Most items of a list of scopes: more than there are is a mistake.
const SCOPES_MAX: usize = 32;

/// An API key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ApiKeyRequest {
    /// What it is called: one line of 1 to 200 characters.
    #[schema(example = "Box office")]
    name: String,
    /// What it may do: at least one scope.
    #[schema(value_type = Vec<choices::ApiKeyScope>)]
    scopes: Vec<String>,
    /// When it stops working, RFC 3339; null or left out: never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<String>,
}

impl ApiKeyRequest {
    fn command(self) -> Result<CreateApiKey> {
        if self.scopes.len() > SCOPES_MAX {
            return Err(Error::field("scopes", "Name each scope once."));
        }
        let scopes = self.scopes.iter().enumerate().map(|(index, name)| {
            let scope: Result<Scope> = name.parse();
            scope.map_err(|error| error.at_field(format!("scopes[{index}]")))
        });
        Ok(CreateApiKey {
            name: Label::parse("name", &self.name)?,
            scopes: scopes.collect::<Result<Scopes>>()?,
            expires_at: match self.expires_at {
                Some(at) => Some(instant(&at, "expiresAt")?),
                None => None,
            },
        })
    }
}

/// An API key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ApiKeyResponse {
    /// Its id.
    id: String,
    /// What it is called.
    name: String,
    /// What it may do.
    #[schema(value_type = Vec<choices::ApiKeyScope>)]
    scopes: Vec<&'static str>,
    /// The id of the owner who made it; null: the platform did.
    created_by: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it stops working; null: never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was last used, to five minutes; null: never.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl From<ApiKey> for ApiKeyResponse {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.to_string(),
            scopes: key.scopes.iter().map(Scope::as_str).collect(),
            created_by: key.created_by.map(|user| user.to_string()),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// A new API key with its secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct NewApiKeyResponse {
    #[serde(flatten)]
    key: ApiKeyResponse,
    /// What programs send as `Authorization: Bearer`. It is shown this once; only its hash is kept.
    secret: String,
}

/// The tenant's API keys.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct ApiKeysResponse {
    /// All of them, the newest first; at most 100.
    items: Vec<ApiKeyResponse>,
}

/// Makes an API key, for owners
///
/// The secret is in this answer and nowhere else. An Idempotency-Key has no effect here, because the secret is not kept.
#[utoipa::path(post, path = "/api/keys", tag = "tenant", operation_id = "create_key", request_body = ApiKeyRequest,
    responses((status = 201, body = NewApiKeyResponse), refusals::CreateApiKey))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Json(request): Json<ApiKeyRequest>,
) -> Answer<Response> {
    let keys = engine.api_keys();
    let NewApiKey { key, secret } = keys.create(&caller, request.command()?).await?;
    let location = format!("/api/keys/{}", key.id);
    let key = key.into();
    Ok(created(&location, NewApiKeyResponse { key, secret }))
}

/// Lists the tenant's API keys, for owners
#[utoipa::path(get, path = "/api/keys", tag = "tenant", operation_id = "list_keys",
    responses((status = 200, body = ApiKeysResponse), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<ApiKeysResponse>> {
    let keys = engine.api_keys().list(&caller).await?;
    let items = keys.into_iter().map(ApiKeyResponse::from).collect();
    Ok(JsonAnswer(ApiKeysResponse { items }))
}

/// Shows an API key, for owners
#[utoipa::path(get, path = "/api/keys/{id}", tag = "tenant", operation_id = "show_key",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, body = ApiKeyResponse), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(key): Id<ApiKeyId>,
) -> Answer<JsonAnswer<ApiKeyResponse>> {
    let key = engine.api_keys().show(&caller, key).await?;
    Ok(JsonAnswer(key.into()))
}

/// Revokes an API key, for owners
///
/// Within a second no host accepts it.
#[utoipa::path(delete, path = "/api/keys/{id}", tag = "tenant", operation_id = "revoke_key",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn revoke(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(key): Id<ApiKeyId>,
) -> Answer<StatusCode> {
    engine.api_keys().revoke(&caller, key).await?;
    Ok(StatusCode::NO_CONTENT)
}
