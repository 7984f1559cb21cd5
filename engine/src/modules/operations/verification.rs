//! Verification: recomputes every event's counters from the capacity ledger, row by row, and from the bookings; and
//! checks the bookings against what was booked and cancelled.
//!
//! Called by app_modules. Calls the verification repository.

mod claims;
mod payments;
mod receipts;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use crate::modules::repositories::{
    ClaimsRepository, EventCounters, PaymentsRepository, ReceiptsRepository, SystemScope,
    TenantsRepository, VerificationRepository,
};
use crate::{
    error::Result,
    types::{
        Booking, BookingId, BookingLine, CancelCause, CapacityCause, CapacityEntry, EventId,
        EventVerdict, Inventory, Page, PageRequest, TenantId, TicketType, TicketTypeId, refund_of,
        total_of,
    },
};

/// Ledger rows read at a time: some 300 KB.
const LEDGER_PAGE: u32 = 1_000;
/// Bookings read at a time: some 200 KB, 20 MB at worst.
const BOOKINGS_PAGE: u32 = 500;

pub(crate) struct VerificationModule {
    repository: VerificationRepository,
    payments: Arc<PaymentsRepository>,
    claims: Arc<ClaimsRepository>,
    receipts: ReceiptsRepository,
    tenants: TenantsRepository,
}

impl VerificationModule {
    pub(in crate::modules) fn new(
        repository: VerificationRepository,
        payments: Arc<PaymentsRepository>,
        claims: Arc<ClaimsRepository>,
        (receipts, tenants): (ReceiptsRepository, TenantsRepository),
    ) -> Self {
        Self {
            repository,
            payments,
            claims,
            receipts,
            tenants,
        }
    }

    /// Verifies a page of all tenants' events.
    pub(crate) async fn verify(&self, page: &PageRequest) -> Result<Page<EventVerdict>> {
        let after = page.cursor.as_deref().map(position).transpose()?;
        let events = self
            .repository
            .events(SystemScope::new(), after, page.limit + 1)
            .await?;
        let events = page.cut(events, |(tenant, event)| format!("{tenant}/{event}"));
        let mut items = Vec::with_capacity(events.items.len());
        for (tenant, event) in events.items {
            items.extend(self.verify_event(tenant, event).await?);
        }
        Ok(Page {
            items,
            next: events.next,
        })
    }

    /// Verifies one event; `None` if it was deleted meanwhile.
    async fn verify_event(&self, tenant: TenantId, event: EventId) -> Result<Option<EventVerdict>> {
        let Some(counters) = self.repository.counters(&tenant, event).await? else {
            return Ok(None);
        };
        let difference = match counters_differ(&counters) {
            Some(difference) => Some(difference),
            None => self.ledger_differs(&tenant, &counters.inventory).await?,
        };
        let difference = match difference {
            Some(difference) => Some(difference),
            None => self.bookings_differ(&tenant, event).await?,
        };
        let difference = match difference {
            Some(difference) => Some(difference),
            None => {
                let is_found = self.repository.is_found(&tenant, event).await?;
                (is_found == Some(false))
                    .then(|| "it is not found by all its words and its organizer".to_owned())
            }
        };
        Ok(Some(EventVerdict {
            tenant,
            event,
            revision: counters.inventory.revision,
            sold: counters.inventory.sold,
            held: counters.inventory.held,
            difference,
        }))
    }

    /// Checks each booking with its cancellations, and that its number and its reference lead to it. Both hold at every moment.
    async fn bookings_differ(&self, tenant: &TenantId, event: EventId) -> Result<Option<String>> {
        let mut after: Option<BookingId> = None;
        loop {
            let page = self
                .repository
                .bookings(tenant, event, after, BOOKINGS_PAGE)
                .await?;
            if let Some(difference) = page.iter().find_map(history_differs) {
                return Ok(Some(difference));
            }
            if let Some(booking) = self.repository.without_number(tenant, &page).await? {
                return Ok(Some(format!(
                    "the number of booking {booking} does not lead to it"
                )));
            }
            if let Some(booking) = self.repository.without_reference(tenant, &page).await? {
                return Ok(Some(format!(
                    "the reference of booking {booking} does not lead to it"
                )));
            }
            if let Some(booking) = self.repository.without_claims(tenant, &page).await? {
                return Ok(Some(format!(
                    "what booking {booking} has claimed is not what its counters have of it"
                )));
            }
            if let Some(difference) = self.receipts_differ(tenant, &page).await? {
                return Ok(Some(difference));
            }
            after = page.last().map(|booking| booking.id);
            if page.len() < BOOKINGS_PAGE as usize {
                return Ok(None);
            }
        }
    }

