//! A tenant's plugins: upload, activation, trials, logs and decisions. For owners.

mod catalogue;
mod metrics;
mod requests;
mod responses;
mod uploads;

use std::sync::LazyLock;

use axum::{
    Json as JsonAnswer,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use boxoffice_engine::{
    BookingId, Engine, Error, PluginHash, PluginName, UploadPlugin,
    ports::{BuiltInRequest, PluginRequest},
};
use serde_json::Value;

use super::{Answer, PageResponse};
use crate::routes::{
    extract::{AsCaller, AtPage, Id, Json, NewId, PageParams, Prefix, read_value, require_type},
    refusals,
};
pub(in crate::routes) use catalogue::CatalogueResponse;
pub(in crate::routes) use metrics::{PluginMetricsResponse, PluginOverviewResponse};
pub(in crate::routes) use requests::{
    ActivatePluginRequest, DryRunRequest, PluginUseRequest, ReplayRequest,
};
use requests::{config_text, event_of};
pub(in crate::routes) use responses::{
    DecisionResponse, DryRunResponse, FailedCallsResponse, PluginLogResponse, PluginSetResponse,
    PluginVersionResponse, ReplayResponse,
};

const WASM: &str = "application/wasm";
/// Most uploads that are read at the same time in this process.
static UPLOADS: LazyLock<uploads::UploadPlaces> = LazyLock::new(uploads::UploadPlaces::new);

/// Uploads a version of a plugin: the component itself as the body
///
/// It is checked and compiled in the background. Read its state at the Location until it is `ready`, or `rejected` with
/// a reason. The same bytes again are the same version. One that was rejected and has `mayRetry` is compiled again.
#[utoipa::path(post, path = "/api/plugins/{id}/versions", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name: 1 to 64 of a-z, 0-9 and -")),
    request_body(content_type = "application/wasm", content = Vec<u8>),
    responses((status = 202, body = PluginVersionResponse), refusals::UploadPlugin))]
pub(in crate::routes) async fn upload(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    NewId(name): NewId<PluginName>,
    request: Request,
) -> Answer<Response> {
    // Before anything is read: the engine checks the permission and the size.
    let bytes_max = engine.plugins().upload_bytes_max(&caller).await?;
    name.require_uploadable()?;
    require_type(request.headers(), &[WASM])?;
    uploads::check_length(request.headers(), bytes_max)?;
    let place = UPLOADS.enter(caller.tenant()?).await?;
    let bytes = uploads::read(request.into_body(), bytes_max).await?;
    let command = UploadPlugin { name, bytes };
    let version = engine.plugins().upload(&caller, command).await?;
    drop(place);
    let location = format!("{prefix}/api/plugins/versions/{}", version.hash);
    let body = PluginVersionResponse::from(version);
    let mut response = (StatusCode::ACCEPTED, JsonAnswer(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Refuses an upload with the reserved name, with a clearer error than a wrong method.
pub(in crate::routes) async fn upload_reserved(AsCaller(_): AsCaller) -> Answer<Response> {
    Err(match PluginName::parse("name", "versions") {
        Err(error) => error.into(),
        Ok(_) => Error::internal("the name of an address is free").into(),
    })
}

/// Lists all versions of all plugins
#[utoipa::path(get, path = "/api/plugins/versions", tag = "plugins", params(PageParams),
    responses((status = 200, body = PageResponse<PluginVersionResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_versions(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<PluginVersionResponse>>> {
    let page = engine.plugins().list(&caller, page).await?;
    Ok(PageResponse::of(page, PluginVersionResponse::from))
}

/// Shows a version: its state and its interface
#[utoipa::path(get, path = "/api/plugins/versions/{id}", tag = "plugins",
    params(("id" = String, Path, description = "SHA-256 of the component")),
    responses((status = 200, body = PluginVersionResponse), refusals::Restricted))]
pub(in crate::routes) async fn show_version(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(hash): Id<PluginHash>,
) -> Answer<JsonAnswer<PluginVersionResponse>> {
    let version = engine.plugins().show(&caller, hash).await?;
    Ok(JsonAnswer(version.into()))
}

/// Deletes a version that is not active
#[utoipa::path(delete, path = "/api/plugins/versions/{id}", tag = "plugins",
    params(("id" = String, Path, description = "SHA-256 of the component")),
    responses((status = 204), refusals::DeletePlugin))]
pub(in crate::routes) async fn delete_version(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(hash): Id<PluginHash>,
) -> Answer<StatusCode> {
    engine.plugins().delete(&caller, hash).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Calls a version with a request, without any effect
///
/// A version of a built-in policy from `GET /api/policy-catalogue`, too.
#[utoipa::path(post, path = "/api/plugins/versions/{id}/dry-run", tag = "plugins",
    params(("id" = String, Path, description = "SHA-256 of the component")),
    request_body = DryRunRequest,
    responses((status = 200, body = DryRunResponse), refusals::TryPlugin))]
pub(in crate::routes) async fn dry_run(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(hash): Id<PluginHash>,
    Json(request): Json<DryRunRequest>,
) -> Answer<JsonAnswer<DryRunResponse>> {
    let plugins = engine.plugins();
    let question = Value::Object(request.question);
    let invalid = |error: Error| Error::field("question", error.to_string());
    let config = config_text(request.config);
    let outcome = if plugins.is_built_in(hash) {
        let question: BuiltInRequest = read_value(question).map_err(invalid)?;
        plugins
            .dry_run_built_in(&caller, hash, question, config)
            .await?
    } else {
        let question: PluginRequest = read_value(question).map_err(invalid)?;
        plugins.dry_run(&caller, hash, question, config).await?
    };
    Ok(JsonAnswer(outcome.into()))
}

/// Replays recorded requests with a version, and lists the answers that differ
///
/// With a version of a built-in policy: what the policy decided under any label.
#[utoipa::path(post, path = "/api/plugins/versions/{id}/replay", tag = "plugins",
    params(("id" = String, Path, description = "SHA-256 of the component")),
    request_body = ReplayRequest,
    responses((status = 200, body = ReplayResponse), refusals::TryPlugin))]
