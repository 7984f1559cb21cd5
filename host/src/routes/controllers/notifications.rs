//! Notifications to customers, and their progress.

use axum::{Json, extract::State, response::Response};
use boxoffice_engine::{
    Attempt, BookingId, Delivery, DeliveryCounts, Engine, EventId, Notification, NotificationHead,
    NotificationId, NotificationSummary, UserId, WithCustomer,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    customers::{CustomerResponse, name_and_address},
    exports::{ExportRow, Reader, time},
};
use crate::routes::{
    choices,
    extract::{AsCaller, AtPage, AtStatePage, ExportParams, Id, InFormat, PageParams, StateParams},
    refusals,
};

/// The notification of a change.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct NotificationSummaryResponse {
    /// The notification's id, with which its progress can be read.
    id: String,
    /// The number of customers it reaches, counted just before the change.
    recipients: u64,
}

impl From<NotificationSummary> for NotificationSummaryResponse {
    fn from(summary: NotificationSummary) -> Self {
        Self {
            id: summary.id.to_string(),
            recipients: summary.recipients,
        }
    }
}

/// Something that customers are told, with its progress.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct NotificationResponse {
    /// The notification's id.
    id: String,
    /// `event-updated`, `event-cancelled`, `event-reminder` or `event-announcement`.
    #[schema(value_type = choices::NotificationKind)]
    kind: &'static str,
    /// The event.
    event_id: String,
    /// `scheduled`, `fanning-out`, `fanned-out`, `superseded` or `cancelled`.
    #[schema(value_type = choices::NotificationStatus)]
    status: &'static str,
    /// The number of customers it reaches: an estimate until its fan-out is finished.
    recipients: u64,
    /// The states of its deliveries.
    deliveries: DeliveryCountsResponse,
    /// When it was caused.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it is sent.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    /// Whether it is paused.
    is_paused: bool,
}

/// Deliveries by state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DeliveryCountsResponse {
    /// Wait for a worker.
    queued: u64,
    /// On a connection right now.
    sending: u64,
    /// Accepted by the mail server.
    sent: u64,
    /// Failed for now; will be retried.
    deferred: u64,
    /// Given up.
    dead: u64,
    /// No longer wanted: the bookings were cancelled first, or the customer unsubscribed.
    suppressed: u64,
    /// The outcome is unknown.
    unknown: u64,
    /// Those that were ever `unknown`, whatever their state is now.
    ever_unknown: u64,
}

impl From<DeliveryCounts> for DeliveryCountsResponse {
    fn from(counts: DeliveryCounts) -> Self {
        Self {
            queued: counts.queued,
            sending: counts.sending,
            sent: counts.sent,
            deferred: counts.deferred,
            dead: counts.dead,
            suppressed: counts.suppressed,
            unknown: counts.unknown,
            ever_unknown: counts.ever_unknown,
        }
    }
}

impl From<Notification> for NotificationResponse {
    fn from(notification: Notification) -> Self {
        Self {
            id: notification.id.to_string(),
            kind: notification.kind.as_str(),
            event_id: notification.event.to_string(),
            status: notification.status.as_str(),
            recipients: notification.recipients,
            deliveries: notification.deliveries.into(),
            created_at: notification.created_at,
            due_at: notification.due_at,
            is_paused: notification.is_paused,
        }
    }
}

/// A notification without the counts of its deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct NotificationHeadResponse {
    /// The notification's id, with which its progress can be read.
    id: String,
    /// `event-updated`, `event-cancelled`, `event-reminder` or `event-announcement`.
    #[schema(value_type = choices::NotificationKind)]
    kind: &'static str,
    /// The event.
    event_id: String,
    /// `scheduled`, `fanning-out`, `fanned-out`, `superseded` or `cancelled`.
    #[schema(value_type = choices::NotificationStatus)]
    status: &'static str,
    /// The number of customers it reaches: an estimate until its fan-out is finished.
    recipients: u64,
    /// When it was caused.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it is sent.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    /// Whether it is paused.
    is_paused: bool,
}

impl From<NotificationHead> for NotificationHeadResponse {
    fn from(head: NotificationHead) -> Self {
        Self {
            id: head.id.to_string(),
            kind: head.kind.as_str(),
            event_id: head.event.to_string(),
            status: head.status.as_str(),
            recipients: head.recipients,
            created_at: head.created_at,
            due_at: head.due_at,
            is_paused: head.is_paused,
        }
    }
}

