//! Goal: money that a payment provider took becomes a booking or is due back, once, whenever and however often the provider
//! tells of it; and where it is adds up at every moment.
//!
//! Method: an engine in memory whose clock is moved, with the singletons of the worker; the real router for what the API answers
//! (`api`); engines on one SurrealDB server and killed programs (`hosts`); a provider that is late, repeats itself and lies
//! (`simulation`). After each scenario counters and payments are recomputed.

mod api;
mod hosts;
mod late;
mod simulation;

use std::time::Duration;

use boxoffice_engine::{
    Caller, EngineBuilder, Event, Hold, HoldTickets, NoticeKind, OpenPayment, Payment, PaymentKey,
    PaymentStatus, Result, TellPayment, TenantId, UserRole, WorkerHandle,
};
use boxoffice_tests::{Patience, TestPlatform, assert_verified, create_priced_event, wait_for};
use jiff::Timestamp;

/// The price of a ticket.
const PRICE: u64 = 1_000;
/// A little longer than holds last.
const HOLD_LASTS: Duration = Duration::from_secs(601);
/// A little longer than money waits for its booking.
const PENDING: Duration = Duration::from_secs(15 * 60 + 1);

/// A tenant that sells tickets at a price, with the singletons of a worker.
struct Sale {
    platform: TestPlatform,
    tenant: TenantId,
    /// Trusted code, which keeps the books.
    books: Caller,
    organizer: Caller,
    worker: Option<WorkerHandle>,
}

impl Sale {
    async fn open() -> Self {
        Self::open_with(|builder| builder).await
    }

    async fn open_with(describe: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let platform = TestPlatform::with(describe).await;
        platform.may_owe();
        let tenant = platform.tenant("north").await;
        let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
        Self {
            worker: Some(platform.engine.worker().spawn_singletons()),
            books: Caller::platform("north"),
            platform,
            tenant,
            organizer,
        }
    }

    fn now(&self) -> Timestamp {
        boxoffice_engine::ports::Clock::now(self.platform.clock.as_ref())
    }

    fn pass(&self, time: Duration) {
        self.platform.clock.advance(time);
    }

    async fn event(&self, tickets: u32) -> Event {
        let engine = &self.platform.engine;
        create_priced_event(engine, &self.organizer, self.now(), tickets, PRICE as u32).await
    }

    async fn customer(&self, name: &str) -> Caller {
        self.platform.customer(&self.tenant, name).await
    }

    async fn hold(&self, customer: &Caller, event: &Event, quantity: u32) -> Hold {
        let command = HoldTickets::general(event.id, quantity);
        let holds = self.platform.engine.holds();
        let held = holds.hold_tickets(customer, command).await;
        held.expect("a hold")
    }

    async fn try_open(&self, hold: &Hold, reference: &str) -> Result<Payment> {
        let command = OpenPayment {
            hold: hold.id,
            key: key(reference),
            amount_minor: hold.total_minor,
            currency: hold.currency.clone(),
        };
        let payments = self.platform.engine.payments();
        payments.open(&self.books, command).await
    }

    /// Holds tickets and opens their payment.
    async fn opened(
        &self,
        customer: &Caller,
        event: &Event,
        (quantity, reference): (u32, &str),
    ) -> Hold {
        let hold = self.hold(customer, event, quantity).await;
        let opened = self.try_open(&hold, reference).await.expect("a payment");
        assert_eq!(opened.status, PaymentStatus::Open);
        hold
    }

    async fn try_tell(
        &self,
        reference: &str,
        (notice, kind, amount): (&str, NoticeKind, u64),
    ) -> Result<Payment> {
        let command = TellPayment {
            payment: key(reference),
            notice: notice.parse().expect("a notice id"),
            kind,
            amount_minor: (kind != NoticeKind::Failed).then_some(amount),
            currency: None,
            at: self.now(),
        };
        let payments = self.platform.engine.payments();
        payments.tell(&self.books, command).await
    }

    async fn captured(&self, reference: &str, notice: &str, amount: u64) -> Payment {
        let told = self.try_tell(reference, (notice, NoticeKind::Captured, amount));
        told.await.expect("a notice that is taken")
    }

    async fn refunded(&self, reference: &str, notice: &str, amount: u64) -> Payment {
        let told = self.try_tell(reference, (notice, NoticeKind::Refunded, amount));
        told.await.expect("a notice that is taken")
    }

    async fn payment(&self, reference: &str) -> Payment {
        let payments = self.platform.engine.payments();
        let found = payments.show(&self.books, &key(reference)).await;
        found.expect("a payment")
    }

    async fn wait_for_status(&self, reference: &str, status: PaymentStatus) -> Payment {
        let what = format!("{reference} to be {status:?}");
        wait_for(Patience::WORK, &what, || async {
            let payment = self.payment(reference).await;
            (payment.status == status).then_some(payment)
        })
        .await
    }

    /// Waits until the worker has ended a hold.
    async fn expire(&self, customer: &Caller, hold: &Hold) {
        self.pass(HOLD_LASTS);
        let holds = self.platform.engine.holds();
        wait_for(Patience::WORK, "the hold to expire", || async {
            let shown = holds.show(customer, hold.id).await.expect("the hold");
            (shown.item.status == boxoffice_engine::HoldStatus::Expired).then_some(())
        })
        .await;
    }

    async fn sold(&self, event: &Event) -> (u32, u32) {
        let events = self.platform.engine.events();
        let seen = events.show(&self.organizer, event.id).await;
        let seen = seen.expect("the event").event;
        (seen.tickets_sold, seen.tickets_held)
    }

    async fn verified(&self) {
        assert_verified(&self.platform.engine).await;
    }
}

fn key(reference: &str) -> PaymentKey {
    PaymentKey {
        provider: "acme".parse().expect("a provider"),
        reference: reference.parse().expect("a reference"),
    }
}

/// Captured, kept, due back, refunded, pending, unmatched.
fn sums(payment: &Payment) -> [u64; 6] {
    let money = payment.money;
    [
        money.captured_minor,
        money.kept_minor,
        money.refund_due_minor,
        money.refunded_minor,
        money.pending_minor,
        money.unmatched_minor,
    ]
}
