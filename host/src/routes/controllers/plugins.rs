//! A tenant's plugins: uploading, putting into use, trying out, reading logs and decisions. For owners.

use axum::{
    Json as JsonAnswer,
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE, header::LOCATION},
    response::{IntoResponse, Response},
};
use boxoffice_engine::{
    ActivatePlugin, ActivePlugin, BookingId, DecisionRecord, Engine, Error, ErrorCode, EventId,
    PluginHash, PluginLogEntry, PluginName, PluginSet, PluginState, PluginVersion, UploadPlugin,
    WhenNotLoaded,
    app_modules::ReplayReport,
    ports::{PluginOutcome, PluginRequest},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    problem::{Problem, UNSUPPORTED_MEDIA_TYPE},
};
use crate::routes::extract::{AsCaller, AtPage, Id, Json, PageParams, Prefix, read_value};

const WASM: &str = "application/wasm";
/// Uploads that are read at the same time, of all tenants: each is in memory until it is written.
static UPLOADS: Semaphore = Semaphore::const_new(4);

/// A version of a plugin.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PluginVersionResponse {
    /// The plugin's name.
    name: String,
    /// SHA-256 of the component.
    version: String,
    /// `compiling`, `ready` or `rejected`.
    #[schema(example = "ready")]
    state: &'static str,
    /// Why it was rejected. Text, never markup.
    reason: Option<String>,
    /// Size of the component.
    size_bytes: u64,
    /// The version of the contract it was built for.
    #[schema(example = "0.1.0")]
    wit_version: String,
    /// Whether it decides about bookings.
    decides: bool,
    /// Whether it words mails.
    words: bool,
    /// What it exports.
    exports: Vec<String>,
    /// What it imports.
    imports: Vec<String>,
    /// When it was uploaded.
    #[schema(value_type = String, format = DateTime)]
    uploaded_at: Timestamp,
}

impl From<PluginVersion> for PluginVersionResponse {
    fn from(version: PluginVersion) -> Self {
        let (state, reason) = match version.state {
            PluginState::Compiling => ("compiling", None),
            PluginState::Ready => ("ready", None),
            PluginState::Rejected { reason } => ("rejected", Some(reason)),
        };
        Self {
            name: version.name.to_string(),
            version: version.hash.to_string(),
            state,
            reason,
            size_bytes: version.size_bytes,
            wit_version: version.facts.wit_version,
            decides: version.facts.decides,
            words: version.facts.words,
            exports: version.facts.exports,
            imports: version.facts.imports,
            uploaded_at: version.uploaded_at,
        }
    }
}

/// What is in use.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct PluginSetResponse {
    /// Grows with every change.
    version: u64,
    /// The plugins, in the order in which policies are asked.
    items: Vec<ActivePluginResponse>,
}

/// A plugin in use.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ActivePluginResponse {
    /// The plugin's name.
    name: String,
    /// The only event it is asked about; null for all.
    event_id: Option<String>,
    /// The version in use.
    version: String,
    /// The versions before it, newest first.
    previous: Vec<String>,
    /// Its configuration.
    #[schema(value_type = Object)]
    config: Value,
    /// `refuse` or `skip`.
    #[schema(example = "refuse")]
    when_not_loaded: &'static str,
    /// Whether it sees e-mail address and name of customers.
    sees_identity: bool,
    /// Whether it is asked.
    enabled: bool,
    /// Why it is in quarantine, if it is: it failed for several customers, and bookings it would decide about are refused
    /// until a version is activated again.
    quarantine_reason: Option<String>,
}

impl From<PluginSet> for PluginSetResponse {
    fn from(set: PluginSet) -> Self {
        Self {
            version: set.version,
            items: set.plugins.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ActivePlugin> for ActivePluginResponse {
    fn from(plugin: ActivePlugin) -> Self {
        Self {
            name: plugin.name.to_string(),
            event_id: plugin.event.map(|event| event.to_string()),
            version: plugin.version.to_string(),
            previous: plugin.previous.iter().map(ToString::to_string).collect(),
            config: serde_json::from_str(&plugin.config).unwrap_or_default(),
            when_not_loaded: match plugin.when_not_loaded {
                WhenNotLoaded::Refuse => "refuse",
                WhenNotLoaded::Skip => "skip",
            },
            sees_identity: plugin.sees_identity,
            enabled: plugin.enabled,
            quarantine_reason: plugin.quarantined.map(|(_, reason)| reason),
        }
    }
}

/// Puts a version into use, or changes how it is used; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ActivatePluginRequest {
    /// The version, as the upload answered it.
    version: Option<String>,
    /// The only event it is asked about.
    event_id: Option<String>,
    /// Its configuration: an object of at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    config: Option<Map<String, Value>>,
    /// What happens to bookings while it cannot be loaded: `refuse`, or `skip` to go on without it.
    #[schema(example = "refuse")]
    when_not_loaded: Option<String>,
    /// Whether it sees e-mail address and name of customers.
    sees_identity: Option<bool>,
    /// Whether it is asked.
    enabled: Option<bool>,
    /// Its place in the order, from 0.
    position: Option<u32>,
}

/// Which use of a plugin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct PluginUseRequest {
    /// The only event it is asked about; without it the use for all events.
    event_id: Option<String>,
}

/// A question to try a version on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct DryRunRequest {
    /// `{"export": …, "request": …}`, as in a fixture; `plugins/README.md` describes it.
    #[schema(value_type = Object)]
    question: Map<String, Value>,
    /// The configuration to try it with.
    #[schema(value_type = Option<Object>)]
    config: Option<Map<String, Value>>,
}

