//! Events as JSON: requests, and their commands.
//!
//! Called by the events controller.

use std::collections::BTreeMap;

use boxoffice_engine::{
    CancellationStep, CancellationTerms, CreateEvent, Error, EventDetails, EventId, EventStatus,
    Label, Metadata, NewTicketType, Prose, Reminder, ReminderLead, Result, UpdateEvent,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    super::integers::Whole,
    questions::{QuestionRequest, questions},
    ticket_types::{ReplaceTicketTypeRequest, TicketTypeRequest},
};
use crate::routes::{choices, extract::times};

/// An event to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct CreateEventRequest {
    /// Its name: one line of 1 to 200 characters.
    #[schema(example = "Jazz Night")]
    title: String,
    /// The description, at most 10,000 characters.
    description: Option<String>,
    /// When it begins, with an offset (RFC 3339). This or `date`.
    #[schema(value_type = Option<String>, format = DateTime, example = "2027-05-01T20:00:00+02:00")]
    starts_at: Option<String>,
    /// When it begins, in the event's zone: a date (00:00 then), or a date and time. This or `startsAt`.
    date: Option<String>,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<String>,
    /// IANA name of its time zone. The default is `UTC`.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// Its place: one line of at most 200 characters.
    location: Option<String>,
    /// How long before it begins its customers are reminded, in minutes; 0 for no reminder. The default is the tenant's
    /// setting.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 86_400, example = 1440)]
    reminder_minutes: Option<Whole<u32>>,
    /// `draft` or `published`. Without it: `published`.
    #[schema(value_type = Option<choices::NewEventStatus>)]
    status: Option<String>,
    /// The capacity: alone, of one type `General` at price 0; with `ticketTypes`, at most their
    /// sum, which is the default.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000_000, example = 100)]
    total_tickets: Option<Whole<u32>>,
    /// Its ticket types: 1 to 50.
    ticket_types: Option<Vec<TicketTypeRequest>>,
    /// Most tickets of the event that one customer may have, in all their bookings and holds. Null: no limit.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000, example = 4)]
    max_tickets_per_customer: Option<Whole<u32>>,
    /// Until when customers may cancel, and what is refunded: up to 10 steps, each nearer to the event and with a smaller refund than
    /// the one before. Empty: only the organizer cancels. The default is a full refund until the event begins.
    cancellation_terms: Option<Vec<CancellationStepRequest>>,
    /// The platform's own name of it, unique within the tenant: visible ASCII characters.
    #[schema(min_length = 1, max_length = 64)]
    reference: Option<String>,
    /// The platform's own strings: up to 50 keys of 40 characters, with values of up to 500. Everybody who sees the event sees them.
    metadata: Option<BTreeMap<String, String>>,
    /// What those who book are asked: up to 50 questions.
    #[schema(max_items = 50)]
    questions: Option<Vec<QuestionRequest>>,
    /// Until when customers may change the attendees and answers of their bookings. The default is when it begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    attendees_until: Option<String>,
}

/// The new content of an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ReplaceEventRequest {
    /// Its name: one line of 1 to 200 characters.
    #[schema(example = "Jazz Night")]
    title: String,
    /// The description, at most 10,000 characters. The default is empty.
    description: Option<String>,
    /// When it begins, with an offset (RFC 3339). This or `date`.
    #[schema(value_type = Option<String>, format = DateTime, example = "2027-05-01T20:00:00+02:00")]
    starts_at: Option<String>,
    /// When it begins, in the event's zone: a date (00:00 then), or a date and time. This or `startsAt`.
    date: Option<String>,
    /// When it ends. The default is unknown.
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<String>,
    /// IANA name of its time zone.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Its place: one line of at most 200 characters. The default is unknown.
    location: Option<String>,
    /// How long before it begins its customers are reminded, in minutes; 0 for no reminder. The default is the tenant's
    /// setting.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 86_400, example = 1440)]
    reminder_minutes: Option<Whole<u32>>,
    /// `draft` or `published`.
    #[schema(value_type = choices::NewEventStatus)]
    status: String,
    /// The total capacity of all types. The default is their sum.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000_000, example = 100)]
    total_tickets: Option<Whole<u32>>,
    /// Its ticket types: 1 to 50. A type that was ever booked must be among them, with its `id`.
    ticket_types: Vec<ReplaceTicketTypeRequest>,
    /// Most tickets of the event that one customer may have, in all their bookings and holds. Null: no limit.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000, example = 4)]
    max_tickets_per_customer: Option<Whole<u32>>,
    /// Until when customers may cancel, and what is refunded: up to 10 steps, each nearer to the event and with a smaller refund than
    /// the one before. Empty: only the organizer cancels. The default is a full refund until the event begins.
    cancellation_terms: Option<Vec<CancellationStepRequest>>,
    /// The platform's own name of it, unique within the tenant: visible ASCII characters. The default is none.
    #[schema(min_length = 1, max_length = 64)]
    reference: Option<String>,
    /// The platform's own strings: up to 50 keys of 40 characters, with values of up to 500. The default is none. Everybody who sees the event sees them.
    metadata: Option<BTreeMap<String, String>>,
    /// What those who book are asked: up to 50 questions. The default is none.
    #[schema(max_items = 50)]
    questions: Option<Vec<QuestionRequest>>,
    /// Until when customers may change the attendees and answers of their bookings. The default is when it begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    attendees_until: Option<String>,
    /// Whether customers are told. By default they are told if title, time, zone or place change.
    notify_customers: Option<bool>,
}

