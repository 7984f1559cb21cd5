//! Delivery administration: the overview, failed deliveries, pausing, moving, cancelling and retrying.

mod pace;
mod responses;

use std::str::FromStr;

use axum::{Json as JsonAnswer, extract::State, http::StatusCode, response::Response};
use boxoffice_engine::{
    Caller, DeliveryId, DeliveryState, Engine, Error, FailedFilter, Lane, NotificationId, Reason,
    RetryDeliveries, RetryScope,
};
use serde::Deserialize;
use utoipa::ToSchema;

pub(super) use pace::{Paces, PacesResponse};
pub(super) use responses::OverviewResponse;
use responses::{AuditEntryResponse, FoundResponse, ReasonGroupsResponse, RetriedResponse};

use super::{
    Answer, PageResponse,
    exports::Reader,
    notifications::{DeliveryResponse, NotificationHeadResponse},
};
use crate::routes::{
    choices,
    extract::{
        AsCaller, AsOperator, AsWatcher, AtFailedPage, AtPage, ExportParams, FailedParams, Id, Ids,
        InFormat, Json, PageParams, times,
    },
    refusals,
};

/// The commands to a notification, as paths name them.
#[derive(Debug, Clone, Copy)]
pub(in crate::routes) enum NotificationCommand {
    Pause,
    Resume,
    Cancel,
    Promote,
}

/// The commands to a lane, as paths name them.
#[derive(Debug, Clone, Copy)]
pub(in crate::routes) enum LaneCommand {
    Pause,
    Resume,
}

impl FromStr for NotificationCommand {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "pause" => Ok(Self::Pause),
            "resume" => Ok(Self::Resume),
            "cancel" => Ok(Self::Cancel),
            "promote" => Ok(Self::Promote),
            _ => Err(Error::not_found("command", text)),
        }
    }
}

impl FromStr for LaneCommand {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "pause" => Ok(Self::Pause),
            "resume" => Ok(Self::Resume),
            _ => Err(Error::not_found("command", text)),
        }
    }
}

/// A command to a notification or a lane.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct CommandRequest {
    /// The reason, for the audit log. One line, at most 500 characters.
    #[schema(example = "wrong date in it")]
    why: String,
}

/// Moves a notification to another time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct MoveRequest {
    /// The new time (RFC 3339): at most 366 days ahead; for a reminder, before its event begins.
    #[schema(format = DateTime, example = "2026-12-01T08:00:00Z")]
    due_at: String,
    /// The reason, for the audit log. One line, at most 500 characters.
    #[schema(example = "earlier than the holidays")]
    why: String,
}

/// Retries failed deliveries, or counts them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct RetryRequest {
    /// `dead` or `unknown`. With `unknown` a customer may get a mail twice.
    #[schema(value_type = choices::FailedState)]
    state: String,
    /// Only this one.
    delivery_id: Option<String>,
    /// Only those of this notification.
    notification_id: Option<String>,
    /// Only those of this group of reasons, from `GET /api/admin/reasons`.
    reason: Option<String>,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
    /// The reason, for the audit log. One line, at most 500 characters.
    #[schema(example = "mailbox is back")]
    why: String,
}

impl RetryRequest {
    fn command(self) -> Result<RetryDeliveries, Error> {
        let at = |field: &'static str| {
            move |error: Error| Error::field(field, error.detail().to_owned())
        };
        let scope = match (self.delivery_id, self.notification_id) {
            (Some(_), Some(_)) => {
                return Err(Error::field(
                    "deliveryId",
                    "Name a delivery or a notification, not both.",
                ));
            }
            (Some(id), None) => RetryScope::Delivery(id.parse().map_err(at("deliveryId"))?),
            (None, Some(id)) => RetryScope::Notification(id.parse().map_err(at("notificationId"))?),
            (None, None) => RetryScope::Tenant,
        };
        let state: DeliveryState = self
            .state
            .parse()
            .map_err(|_| Error::field("state", "It is `dead` or `unknown`."))?;
        Ok(RetryDeliveries {
            scope,
            state,
            reason: self.reason,
            dry_run: self.dry_run,
            why: Reason::parse("why", &self.why)?,
        })
    }
}

/// A search.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct SearchRequest {
    /// A customer's address or id, an event's, notification's or delivery's id, a mail's Message-ID, or the beginning of mail
    /// servers' replies to failed deliveries, such as `550` or `5.1.1`.
    #[schema(example = "ann@example.org")]
    text: String,
}

/// Lists the tenant's notifications, newest first
///
/// Organizers see those of their own events. A page may have fewer items than its limit and still have a next page.
#[utoipa::path(get, path = "/api/admin/notifications", tag = "delivery-admin", params(PageParams),
    responses((status = 200, body = PageResponse<NotificationHeadResponse>), refusals::Restricted))]
