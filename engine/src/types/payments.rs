//! Payments: money that a payment provider took for a hold, and refunds that are due. A platform talks to the provider;
//! Boxoffice keeps the books.

use std::str::FromStr;

use jiff::Timestamp;

use super::{
    BookLine, BookingDetails, BookingId, BookingLine, EventId, HoldId, LastChange, NoticeId,
    PaymentId, PaymentKey, RefundId, Sale, UserId,
};
use crate::error::{Error, ErrorCode, Result};

/// Defines an enumeration whose values have names.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$value_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$value_doc])* $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                let found = Self::ALL.iter().find(|one| one.as_str() == text);
                found.copied().ok_or_else(|| {
                    Error::internal(format!(concat!("unknown ", $what, " {}"), text))
                })
            }
        }
    };
}

named! {
    /// The state of a payment.
    PaymentStatus, "payment status" {
        /// The provider told of it, but nobody has said what it is for.
        Unmatched = "unmatched",
        /// It waits for money.
        Open = "open",
        /// The provider said that it failed. Money that comes nevertheless counts.
        Failed = "failed",
        /// Money came, and the booking is still to be made: tickets are looked for, or the rest of the price is waited for.
        Pending = "pending",
        /// The booking is made.
        Booked = "booked",
        /// No booking was made. What came is due back or was paid back, and so is what comes later.
        Returned = "returned",
    }
}

named! {
    /// What a notice of a provider says.
    NoticeKind, "kind of notice" {
        /// The provider took money.
        Captured = "captured",
        /// The payment failed. Nothing was taken.
        Failed = "failed",
        /// The provider paid money back.
        Refunded = "refunded",
    }
}

named! {
    /// Why a refund is due.
    RefundReason, "reason of a refund" {
        /// More was captured than the booking costs.
        Excess = "excess",
        /// No booking could be made of the payment.
        NotBooked = "not-booked",
        /// Tickets of the booking were cancelled.
        Cancelled = "cancelled",
        /// The event was cancelled.
        EventCancelled = "event-cancelled",
        /// Nobody said what the payment was for.
        Unmatched = "unmatched",
    }
}

named! {
    /// The state of a refund.
    RefundState, "state of a refund" {
        /// It is still to be paid back, all of it or a part.
        Due = "due",
        /// It was paid back.
        Settled = "settled",
    }
}

/// A notice of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentNotice {
    /// The provider's name of it.
    pub id: NoticeId,
    /// What it says.
    pub kind: NoticeKind,
    /// The amount in minor units; 0 for a failure.
    pub amount_minor: u64,
    /// When it happened, by the provider.
    pub at: Timestamp,
    /// When Boxoffice was told, UTC.
    pub received_at: Timestamp,
}

/// Money that is to be paid back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// How much, in minor units of the payment's currency.
    pub amount_minor: u64,
    /// How much of it was paid back.
    pub settled_minor: u64,
    /// Why.
    pub reason: RefundReason,
    /// Since when it is due, UTC.
    pub created_at: Timestamp,
    /// When all of it was paid back, UTC.
    pub settled_at: Option<Timestamp>,
}

impl Refund {
    /// Its state.
    pub fn state(&self) -> RefundState {
        match self.left_minor() {
            0 => RefundState::Settled,
            _ => RefundState::Due,
        }
    }

    /// What is still to be paid back, in minor units.
    pub fn left_minor(&self) -> u64 {
        self.amount_minor.saturating_sub(self.settled_minor)
    }
}

/// A refund, and the payment that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRefund {
    /// The refund.
    pub refund: Refund,
    /// The payment.
    pub payment: PaymentKey,
    /// The booking that the payment is kept for, if one was made.
    pub booking: Option<BookingId>,
    /// ISO 4217 code of its amounts.
    pub currency: String,
}

/// Where the money of a payment is, in minor units. What was captured is always the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PaymentMoney {
    /// What the provider took.
    pub captured_minor: u64,
    /// What is kept for a booking.
    pub kept_minor: u64,
    /// What is to be paid back.
    pub refund_due_minor: u64,
    /// What was paid back.
    pub refunded_minor: u64,
    /// What waits for a booking. 0 once all notices are worked off.
    pub pending_minor: u64,
    /// What nobody has said the purpose of. 0 once it is matched, or due back after 24 hours.
    pub unmatched_minor: u64,
}