    /// Reads the ledger up to the inventory's revision. Its rows never change, so pages are consistent.
    async fn ledger_differs(
        &self,
        tenant: &TenantId,
        inventory: &Inventory,
    ) -> Result<Option<String>> {
        let mut account = Account::default();
        while account.revision < inventory.revision {
            let reach = (account.revision, inventory.revision);
            let rows = self
                .repository
                .ledger(tenant, inventory.event, reach, LEDGER_PAGE)
                .await?;
            if rows.is_empty() {
                return Ok(Some(format!(
                    "the capacity ledger ends at revision {}, the inventory is at {}",
                    account.revision, inventory.revision
                )));
            }
            for row in &rows {
                if let Some(difference) = account.add(row) {
                    return Ok(Some(difference));
                }
            }
        }
        Ok(account.differs_from(inventory))
    }
}

/// The first inconsistency of a booking with its cancellations.
fn history_differs(booking: &Booking) -> Option<String> {
    let id = booking.id;
    let booked = booking.booked_lines.as_ref().unwrap_or(&booking.lines);
    for line in booked {
        let of_type = |other: &&BookingLine| other.ticket_type == line.ticket_type;
        let cancelled = booking.cancellations.iter().flat_map(|one| &one.lines);
        let cancelled: u64 = cancelled
            .filter(of_type)
            .map(|line| u64::from(line.quantity))
            .sum();
        if cancelled > u64::from(line.quantity) {
            return Some(format!(
                "booking {id} had {} tickets of type {}, of which {cancelled} were cancelled",
                line.quantity, line.ticket_type
            ));
        }
    }
    let mut cancellations = booking.cancellations.iter();
    if let Some(one) = cancellations.find(|one| one.refund_minor > total_of(&one.lines)) {
        return Some(format!(
            "booking {id} gives {} back for tickets that cost {}",
            one.refund_minor,
            total_of(&one.lines)
        ));
    }
    if let Some(difference) = refunds_differ(booking).or_else(|| numbers_differ(booking)) {
        return Some(difference);
    }
    let again = booking.as_of(booking.cancellations.len());
    let by_event = matches!(booking.cancelled, Some((CancelCause::Event, _)));
    let same_end = booking.cancelled == again.cancelled || by_event && again.cancelled.is_none();
    let same = (&again.lines, again.total_minor) == (&booking.lines, booking.total_minor);
    (!same || !same_end).then(|| {
        format!(
            "booking {id} has {} tickets at {}, but {} at {} are left of what was booked",
            booking.tickets(),
            booking.total_minor,
            again.tickets(),
            again.total_minor
        )
    })
}

/// The first cancellation with a wrong refund.
fn refunds_differ(booking: &Booking) -> Option<String> {
    let all = &booking.cancellations;
    all.iter().enumerate().find_map(|(index, one)| {
        let due = refund_of(&all[..index], &one.lines, one.refund_percent);
        (due != one.refund_minor).then(|| {
            format!(
                "booking {} gives {} back where {due} are due",
                booking.id, one.refund_minor
            )
        })
    })
}