pub(in crate::routes) async fn notifications(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<NotificationHeadResponse>>> {
    let page = engine.delivery_admin().notifications(&caller, page).await?;
    Ok(PageResponse::of(page, NotificationHeadResponse::from))
}

/// Lists scheduled notifications in order of their time
///
/// Mainly reminders. Organizers see those of their own events. A page may have fewer items than its limit and still have a
/// next page.
#[utoipa::path(get, path = "/api/admin/schedules", tag = "delivery-admin", params(PageParams),
    responses((status = 200, body = PageResponse<NotificationHeadResponse>), refusals::Restricted))]
pub(in crate::routes) async fn schedules(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<NotificationHeadResponse>>> {
    let page = engine.delivery_admin().schedules(&caller, page).await?;
    Ok(PageResponse::of(page, NotificationHeadResponse::from))
}

/// Pauses, resumes, cancels or promotes a notification
///
/// - `pause`: no more mails are sent until it is resumed, except those on a connection at that moment.
/// - `resume`: a paused notification continues.
/// - `cancel`: it ends. Deliveries that were not sent become `suppressed`.
/// - `promote`: a scheduled notification is sent now.
#[utoipa::path(post, path = "/api/admin/notifications/{id}/{command}", tag = "delivery-admin", request_body = CommandRequest,
    operation_id = "command_notification",
    params(("id" = String, Path, description = "Which notification"),
        ("command" = choices::NotificationCommand, Path, description = "What to do to it")),
    responses((status = 204), refusals::CommandNotification))]
pub(in crate::routes) async fn command_notification(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Ids(id, command): Ids<NotificationId, NotificationCommand>,
    Json(request): Json<CommandRequest>,
) -> Answer<StatusCode> {
    let why = Reason::parse("why", &request.why)?;
    let admin = engine.delivery_admin();
    match command {
        NotificationCommand::Pause => admin.pause(&caller, id, why).await?,
        NotificationCommand::Resume => admin.resume(&caller, id, why).await?,
        NotificationCommand::Cancel => admin.cancel(&caller, id, why).await?,
        NotificationCommand::Promote => admin.promote(&caller, id, why).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Moves a scheduled notification to another time
///
/// It keeps this time until the event itself is moved.
#[utoipa::path(post, path = "/api/admin/notifications/{id}/move", tag = "delivery-admin", request_body = MoveRequest,
    operation_id = "move",
    params(("id" = String, Path, description = "Which notification")),
    responses((status = 204), refusals::CommandNotification))]
pub(in crate::routes) async fn move_to(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(id): Id<NotificationId>,
    Json(request): Json<MoveRequest>,
) -> Answer<StatusCode> {
    let why = Reason::parse("why", &request.why)?;
    let due_at = times::instant(&request.due_at, "dueAt")?;
    engine
        .delivery_admin()
        .move_to(&caller, id, due_at, why)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses or resumes a lane for all tenants, for operators
///
/// Within seconds no worker sends mails of a paused lane, except those on a connection. Its work stays in the database.
#[utoipa::path(post, path = "/api/admin/lanes/{id}/{command}", tag = "delivery-admin", request_body = CommandRequest,
    operation_id = "command_lane",
    params(("id" = String, Path, description = "`transactional` or `bulk`"),
        ("command" = choices::LaneCommand, Path, description = "What to do to it")),
    responses((status = 204), refusals::RestrictedKeyed))]
pub(in crate::routes) async fn command_lane(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    Ids(lane, command): Ids<Lane, LaneCommand>,
    Json(request): Json<CommandRequest>,
) -> Answer<StatusCode> {
    let why = Reason::parse("why", &request.why)?;
    let admin = engine.delivery_admin();
    match command {
        LaneCommand::Pause => admin.pause_lane(&caller, lane, why).await?,
        LaneCommand::Resume => admin.resume_lane(&caller, lane, why).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Lists failed deliveries, newest notification first
#[utoipa::path(get, path = "/api/admin/failed", tag = "delivery-admin", params(PageParams, FailedParams),
    responses((status = 200, body = PageResponse<DeliveryResponse>), refusals::Restricted))]
pub(in crate::routes) async fn failed(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtFailedPage(page, filter): AtFailedPage,
) -> Answer<JsonAnswer<PageResponse<DeliveryResponse>>> {
    failed_of(&engine, &caller, filter, page).await
}

/// Lists a notification's failed deliveries
#[utoipa::path(get, path = "/api/admin/notifications/{id}/failed", tag = "delivery-admin",
    params(("id" = String, Path, description = "Which notification"), PageParams, FailedParams),
    responses((status = 200, body = PageResponse<DeliveryResponse>), refusals::Restricted))]
