//! Orders: what one request gets of an event at which price, or why it is refused.
//!
//! Called by the planner of groups, the waiting list and offers. Pure.

use jiff::Timestamp;

use super::requests::RequestedBooking;
use crate::{
    error::{Error, ErrorCode, Fact, Result},
    types::{
        BookLine, Booking, BookingId, BookingLine, BookingNumber, EventStatus, Inventory, Label,
        TicketType,
    },
};

/// A new booking of these tickets, which has nothing else yet.
pub(super) fn confirmed(
    inventory: &Inventory,
    (id, number): (BookingId, BookingNumber),
    lines: Vec<BookingLine>,
    created_at: Timestamp,
) -> Booking {
    let sold_as = (inventory.currency.clone(), inventory.event_version);
    Booking::new((id, number), lines, sold_as, created_at)
}

/// The wanted tickets of an event.
pub(super) struct Wanted<'a> {
    pub(super) lines: &'a [BookLine],
    /// The prices after the policies, for each line.
    pub(super) unit_prices_minor: Option<&'a [u32]>,
    pub(super) expected_total_minor: Option<u64>,
    /// Whether it costs nothing, whatever the prices are.
    pub(super) is_complimentary: bool,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(request: &'a RequestedBooking) -> Self {
        let decision = request.decision.as_ref();
        Self {
            lines: &request.lines,
            unit_prices_minor: decision.map(|decision| decision.unit_prices_minor.as_slice()),
            expected_total_minor: request.expected_total_minor,
            is_complimentary: request.is_complimentary(),
        }
    }
}

/// What a request gets, and at which price.
pub(super) struct Order {
    pub(super) lines: Vec<BookingLine>,
    pub(super) total_minor: u64,
    /// When the first sale of its types ends.
    pub(super) sales_close_at: Timestamp,
}

/// Decides about one request on a snapshot of the inventory: what it gets, or why not.
pub(super) fn order(inventory: &Inventory, request: &Wanted<'_>, now: Timestamp) -> Result<Order> {
    on_sale(inventory)?;
    let mut order = Order {
        lines: Vec::with_capacity(request.lines.len()),
        total_minor: 0,
        sales_close_at: Timestamp::MAX,
    };
    let mut wanted: u32 = 0;
    for (index, line) in request.lines.iter().enumerate() {
        let kind = line.ticket_type_of(index, &inventory.ticket_types)?;
        // A line may leave its type open: only here two lines can be seen to mean the same.
        if order.lines.iter().any(|line| line.ticket_type == kind.id) {
            return Err(Error::field(
                format!("lines[{index}].ticketType"),
                "Each ticket type may be in one line only.",
            ));
        }
        let closes_at = check_sales(kind, inventory, now)?;
        order.sales_close_at = order.sales_close_at.min(closes_at);
        check_quantity(kind, inventory, (index, line.quantity))?;
        // Quantities are at most 10,000 each in 10 lines and prices u32: sums stay far within u64.
        wanted = wanted.saturating_add(line.quantity);
        let unit_price_minor = request
            .unit_prices_minor
            .and_then(|prices| prices.get(index).copied())
            .unwrap_or(kind.price_minor);
        let unit_price_minor = match request.is_complimentary {
            true => 0,
            false => unit_price_minor,
        };
        order.total_minor += u64::from(unit_price_minor) * u64::from(line.quantity);
        order.lines.push(BookingLine {
            ticket_type: kind.id.clone(),
            quantity: line.quantity,
            unit_price_minor,
        });
    }
    if wanted > inventory.available() {
        return Err(not_enough(inventory.available()));
    }
    as_expected(
        request.expected_total_minor,
        order.total_minor,
        &inventory.currency,
    )?;
    Ok(order)
}

/// Refuses tickets beyond what one customer may have of the event. `has` is what they booked and hold; complimentary tickets are not
/// refused.
///
/// # Errors
/// `customer-limit`.
pub(super) fn require_within_customer_limit(
    inventory: &Inventory,
    (has, wanted): (u32, u32),
    is_complimentary: bool,
) -> Result<()> {
    match inventory.max_tickets_per_customer {
        Some(max) if has.saturating_add(wanted) > max && !is_complimentary => {
            let detail = format!(
                "One customer may have at most {max} tickets of this event: {has} are booked or held, and {wanted} are wanted."
            );
            Err(Error::new(ErrorCode::CustomerLimit, detail))
        }
        _ => Ok(()),
    }
}

