//! The tenant whose door this is.

use axum::{Json, extract::State};
use boxoffice_engine::{Engine, Tenant};
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use crate::routes::extract::AsCaller;

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct TenantResponse {
    /// Its name in host names, headers and tokens.
    #[schema(example = "default")]
    id: String,
    /// What people call it.
    name: String,
    /// ISO 4217 code of all its prices.
    #[schema(example = "EUR")]
    currency: String,
}

impl From<Tenant> for TenantResponse {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            name: tenant.name.to_string(),
            currency: tenant.currency,
        }
    }
}

/// Shows the request's tenant
#[utoipa::path(get, path = "/api/tenant", tag = "tenant", security((), ("bearer" = [])),
    responses((status = 200, body = TenantResponse)),
    extensions(("x-error-codes" = json!(["not-found"]))))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<Json<TenantResponse>> {
    Ok(Json(engine.tenants().show(&caller).await?.into()))
}
