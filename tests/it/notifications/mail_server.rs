//! Goal: whatever a mail server does, each customer hears once, nobody's trouble is anybody else's, and the ledger
//! says what happened to whom.
//!
//! Method: an engine of this process with the host's SMTP mailer against a real SMTP server that is steered: away,
//! slow, refusing one recipient for good or for a while, cutting the connection after the final dot. Mails are read
//! back with their envelopes and compared with what the ledger says.

use std::collections::BTreeMap;

use boxoffice_engine::{
    BookTickets, Caller, Delivery, DeliveryState, EmailAddress, Engine, Event, Notification,
    NotificationId, PageRequest, TenantId, UserRole, WorkerHandle,
};
use boxoffice_tests::{
    Patience, SmtpServer, create_event, ensure_customer, move_event, organizer_and_tenant,
    wait_for, wait_until,
};
use jiff::Timestamp;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_wait_while_the_server_is_down() {
    let mut server = SmtpServer::start().await;
    server.down();
    let desk = Desk::open(&server).await;
    let customers = desk.customers(&["ann", "ben", "cyd"]).await;
    desk.book(&customers).await;
    let notification = desk.announce("New Hall").await;
    wait_until(Patience::WORK, "a delivery to be deferred", || async {
        desk.show(notification).await.deliveries.deferred > 0
    })
    .await;
    server.up().await;
    let shown = desk.final_state(notification).await;
    assert_eq!((shown.deliveries.sent, shown.deliveries.total()), (3, 3));
    assert_eq!(
        shown.deliveries.ever_unknown, 0,
        "a refused connection leaves no doubt"
    );
    wait_until(Patience::WORK, "confirmations too", || async {
        server.count() >= 6
    })
    .await;
    desk.close().await;
    assert_eq!(per_recipient(&server), expected(&["ann", "ben", "cyd"], 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_is_waited_for() {
    let server = SmtpServer::start().await;
    let desk = Desk::open(&server).await;
    let names = ["slow-1500-ann", "ben", "cyd"];
    desk.tell_all(&server, &names).await;
    desk.close().await;
    assert_eq!(per_recipient(&server), expected(&names, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_recipient_is_dead_with_the_reply_and_the_others_get_theirs() {
    let server = SmtpServer::start().await;
    let desk = Desk::open(&server).await;
    let names: Vec<String> = (0..40)
        .map(|number| format!("c{number}"))
        .chain(["refuse-550-zoe".to_owned()])
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let customers = desk.customers(&names).await;
    desk.book(&customers).await;
    let notification = desk.announce("New Hall").await;
    let shown = desk.final_state(notification).await;
    assert_eq!(
        (
            shown.deliveries.sent,
            shown.deliveries.dead,
            shown.recipients
        ),
        (40, 1, 41)
    );
    let deliveries = desk.deliveries(notification).await;
    let dead: Vec<&Delivery> = deliveries
        .iter()
        .filter(|delivery| delivery.state == DeliveryState::Dead)
        .collect();
    assert_eq!(dead.len(), 1);
    let zoe = customers.last().and_then(Caller::user_id);
    assert_eq!(Some(dead[0].customer), zoe);
    let reason = dead[0].reason.as_deref().unwrap_or_default();
    assert!(
        reason.contains("550") && reason.contains("no mailbox here by that name"),
        "{reason}"
    );
    assert_eq!(dead[0].attempts, 1, "a refusal for good is not tried again");
    wait_until(Patience::WORK, "confirmations too", || async {
        server.count() >= 80
    })
    .await;
    desk.close().await;
    assert_eq!(per_recipient(&server), expected(&names[..40], 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_a_while_is_tried_again() {
    let server = SmtpServer::start().await;
    let desk = Desk::open(&server).await;
    let names = ["later-451-3-ann", "ben"];
    let notification = desk.tell_all(&server, &names).await;
    let deliveries = desk.deliveries(notification).await;
    let attempts: u32 = deliveries.iter().map(|delivery| delivery.attempts).sum();
    assert!(
        (2..=5).contains(&attempts),
        "3 refusals at most, shared with the confirmation: {deliveries:?}"
    );
    desk.close().await;
    assert_eq!(per_recipient(&server), expected(&names, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_after_the_dot_is_unknown_for_bulk_and_sent_again_for_the_rest() {
    let server = SmtpServer::start().await;
    let desk = Desk::open(&server).await;
    // The first mail each of them gets is the confirmation, the second the update.
    let names = ["drop-after-dot-1-ann", "drop-after-dot-2-ben", "cyd"];
    let customers = desk.customers(&names).await;
    desk.book(&customers).await;
    // Ann's and Ben's first confirmations are stored and cut; transactional mails are then sent again. Ben's second is
    // cut too.
    wait_until(Patience::WORK, "the confirmations, some again", || async {
        server.count() >= 1 + 2 + 3
    })
    .await;
    let again: Vec<String> = server
        .mails()
        .into_iter()
        .filter(|mail| mail.mail.is_to(&at_north("drop-after-dot-2-ben")))
        .map(|mail| mail.mail.message_id)
        .collect();
    assert_eq!(again.len(), 3);
    assert!(
        again.iter().all(|id| *id == again[0]),
        "the same Message-ID, so that mail programs fold them: {again:?}"
    );

    let names = ["drop-after-dot-1-dan", "drop-before-store-1-eve", "fay"];
    let late = desk
        .event_of_customers_without_confirmation(&server, &names)
        .await;
    let notification = desk.announce_for(&late, "New Hall").await;
    let shown = desk.final_state(notification).await;
    assert_eq!((shown.deliveries.unknown, shown.deliveries.sent), (2, 1));
    assert_eq!(shown.deliveries.ever_unknown, 2);
    desk.close().await;
    let updates = server.count_per_recipient("New Hall");
    assert_eq!(
        updates.get(&at_north("drop-after-dot-1-dan")),
        Some(&1),
        "stored before the cut, never again"
    );
    assert_eq!(
        updates.get(&at_north("drop-before-store-1-eve")),
        None,
        "bulk mails are sent at most once"
    );
    assert_eq!(updates.get(&at_north("fay")), Some(&1));
}

/// An engine with a tenant, an event and a worker that sends over SMTP.
struct Desk {
    engine: Engine,
    worker: WorkerHandle,
    tenant: TenantId,
    organizer: Caller,
    event: Event,
}

impl Desk {
    async fn open(server: &SmtpServer) -> Self {
        let engine = server.engine().await;
        let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
        assert_eq!(organizer.role(), UserRole::Organizer.into());
        let event = create_event(&engine, &organizer, Timestamp::now(), 1000).await;
        let worker = engine.worker().spawn();
        Self {
            engine,
            worker,
            tenant,
            organizer,
            event,
        }
    }

    /// Customers with these names book and hear of a change, all of them in the end. Returns the change's notification.
    async fn tell_all(&self, server: &SmtpServer, names: &[&str]) -> NotificationId {
        let customers = self.customers(names).await;
        self.book(&customers).await;
        let notification = self.announce("New Hall").await;
        let shown = self.final_state(notification).await;
        assert_eq!(
            (shown.deliveries.sent, shown.deliveries.ever_unknown),
            (names.len() as u64, 0)
        );
        wait_until(Patience::WORK, "confirmations too", || async {
            server.count() >= 2 * names.len()
        })
        .await;
        notification
    }

    /// Customers whose addresses have these local parts, which is how faults are asked for.
    async fn customers(&self, names: &[&str]) -> Vec<Caller> {
        let mut customers = Vec::new();
        for name in names {
            let email = EmailAddress::parse("email", &at_north(name)).expect("an address");
            customers.push(ensure_customer(&self.engine, &self.tenant, name, email).await);
        }
        customers
    }

    async fn book(&self, customers: &[Caller]) {
        for customer in customers {
            let command = BookTickets::general(self.event.id, 1);
            self.engine
                .bookings()
                .book_tickets(customer, command)
                .await
                .expect("a booking");
        }
    }

    /// Makes another event, booked by new customers who have had their confirmation: their next mail is the update.
    ///
    /// Faults count a recipient's mails, so the server is told anew with every start.
    async fn event_of_customers_without_confirmation(
        &self,
        server: &SmtpServer,
        names: &[&str],
    ) -> Event {
        let event = create_event(&self.engine, &self.organizer, Timestamp::now(), 1000).await;
        let plain: Vec<String> = (0..names.len())
            .map(|number| format!("plain{number}"))
            .collect();
        let before = server.count();
        for (plain, name) in plain.iter().zip(names) {
            let email =
                |local: &str| EmailAddress::parse("email", &at_north(local)).expect("an address");
            let customer = ensure_customer(&self.engine, &self.tenant, name, email(plain)).await;
            let command = BookTickets::general(event.id, 1);
            self.engine
                .bookings()
                .book_tickets(&customer, command)
                .await
                .expect("a booking");
        }
        wait_until(Patience::WORK, "confirmations", || async {
            server.count() >= before + names.len()
        })
        .await;
        // The platform brings the addresses up to date: from now on the faults apply.
        self.customers(names).await;
        event
    }

    async fn announce(&self, location: &str) -> NotificationId {
        self.announce_for(&self.event, location).await
    }

    /// Moves an event and answers the notification that tells its customers.
    async fn announce_for(&self, event: &Event, location: &str) -> NotificationId {
        move_event(&self.engine, &self.organizer, event, location)
            .await
            .id
    }

    async fn show(&self, notification: NotificationId) -> Notification {
        self.engine
            .notifications()
            .show(&self.organizer, notification)
            .await
            .expect("a notification")
    }

    async fn final_state(&self, notification: NotificationId) -> Notification {
        wait_for(Patience::WORK, "every delivery to be final", || async {
            let shown = self.show(notification).await;
            let counts = shown.deliveries;
            let open = counts.queued + counts.sending + counts.deferred;
            let is_fanned_out = shown.status == boxoffice_engine::NotificationStatus::FannedOut;
            (is_fanned_out && open == 0 && counts.total() == shown.recipients).then_some(shown)
        })
        .await
    }

    async fn deliveries(&self, notification: NotificationId) -> Vec<Delivery> {
        let page = PageRequest {
            cursor: None,
            limit: 100,
        };
        let page = self
            .engine
            .notifications()
            .deliveries(&self.organizer, notification, page)
            .await;
        let items = page.expect("deliveries").items.into_iter();
        items.map(|delivery| delivery.item).collect()
    }

    /// Ends the worker, so that nothing more is sent.
    async fn close(self) {
        assert!(
            self.worker.drain(Patience::START).await,
            "the worker ends in time"
        );
    }
}

fn at_north(local: &str) -> String {
    format!("{local}@north.test")
}

/// How many mails the server took over for each envelope recipient, each made out to exactly them.
fn per_recipient(server: &SmtpServer) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for mail in server.mails() {
        assert_eq!(
            mail.recipients, mail.mail.to,
            "one recipient, the one it is made out to"
        );
        *counts.entry(mail.recipients[0].clone()).or_default() += 1;
    }
    counts
}

fn expected(names: &[&str], mails: usize) -> BTreeMap<String, usize> {
    names.iter().map(|name| (at_north(name), mails)).collect()
}