pub(in crate::routes) async fn replay(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(hash): Id<PluginHash>,
    Json(request): Json<ReplayRequest>,
) -> Answer<JsonAnswer<ReplayResponse>> {
    let config = config_text(request.config);
    let report = engine
        .plugins()
        .replay(&caller, hash, request.last, config)
        .await?;
    Ok(JsonAnswer(report.into()))
}

/// Shows the active plugins, in the order in which policies are called
#[utoipa::path(get, path = "/api/plugins", tag = "plugins",
    responses((status = 200, body = PluginSetResponse), refusals::Restricted))]
pub(in crate::routes) async fn in_use(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<PluginSetResponse>> {
    Ok(JsonAnswer(engine.plugins().in_use(&caller).await?.into()))
}

/// Lists the built-in policies, which every tenant can activate without an upload
///
/// Activate one with `POST /api/plugins/NAME/activate` and a configuration that fits its schema.
#[utoipa::path(get, path = "/api/policy-catalogue", tag = "plugins",
    responses((status = 200, body = CatalogueResponse), refusals::Restricted))]
pub(in crate::routes) async fn policy_catalogue(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<CatalogueResponse>> {
    let policies = engine.plugins().catalogue(&caller).await?;
    Ok(JsonAnswer(policies.into()))
}

/// Activates a version, or changes its order, its configuration or whether it is called
///
/// A new version or configuration is tried first, with the given fixtures and a harmless request to each of
/// its exports. A rejection is a valid answer. A plugin that fails is not activated. A built-in policy is activated in the same way,
/// under its name in `GET /api/policy-catalogue` or that name with a label (`boxoffice.promo-codes.spring`); its configuration must fit
/// its schema.
#[utoipa::path(post, path = "/api/plugins/{id}/activate", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name")),
    request_body = ActivatePluginRequest,
    responses((status = 200, body = PluginSetResponse), refusals::ActivatePlugin))]
pub(in crate::routes) async fn activate(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(name): Id<PluginName>,
    Json(request): Json<ActivatePluginRequest>,
) -> Answer<JsonAnswer<PluginSetResponse>> {
    let command = request.command(name)?;
    let activation = engine.plugins().activate(&caller, command).await?;
    Ok(JsonAnswer(activation.into()))
}

