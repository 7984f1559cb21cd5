//! Events as JSON: merge patches (RFC 7396), and their commands.
//!
//! Called by the events controller.

use std::collections::BTreeMap;

use boxoffice_engine::{
    CancellationTerms, Error, ErrorCode, Event, Label, Metadata, NewTicketType, Prose, Result,
    UpdateEvent,
};
use serde::{Deserialize, de::IgnoredAny};
use utoipa::ToSchema;

use super::{
    super::{integers::Whole, patched::Patched},
    questions::{QuestionRequest, questions},
    requests::{CancellationStepRequest, reminder, terms},
};
use crate::routes::{choices, extract::times};

/// The fields to change of an event. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct EventPatchRequest {
    /// Its name: one line of 1 to 200 characters.
    #[schema(value_type = String, required = false, example = "Jazz Night")]
    #[serde(default)]
    title: Patched<String>,
    /// The description, at most 10,000 characters. Null: empty.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    description: Patched<String>,
    /// When it begins, with an offset (RFC 3339). This or `date`.
    #[schema(value_type = String, required = false, format = DateTime, example = "2027-05-01T20:00:00+02:00")]
    #[serde(default)]
    starts_at: Patched<String>,
    /// When it begins, in the event's zone: a date (00:00 then), or a date and time. This or `startsAt`.
    #[schema(value_type = String, required = false)]
    #[serde(default)]
    date: Patched<String>,
    /// When it ends. Null: unknown.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default)]
    ends_at: Patched<String>,
    /// IANA name of its time zone. A change of the zone alone moves no time.
    #[schema(value_type = String, required = false, example = "Europe/Berlin")]
    #[serde(default)]
    time_zone: Patched<String>,
    /// Its place: one line of at most 200 characters. Null: unknown.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    location: Patched<String>,
    /// How long before it begins its customers are reminded, in minutes; 0 for no reminder. Null: the tenant's
    /// setting.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 86_400, example = 1440)]
    #[serde(default)]
    reminder_minutes: Patched<Whole<u32>>,
    /// `draft` or `published`.
    #[schema(value_type = choices::NewEventStatus, required = false)]
    #[serde(default)]
    status: Patched<String>,
    /// The capacity of the event's only ticket type; with several types, the total capacity of all
    /// of them. Null: the sum of the types.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000_000, example = 100)]
    #[serde(default)]
    total_tickets: Patched<Whole<u32>>,
    /// Most tickets of the event that one customer may have, in all their bookings and holds. Applies to new ones. Null: no limit.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000, example = 4)]
    #[serde(default)]
    max_tickets_per_customer: Patched<Whole<u32>>,
    /// Until when customers may cancel, and what is refunded: the whole list of up to 10 steps. Null: a full refund
    /// until the event begins.
    #[schema(value_type = Option<Vec<CancellationStepRequest>>)]
    #[serde(default)]
    cancellation_terms: Patched<Vec<CancellationStepRequest>>,
    /// The platform's own name of it, unique within the tenant. Null: none.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    #[serde(default)]
    reference: Patched<String>,
    /// The platform's own strings. Keys that are left out stay; a null removes its key. Null: none.
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    #[serde(default)]
    metadata: Patched<BTreeMap<String, Option<String>>>,
    /// What those who book are asked: the whole list of up to 50 questions. Null: nothing.
    #[schema(value_type = Option<Vec<QuestionRequest>>, max_items = 50)]
    #[serde(default)]
    questions: Patched<Vec<QuestionRequest>>,
    /// Until when customers may change the attendees and answers of their bookings. Null: until it begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default)]
    attendees_until: Patched<String>,
    /// Whether customers are told. By default they are told if title, time, zone or place change.
    #[schema(value_type = Option<bool>)]
    #[serde(default)]
    notify_customers: Patched<bool>,
    /// Always refused, with the path of their own resource.
    #[schema(ignore)]
    ticket_types: Option<IgnoredAny>,
}

