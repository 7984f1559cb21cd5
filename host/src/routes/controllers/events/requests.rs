//! Events as JSON: requests, and the commands they become.
//!
//! Called by the events controller.

use boxoffice_engine::{
    CancellationStep, CancellationTerms, CreateEvent, Error, ErrorCode, Event, EventDetails,
    EventId, EventStatus, Label, NewTicketType, Prose, Reminder, ReminderLead, Result, TicketType,
    UpdateEvent,
};
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};
use utoipa::ToSchema;

use super::{
    super::{
        merge_patch,
        numbers::{whole, whole_or},
    },
    times,
};

/// What an organizer says about an event and offers at it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct EventRequest {
    /// Its name: one line of 1 to 200 characters.
    #[schema(example = "Jazz Night")]
    title: String,
    /// More about it, at most 10,000 characters.
    description: Option<String>,
    /// When it begins, with an offset (RFC 3339). This or `date`.
    #[schema(value_type = Option<String>, format = DateTime, example = "2027-05-01T20:00:00+02:00")]
    starts_at: Option<String>,
    /// When it begins, in the event's zone: a date (00:00 then), or a date and time. This or `startsAt`.
    date: Option<String>,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<String>,
    /// IANA name of the zone it happens in.
    #[schema(default = "UTC", example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// Where it happens: one line of at most 200 characters.
    location: Option<String>,
    /// How long before it begins its customers are reminded, in minutes; 0 for not at all. Without it the tenant's
    /// setting holds.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 86_400, example = 1440)]
    reminder_minutes: Option<Number>,
    /// `draft` or `published`.
    #[schema(default = "published")]
    status: Option<String>,
    /// How many tickets there are: alone, of one type `General` at price 0; beside `ticketTypes`, at most what those
    /// hold together (which it is without it).
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000_000, example = 100)]
    total_tickets: Option<Number>,
    /// What can be booked: 1 to 50 types. With PUT, a type that was ever booked must be among them, with its `id`.
    ticket_types: Option<Vec<TicketTypeRequest>>,
    /// Until when customers may cancel, and what comes back: up to 10 steps, each nearer to the event and giving less than
    /// the one before. Empty: only the organizer cancels. Without it everything comes back until the event begins.
    cancellation_terms: Option<Vec<CancellationStepRequest>>,
    /// With PUT and PATCH: whether customers are told. Without it they are when title, time, zone or place change.
    notify_customers: Option<bool>,
    /// Whether the capacity came as a patch's `totalTickets`; errors then name that.
    #[serde(skip)]
    #[schema(ignore)]
    pub(super) total_is_patched: bool,
}

/// Something that can be booked at an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct TicketTypeRequest {
    /// The type to change; none makes a new one, or means the only one where there is one before and after.
    id: Option<String>,
    /// What it is called.
    #[schema(example = "General")]
    name: String,
    /// Tickets of this type that can be sold.
    #[schema(value_type = u32, minimum = 1, maximum = 10_000_000)]
    capacity: Number,
    /// Price of one ticket, in minor units of the tenant's currency.
    #[schema(value_type = Option<u32>, default = 0)]
    price_minor: Option<Number>,
    /// From when it is sold; at once without it.
    #[schema(value_type = Option<String>, format = DateTime)]
    sales_open_at: Option<String>,
    /// Until when it is sold; until the event begins without it.
    #[schema(value_type = Option<String>, format = DateTime)]
    sales_close_at: Option<String>,
    /// Fewest tickets of one booking.
    #[schema(value_type = Option<u32>, default = 1)]
    min_per_booking: Option<Number>,
    /// Most tickets of one booking.
    #[schema(value_type = Option<u32>, default = 100, maximum = 10_000)]
    max_per_booking: Option<Number>,
}

/// Until so long before an event begins, so much of the price comes back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct CancellationStepRequest {
    /// Hours before the event begins.
    #[schema(value_type = u32, minimum = 0, maximum = 8_760, example = 48)]
    until_hours_before: Number,
    /// Share of the price.
    #[schema(value_type = u32, minimum = 0, maximum = 100, example = 50)]
    refund_percent: Number,
}

impl CancellationStepRequest {
    fn step(&self, index: usize) -> Result<CancellationStep> {
        let at = |name: &str| format!("cancellationTerms[{index}].{name}");
        Ok(CancellationStep {
            until_hours_before: whole(&self.until_hours_before, at("untilHoursBefore"))?,
            refund_percent: whole(&self.refund_percent, at("refundPercent"))?,
        })
    }
}

