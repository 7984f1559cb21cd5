//! The engine, and the handles to its use cases.
//!
//! Called by hosts and platforms. Every handle shares one context.

use std::{sync::Arc, time::Duration};

use crate::{
    app_modules::{
        ApiKeys, Bookings, Changes, CheckIns, Claims, DeliveryAdmin, Events, Holds, Imports,
        Notifications, Operators, Payments, Plugins, Receipts, Sessions, Subscriptions, Tenants,
        Users, Waitlist,
    },
    context::EngineContext,
    counters::Counts,
    error::Result,
    ports::Queue,
    worker::Worker,
};

/// A booking engine: cheap to clone, safe to share.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<EngineContext>);

impl Engine {
    /// Use cases of bookings.
    pub fn bookings(&self) -> Bookings {
        Bookings(self.0.clone())
    }

    /// Use cases of holds.
    pub fn holds(&self) -> Holds {
        Holds(self.0.clone())
    }

    /// Use cases of waiting lists.
    pub fn waitlist(&self) -> Waitlist {
        Waitlist(self.0.clone())
    }

    /// Use cases of check-ins.
    pub fn check_ins(&self) -> CheckIns {
        CheckIns(self.0.clone())
    }

    /// Use cases of events.
    pub fn events(&self) -> Events {
        Events(self.0.clone())
    }

    /// Use cases of imports.
    pub fn imports(&self) -> Imports {
        Imports(self.0.clone())
    }

    /// Use cases of users.
    pub fn users(&self) -> Users {
        Users(self.0.clone())
    }

    /// Use cases of sessions.
    pub fn sessions(&self) -> Sessions {
        Sessions(self.0.clone())
    }

    /// Use cases of API keys.
    pub fn api_keys(&self) -> ApiKeys {
        ApiKeys(self.0.clone())
    }

    /// Use cases of tenants.
    pub fn tenants(&self) -> Tenants {
        Tenants(self.0.clone())
    }

    /// Use cases of operators.
    pub fn operators(&self) -> Operators {
        Operators(self.0.clone())
    }

    /// Use cases of subscriptions to bulk mails.
    pub fn subscriptions(&self) -> Subscriptions {
        Subscriptions(self.0.clone())
    }

    /// Use cases of notifications.
    pub fn notifications(&self) -> Notifications {
        Notifications(self.0.clone())
    }

    /// Use cases of delivery administration.
    pub fn delivery_admin(&self) -> DeliveryAdmin {
        DeliveryAdmin(self.0.clone())
    }

    /// Counters of this process since it started.
    pub fn counts(&self) -> Counts {
        self.0.context.counters.read()
    }

    /// Use cases of the tenants' counters, of which bookings claim something.
    pub fn claims(&self) -> Claims {
        Claims(self.0.clone())
    }

    /// Use cases of the feed of changes.
    pub fn changes(&self) -> Changes {
        Changes(self.0.clone())
    }

    /// Use cases of payments and refunds.
    pub fn payments(&self) -> Payments {
        Payments(self.0.clone())
    }

    /// Use cases of receipts and credit notes.
    pub fn receipts(&self) -> Receipts {
        Receipts(self.0.clone())
    }

    /// Use cases of plugins.
    pub fn plugins(&self) -> Plugins {
        Plugins(self.0.clone())
    }

    /// The job queue: the embedded one, or the platform's. For inspection and for
    /// tests of queues. The worker does not get a task that is fetched here.
    pub fn queue(&self) -> Arc<dyn Queue> {
        self.0.queue.clone()
    }

    /// The worker. Start it in at least one process.
    pub fn worker(&self) -> Worker {
        Worker(self.0.clone())
    }

    /// Closes an embedded store and waits for that; its folder can then be opened again, or copied. Without this call a
    /// dropped engine's store closes a moment later, or not at all if the process ends first. Acknowledged writes are
    /// safe in any case. Returns false if it took longer than `limit`: something else still has a handle, such as
    /// another clone of the engine or a worker that was not drained. With other stores it returns at once.
    pub async fn close(self, limit: Duration) -> bool {
        let closing = self.0.modules.closing();
        drop(self);
        closing.wait(limit).await
    }

