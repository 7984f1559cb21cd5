//! Exports of an event's bookings and attendees.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use boxoffice_engine::{Attendee, Engine, EventId};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Answer, BookingResponse};
use crate::routes::{
    choices,
    controllers::{
        booking_details::{answers_response, json_cell},
        customers::{CustomerResponse, name_and_address},
        exports::{ExportRow, Reader, time},
        sales::SellerResponse,
    },
    extract::{AsCaller, ExportParams, Id, InFormat},
    refusals,
};

impl ExportRow for BookingResponse {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "bookingNumber",
        "eventId",
        "status",
        "customerId",
        "customerName",
        "customerEmail",
        "numTickets",
        "lines",
        "totalMinor",
        "paidMinor",
        "cancelledMinor",
        "refundDueMinor",
        "currency",
        "channel",
        "soldBy",
        "complimentary",
        "reference",
        "metadata",
        "codes",
        "answers",
        "createdAt",
        "cancelledAt",
        "cancelledBy",
    ];

    fn cells(&self) -> Vec<String> {
        let [name, email] = name_and_address(self.customer.as_ref());
        let lines = self.lines.iter();
        let lines = lines.map(|line| format!("{} x {}", line.quantity, line.ticket_type));
        vec![
            self.id.clone(),
            self.booking_number.clone(),
            self.event_id.clone(),
            self.status.to_owned(),
            self.customer_id.clone(),
            name,
            email,
            self.num_tickets.to_string(),
            lines.collect::<Vec<_>>().join("; "),
            self.total_minor.to_string(),
            self.paid_minor.to_string(),
            self.cancelled_minor.to_string(),
            self.refund_due_minor.to_string(),
            self.currency.clone(),
            self.channel.to_owned(),
            self.sold_by
                .as_ref()
                .map(SellerResponse::cell)
                .unwrap_or_default(),
            self.complimentary.clone().unwrap_or_default(),
            self.reference.clone().unwrap_or_default(),
            json_cell(&self.metadata, self.metadata.is_empty()),
            self.codes.join("; "),
            json_cell(&self.answers, self.answers.is_empty()),
            self.created_at.to_string(),
            time(self.cancelled_at),
            self.cancelled_by.unwrap_or_default().to_owned(),
        ]
    }
}

/// A ticket, and who booked it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct AttendeeResponse {
    /// The ticket's id.
    ticket_id: String,
    /// The ticket's booking.
    booking_id: String,
    /// The booking's number for people.
    booking_number: String,
    /// The ticket's number in the booking, from 1.
    number: u32,
    /// Its ticket type.
    ticket_type: String,
    /// The type's name; null if the type was deleted.
    ticket_type_name: Option<String>,
    /// `valid`, `checked-in` or `cancelled`.
    #[schema(value_type = choices::TicketStatus)]
    status: &'static str,
    /// Who has the ticket, if the customer named them.
    name: Option<String>,
    /// Their address, if it was given.
    email: Option<String>,
    /// The answers, by the id of the question: a text, a number, true or false, or a list of choices.
    #[schema(value_type = BTreeMap<String, Value>)]
    answers: BTreeMap<String, Value>,
    /// The customer who booked.
    customer_id: String,
    /// Who they are; null if the account was deleted.
    customer: Option<CustomerResponse>,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    booked_at: Timestamp,
}

impl From<Attendee> for AttendeeResponse {
    fn from(attendee: Attendee) -> Self {
        let ticket = attendee.ticket;
        let holder = attendee.holder.unwrap_or_default();
        Self {
            name: holder.name.map(|name| name.to_string()),
            email: holder.email.map(|email| email.to_string()),
            answers: answers_response(&holder.answers),
            ticket_id: ticket.id.to_string(),
            booking_id: ticket.id.booking.to_string(),
            booking_number: attendee.booking_number.to_string(),
            number: ticket.id.number,
            ticket_type: ticket.ticket_type.to_string(),
            ticket_type_name: attendee.ticket_type_name.map(|name| name.to_string()),
            status: ticket.status.as_str(),
            customer_id: ticket.id.booking.customer().to_string(),
            customer: attendee.customer.map(CustomerResponse::from),
            booked_at: attendee.booked_at,
        }
    }
}

impl ExportRow for AttendeeResponse {
    const COLUMNS: &'static [&'static str] = &[
        "ticketId",
        "bookingId",
        "bookingNumber",
        "number",
        "ticketType",
        "ticketTypeName",
        "status",
        "name",
        "email",
        "answers",
        "customerId",
        "customerName",
        "customerEmail",
        "bookedAt",
    ];

    fn cells(&self) -> Vec<String> {
        let [name, email] = name_and_address(self.customer.as_ref());
        vec![
            self.ticket_id.clone(),
            self.booking_id.clone(),
            self.booking_number.clone(),
            self.number.to_string(),
            self.ticket_type.clone(),
            self.ticket_type_name.clone().unwrap_or_default(),
            self.status.to_owned(),
            self.name.clone().unwrap_or_default(),
            self.email.clone().unwrap_or_default(),
            json_cell(&self.answers, self.answers.is_empty()),
            self.customer_id.clone(),
            name,
            email,
            self.booked_at.to_string(),
        ]
    }
}

/// Exports an event's bookings, for its organizer, the tenant's owner and staff
///
/// A line for each booking, cancelled ones included, in the order of customers. CSV is RFC 4180 in UTF-8 with a byte order mark, so
/// that spreadsheets read accents; cells that look like a formula begin with an apostrophe.
#[utoipa::path(get, path = "/api/events/{id}/bookings/export", tag = "bookings", operation_id = "export_bookings",
    params(("id" = String, Path, description = "Which event"), ExportParams),
    responses((status = 200, content((String = "text/csv"), (BookingResponse = "application/x-ndjson"))), refusals::Restricted))]
pub(in crate::routes) async fn bookings(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    InFormat(format): InFormat,
) -> Answer<Response> {
    let read = move |reader: Reader, page| async move {
        let bookings = reader.engine.bookings();
        bookings
            .list_of_event(&reader.caller, event, None, page)
            .await
    };
    let reader = Reader { engine, caller };
    let rows = |booking| vec![BookingResponse::from(booking)];
    Ok(reader.file("bookings", format, read, rows).await?)
}

/// Exports an event's tickets with their customers, for its organizer, the tenant's owner and staff
///
/// A line for each ticket, cancelled ones included, without its code. For CSV see the export of bookings.
#[utoipa::path(get, path = "/api/events/{id}/attendees/export", tag = "bookings", operation_id = "export_attendees",
    params(("id" = String, Path, description = "Which event"), ExportParams),
    responses((status = 200, content((String = "text/csv"), (AttendeeResponse = "application/x-ndjson"))), refusals::Restricted))]
pub(in crate::routes) async fn attendees(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
    InFormat(format): InFormat,
) -> Answer<Response> {
    let read = move |reader: Reader, page| async move {
        let bookings = reader.engine.bookings();
        bookings.attendees(&reader.caller, event, page).await
    };
    let reader = Reader { engine, caller };
    let rows = |attendee| vec![AttendeeResponse::from(attendee)];
    Ok(reader.file("attendees", format, read, rows).await?)
}
