//! What is kept about a person, as a file.

use axum::{extract::State, response::Response};
use boxoffice_engine::{CheckIn, Engine, PersonalRecord, UserId};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Answer, auth::UserResponse, bookings::BookingResponse, events::team::OwnTeamResponse,
    exports::Reader, holds::HoldResponse, identities::IdentityResponse,
    notifications::DeliveryResponse, operators::SessionResponse, payments::PaymentResponse,
    receipts::ReceiptResponse, transfers::ReceivedTicketResponse, waitlist::WaitlistPlaceResponse,
};
use crate::routes::{
    choices,
    extract::{AsCaller, Id},
    refusals,
};

/// A line of a person's data: what it is, and its content.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", content = "data", rename_all = "kebab-case")]
pub(in crate::routes) enum PersonalRecordResponse {
    /// The account; after it those without a password that tickets were sold to at its address before.
    Account(UserResponse),
    /// A way to sign in at an OpenID provider.
    Identity(IdentityResponse),
    /// A session.
    Session(SessionResponse),
    /// A place in the team of an event.
    Team(OwnTeamResponse),
    /// A kind of mail that the person has unsubscribed from.
    Unsubscribed(UnsubscribedResponse),
    /// A booking.
    Booking(BookedResponse),
    /// A ticket that somebody gave to the person, without its code.
    ReceivedTicket(Box<ReceivedTicketResponse>),
    /// A receipt of the booking before it, or a credit note.
    Receipt(Box<ReceiptResponse>),
    /// A hold.
    Hold(HoldResponse),
    /// A payment.
    Payment(Box<PaymentResponse>),
    /// A place on a waiting list, or an offer from one.
    WaitlistPlace(WaitlistPlaceResponse),
    /// A mail to the person, without its text.
    Delivery(DeliveryResponse),
}

/// A kind of mail that the person does without.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct UnsubscribedResponse {
    /// The kind.
    #[schema(value_type = choices::OptionalMailKind)]
    kind: &'static str,
}

/// A booking, and when its tickets were checked in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct BookedResponse {
    #[serde(flatten)]
    booking: BookingResponse,
    /// The check-ins of its tickets, by number.
    check_ins: Vec<AdmissionResponse>,
}

/// When a ticket was checked in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct AdmissionResponse {
    /// The ticket's number in the booking, from 1.
    number: u32,
    /// When it was checked in.
    #[schema(value_type = String, format = DateTime)]
    checked_in_at: Timestamp,
}

impl From<CheckIn> for AdmissionResponse {
    fn from(check_in: CheckIn) -> Self {
        Self {
            number: check_in.ticket.number,
            checked_in_at: check_in.at,
        }
    }
}

impl From<PersonalRecord> for PersonalRecordResponse {
    fn from(record: PersonalRecord) -> Self {
        match record {
            PersonalRecord::Account(user) => Self::Account(user.into()),
            PersonalRecord::Identity(identity) => Self::Identity(identity.into()),
            PersonalRecord::Session(session) => Self::Session(SessionResponse::of(session, None)),
            PersonalRecord::Team(member) => Self::Team(member.into()),
            PersonalRecord::Unsubscribed(kind) => Self::Unsubscribed(UnsubscribedResponse {
                kind: kind.as_str(),
            }),
            PersonalRecord::Booking(booking, check_ins) => Self::Booking(BookedResponse {
                booking: booking.into(),
                check_ins: check_ins.into_iter().map(Into::into).collect(),
            }),
            PersonalRecord::ReceivedTicket(received) => {
                Self::ReceivedTicket(Box::new((*received).into()))
            }
            PersonalRecord::Receipt(receipt) => Self::Receipt(Box::new((*receipt).into())),
            PersonalRecord::Hold(hold) => Self::Hold(hold.into()),
            PersonalRecord::Payment(payment) => Self::Payment(Box::new((*payment).into())),
            PersonalRecord::WaitlistPlace(place) => Self::WaitlistPlace(place.into()),
            PersonalRecord::Delivery(delivery) => Self::Delivery(delivery.into()),
        }
    }
}

/// Exports all that is kept about the caller
///
/// A JSON object on each line (NDJSON): the account and what belongs to it, then bookings with their receipts, tickets that others gave to
/// them, holds, payments, waiting places and mails. Bookings and holds are as the customer sees them.
#[utoipa::path(get, path = "/api/auth/me/personal-data", tag = "auth", operation_id = "export_own_data",
    responses((status = 200, body = PersonalRecordResponse, content_type = "application/x-ndjson"), refusals::Restricted))]
pub(in crate::routes) async fn export_own(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<Response> {
    let user = engine.users().me(&caller).await?.id;
    file(Reader { engine, caller }, user).await
}

/// Exports all that is kept about a user, for owners
///
/// As the user gets it at `/api/auth/me/personal-data`.
#[utoipa::path(get, path = "/api/users/{id}/personal-data", tag = "users", operation_id = "export_personal_data",
    params(("id" = String, Path, description = "Which user")),
    responses((status = 200, body = PersonalRecordResponse, content_type = "application/x-ndjson"), refusals::Restricted))]
pub(in crate::routes) async fn export(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(user): Id<UserId>,
) -> Answer<Response> {
    file(Reader { engine, caller }, user).await
}

async fn file(reader: Reader, user: UserId) -> Answer<Response> {
    let read = move |reader: Reader, page| async move {
        let users = reader.engine.users();
        users.personal_data(&reader.caller, user, page).await
    };
    let answer = reader.objects("personal-data", read, PersonalRecordResponse::from);
    Ok(answer.await?)
}