/// The first cancellation with wrong ticket numbers: too many or few of a type, or one that was cancelled before.
fn numbers_differ(booking: &Booking) -> Option<String> {
    let booked = Booking {
        cancellations: Vec::new(),
        ..booking.clone()
    };
    let mut gone = HashSet::new();
    booking.cancellations.iter().find_map(|one| {
        let mut taken: BTreeMap<TicketTypeId, u32> = BTreeMap::new();
        for number in &one.numbers {
            let Some(ticket) = booked.ticket(*number).filter(|_| gone.insert(*number)) else {
                return Some(format!(
                    "booking {} had no ticket {number} to cancel",
                    booking.id
                ));
            };
            *taken.entry(ticket.ticket_type).or_default() += 1;
        }
        let lines = one.lines.iter();
        let lines: BTreeMap<TicketTypeId, u32> = lines
            .map(|line| (line.ticket_type.clone(), line.quantity))
            .collect();
        (lines != taken).then(|| {
            format!(
                "booking {} names {} tickets where {} were cancelled",
                booking.id,
                one.numbers.len(),
                one.tickets()
            )
        })
    })
}

/// The running sum of the ledger.
#[derive(Default)]
struct Account {
    revision: i64,
    sold: i64,
    held: i64,
    total: u32,
    types: BTreeMap<TicketTypeId, (i64, i64)>,
}

impl Account {
    /// Adds a row. Returns its first inconsistency with those before.
    fn add(&mut self, row: &CapacityEntry) -> Option<String> {
        let (revision, cause) = (row.revision, row.cause.as_str());
        if revision != self.revision + 1 {
            return Some(format!(
                "the capacity ledger has no row for revision {}",
                self.revision + 1
            ));
        }
        if (revision == 1) != (row.cause == CapacityCause::EventCreated) {
            return Some(format!(
                "revision {revision} of the capacity ledger is {cause}"
            ));
        }
        self.revision = revision;
        self.sold += row.sold_change;
        self.held += row.held_change;
        self.total = row.total;
        let (mut sold_change, mut held_change) = (0, 0);
        for one in &row.types {
            let (sold, held) = self.types.entry(one.ticket_type.clone()).or_default();
            *sold += one.sold_change;
            *held += one.held_change;
            sold_change += one.sold_change;
            held_change += one.held_change;
            if *sold < 0 || *held < 0 {
                let kind = &one.ticket_type;
                return Some(format!(
                    "after revision {revision} ({cause}) {sold} tickets of type {kind} are sold and {held} held"
                ));
            }
        }
        if (sold_change, held_change) != (row.sold_change, row.held_change) {
            return Some(format!(
                "revision {revision} ({cause}) changes sold by {} and held by {}, but its types by {sold_change} and {held_change}",
                row.sold_change, row.held_change
            ));
        }
        if (self.sold, self.held) != (i64::from(row.sold), i64::from(row.held)) {
            return Some(format!(
                "revision {revision} ({cause}) says sold {} and held {}, but the rows up to it add up to {} and {}",
                row.sold, row.held, self.sold, self.held
            ));
        }
        if self.sold + self.held > i64::from(row.total) {
            return Some(format!(
                "oversold at revision {revision} ({cause}): sold {} and held {} of {}",
                row.sold, row.held, row.total
            ));
        }
        None
    }

    fn differs_from(&self, inventory: &Inventory) -> Option<String> {
        let counters = (i64::from(inventory.sold), i64::from(inventory.held));
        if (self.sold, self.held, self.total) != (counters.0, counters.1, inventory.total) {
            return Some(format!(
                "the capacity ledger adds up to sold {}, held {} of {}; the inventory says sold {}, held {} of {}",
                self.sold, self.held, self.total, inventory.sold, inventory.held, inventory.total
            ));
        }
        for kind in &inventory.ticket_types {
            let known = self.types.get(&kind.id).copied().unwrap_or_default();
            if known != (i64::from(kind.sold), i64::from(kind.held)) {
                return Some(format!(
                    "the capacity ledger adds up to sold {}, held {} of type {}; the inventory says sold {}, held {}",
                    known.0, known.1, kind.id, kind.sold, kind.held
                ));
            }
        }
        let gone = |id: &TicketTypeId| !inventory.ticket_types.iter().any(|kind| kind.id == *id);
        let lost = self
            .types
            .iter()
            .find(|(id, counts)| gone(id) && **counts != (0, 0));
        lost.map(|(id, (sold, held))| {
            format!(
                "type {id} is gone, with {sold} tickets sold and {held} held in the capacity ledger"
            )
        })
    }
}

