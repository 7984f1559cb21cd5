//! The amounts of receipts and credit notes: lines, total, and the taxes in it.
//!
//! Taxes are inclusive and rounded on the running total of a booking and rate: what is given back is taxed up to and with a
//! cancellation, less what was taxed before. However a booking is cancelled, the taxes of its parts add up to those of the whole.
//! Called by the receipts module and by verification. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::types::{Booking, BookingLine, CancelCause, ReceiptTax, TicketTypeId, total_of};

/// A line with what was paid for it, or is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::modules) struct TaxedLine {
    pub(in crate::modules) line: BookingLine,
    pub(in crate::modules) total_minor: u64,
    pub(in crate::modules) tax_basis_points: Option<u32>,
}

/// What a receipt or credit note amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::modules) struct Amounts {
    pub(in crate::modules) lines: Vec<TaxedLine>,
    pub(in crate::modules) total_minor: u64,
    pub(in crate::modules) taxes: Vec<ReceiptTax>,
    /// When the tickets were cancelled, if it is a credit note.
    pub(in crate::modules) cancelled_at: Option<Timestamp>,
}

/// Tickets that were cancelled together, and what is given back for them.
struct Step<'a> {
    lines: &'a [BookingLine],
    refund_minor: u64,
    at: Timestamp,
}

/// Amounts by tax rate.
type ByRate = BTreeMap<u32, u64>;

/// The indexes of a booking's receipt and credit notes, in order: none without a receipt.
pub(in crate::modules) fn indexes(booking: &Booking) -> Vec<u32> {
    if booking.receipt_taxes.is_none() {
        return Vec::new();
    }
    let steps = steps(booking).into_iter().zip(1..);
    let with_refund = steps.filter(|(step, _)| step.refund_minor > 0);
    let notes = with_refund.map(|(_, index)| index);
    std::iter::once(0).chain(notes).collect()
}

/// What a booking's receipt of an index amounts to; `None` if it has none.
pub(in crate::modules) fn amounts(booking: &Booking, index: u32) -> Option<Amounts> {
    let rates = rates(booking)?;
    let booked = booking.lines_as_booked();
    let Some(number) = usize::try_from(index).ok()?.checked_sub(1) else {
        let lines = taxed(booked, total_of(booked), &rates);
        return Some(of_lines(lines, &ByRate::new(), None));
    };
    let steps = steps(booking);
    let step = steps.get(number)?;
    let mut before = ByRate::new();
    for earlier in &steps[..number] {
        for line in taxed(earlier.lines, earlier.refund_minor, &rates) {
            add(&mut before, &line);
        }
    }
    let lines = taxed(step.lines, step.refund_minor, &rates);
    Some(of_lines(lines, &before, Some(step.at)))
}

/// The tax rates of a booking's ticket types.
fn rates(booking: &Booking) -> Option<BTreeMap<&TicketTypeId, Option<u32>>> {
    let rates = booking.receipt_taxes.as_ref()?.iter().copied();
    let types = booking.lines_as_booked().iter();
    Some(types.map(|line| &line.ticket_type).zip(rates).collect())
}

/// A booking's cancellations, and its end with its event, in order.
fn steps(booking: &Booking) -> Vec<Step<'_>> {
    let own = booking.cancellations.iter().map(|one| Step {
        lines: &one.lines,
        refund_minor: one.refund_minor,
        at: one.at,
    });
    let mut steps: Vec<_> = own.collect();
    if let Some((CancelCause::Event, at)) = booking.cancelled {
        steps.push(Step {
            lines: &booking.lines,
            refund_minor: booking.total_minor,
            at,
        });
    }
    steps
}

/// Lines with their shares of an amount, in proportion to their prices: each is what the running total grows by.
fn taxed(
    lines: &[BookingLine],
    amount: u64,
    rates: &BTreeMap<&TicketTypeId, Option<u32>>,
) -> Vec<TaxedLine> {
    let whole = u128::from(total_of(lines)).max(1);
    let (mut price, mut shared) = (0_u128, 0_u64);
    let shares = lines.iter().map(|line| {
        price += u128::from(total_of(std::slice::from_ref(line)));
        // At most the amount, which fits.
        let until = u128::from(amount) * price / whole;
        let until = u64::try_from(until).unwrap_or(amount);
        let total_minor = until - shared;
        shared = until;
        TaxedLine {
            line: line.clone(),
            total_minor,
            tax_basis_points: rates.get(&line.ticket_type).copied().flatten(),
        }
    });
    shares.collect()
}