pub(in crate::routes) async fn failed_of_notification(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(id): Id<NotificationId>,
    AtFailedPage(page, filter): AtFailedPage,
) -> Answer<JsonAnswer<PageResponse<DeliveryResponse>>> {
    // Callers who may not see the notification get an error, because an empty list would look as if nothing failed.
    engine.notifications().show(&caller, id).await?;
    let filter = FailedFilter {
        notification: Some(id),
        ..filter
    };
    failed_of(&engine, &caller, filter, page).await
}

/// Groups failed deliveries by reason
#[utoipa::path(get, path = "/api/admin/reasons", tag = "delivery-admin",
    responses((status = 200, body = ReasonGroupsResponse), refusals::Restricted))]
pub(in crate::routes) async fn reasons(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<ReasonGroupsResponse>> {
    Ok(JsonAnswer(
        engine.delivery_admin().reasons(&caller).await?.into(),
    ))
}

/// Retries failed deliveries, or counts them
///
/// Without a delivery or notification: those of the tenant, up to the limit of one call. Each gets all its attempts
/// check.
#[utoipa::path(post, path = "/api/admin/retries", tag = "delivery-admin", request_body = RetryRequest,
    responses((status = 200, body = RetriedResponse), refusals::RestrictedKeyed))]
pub(in crate::routes) async fn retry(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Json(request): Json<RetryRequest>,
) -> Answer<JsonAnswer<RetriedResponse>> {
    let retried = engine
        .delivery_admin()
        .retry(&caller, request.command()?)
        .await?;
    Ok(JsonAnswer(retried.into()))
}

/// Shows a delivery with the outcomes of its attempts
#[utoipa::path(get, path = "/api/admin/deliveries/{id}", tag = "delivery-admin",
    params(("id" = String, Path, description = "Which delivery")),
    responses((status = 200, body = DeliveryResponse), refusals::Restricted))]
pub(in crate::routes) async fn delivery(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(id): Id<DeliveryId>,
) -> Answer<JsonAnswer<DeliveryResponse>> {
    Ok(JsonAnswer(
        engine.delivery_admin().delivery(&caller, id).await?.into(),
    ))
}

/// Finds something by an id, an address or a reply code
///
/// By key: a whole address, id or Message-ID; or a reply's code, among the newest failed deliveries. Nothing
/// else is searched.
#[utoipa::path(post, path = "/api/admin/searches", tag = "delivery-admin", request_body = SearchRequest,
    responses((status = 200, body = FoundResponse), refusals::Restricted))]
pub(in crate::routes) async fn search(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Json(request): Json<SearchRequest>,
) -> Answer<JsonAnswer<FoundResponse>> {
    let found = engine
        .delivery_admin()
        .search(&caller, &request.text)
        .await?;
    Ok(JsonAnswer(found.into()))
}

/// Lists the audit log, newest first
///
/// Without a tenant an operator sees the actions of operators on lanes.
#[utoipa::path(get, path = "/api/admin/audit", tag = "delivery-admin", params(PageParams),
    responses((status = 200, body = PageResponse<AuditEntryResponse>), refusals::Restricted))]
pub(in crate::routes) async fn audit(
    State(engine): State<Engine>,
    AsWatcher(caller): AsWatcher,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<AuditEntryResponse>>> {
    let page = engine.delivery_admin().audit(&caller, page).await?;
    Ok(PageResponse::of(page, AuditEntryResponse::from))
}

/// Exports the audit log, newest first
///
/// For CSV see the export of bookings.
#[utoipa::path(get, path = "/api/admin/audit/export", tag = "delivery-admin", params(ExportParams), operation_id = "export_audit",
    responses((status = 200, content((String = "text/csv"), (AuditEntryResponse = "application/x-ndjson"))), refusals::Restricted))]
pub(in crate::routes) async fn export_audit(
    State(engine): State<Engine>,
    AsWatcher(caller): AsWatcher,
    InFormat(format): InFormat,
) -> Answer<Response> {
    let read = move |reader: Reader, page| async move {
        let delivery_admin = reader.engine.delivery_admin();
        delivery_admin.audit(&reader.caller, page).await
    };
    let reader = Reader { engine, caller };
    let rows = |entry| vec![AuditEntryResponse::from(entry)];
    Ok(reader.file("audit", format, read, rows).await?)
}

async fn failed_of(
    engine: &Engine,
    caller: &Caller,
    filter: FailedFilter,
    page: boxoffice_engine::PageRequest,
) -> Answer<JsonAnswer<PageResponse<DeliveryResponse>>> {
    let page = engine.delivery_admin().failed(caller, filter, page).await?;
    Ok(PageResponse::of(page, DeliveryResponse::from))
}
