//! The records of requests with an Idempotency-Key. The answer is stored as the row that it shows, so it can be returned
//! unchanged, whatever happened to the row since.

use jiff::Timestamp;
use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::{
    bookings::{BookingRow, booking_id},
    check_ins::CheckInRow,
    events::{EventRow, InventoryRow},
    holds::HoldRow,
    keys::{at_millisecond, millisecond, record, stored_ulid, ulid_key},
    plugins::PluginSetRow,
    waitlist::WaitlistEntryRow,
};
use crate::{
    error::{Error, Result},
    types::{
        NotificationId, NotificationSummary, PluginActivation, RecordedAnswer, RecordedRequest,
        RequestKey, RequestRoute, Retried, TenantId, Ticket, TicketId, TicketStatus, TicketTypeId,
        WaitlistPlace,
    },
};

/// The record of a request with an Idempotency-Key.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct IdempotencyRow {
    pub(in crate::modules::repositories) id: RecordId,
    request_hash: String,
    /// Its shape depends on the route.
    answer: Value,
    expires_at: i64,
}

#[derive(Debug, SurrealValue)]
struct BookingAnswer {
    booking: RecordId,
    /// The number of cancellations of the answer's booking.
    cancellations: u32,
}

#[derive(Debug, SurrealValue)]
struct PlaceAnswer {
    entry: WaitlistEntryRow,
    ahead: u64,
}

#[derive(Debug, SurrealValue)]
struct TicketAnswer {
    booking: RecordId,
    number: u32,
    ticket_type: String,
    transferred_at: Option<i64>,
}

#[derive(Debug, SurrealValue)]
struct EventAnswer {
    event: EventRow,
    inventory: InventoryRow,
    notification: Option<SummaryAnswer>,
}

#[derive(Debug, SurrealValue)]
struct SummaryAnswer {
    notification: String,
    recipients: u64,
}

#[derive(Debug, SurrealValue)]
struct PluginsAnswer {
    set: PluginSetRow,
    warnings: Vec<String>,
}

#[derive(Debug, SurrealValue)]
struct RetriedAnswer {
    matched: u64,
    retried: u64,
    busy: u64,
    is_cut: bool,
}

impl SummaryAnswer {
    fn of(summary: &NotificationSummary) -> Self {
        Self {
            notification: summary.id.ulid().to_string(),
            recipients: summary.recipients,
        }
    }

    fn into_type(self) -> Result<NotificationSummary> {
        Ok(NotificationSummary {
            id: NotificationId::from_ulid(stored_ulid(&self.notification)?),
            recipients: self.recipients,
        })
    }
}

impl IdempotencyRow {
    /// In place of a tenant: actions outside tenants.
    const OUTSIDE: &str = "";

