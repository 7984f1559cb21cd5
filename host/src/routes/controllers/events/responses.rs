//! Events as JSON: responses.
//!
//! Called by the events controller.

use std::collections::BTreeMap;

use boxoffice_engine::{
    Available, CancellationStep, Event, EventChange, EventReminder, Reminder, SeenEvent, TicketType,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{booking_details::metadata_response, notifications::NotificationSummaryResponse},
    questions::QuestionResponse,
};
use crate::routes::choices;

/// Something that people attend: a concert, a match, a course.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct EventResponse {
    /// The event's id.
    pub(super) id: String,
    /// Its version, which counts organizers' changes, never bookings. Also the ETag.
    pub(super) version: u64,
    /// Its name.
    title: String,
    /// The description; may be empty.
    description: String,
    /// When it begins, UTC.
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// When it ends, UTC, if that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    /// IANA name of its time zone.
    time_zone: String,
    /// Its place, if that is known.
    location: Option<String>,
    /// How long before it begins its customers are reminded, in minutes; 0 for no reminder, null for the tenant's
    /// setting.
    reminder_minutes: Option<u32>,
    /// Its newest reminder: the scheduled one, or else the last that was sent; null if there is none.
    reminder: Option<ReminderResponse>,
    /// The user who organizes it, by whom lists can be filtered; null if a program made it.
    organizer_id: Option<String>,
    /// `draft`, `published` or `cancelled`.
    #[schema(value_type = choices::EventStatus)]
    status: &'static str,
    /// What is left of all types together.
    available: AvailableResponse,
    /// Tickets that can be sold in all; null for callers who do not manage the event.
    total_tickets: Option<u32>,
    /// Tickets sold; null for callers who do not manage the event.
    tickets_sold: Option<u32>,
    /// Tickets in holds; null for callers who do not manage the event.
    tickets_held: Option<u32>,
    /// Customers on the waiting list; null for callers who do not manage the event.
    waiting: Option<u32>,
    /// ISO 4217 code of all its amounts.
    currency: String,
    /// Its ticket types.
    ticket_types: Vec<TicketTypeResponse>,
    /// Most tickets of the event that one customer may have, in all their bookings and holds; null for no limit.
    max_tickets_per_customer: Option<u32>,
    /// Until when customers may cancel, and what is refunded; the earliest step first. Empty: only the organizer cancels.
    cancellation_terms: Vec<CancellationStepResponse>,
    /// The platform's own name of it, unique within the tenant; null if it has none.
    reference: Option<String>,
    /// The platform's own strings.
    metadata: BTreeMap<String, String>,
    /// What those who book are asked.
    questions: Vec<QuestionResponse>,
    /// Until when customers may change the attendees and answers of their bookings; null for when it begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    attendees_until: Option<Timestamp>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When an organizer last changed it.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// What is left of an event or a ticket type, whether its sale has begun or not.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct AvailableResponse {
    /// `yes`, `few` or `no`. Few are at most a tenth of the capacity, rounded up, and at most 100; a tenant may show them as `yes`. `no`
    /// also if fewer are left than one booking must have, or the event was cancelled.
    #[schema(value_type = choices::TicketsLeft)]
    state: &'static str,
    /// The number of tickets; null for callers who do not manage the event, unless the tenant's `shownAvailability` is `exact`.
    left: Option<u32>,
}

impl From<Available> for AvailableResponse {
    fn from(available: Available) -> Self {
        Self {
            state: available.state.as_str(),
            left: available.left,
        }
    }
}

/// A reminder of an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReminderResponse {
    /// Its notification. Those who manage the event can read its progress.
    notification_id: String,
    /// When it is sent, or was sent, UTC.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
}

/// A ticket type of an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TicketTypeResponse {
    /// The type's id, unique within the event.
    id: String,
    /// Its name.
    name: String,
    /// What is left of it, and of the event.
    available: AvailableResponse,
    /// Tickets of this type that can be sold; null for callers who do not manage the event.
    capacity: Option<u32>,
    /// Tickets of this type that are sold; null for callers who do not manage the event.
    sold: Option<u32>,
    /// Tickets of this type in holds; null for callers who do not manage the event.
    held: Option<u32>,
    /// Price of one ticket, in minor units.
    price_minor: u32,
    /// When its sale begins, if not at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    sales_open_at: Option<Timestamp>,
    /// When its sale ends, if not when the event begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    sales_close_at: Option<Timestamp>,
    /// Fewest tickets of one booking.
    min_per_booking: u32,
    /// Most tickets of one booking.
    max_per_booking: u32,
    /// The rate of the tax that is in the price, in hundredths of a percent; null for no tax on receipts.
    tax_basis_points: Option<u32>,
    /// The platform's own strings.
    metadata: BTreeMap<String, String>,
}

