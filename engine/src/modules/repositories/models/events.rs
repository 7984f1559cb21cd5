//! The rows of events, their old versions, and their inventories.

use jiff::Timestamp;
use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{
    at_millisecond, json_of, key_ulid, millisecond, of_json, record, stored_ulid, ulid_key,
};
use crate::{
    error::Result,
    types::{
        CancellationStep, CancellationTerms, EventDetails, EventId, EventReminder, Inventory,
        Label, Metadata, NotificationId, Prose, Reference, Reminder, ReminderLead, StoredEvent,
        TenantId, TicketType, TicketTypeId, UserId,
    },
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct EventRow {
    pub(in crate::modules::repositories) id: RecordId,
    organizer: Option<String>,
    version: u64,
    title: String,
    description: String,
    starts_at: i64,
    ends_at: Option<i64>,
    time_zone: String,
    location: Option<String>,
    currency: String,
    created_at: i64,
    updated_at: i64,
    /// The newest notification about a change; further changes merge into it while it is scheduled.
    update_notification: Option<String>,
    /// How long before the event its customers are reminded: `None` means the tenant's setting, 0 no reminder.
    reminder_minutes: Option<u32>,
    reminder: Option<ReminderRow>,
    reminded_start: Option<i64>,
    reference: Option<String>,
    /// As JSON; `None` without any.
    metadata: Option<String>,
    questions: Option<String>,
    attendees_until: Option<i64>,
    /// By the id of the type.
    type_metadata: Option<String>,
}

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ReminderRow {
    notification: String,
    due_at: i64,
    starts_at: i64,
}

impl ReminderRow {
    fn of(reminder: &EventReminder) -> Self {
        Self {
            notification: reminder.notification.ulid().to_string(),
            due_at: millisecond(reminder.due_at),
            starts_at: millisecond(reminder.starts_at),
        }
    }

    fn into_type(self) -> Result<EventReminder> {
        Ok(EventReminder {
            notification: NotificationId::from_ulid(stored_ulid(&self.notification)?),
            due_at: at_millisecond(self.due_at)?,
            starts_at: at_millisecond(self.starts_at)?,
        })
    }
}

impl EventRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, event: EventId) -> RecordId {
        record(
            "event",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(event.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, event: &StoredEvent) -> Self {
        let details = &event.details;
        Self {
            id: Self::key(tenant, event.id),
            organizer: event.organizer.map(|user| user.ulid().to_string()),
            version: event.version,
            title: details.title.as_str().to_owned(),
            description: details.description.as_str().to_owned(),
            starts_at: millisecond(details.starts_at),
            ends_at: details.ends_at.map(millisecond),
            time_zone: details.time_zone.clone(),
            location: details
                .location
                .as_ref()
                .map(|location| location.as_str().to_owned()),
            currency: event.currency.clone(),
            created_at: millisecond(event.created_at),
            updated_at: millisecond(event.updated_at),
            update_notification: event.update_notification.map(|id| id.ulid().to_string()),
            reminder_minutes: match details.reminder {
                Reminder::AsTenant => None,
                Reminder::Off => Some(0),
                Reminder::Before(lead) => Some(lead.minutes()),
            },
            reminder: event.reminder.as_ref().map(ReminderRow::of),
            reminded_start: event.reminded_start.map(millisecond),
            reference: details.reference.as_ref().map(ToString::to_string),
            metadata: json_of(&details.metadata),
            questions: json_of(&details.questions),
            attendees_until: details.attendees_until.map(millisecond),
            type_metadata: json_of(&event.type_metadata),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<StoredEvent> {
        Ok(StoredEvent {
            id: EventId::from_ulid(key_ulid(&self.id, 1)?),
            organizer: self
                .organizer
                .as_deref()
                .map(stored_ulid)
                .transpose()?
                .map(UserId::from_ulid),
            version: self.version,
            details: EventDetails {
                title: Label::stored(self.title),
                description: Prose::stored(self.description),
                starts_at: at_millisecond(self.starts_at)?,
                ends_at: self.ends_at.map(at_millisecond).transpose()?,
                time_zone: self.time_zone,
                location: self.location.map(Label::stored),
                reminder: match self.reminder_minutes {
                    None => Reminder::AsTenant,
                    Some(0) => Reminder::Off,
                    Some(minutes) => Reminder::Before(ReminderLead::stored(minutes)),
                },
                reference: self.reference.map(Reference::stored),
                metadata: of_json(self.metadata)?,
                questions: of_json(self.questions)?,
                attendees_until: self.attendees_until.map(at_millisecond).transpose()?,
            },
            currency: self.currency,
            created_at: at_millisecond(self.created_at)?,
            updated_at: at_millisecond(self.updated_at)?,
            update_notification: self
                .update_notification
                .as_deref()
                .map(stored_ulid)
                .transpose()?
                .map(NotificationId::from_ulid),
            reminder: self.reminder.map(ReminderRow::into_type).transpose()?,
            reminded_start: self.reminded_start.map(at_millisecond).transpose()?,
            type_metadata: of_json(self.type_metadata)?,
        })
    }
}

/// An older version of an event; the whole row.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct EventVersionRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) event: EventRow,
    status: String,
    ticket_types: Vec<TicketTypeRow>,
    /// `None` means the default terms.
    cancellation_terms: Option<Vec<CancellationStepRow>>,
}

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct CancellationStepRow {
    until_hours_before: u32,
    refund_percent: u32,
}

/// Terms in rows: `None` for the default terms, which most events have.
fn terms_row(terms: &CancellationTerms) -> Option<Vec<CancellationStepRow>> {
    let row = |step: &CancellationStep| CancellationStepRow {
        until_hours_before: step.until_hours_before,
        refund_percent: step.refund_percent,
    };
    (*terms != CancellationTerms::default()).then(|| terms.steps().iter().map(row).collect())
}

fn terms_of(rows: Option<Vec<CancellationStepRow>>) -> CancellationTerms {
    let step = |row: CancellationStepRow| CancellationStep {
        until_hours_before: row.until_hours_before,
        refund_percent: row.refund_percent,
    };
    rows.map_or_else(CancellationTerms::default, |rows| {
        CancellationTerms::stored(rows.into_iter().map(step).collect())
    })
}

/// The cancellation terms of an older version, and its beginning.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct OldTermsRow {
    starts_at: i64,
    cancellation_terms: Option<Vec<CancellationStepRow>>,
}

impl OldTermsRow {
    pub(in crate::modules::repositories) fn into_type(
        self,
    ) -> Result<(Timestamp, CancellationTerms)> {
        Ok((
            at_millisecond(self.starts_at)?,
            terms_of(self.cancellation_terms),
        ))
    }
}

/// The beginning of an event, as the key of lists.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct EventStartRow {
    id: RecordId,
    event: RecordId,
    inventory: RecordId,
}

