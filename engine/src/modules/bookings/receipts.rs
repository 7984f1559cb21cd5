//! Which steps of bookings make receipts and credit notes due. They are numbered afterwards.
//!
//! Called by the planner, cancellations and housekeeping. Pure.

use jiff::Timestamp;
use ulid::Ulid;

use crate::{
    modules::repositories::DueReceipts,
    types::{Booking, BookingLine, ReceiptId, ReceiptKind, ReceiptRule, TicketType},
};

/// Lets a new booking have a receipt, if the tenant's rule says so: the tax rates are those of now.
pub(super) fn add_receipt(booking: &mut Booking, rule: ReceiptRule, types: &[TicketType]) {
    if rule.takes(booking.total_minor) {
        let rate_of = |line: &BookingLine| {
            let kind = types.iter().find(|kind| kind.id == line.ticket_type);
            kind.and_then(|kind| kind.tax_basis_points)
        };
        booking.receipt_taxes = Some(booking.lines.iter().map(rate_of).collect());
    }
}

/// The receipts of those new bookings that have one.
pub(super) fn receipts_of(
    bookings: &[Booking],
    step: Ulid,
    due_at: Timestamp,
) -> Option<DueReceipts> {
    let bookings = bookings.iter();
    let with = bookings.filter(|booking| booking.receipt_taxes.is_some());
    let receipts: Vec<_> = with.map(|booking| ReceiptId::of(booking.id)).collect();
    (!receipts.is_empty()).then_some(DueReceipts {
        step,
        due_at,
        kind: ReceiptKind::Receipt,
        receipts,
    })
}

/// The credit note of a booking's last cancellation, if it gives something back and the booking has a receipt.
pub(super) fn credit_note(booking: &Booking, step: Ulid) -> Option<DueReceipts> {
    let last = booking.cancellations.last()?;
    let is_due = booking.receipt_taxes.is_some() && last.refund_minor > 0;
    is_due.then(|| DueReceipts {
        step,
        // No earlier than its receipt, whatever the clocks of hosts say.
        due_at: last.at.max(booking.created_at),
        kind: ReceiptKind::CreditNote,
        receipts: vec![ReceiptId {
            booking: booking.id,
            index: last_index(booking),
        }],
    })
}

/// The credit notes of bookings that end with their event, which are not written as cancelled yet.
pub(in crate::modules) fn end_of_event<'a>(
    bookings: impl Iterator<Item = &'a Booking>,
    step: Ulid,
    now: Timestamp,
) -> Option<DueReceipts> {
    let is_due = |booking: &&Booking| booking.receipt_taxes.is_some() && booking.total_minor > 0;
    let (mut due_at, mut receipts) = (now, Vec::new());
    for booking in bookings.filter(is_due) {
        // No earlier than their receipts.
        due_at = due_at.max(booking.created_at);
        receipts.push(ReceiptId {
            booking: booking.id,
            index: last_index(booking) + 1,
        });
    }
    (!receipts.is_empty()).then_some(DueReceipts {
        step,
        due_at,
        kind: ReceiptKind::CreditNote,
        receipts,
    })
}

/// The number of a booking's last cancellation.
fn last_index(booking: &Booking) -> u32 {
    // A booking has at most a hundred.
    u32::try_from(booking.cancellations.len()).unwrap_or(u32::MAX)
}
