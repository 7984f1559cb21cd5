//! Events, and what makes and changes them.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::{
    CancellationTerms, EventId, EventReminder, Label, Metadata, NewTicketType, NotificationSummary,
    Prose, Question, Reference, Reminder, TicketType, TicketTypeId, UserId, is_same_text,
    require_year, time_zone,
};
use crate::error::{Error, Faults, Result};

/// The state of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventStatus {
    /// Visible to its organizer only.
    Draft,
    /// Visible to everybody and on sale.
    Published,
    /// Cancelled; final.
    Cancelled,
}

impl EventStatus {
    /// The status as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for EventStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for EventStatus {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "draft" => Ok(Self::Draft),
            "published" => Ok(Self::Published),
            "cancelled" => Ok(Self::Cancelled),
            _ => Err(Error::field(
                "status",
                "A status is one of draft, published, cancelled.",
            )),
        }
    }
}

/// Something that people attend: a concert, a match, a course.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event's id.
    pub id: EventId,
    /// The organizer who created it; `None` if a program of the tenant did.
    pub organizer: Option<UserId>,
    /// Its version: 1 at creation, raised by changes of organizers, never by bookings.
    pub version: u64,
    /// Title, times, place and description.
    pub details: EventDetails,
    /// Its state.
    pub status: EventStatus,
    /// Tickets that can be sold in all.
    pub total_tickets: u32,
    /// Tickets sold.
    pub tickets_sold: u32,
    /// Tickets in holds.
    pub tickets_held: u32,
    /// Customers on its waiting list.
    pub waiting: u32,
    /// Its ticket types; 1 to [`NewTicketType::PER_EVENT_MAX`].
    pub ticket_types: Vec<TicketType>,
    /// Until when customers may cancel, and what is refunded.
    pub cancellation_terms: CancellationTerms,
    /// Most tickets that one customer may have, in all their bookings and holds; `None` for no limit. It applies when tickets are booked or
    /// held; complimentary and imported ones are not refused, but count.
    pub max_tickets_per_customer: Option<u32>,
    /// ISO 4217 code of the prices.
    pub currency: String,
    /// Its newest reminder: the scheduled one, or else the last that was sent.
    pub reminder: Option<EventReminder>,
    /// When it was made, UTC.
    pub created_at: Timestamp,
    /// When an organizer last changed it, UTC.
    pub updated_at: Timestamp,
}

impl Event {
    /// What a ticket type is called; its id, if the event does not have it any more.
    pub(crate) fn type_name<'a>(&'a self, id: &'a TicketTypeId) -> &'a str {
        let mut types = self.ticket_types.iter();
        let known = types.find(|known| known.id == *id);
        known.map_or(id.as_str(), |known| known.name.as_str())
    }

    /// A copy with neutral texts, for mails that must not carry the organizer's.
    pub(crate) fn in_neutral_words(&self) -> Self {
        let mut event = self.clone();
        event.details = event.details.in_neutral_words();
        for ticket_type in &mut event.ticket_types {
            ticket_type.name = Label::stored("Ticket".to_owned());
        }
        event
    }
}

/// An event's title, times, place and description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventDetails {
    /// Its name.
    pub title: Label,
    /// The description.
    pub description: Prose,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends, if that is known. Later than `starts_at`.
    pub ends_at: Option<Timestamp>,
    /// IANA name of its time zone, such as `Europe/Berlin`.
    pub time_zone: String,
    /// Its place; may be empty.
    pub location: Option<Label>,
    /// Whether and when its customers are reminded.
    pub reminder: Reminder,
    /// The platform's name of it, unique within the tenant.
    pub reference: Option<Reference>,
    /// The platform's own strings.
    pub metadata: Metadata,
    /// What those who book are asked.
    pub questions: Vec<Question>,
    /// Until when customers may change answers and attendees; `None` means until it begins.
    pub attendees_until: Option<Timestamp>,
}