impl EventStartRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        starts_at: Timestamp,
        event: EventId,
    ) -> RecordId {
        record(
            "event_start",
            [
                Value::String(tenant.as_str().to_owned()),
                Value::from_t(millisecond(starts_at)),
                ulid_key(event.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, event: &StoredEvent) -> Self {
        Self {
            id: Self::key(tenant, event.details.starts_at, event.id),
            event: EventRow::key(tenant, event.id),
            inventory: InventoryRow::key(tenant, event.id),
        }
    }
}

impl EventVersionRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        event: EventId,
        version: u64,
    ) -> RecordId {
        let version = Value::from_t(version);
        record(
            "event_version",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(event.ulid()),
                version,
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        event: &StoredEvent,
        inventory: &Inventory,
    ) -> Self {
        Self {
            id: Self::key(tenant, event.id, event.version),
            event: EventRow::of(tenant, event),
            status: inventory.status.as_str().to_owned(),
            ticket_types: inventory
                .ticket_types
                .iter()
                .map(TicketTypeRow::of)
                .collect(),
            cancellation_terms: terms_row(&inventory.cancellation_terms),
        }
    }
}

/// The one record that a booking's validity depends on. Every step that changes counters writes `revision`, so two of them
/// can never both go through on the same revision of it.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct InventoryRow {
    pub(in crate::modules::repositories) id: RecordId,
    revision: i64,
    status: String,
    event_version: u64,
    starts_at: i64,
    currency: String,
    total: u32,
    sold: u32,
    held: u32,
    waiting: u32,
    waitlist_next: Option<i64>,
    bookings: u64,
    ticket_types: Vec<TicketTypeRow>,
    cancellation_terms: Option<Vec<CancellationStepRow>>,
    max_tickets_per_customer: Option<u32>,
    /// `None` if a booking needs no answers.
    requires_answers: Option<bool>,
}

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct TicketTypeRow {
    id: String,
    name: String,
    capacity: u32,
    sold: u32,
    held: u32,
    price_minor: u32,
    sales_open_at: Option<i64>,
    sales_close_at: Option<i64>,
    min_per_booking: u32,
    max_per_booking: u32,
    tax_basis_points: Option<u32>,
    ever_taken: bool,
}

