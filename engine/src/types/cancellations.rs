//! Cancellation of tickets: an event's terms, the request, and the record in the booking.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{BookLine, BookingId, BookingLine, IdempotencyKey, NotificationId, total_of};
use crate::error::{Error, ErrorCode, Result};

/// An event's cancellation terms: steps with a deadline and the refunded share of the price, the earliest first.
///
/// Without a step customers cannot cancel. By default they can until the event begins, with a full refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CancellationTerms(Vec<CancellationStep>);

/// A deadline before an event begins, and the share of the price that is refunded until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CancellationStep {
    /// Hours before the event begins, 0 to 8,760.
    pub until_hours_before: u32,
    /// Refunded share of the price in percent, 0 to 100.
    pub refund_percent: u32,
}

impl Default for CancellationTerms {
    fn default() -> Self {
        Self(vec![CancellationStep {
            until_hours_before: 0,
            refund_percent: 100,
        }])
    }
}

impl CancellationTerms {
    /// Most steps. Few, because customers have to understand them.
    pub const STEPS_MAX: usize = 10;
    /// Longest time before an event, a year.
    pub const HOURS_MAX: u32 = 8_760;

    /// Checks steps: at most 10, each nearer to the event and with a smaller refund than the one before it.
    ///
    /// # Errors
    /// `field-invalid`, at `cancellationTerms` or the part of it that breaks the rule.
    pub fn new(steps: Vec<CancellationStep>) -> Result<Self> {
        let at = |index: usize, name: &str| format!("cancellationTerms[{index}].{name}");
        if steps.len() > Self::STEPS_MAX {
            return Err(Error::field(
                "cancellationTerms",
                "An event has at most 10 steps of cancellation terms.",
            ));
        }
        for (index, step) in steps.iter().enumerate() {
            if step.until_hours_before > Self::HOURS_MAX {
                return Err(Error::field(
                    at(index, "untilHoursBefore"),
                    "A step ends 0 to 8,760 hours before the event begins.",
                ));
            }
            if step.refund_percent > 100 {
                return Err(Error::field(
                    at(index, "refundPercent"),
                    "0 to 100 percent of the price come back.",
                ));
            }
            let Some(earlier) = index.checked_sub(1).map(|earlier| steps[earlier]) else {
                continue;
            };
            if step.until_hours_before >= earlier.until_hours_before {
                return Err(Error::field(
                    at(index, "untilHoursBefore"),
                    "Each step ends nearer to the event than the one before it.",
                ));
            }
            if step.refund_percent >= earlier.refund_percent {
                return Err(Error::field(
                    at(index, "refundPercent"),
                    "Each step gives less back than the one before it.",
                ));
            }
        }
        Ok(Self(steps))
    }

    /// Takes terms that were checked when they were stored.
    pub(crate) fn stored(steps: Vec<CancellationStep>) -> Self {
        Self(steps)
    }

    /// The steps, the earliest first.
    pub fn steps(&self) -> &[CancellationStep] {
        &self.0
    }

    /// The refund in percent for a customer who cancels at `now`; `None` if cancellation is closed. The last moment of
    /// a step belongs to it.
    pub fn refund_percent(&self, starts_at: Timestamp, now: Timestamp) -> Option<u32> {
        let is_open = |step: &&CancellationStep| {
            let before = SignedDuration::from_hours(i64::from(step.until_hours_before));
            let until = starts_at.checked_sub(before).unwrap_or(Timestamp::MIN);
            now <= until
        };
        self.0.iter().find(is_open).map(|step| step.refund_percent)
    }
}

/// Cancels tickets of a booking.
#[derive(Debug, Clone)]
pub struct CancelTickets {
    /// The booking's id.
    pub booking: BookingId,
    /// Numbers of tickets, each type once. The last tickets of the type that are not checked in are cancelled. With neither
    /// `lines` nor `tickets`, all that are left are cancelled.
    pub lines: Option<Vec<BookLine>>,
    /// Numbers of single tickets in the booking, each once; instead of `lines`.
    pub tickets: Option<Vec<u32>>,
    /// Makes the request safe to repeat for 24 hours.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl CancelTickets {
    /// Cancels a whole booking.
    pub fn all(booking: BookingId) -> Self {
        Self {
            booking,
            lines: None,
            tickets: None,
            idempotency_key: None,
        }
    }
}

impl CancelTickets {
    /// Most tickets that one request names. To cancel more, name types.
    pub const NAMED_MAX: usize = 1_000;
}

/// Why a booking ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CancelCause {
    /// The customer cancelled it.
    Customer,
    /// The organizer or a program of the tenant cancelled it.
    Organizer,
    /// The whole event was cancelled.
    Event,
}

