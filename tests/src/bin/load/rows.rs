//! The rows of a group of bookings in the shapes that the engine gives them (`repositories/models`), for `ceiling`.

use jiff::Timestamp;
use surrealdb::types::{Array, RecordId, RecordIdKey, SurrealValue, Value};

/// The statements of the engine's `insert_group`, for a group without keys, holds and plugins.
pub(crate) const TRANSACTION: &str = "BEGIN;
IF (UPDATE $inventory CONTENT $next WHERE revision = $seen RETURN VALUE revision) = [] { THROW 'inventory-moved' };
INSERT INTO capacity_ledger $ledger RETURN NONE;
INSERT INTO booking $bookings RETURN NONE;
INSERT INTO booking_numbers $numbers RETURN NONE;
INSERT INTO customer_booking $lists RETURN NONE;
INSERT INTO delivery_batch $batches RETURN NONE;
INSERT IGNORE INTO outbox $owed RETURN NONE;
COMMIT;";

/// Bookings whose confirmations share a batch of deliveries and an outbox row.
const BATCH: usize = 32;
const TOTAL: u32 = 10_000_000;

/// The variables of [`TRANSACTION`].
#[derive(SurrealValue)]
pub(crate) struct Group {
    inventory: RecordId,
    next: InventoryRow,
    seen: i64,
    ledger: LedgerRow,
    bookings: Vec<BookingRow>,
    numbers: NumbersRow,
    lists: Vec<ListRow>,
    batches: Vec<DeliveryBatchRow>,
    owed: Vec<OwedRow>,
}

#[derive(SurrealValue)]
pub(crate) struct InventoryRow {
    id: RecordId,
    revision: i64,
    status: String,
    event_version: u64,
    starts_at: i64,
    currency: String,
    total: u32,
    sold: u32,
    held: u32,
    waiting: u32,
    bookings: u64,
    ticket_types: Vec<TypeRow>,
}

#[derive(SurrealValue)]
struct TypeRow {
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
    ever_taken: bool,
}

#[derive(SurrealValue)]
struct LedgerRow {
    id: RecordId,
    change: String,
    attempt: u32,
    cause: String,
    sold_change: i64,
    held_change: i64,
    types: Vec<TypeChangeRow>,
    sold: u32,
    held: u32,
    total: u32,
    at: i64,
}

#[derive(SurrealValue)]
struct TypeChangeRow {
    id: String,
    sold_change: i64,
    held_change: i64,
}

#[derive(SurrealValue)]
struct BookingRow {
    id: RecordId,
    number: i64,
    lines: Vec<LineRow>,
    total_minor: u64,
    currency: String,
    event_version: u64,
    created_at: i64,
    cancelled_by: Option<String>,
    cancelled_at: Option<i64>,
    checked_in: Option<Vec<u32>>,
}

#[derive(SurrealValue)]
struct NumbersRow {
    id: RecordId,
    event: String,
    bookings: Vec<String>,
}

#[derive(SurrealValue)]
struct LineRow {
    ticket_type: String,
    quantity: u32,
    unit_price_minor: u32,
}

#[derive(SurrealValue)]
struct ListRow {
    id: RecordId,
    event: String,
}

#[derive(SurrealValue)]
struct DeliveryBatchRow {
    id: RecordId,
    kind: String,
    event: String,
    created_at: i64,
    recipients: String,
    revision: i64,
    states: String,
    notes: Option<String>,
    claim: Option<String>,
    claims: u32,
}

#[derive(SurrealValue)]
struct OwedRow {
    id: RecordId,
    lane: String,
    published: bool,
}

