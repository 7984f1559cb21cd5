//! Whether this process lives, and whether it can serve. For load balancers and supervisors.

use axum::{Json, extract::State};
use boxoffice_engine::Engine;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;

/// How a check went.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct HealthResponse {
    /// Always `ok`; anything else is a problem.
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Json<HealthResponse> = Json(HealthResponse { status: "ok" });

/// Says that the process runs
///
/// Asks nothing else: a store that is away is no reason to restart this process.
#[utoipa::path(get, path = "/health/live", tag = "health", security(()),
    responses((status = 200, body = HealthResponse)))]
pub(in crate::routes) async fn live() -> Json<HealthResponse> {
    OK
}

/// Says whether this process can serve
///
/// The store answers, and every plugin that tenants have in use is on this host. What is missing is brought here behind the
/// answer, which names it.
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()),
    responses((status = 200, body = HealthResponse)),
    extensions(("x-error-codes" = json!(["unavailable"]))))]
pub(in crate::routes) async fn ready(State(engine): State<Engine>) -> Answer<Json<HealthResponse>> {
    engine.ready().await?;
    Ok(OK)
}
