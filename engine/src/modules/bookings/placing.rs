//! Deciding about a group of requests on one sight of the inventory: who gets tickets, at which price, and what is to be
//! written. Pure: no store and no clock is asked.
//!
//! Called by the bookings module.

use std::collections::HashMap;

use jiff::{Span, Timestamp};
use ulid::Ulid;

use super::{Placement, RequestedBooking};
use crate::{
    Error, ErrorCode, Result,
    modules::repositories::{GroupPlan, GroupSnapshot, InventoryChange, NewMails, RecordedRequest},
    types::{
        Block, Booking, BookingId, BookingLine, BookingStatus, CapacityCause, Entry, EventId,
        EventStatus, IdempotencyKey, Inventory, Lane, NotificationId, NotificationKind, Owed,
        OwedPart, TenantId, TicketType, UserId,
    },
};

/// What a group is decided on.
pub(super) struct Seen<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) event: EventId,
    pub(super) snapshot: &'a GroupSnapshot,
    pub(super) recorded: Vec<Option<Result<Placement>>>,
    pub(super) now: Timestamp,
}

impl Seen<'_> {
    /// Decides about each member in order of arrival: the plan to write (none if nobody gets anything) and everybody's
    /// answer, valid once the plan is written.
    pub(super) fn plan(
        self,
        requests: &[RequestedBooking],
        serials: &[Ulid],
        change: Ulid,
        attempt: u32,
        notification: NotificationId,
    ) -> (Option<GroupPlan>, Vec<Result<Placement>>) {
        let Some(inventory) = &self.snapshot.inventory else {
            let none = || Err(Error::not_found("event", self.event));
            return (None, requests.iter().map(|_| none()).collect());
        };
        let mut left = inventory.clone();
        let mut tickets = self.snapshot.tickets.clone();
        let mut fresh: HashMap<(UserId, IdempotencyKey), (String, Booking)> = HashMap::new();
        let mut bookings = Vec::new();
        let mut answers = Vec::with_capacity(requests.len());
        for ((request, serial), recorded) in requests.iter().zip(serials).zip(self.recorded) {
            if let Some(answer) = recorded {
                answers.push(answer);
                continue;
            }
            // The same key twice in one group: the second waits for the first, which is this very plan.
            let key = request
                .idempotency
                .as_ref()
                .map(|(key, _)| (request.customer, key.clone()));
            if let Some((hash, booking)) = key.as_ref().and_then(|key| fresh.get(key)) {
                let same = request
                    .idempotency
                    .as_ref()
                    .is_some_and(|(_, own)| own == hash);
                answers.push(if same {
                    Ok(Placement::Recorded(booking.clone()))
                } else {
                    Err(key_reused())
                });
                continue;
            }
            if let Some(decision) = &request.decision {
                let moved = decision.event_version != left.event_version
                    || tickets.get(&request.customer).copied().unwrap_or(0)
                        != decision.tickets_in_event;
                if moved {
                    answers.push(Ok(Placement::DecideAgain));
                    continue;
                }
            }
            match place(&left, request, *serial, self.now) {
                Ok(booking) => {
                    left = with(left, &booking.lines);
                    *tickets.entry(request.customer).or_default() += booking.tickets();
                    if let (Some(key), Some((_, hash))) = (key, &request.idempotency) {
                        fresh.insert(key, (hash.clone(), booking.clone()));
                    }
                    answers.push(Ok(Placement::Booked(booking.clone())));
                    bookings.push(booking);
                }
                Err(error) => answers.push(Err(error)),
            }
        }
        if bookings.is_empty() {
            return (None, answers);
        }
        let recorded = fresh
            .into_iter()
            .map(|((user, key), (request_hash, booking))| {
                (
                    user,
                    key,
                    RecordedRequest {
                        request_hash,
                        booking: booking.id,
                    },
                )
            })
            .collect();
        left.bookings += bookings.len() as u64;
        let ids: Vec<_> = bookings.iter().map(|booking| booking.id).collect();
        let plan = GroupPlan {
            change: InventoryChange {
                before: inventory.clone(),
                inventory: left,
                change,
                attempt,
                cause: CapacityCause::Booked,
                at: self.now,
            },
            mails: mails_about(
                self.tenant,
                notification,
                NotificationKind::BookingConfirmed,
                &ids,
                self.now,
            ),
            bookings,
            recorded,
            recorded_until: self
                .now
                .checked_add(Span::new().hours(24))
                .unwrap_or(Timestamp::MAX),
        };
        (Some(plan), answers)
    }
}