impl EventRequest {
    /// The command to make the event.
    pub(super) fn create_command(&self) -> Result<CreateEvent> {
        if self.notify_customers.is_some() {
            let detail = "A new event has no customers to tell.";
            return Err(Error::new(ErrorCode::UnknownField, detail).at_field("notifyCustomers"));
        }
        Ok(CreateEvent {
            details: self.details()?,
            status: self.status()?,
            ticket_types: self.ticket_types()?,
            total_tickets: self.total_of_several()?,
            cancellation_terms: self.cancellation_terms()?,
        })
    }

    /// The command to replace what `event` says and offers.
    pub(super) fn update_command(
        &self,
        event: EventId,
        expected_version: u64,
    ) -> Result<UpdateEvent> {
        Ok(UpdateEvent {
            event,
            expected_version,
            details: self.details()?,
            status: self.status()?,
            ticket_types: self.ticket_types()?,
            total_tickets: self.total_of_several()?,
            cancellation_terms: self.cancellation_terms()?,
            notify_customers: self.notify_customers,
        })
    }

    /// The same error, at the field that this request has: its short forms are other names for longer ones.
    pub(super) fn at_own_field(&self, error: Error) -> Error {
        match error.field_name() {
            Some("ticketTypes[0].capacity")
                if self.total_is_patched
                    || self.total_tickets.is_some() && self.ticket_types.is_none() =>
            {
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
        // An empty place is no place.
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
            // Names are found in any case; the usual one is kept.
            time_zone: zone.iana_name().unwrap_or(zone_name).to_owned(),
            location: location
                .map(|location| Label::parse("location", location))
                .transpose()?,
            reminder: self.reminder()?,
        })
    }

    fn reminder(&self) -> Result<Reminder> {
        const FIELD: &str = "reminderMinutes";
        match &self.reminder_minutes {
            None => Ok(Reminder::AsTenant),
            Some(minutes) => match whole(minutes, FIELD)? {
                0 => Ok(Reminder::Off),
                minutes => ReminderLead::parse(FIELD, minutes).map(Reminder::Before),
            },
        }
    }

    fn status(&self) -> Result<EventStatus> {
        self.status
            .as_deref()
            .map_or(Ok(EventStatus::Published), str::parse)
    }

    fn ticket_types(&self) -> Result<Vec<NewTicketType>> {
        match (&self.total_tickets, &self.ticket_types) {
            (Some(total), None) => Ok(vec![NewTicketType::general(whole(total, "totalTickets")?)]),
            (_, Some(types)) => types
                .iter()
                .enumerate()
                .map(|(index, one)| one.command(index))
                .collect(),
            (None, None) => Err(Error::field(
                "totalTickets",
                "Say what can be booked: totalTickets or ticketTypes.",
            )),
        }
    }

    fn cancellation_terms(&self) -> Result<CancellationTerms> {
        let Some(steps) = &self.cancellation_terms else {
            return Ok(CancellationTerms::default());
        };
        let steps = steps.iter().enumerate();
        CancellationTerms::new(
            steps
                .map(|(index, step)| step.step(index))
                .collect::<Result<_>>()?,
        )
    }

    /// The event's total, where it was given beside the types.
    fn total_of_several(&self) -> Result<Option<u32>> {
        match (&self.total_tickets, &self.ticket_types) {
            (Some(total), Some(_)) => whole(total, "totalTickets").map(Some),
            _ => Ok(None),
        }
    }
}

impl TicketTypeRequest {
    fn command(&self, index: usize) -> Result<NewTicketType> {
        let at = |name: &str| format!("ticketTypes[{index}].{name}");
        let time = |text: &Option<String>, name: &str| {
            text.as_deref()
                .map(|text| times::instant(text, at(name)))
                .transpose()
        };
        let id = self.id.as_deref().map(str::parse).transpose();
        Ok(NewTicketType {
            id: id.map_err(|error: Error| error.at_field(at("id")))?,
            name: Label::parse("name", &self.name).map_err(|error| error.at_field(at("name")))?,
            capacity: whole(&self.capacity, at("capacity"))?,
            price_minor: whole_or(self.price_minor.as_ref(), 0, at("priceMinor"))?,
            sales_open_at: time(&self.sales_open_at, "salesOpenAt")?,
            sales_close_at: time(&self.sales_close_at, "salesCloseAt")?,
            min_per_booking: whole_or(self.min_per_booking.as_ref(), 1, at("minPerBooking"))?,
            max_per_booking: whole_or(
                self.max_per_booking.as_ref(),
                NewTicketType::PER_BOOKING_DEFAULT,
                at("maxPerBooking"),
            )?,
        })
    }
}

