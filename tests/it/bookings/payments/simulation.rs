//! Goal: with a provider that is late, repeats and reorders its notices and takes other amounts than it should, every unit that it
//! took ends as kept or refunded, as its own books say, and nothing is pending or unmatched when all is quiet.
//!
//! Method: rounds of customers who hold, pay, cancel and lose their holds, with events that are cancelled, and crashes while notices are
//! told (the engine is dropped and opened again on its folder, and the provider repeats what was not acknowledged); 100 payments, and
//! 100,000 in the long form. The seed is printed.

use std::{collections::BTreeSet, time::Duration};

use boxoffice_engine::{
    BookTickets, Caller, Engine, ErrorCode, Event, Hold, HoldTickets, ListedRefund, OpenPayment,
    PageRequest, Payment, PaymentKey, PaymentMoney, PaymentStatus, RefundState, Result,
    TellPayment,
};
use boxoffice_tests::{
    Charge, Patience, TempFolder, TestProvider, is_long_run, quick_settings, seeded, wait_for,
    wait_until,
};
use futures::future::join_all;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{HOLD_LASTS, PENDING, PRICE, Sale};

/// Customers of a round, and the tickets that they want.
const ROUND: (usize, usize) = (50, 1_000);

struct Simulation {
    sale: Sale,
    folder: TempFolder,
    crashes: u64,
    provider: TestProvider,
    random: StdRng,
    charges: BTreeSet<Charge>,
    /// Notices that were told, for lies about them.
    told: Vec<TellPayment>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_unit_that_was_taken_is_kept_or_paid_back_in_the_end() {
    let payments = if is_long_run() { 100_000 } else { 100 };
    let round = if is_long_run() { ROUND.1 } else { ROUND.0 };
    let mut random = seeded();
    let folder = TempFolder::new("payments");
    let sale = Sale::open_with(|builder| builder.embedded(folder.join("store"))).await;
    let own = StdRng::seed_from_u64(random.random());
    let mut simulation = Simulation {
        provider: TestProvider::new("acme", own, sale.now()),
        sale,
        folder,
        crashes: 0,
        random,
        charges: BTreeSet::new(),
        told: Vec::new(),
    };
    for number in 0..payments / round {
        simulation.round(number, round).await;
    }
    simulation.settle().await;
    simulation.check(payments).await;
}

impl Simulation {
    /// Customers hold, pay and cancel tickets of an event that has too few for all of them in the end.
    async fn round(&mut self, number: usize, customers: usize) {
        let tickets = u32::try_from(customers).expect("few customers");
        let event = self.sale.event(tickets).await;
        let names = (0..customers).map(|index| format!("c{number}-{index}"));
        let people = join_all(names.map(|name| {
            let sale = &self.sale;
            async move { sale.customer(&name).await }
        }))
        .await;
        let holds = join_all(
            people
                .iter()
                .map(|person| self.sale.hold(person, &event, 1)),
        )
        .await;
        let mut late = Vec::new();
        for (index, hold) in holds.iter().enumerate() {
            let key = self.provider.key(&format!("pay-{number}-{index}"));
            self.charges.insert(self.provider.charge(&key, PRICE));
            match self.random.random_bool(0.9) {
                true => drop(self.open(hold, &key).await),
                false => late.push((hold.clone(), key)),
            }
        }
        self.deliver(false).await;
        if self.random.random_bool(0.7) {
            self.expire(&event).await;
            self.take_away(number, &event).await;
        }
        // What the platform forgot to open is opened at last; most of its money came already.
        self.deliver(false).await;
        for (hold, key) in late {
            self.open(&hold, &key).await;
        }
        self.deliver(true).await;
        self.lie().await;
        self.cancel_some(&people).await;
        if number % 3 == 1 {
            let events = self.sale.platform.engine.events();
            let cancelled = events.cancel(&self.sale.organizer, event.id, None).await;
            cancelled.expect("a cancelled event");
        }
        self.pay_refunds().await;
    }

