//! Use cases of imports, with their permissions.
//!
//! Called by hosts and platforms. Calls the idempotency, users and bookings modules.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, ErrorKind, Result},
    modules::{
        BookingIntent, ImportedBooking, Placement, RequestedBooking, RequestedDetails,
        imported_request, imports,
    },
    types::{
        BookingDetails, BookingId, Caller, EventId, ImportBookings, ImportOutcome, ImportReport,
        ImportRow, ImportedTickets, Inventory, KeyedRequest, RecordedAnswer, Role, Sale,
        SalesChannel, Scope, Seller, TenantId, TicketTypeId, UserId,
    },
};

/// Rows of a request that wait in event queues at a time: two groups. Ordinary sales of the event wait for no more of them.
const PLACED_AT_ONCE: usize = 256;
/// Check-ins of rows that wait at a time: each is a row in the store.
const CHECK_INS_AT_ONCE: u32 = 2_000;

/// Use cases of imports.
#[derive(Clone)]
pub struct Imports(pub(crate) Arc<EngineContext>);

/// A row that nothing speaks against so far.
struct Checked {
    index: usize,
    keyed: KeyedRequest,
    ticket_type: TicketTypeId,
}

impl Imports {
    /// Imports bookings of another system. Capacity, ticket types and references are checked; sales windows, limits per
    /// booking and policies are not. Price, times and check-ins are kept. Repeating a request imports nothing twice: rows are known
    /// by their `reference`. For the tenant's owners and trusted code.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for too many rows. Faults of single rows stand in the report. After any other error
    /// some rows may be imported: repeat the request.
    pub async fn import(&self, caller: &Caller, command: ImportBookings) -> Result<ImportReport> {
        let seller = match (caller.user_id(), caller.api_key_id()) {
            (Some(user), _) => Seller::User(user),
            (None, Some(key)) => Seller::ApiKey(key),
            (None, None) => Seller::Platform,
        };
        let caller = &caller.scoped(Scope::Imports)?;
        caller.require_any(&[Role::Owner], "Only the tenant's owners import bookings.")?;
        command.validate()?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?.id;
        let import = Import {
            context: &self.0,
            tenant: &tenant,
            seller,
            now: self.0.context.now(),
            command: &command,
        };
        import.run().await
    }
}

/// An import on its way.
struct Import<'a> {
    context: &'a EngineContext,
    tenant: &'a TenantId,
    seller: Seller,
    now: Timestamp,
    command: &'a ImportBookings,
}