/// Merges a patch into what PUT would send for `event` as it is.
///
/// # Errors
/// `field-invalid` for two forms of one thing in the patch.
pub(super) fn merged(event: &Event, mut patch: Map<String, Value>) -> Result<Value> {
    let mut target = put_representation(event);
    if patch.contains_key("date") && !patch.contains_key("startsAt") {
        target.remove("startsAt");
    }
    // The total of an event with one type is that type's capacity, unless the patch says what both are.
    let total = patch.get("totalTickets").filter(|total| !total.is_null());
    if let Some(total) = total
        && event.ticket_types.len() == 1
        && !patch.contains_key("ticketTypes")
    {
        let Value::Number(total) = total else {
            return Err(Error::field("totalTickets", "Expected a whole number."));
        };
        let total: u32 = whole(total, "totalTickets")?;
        if let Some(capacity) = target
            .get_mut("ticketTypes")
            .and_then(|types| types.pointer_mut("/0/capacity"))
        {
            *capacity = total.into();
        }
        patch.remove("totalTickets");
        target.remove("totalTickets");
    }
    merge_patch::merge(&mut target, patch);
    Ok(Value::Object(target))
}

/// What PUT would send to leave `event` as it is.
fn put_representation(event: &Event) -> Map<String, Value> {
    let details = &event.details;
    let ticket_type = |one: &TicketType| {
        json!({
            "id": one.id,
            "name": one.name,
            "capacity": one.capacity,
            "priceMinor": one.price_minor,
            "salesOpenAt": one.sales_open_at,
            "salesCloseAt": one.sales_close_at,
            "minPerBooking": one.min_per_booking,
            "maxPerBooking": one.max_per_booking,
        })
    };
    let types: Vec<Value> = event.ticket_types.iter().map(ticket_type).collect();
    let together: u32 = event.ticket_types.iter().map(|one| one.capacity).sum();
    let mut all = Map::from_iter([
        ("title".to_owned(), json!(details.title)),
        ("description".to_owned(), json!(details.description)),
        ("startsAt".to_owned(), json!(details.starts_at)),
        ("endsAt".to_owned(), json!(details.ends_at)),
        ("timeZone".to_owned(), json!(details.time_zone)),
        ("location".to_owned(), json!(details.location)),
        (
            "reminderMinutes".to_owned(),
            json!(super::responses::reminder_minutes(details.reminder)),
        ),
        ("status".to_owned(), json!(event.status)),
        ("ticketTypes".to_owned(), Value::Array(types)),
        (
            "cancellationTerms".to_owned(),
            json!(event.cancellation_terms),
        ),
    ]);
    // A total that follows from the types goes on following.
    if event.total_tickets != together {
        all.insert("totalTickets".to_owned(), json!(event.total_tickets));
    }
    all
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

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
                ever_taken: true,
            }],
            cancellation_terms: CancellationTerms::default(),
            currency: "EUR".to_owned(),
            reminder: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn patched(patch: Value) -> Result<UpdateEvent> {
        let Value::Object(patch) = patch else {
            panic!("a patch is an object")
        };
        let request: EventRequest = read_value(merged(&event(), patch)?)?;
        request.update_command(event().id, 3)
    }

    fn posted(body: Value) -> Result<CreateEvent> {
        read_value::<EventRequest>(body)?.create_command()
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
    fn a_patch_is_judged_like_a_put() {
        for (patch, code, field) in [
            (
                json!({"ticketsSold": 0}),
                ErrorCode::UnknownField,
                "ticketsSold",
            ),
            (json!({"version": 9}), ErrorCode::UnknownField, "version"),
            (json!({"title": null}), ErrorCode::FieldInvalid, "title"),
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
            (
                json!({"totalTickets": "12", "ticketTypes": []}),
                ErrorCode::FieldInvalid,
                "totalTickets",
            ),
            (
                json!({"ticketTypes": [{"name": "x", "capacity": -1}]}),
                ErrorCode::FieldInvalid,
                "ticketTypes[0].capacity",
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
}