    /// Opens a payment. One without money is not opened any more once its hold has ended.
    async fn open(&self, hold: &Hold, key: &PaymentKey) -> Option<Payment> {
        let command = OpenPayment {
            hold: hold.id,
            key: key.clone(),
            amount_minor: hold.total_minor,
            currency: hold.currency.clone(),
        };
        let payments = self.sale.platform.engine.payments();
        match payments.open(&self.sale.books, command).await {
            Ok(payment) => Some(payment),
            Err(error) => {
                let code = error.code();
                let known = [ErrorCode::HoldEnded, ErrorCode::PaymentExists];
                assert!(known.contains(&code), "{error:?}");
                None
            }
        }
    }

    async fn tell(&self, notices: &[TellPayment]) -> Vec<Result<Payment>> {
        let payments = self.sale.platform.engine.payments();
        let told = notices.iter().map(|notice| {
            let (payments, books) = (payments.clone(), &self.sale.books);
            async move { payments.tell(books, notice.clone()).await }
        });
        join_all(told).await
    }

    /// Tells notices, several at once. At times the engine is gone before all are acknowledged, and they are told again.
    async fn deliver(&mut self, all: bool) {
        let notices = self.provider.deliver(all);
        for some in notices.chunks(32) {
            if self.random.random_bool(0.2) {
                let moment = Duration::from_millis(self.random.random_range(0..40));
                let _ = tokio::time::timeout(moment, self.tell(some)).await;
                self.crash().await;
            }
            for outcome in self.tell(some).await {
                let payment = outcome.expect("a notice that is taken");
                assert!(payment.money.balances(), "{payment:?}");
            }
        }
        self.told.extend(notices);
        let kept = self.told.len().saturating_sub(200);
        self.told.drain(..kept);
    }

    /// What was told before is told with another amount: nobody believes it.
    async fn lie(&mut self) {
        for told in self.told.iter().step_by(7) {
            let lie = self.provider.lie(told);
            if told.amount_minor.is_none() {
                continue;
            }
            let payments = self.sale.platform.engine.payments();
            let refused = payments.tell(&self.sale.books, lie).await;
            let refused = refused.expect_err("a lie");
            assert_eq!(refused.code(), ErrorCode::NoticeReused, "{refused:?}");
        }
    }

    /// Drops the engine without a word, and opens another one on its folder.
    async fn crash(&mut self) {
        self.crashes += 1;
        drop(self.sale.worker.take());
        let none = Engine::builder()
            .build()
            .await
            .expect("an engine in memory");
        drop(std::mem::replace(&mut self.sale.platform.engine, none));
        // The last engine's store closes behind our back.
        let engine = wait_for(Patience::START, "the store to open", || async {
            let builder = Engine::builder()
                .embedded(self.folder.join("store"))
                .settings(quick_settings())
                .clock(self.sale.platform.clock.clone());
            match builder.build().await {
                Err(error) if error.code() == ErrorCode::StoreInUse => None,
                engine => Some(engine.expect("the store opens")),
            }
        });
        self.sale.platform.engine = engine.await;
        self.sale.worker = Some(self.sale.platform.engine.worker().spawn_singletons());
    }

    async fn expire(&self, event: &Event) {
        self.sale.pass(HOLD_LASTS);
        wait_until(Patience::WORK, "the holds to expire", || async {
            self.sale.sold(event).await.1 == 0
        })
        .await;
    }

    /// Others book some of the tickets that are free now.
    async fn take_away(&mut self, number: usize, event: &Event) {
        let (sold, _) = self.sale.sold(event).await;
        let free = event.total_tickets - sold;
        let quantity = self.random.random_range(0..=free).min(100);
        if quantity == 0 {
            return;
        }
        let other = self.sale.customer(&format!("other-{number}")).await;
        let book = BookTickets::general(event.id, quantity);
        let bookings = self.sale.platform.engine.bookings();
        // A payment may be faster.
        let _ = bookings.book_tickets(&other, book).await;
        let hold = HoldTickets::general(event.id, 1);
        let _ = self
            .sale
            .platform
            .engine
            .holds()
            .hold_tickets(&other, hold)
            .await;
    }

    async fn cancel_some(&mut self, people: &[Caller]) {
        let bookings = self.sale.platform.engine.bookings();
        for person in people {
            if !self.random.random_bool(0.2) {
                continue;
            }
            let mine = bookings.list_mine(person, PageRequest::default()).await;
            for booking in mine.expect("a list").items {
                bookings
                    .cancel(person, booking.item.id)
                    .await
                    .expect("a cancellation");
            }
        }
    }

