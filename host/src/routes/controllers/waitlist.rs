//! Waiting lists: joining, leaving, the caller's place, and the list for those who manage the event.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json as JsonAnswer, extract::State, http::StatusCode, response::Response};
use boxoffice_engine::{
    BookLine, BookingLine, Engine, Error, EventId, JoinWaitlist, Result, WaitlistEntry,
    WaitlistPass, WaitlistPlace, WaitlistSkip, WithCustomer,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    booking_details::{DetailsResponse, TicketHolderResponse, request_with_details},
    bookings::{BookLineRequest, at_num_tickets, wanted_lines},
    created,
    customers::CustomerResponse,
    holds::HoldResponse,
    integers::TicketCount,
    unconfirmed::UnconfirmedTickets,
};
use crate::routes::{
    choices,
    extract::{AsCaller, AtPage, ClientAddress, Id, Json, PageParams, Prefix},
    refusals,
};

request_with_details! {
    /// The wanted tickets: `numTickets` of the event's only ticket type, or `lines`; all or nothing.
    #[derive(Debug, Deserialize, ToSchema)]
    JoinWaitlistRequest {
        /// The number of tickets of the only type; instead of `lines`.
        #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000, example = 2)]
        num_tickets: Option<TicketCount>,
        /// The numbers of tickets by type; instead of `numTickets`. 1 to 10 lines, each type once.
        lines: Option<Vec<BookLineRequest>>,
    }
}

/// A number of tickets of one type.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct WantedLineResponse {
    /// The ticket type.
    ticket_type: Option<String>,
    /// The number of tickets.
    quantity: u32,
}

/// The caller's place on a waiting list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct WaitlistPlaceResponse {
    /// `waiting`, or `offered`: the tickets are reserved by `hold`, to be confirmed or released.
    #[schema(value_type = choices::WaitlistStatus)]
    status: &'static str,
    /// The event.
    event_id: String,
    /// The number of tickets of all types.
    num_tickets: u32,
    /// The place, from 1; null once offered.
    position: Option<u64>,
    /// The tickets that the caller waits for, or was offered.
    lines: Vec<WantedLineResponse>,
    /// When the caller joined; null once offered.
    #[schema(value_type = Option<String>, format = DateTime)]
    joined_at: Option<Timestamp>,
    /// The offer; null while waiting.
    hold: Option<HoldResponse>,
}

/// An entry of a waiting list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct WaitlistEntryResponse {
    /// Its number, raised with every entry of the event. The first entry has the lowest.
    number: i64,
    /// The customer who waits.
    customer_id: String,
    /// Who they are; null if the account was deleted.
    customer: Option<CustomerResponse>,
    /// The number of tickets of all types.
    num_tickets: u32,
    /// The wanted tickets, all or nothing.
    lines: Vec<WantedLineResponse>,
    /// When they joined.
    #[schema(value_type = String, format = DateTime)]
    joined_at: Timestamp,
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
}

/// One pass over a waiting list in which entries were passed over.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct WaitlistPassResponse {
    /// The time.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The entries, in the order of the list.
    skips: Vec<WaitlistSkipResponse>,
}

/// Why an entry was passed over.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct WaitlistSkipResponse {
    /// The entry.
    number: i64,
    /// The customer.
    customer_id: String,
    /// The number of tickets of all types.
    num_tickets: u32,
    /// The error code that a booking would have got. After `policy-rejected` they no longer wait.
    #[schema(value_type = choices::ErrorCode)]
    reason: &'static str,
    /// The error's sentence.
    detail: String,
}

impl From<&BookLine> for WantedLineResponse {
    fn from(line: &BookLine) -> Self {
        Self {
            ticket_type: line.ticket_type.as_ref().map(ToString::to_string),
            quantity: line.quantity,
        }
    }
}

impl From<&BookingLine> for WantedLineResponse {
    fn from(line: &BookingLine) -> Self {
        Self {
            ticket_type: Some(line.ticket_type.to_string()),
            quantity: line.quantity,
        }
    }
}

impl From<WaitlistPlace> for WaitlistPlaceResponse {
    fn from(place: WaitlistPlace) -> Self {
        match place {
            WaitlistPlace::Waiting { entry, ahead } => Self {
                status: "waiting",
                event_id: entry.event.to_string(),
                num_tickets: entry.tickets(),
                position: Some(ahead + 1),
                lines: entry.lines.iter().map(WantedLineResponse::from).collect(),
                joined_at: Some(entry.joined_at),
                hold: None,
            },
            WaitlistPlace::Offered(hold) => Self {
                status: "offered",
                event_id: hold.event.to_string(),
                num_tickets: hold.tickets(),
                position: None,
                lines: hold.lines.iter().map(WantedLineResponse::from).collect(),
                joined_at: None,
                hold: Some(hold.into()),
            },
        }
    }
}

impl From<WithCustomer<WaitlistEntry>> for WaitlistEntryResponse {
    fn from(listed: WithCustomer<WaitlistEntry>) -> Self {
        let entry = listed.item;
        let details = DetailsResponse::of(entry.details.as_deref());
        Self {
            customer: listed.person.map(CustomerResponse::from),
            number: entry.number,
            customer_id: entry.customer.to_string(),
            num_tickets: entry.tickets(),
            lines: entry.lines.iter().map(WantedLineResponse::from).collect(),
            joined_at: entry.joined_at,
            reference: details.reference,
            metadata: details.metadata,
            codes: details.codes,
            answers: details.answers,
            attendees: details.attendees,
        }
    }
}