/// A deadline before an event begins, and the share of the price that is refunded until then.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct CancellationStepResponse {
    /// Hours before the event begins.
    until_hours_before: u32,
    /// The refunded share of the price, in percent.
    refund_percent: u32,
}

impl From<&CancellationStep> for CancellationStepResponse {
    fn from(step: &CancellationStep) -> Self {
        Self {
            until_hours_before: step.until_hours_before,
            refund_percent: step.refund_percent,
        }
    }
}

/// An event after a change, with the notification to its customers.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct EventChangeResponse {
    /// The event after the change.
    #[serde(flatten)]
    event: EventResponse,
    /// The notification to customers; null if they are not told.
    notification: Option<NotificationSummaryResponse>,
}

/// The reminder's lead in the form of PUT.
pub(super) fn reminder_minutes(reminder: Reminder) -> Option<u32> {
    match reminder {
        Reminder::AsTenant => None,
        Reminder::Off => Some(0),
        Reminder::Before(lead) => Some(lead.minutes()),
    }
}

impl From<EventReminder> for ReminderResponse {
    fn from(reminder: EventReminder) -> Self {
        Self {
            notification_id: reminder.notification.to_string(),
            due_at: reminder.due_at,
        }
    }
}

impl From<Event> for EventResponse {
    /// As those who manage the event see it.
    fn from(event: Event) -> Self {
        SeenEvent::managed(event).into()
    }
}

impl From<SeenEvent> for EventResponse {
    fn from(seen: SeenEvent) -> Self {
        let counted = |count: u32| seen.has_counts.then_some(count);
        let event = seen.event;
        let types = event.ticket_types.into_iter().zip(seen.types_available);
        let details = event.details;
        Self {
            id: event.id.to_string(),
            version: event.version,
            title: details.title.to_string(),
            description: details.description.as_str().to_owned(),
            starts_at: details.starts_at,
            ends_at: details.ends_at,
            time_zone: details.time_zone,
            location: details.location.map(|location| location.to_string()),
            reminder_minutes: reminder_minutes(details.reminder),
            reminder: event.reminder.map(ReminderResponse::from),
            organizer_id: event.organizer.map(|user| user.to_string()),
            status: event.status.as_str(),
            available: seen.available.into(),
            total_tickets: counted(event.total_tickets),
            tickets_sold: counted(event.tickets_sold),
            tickets_held: counted(event.tickets_held),
            waiting: counted(event.waiting),
            currency: event.currency,
            ticket_types: types
                .map(|(one, available)| TicketTypeResponse::of(one, available, seen.has_counts))
                .collect(),
            max_tickets_per_customer: event.max_tickets_per_customer,
            cancellation_terms: event
                .cancellation_terms
                .steps()
                .iter()
                .map(CancellationStepResponse::from)
                .collect(),
            reference: details.reference.map(|reference| reference.to_string()),
            metadata: metadata_response(&details.metadata),
            questions: details.questions.into_iter().map(Into::into).collect(),
            attendees_until: details.attendees_until,
            created_at: event.created_at,
            updated_at: event.updated_at,
        }
    }
}

impl TicketTypeResponse {
    fn of(one: TicketType, available: Available, has_counts: bool) -> Self {
        let counted = |count: u32| has_counts.then_some(count);
        Self {
            id: one.id.to_string(),
            name: one.name.to_string(),
            available: available.into(),
            capacity: counted(one.capacity),
            sold: counted(one.sold),
            held: counted(one.held),
            price_minor: one.price_minor,
            sales_open_at: one.sales_open_at,
            sales_close_at: one.sales_close_at,
            min_per_booking: one.min_per_booking,
            max_per_booking: one.max_per_booking,
            tax_basis_points: one.tax_basis_points,
            metadata: metadata_response(&one.metadata),
        }
    }
}

impl TicketTypeResponse {
    /// One type of an event, by its place.
    pub(super) fn at(mut seen: SeenEvent, index: usize) -> Self {
        // The engine keeps the order of the types that an update names.
        let one = seen.event.ticket_types.swap_remove(index);
        Self::of(one, seen.types_available[index], seen.has_counts)
    }
}

impl From<EventChange> for EventChangeResponse {
    fn from(change: EventChange) -> Self {
        Self {
            event: change.event.into(),
            notification: change.notification.map(Into::into),
        }
    }
}