impl TicketTypeRow {
    fn of(kind: &TicketType) -> Self {
        Self {
            id: kind.id.as_str().to_owned(),
            name: kind.name.as_str().to_owned(),
            capacity: kind.capacity,
            sold: kind.sold,
            held: kind.held,
            price_minor: kind.price_minor,
            sales_open_at: kind.sales_open_at.map(millisecond),
            sales_close_at: kind.sales_close_at.map(millisecond),
            min_per_booking: kind.min_per_booking,
            max_per_booking: kind.max_per_booking,
            tax_basis_points: kind.tax_basis_points,
            ever_taken: kind.ever_taken,
        }
    }

    fn into_type(self) -> Result<TicketType> {
        Ok(TicketType {
            id: TicketTypeId::new(self.id),
            name: Label::stored(self.name),
            capacity: self.capacity,
            sold: self.sold,
            held: self.held,
            price_minor: self.price_minor,
            sales_open_at: self.sales_open_at.map(at_millisecond).transpose()?,
            sales_close_at: self.sales_close_at.map(at_millisecond).transpose()?,
            min_per_booking: self.min_per_booking,
            max_per_booking: self.max_per_booking,
            tax_basis_points: self.tax_basis_points,
            ever_taken: self.ever_taken,
            metadata: Metadata::default(),
        })
    }
}

impl InventoryRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, event: EventId) -> RecordId {
        record(
            "inventory",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(event.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, inventory: &Inventory) -> Self {
        Self {
            id: Self::key(tenant, inventory.event),
            revision: inventory.revision,
            status: inventory.status.as_str().to_owned(),
            event_version: inventory.event_version,
            starts_at: millisecond(inventory.starts_at),
            currency: inventory.currency.clone(),
            total: inventory.total,
            sold: inventory.sold,
            held: inventory.held,
            waiting: inventory.waiting,
            waitlist_next: (inventory.waitlist_next > 0).then_some(inventory.waitlist_next),
            bookings: inventory.bookings,
            ticket_types: inventory
                .ticket_types
                .iter()
                .map(TicketTypeRow::of)
                .collect(),
            cancellation_terms: terms_row(&inventory.cancellation_terms),
            max_tickets_per_customer: inventory.max_tickets_per_customer,
            requires_answers: inventory.requires_answers.then_some(true),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Inventory> {
        Ok(Inventory {
            event: EventId::from_ulid(key_ulid(&self.id, 1)?),
            revision: self.revision,
            status: self.status.parse()?,
            event_version: self.event_version,
            starts_at: at_millisecond(self.starts_at)?,
            currency: self.currency,
            total: self.total,
            sold: self.sold,
            held: self.held,
            waiting: self.waiting,
            waitlist_next: self.waitlist_next.unwrap_or(0),
            bookings: self.bookings,
            ticket_types: self
                .ticket_types
                .into_iter()
                .map(TicketTypeRow::into_type)
                .collect::<Result<_>>()?,
            cancellation_terms: terms_of(self.cancellation_terms),
            max_tickets_per_customer: self.max_tickets_per_customer,
            requires_answers: self.requires_answers.unwrap_or_default(),
        })
    }
}