    /// The platform pays back what is due, through the provider, and says so at times before the provider does.
    async fn pay_refunds(&mut self) {
        for round in 0.. {
            let page = PageRequest {
                cursor: None,
                limit: 100,
            };
            // Nothing may hold the engine while notices are told, because it may crash then.
            let payments = self.sale.platform.engine.payments();
            let due = payments.refunds(&self.sale.books, Some(RefundState::Due), page);
            let due = due.await.expect("a list").items;
            drop(payments);
            if due.is_empty() {
                return;
            }
            let real = |due: &ListedRefund| self.provider.books().get(&due.payment).copied();
            assert!(
                round < 1_000,
                "never paid back: {:?}",
                due.iter().map(|one| (one, real(one))).collect::<Vec<_>>()
            );
            for listed in due {
                self.provider
                    .pay_back(&listed.payment, listed.refund.left_minor());
                if self.random.random_bool(0.3) {
                    let payments = self.sale.platform.engine.payments();
                    let settled = payments.settle_refund(&self.sale.books, listed.refund.id);
                    settled.await.expect("a settled refund");
                }
                if self.random.random_bool(0.3) {
                    self.deliver(false).await;
                }
            }
            self.deliver(true).await;
        }
    }

    /// Lets time pass until nothing waits, and pays all refunds.
    async fn settle(&mut self) {
        self.deliver(true).await;
        self.sale.pass(PENDING);
        self.wait_for_none(PaymentStatus::Pending).await;
        self.sale.pass(Duration::from_secs(24 * 3600));
        self.wait_for_none(PaymentStatus::Unmatched).await;
        // The bookings of cancelled events are written a batch at a time.
        wait_for(Patience::RUN, "cancelled events to be swept", || async {
            let payments = self.all().await;
            let mut kept = payments.iter().filter(|one| one.money.kept_minor > 0);
            let bookings = self.sale.platform.engine.bookings();
            for payment in kept.by_ref() {
                let booking = payment.booking.expect("a booking");
                let booking = bookings.show(&self.sale.books, booking).await;
                let booking = booking.expect("the booking").item;
                if booking.cancelled.is_some() {
                    return None;
                }
            }
            Some(())
        })
        .await;
        self.pay_refunds().await;
    }

    async fn wait_for_none(&self, status: PaymentStatus) {
        let what = format!("no payment to be {status:?}");
        wait_until(Patience::RUN, &what, || async {
            let all = self.all().await;
            // A payment may stay unmatched of which nothing was captured, or all was paid back before anybody looked.
            all.iter().all(|one| {
                let waits = one.money.pending_minor + one.money.unmatched_minor;
                one.status != status || waits == 0
            })
        })
        .await;
    }

    async fn all(&self) -> Vec<Payment> {
        let payments = self.sale.platform.engine.payments();
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = PageRequest { cursor, limit: 100 };
            let list = payments.list(&self.sale.books, None, page).await;
            let list = list.expect("a list");
            all.extend(list.items);
            cursor = list.next;
            if cursor.is_none() {
                return all;
            }
        }
    }

    /// Compares what Boxoffice has of each payment with what the provider has.
    async fn check(&self, payments: usize) {
        let all = self.all().await;
        assert_eq!(all.len(), payments);
        let mut sum = PaymentMoney::default();
        for payment in &all {
            let real = self.provider.books().get(&payment.key);
            let real = real.copied().unwrap_or_default();
            let money = payment.money;
            let expected = PaymentMoney {
                captured_minor: real.captured_minor,
                refunded_minor: real.refunded_minor,
                kept_minor: real.captured_minor - real.refunded_minor,
                ..PaymentMoney::default()
            };
            assert_eq!(money, expected, "{payment:?}");
            assert!(money.kept_minor == 0 || payment.status == PaymentStatus::Booked);
            sum = sum.plus(money);
        }
        assert!(sum.balances() && sum.captured_minor > 0 && sum.kept_minor > 0);
        assert!(self.crashes > 0, "nothing ever crashed");
        println!(
            "{payments} payments, {} crashes, {:?}: {sum:?}",
            self.crashes, self.charges
        );
        self.sale.verified().await;
    }
}