impl PaymentMoney {
    /// Returns whether what was captured is divided without rest.
    pub fn balances(&self) -> bool {
        let parts = [
            self.kept_minor,
            self.refund_due_minor,
            self.refunded_minor,
            self.pending_minor,
            self.unmatched_minor,
        ];
        let sum = parts
            .iter()
            .try_fold(0_u64, |sum, part| sum.checked_add(*part));
        sum == Some(self.captured_minor)
    }

    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            captured_minor: self.captured_minor.saturating_add(other.captured_minor),
            kept_minor: self.kept_minor.saturating_add(other.kept_minor),
            refund_due_minor: self.refund_due_minor.saturating_add(other.refund_due_minor),
            refunded_minor: self.refunded_minor.saturating_add(other.refunded_minor),
            pending_minor: self.pending_minor.saturating_add(other.pending_minor),
            unmatched_minor: self.unmatched_minor.saturating_add(other.unmatched_minor),
        }
    }
}

/// What a payment is for: the hold as it was when the payment was opened. It outlives the hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentOrder {
    /// The hold. It names the event and the customer, and its booking has the same id.
    pub hold: HoldId,
    /// The tickets, at their prices.
    pub lines: Vec<BookingLine>,
    /// The price of all lines, in minor units.
    pub total_minor: u64,
    /// Texts of policies about the prices.
    pub messages: Vec<String>,
    /// What is kept of a hold that the customer did not make.
    pub sale: Option<Box<Sale>>,
    /// What the booking is to carry beside its tickets, if its hold has ended.
    pub details: Option<Box<BookingDetails>>,
}

impl PaymentOrder {
    /// Its tickets, as a request names them.
    pub(crate) fn wanted(&self) -> Vec<BookLine> {
        let lines = self.lines.iter().map(|line| BookLine {
            ticket_type: Some(line.ticket_type.clone()),
            quantity: line.quantity,
        });
        lines.collect()
    }
}

/// The counters of a payment that only the ledger needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PaymentCounters {
    /// What the booking is to have, after its cancellations. `kept_minor` is less if the provider paid some of it back.
    pub(crate) keep_minor: u64,
    /// Refunds that somebody said are paid back, and no notice has told of yet.
    pub(crate) by_hand_minor: u64,
    /// What the provider paid back without being asked.
    pub(crate) unasked_minor: u64,
    /// What the provider said it had paid back before it said that it was captured.
    pub(crate) ahead_minor: u64,
    /// Since when the money is pending.
    pub(crate) pending_since: Option<Timestamp>,
    /// When the payment is looked at next, if it needs that.
    pub(crate) due_at: Option<Timestamp>,
    /// How often a booking was tried since then.
    pub(crate) tries: u32,
}

/// A payment, with everything that its provider said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// What names it.
    pub key: PaymentKey,
    /// Its state.
    pub status: PaymentStatus,
    /// ISO 4217 code of all its amounts.
    pub currency: String,
    /// What it is for; `None` if nobody has said that.
    pub order: Option<PaymentOrder>,
    /// Where its money is.
    pub money: PaymentMoney,
    /// The booking that was made of it.
    pub booking: Option<BookingId>,
    /// Why no booking was made: a code of a refusal, `short` for less than the price, or `unmatched`.
    pub refusal: Option<String>,
    /// All notices, in the order in which they came.
    pub notices: Vec<PaymentNotice>,
    /// All refunds, the oldest first.
    pub refunds: Vec<Refund>,
    /// When Boxoffice heard of it first, UTC.
    pub created_at: Timestamp,
    /// Grows with every write; a step that was decided on an older one is not written.
    pub(crate) revision: i64,
    pub(crate) counters: PaymentCounters,
    pub(crate) last_change: LastChange,
}

impl Payment {
    /// Most notices of a payment. Its row has them all.
    pub const NOTICES_MAX: usize = 100;
    /// Largest amount of a notice, in minor units: above the price of any hold, and exact as a double in any client.
    pub const AMOUNT_MAX: u64 = 1_000_000_000_000_000;

    /// The event, if it is known what the payment is for.
    pub fn event(&self) -> Option<EventId> {
        self.order.as_ref().map(|order| order.hold.event())
    }

    /// The customer, if it is known what the payment is for.
    pub fn customer(&self) -> Option<UserId> {
        self.order.as_ref().map(|order| order.hold.customer())
    }
}

