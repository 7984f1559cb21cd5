//! The ledger of one payment: what each notice, booking, cancellation and refund does to its money. What was captured is
//! always divided among kept, refund due, refunded, pending and unmatched.
//!
//! What counts is what was captured without what was paid back, so that notices may come in any order. A refund that is due
//! stays due until it is paid, because a platform may be paying it already. Pure. Called by the payments module, the planner
//! of groups, cancellations and verification.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    error::{Error, ErrorCode, Result},
    types::{
        BookingId, NoticeKind, Payment, PaymentNotice, PaymentOrder, PaymentStatus, Refund,
        RefundId, RefundReason,
    },
};

/// How long money waits for its booking: for the rest of the price, and for policies that fail.
pub(in crate::modules) const PENDING_MAX: Duration = Duration::from_secs(15 * 60);
/// How long money waits for somebody who says what it is for.
pub(in crate::modules) const UNMATCHED_MAX: Duration = Duration::from_secs(24 * 3600);

impl Payment {
    /// Returns whether a notice is known.
    ///
    /// # Errors
    /// `notice-reused` if its id belongs to another notice.
    pub(crate) fn knows(&self, notice: &PaymentNotice) -> Result<bool> {
        let Some(known) = self.notices.iter().find(|known| known.id == notice.id) else {
            return Ok(false);
        };
        match (known.kind, known.amount_minor) == (notice.kind, notice.amount_minor) {
            true => Ok(true),
            false => Err(Error::new(
                ErrorCode::NoticeReused,
                format!(
                    "The notice {} said {} {} before; a notice never changes.",
                    notice.id,
                    known.kind.as_str(),
                    known.amount_minor
                ),
            )
            .at_field("noticeId")),
        }
    }

    /// Takes a notice that is not known yet. `refund` names the refund that becomes due by it, if one does.
    ///
    /// # Errors
    /// `too-many-notices`.
    pub(in crate::modules) fn take(
        &mut self,
        notice: PaymentNotice,
        refund: RefundId,
    ) -> Result<()> {
        if self.notices.len() >= Self::NOTICES_MAX {
            let detail = "A payment has at most 100 notices: settle it with the provider by hand.";
            return Err(Error::new(ErrorCode::TooManyNotices, detail));
        }
        let (amount, now) = (notice.amount_minor, notice.received_at);
        match notice.kind {
            NoticeKind::Captured => {
                self.money.captured_minor += amount;
                let gone = amount.min(self.counters.ahead_minor);
                self.counters.ahead_minor -= gone;
                self.counters.unasked_minor += gone;
                self.money.refunded_minor += gone;
                self.receive(amount - gone, refund, now);
            }
            NoticeKind::Failed if self.status == PaymentStatus::Open => {
                self.status = PaymentStatus::Failed;
            }
            NoticeKind::Failed => {}
            NoticeKind::Refunded => self.pay_back(amount, now),
        }
        self.notices.push(notice);
        Ok(())
    }

    /// Says what the payment is for, which nobody had said.
    pub(in crate::modules) fn match_with(
        &mut self,
        order: PaymentOrder,
        refund: RefundId,
        now: Timestamp,
    ) {
        let failed = self.notices.iter().rev();
        let mut told = failed.map(|notice| notice.kind);
        self.status = match told.find(|kind| *kind != NoticeKind::Refunded) {
            Some(NoticeKind::Failed) => PaymentStatus::Failed,
            _ => PaymentStatus::Open,
        };
        self.order = Some(order);
        self.counters.due_at = None;
        let came = std::mem::take(&mut self.money.unmatched_minor);
        self.receive(came, refund, now);
    }