impl EventPatchRequest {
    /// The update of the current event.
    ///
    /// # Errors
    /// `field-invalid`, `unknown-field`.
    pub(super) fn command(&self, current: &Event, expected_version: u64) -> Result<UpdateEvent> {
        if self.ticket_types.is_some() {
            let path = format!("/api/events/{}/ticket-types", current.id);
            let detail = format!(
                "Ticket types are changed one by one: POST {path}, PATCH or DELETE {path}/ID."
            );
            return Err(Error::new(ErrorCode::UnknownField, detail).at_field("ticketTypes"));
        }
        let mut command = UpdateEvent {
            expected_version,
            ..UpdateEvent::of(current)
        };
        self.write_details(&mut command)?;
        if let Some(status) = self.status.value("status")? {
            command.status = status.parse()?;
        }
        self.write_total(&mut command)?;
        self.cancellation_terms.write(
            &mut command.cancellation_terms,
            CancellationTerms::default(),
            |steps| terms(steps),
        )?;
        self.max_tickets_per_customer.write(
            &mut command.max_tickets_per_customer,
            None,
            |Whole(max)| Ok(Some(*max)),
        )?;
        self.notify_customers
            .write(&mut command.notify_customers, None, |told| Ok(Some(*told)))?;
        Ok(command)
    }

    /// The same error, with this request's name of the field: its short forms are other names for longer ones.
    pub(super) fn at_own_field(&self, error: Error) -> Error {
        match error.field_name() {
            Some("ticketTypes[0].capacity") => error.at_field("totalTickets"),
            Some("startsAt") if self.date.is_given() => error.at_field("date"),
            _ => error,
        }
    }

    fn write_details(&self, command: &mut UpdateEvent) -> Result<()> {
        let details = &mut command.details;
        if let Some(title) = self.title.value("title")? {
            details.title = Label::parse("title", title)?;
        }
        self.description
            .write(&mut details.description, Prose::default(), |text| {
                Prose::parse("description", text)
            })?;
        if let Some(name) = self.time_zone.value("timeZone")? {
            details.time_zone = times::zone_name(name)?;
        }
        let starts_at = self.starts_at.value("startsAt")?;
        let date = self.date.value("date")?;
        match (starts_at, date) {
            (Some(text), None) => details.starts_at = times::instant(text, "startsAt")?,
            (None, Some(text)) => {
                details.starts_at = times::date(text, &times::zone(&details.time_zone)?)?;
            }
            (Some(_), Some(_)) => {
                return Err(Error::field("date", "Send startsAt or date, not both."));
            }
            (None, None) => {}
        }
        self.ends_at.write(&mut details.ends_at, None, |text| {
            times::instant(text, "endsAt").map(Some)
        })?;
        self.location.write(&mut details.location, None, |text| {
            // An empty place means no place.
            (!text.trim().is_empty())
                .then(|| Label::parse("location", text))
                .transpose()
        })?;
        let as_tenant = reminder(None)?;
        self.reminder_minutes
            .write(&mut details.reminder, as_tenant, |minutes| {
                reminder(Some(*minutes))
            })?;
        self.reference
            .write(&mut details.reference, None, |text| text.parse().map(Some))?;
        self.questions
            .write(&mut details.questions, Vec::new(), |given| questions(given))?;
        self.attendees_until
            .write(&mut details.attendees_until, None, |text| {
                times::instant(text, "attendeesUntil").map(Some)
            })?;
        let before = details.metadata.clone();
        self.metadata
            .write(&mut details.metadata, Metadata::default(), |patch| {
                before.merged("metadata", patch)
            })
    }