/// What a trial came to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DryRunResponse {
    /// The answer; null if the call failed.
    #[schema(value_type = Option<Object>)]
    answer: Option<Value>,
    /// How it failed.
    failure: Option<String>,
    /// Instructions, roughly.
    fuel: u64,
    /// Time on a thread.
    microseconds: u64,
    /// Largest memory.
    memory_bytes: u64,
    /// What it logged. Text, never markup.
    logs: Vec<LogLineResponse>,
}

/// A line of a log.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct LogLineResponse {
    /// `debug`, `info`, `warn`, `error`, or `stderr`.
    level: String,
    /// Its text.
    message: String,
}

impl From<PluginOutcome> for DryRunResponse {
    fn from(outcome: PluginOutcome) -> Self {
        let failure = outcome.answer.as_ref().err().map(ToString::to_string);
        Self {
            answer: outcome
                .answer
                .ok()
                .map(|answer| serde_json::to_value(answer).unwrap_or_default()),
            failure,
            fuel: outcome.usage.fuel,
            microseconds: outcome.usage.microseconds,
            memory_bytes: outcome.usage.memory_bytes,
            logs: outcome.logs.into_iter().map(log_line).collect(),
        }
    }
}

fn log_line(line: boxoffice_engine::ports::PluginLogLine) -> LogLineResponse {
    LogLineResponse {
        level: line.level,
        message: line.message,
    }
}

/// What to replay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ReplayRequest {
    /// How many of the latest bookings, 1 to 200; as many of the sampled refusals are added.
    #[schema(example = 100)]
    last: u32,
    /// A configuration to replay with, instead of the one in force then.
    #[schema(value_type = Option<Object>)]
    config: Option<Map<String, Value>>,
}

/// What a replay found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReplayResponse {
    /// Decisions that were made again.
    replayed: usize,
    /// Decisions that this plugin had no part in, or whose request was too large to keep.
    not_replayable: usize,
    /// Those that would differ.
    differing: Vec<ReplayDifferenceResponse>,
}

/// A decision that would differ.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct ReplayDifferenceResponse {
    /// What was asked.
    #[schema(value_type = Object)]
    question: Value,
    /// What was answered then.
    #[schema(value_type = Object)]
    then: Value,
    /// What this version answers.
    #[schema(value_type = Object)]
    now: Value,
}

impl From<ReplayReport> for ReplayResponse {
    fn from(report: ReplayReport) -> Self {
        let differing = report.differing.into_iter();
        Self {
            replayed: report.replayed,
            not_replayable: report.not_replayable,
            differing: differing
                .map(|one| ReplayDifferenceResponse {
                    question: one.request,
                    then: one.then,
                    now: one.now,
                })
                .collect(),
        }
    }
}

/// What a plugin said lately.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct PluginLogResponse {
    /// A call each, newest first; a sample where there are many.
    items: Vec<PluginLogEntryResponse>,
}

/// What one call said.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct PluginLogEntryResponse {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Which version.
    version: String,
    /// How the call failed, if it did.
    failure: Option<String>,
    /// Its lines. Text, never markup.
    lines: Vec<LogLineResponse>,
}

impl From<PluginLogEntry> for PluginLogEntryResponse {
    fn from(entry: PluginLogEntry) -> Self {
        Self {
            at: entry.at,
            version: entry.version.to_string(),
            failure: entry.failure,
            lines: entry.lines.into_iter().map(log_line).collect(),
        }
    }
}

/// What a booking was decided on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DecisionResponse {
    /// The version of the set of plugins it was decided under; null if no plugin was asked.
    policy_version: Option<u64>,
    /// What each plugin was asked and answered, in order.
    steps: Vec<DecisionStepResponse>,
}

