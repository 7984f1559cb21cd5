//! Payments for holds: opened by a platform, which tells what its provider said; and refunds that are to be paid back.

use axum::{Json as JsonAnswer, extract::State, response::Response};
use boxoffice_engine::{
    Engine, EventId, HoldId, ListedRefund, NoticeKind, OpenPayment, Payment, PaymentKey,
    PaymentMoney, PaymentNotice, PaymentProvider, PaymentReference, Refund, RefundId, Result,
    TellPayment,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, PageResponse, bookings::BookingLineResponse, created, integers::Whole};
use crate::routes::{
    choices,
    extract::{
        AsCaller, AtPage, AtPaymentPage, AtRefundPage, Id, Ids, Json, PageParams, PaymentParams,
        Prefix, RefundParams, times::instant,
    },
    refusals,
};

/// A payment to open for a hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct OpenPaymentRequest {
    /// The payment provider: 1 to 40 letters, digits and `. _ ~ : -`.
    #[schema(example = "stripe")]
    provider: String,
    /// The provider's name of the payment: 1 to 200 letters, digits and `. _ ~ : -`.
    #[schema(example = "pi_3NkXyz")]
    reference: String,
    /// What the provider shall take, in minor units: the hold's `totalMinor`.
    #[schema(value_type = u64)]
    amount_minor: Whole<u64>,
    /// ISO 4217 code of the amount: the hold's `currency`.
    #[schema(example = "EUR")]
    currency: String,
}

/// What a payment provider said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct PaymentNoticeRequest {
    /// The provider's name of the notice: 1 to 200 letters, digits and `. _ ~ : -`. The same notice has its effect once.
    #[schema(example = "evt_1Nk")]
    notice_id: String,
    /// How much was taken or paid back, in minor units. A failure needs none.
    #[schema(value_type = Option<u64>)]
    amount_minor: Option<Whole<u64>>,
    /// ISO 4217 code of the amount. Without it, that of the payment, or of the tenant if nobody opened the payment.
    #[schema(example = "EUR")]
    currency: Option<String>,
    /// When it happened, by the provider, RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    at: String,
}

impl PaymentNoticeRequest {
    fn command(self, payment: PaymentKey, kind: NoticeKind) -> Result<TellPayment> {
        Ok(TellPayment {
            payment,
            notice: self.notice_id.parse()?,
            kind,
            amount_minor: self.amount_minor.map(|Whole(amount)| amount),
            currency: self.currency,
            at: instant(&self.at, "at")?,
        })
    }
}

/// Where the money of a payment is. What was captured is the sum of the others.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PaymentMoneyResponse {
    /// What the provider took, in minor units.
    captured_minor: u64,
    /// What is kept for the booking.
    kept_minor: u64,
    /// What is to be paid back.
    to_refund_minor: u64,
    /// What was paid back.
    refunded_minor: u64,
    /// What waits for the booking to be made.
    pending_minor: u64,
    /// What nobody has said the purpose of.
    unmatched_minor: u64,
}

impl From<PaymentMoney> for PaymentMoneyResponse {
    fn from(money: PaymentMoney) -> Self {
        Self {
            captured_minor: money.captured_minor,
            kept_minor: money.kept_minor,
            to_refund_minor: money.refund_due_minor,
            refunded_minor: money.refunded_minor,
            pending_minor: money.pending_minor,
            unmatched_minor: money.unmatched_minor,
        }
    }
}

/// A notice of a payment provider.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PaymentNoticeResponse {
    /// The provider's name of it.
    notice_id: String,
    /// What it says.
    #[schema(value_type = choices::NoticeKind)]
    kind: &'static str,
    /// The amount in minor units; 0 for a failure.
    amount_minor: u64,
    /// When it happened, by the provider.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// When Boxoffice was told.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

impl From<PaymentNotice> for PaymentNoticeResponse {
    fn from(notice: PaymentNotice) -> Self {
        Self {
            notice_id: notice.id.to_string(),
            kind: notice.kind.as_str(),
            amount_minor: notice.amount_minor,
            at: notice.at,
            received_at: notice.received_at,
        }
    }
}

/// Money that is to be paid back, or was.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PaymentRefundResponse {
    /// The refund's id.
    id: String,
    /// `due` or `settled`.
    #[schema(value_type = choices::RefundState)]
    state: &'static str,
    /// How much, in minor units.
    amount_minor: u64,
    /// How much of it was paid back.
    settled_minor: u64,
    /// Why.
    #[schema(value_type = choices::RefundReason)]
    reason: &'static str,
    /// Since when it is due.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When all of it was paid back; null while it is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<Timestamp>,
}

impl From<Refund> for PaymentRefundResponse {
    fn from(refund: Refund) -> Self {
        Self {
            id: refund.id.to_string(),
            state: refund.state().as_str(),
            amount_minor: refund.amount_minor,
            settled_minor: refund.settled_minor,
            reason: refund.reason.as_str(),
            created_at: refund.created_at,
            settled_at: refund.settled_at,
        }
    }
}