    pub(in crate::modules::repositories) fn key(
        tenant: Option<&TenantId>,
        request: &RequestKey,
    ) -> RecordId {
        record(
            "idempotency",
            [
                Value::String(tenant.map_or(Self::OUTSIDE, TenantId::as_str).to_owned()),
                Value::String(request.principal.clone()),
                Value::String(request.route.as_str().to_owned()),
                Value::String(request.key.as_str().to_owned()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: Option<&TenantId>,
        recorded: &RecordedRequest,
        until: Timestamp,
    ) -> Self {
        let answer = tenant.map_or(Value::None, |tenant| value_of(tenant, &recorded.answer));
        Self {
            id: Self::key(tenant, &recorded.key),
            request_hash: recorded.request_hash.clone(),
            // Outside tenants there is nothing to show.
            answer,
            expires_at: millisecond(until),
        }
    }

    /// The request of the row, which was found by this key.
    pub(in crate::modules::repositories) fn into_type(
        self,
        key: &RequestKey,
    ) -> Result<RecordedRequest> {
        Ok(RecordedRequest {
            key: key.clone(),
            request_hash: self.request_hash,
            answer: answer_of(key.route, self.answer)?,
        })
    }
}

fn value_of(tenant: &TenantId, answer: &RecordedAnswer) -> Value {
    match answer {
        RecordedAnswer::Booking {
            booking,
            cancellations,
        } => BookingAnswer {
            booking: BookingRow::key(tenant, *booking),
            // A booking has a hundred at most.
            cancellations: u32::try_from(*cancellations).unwrap_or(u32::MAX),
        }
        .into_value(),
        RecordedAnswer::Hold(hold) => HoldRow::of(tenant, hold).into_value(),
        RecordedAnswer::Place(place) => match place.as_ref() {
            WaitlistPlace::Waiting { entry, ahead } => PlaceAnswer {
                entry: WaitlistEntryRow::of(tenant, entry),
                ahead: *ahead,
            }
            .into_value(),
            WaitlistPlace::Offered(_) => Value::None,
        },
        RecordedAnswer::CheckIn(check_in) => CheckInRow::of(tenant, check_in).into_value(),
        RecordedAnswer::Ticket(ticket) => TicketAnswer {
            booking: BookingRow::key(tenant, ticket.id.booking),
            number: ticket.id.number,
            ticket_type: ticket.ticket_type.as_str().to_owned(),
            transferred_at: ticket.transferred_at.map(millisecond),
        }
        .into_value(),
        RecordedAnswer::Event(parts, notification) => EventAnswer {
            event: EventRow::of(tenant, &parts.0),
            inventory: InventoryRow::of(tenant, &parts.1),
            notification: notification.as_ref().map(SummaryAnswer::of),
        }
        .into_value(),
        RecordedAnswer::Announcement(summary) => SummaryAnswer::of(summary).into_value(),
        RecordedAnswer::Plugins(activation) => PluginsAnswer {
            set: PluginSetRow::of(tenant, &activation.set),
            warnings: activation.warnings.clone(),
        }
        .into_value(),
        RecordedAnswer::Retried(retried) => RetriedAnswer {
            matched: retried.matched,
            retried: retried.retried,
            busy: retried.busy,
            is_cut: retried.is_cut,
        }
        .into_value(),
        RecordedAnswer::Done => Value::None,
    }
}

fn hold_answer(value: Value) -> Result<RecordedAnswer> {
    let hold = read::<HoldRow>(value)?.into_type()?;
    Ok(RecordedAnswer::Hold(Box::new(hold)))
}

fn answer_of(route: RequestRoute, value: Value) -> Result<RecordedAnswer> {
    Ok(match route {
        RequestRoute::Bookings
        | RequestRoute::Imports
        | RequestRoute::Cancellations
        | RequestRoute::Confirmations => {
            let answer: BookingAnswer = read(value)?;
            RecordedAnswer::Booking {
                booking: booking_id(&answer.booking)?,
                cancellations: answer.cancellations as usize,
            }
        }
        RequestRoute::Holds
        | RequestRoute::Extensions
        | RequestRoute::HoldChanges
        | RequestRoute::Releases => hold_answer(value)?,
        RequestRoute::WaitlistJoins => {
            let answer: PlaceAnswer = read(value)?;
            RecordedAnswer::Place(Box::new(WaitlistPlace::Waiting {
                entry: answer.entry.into_type()?,
                ahead: answer.ahead,
            }))
        }
        RequestRoute::CheckIns => RecordedAnswer::CheckIn(read::<CheckInRow>(value)?.into_type()?),
        RequestRoute::CheckInUndos | RequestRoute::Transfers => {
            RecordedAnswer::Ticket(read::<TicketAnswer>(value)?.into_type()?)
        }
        RequestRoute::Events | RequestRoute::EventCancellations | RequestRoute::TicketTypes => {
            let answer: EventAnswer = read(value)?;
            let parts = (answer.event.into_type()?, answer.inventory.into_type()?);
            let notification = answer.notification.map(SummaryAnswer::into_type);
            RecordedAnswer::Event(Box::new(parts), notification.transpose()?)
        }
        RequestRoute::Announcements => {
            RecordedAnswer::Announcement(read::<SummaryAnswer>(value)?.into_type()?)
        }
        RequestRoute::PluginActivations
        | RequestRoute::PluginRollBacks
        | RequestRoute::PluginRemovals => {
            let answer: PluginsAnswer = read(value)?;
            RecordedAnswer::Plugins(Box::new(PluginActivation {
                set: answer.set.into_type()?,
                warnings: answer.warnings,
            }))
        }
        RequestRoute::Retries => {
            let answer: RetriedAnswer = read(value)?;
            RecordedAnswer::Retried(Retried {
                matched: answer.matched,
                retried: answer.retried,
                busy: answer.busy,
                is_cut: answer.is_cut,
            })
        }
        RequestRoute::WaitlistLeaves
        | RequestRoute::NotificationCommands
        | RequestRoute::LaneCommands => RecordedAnswer::Done,
    })
}

impl TicketAnswer {
    fn into_type(self) -> Result<Ticket> {
        Ok(Ticket {
            id: TicketId {
                booking: booking_id(&self.booking)?,
                number: self.number,
            },
            ticket_type: TicketTypeId::new(self.ticket_type),
            status: TicketStatus::Valid,
            code: None,
            tickets_url: None,
            transferred_at: self.transferred_at.map(at_millisecond).transpose()?,
        })
    }
}

fn read<T: SurrealValue>(value: Value) -> Result<T> {
    T::from_value(value).map_err(Error::internal)
}

/// The expiry entry of a step's keys, in order of time.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct IdempotencyDueRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) keys: Vec<RecordId>,
}

impl IdempotencyDueRow {
    pub(in crate::modules::repositories) fn of(
        tenant: Option<&TenantId>,
        change: Ulid,
        until: Timestamp,
        keys: Vec<RecordId>,
    ) -> Self {
        let id = record(
            "idempotency_due",
            [
                Value::from_t(millisecond(until)),
                Value::String(
                    tenant
                        .map_or(IdempotencyRow::OUTSIDE, TenantId::as_str)
                        .to_owned(),
                ),
                ulid_key(change),
            ],
        );
        Self { id, keys }
    }
}
