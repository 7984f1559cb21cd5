//! Transfers: give a ticket to somebody else, and list the tickets that one got.

use axum::{Json as JsonAnswer, extract::State};
use boxoffice_engine::{
    Answers, EmailAddress, Engine, Label, ReceivedTicket, Result, TicketId, TransferTicket,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    booking_details::{TicketHolderResponse, answers_of},
    check_ins::TicketResponse,
};
use crate::routes::{
    extract::{AsCaller, AtPage, Id, Json, PageParams},
    refusals,
};

/// Who gets a ticket.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct TransferRequest {
    /// Their name: one line of 1 to 200 characters.
    name: String,
    /// Their address, to which the new code goes.
    email: String,
    /// Their answers to the questions that are asked per ticket, by the id of the question.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    answers: Option<Map<String, Value>>,
}

impl TransferRequest {
    fn command(&self, ticket: TicketId) -> Result<TransferTicket> {
        Ok(TransferTicket {
            ticket,
            name: Label::parse("name", &self.name)?,
            email: EmailAddress::parse("email", &self.email)?,
            answers: match &self.answers {
                Some(answers) => answers_of("answers", answers)?,
                None => Answers::default(),
            },
        })
    }
}

/// A ticket that somebody gave to the caller.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReceivedTicketResponse {
    #[serde(flatten)]
    ticket: TicketResponse,
    /// The number of its booking, for people.
    booking_number: String,
    /// The name of its type; null if the type was deleted.
    ticket_type_name: Option<String>,
    /// The event.
    event_id: String,
    /// The event's title.
    event_title: String,
    /// When the event begins.
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// Who has it, as whoever gave it named them.
    attendee: Option<TicketHolderResponse>,
}

impl From<ReceivedTicket> for ReceivedTicketResponse {
    fn from(received: ReceivedTicket) -> Self {
        let (number, holder) = (received.ticket.id.number, received.holder.as_ref());
        Self {
            attendee: holder.map(|holder| TicketHolderResponse::of(number, holder)),
            ticket: received.ticket.into(),
            booking_number: received.booking_number.to_string(),
            ticket_type_name: received.ticket_type_name.map(|name| name.to_string()),
            event_id: received.event.to_string(),
            event_title: received.event_title.to_string(),
            starts_at: received.starts_at,
        }
    }
}

/// Gives a ticket to somebody else
///
/// The codes that the ticket had before admit nobody any more. Who gets it reads the new code in a mail, and who had it hears that it is
/// gone. Its owner may do so until the event's `attendeesUntil`: who booked it, or who got it before. Those who manage the event may do so
/// until it is checked in. The ticket stays in its booking, whose customer alone gets refunds.
#[utoipa::path(post, path = "/api/tickets/{id}/transfer", tag = "bookings", operation_id = "transfer_ticket",
    request_body = TransferRequest,
    params(("id" = String, Path, description = "Which ticket")),
    responses((status = 200, body = TicketResponse), refusals::TransferTicket))]
pub(in crate::routes) async fn create(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(ticket): Id<TicketId>,
    Json(request): Json<TransferRequest>,
) -> Answer<JsonAnswer<TicketResponse>> {
    let command = request.command(ticket)?;
    let ticket = engine.bookings().transfer_ticket(&caller, command).await?;
    Ok(JsonAnswer(ticket.into()))
}

/// Lists the tickets that others gave to the caller, with their codes and links
///
/// In the order of events. A ticket that the caller gave on is not in it.
#[utoipa::path(get, path = "/api/tickets/me", tag = "bookings", operation_id = "list_received_tickets",
    params(PageParams),
    responses((status = 200, body = PageResponse<ReceivedTicketResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_mine(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<ReceivedTicketResponse>>> {
    let bookings = engine.bookings();
    let page = bookings.list_received_tickets(&caller, page).await?;
    Ok(PageResponse::of(page, ReceivedTicketResponse::from))
}