impl EventDetails {
    /// A copy with neutral texts, for mails that must not carry the organizer's.
    pub(crate) fn in_neutral_words(&self) -> Self {
        Self {
            title: Label::stored("An event".to_owned()),
            description: Prose::stored(String::new()),
            location: None,
            reference: None,
            metadata: Metadata::default(),
            questions: Vec::new(),
            ..self.clone()
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.take(time_zone(&self.time_zone));
        faults.take(Question::validate_all(&self.questions));
        faults.take(require_year("startsAt", self.starts_at));
        if let Some(ends_at) = self.ends_at {
            faults.take(require_year("endsAt", ends_at));
        }
        if let Some(until) = self.attendees_until {
            faults.take(require_year("attendeesUntil", until));
        }
        faults.end()?;
        match self.ends_at {
            Some(ends_at) if ends_at <= self.starts_at => {
                Err(Error::field("endsAt", "An event ends after it begins."))
            }
            _ => Ok(()),
        }
    }

    /// Until when customers may change answers and attendees.
    pub(crate) fn changes_until(&self) -> Timestamp {
        self.attendees_until.unwrap_or(self.starts_at)
    }

    /// Whether a booking needs answers.
    pub(crate) fn requires_answers(&self) -> bool {
        self.questions.iter().any(|question| question.required)
    }

    /// Returns whether customers must be told of the change from `self` to `new`.
    pub(crate) fn differs_for_customers(&self, new: &Self) -> bool {
        self.has_other_title(new)
            || self.starts_at != new.starts_at
            || self.ends_at != new.ends_at
            || self.has_other_zone(new)
            || self.has_other_location(new)
    }

    /// Returns whether the titles differ. Texts that are equal after normalisation (NFC) do not differ.
    pub(crate) fn has_other_title(&self, new: &Self) -> bool {
        !is_same_text(self.title.as_str(), new.title.as_str())
    }

    /// Returns whether the places differ. Texts that are equal after normalisation (NFC) do not differ.
    pub(crate) fn has_other_location(&self, new: &Self) -> bool {
        match (&self.location, &new.location) {
            (Some(old), Some(new)) => !is_same_text(old.as_str(), new.as_str()),
            (None, None) => false,
            _ => true,
        }
    }

    /// Returns whether the time zones differ. Two names (links) of one zone do not differ.
    pub(crate) fn has_other_zone(&self, new: &Self) -> bool {
        let primary = |name: &str| {
            let zone = TimeZone::get(name).ok()?;
            zone.primary_iana_name().map(str::to_owned)
        };
        let (old, new) = (self.time_zone.as_str(), new.time_zone.as_str());
        old != new && primary(old).is_none_or(|old| primary(new) != Some(old))
    }
}

/// Makes an event.
#[derive(Debug, Clone, Serialize)]
pub struct CreateEvent {
    /// Title, times, place and description.
    pub details: EventDetails,
    /// `Draft` or `Published`.
    pub status: EventStatus,
    /// Its ticket types; 1 to [`NewTicketType::PER_EVENT_MAX`].
    pub ticket_types: Vec<NewTicketType>,
    /// The total capacity, if it is less than the sum of the types.
    pub total_tickets: Option<u32>,
    /// Until when customers may cancel, and what is refunded.
    pub cancellation_terms: CancellationTerms,
    /// Most tickets that one customer may have, 1 to 10,000; see [`Event::max_tickets_per_customer`].
    pub max_tickets_per_customer: Option<u32>,
}

impl CreateEvent {
    /// A published event in UTC with free tickets of one type. Change its fields for the rest.
    pub fn general(title: Label, starts_at: Timestamp, tickets: u32) -> Self {
        Self {
            details: EventDetails {
                title,
                description: Prose::default(),
                starts_at,
                ends_at: None,
                time_zone: "UTC".to_owned(),
                location: None,
                reminder: Reminder::AsTenant,
                reference: None,
                metadata: Metadata::default(),
                questions: Vec::new(),
                attendees_until: None,
            },
            status: EventStatus::Published,
            ticket_types: vec![NewTicketType::general(tickets)],
            total_tickets: None,
            cancellation_terms: CancellationTerms::default(),
            max_tickets_per_customer: None,
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.status == EventStatus::Cancelled {
            return Err(Error::field("status", "A new event is draft or published."));
        }
        check_customer_limit(self.max_tickets_per_customer, &self.ticket_types)?;
        validate_parts(&self.details, &self.ticket_types, self.total_tickets)
    }
}

/// Makes a draft of an event at another time: with its texts, ticket types, sales windows and terms, and without its bookings.
#[derive(Debug, Clone, Serialize)]
pub struct CloneEvent {
    /// The event that is copied.
    pub event: EventId,
    /// When the copy begins. Its other times are as far from that as the event's are.
    pub starts_at: Timestamp,
    /// The copy's name; `None` for the event's.
    pub title: Option<Label>,
    /// The platform's name of the copy.
    pub reference: Option<Reference>,
}

impl CloneEvent {
    /// The new event. The times are moved in the event's time zone: nine o'clock stays nine o'clock where the clocks change meanwhile.
    pub(crate) fn of(self, event: &Event) -> Result<CreateEvent> {
        let zone = TimeZone::get(&event.details.time_zone).unwrap_or(TimeZone::UTC);
        let local = |at: Timestamp| at.to_zoned(zone.clone()).datetime();
        let by = local(event.details.starts_at).until(local(self.starts_at));
        let by = by.map_err(|_| too_far())?;
        let shift = |at: Timestamp| -> Result<Timestamp> {
            let moved = local(at).checked_add(by).map_err(|_| too_far())?;
            let moved = zone.to_zoned(moved).map_err(|_| too_far())?;
            Ok(moved.timestamp())
        };
        let mut details = event.details.clone();
        details.ends_at = details.ends_at.map(shift).transpose()?;
        details.attendees_until = details.attendees_until.map(shift).transpose()?;
        details.starts_at = self.starts_at;
        details.reference = self.reference;
        if let Some(title) = self.title {
            details.title = title;
        }
        let mut update = UpdateEvent::of(event);
        for kind in &mut update.ticket_types {
            kind.id = None;
            kind.sales_open_at = kind.sales_open_at.map(shift).transpose()?;
            kind.sales_close_at = kind.sales_close_at.map(shift).transpose()?;
        }
        Ok(CreateEvent {
            details,
            status: EventStatus::Draft,
            ticket_types: update.ticket_types,
            total_tickets: update.total_tickets,
            cancellation_terms: update.cancellation_terms,
            max_tickets_per_customer: update.max_tickets_per_customer,
        })
    }
}

fn too_far() -> Error {
    Error::field(
        "startsAt",
        "Some of its times would be beyond the calendar.",
    )
}

/// Replaces everything that an organizer may change of an event. Counters stay.
#[derive(Debug, Clone)]
pub struct UpdateEvent {
    /// The event's id.
    pub event: EventId,
    /// The version that the organizer saw. If it is not the current one: `version-mismatch`.
    pub expected_version: u64,
    /// The new title, times, place and description.
    pub details: EventDetails,
    /// `Draft` or `Published`; to cancel an event, use its own command.
    pub status: EventStatus,
    /// The new ticket types. A type that was ever booked must be among them.
    pub ticket_types: Vec<NewTicketType>,
    /// The total capacity, if it is less than the sum of the types.
    pub total_tickets: Option<u32>,
    /// The new cancellation terms. Customers who booked under better terms keep those.
    pub cancellation_terms: CancellationTerms,
    /// Most tickets that one customer may have, 1 to 10,000. Who has more already keeps them.
    pub max_tickets_per_customer: Option<u32>,
    /// Whether customers are told; `None` tells them if title, time, zone or place change.
    pub notify_customers: Option<bool>,
}

impl UpdateEvent {
    /// The update that changes nothing of `event`. Change its fields to change only those:
    ///
    /// ```
    /// # use boxoffice_engine::{Event, Label, UpdateEvent};
    /// fn renamed(event: &Event, title: Label) -> UpdateEvent {
    ///     let mut update = UpdateEvent::of(event);
    ///     update.details.title = title;
    ///     update
    /// }
    /// ```
    pub fn of(event: &Event) -> Self {
        let together: u32 = event.ticket_types.iter().map(|kind| kind.capacity).sum();
        Self {
            event: event.id,
            expected_version: event.version,
            details: event.details.clone(),
            status: event.status,
            ticket_types: event.ticket_types.iter().map(NewTicketType::from).collect(),
            // A total that is the sum of the types stays the sum.
            total_tickets: (event.total_tickets != together).then_some(event.total_tickets),
            cancellation_terms: event.cancellation_terms.clone(),
            max_tickets_per_customer: event.max_tickets_per_customer,
            notify_customers: None,
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        check_customer_limit(self.max_tickets_per_customer, &self.ticket_types)?;
        validate_parts(&self.details, &self.ticket_types, self.total_tickets)
    }
}

/// Refuses a limit per customer that is no number of tickets of a booking, or under which a type could not be booked.
fn check_customer_limit(max: Option<u32>, types: &[NewTicketType]) -> Result<()> {
    let Some(max) = max else { return Ok(()) };
    if !(1..=NewTicketType::PER_BOOKING_MAX).contains(&max) {
        let rule = "One customer may have 1 to 10,000 tickets; leave it out for no limit.";
        return Err(Error::field("maxTicketsPerCustomer", rule));
    }
    match types.iter().position(|kind| kind.min_per_booking > max) {
        Some(index) => Err(Error::field(
            format!("ticketTypes[{index}].minPerBooking"),
            format!("One customer may have at most {max} tickets, so a booking cannot have more."),
        )),
        None => Ok(()),
    }
}

fn validate_parts(
    details: &EventDetails,
    types: &[NewTicketType],
    total_tickets: Option<u32>,
) -> Result<()> {
    let mut faults = Faults::default();
    faults.take(details.validate());
    for (index, kind) in types.iter().enumerate().take(NewTicketType::PER_EVENT_MAX) {
        faults.take(kind.validate(index));
    }
    faults.end()?;
    let metadata = types.iter().map(|kind| kind.metadata.bytes());
    if metadata.sum::<usize>() > NewTicketType::METADATA_BYTES_MAX {
        let rule = "The metadata of an event's ticket types have at most 64 KB together.";
        return Err(Error::field("ticketTypes", rule));
    }
    if types.is_empty() || types.len() > NewTicketType::PER_EVENT_MAX {
        return Err(Error::field(
            "ticketTypes",
            "An event has 1 to 50 ticket types.",
        ));
    }
    for (index, kind) in types.iter().enumerate() {
        let others = &types[..index];
        if kind.id.is_some() && others.iter().any(|other| other.id == kind.id) {
            return Err(Error::field(
                format!("ticketTypes[{index}].id"),
                "Each ticket type stands there once.",
            ));
        }
        let is_like = |other: &NewTicketType| is_same_text(other.name.as_str(), kind.name.as_str());
        if others.iter().any(is_like) {
            return Err(Error::field(
                format!("ticketTypes[{index}].name"),
                "Two ticket types of an event have different names.",
            ));
        }
    }
    // At most 50 times 10,000,000.
    let together: u32 = types.iter().map(|kind| kind.capacity).sum();
    match total_tickets {
        Some(total) if !(1..=together).contains(&total) => Err(Error::field(
            "totalTickets",
            format!("The total is 1 to {together}, which is what all ticket types hold together."),
        )),
        _ => Ok(()),
    }
}

/// An event after an organizer's change, and the notification about it.
#[derive(Debug, Clone)]
pub struct EventChange {
    /// The event after the change.
    pub event: Event,
    /// The notification that tells customers, if they are told.
    pub notification: Option<NotificationSummary>,
}