impl Group {
    /// What the group writes that makes the revision after this one: one booking each of so many customers.
    pub(crate) fn of(event: &str, revision: usize, size: usize) -> Self {
        let (now, before) = (Timestamp::now().as_millisecond(), revision * size);
        let next = InventoryRow::of(event, revision + 1, before + size);
        // Events share no notification.
        let notification = format!("{}{}", &event[20..], &name('n', revision)[6..]);
        let change = LedgerRow {
            id: next.ledger(),
            change: name('c', revision),
            attempt: 0,
            cause: "booked".to_owned(),
            sold_change: size as i64,
            held_change: 0,
            types: vec![TypeChangeRow {
                id: "general".to_owned(),
                sold_change: size as i64,
                held_change: 0,
            }],
            sold: next.sold,
            held: 0,
            total: TOTAL,
            at: now,
        };
        let paths: Vec<(String, String)> = (0..size)
            .map(|member| (name('u', member), serial(event, before + member)))
            .collect();
        let booking = |(customer, serial): &(String, String)| BookingRow {
            id: record("booking", [text(event), text(customer), text(serial)]),
            number: now,
            lines: vec![LineRow {
                ticket_type: "general".to_owned(),
                quantity: 1,
                unit_price_minor: 0,
            }],
            total_minor: 0,
            currency: "EUR".to_owned(),
            event_version: 1,
            created_at: now,
            cancelled_by: None,
            cancelled_at: None,
            checked_in: None,
        };
        let list = |(customer, serial): &(String, String)| ListRow {
            id: record("customer_booking", [text(customer), text(serial)]),
            event: event.to_owned(),
        };
        let batches = (0_i64..).zip(paths.chunks(BATCH));
        let batch = |(number, paths): (i64, &[(String, String)])| DeliveryBatchRow {
            id: record(
                "delivery_batch",
                [text(&notification), Value::from_t(number)],
            ),
            kind: "booking-confirmed".to_owned(),
            event: event.to_owned(),
            created_at: now,
            recipients: recipients(paths),
            revision: 0,
            states: "q".repeat(paths.len()),
            notes: None,
            claim: None,
            claims: 0,
        };
        let owed = |(number, _): (i64, &[(String, String)])| OwedRow {
            id: RecordId::new(
                "outbox",
                RecordIdKey::Array(Array::from(vec![
                    Value::from_t(now),
                    text("north"),
                    text(&notification),
                    Value::from_t(number),
                ])),
            ),
            lane: "transactional".to_owned(),
            published: false,
        };
        Self {
            inventory: next.id.clone(),
            seen: revision as i64,
            ledger: change,
            bookings: paths.iter().map(booking).collect(),
            numbers: NumbersRow {
                id: record(
                    "booking_numbers",
                    [text(event), Value::from_t(revision as i64)],
                ),
                event: event.to_owned(),
                bookings: paths
                    .iter()
                    .map(|(customer, serial)| format!("{customer}{serial}"))
                    .collect(),
            },
            lists: paths.iter().map(list).collect(),
            batches: batches.clone().map(batch).collect(),
            owed: batches.map(owed).collect(),
            next,
        }
    }
}

impl InventoryRow {
    pub(crate) fn of(event: &str, revision: usize, sold: usize) -> Self {
        Self {
            id: record("inventory", [text(event)]),
            revision: revision as i64,
            status: "published".to_owned(),
            event_version: 1,
            starts_at: 4_102_426_800_000,
            currency: "EUR".to_owned(),
            total: TOTAL,
            sold: sold as u32,
            held: 0,
            waiting: 0,
            bookings: sold as u64,
            ticket_types: vec![TypeRow {
                id: "general".to_owned(),
                name: "General".to_owned(),
                capacity: TOTAL,
                sold: sold as u32,
                held: 0,
                price_minor: 0,
                sales_open_at: None,
                sales_close_at: None,
                min_per_booking: 1,
                max_per_booking: 100,
                ever_taken: true,
            }],
        }
    }

    /// The key of the ledger's row of this revision.
    fn ledger(&self) -> RecordId {
        let RecordIdKey::Array(parts) = &self.id.key else {
            unreachable!("made above as an array")
        };
        let mut parts = parts.clone();
        parts.push(Value::from_t(self.revision));
        RecordId::new("capacity_ledger", RecordIdKey::Array(parts))
    }
}

/// A name as long as a ULID's text, in the order of the numbers.
pub(crate) fn name(kind: char, number: usize) -> String {
    format!("01{kind}{number:023}")
}

/// The serial of an event's booking: the same customers book all events, and no two of their bookings may have the same.
fn serial(event: &str, number: usize) -> String {
    format!("01s{}{number:019}", &event[22..])
}

fn recipients(paths: &[(String, String)]) -> String {
    let recipients = paths
        .iter()
        .map(|(customer, serial)| format!("{customer}.{serial}"));
    recipients.collect::<Vec<_>>().join(" ")
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// A record id of a tenant.
fn record<const N: usize>(table: &str, key: [Value; N]) -> RecordId {
    let parts: Vec<Value> = [text("north")].into_iter().chain(key).collect();
    RecordId::new(table, RecordIdKey::Array(Array::from(parts)))
}