/// A deadline before an event begins, and the share of the price that is refunded until then.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct CancellationStepRequest {
    /// Hours before the event begins.
    #[schema(value_type = u32, minimum = 0, maximum = 8_760, example = 48)]
    until_hours_before: Whole<u32>,
    /// Share of the price.
    #[schema(value_type = u32, minimum = 0, maximum = 100, example = 50)]
    refund_percent: Whole<u32>,
}

impl CancellationStepRequest {
    fn step(&self) -> CancellationStep {
        CancellationStep {
            until_hours_before: self.until_hours_before.0,
            refund_percent: self.refund_percent.0,
        }
    }
}

impl ReplaceEventRequest {
    /// The command to replace `event`.
    pub(super) fn command(self, event: EventId, expected_version: u64) -> Result<UpdateEvent> {
        let types = self.ticket_types.into_iter();
        let (ids, types): (Vec<_>, Vec<_>) = types.map(|kind| kind.into_parts()).unzip();
        let said = CreateEventRequest {
            title: self.title,
            description: self.description,
            starts_at: self.starts_at,
            date: self.date,
            ends_at: self.ends_at,
            time_zone: Some(self.time_zone),
            location: self.location,
            reminder_minutes: self.reminder_minutes,
            status: Some(self.status),
            total_tickets: self.total_tickets,
            ticket_types: Some(types),
            max_tickets_per_customer: self.max_tickets_per_customer,
            cancellation_terms: self.cancellation_terms,
            reference: self.reference,
            metadata: self.metadata,
            questions: self.questions,
            attendees_until: self.attendees_until,
        };
        let CreateEvent {
            details,
            status,
            mut ticket_types,
            total_tickets,
            cancellation_terms,
            max_tickets_per_customer,
        } = said.command()?;
        for (index, (kind, id)) in ticket_types.iter_mut().zip(ids).enumerate() {
            let id = id.as_deref().map(str::parse).transpose();
            kind.id =
                id.map_err(|error: Error| error.at_field(format!("ticketTypes[{index}].id")))?;
        }
        Ok(UpdateEvent {
            event,
            expected_version,
            details,
            status,
            ticket_types,
            total_tickets,
            cancellation_terms,
            max_tickets_per_customer,
            notify_customers: self.notify_customers,
        })
    }

    /// Returns whether the beginning was given as `date`. Errors about it then name that field.
    pub(super) fn has_date(&self) -> bool {
        self.date.is_some()
    }
}

impl CreateEventRequest {
    /// The command to create the event.
    pub(super) fn command(&self) -> Result<CreateEvent> {
        Ok(CreateEvent {
            details: self.details()?,
            status: self.status()?,
            ticket_types: self.ticket_types()?,
            total_tickets: self.total_of_several(),
            cancellation_terms: match &self.cancellation_terms {
                Some(steps) => terms(steps)?,
                None => CancellationTerms::default(),
            },
            max_tickets_per_customer: self.max_tickets_per_customer.map(|Whole(max)| max),
        })
    }

    /// The same error, with this request's name of the field: its short forms are other names for longer ones.
    pub(super) fn at_own_field(&self, error: Error) -> Error {
        match error.field_name() {
            Some("ticketTypes[0].capacity") if self.ticket_types.is_none() => {
                error.at_field("totalTickets")
            }
            Some("startsAt") if self.date.is_some() => error.at_field("date"),
            _ => error,
        }
    }

    fn details(&self) -> Result<EventDetails> {
        let zone_name = self.time_zone.as_deref().unwrap_or("UTC");
        let zone = times::zone(zone_name)?;
        let starts_at = match (&self.starts_at, &self.date) {
            (Some(text), None) => times::instant(text, "startsAt")?,
            (None, Some(text)) => times::date(text, &zone)?,
            (Some(_), Some(_)) => {
                return Err(Error::field("date", "Send startsAt or date, not both."));
            }
            (None, None) => {
                return Err(Error::field(
                    "startsAt",
                    "Say when the event begins: startsAt or date.",
                ));
            }
        };
        // An empty place means no place.
        let location = self
            .location
            .as_deref()
            .filter(|location| !location.trim().is_empty());
        Ok(EventDetails {
            title: Label::parse("title", &self.title)?,
            description: Prose::parse(
                "description",
                self.description.as_deref().unwrap_or_default(),
            )?,
            starts_at,
            ends_at: self
                .ends_at
                .as_deref()
                .map(|text| times::instant(text, "endsAt"))
                .transpose()?,
            time_zone: times::zone_name(zone_name)?,
            location: location
                .map(|location| Label::parse("location", location))
                .transpose()?,
            reminder: reminder(self.reminder_minutes)?,
            reference: self.reference.as_deref().map(str::parse).transpose()?,
            metadata: match &self.metadata {
                Some(metadata) => Metadata::parse("metadata", metadata.clone())?,
                None => Metadata::default(),
            },
            questions: questions(self.questions.as_deref().unwrap_or_default())?,
            attendees_until: self
                .attendees_until
                .as_deref()
                .map(|text| times::instant(text, "attendeesUntil"))
                .transpose()?,
        })
    }