    /// Divides money that came and is still there.
    fn receive(&mut self, amount: u64, refund: RefundId, now: Timestamp) {
        if amount == 0 {
            return;
        }
        match (self.status, &self.order) {
            (PaymentStatus::Unmatched, _) | (_, None) => {
                self.money.unmatched_minor += amount;
                if self.counters.due_at.is_none() {
                    self.counters.due_at = Some(later(now, UNMATCHED_MAX));
                }
                if self.status == PaymentStatus::Returned {
                    self.give_up((RefundReason::Unmatched, "unmatched"), refund, now);
                }
            }
            (PaymentStatus::Open | PaymentStatus::Failed | PaymentStatus::Pending, Some(order)) => {
                let price = order.total_minor;
                let pending = self.money.pending_minor + amount;
                self.money.pending_minor = pending.min(price);
                self.make_due(
                    pending.saturating_sub(price),
                    RefundReason::Excess,
                    (refund, now),
                );
                self.status = PaymentStatus::Pending;
                self.counters.pending_since = Some(now);
                self.counters.tries = 0;
                self.wait_for_booking(now);
            }
            (PaymentStatus::Booked, Some(_)) => {
                let missing = self
                    .counters
                    .keep_minor
                    .saturating_sub(self.money.kept_minor);
                let kept = amount.min(missing);
                self.money.kept_minor += kept;
                self.make_due(amount - kept, RefundReason::Excess, (refund, now));
            }
            (PaymentStatus::Returned, Some(_)) => {
                self.make_due(amount, RefundReason::NotBooked, (refund, now));
            }
        }
    }

    /// Sets when pending money is looked at: now if it suffices, else when it has waited long enough.
    fn wait_for_booking(&mut self, now: Timestamp) {
        self.counters.due_at = match self.is_complete() {
            true => Some(now),
            false => self.gives_up_at(),
        };
    }

    /// When pending money has waited long enough; `None` if none is pending.
    pub(in crate::modules) fn gives_up_at(&self) -> Option<Timestamp> {
        let since = self.counters.pending_since?;
        Some(later(since, PENDING_MAX))
    }

    /// Takes away what the provider paid back: what is known to be paid back, then what is due, then what was not asked for.
    fn pay_back(&mut self, amount: u64, now: Timestamp) {
        let mut left = amount;
        let mut from = |pot: &mut u64| {
            let part = left.min(*pot);
            *pot -= part;
            left -= part;
            part
        };
        from(&mut self.counters.by_hand_minor);
        for refund in &mut self.refunds {
            let mut open = refund.left_minor();
            let part = from(&mut open);
            refund.settled_minor += part;
            if part > 0 && open == 0 {
                refund.settled_at = Some(now);
            }
            self.money.refund_due_minor -= part;
            self.money.refunded_minor += part;
        }
        let money = &mut self.money;
        let parts = [
            from(&mut money.pending_minor),
            from(&mut money.unmatched_minor),
            from(&mut money.kept_minor),
        ];
        let unasked: u64 = parts.iter().sum();
        money.refunded_minor += unasked;
        self.counters.unasked_minor += unasked;
        self.counters.ahead_minor += left;
        match self.status {
            PaymentStatus::Pending if self.money.pending_minor == 0 => {
                self.status = PaymentStatus::Open;
                self.nothing_waits();
            }
            PaymentStatus::Pending => self.wait_for_booking(now),
            PaymentStatus::Unmatched if self.money.unmatched_minor == 0 => self.nothing_waits(),
            _ => {}
        }
    }

    fn nothing_waits(&mut self) {
        self.counters.due_at = None;
        self.counters.pending_since = None;
        self.counters.tries = 0;
    }

    /// Returns whether the price is there and the booking is still to be made.
    pub(in crate::modules) fn is_complete(&self) -> bool {
        let price = self.order.as_ref().map(|order| order.total_minor);
        self.status == PaymentStatus::Pending && price == Some(self.money.pending_minor)
    }

    /// Keeps the money for a booking, up to what the booking is to have.
    pub(in crate::modules) fn keep_for(
        &mut self,
        booking: BookingId,
        keep_minor: u64,
        refund: RefundId,
        now: Timestamp,
    ) {
        let pending = std::mem::take(&mut self.money.pending_minor);
        self.money.kept_minor = pending.min(keep_minor);
        self.counters.keep_minor = keep_minor;
        self.make_due(
            pending.saturating_sub(keep_minor),
            RefundReason::Excess,
            (refund, now),
        );
        self.status = PaymentStatus::Booked;
        self.booking = Some(booking);
        self.refusal = None;
        self.nothing_waits();
    }

    /// Makes all that waits due back: no booking will be made.
    pub(in crate::modules) fn give_up(
        &mut self,
        (reason, refusal): (RefundReason, &str),
        refund: RefundId,
        now: Timestamp,
    ) {
        let pending = std::mem::take(&mut self.money.pending_minor);
        let unmatched = std::mem::take(&mut self.money.unmatched_minor);
        self.make_due(pending + unmatched, reason, (refund, now));
        self.status = PaymentStatus::Returned;
        self.refusal = Some(refusal.to_owned());
        self.nothing_waits();
    }