/// Decides about one request on a sight of the inventory: the booking it becomes, or why not.
fn place(
    inventory: &Inventory,
    request: &RequestedBooking,
    serial: Ulid,
    now: Timestamp,
) -> Result<Booking> {
    match inventory.status {
        EventStatus::Published => {}
        EventStatus::Draft => {
            return Err(Error::new(
                ErrorCode::EventNotPublished,
                "This event is not on sale yet.",
            ));
        }
        EventStatus::Cancelled => {
            return Err(Error::new(
                ErrorCode::EventCancelled,
                "This event was called off.",
            ));
        }
    }
    let mut lines = Vec::with_capacity(request.lines.len());
    let mut wanted: u32 = 0;
    let mut total_minor: u64 = 0;
    for (index, line) in request.lines.iter().enumerate() {
        let kind = line.ticket_type_of(index, &inventory.ticket_types)?;
        // A line may leave its type open, so that only here two lines can be seen to mean the same.
        if lines
            .iter()
            .any(|earlier: &BookingLine| earlier.ticket_type == kind.id)
        {
            return Err(Error::field(
                format!("lines[{index}].ticketType"),
                "Each ticket type stands in one line.",
            ));
        }
        if kind.sales_open_at.is_some_and(|open| now < open) {
            return Err(Error::new(ErrorCode::SalesNotOpen, "Sales have not begun."));
        }
        if now >= kind.sales_close_at.unwrap_or(inventory.starts_at) {
            return Err(Error::new(ErrorCode::SalesClosed, "Sales are over."));
        }
        if line.quantity < kind.min_per_booking || line.quantity > kind.max_per_booking {
            return Err(Error::field(
                format!("lines[{index}].quantity"),
                format!(
                    "One booking has {} to {} of these tickets.",
                    kind.min_per_booking, kind.max_per_booking
                ),
            ));
        }
        let free = kind
            .capacity
            .saturating_sub(kind.sold)
            .saturating_sub(kind.held);
        if line.quantity > free {
            let left = free.min(inventory.available());
            return Err(not_enough_of(kind, inventory, left));
        }
        // Quantities are at most 10,000 each in 10 lines and prices u32, so that sums stay far within u64.
        wanted = wanted.saturating_add(line.quantity);
        let unit_price_minor = request
            .decision
            .as_ref()
            .and_then(|decision| decision.unit_prices_minor.get(index).copied())
            .unwrap_or(kind.price_minor);
        total_minor += u64::from(unit_price_minor) * u64::from(line.quantity);
        lines.push(BookingLine {
            ticket_type: kind.id.clone(),
            quantity: line.quantity,
            unit_price_minor,
        });
    }
    if wanted > inventory.available() {
        return Err(not_enough(inventory.available()));
    }
    if request
        .expected_total_minor
        .is_some_and(|expected| expected != total_minor)
    {
        return Err(Error::new(
            ErrorCode::PriceChanged,
            format!(
                "The total is {total_minor} in minor units of {} now.",
                inventory.currency
            ),
        ));
    }
    Ok(Booking {
        id: BookingId::new(inventory.event, request.customer, serial),
        event: inventory.event,
        customer: request.customer,
        status: BookingStatus::Confirmed,
        cancelled: None,
        lines,
        total_minor,
        currency: inventory.currency.clone(),
        event_version: inventory.event_version,
        created_at: now,
    })
}

fn with(mut inventory: Inventory, lines: &[BookingLine]) -> Inventory {
    for line in lines {
        inventory.sold += line.quantity;
        if let Some(kind) = inventory
            .ticket_types
            .iter_mut()
            .find(|kind| kind.id == line.ticket_type)
        {
            kind.sold += line.quantity;
            kind.ever_taken = true;
        }
    }
    inventory
}

pub(super) fn without(mut inventory: Inventory, lines: &[BookingLine]) -> Inventory {
    for line in lines {
        inventory.sold = inventory.sold.saturating_sub(line.quantity);
        if let Some(kind) = inventory
            .ticket_types
            .iter_mut()
            .find(|kind| kind.id == line.ticket_type)
        {
            kind.sold = kind.sold.saturating_sub(line.quantity);
        }
    }
    inventory
}

/// The mails that a step about some bookings owes: one for each booking, in blocks, due now.
pub(super) fn mails_about(
    tenant: &TenantId,
    notification: NotificationId,
    kind: NotificationKind,
    bookings: &[BookingId],
    now: Timestamp,
) -> NewMails {
    let mut mails = NewMails::default();
    for (number, bookings) in (0_u32..).zip(bookings.chunks(Block::ENTRIES_MAX)) {
        let Some(first) = bookings.first() else {
            continue;
        };
        mails.blocks.push(Block {
            notification,
            number,
            revision: 0,
            kind,
            event: first.event(),
            entries: bookings
                .iter()
                .map(|id| Entry::queued(id.customer(), Some(*id)))
                .collect(),
            claim: None,
            claims: 0,
            created_at: now,
        });
        mails.owed.push(Owed {
            due_at: now,
            tenant: tenant.clone(),
            notification,
            part: OwedPart::Block(number),
            lane: Lane::Transactional,
            published: false,
        });
    }
    mails
}

/// Too few of one type: with several on sale, the customer must hear which.
fn not_enough_of(kind: &TicketType, inventory: &Inventory, left: u32) -> Error {
    if inventory.ticket_types.len() == 1 || inventory.available() == 0 {
        return not_enough(left);
    }
    let detail = match left {
        0 => format!("{} is sold out.", kind.name),
        1 => format!("Only 1 ticket of {} is left.", kind.name),
        left => format!("Only {left} tickets of {} are left.", kind.name),
    };
    Error::new(ErrorCode::NotEnoughTickets, detail)
}

fn not_enough(left: u32) -> Error {
    let detail = match left {
        0 => "The event is sold out.".to_owned(),
        1 => "Only 1 ticket is left.".to_owned(),
        left => format!("Only {left} tickets are left."),
    };
    Error::new(ErrorCode::NotEnoughTickets, detail)
}

pub(super) fn key_reused() -> Error {
    Error::new(
        ErrorCode::IdempotencyKeyReused,
        "This Idempotency-Key was used for a different request within the last 24 hours; use a new key.",
    )
    .at_field("Idempotency-Key")
}