impl Import<'_> {
    async fn run(&self) -> Result<ImportReport> {
        let rows = &self.command.rows;
        let mut outcomes: BTreeMap<usize, ImportOutcome> = BTreeMap::new();
        let keyed = self.keyed(&mut outcomes).await?;
        let inventories = self.inventories().await?;
        let mut checked = Vec::with_capacity(keyed.len());
        for (index, keyed) in keyed {
            match self.type_of(&rows[index], &inventories) {
                Ok(ticket_type) => checked.push(Checked {
                    index,
                    keyed,
                    ticket_type,
                }),
                Err(fault) => drop(outcomes.insert(index, ImportOutcome::Faulty(fault))),
            }
        }
        let wanted = checked.iter().map(|one| &rows[one.index].customer);
        let wanted: Vec<_> = wanted.collect();
        let users = &self.context.modules.users;
        let customers = users.customers_of_import(self.tenant, &wanted, self.command.dry_run);
        let mut buyers = HashMap::new();
        for (one, customer) in checked.iter().zip(customers.await?) {
            match customer {
                Ok(customer) => drop(buyers.insert(one.index, customer)),
                Err(fault) => drop(outcomes.insert(one.index, ImportOutcome::Faulty(fault))),
            }
        }
        checked.retain(|one| buyers.contains_key(&one.index));
        let taken = match self.command.dry_run {
            true => self.try_out(&checked, inventories, &mut outcomes),
            false => {
                let mut known: Vec<(Checked, UserId)> = Vec::with_capacity(checked.len());
                for one in checked {
                    let buyer = buyers.get(&one.index).copied().flatten();
                    let buyer = buyer.ok_or_else(|| Error::internal("a row has no customer"))?;
                    known.push((one, buyer));
                }
                self.place(known, &mut outcomes).await?;
                Vec::new()
            }
        };
        Ok(ImportReport {
            rows: outcomes.into_values().collect(),
            taken,
        })
    }

    /// The rows that were not imported before, with their references.
    async fn keyed(
        &self,
        outcomes: &mut BTreeMap<usize, ImportOutcome>,
    ) -> Result<Vec<(usize, KeyedRequest)>> {
        let mut keyed = Vec::with_capacity(self.command.rows.len());
        for (index, row) in self.command.rows.iter().enumerate() {
            match row.key(self.now) {
                Ok(key) => keyed.push((index, imported_request(key, &json!(row)))),
                Err(fault) => drop(outcomes.insert(index, ImportOutcome::Faulty(fault))),
            }
        }
        let keys: Vec<_> = keyed.iter().map(|(_, keyed)| keyed.key.clone()).collect();
        let idempotency = &self.context.modules.idempotency;
        let recorded = idempotency.recorded(self.tenant, &keys).await?;
        let mut first_of = HashMap::new();
        let mut new = Vec::with_capacity(keyed.len());
        for (index, keyed) in keyed {
            let Some(recorded) = recorded.get(&keyed.key) else {
                // A dry run records nothing, so it compares the rows of one request itself.
                let hash = keyed.hash.clone();
                let first = first_of.entry(keyed.key.clone()).or_insert(hash);
                match self.command.dry_run && *first != keyed.hash {
                    true => drop(outcomes.insert(index, ImportOutcome::Faulty(other_row()))),
                    false => new.push((index, keyed)),
                }
                continue;
            };
            let outcome = match keyed.answer_of(recorded) {
                Ok(RecordedAnswer::Booking { booking, .. }) => ImportOutcome::Present(booking),
                Ok(_) => return Err(Error::internal("an import is recorded as something else")),
                Err(_) => ImportOutcome::Faulty(other_row()),
            };
            outcomes.insert(index, outcome);
        }
        Ok(new)
    }

    async fn inventories(&self) -> Result<HashMap<EventId, Inventory>> {
        let rows = self.command.rows.iter().map(|row| row.event);
        let mut events: Vec<EventId> = rows.collect();
        events.sort_unstable();
        events.dedup();
        let bookings = &self.context.modules.bookings;
        bookings.inventories(self.tenant, &events).await
    }

    fn type_of(
        &self,
        row: &ImportRow,
        inventories: &HashMap<EventId, Inventory>,
    ) -> Result<TicketTypeId> {
        let none = || Error::field("eventId", "The tenant has no event with this id.");
        let inventory = inventories.get(&row.event).ok_or_else(none)?;
        let kind = imports::type_of_row(inventory, row.ticket_type.as_ref())?;
        Ok(kind.id.clone())
    }

    /// Takes the rows' tickets in thought. Returns what they take, and what earlier requests took.
    fn try_out(
        &self,
        checked: &[Checked],
        mut inventories: HashMap<EventId, Inventory>,
        outcomes: &mut BTreeMap<usize, ImportOutcome>,
    ) -> Vec<ImportedTickets> {
        let mut taken: BTreeMap<(EventId, TicketTypeId), u32> = BTreeMap::new();
        for tickets in &self.command.taken {
            if let Some(inventory) = inventories.get_mut(&tickets.event) {
                *inventory = imports::take_before(inventory, tickets);
            }
            let key = (tickets.event, tickets.ticket_type.clone());
            let sum: &mut u32 = taken.entry(key).or_default();
            *sum = sum.saturating_add(tickets.quantity);
        }
        let mut seen = HashMap::new();
        for one in checked {
            let row = &self.command.rows[one.index];
            let is_second = seen.insert(one.keyed.key.clone(), ()).is_some();
            let Some(inventory) = inventories.get_mut(&row.event).filter(|_| !is_second) else {
                outcomes.insert(one.index, ImportOutcome::Valid);
                continue;
            };
            let outcome = match imports::take(inventory, &one.ticket_type, row.quantity) {
                Ok(after) => {
                    *inventory = after;
                    let key = (row.event, one.ticket_type.clone());
                    let sum: &mut u32 = taken.entry(key).or_default();
                    *sum = sum.saturating_add(row.quantity);
                    ImportOutcome::Valid
                }
                // Who imports knows the books.
                Err(fault) => ImportOutcome::Faulty(fault.telling_left()),
            };
            outcomes.insert(one.index, outcome);
        }
        let taken = taken.into_iter();
        taken
            .map(|((event, ticket_type), quantity)| ImportedTickets {
                event,
                ticket_type,
                quantity,
            })
            .collect()
    }

    /// Books the rows, some at a time.
    async fn place(
        &self,
        mut rows: Vec<(Checked, UserId)>,
        outcomes: &mut BTreeMap<usize, ImportOutcome>,
    ) -> Result<()> {
        while !rows.is_empty() {
            let some = rows.split_off(rows.len() - self.at_once(&rows));
            let placed = some.into_iter().map(|(one, customer)| async move {
                let (index, idempotency) = (one.index, one.keyed.idempotency.clone());
                let request = self.request(one, customer);
                let bookings = &self.context.modules.bookings;
                let placed = bookings.place(self.tenant, request).await;
                (index, placed, idempotency.is_replayed())
            });
            for (index, placed, was_present) in join_all(placed).await {
                let outcome = match placed {
                    Ok(Placement::Booked(booking)) => imported(booking.id, was_present),
                    Ok(other) => {
                        return Err(Error::internal(format!("an import ended as {other:?}")));
                    }
                    Err(error) if error.code() == ErrorCode::IdempotencyKeyReused => {
                        ImportOutcome::Faulty(other_row())
                    }
                    Err(error) if is_of_row(&error) => ImportOutcome::Faulty(error.telling_left()),
                    Err(error) => return Err(error),
                };
                outcomes.insert(index, outcome);
            }
        }
        Ok(())
    }

    /// How many of the last rows are booked at a time.
    fn at_once(&self, rows: &[(Checked, UserId)]) -> usize {
        let mut check_ins = 0;
        let some = rows
            .iter()
            .rev()
            .take(PLACED_AT_ONCE)
            .take_while(|(one, _)| {
                let row = &self.command.rows[one.index];
                check_ins += row.checked_in_at.map_or(0, |_| row.quantity);
                check_ins <= CHECK_INS_AT_ONCE
            });
        some.count().max(1)
    }

    fn request(&self, one: Checked, customer: UserId) -> RequestedBooking {
        let row = &self.command.rows[one.index];
        RequestedBooking {
            lines: vec![row.line(one.ticket_type)],
            idempotency: Some(one.keyed),
            sale: Some(Box::new(Sale {
                channel: SalesChannel::Imported,
                seller: Some(self.seller),
                complimentary: None,
            })),
            import: Some(Box::new(ImportedBooking {
                unit_price_minor: row.unit_price_minor,
                booked_at: row.booked_at,
                checked_in_at: row.checked_in_at,
                sends_mail: self.command.sends_mails,
            })),
            details: RequestedDetails::ready(Some(Box::new(BookingDetails {
                reference: Some(row.reference.clone()),
                metadata: row.metadata.clone(),
                ..BookingDetails::default()
            }))),
            ..RequestedBooking::new(customer, row.event, BookingIntent::Import)
        }
    }
}

fn imported(booking: BookingId, was_present: bool) -> ImportOutcome {
    match was_present {
        true => ImportOutcome::Present(booking),
        false => ImportOutcome::Created(booking),
    }
}

/// Returns whether an error is the row's own, and repeating the request changes nothing about it.
fn is_of_row(error: &Error) -> bool {
    let is_conflict = error.kind() == ErrorKind::Conflict;
    let is_race = matches!(
        error.code(),
        ErrorCode::ConflictTryAgain | ErrorCode::OutcomeUnknown
    );
    let is_own = matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound);
    (is_conflict && !is_race) || is_own
}

fn other_row() -> Error {
    Error::field(
        "reference",
        "Another row has this reference: its content differs.",
    )
}