/// How an inventory contradicts itself or its bookings, if it does.
fn counters_differ(counters: &EventCounters) -> Option<String> {
    totals_differ(counters)
        .or_else(|| types_differ(counters))
        .or_else(|| holds_and_waiting_differ(counters))
        .or_else(|| {
            let types = &counters.inventory.ticket_types;
            let known = |id: &TicketTypeId| types.iter().any(|kind| kind.id == *id);
            let mut all = counters.booked.iter().chain(&counters.held);
            let stray = all.find(|(id, _)| !known(id));
            stray.map(|(id, tickets)| {
                format!(
                    "bookings or holds have {tickets} tickets of type {id}, which the event does not have"
                )
            })
        })
}

/// What the event as a whole counts, against its types and bookings.
fn totals_differ(counters: &EventCounters) -> Option<String> {
    let inventory = &counters.inventory;
    let sum = |count: fn(&TicketType) -> u32| -> u64 {
        let types = inventory.ticket_types.iter();
        types.map(|kind| u64::from(count(kind))).sum()
    };
    let taken = u64::from(inventory.sold) + u64::from(inventory.held);
    if taken > u64::from(inventory.total) {
        return Some(format!(
            "oversold: sold {} and held {} of {}",
            inventory.sold, inventory.held, inventory.total
        ));
    }
    let types = (sum(|kind| kind.sold), sum(|kind| kind.held));
    if types != (u64::from(inventory.sold), u64::from(inventory.held)) {
        return Some(format!(
            "the inventory says sold {} and held {}, its types together {} and {}",
            inventory.sold, inventory.held, types.0, types.1
        ));
    }
    (counters.bookings != inventory.bookings).then(|| {
        format!(
            "the inventory counts {} bookings, there are {}",
            inventory.bookings, counters.bookings
        )
    })
}

/// What each ticket type counts, against its bookings and holds.
fn types_differ(counters: &EventCounters) -> Option<String> {
    let types = &counters.inventory.ticket_types;
    let sold = types.iter().find_map(|kind| {
        if u64::from(kind.sold) + u64::from(kind.held) > u64::from(kind.capacity) {
            return Some(format!(
                "oversold: sold {} and held {} of {} of type {}",
                kind.sold, kind.held, kind.capacity, kind.id
            ));
        }
        let booked = tickets_of(&counters.booked, &kind.id);
        (booked != u64::from(kind.sold)).then(|| {
            format!(
                "the inventory says sold {} of type {}, its bookings have {booked}",
                kind.sold, kind.id
            )
        })
    });
    sold.or_else(|| {
        types.iter().find_map(|kind| {
            let held = tickets_of(&counters.held, &kind.id);
            (held != u64::from(kind.held)).then(|| {
                format!(
                    "the inventory says held {} of type {}, its open holds have {held}",
                    kind.held, kind.id
                )
            })
        })
    })
}

/// The notes about customers' holds and places on the waiting list, against these.
fn holds_and_waiting_differ(counters: &EventCounters) -> Option<String> {
    let (holds, notes) = counters.open_holds;
    if holds != notes {
        return Some(format!(
            "{holds} holds are open, and {notes} notes say that a customer has one"
        ));
    }
    let waiting = counters.inventory.waiting;
    let (entries, notes) = counters.waiting;
    ((entries, notes) != (u64::from(waiting), u64::from(waiting))).then(|| {
        format!(
            "the inventory says that {waiting} customers wait; the waiting list has {entries}, and {notes} notes say that one has a place"
        )
    })
}

fn tickets_of(sums: &[(TicketTypeId, u64)], id: &TicketTypeId) -> u64 {
    let found = sums.iter().find(|(known, _)| known == id);
    found.map_or(0, |(_, tickets)| *tickets)
}

/// Where the last page ended: `TENANT/EVENT`.
fn position(cursor: &str) -> Result<(TenantId, EventId)> {
    let parts = cursor
        .split_once('/')
        .ok_or_else(PageRequest::not_a_cursor)?;
    let parse = |_| PageRequest::not_a_cursor();
    Ok((
        TenantId::parse(parts.0).map_err(parse)?,
        parts.1.parse().map_err(parse)?,
    ))
}