impl CancelCause {
    /// The cause as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Organizer => "organizer",
            Self::Event => "event",
        }
    }
}

impl FromStr for CancelCause {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "customer" => Ok(Self::Customer),
            "organizer" => Ok(Self::Organizer),
            "event" => Ok(Self::Event),
            other => Err(Error::internal(format!("unknown cancel cause {other}"))),
        }
    }
}

/// Tickets of a booking that were cancelled together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// The cancellation's id: that of the notification to the customer.
    pub notification: NotificationId,
    /// Who cancelled.
    pub cause: CancelCause,
    /// The time, UTC.
    pub at: Timestamp,
    /// The cancelled tickets, at the prices they were booked at.
    pub lines: Vec<BookingLine>,
    /// The numbers of the cancelled tickets in the booking, in order.
    pub numbers: Vec<u32>,
    /// The refunded share of the price in percent, 0 to 100.
    pub refund_percent: u32,
    /// The refund, in minor units of the booking's currency. Boxoffice does not pay it out.
    pub refund_minor: u64,
}

impl Cancellation {
    /// Most cancellations of one booking, because its row holds them all. The last one cancels everything that is left.
    pub const PER_BOOKING_MAX: usize = 100;

    /// The number of cancelled tickets, over all lines.
    pub fn tickets(&self) -> u32 {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

/// The refund for `lines`, given what was cancelled before. The running total is rounded down, not each part: however
/// a booking is cancelled, the parts add up to the refund of the whole.
pub(crate) fn refund_of(earlier: &[Cancellation], lines: &[BookingLine], percent: u32) -> u64 {
    let share =
        |lines: &[BookingLine], percent: u32| u128::from(total_of(lines)) * u128::from(percent);
    let before: u128 = earlier
        .iter()
        .map(|one| share(&one.lines, one.refund_percent))
        .sum();
    let refunded: u128 = earlier.iter().map(|one| u128::from(one.refund_minor)).sum();
    let due = (before + share(lines, percent)) / 100;
    // A booking's total fits u64, and so does a share of it.
    u64::try_from(due.saturating_sub(refunded)).unwrap_or(u64::MAX)
}

/// The error for a customer who cancels too late.
pub(crate) fn closed(terms: &CancellationTerms) -> Error {
    let detail = match terms.steps().last() {
        None => {
            "Tickets of this event cannot be cancelled by customers; ask the organizer.".to_owned()
        }
        Some(CancellationStep {
            until_hours_before: 0,
            ..
        }) => {
            "Tickets of this event could be cancelled until it began; ask the organizer.".to_owned()
        }
        Some(last) => format!(
            "Tickets of this event could be cancelled until {} hours before it begins; ask the organizer.",
            last.until_hours_before
        ),
    };
    Error::new(ErrorCode::CancellationClosed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{TicketTypeId, chosen, without};

    fn steps(steps: &[(u32, u32)]) -> Result<CancellationTerms> {
        let step = |(until_hours_before, refund_percent): &(u32, u32)| CancellationStep {
            until_hours_before: *until_hours_before,
            refund_percent: *refund_percent,
        };
        CancellationTerms::new(steps.iter().map(step).collect())
    }

    fn line(kind: &str, quantity: u32) -> BookingLine {
        BookingLine {
            ticket_type: TicketTypeId::new(kind),
            quantity,
            unit_price_minor: 250,
        }
    }

    #[test]
    fn each_step_holds_to_its_last_moment() {
        let terms = steps(&[(168, 100), (24, 50), (0, 10)]).unwrap();
        let starts_at: Timestamp = "2027-05-08T20:00:00Z".parse().unwrap();
        for (now, percent) in [
            ("2027-01-01T00:00:00Z", Some(100)),
            ("2027-05-01T20:00:00Z", Some(100)),
            ("2027-05-01T20:00:00.001Z", Some(50)),
            ("2027-05-07T20:00:00Z", Some(50)),
            ("2027-05-07T20:00:01Z", Some(10)),
            ("2027-05-08T20:00:00Z", Some(10)),
            ("2027-05-08T20:00:00.001Z", None),
        ] {
            let now = now.parse().unwrap();
            assert_eq!(terms.refund_percent(starts_at, now), percent, "{now}");
        }
        let never = steps(&[]).unwrap();
        assert_eq!(never.refund_percent(starts_at, Timestamp::UNIX_EPOCH), None);
        assert_eq!(steps(&[(0, 100)]).unwrap(), CancellationTerms::default());
    }

    #[test]
    fn steps_that_contradict_each_other_are_refused() {
        for (bad, field) in [
            (vec![(8_761, 100)], "cancellationTerms[0].untilHoursBefore"),
            (vec![(1, 101)], "cancellationTerms[0].refundPercent"),
            (
                vec![(24, 100), (24, 50)],
                "cancellationTerms[1].untilHoursBefore",
            ),
            (
                vec![(24, 50), (48, 10)],
                "cancellationTerms[1].untilHoursBefore",
            ),
            (
                vec![(24, 50), (1, 50)],
                "cancellationTerms[1].refundPercent",
            ),
            (
                (0..11).rev().map(|step| (step, step)).collect(),
                "cancellationTerms",
            ),
        ] {
            assert_eq!(
                steps(&bad).unwrap_err().field_name(),
                Some(field),
                "{bad:?}"
            );
        }
        assert!(steps(&[(8_760, 100), (0, 0)]).is_ok());
    }

    fn cancelled(earlier: &[Cancellation], lines: Vec<BookingLine>, percent: u32) -> Cancellation {
        Cancellation {
            notification: NotificationId::from_ulid(ulid::Ulid::from_parts(1, 1)),
            cause: CancelCause::Customer,
            at: Timestamp::UNIX_EPOCH,
            numbers: Vec::new(),
            refund_percent: percent,
            refund_minor: refund_of(earlier, &lines, percent),
            lines,
        }
    }

    #[test]
    fn parts_add_up_to_what_the_whole_gives() {
        for price in [0, 1, 3, 33, 99, 1_250, u32::MAX] {
            for percent in [0, 1, 33, 50, 67, 99, 100] {
                let lines = |quantity| {
                    vec![BookingLine {
                        unit_price_minor: price,
                        ..line("a", quantity)
                    }]
                };
                let whole = refund_of(&[], &lines(10), percent);
                assert_eq!(whole, u64::from(price) * 10 * u64::from(percent) / 100);
                for parts in [vec![1; 10], vec![3, 3, 4], vec![9, 1]] {
                    let mut done: Vec<Cancellation> = Vec::new();
                    for quantity in parts {
                        let next = cancelled(&done, lines(quantity), percent);
                        assert!(next.refund_minor <= total_of(&next.lines));
                        done.push(next);
                    }
                    let sum: u64 = done.iter().map(|one| one.refund_minor).sum();
                    assert_eq!(sum, whole, "{price} at {percent} %");
                }
            }
        }
    }

    #[test]
    fn shares_of_several_steps_round_their_sum() {
        let one = |price| {
            vec![BookingLine {
                unit_price_minor: price,
                ..line("a", 1)
            }]
        };
        let half = cancelled(&[], one(33), 50);
        let tenth = cancelled(std::slice::from_ref(&half), one(35), 10);
        // 16.5 and 3.5 make 20.
        assert_eq!((half.refund_minor, tenth.refund_minor), (16, 4));
        let rest = refund_of(&[half, tenth], &one(u32::MAX), 100);
        assert_eq!(rest, u64::from(u32::MAX));
    }

    #[test]
    fn what_is_chosen_must_be_booked() {
        let booked = [line("a", 3), line("b", 1)];
        let wanted = |kind: Option<&str>, quantity| BookLine {
            ticket_type: kind.map(TicketTypeId::new),
            quantity,
        };
        let some = chosen(&booked, &[wanted(Some("a"), 2)]).unwrap();
        assert_eq!(without(&booked, &some), [line("a", 1), line("b", 1)]);
        let all = chosen(&booked, &[wanted(Some("b"), 1), wanted(Some("a"), 3)]).unwrap();
        assert!(without(&booked, &all).is_empty());
        assert_eq!(total_of(&all), 1_000);
        assert_eq!(
            chosen(&booked[..1], &[wanted(None, 3)]).unwrap(),
            [line("a", 3)]
        );
        for (bad, field) in [
            (vec![], "lines"),
            (vec![wanted(None, 1)], "lines[0].ticketType"),
            (vec![wanted(Some("c"), 1)], "lines[0].ticketType"),
            (vec![wanted(Some("a"), 4)], "lines[0].quantity"),
            (vec![wanted(Some("a"), 0)], "lines[0].quantity"),
            (
                vec![wanted(Some("a"), 1), wanted(Some("a"), 1)],
                "lines[1].ticketType",
            ),
            (
                vec![
                    wanted(Some("a"), 1),
                    wanted(Some("b"), 1),
                    wanted(Some("b"), 1),
                ],
                "lines",
            ),
        ] {
            assert_eq!(
                chosen(&booked, &bad).unwrap_err().field_name(),
                Some(field),
                "{bad:?}"
            );
        }
    }
}
