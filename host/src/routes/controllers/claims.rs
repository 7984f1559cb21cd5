//! The counters of a tenant, of which bookings claim something.

use axum::{Json as JsonAnswer, extract::State};
use boxoffice_engine::{ClaimCounter, ClaimVerdict, Engine};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, PageResponse};
use crate::routes::{
    extract::{AsCaller, AsOperator, AtPage, PageParams},
    refusals,
};

/// A counter of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ClaimResponse {
    /// What it is called, as policies name it.
    key: String,
    /// What bookings and holds have taken.
    used: u64,
    /// The limit that the last claim named.
    limit: u32,
    /// When something was last taken or given back.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

impl From<ClaimCounter> for ClaimResponse {
    fn from(counter: ClaimCounter) -> Self {
        Self {
            key: counter.key.to_string(),
            used: counter.used,
            limit: counter.limit,
            changed_at: counter.updated_at,
        }
    }
}

/// Lists the tenant's counters, of which policies let bookings take something, in the order of keys, for its owners
#[utoipa::path(get, path = "/api/claims", tag = "bookings", operation_id = "list_claims", params(PageParams),
    responses((status = 200, body = PageResponse<ClaimResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<ClaimResponse>>> {
    let page = engine.claims().list(&caller, page).await?;
    Ok(PageResponse::of(page, ClaimResponse::from))
}

/// The result of adding up what bookings and holds have of a counter.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ClaimVerdictResponse {
    /// The counter's tenant.
    tenant: String,
    /// What it is called, as policies name it.
    key: String,
    /// What bookings and holds have taken.
    used: u64,
    /// The first difference; null if there is none.
    difference: Option<String>,
}

impl From<ClaimVerdict> for ClaimVerdictResponse {
    fn from(verdict: ClaimVerdict) -> Self {
        Self {
            tenant: verdict.tenant.to_string(),
            key: verdict.key.to_string(),
            used: verdict.used,
            difference: verdict.difference,
        }
    }
}

/// Verifies the counters of tenants: each is what bookings and holds have of it
///
/// Counters of all tenants, page by page. A difference is no error: the item shows it.
#[utoipa::path(get, path = "/api/operator/verification/claims", tag = "operator", params(PageParams), operation_id = "verify_claims",
    responses((status = 200, body = PageResponse<ClaimVerdictResponse>), refusals::Restricted))]
pub(in crate::routes) async fn verify(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<ClaimVerdictResponse>>> {
    let page = engine.operators().verify_claims(&caller, page).await?;
    Ok(PageResponse::of(page, ClaimVerdictResponse::from))
}