/// A list of payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PaymentsOf {
    /// All of the tenant.
    Tenant,
    Event(EventId),
    Customer(UserId),
}

/// Opens a payment for a hold.
#[derive(Debug, Clone)]
pub struct OpenPayment {
    /// The hold.
    pub hold: HoldId,
    /// What the payment is named.
    pub key: PaymentKey,
    /// What the provider shall take, in minor units: the hold's total.
    pub amount_minor: u64,
    /// ISO 4217 code of the amount: the hold's currency.
    pub currency: String,
}

/// Tells what a provider said about a payment.
#[derive(Debug, Clone)]
pub struct TellPayment {
    /// Which payment. One that nobody opened is kept, too.
    pub payment: PaymentKey,
    /// The provider's name of the notice. The same notice has its effect once.
    pub notice: NoticeId,
    /// What it says.
    pub kind: NoticeKind,
    /// How much was taken or paid back, in minor units. A failure needs none, and the one that it has counts as 0.
    pub amount_minor: Option<u64>,
    /// ISO 4217 code of the amount; `None` means that of the payment, or of the tenant if nobody opened it.
    pub currency: Option<String>,
    /// When it happened, by the provider.
    pub at: Timestamp,
}

impl TellPayment {
    /// The notice, as it came at `now`.
    pub(crate) fn notice(&self, now: Timestamp) -> Result<PaymentNotice> {
        let rule = "An amount is 1 to 1,000,000,000,000,000 minor units.";
        let amount_minor = match (self.kind, self.amount_minor) {
            (NoticeKind::Failed, None | Some(0..=Payment::AMOUNT_MAX)) => 0,
            (
                NoticeKind::Captured | NoticeKind::Refunded,
                Some(amount @ 1..=Payment::AMOUNT_MAX),
            ) => amount,
            _ => return Err(Error::field("amountMinor", rule)),
        };
        Ok(PaymentNotice {
            id: self.notice.clone(),
            kind: self.kind,
            amount_minor,
            at: self.at,
            received_at: now,
        })
    }
}

/// The error for an amount in another currency.
pub(crate) fn other_currency(wanted: &str) -> Error {
    let detail = format!("Amounts of this payment are in {wanted}.");
    Error::new(ErrorCode::CurrencyMismatch, detail).at_field("currency")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_values_come_back() {
        for status in PaymentStatus::ALL {
            assert_eq!(status.as_str().parse::<PaymentStatus>().unwrap(), *status);
        }
        for reason in RefundReason::ALL {
            assert_eq!(reason.as_str().parse::<RefundReason>().unwrap(), *reason);
        }
        assert!("paid".parse::<NoticeKind>().is_err());
    }

    #[test]
    fn an_amount_is_within_its_range_also_where_it_is_not_needed() {
        let counted = |kind, amount_minor| {
            let (provider, reference) = ("acme".parse().unwrap(), "pi-1".parse().unwrap());
            let told = TellPayment {
                payment: PaymentKey {
                    provider,
                    reference,
                },
                notice: "evt-1".parse().unwrap(),
                kind,
                amount_minor,
                currency: None,
                at: Timestamp::UNIX_EPOCH,
            };
            let notice = told.notice(Timestamp::UNIX_EPOCH);
            notice.map(|notice| notice.amount_minor).ok()
        };
        let (most, more) = (Some(Payment::AMOUNT_MAX), Some(Payment::AMOUNT_MAX + 1));
        for kind in [NoticeKind::Captured, NoticeKind::Refunded] {
            assert_eq!(counted(kind, most), most);
            for refused in [None, Some(0), more] {
                assert_eq!(counted(kind, refused), None);
            }
        }
        for accepted in [None, Some(0), Some(5), most] {
            assert_eq!(counted(NoticeKind::Failed, accepted), Some(0));
        }
        assert_eq!(counted(NoticeKind::Failed, more), None);
    }

    #[test]
    fn money_balances_only_if_every_unit_is_somewhere() {
        let money = PaymentMoney {
            captured_minor: 6,
            kept_minor: 1,
            refund_due_minor: 2,
            refunded_minor: 3,
            ..PaymentMoney::default()
        };
        assert!(money.balances());
        assert!(money.plus(money).balances());
        let more = PaymentMoney {
            pending_minor: 1,
            ..money
        };
        assert!(!more.balances());
    }
}