/// One plugin's part in a decision.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct DecisionStepResponse {
    /// The plugin's name then.
    plugin: String,
    /// Which version.
    version: String,
    /// What it was asked; null if that was too large to keep.
    #[schema(value_type = Option<Object>)]
    question: Option<Value>,
    /// What it answered.
    #[schema(value_type = Object)]
    answer: Value,
}

impl From<Option<DecisionRecord>> for DecisionResponse {
    fn from(record: Option<DecisionRecord>) -> Self {
        let policy_version = record.as_ref().map(|record| record.policy_version);
        let steps = record.into_iter().flat_map(|record| record.steps);
        Self {
            policy_version,
            steps: steps
                .map(|step| DecisionStepResponse {
                    plugin: step.plugin,
                    version: step.version.to_string(),
                    question: step.request,
                    answer: step.answer,
                })
                .collect(),
        }
    }
}

/// Uploads a version of a plugin: the component itself as the body
///
/// It is looked at before the answer and compiled behind it; ask for its state under the Location. The same bytes
/// again are the same version.
#[utoipa::path(post, path = "/api/plugins/{id}/versions", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name: 1 to 64 of a-z, 0-9 and -")),
    request_body(content_type = "application/wasm", content = Vec<u8>),
    responses((status = 202, body = PluginVersionResponse)),
    extensions(("x-error-codes" = json!(["forbidden", "body-too-large", "plugin-rejected", "plugin-taken", "plugins-off", "unsupported-media-type"]))))]
pub(in crate::routes) async fn upload(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    Id(name): Id<PluginName>,
    request: Request,
) -> Answer<Response> {
    // Before anything is read: the engine says who may, and how much it takes.
    let bytes_max = engine.plugins().upload_bytes_max(&caller).await?;
    let given = request.headers().get(CONTENT_TYPE);
    if given.and_then(|given| given.to_str().ok()) != Some(WASM) {
        let detail = format!("Send the component itself with `Content-Type: {WASM}`.");
        return Err(Problem::host(&UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let _place = UPLOADS.acquire().await.map_err(Error::internal)?;
    let bytes = to_bytes(request.into_body(), bytes_max)
        .await
        .map_err(|_| {
            Error::new(
                ErrorCode::BodyTooLarge,
                format!("The upload ended early, or has more than {bytes_max} bytes."),
            )
        })?;
    let command = UploadPlugin {
        name,
        bytes: bytes.as_ref().into(),
    };
    let version = engine.plugins().upload(&caller, command).await?;
    let location = format!("{prefix}/api/plugins/versions/{}", version.hash);
    let body = PluginVersionResponse::from(version);
    let mut response = (StatusCode::ACCEPTED, JsonAnswer(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Lists all versions of all plugins
#[utoipa::path(get, path = "/api/plugins/versions", tag = "plugins", params(PageParams),
    responses((status = 200, body = PageResponse<PluginVersionResponse>)),
    extensions(("x-error-codes" = json!(["forbidden"]))))]
pub(in crate::routes) async fn list_versions(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<PluginVersionResponse>>> {
    let page = engine.plugins().list(&caller, page).await?;
    Ok(PageResponse::of(page, PluginVersionResponse::from))
}

/// Shows a version: its state and what it is made of
#[utoipa::path(get, path = "/api/plugins/versions/{id}", tag = "plugins",
    params(("id" = String, Path, description = "SHA-256 of the component")),
    responses((status = 200, body = PluginVersionResponse)),
    extensions(("x-error-codes" = json!(["forbidden", "not-found"]))))]
pub(in crate::routes) async fn show_version(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(hash): Id<PluginHash>,
) -> Answer<JsonAnswer<PluginVersionResponse>> {
    let version = engine.plugins().show(&caller, hash).await?;
    Ok(JsonAnswer(version.into()))
}

/// Asks a version a question, without any effect
#[utoipa::path(post, path = "/api/plugins/versions/{id}/dry-run", tag = "plugins",
    params(("id" = String, Path, description = "SHA-256 of the component")),
    request_body = DryRunRequest,
    responses((status = 200, body = DryRunResponse)),
    extensions(("x-error-codes" = json!(["forbidden", "not-found", "plugin-not-ready", "plugins-off"]))))]
pub(in crate::routes) async fn dry_run(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(hash): Id<PluginHash>,
    Json(request): Json<DryRunRequest>,
) -> Answer<JsonAnswer<DryRunResponse>> {
    let question: PluginRequest = read_value(Value::Object(request.question))
        .map_err(|error| Error::field("question", error.to_string()))?;
    let outcome = engine
        .plugins()
        .dry_run(&caller, hash, question, config_text(request.config))
        .await?;
    Ok(JsonAnswer(outcome.into()))
}

/// Asks a version again what its plugin was asked before, and lists the answers that differ
#[utoipa::path(post, path = "/api/plugins/versions/{id}/replay", tag = "plugins",
    params(("id" = String, Path, description = "SHA-256 of the component")),
    request_body = ReplayRequest,
    responses((status = 200, body = ReplayResponse)),
    extensions(("x-error-codes" = json!(["forbidden", "not-found", "plugin-not-ready", "plugins-off"]))))]
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

