//! Holds: create, show, extend, confirm and release.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json as JsonAnswer, extract::State, response::Response};
use boxoffice_engine::{ChangeHold, ConfirmHold, Engine, Hold, HoldId, Result, WithCustomer};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    booking_details::{DetailsResponse, TicketHolderResponse, request_with_details},
    bookings::{BookingLineResponse, BookingResponse, CreateBookingRequest, own_lines},
    created,
    customers::CustomerResponse,
    integers::Whole,
    sales::{SaleResponse, SellerResponse},
    unconfirmed::UnconfirmedTickets,
};
use crate::routes::{
    choices,
    extract::{AsCaller, AtPage, ClientAddress, Id, Json, OptionalJson, PageParams, Prefix},
    refusals,
};

/// Tickets that are reserved for a customer, at the prices of the moment when they were held.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct HoldResponse {
    /// The hold's id. The booking that it becomes has the same id.
    id: String,
    /// The event whose tickets are held.
    event_id: String,
    /// The customer who has the hold.
    customer_id: String,
    /// Who they are, where holds are read. Null in answers to requests that make or change it, and if the account was deleted.
    customer: Option<CustomerResponse>,
    /// `held`, `confirmed`, `released` or `expired`. A `held` one can be confirmed, also after `expiresAt`.
    #[schema(value_type = choices::HoldStatus)]
    status: &'static str,
    /// The number of tickets of all types.
    num_tickets: u32,
    /// The held tickets.
    lines: Vec<BookingLineResponse>,
    /// Price of all `lines`, in minor units.
    total_minor: u64,
    /// Texts of the tenant's policies about the prices, for the customer.
    messages: Vec<String>,
    /// ISO 4217 code of all its amounts.
    currency: String,
    /// How it came about.
    #[schema(value_type = choices::SalesChannel)]
    channel: &'static str,
    /// Who sold it, for those who look after the event; null for customers, and if nobody did.
    sold_by: Option<SellerResponse>,
    /// Why it costs nothing, for those who look after the event; null for customers, and if it is not complimentary.
    complimentary: Option<String>,
    /// The platform's own name of it, unique within the tenant; null if it has none.
    reference: Option<String>,
    /// The platform's own strings.
    metadata: BTreeMap<String, String>,
    /// Codes that were given for the tenant's policies to judge.
    codes: Vec<String>,
    /// The answers, by the id of the question: a text, a number, true or false, or a list of choices.
    #[schema(value_type = BTreeMap<String, Value>)]
    answers: BTreeMap<String, Value>,
    /// Who has the tickets, as far as the customer named them, by the number of the ticket.
    attendees: Vec<TicketHolderResponse>,
    /// The version of the event when it was made.
    event_version: u64,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it expires.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Whether it was extended; possible once.
    extended: bool,
    /// Whether it is an offer from the waiting list. Policies then decide when it is confirmed.
    offered: bool,
    /// When it ended, if it did.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl From<Hold> for HoldResponse {
    fn from(hold: Hold) -> Self {
        let sale = SaleResponse::of(hold.sale.as_deref());
        let details = DetailsResponse::of(hold.details.as_deref());
        Self {
            channel: hold.channel().as_str(),
            sold_by: sale.sold_by,
            complimentary: sale.complimentary,
            reference: details.reference,
            metadata: details.metadata,
            codes: details.codes,
            answers: details.answers,
            attendees: details.attendees,
            id: hold.id.to_string(),
            event_id: hold.event.to_string(),
            customer_id: hold.customer.to_string(),
            customer: None,
            status: hold.status.as_str(),
            num_tickets: hold.tickets(),
            lines: hold.lines.iter().map(BookingLineResponse::from).collect(),
            total_minor: hold.total_minor,
            messages: hold.messages,
            currency: hold.currency,
            event_version: hold.event_version,
            created_at: hold.created_at,
            expires_at: hold.expires_at,
            extended: hold.extended,
            offered: hold.waitlist_number.is_some(),
            ended_at: hold.ended_at,
        }
    }
}

impl From<WithCustomer<Hold>> for HoldResponse {
    fn from(hold: WithCustomer<Hold>) -> Self {
        Self {
            customer: hold.person.map(CustomerResponse::from),
            ..hold.item.into()
        }
    }
}

request_with_details! {
    /// The content of a confirmation.
    #[derive(Debug, Default, Deserialize, ToSchema)]
    ConfirmHoldRequest {
        /// The total that the customer agreed to, in minor units. Another total is refused (`price-changed`). Without it the total of an
        /// offer may be lower than offered, but not higher.
        #[schema(value_type = Option<u64>)]
        expected_total_minor: Option<Whole<u64>>,
    }
}

request_with_details! {
    /// What a hold carries beside its tickets. Each member replaces what was there; those that are left out stay.
    #[derive(Debug, Deserialize, ToSchema)]
    ChangeHoldRequest {}
}

impl ConfirmHoldRequest {
    fn command(&self, hold: HoldId) -> Result<ConfirmHold> {
        Ok(ConfirmHold {
            hold,
            expected_total_minor: self.expected_total_minor.map(|Whole(total)| total),
            details: self.details()?,
        })
    }
}