/// Activates the version that was active before
#[utoipa::path(post, path = "/api/plugins/{id}/roll-back", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name")),
    request_body = PluginUseRequest,
    responses((status = 200, body = PluginSetResponse), refusals::RollBackPlugin))]
pub(in crate::routes) async fn roll_back(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(name): Id<PluginName>,
    Json(request): Json<PluginUseRequest>,
) -> Answer<JsonAnswer<PluginSetResponse>> {
    let event = event_of(request.event_id.as_deref())?;
    let set = engine.plugins().roll_back(&caller, &name, event).await?;
    Ok(JsonAnswer(set.into()))
}

/// Deactivates a plugin
#[utoipa::path(post, path = "/api/plugins/{id}/remove", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name")),
    request_body = PluginUseRequest,
    responses((status = 200, body = PluginSetResponse), refusals::RestrictedKeyed))]
pub(in crate::routes) async fn remove(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(name): Id<PluginName>,
    Json(request): Json<PluginUseRequest>,
) -> Answer<JsonAnswer<PluginSetResponse>> {
    let event = event_of(request.event_id.as_deref())?;
    let set = engine.plugins().remove(&caller, &name, event).await?;
    Ok(JsonAnswer(set.into()))
}

/// Shows a plugin's recent log lines and failures, also if it is not active any more
#[utoipa::path(get, path = "/api/plugins/{id}/logs", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name")),
    responses((status = 200, body = PluginLogResponse), refusals::Restricted))]
pub(in crate::routes) async fn logs(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(name): Id<PluginName>,
) -> Answer<JsonAnswer<PluginLogResponse>> {
    let entries = engine.plugins().logs(&caller, &name).await?;
    Ok(JsonAnswer(PluginLogResponse {
        items: entries.into_iter().map(Into::into).collect(),
    }))
}

/// Shows a plugin's recent failed calls, each with its request, so that it can be repeated
#[utoipa::path(get, path = "/api/plugins/{id}/failed-calls", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name")),
    responses((status = 200, body = FailedCallsResponse), refusals::Restricted))]
pub(in crate::routes) async fn failed_calls(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(name): Id<PluginName>,
) -> Answer<JsonAnswer<FailedCallsResponse>> {
    let calls = engine.plugins().failed_calls(&caller, &name).await?;
    Ok(JsonAnswer(FailedCallsResponse {
        items: calls.into_iter().map(Into::into).collect(),
    }))
}

/// Shows the health of all active plugins, by name
///
/// For the dashboard: the content of `GET /api/plugins/{id}/metrics` for each.
#[utoipa::path(get, path = "/api/admin/plugins", tag = "plugins",
    responses((status = 200, body = PluginOverviewResponse), refusals::Restricted))]
pub(in crate::routes) async fn overview(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<PluginOverviewResponse>> {
    let overview = engine.plugins().overview(&caller).await?;
    Ok(JsonAnswer(overview.into()))
}

/// Shows an active plugin's health: quarantine, and this process's counters of its calls
#[utoipa::path(get, path = "/api/plugins/{id}/metrics", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name")),
    responses((status = 200, body = PluginMetricsResponse), refusals::Restricted))]
pub(in crate::routes) async fn metrics(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(name): Id<PluginName>,
) -> Answer<JsonAnswer<PluginMetricsResponse>> {
    let metrics = engine.plugins().metrics(&caller, &name).await?;
    Ok(JsonAnswer(metrics.into()))
}

/// Shows the decision of a booking: its plugins, with input and answer
#[utoipa::path(get, path = "/api/bookings/{id}/decision", tag = "plugins",
    params(("id" = String, Path, description = "Which booking")),
    responses((status = 200, body = DecisionResponse), refusals::Restricted))]
pub(in crate::routes) async fn decision(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(booking): Id<BookingId>,
) -> Answer<JsonAnswer<DecisionResponse>> {
    let record = engine.plugins().decision(&caller, booking).await?;
    Ok(JsonAnswer(record.into()))
}