impl From<WaitlistPass> for WaitlistPassResponse {
    fn from(pass: WaitlistPass) -> Self {
        Self {
            at: pass.at,
            skips: pass.skips.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<WaitlistSkip> for WaitlistSkipResponse {
    fn from(skip: WaitlistSkip) -> Self {
        Self {
            number: skip.number,
            customer_id: skip.customer.to_string(),
            num_tickets: skip.tickets,
            reason: skip.reason.as_str(),
            detail: skip.detail,
        }
    }
}

impl JoinWaitlistRequest {
    fn command(&self, event: EventId) -> Result<JoinWaitlist> {
        Ok(JoinWaitlist {
            event,
            lines: wanted_lines(self.num_tickets, self.lines.as_deref())?,
            details: self.details()?,
        })
    }

    /// The same error, with this request's name of the field.
    fn at_own_field(&self, error: Error) -> Error {
        match self.num_tickets {
            Some(_) => at_num_tickets(error),
            None => error,
        }
    }
}

/// Adds the caller to an event's waiting list
///
/// Possible while fewer tickets are left than the caller wants. When enough become free for the first entry that they
/// are enough for, it gets an offer: a hold, which the customer confirms or releases, and a mail. Joining again for the
/// same tickets returns the place.
#[utoipa::path(post, path = "/api/events/{id}/waitlist", tag = "waitlist", request_body = JoinWaitlistRequest,
    params(("id" = String, Path, description = "Which event")),
    responses((status = 201, body = WaitlistPlaceResponse, headers(("Location" = String))), refusals::JoinWaitlist))]
pub(in crate::routes) async fn join(
    State(engine): State<Engine>,
    State(unconfirmed): State<Arc<UnconfirmedTickets>>,
    AsCaller(caller): AsCaller,
    ClientAddress(address): ClientAddress,
    Prefix(prefix): Prefix,
    Id(event): Id<EventId>,
    Json(request): Json<JoinWaitlistRequest>,
) -> Answer<Response> {
    let command = request.command(event)?;
    let counted = unconfirmed.count(&engine, caller, address, &command.lines);
    let counted = counted.await?;
    let place = engine.waitlist().join(&counted.caller, command).await;
    let place = counted.settle(place);
    let place = place.map_err(|error| request.at_own_field(error))?;
    let location = format!("{prefix}/api/events/{event}/waitlist/me");
    Ok(created(&location, WaitlistPlaceResponse::from(place)))
}

/// Lists the caller's places on waiting lists, and their offers, by event, the newest first
///
/// A page may have fewer items than its limit, or none, and still have a next page.
#[utoipa::path(get, path = "/api/waitlist/me", tag = "waitlist", params(PageParams),
    operation_id = "list_my_places",
    responses((status = 200, body = PageResponse<WaitlistPlaceResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_mine(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<WaitlistPlaceResponse>>> {
    let page = engine.waitlist().list_mine(&caller, page).await?;
    Ok(PageResponse::of(page, WaitlistPlaceResponse::from))
}

/// Shows the caller's place on an event's waiting list, or their offer
#[utoipa::path(get, path = "/api/events/{id}/waitlist/me", tag = "waitlist",
    params(("id" = String, Path, description = "Which event")),
    responses((status = 200, body = WaitlistPlaceResponse), refusals::Restricted))]
pub(in crate::routes) async fn place(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
) -> Answer<JsonAnswer<WaitlistPlaceResponse>> {
    let place = engine.waitlist().place(&caller, event).await?;
    Ok(JsonAnswer(place.into()))
}

/// Removes the caller from an event's waiting list
#[utoipa::path(delete, path = "/api/events/{id}/waitlist/me", tag = "waitlist",
    params(("id" = String, Path, description = "Which event")),
    responses((status = 204), refusals::RestrictedKeyed))]
pub(in crate::routes) async fn leave(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
) -> Answer<StatusCode> {
    engine.waitlist().leave(&caller, event).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists an event's waiting list in order, for its organizer, the tenant's owner and staff
#[utoipa::path(get, path = "/api/events/{id}/waitlist", tag = "waitlist",
    params(("id" = String, Path, description = "Which event"), PageParams),
    responses((status = 200, body = PageResponse<WaitlistEntryResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<WaitlistEntryResponse>>> {
    let page = engine.waitlist().list(&caller, event, page).await?;
    Ok(PageResponse::of(page, WaitlistEntryResponse::from))
}

/// Lists the passes in which entries were passed over and why, newest first; the last 200 are kept
#[utoipa::path(get, path = "/api/events/{id}/waitlist/skips", tag = "waitlist",
    params(("id" = String, Path, description = "Which event"), PageParams),
    responses((status = 200, body = PageResponse<WaitlistPassResponse>), refusals::Restricted))]
pub(in crate::routes) async fn skips(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<WaitlistPassResponse>>> {
    let page = engine.waitlist().list_passes(&caller, event, page).await?;
    Ok(PageResponse::of(page, WaitlistPassResponse::from))
}