/// A refund, and the payment that it is of.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct RefundResponse {
    #[serde(flatten)]
    refund: PaymentRefundResponse,
    /// The payment provider.
    provider: String,
    /// The provider's name of the payment.
    reference: String,
    /// The booking that was made of the payment; null if none was.
    booking_id: Option<String>,
    /// ISO 4217 code of all its amounts.
    currency: String,
}

impl From<ListedRefund> for RefundResponse {
    fn from(listed: ListedRefund) -> Self {
        Self {
            refund: listed.refund.into(),
            provider: listed.payment.provider.to_string(),
            reference: listed.payment.reference.to_string(),
            booking_id: listed.booking.map(|booking| booking.to_string()),
            currency: listed.currency,
        }
    }
}

/// A payment, with everything that its provider said.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PaymentResponse {
    /// The payment's id.
    id: String,
    /// The payment provider.
    provider: String,
    /// The provider's name of the payment.
    reference: String,
    /// Its state.
    #[schema(value_type = choices::PaymentStatus)]
    status: &'static str,
    /// The hold that it was opened for; null if nobody opened it. The hold is forgotten two days after its end, the payment is not.
    hold_id: Option<String>,
    /// The event; null if nobody opened the payment.
    event_id: Option<String>,
    /// The customer; null if nobody opened the payment.
    customer_id: Option<String>,
    /// The booking that was made of it; null if none was.
    booking_id: Option<String>,
    /// The number of tickets of all types.
    num_tickets: u32,
    /// The tickets that it is for.
    lines: Vec<BookingLineResponse>,
    /// Price of all `lines`, in minor units.
    total_minor: u64,
    /// ISO 4217 code of all its amounts.
    currency: String,
    #[serde(flatten)]
    money: PaymentMoneyResponse,
    /// Why no booking was made, or was not made yet: the code of a refusal, `short` if less than the price came, `paid-before`, or
    /// `unmatched`. Null if nothing stands against it.
    refusal: Option<String>,
    /// All notices, in the order in which they came.
    notices: Vec<PaymentNoticeResponse>,
    /// All refunds, the oldest first.
    refunds: Vec<PaymentRefundResponse>,
    /// When Boxoffice heard of it first.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Payment> for PaymentResponse {
    fn from(payment: Payment) -> Self {
        let order = payment.order.as_ref();
        let lines = order.map_or(&[][..], |order| &order.lines);
        Self {
            hold_id: order.map(|order| order.hold.to_string()),
            event_id: order.map(|order| order.hold.event().to_string()),
            customer_id: order.map(|order| order.hold.customer().to_string()),
            num_tickets: lines.iter().map(|line| line.quantity).sum(),
            lines: lines.iter().map(BookingLineResponse::from).collect(),
            total_minor: order.map_or(0, |order| order.total_minor),
            id: payment.id.to_string(),
            provider: payment.key.provider.to_string(),
            reference: payment.key.reference.to_string(),
            status: payment.status.as_str(),
            booking_id: payment.booking.map(|booking| booking.to_string()),
            currency: payment.currency,
            money: payment.money.into(),
            refusal: payment.refusal,
            notices: payment.notices.into_iter().map(Into::into).collect(),
            refunds: payment.refunds.into_iter().map(Into::into).collect(),
            created_at: payment.created_at,
        }
    }
}

/// The two names of a payment in a path.
type Named = Ids<PaymentProvider, PaymentReference>;

/// Opens a payment for a hold, before the provider takes money
///
/// For owners and programs: whoever opens payments also says that money came. The payment keeps customer, tickets and price of the
/// hold, and outlives it. Opening it again answers the same payment.
#[utoipa::path(post, path = "/api/holds/{id}/payments", tag = "payments", request_body = OpenPaymentRequest,
    params(("id" = String, Path, description = "Which hold")),
    responses((status = 201, body = PaymentResponse, headers(("Location" = String))), refusals::OpenPayment))]
pub(in crate::routes) async fn open(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    Id(hold): Id<HoldId>,
    Json(request): Json<OpenPaymentRequest>,
) -> Answer<Response> {
    let Whole(amount_minor) = request.amount_minor;
    let key = PaymentKey {
        provider: request.provider.parse()?,
        reference: request.reference.parse()?,
    };
    let location = format!("{prefix}/api/payments/{key}");
    let command = OpenPayment {
        hold,
        key,
        amount_minor,
        currency: request.currency,
    };
    let payment = engine.payments().open(&caller, command).await?;
    Ok(created(&location, PaymentResponse::from(payment)))
}

/// Shows a payment, for owners and programs
#[utoipa::path(get, path = "/api/payments/{provider}/{reference}", tag = "payments",
    params(("provider" = String, Path, description = "The payment provider"),
        ("reference" = String, Path, description = "The provider's name of the payment")),
    responses((status = 200, body = PaymentResponse), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    named: Named,
) -> Answer<JsonAnswer<PaymentResponse>> {
    let payment = engine.payments().show(&caller, &key_of(named)).await?;
    Ok(JsonAnswer(payment.into()))
}