fn add(sums: &mut ByRate, line: &TaxedLine) {
    if let Some(rate) = line.tax_basis_points {
        *sums.entry(rate).or_default() += line.total_minor;
    }
}

fn of_lines(lines: Vec<TaxedLine>, before: &ByRate, cancelled_at: Option<Timestamp>) -> Amounts {
    let mut sums = ByRate::new();
    for line in &lines {
        add(&mut sums, line);
    }
    let with_amount = sums.into_iter().filter(|(_, gross)| *gross > 0);
    let taxes = with_amount.map(|(rate, gross)| {
        let earlier = before.get(&rate).copied().unwrap_or(0);
        ReceiptTax {
            basis_points: rate,
            gross_minor: gross,
            tax_minor: tax_in(earlier + gross, rate) - tax_in(earlier, rate),
        }
    });
    Amounts {
        total_minor: lines.iter().map(|line| line.total_minor).sum(),
        taxes: taxes.collect(),
        lines,
        cancelled_at,
    }
}

/// The tax of a rate in hundredths of a percent that is in an amount, rounded half up.
fn tax_in(gross_minor: u64, basis_points: u32) -> u64 {
    let (gross, rate) = (u128::from(gross_minor), u128::from(basis_points));
    let whole = 10_000 + rate;
    let tax = (2 * gross * rate + whole) / (2 * whole);
    // At most half of the amount, rounded.
    u64::try_from(tax).unwrap_or(gross_minor)
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
    use ulid::Ulid;

    use super::*;
    use crate::types::{
        BookingId, BookingNumber, Cancellation, EventId, NotificationId, UserId, refund_of, without,
    };

    fn booking(lines: Vec<(u32, u32, Option<u32>)>) -> Booking {
        let event = EventId::from_ulid(Ulid::from_parts(1, 1));
        let customer = UserId::from_ulid(Ulid::from_parts(2, 2));
        let rates = lines.iter().map(|(_, _, rate)| *rate).collect();
        let lines: Vec<_> = lines
            .into_iter()
            .enumerate()
            .map(|(index, (quantity, unit_price_minor, _))| BookingLine {
                ticket_type: TicketTypeId::new(format!("t{index}")),
                quantity,
                unit_price_minor,
            })
            .collect();
        let id = BookingId::new(event, customer, Ulid::from_parts(3, 3));
        let (number, sold_as) = (BookingNumber::stored(7), ("EUR".to_owned(), 1));
        Booking {
            receipt_taxes: Some(rates),
            ..Booking::new((id, number), lines, sold_as, Timestamp::UNIX_EPOCH)
        }
    }

    fn cancel(mut booking: Booking, lines: Vec<BookingLine>, percent: u32) -> Booking {
        let refund_minor = refund_of(&booking.cancellations, &lines, percent);
        let left = without(&booking.lines, &lines);
        match left.is_empty() {
            true => booking.cancelled = Some((CancelCause::Customer, Timestamp::UNIX_EPOCH)),
            false => {
                let before = std::mem::replace(&mut booking.lines, left);
                booking.booked_lines.get_or_insert(before);
            }
        }
        booking.cancellations.push(Cancellation {
            notification: NotificationId::from_ulid(Ulid::from_parts(4, 4)),
            cause: CancelCause::Customer,
            at: Timestamp::UNIX_EPOCH,
            lines,
            numbers: Vec::new(),
            refund_percent: percent,
            refund_minor,
        });
        booking.total_minor = total_of(&booking.lines);
        booking
    }

    /// Sums of the credit notes of a booking: the total, and tax by rate.
    fn credited(booking: &Booking) -> (u64, ByRate) {
        let (mut total, mut taxes) = (0, ByRate::new());
        for index in indexes(booking).into_iter().skip(1) {
            let note = amounts(booking, index).unwrap();
            total += note.total_minor;
            for tax in note.taxes {
                assert!(tax.tax_minor <= tax.gross_minor, "{tax:?}");
                *taxes.entry(tax.basis_points).or_default() += tax.tax_minor;
            }
        }
        taxes.retain(|_, tax| *tax > 0);
        (total, taxes)
    }

    /// Cancels one ticket after the other, in any order.
    fn one_by_one(mut booking: Booking, percent: u32, numbers: &mut StdRng) -> Booking {
        while booking.cancelled.is_none() {
            let at = numbers.random_range(0..booking.lines.len());
            let some = BookingLine {
                quantity: 1,
                ..booking.lines[at].clone()
            };
            booking = cancel(booking, vec![some], percent);
        }
        booking
    }

    #[test]
    fn a_tax_is_in_the_price_and_rounded_half_up() {
        for (gross, rate, tax) in [
            (11_900, 1_900, 1_900),
            (1_000, 1_900, 160),
            (1, 10_000, 1),
            (1, 1_900, 0),
            (0, 1_900, 0),
            (1_000, 0, 0),
            (u64::MAX, 10_000, u64::MAX / 2 + 1),
        ] {
            assert_eq!(tax_in(gross, rate), tax, "{gross} at {rate}");
        }
    }

    #[test]
    fn cancelling_one_by_one_gives_back_what_cancelling_at_once_gives() {
        let seed = 0x5eed_0000_0000_0001;
        let mut numbers = StdRng::seed_from_u64(seed);
        for round in 0..500 {
            let count = 1 + numbers.random_range(0..4);
            let line = |numbers: &mut StdRng| {
                let rate = match numbers.random_range(0..4) {
                    0 => None,
                    _ => Some(numbers.random_range(0..10_001)),
                };
                (
                    1 + numbers.random_range(0..6),
                    numbers.random_range(0..5_000),
                    rate,
                )
            };
            let lines: Vec<_> = (0..count).map(|_| line(&mut numbers)).collect();
            let whole = booking(lines);
            let receipt = amounts(&whole, 0).unwrap();
            assert_eq!(receipt.total_minor, whole.total_minor);
            let mut taxes: ByRate = ByRate::new();
            for tax in &receipt.taxes {
                *taxes.entry(tax.basis_points).or_default() += tax.tax_minor;
            }
            taxes.retain(|_, tax| *tax > 0);
            let at_once = cancel(whole.clone(), whole.lines.clone(), 100);
            let parts = one_by_one(whole.clone(), 100, &mut numbers);
            let wanted = (whole.total_minor, taxes);
            assert_eq!(credited(&at_once), wanted, "seed {seed:#x}, round {round}");
            assert_eq!(credited(&parts), wanted, "seed {seed:#x}, round {round}");
        }
    }

    #[test]
    fn shares_of_a_price_add_up_at_any_percentage() {
        let seed = 0x5eed_0000_0000_0002;
        let mut numbers = StdRng::seed_from_u64(seed);
        for round in 0..500 {
            let (rate, percent) = (
                numbers.random_range(0..10_001),
                numbers.random_range(0..101),
            );
            let line = |numbers: &mut StdRng| {
                (
                    1 + numbers.random_range(0..6),
                    numbers.random_range(0..5_000),
                    Some(rate),
                )
            };
            let lines: Vec<_> = (0..3).map(|_| line(&mut numbers)).collect();
            let whole = booking(lines);
            let at_once = cancel(whole.clone(), whole.lines.clone(), percent);
            let parts = one_by_one(whole.clone(), percent, &mut numbers);
            let (total, taxes) = credited(&at_once);
            assert_eq!(
                total,
                at_once.refund_minor(),
                "seed {seed:#x}, round {round}"
            );
            let parted = credited(&parts);
            assert_eq!(parted, (total, taxes), "seed {seed:#x}, round {round}");
        }
    }

    #[test]
    fn the_end_of_an_event_gives_back_the_rest() {
        let whole = booking(vec![(3, 1_000, Some(1_900)), (1, 500, None)]);
        let some = BookingLine {
            quantity: 2,
            ..whole.lines[0].clone()
        };
        let mut ended = cancel(whole, vec![some], 50);
        ended.cancelled = Some((CancelCause::Event, Timestamp::UNIX_EPOCH));
        assert_eq!(indexes(&ended), [0, 1, 2]);
        assert_eq!(credited(&ended).0, ended.refund_minor());
        let last = amounts(&ended, 2).unwrap();
        assert_eq!((last.total_minor, last.lines.len()), (1_500, 2));
        assert_eq!(amounts(&ended, 3), None);
    }

    #[test]
    fn what_gives_nothing_back_has_no_credit_note() {
        let whole = booking(vec![(2, 1_000, None)]);
        let ended = cancel(whole.clone(), whole.lines.clone(), 0);
        assert_eq!(indexes(&ended), [0]);
        let without = Booking {
            receipt_taxes: None,
            ..whole
        };
        assert!(indexes(&without).is_empty());
        assert_eq!(amounts(&without, 0), None);
    }
}