    /// Tries again later to make the booking.
    pub(in crate::modules) fn postpone(&mut self, refusal: &str, until: Timestamp) {
        self.counters.tries += 1;
        self.counters.due_at = Some(until);
        self.refusal = Some(refusal.to_owned());
    }

    /// Makes due what a cancellation of the booking refunds, as far as it is kept. Returns whether anything changed.
    pub(in crate::modules) fn cancel(
        &mut self,
        refund_minor: u64,
        reason: RefundReason,
        (refund, now): (RefundId, Timestamp),
    ) -> bool {
        let keep = self.counters.keep_minor.saturating_sub(refund_minor);
        let changes = keep != self.counters.keep_minor;
        self.counters.keep_minor = keep;
        let back = self.money.kept_minor.saturating_sub(keep);
        self.money.kept_minor -= back;
        self.make_due(back, reason, (refund, now));
        changes
    }

    /// Records that somebody paid a refund back. Returns whether it was due.
    pub(in crate::modules) fn settle(&mut self, id: RefundId, now: Timestamp) -> bool {
        let mut refunds = self.refunds.iter_mut();
        let Some(refund) = refunds.find(|refund| refund.id == id) else {
            return false;
        };
        let left = refund.left_minor();
        refund.settled_minor = refund.amount_minor;
        if left > 0 {
            refund.settled_at = Some(now);
        }
        self.money.refund_due_minor -= left;
        self.money.refunded_minor += left;
        self.counters.by_hand_minor += left;
        left > 0
    }

    fn make_due(
        &mut self,
        amount_minor: u64,
        reason: RefundReason,
        (id, now): (RefundId, Timestamp),
    ) {
        if amount_minor == 0 {
            return;
        }
        self.money.refund_due_minor += amount_minor;
        self.refunds.push(Refund {
            id,
            amount_minor,
            settled_minor: 0,
            reason,
            created_at: now,
            settled_at: None,
        });
    }

    /// How the payment contradicts its own notices and refunds, if it does.
    pub(in crate::modules) fn contradiction(&self) -> Option<String> {
        let (money, counters) = (&self.money, &self.counters);
        let told = |kind: NoticeKind| -> u64 {
            let notices = self.notices.iter().filter(|notice| notice.kind == kind);
            notices.map(|notice| notice.amount_minor).sum()
        };
        let (captured, refunded) = (told(NoticeKind::Captured), told(NoticeKind::Refunded));
        let due: u64 = self.refunds.iter().map(Refund::left_minor).sum();
        let settled: u64 = self.refunds.iter().map(|one| one.settled_minor).sum();
        if money.captured_minor != captured {
            return Some(format!(
                "{} are captured, its notices say {captured}",
                money.captured_minor
            ));
        }
        if !money.balances() {
            return Some(format!(
                "{captured} are captured, and divided into {money:?}"
            ));
        }
        if money.refund_due_minor != due {
            return Some(format!(
                "{} are due back, its refunds have {due} to be paid",
                money.refund_due_minor
            ));
        }
        if money.refunded_minor != settled + counters.unasked_minor {
            return Some(format!(
                "{} are refunded, its refunds have {settled}, and {} came unasked",
                money.refunded_minor, counters.unasked_minor
            ));
        }
        let by_notice = (settled + counters.unasked_minor + counters.ahead_minor)
            .checked_sub(counters.by_hand_minor);
        if by_notice != Some(refunded) {
            return Some(format!(
                "its notices refund {refunded}, it counts {by_notice:?} of them"
            ));
        }
        let is_pending = self.status == PaymentStatus::Pending;
        if (money.pending_minor > 0) != is_pending
            || (money.unmatched_minor > 0 && self.status != PaymentStatus::Unmatched)
            || (money.kept_minor > 0 && self.booking.is_none())
            || money.kept_minor > counters.keep_minor
        {
            return Some(format!(
                "it is {} with {money:?}, and its booking is to have {}",
                self.status.as_str(),
                counters.keep_minor
            ));
        }
        let waits = money.pending_minor + money.unmatched_minor > 0;
        (waits != counters.due_at.is_some()).then(|| {
            format!(
                "{} wait, and it is looked at {:?}",
                money.pending_minor + money.unmatched_minor,
                counters.due_at
            )
        })
    }
}

/// A time after another.
pub(in crate::modules) fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