    fn write_total(&self, command: &mut UpdateEvent) -> Result<()> {
        let total = match self.total_tickets {
            Patched::Kept => return Ok(()),
            Patched::Reset => None,
            Patched::Set(Whole(total)) => Some(total),
        };
        match (command.ticket_types.as_mut_slice(), total) {
            // The total of an event with one type is that type's capacity.
            ([NewTicketType { capacity, .. }], Some(total)) => {
                *capacity = total;
                command.total_tickets = None;
            }
            _ => command.total_tickets = total,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_engine::{EventDetails, EventStatus, Reminder, TicketType};
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::routes::extract::read_value;

    const START: &str = "2027-05-01T18:00:00Z";

    fn event() -> Event {
        Event {
            id: "01hzy0000000000000000000ab".parse().unwrap(),
            organizer: None,
            version: 3,
            details: EventDetails {
                title: Label::parse("title", "Jazz").unwrap(),
                description: Prose::parse("description", "Loud.").unwrap(),
                starts_at: START.parse().unwrap(),
                ends_at: Some("2027-05-01T20:00:00Z".parse().unwrap()),
                time_zone: "Europe/Berlin".to_owned(),
                location: Some(Label::parse("location", "Hall").unwrap()),
                reminder: Reminder::Off,
                reference: None,
                metadata: Metadata::default(),
                questions: Vec::new(),
                attendees_until: None,
            },
            status: EventStatus::Published,
            total_tickets: 10,
            tickets_sold: 2,
            tickets_held: 0,
            waiting: 0,
            ticket_types: vec![TicketType {
                id: "t1".parse().unwrap(),
                name: Label::parse("name", "General").unwrap(),
                capacity: 10,
                sold: 2,
                held: 0,
                price_minor: 500,
                sales_open_at: None,
                sales_close_at: None,
                min_per_booking: 1,
                max_per_booking: 4,
                tax_basis_points: None,
                ever_taken: true,
                metadata: Metadata::default(),
            }],
            cancellation_terms: CancellationTerms::default(),
            max_tickets_per_customer: None,
            currency: "EUR".to_owned(),
            reminder: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn patched(patch: Value) -> Result<UpdateEvent> {
        read_value::<EventPatchRequest>(patch)?.command(&event(), 3)
    }

    #[test]
    fn an_empty_patch_changes_nothing() {
        let command = patched(json!({})).unwrap();
        assert_eq!(command.details, event().details);
        assert_eq!(command.status, EventStatus::Published);
        let only = &command.ticket_types[0];
        assert_eq!(
            (
                only.id.as_ref().unwrap().as_str(),
                only.capacity,
                only.price_minor
            ),
            ("t1", 10, 500)
        );
        assert_eq!((only.min_per_booking, only.max_per_booking), (1, 4));
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let command = patched(
            json!({"title": "Blues", "endsAt": null, "location": null, "totalTickets": 12}),
        )
        .unwrap();
        assert_eq!(command.details.title.as_str(), "Blues");
        assert_eq!(
            (command.details.ends_at, command.details.location),
            (None, None)
        );
        assert_eq!(
            (
                command.ticket_types[0].capacity,
                command.ticket_types[0].price_minor
            ),
            (12, 500)
        );
        let moved = patched(json!({"date": "2027-05-02", "endsAt": null})).unwrap();
        assert_eq!(moved.details.starts_at.to_string(), "2027-05-01T22:00:00Z");
    }

    #[test]
    fn a_draft_stays_a_draft_and_a_zone_stays_a_zone() {
        let draft = Event {
            status: EventStatus::Draft,
            ..event()
        };
        let patch: EventPatchRequest = read_value(json!({"title": "Blues"})).unwrap();
        let command = patch.command(&draft, 3).unwrap();
        assert_eq!(command.status, EventStatus::Draft);
        assert_eq!(command.details.time_zone, "Europe/Berlin");
    }

    #[test]
    fn a_wrong_patch_names_its_field() {
        for (patch, code, field) in [
            (
                json!({"ticketsSold": 0}),
                ErrorCode::UnknownField,
                "ticketsSold",
            ),
            (json!({"version": 9}), ErrorCode::UnknownField, "version"),
            (
                json!({"ticketTypes": []}),
                ErrorCode::UnknownField,
                "ticketTypes",
            ),
            (json!({"title": null}), ErrorCode::FieldInvalid, "title"),
            (json!({"status": null}), ErrorCode::FieldInvalid, "status"),
            (
                json!({"timeZone": null}),
                ErrorCode::FieldInvalid,
                "timeZone",
            ),
            (
                json!({"startsAt": null}),
                ErrorCode::FieldInvalid,
                "startsAt",
            ),
            (
                json!({"startsAt": START, "date": "2027-05-02"}),
                ErrorCode::FieldInvalid,
                "date",
            ),
            (
                json!({"totalTickets": 1.5}),
                ErrorCode::FieldInvalid,
                "totalTickets",
            ),
            (
                json!({"totalTickets": "12"}),
                ErrorCode::FieldInvalid,
                "totalTickets",
            ),
        ] {
            let error = patched(patch.clone()).unwrap_err();
            assert_eq!(
                (error.code(), error.field_name()),
                (code, Some(field)),
                "{patch}"
            );
        }
    }
}