    fn status(&self) -> Result<EventStatus> {
        self.status
            .as_deref()
            .map_or(Ok(EventStatus::Published), str::parse)
    }

    fn ticket_types(&self) -> Result<Vec<NewTicketType>> {
        match (self.total_tickets, &self.ticket_types) {
            (Some(Whole(total)), None) => Ok(vec![NewTicketType::general(total)]),
            (_, Some(types)) => types
                .iter()
                .enumerate()
                .map(|(index, one)| one.command(&format!("ticketTypes[{index}].")))
                .collect(),
            (None, None) => Err(Error::field(
                "totalTickets",
                "Say what can be booked: totalTickets or ticketTypes.",
            )),
        }
    }

    /// The event's total, if it was given with the types.
    fn total_of_several(&self) -> Option<u32> {
        let Whole(total) = self.total_tickets?;
        self.ticket_types.as_ref().map(|_| total)
    }
}

/// When customers are reminded; without a number, the tenant's setting.
pub(super) fn reminder(minutes: Option<Whole<u32>>) -> Result<Reminder> {
    match minutes {
        None => Ok(Reminder::AsTenant),
        Some(Whole(0)) => Ok(Reminder::Off),
        Some(Whole(minutes)) => {
            ReminderLead::parse("reminderMinutes", minutes).map(Reminder::Before)
        }
    }
}

/// Cancellation terms of these steps.
pub(super) fn terms(steps: &[CancellationStepRequest]) -> Result<CancellationTerms> {
    CancellationTerms::new(steps.iter().map(CancellationStepRequest::step).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::routes::extract::read_value;

    const START: &str = "2027-05-01T18:00:00Z";

    fn posted(body: Value) -> Result<CreateEvent> {
        read_value::<CreateEventRequest>(body)?.command()
    }

    #[test]
    fn a_new_event_says_when_and_what() {
        let command =
            posted(json!({"title": "x", "date": "2027-05-02", "totalTickets": 5, "location": " "}))
                .unwrap();
        assert_eq!(
            command.details.starts_at.to_string(),
            "2027-05-02T00:00:00Z"
        );
        assert_eq!(
            (command.details.time_zone.as_str(), command.details.location),
            ("UTC", None)
        );
        assert_eq!(
            (command.status, command.ticket_types[0].capacity),
            (EventStatus::Published, 5)
        );
        for (body, field) in [
            (json!({"title": "x", "totalTickets": 5}), "startsAt"),
            (json!({"title": "x", "startsAt": START}), "totalTickets"),
            (
                json!({"title": "x", "startsAt": START, "totalTickets": -1}),
                "totalTickets",
            ),
            (
                json!({"title": "", "startsAt": START, "totalTickets": 1}),
                "title",
            ),
            (
                json!({"title": "x", "startsAt": START, "totalTickets": 1, "timeZone": "No/Where"}),
                "timeZone",
            ),
            (
                json!({"title": "x", "startsAt": START, "totalTickets": 1, "status": "sold"}),
                "status",
            ),
            (
                json!({"title": "x", "startsAt": START, "totalTickets": 1, "notifyCustomers": true}),
                "notifyCustomers",
            ),
        ] {
            assert_eq!(
                posted(body.clone()).unwrap_err().field_name(),
                Some(field),
                "{body}"
            );
        }
    }

    #[test]
    fn a_replacement_says_all_that_would_be_a_surprise() {
        let whole = json!({"title": "x", "startsAt": START, "timeZone": "Europe/Berlin", "status": "draft",
            "ticketTypes": [{"id": "t1", "name": "A", "capacity": 5, "priceMinor": 0}]});
        let event = "01hzy0000000000000000000ab".parse().unwrap();
        let read = |body: Value| read_value::<ReplaceEventRequest>(body)?.command(event, 3);
        let command = read(whole.clone()).unwrap();
        assert_eq!(command.status, EventStatus::Draft);
        assert_eq!(command.ticket_types[0].id.as_ref().unwrap().as_str(), "t1");
        for (pointer, field) in [
            ("", "status"),
            ("", "timeZone"),
            ("", "ticketTypes"),
            ("/ticketTypes/0", "priceMinor"),
        ] {
            let mut body = whole.clone();
            let object = body.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            object.remove(field).unwrap();
            let error = read(body).unwrap_err();
            assert!(
                error.field_name().unwrap().ends_with(field),
                "{field}: {error}"
            );
        }
    }
}