    /// Reads a row, for readiness checks. Gives up after 2 seconds.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn ping(&self) -> Result<()> {
        self.0.modules.ping().await
    }

    /// Checks whether this process can serve: the store answers, and every active plugin is loaded.
    /// Starts to load missing plugins in the background.
    ///
    /// # Errors
    /// `unavailable` says what is missing.
    pub async fn ready(&self) -> Result<()> {
        self.ping().await?;
        self.0.has_all_plugins().await
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::{
        app_modules::ReceiptJobs,
        types::{
            BookTickets, BookingReceipt, Caller, CreateEvent, CreateTenant, EmailAddress,
            EnsureUser, Label, PageRequest, TenantId,
        },
    };

    fn label(text: &str) -> Label {
        Label::parse("name", text).unwrap()
    }

    /// A tenant whose receipts are on, with as many bookings.
    async fn sold(engine: &Engine, count: usize) -> Caller {
        let id = TenantId::parse("north").unwrap();
        let mut tenant = CreateTenant::new(id, label("North"), "EUR");
        tenant.settings.receipts.is_on = true;
        let made = engine.tenants().create(&Caller::operator(), tenant).await;
        made.unwrap();
        let caller = Caller::platform("north");
        let starts_at = Timestamp::now() + SignedDuration::from_hours(24);
        let mut event = CreateEvent::general(label("Jazz"), starts_at, 1_000);
        event.ticket_types[0].price_minor = 1_000;
        let event = engine.events().create(&caller, event).await.unwrap();
        for number in 0..count {
            let user = EnsureUser {
                external_id: number.to_string(),
                name: label("Ann"),
                email: EmailAddress::parse("email", &format!("c{number}@example.org")).unwrap(),
                metadata: None,
            };
            let user = engine.users().ensure(&caller, user).await.unwrap();
            let customer = caller.on_behalf_of(user.id);
            let command = BookTickets::general(event.id, 1);
            let booked = engine.bookings().book_tickets(&customer, command).await;
            booked.unwrap();
        }
        caller
    }

    async fn all(engine: &Engine, caller: &Caller) -> Vec<BookingReceipt> {
        let (mut all, mut request) = (Vec::new(), PageRequest::default());
        loop {
            let page = engine.receipts().list(caller, None, request).await.unwrap();
            all.extend(page.items);
            match page.next {
                Some(cursor) => {
                    request = PageRequest {
                        cursor: Some(cursor),
                        limit: 100,
                    }
                }
                None => return all,
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn those_who_number_at_the_same_time_leave_no_gap_and_give_no_number_twice() {
        const BOOKINGS: usize = 40;
        let engine = Engine::builder().build().await.unwrap();
        let caller = sold(&engine, BOOKINGS).await;
        // Without the lease of the worker: only the transaction's guard keeps them apart.
        let jobs = (0..8).map(|_| {
            let jobs = ReceiptJobs(engine.0.clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    jobs.number_due().await.unwrap();
                }
            })
        });
        for ended in join_all(jobs).await {
            ended.unwrap();
        }
        let receipts = all(&engine, &caller).await;
        assert_eq!(receipts.len(), BOOKINGS);
        let numbers = receipts
            .iter()
            .map(|receipt| receipt.number.as_ref().unwrap().sequence);
        assert!(numbers.eq(1..=BOOKINGS as u64));
        let (operators, operator) = (engine.operators(), Caller::operator());
        let page = PageRequest::default();
        let verdicts = operators.verify_receipts(&operator, page).await;
        let verdicts = verdicts.unwrap().items;
        assert_eq!(verdicts.len(), 1);
        assert_eq!(verdicts[0].difference, None);
        assert_eq!(verdicts[0].receipts, BOOKINGS as u64);
    }
}
