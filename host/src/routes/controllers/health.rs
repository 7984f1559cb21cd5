//! Health checks for load balancers and supervisors: whether this process is alive, and whether it can serve.

use axum::{Json, extract::State};
use boxoffice_engine::Engine;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use crate::routes::refusals;

/// The result of a check.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct HealthResponse {
    /// Always `ok`; anything else is a problem.
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Json<HealthResponse> = Json(HealthResponse { status: "ok" });

/// Reports that the process runs
///
/// Checks nothing else: a failing store is no reason to restart this process.
#[utoipa::path(get, path = "/health/live", tag = "health", security(()),
    responses((status = 200, body = HealthResponse)))]
pub(in crate::routes) async fn live() -> Json<HealthResponse> {
    OK
}

/// Reports whether this process can serve
///
/// The store answers, and this host has loaded all active plugins. Missing ones are loaded in the
/// background, and named in the answer.
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()),
    responses((status = 200, body = HealthResponse), refusals::NotReady))]
pub(in crate::routes) async fn ready(State(engine): State<Engine>) -> Answer<Json<HealthResponse>> {
    engine.ready().await?;
    Ok(OK)
}