/// Shows what is in use, in the order in which policies are asked
#[utoipa::path(get, path = "/api/plugins", tag = "plugins",
    responses((status = 200, body = PluginSetResponse)),
    extensions(("x-error-codes" = json!(["forbidden"]))))]
pub(in crate::routes) async fn in_use(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<PluginSetResponse>> {
    Ok(JsonAnswer(engine.plugins().in_use(&caller).await?.into()))
}

/// Puts a version into use, or changes its order, configuration or whether it is asked
#[utoipa::path(post, path = "/api/plugins/{id}/activate", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name")),
    request_body = ActivatePluginRequest,
    responses((status = 200, body = PluginSetResponse)),
    extensions(("x-error-codes" = json!(["forbidden", "not-found", "plugin-not-ready", "plugins-off", "conflict-try-again"]))))]
pub(in crate::routes) async fn activate(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(name): Id<PluginName>,
    Json(request): Json<ActivatePluginRequest>,
) -> Answer<JsonAnswer<PluginSetResponse>> {
    let unknown = |_| Error::field("version", "A version is named by 64 hexadecimal digits.");
    let version = request.version.as_deref().map(str::parse);
    let when_not_loaded = match request.when_not_loaded.as_deref() {
        None => None,
        Some("refuse") => Some(WhenNotLoaded::Refuse),
        Some("skip") => Some(WhenNotLoaded::Skip),
        Some(_) => {
            let rule = "Say `refuse` or `skip`.";
            return Err(Error::field("whenNotLoaded", rule).into());
        }
    };
    let command = ActivatePlugin {
        name,
        event: event_of(request.event_id.as_deref())?,
        version: version.transpose().map_err(unknown)?,
        config: config_text(request.config),
        when_not_loaded,
        sees_identity: request.sees_identity,
        enabled: request.enabled,
        position: request
            .position
            .map(|position| usize::try_from(position).unwrap_or(usize::MAX)),
    };
    let set = engine.plugins().activate(&caller, command).await?;
    Ok(JsonAnswer(set.into()))
}

/// Goes back to the version that was in use before
#[utoipa::path(post, path = "/api/plugins/{id}/roll-back", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name")),
    request_body = PluginUseRequest,
    responses((status = 200, body = PluginSetResponse)),
    extensions(("x-error-codes" = json!(["forbidden", "not-found", "plugin-not-ready", "conflict-try-again"]))))]
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

/// Takes a plugin out of use
#[utoipa::path(post, path = "/api/plugins/{id}/remove", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name")),
    request_body = PluginUseRequest,
    responses((status = 200, body = PluginSetResponse)),
    extensions(("x-error-codes" = json!(["forbidden", "not-found", "conflict-try-again"]))))]
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

/// Shows what a plugin in use logged and how it failed lately
#[utoipa::path(get, path = "/api/plugins/{id}/logs", tag = "plugins",
    params(("id" = String, Path, description = "The plugin's name")),
    responses((status = 200, body = PluginLogResponse)),
    extensions(("x-error-codes" = json!(["forbidden", "not-found"]))))]
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

/// Shows which plugins decided about a booking, on which inputs
#[utoipa::path(get, path = "/api/bookings/{id}/decision", tag = "plugins",
    params(("id" = String, Path, description = "Which booking")),
    responses((status = 200, body = DecisionResponse)),
    extensions(("x-error-codes" = json!(["forbidden", "not-found"]))))]
pub(in crate::routes) async fn decision(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(booking): Id<BookingId>,
) -> Answer<JsonAnswer<DecisionResponse>> {
    let record = engine.plugins().decision(&caller, booking).await?;
    Ok(JsonAnswer(record.into()))
}

fn config_text(config: Option<Map<String, Value>>) -> Option<String> {
    config.map(|config| Value::Object(config).to_string())
}

fn event_of(id: Option<&str>) -> Result<Option<EventId>, Error> {
    id.map(str::parse)
        .transpose()
        .map_err(|_| Error::field("eventId", "An event is named by its id."))
}