/// The outcome of an attempt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct AttemptResponse {
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The state after it.
    #[schema(value_type = choices::DeliveryState)]
    state: &'static str,
    /// The mail server's reply, or the engine's reason. Text, never markup.
    reply: String,
}

impl From<Attempt> for AttemptResponse {
    fn from(attempt: Attempt) -> Self {
        Self {
            at: attempt.at,
            state: attempt.state.as_str(),
            reply: attempt.reply,
        }
    }
}

/// One notification to one customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DeliveryResponse {
    /// The delivery's id.
    id: String,
    /// The notification. Mails about one booking have no notification that can be read.
    notification_id: String,
    /// `booking-confirmed`, `booking-cancelled`, `waiting-list-offer`, `plugin-quarantined`, or a notification's kind.
    #[schema(value_type = choices::MailKind)]
    kind: &'static str,
    /// The event, for kinds that are about one.
    event_id: Option<String>,
    /// The recipient.
    customer_id: String,
    /// Who that is; null if the account was deleted.
    customer: Option<CustomerResponse>,
    /// The booking, for kinds that are about one.
    booking_id: Option<String>,
    /// `queued`, `sending`, `sent`, `deferred`, `dead`, `suppressed` or `unknown`.
    #[schema(value_type = choices::DeliveryState)]
    state: &'static str,
    /// The number of finished attempts.
    attempts: u32,
    /// The reason of its state: the mail server's reply, or the engine's own. Text, never markup.
    reason: Option<String>,
    /// The time of its next attempt, if there is one.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// Whether it was ever `unknown`.
    ever_unknown: bool,
    /// The number of workers that died while they sent it.
    lost: u32,
    /// The Message-ID of the mail, the same at every attempt.
    message_id: String,
    /// When it was listed.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its state last changed; null before the first attempt.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// Outcomes of earlier attempts, oldest first: at most the first and the newest seven.
    earlier: Vec<AttemptResponse>,
}

impl From<Delivery> for DeliveryResponse {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id.to_string(),
            notification_id: delivery.id.notification().to_string(),
            kind: delivery.kind.as_str(),
            event_id: delivery.event.map(|event| event.to_string()),
            customer_id: delivery.customer.to_string(),
            customer: None,
            booking_id: delivery.booking.map(|booking| booking.to_string()),
            state: delivery.state.as_str(),
            attempts: delivery.attempts,
            reason: delivery.reason,
            next_at: delivery.next_at,
            ever_unknown: delivery.ever_unknown,
            lost: delivery.lost,
            message_id: delivery.message_id,
            created_at: delivery.created_at,
            at: delivery.at,
            earlier: delivery.earlier.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<WithCustomer<Delivery>> for DeliveryResponse {
    fn from(delivery: WithCustomer<Delivery>) -> Self {
        Self {
            customer: delivery.person.map(CustomerResponse::from),
            ..delivery.item.into()
        }
    }
}

/// Shows a notification with its progress
#[utoipa::path(get, path = "/api/notifications/{id}", tag = "notifications",
    params(("id" = String, Path, description = "Which notification")),
    responses((status = 200, body = NotificationResponse), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(notification): Id<NotificationId>,
) -> Answer<Json<NotificationResponse>> {
    Ok(Json(
        engine
            .notifications()
            .show(&caller, notification)
            .await?
            .into(),
    ))
}

/// Lists a notification's deliveries in customer order
#[utoipa::path(get, path = "/api/notifications/{id}/deliveries", tag = "notifications",
    params(("id" = String, Path, description = "Which notification"), PageParams, StateParams),
    responses((status = 200, body = PageResponse<DeliveryResponse>), refusals::Restricted))]
pub(in crate::routes) async fn deliveries(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(notification): Id<NotificationId>,
    AtStatePage(page, state): AtStatePage,
) -> Answer<Json<PageResponse<DeliveryResponse>>> {
    let notifications = engine.notifications();
    let page = match state {
        Some(state) => {
            notifications
                .deliveries_in_state(&caller, notification, state, page)
                .await?
        }
        None => {
            notifications
                .deliveries(&caller, notification, page)
                .await?
        }
    };
    Ok(PageResponse::of(page, DeliveryResponse::from))
}