/// Lists the tenant's payments, newest first, for owners and programs
#[utoipa::path(get, path = "/api/payments", tag = "payments", params(PageParams, PaymentParams),
    responses((status = 200, body = PageResponse<PaymentResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPaymentPage(page, status): AtPaymentPage,
) -> Answer<JsonAnswer<PageResponse<PaymentResponse>>> {
    let page = engine.payments().list(&caller, status, page).await?;
    Ok(PageResponse::of(page, PaymentResponse::from))
}

/// Lists an event's payments, newest first, for those who manage the event
#[utoipa::path(get, path = "/api/events/{id}/payments", tag = "payments",
    params(("id" = String, Path, description = "Which event"), PageParams),
    responses((status = 200, body = PageResponse<PaymentResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_of_event(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<PaymentResponse>>> {
    let page = engine
        .payments()
        .list_of_event(&caller, event, page)
        .await?;
    Ok(PageResponse::of(page, PaymentResponse::from))
}

/// Tells that the provider took money, for owners and programs
///
/// If the hold is still held and all of its price is there, the booking is made with it. Otherwise the money is `pending`: the booking
/// is made a moment later at the hold's price, if there are tickets and policies accept, or a refund becomes due. The same
/// `noticeId` has its effect once.
#[utoipa::path(post, path = "/api/payments/{provider}/{reference}/captured", tag = "payments",
    request_body = PaymentNoticeRequest,
    params(("provider" = String, Path, description = "The payment provider"),
        ("reference" = String, Path, description = "The provider's name of the payment")),
    responses((status = 200, body = PaymentResponse), refusals::TellPayment))]
pub(in crate::routes) async fn captured(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    named: Named,
    Json(request): Json<PaymentNoticeRequest>,
) -> Answer<JsonAnswer<PaymentResponse>> {
    let command = request.command(key_of(named), NoticeKind::Captured)?;
    Ok(JsonAnswer(
        engine.payments().tell(&caller, command).await?.into(),
    ))
}

/// Tells that a payment failed, for owners and programs
///
/// Nothing else changes: the hold ends at its time, and money that comes nevertheless counts.
#[utoipa::path(post, path = "/api/payments/{provider}/{reference}/failed", tag = "payments",
    request_body = PaymentNoticeRequest,
    params(("provider" = String, Path, description = "The payment provider"),
        ("reference" = String, Path, description = "The provider's name of the payment")),
    responses((status = 200, body = PaymentResponse), refusals::TellPayment))]
pub(in crate::routes) async fn failed(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    named: Named,
    Json(request): Json<PaymentNoticeRequest>,
) -> Answer<JsonAnswer<PaymentResponse>> {
    let command = request.command(key_of(named), NoticeKind::Failed)?;
    Ok(JsonAnswer(
        engine.payments().tell(&caller, command).await?.into(),
    ))
}

/// Tells that the provider paid money back, for owners and programs
///
/// Refunds that are due are settled first, the oldest first. What was not due is no longer kept; the booking stays.
#[utoipa::path(post, path = "/api/payments/{provider}/{reference}/refunded", tag = "payments",
    request_body = PaymentNoticeRequest,
    params(("provider" = String, Path, description = "The payment provider"),
        ("reference" = String, Path, description = "The provider's name of the payment")),
    responses((status = 200, body = PaymentResponse), refusals::TellPayment))]
pub(in crate::routes) async fn refunded(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    named: Named,
    Json(request): Json<PaymentNoticeRequest>,
) -> Answer<JsonAnswer<PaymentResponse>> {
    let command = request.command(key_of(named), NoticeKind::Refunded)?;
    Ok(JsonAnswer(
        engine.payments().tell(&caller, command).await?.into(),
    ))
}

/// Lists refunds, the oldest first, for owners and programs
#[utoipa::path(get, path = "/api/refunds", tag = "payments", params(PageParams, RefundParams),
    responses((status = 200, body = PageResponse<RefundResponse>), refusals::Restricted))]
pub(in crate::routes) async fn refunds(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtRefundPage(page, state): AtRefundPage,
) -> Answer<JsonAnswer<PageResponse<RefundResponse>>> {
    let page = engine.payments().refunds(&caller, state, page).await?;
    Ok(PageResponse::of(page, RefundResponse::from))
}

/// Records that a refund was paid back, for owners and programs
///
/// The provider's own notice of it is then not counted again. A settled refund is answered unchanged.
#[utoipa::path(post, path = "/api/refunds/{id}/settled", tag = "payments",
    params(("id" = String, Path, description = "Which refund")),
    responses((status = 200, body = RefundResponse), refusals::RestrictedChange))]
pub(in crate::routes) async fn settled(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(refund): Id<RefundId>,
) -> Answer<JsonAnswer<RefundResponse>> {
    let refund = engine.payments().settle_refund(&caller, refund).await?;
    Ok(JsonAnswer(refund.into()))
}

fn key_of(Ids(provider, reference): Named) -> PaymentKey {
    PaymentKey {
        provider,
        reference,
    }
}