/// The tickets of some lines together.
pub(super) fn tickets_in(lines: &[BookingLine]) -> u32 {
    // At most 10 lines of 10,000.
    lines.iter().map(|line| line.quantity).sum()
}

/// Refuses a type that is not sold now. Returns when its sale ends.
fn check_sales(kind: &TicketType, inventory: &Inventory, now: Timestamp) -> Result<Timestamp> {
    if let Some(open) = kind.sales_open_at.filter(|open| now < *open) {
        let detail = format!("Sales begin at {open}.");
        return Err(Error::new(ErrorCode::SalesNotOpen, detail).with(Fact::OpensAt(open)));
    }
    let closes_at = kind.sales_close_at.unwrap_or(inventory.starts_at);
    if now >= closes_at {
        let detail = format!("Sales ended at {closes_at}.");
        return Err(Error::new(ErrorCode::SalesClosed, detail).with(Fact::ClosedAt(closes_at)));
    }
    Ok(closes_at)
}

/// Refuses the quantity of the line at `index` that one booking may not have, or that is not left of its type.
fn check_quantity(
    kind: &TicketType,
    inventory: &Inventory,
    (index, quantity): (usize, u32),
) -> Result<()> {
    if quantity < kind.min_per_booking || quantity > kind.max_per_booking {
        return Err(Error::field(
            format!("lines[{index}].quantity"),
            format!(
                "One booking has {} to {} of these tickets.",
                kind.min_per_booking, kind.max_per_booking
            ),
        ));
    }
    let free = kind.available();
    match quantity > free {
        true => {
            let left = free.min(inventory.available());
            Err(not_enough_of(kind, inventory, left))
        }
        false => Ok(()),
    }
}

/// Refuses a total that differs from the expected one, if the request has one.
pub(super) fn as_expected(
    expected_total_minor: Option<u64>,
    total_minor: u64,
    currency: &str,
) -> Result<()> {
    match expected_total_minor {
        Some(expected) if expected != total_minor => Err(price_changed(total_minor, currency)),
        _ => Ok(()),
    }
}

pub(super) fn price_changed(total_minor: u64, currency: &str) -> Error {
    Error::new(
        ErrorCode::PriceChanged,
        format!("The total is {total_minor} in minor units of {currency} now."),
    )
    .with(Fact::TotalMinor(total_minor))
}

/// The error for a draft.
pub(crate) fn not_published() -> Error {
    Error::new(
        ErrorCode::EventNotPublished,
        "This event is not on sale yet.",
    )
}

/// Refuses unless the event can be booked.
pub(super) fn on_sale(inventory: &Inventory) -> Result<()> {
    match inventory.status {
        EventStatus::Published => Ok(()),
        EventStatus::Draft => Err(not_published()),
        EventStatus::Cancelled => Err(Error::new(
            ErrorCode::EventCancelled,
            "This event was cancelled.",
        )),
    }
}

/// Too few of one type: with several on sale, the error names it. Only those who may see it are told how many are left.
pub(super) fn not_enough_of(kind: &TicketType, inventory: &Inventory, left: u32) -> Error {
    if inventory.ticket_types.len() == 1 || inventory.available() == 0 {
        return not_enough(left);
    }
    let name = &kind.name;
    let (told, counted) = match left {
        0 => (format!("{name} is sold out."), None),
        1 => (
            too_few(name),
            Some(format!("Only 1 ticket of {name} is left.")),
        ),
        left => (
            too_few(name),
            Some(format!("Only {left} tickets of {name} are left.")),
        ),
    };
    refused(left, told, counted)
}

pub(super) fn not_enough(left: u32) -> Error {
    let too_few = || "There are not that many tickets left.".to_owned();
    let (told, counted) = match left {
        0 => ("The event is sold out.".to_owned(), None),
        1 => (too_few(), Some("Only 1 ticket is left.".to_owned())),
        left => (too_few(), Some(format!("Only {left} tickets are left."))),
    };
    refused(left, told, counted)
}

fn too_few(name: &Label) -> String {
    format!("There are not that many tickets of {name} left.")
}

fn refused(left: u32, told: String, counted: Option<String>) -> Error {
    let counted = counted.unwrap_or_else(|| told.clone());
    Error::new(ErrorCode::NotEnoughTickets, told).hiding_left(left, counted)
}