/// Lists the deliveries about a booking and its event to its customer, newest first
#[utoipa::path(get, path = "/api/bookings/{id}/deliveries", tag = "notifications",
    operation_id = "deliveries_of_booking",
    params(("id" = String, Path, description = "Which booking"), PageParams),
    responses((status = 200, body = PageResponse<DeliveryResponse>), refusals::Restricted))]
pub(in crate::routes) async fn deliveries_of_booking(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(booking): Id<BookingId>,
    AtPage(page): AtPage,
) -> Answer<Json<PageResponse<DeliveryResponse>>> {
    let page = engine
        .notifications()
        .deliveries_of_booking(&caller, booking, page)
        .await?;
    Ok(PageResponse::of(page, DeliveryResponse::from))
}

/// Lists a customer's deliveries, newest booking first
///
/// Notifications to all customers of an event are listed with the customer's newest booking of it. A page may have fewer
/// deliveries than its limit and still have a next page. For organizers, users who are not customers of their events do not exist.
#[utoipa::path(get, path = "/api/users/{id}/deliveries", tag = "notifications",
    operation_id = "deliveries_of_user",
    params(("id" = String, Path, description = "Which user"), PageParams),
    responses((status = 200, body = PageResponse<DeliveryResponse>), refusals::Restricted))]
pub(in crate::routes) async fn deliveries_of_user(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(user): Id<UserId>,
    AtPage(page): AtPage,
) -> Answer<Json<PageResponse<DeliveryResponse>>> {
    let page = engine
        .notifications()
        .deliveries_of_user(&caller, user, page)
        .await?;
    Ok(PageResponse::of(page, DeliveryResponse::from))
}

/// Lists an event's notifications, newest first
#[utoipa::path(get, path = "/api/events/{id}/notifications", tag = "notifications",
    operation_id = "list_of_event",
    params(("id" = String, Path, description = "Which event"), PageParams),
    responses((status = 200, body = PageResponse<NotificationHeadResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_of_event(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    AtPage(page): AtPage,
) -> Answer<Json<PageResponse<NotificationHeadResponse>>> {
    let page = engine
        .notifications()
        .list_of_event(&caller, event, page)
        .await?;
    Ok(PageResponse::of(page, NotificationHeadResponse::from))
}

impl ExportRow for DeliveryResponse {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "kind",
        "eventId",
        "customerId",
        "customerName",
        "customerEmail",
        "bookingId",
        "state",
        "attempts",
        "reason",
        "nextAt",
        "everUnknown",
        "lost",
        "messageId",
        "createdAt",
        "at",
    ];

    fn cells(&self) -> Vec<String> {
        let [name, email] = name_and_address(self.customer.as_ref());
        vec![
            self.id.clone(),
            self.kind.to_owned(),
            self.event_id.clone().unwrap_or_default(),
            self.customer_id.clone(),
            name,
            email,
            self.booking_id.clone().unwrap_or_default(),
            self.state.to_owned(),
            self.attempts.to_string(),
            self.reason.clone().unwrap_or_default(),
            time(self.next_at),
            self.ever_unknown.to_string(),
            self.lost.to_string(),
            self.message_id.clone(),
            self.created_at.to_string(),
            time(self.at),
        ]
    }
}

/// Exports the deliveries of a notification
///
/// A line for each recipient. For CSV see the export of bookings.
#[utoipa::path(get, path = "/api/notifications/{id}/deliveries/export", tag = "notifications", operation_id = "export_deliveries",
    params(("id" = String, Path, description = "Which notification"), ExportParams),
    responses((status = 200, content((String = "text/csv"), (DeliveryResponse = "application/x-ndjson"))), refusals::Restricted))]
pub(in crate::routes) async fn export(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(notification): Id<NotificationId>,
    InFormat(format): InFormat,
) -> Answer<Response> {
    let read = move |reader: Reader, page| async move {
        let notifications = reader.engine.notifications();
        notifications
            .deliveries(&reader.caller, notification, page)
            .await
    };
    let reader = Reader { engine, caller };
    let rows = |delivery| vec![DeliveryResponse::from(delivery)];
    Ok(reader.file("deliveries", format, read, rows).await?)
}