impl ChangeHoldRequest {
    fn command(&self, hold: HoldId) -> Result<ChangeHold> {
        Ok(ChangeHold {
            hold,
            details: self.details()?,
        })
    }
}

/// Holds tickets for the caller, or for a customer that they are sold to
///
/// Price and permission are decided now. A customer has at most one active hold per event.
#[utoipa::path(post, path = "/api/holds", tag = "holds", request_body = CreateBookingRequest,
    responses((status = 201, body = HoldResponse, headers(("Location" = String))), refusals::HoldTickets))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    State(unconfirmed): State<Arc<UnconfirmedTickets>>,
    AsCaller(caller): AsCaller,
    ClientAddress(address): ClientAddress,
    Prefix(prefix): Prefix,
    Json(request): Json<CreateBookingRequest>,
) -> Answer<Response> {
    let command = request.command()?;
    let counted = unconfirmed.count(&engine, caller, address, own_lines(&command));
    let counted = counted.await?;
    let hold = engine.holds();
    let hold = hold.hold_tickets(&counted.caller, command.into()).await;
    let hold = counted.settle(hold);
    let hold = HoldResponse::from(hold.map_err(|error| request.at_own_field(error))?);
    Ok(created(&format!("{prefix}/api/holds/{}", hold.id), &hold))
}

/// Lists the caller's own holds, newest first; each for two days after it ended
#[utoipa::path(get, path = "/api/holds/me", tag = "holds", params(PageParams),
    responses((status = 200, body = PageResponse<HoldResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_mine(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<HoldResponse>>> {
    let page = engine.holds().list_mine(&caller, page).await?;
    Ok(PageResponse::of(page, HoldResponse::from))
}

/// Shows a hold; for two days after it ended
#[utoipa::path(get, path = "/api/holds/{id}", tag = "holds",
    params(("id" = String, Path, description = "Which hold")),
    responses((status = 200, body = HoldResponse), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(hold): Id<HoldId>,
) -> Answer<JsonAnswer<HoldResponse>> {
    Ok(JsonAnswer(engine.holds().show(&caller, hold).await?.into()))
}

/// Changes what a hold carries beside its tickets: for its customer, the event's organizer, the tenant's owner and staff
///
/// Each member replaces what was there; those that are left out stay. Answers that are required may be missing until the hold is
/// confirmed, or a payment is opened for it.
#[utoipa::path(patch, path = "/api/holds/{id}", tag = "holds", request_body = ChangeHoldRequest, operation_id = "change_hold",
    params(("id" = String, Path, description = "Which hold")),
    responses((status = 200, body = HoldResponse), refusals::ChangeHold))]
pub(in crate::routes) async fn change(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(hold): Id<HoldId>,
    Json(request): Json<ChangeHoldRequest>,
) -> Answer<JsonAnswer<HoldResponse>> {
    let command = request.command(hold)?;
    let changed = engine.holds().change(&caller, command).await?;
    Ok(JsonAnswer(changed.into()))
}

/// Extends a hold once, by the time it was made for: for its customer, the event's organizer, the tenant's owner and staff
#[utoipa::path(post, path = "/api/holds/{id}/extend", tag = "holds",
    params(("id" = String, Path, description = "Which hold")),
    responses((status = 200, body = HoldResponse), refusals::ExtendHold))]
pub(in crate::routes) async fn extend(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(hold): Id<HoldId>,
) -> Answer<JsonAnswer<HoldResponse>> {
    Ok(JsonAnswer(
        engine.holds().extend(&caller, hold).await?.into(),
    ))
}

/// Turns a hold into a booking: for its customer, the event's organizer, the tenant's owner and staff
///
/// The booking has the hold's id and prices. Confirming again returns the same booking. For an
/// offer from the waiting list policies decide now. If one rejects it, the tickets go to the next in the list.
#[utoipa::path(post, path = "/api/holds/{id}/confirm", tag = "holds", request_body = Option<ConfirmHoldRequest>,
    params(("id" = String, Path, description = "Which hold")),
    responses((status = 201, body = BookingResponse, headers(("Location" = String))), refusals::ConfirmHold))]
pub(in crate::routes) async fn confirm(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Prefix(prefix): Prefix,
    Id(hold): Id<HoldId>,
    OptionalJson(request): OptionalJson<ConfirmHoldRequest>,
) -> Answer<Response> {
    let command = request.command(hold)?;
    let booking = engine.holds().accept(&caller, command).await?;
    let booking = BookingResponse::from(booking);
    Ok(created(
        &format!("{prefix}/api/bookings/{}", booking.id),
        &booking,
    ))
}

/// Releases a hold
///
/// A released or expired hold is returned unchanged.
#[utoipa::path(post, path = "/api/holds/{id}/release", tag = "holds",
    params(("id" = String, Path, description = "Which hold")),
    responses((status = 200, body = HoldResponse), refusals::ReleaseHold))]
pub(in crate::routes) async fn release(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(hold): Id<HoldId>,
) -> Answer<JsonAnswer<HoldResponse>> {
    Ok(JsonAnswer(
        engine.holds().release(&caller, hold).await?.into(),
    ))
}
