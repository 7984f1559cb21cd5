//! Goal: whoever tells of a payment first, at whichever host, and whatever is killed meanwhile: one booking, each notice once, none
//! that was acknowledged lost.
//!
//! Method: engines on one SurrealDB server that expire holds at the moment at which their money comes; the program, killed while
//! notices arrive. Counters and payments are recomputed at the end.

use std::{collections::BTreeSet, time::Duration};

use boxoffice_engine::{
    Caller, Engine, Event, HoldTickets, NoticeKind, OpenPayment, PaymentKey, PaymentStatus,
    TellPayment, TenantId,
};
use boxoffice_tests::{
    Account, Client, Patience, Program, SurrealServer, TempFolder,
    api::{customers, event_body, text},
    assert_verified, create_priced_event, email, ensure_customer, organizer_and_tenant, pass_time,
    quick_settings, wait_for,
};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{PRICE, key, sums};

/// An engine on the server whose holds last three seconds.
async fn host(server: &SurrealServer) -> Engine {
    let mut settings = quick_settings();
    settings.bookings.hold_duration = Duration::from_secs(3);
    server
        .engine_with(|builder| builder.settings(settings))
        .await
}

/// An event on the real clock whose tickets cost [`PRICE`].
async fn priced_event(engine: &Engine, organizer: &Caller, tickets: u32) -> Event {
    create_priced_event(engine, organizer, Timestamp::now(), tickets, PRICE as u32).await
}

/// Holds a ticket for each of so many customers and opens their payments `pay-0`, `pay-1`, …
async fn opened(engine: &Engine, tenant: &TenantId, event: &Event, count: usize) -> Vec<Timestamp> {
    let books = Caller::platform(tenant.as_str());
    let all = (0..count).map(|number| {
        let books = &books;
        async move {
            let name = format!("c{number}");
            let person = ensure_customer(engine, tenant, &name, email(&name, tenant)).await;
            let command = HoldTickets::general(event.id, 1);
            let hold = engine.holds().hold_tickets(&person, command).await;
            let hold = hold.expect("a hold");
            let command = OpenPayment {
                hold: hold.id,
                key: key(&format!("pay-{number}")),
                amount_minor: hold.total_minor,
                currency: hold.currency.clone(),
            };
            let opened = engine.payments().open(books, command).await;
            assert_eq!(opened.expect("a payment").status, PaymentStatus::Open);
            hold.expires_at
        }
    });
    join_all(all).await
}

fn captured(key: PaymentKey, notice: &str) -> TellPayment {
    TellPayment {
        payment: key,
        notice: notice.parse().expect("a notice id"),
        kind: NoticeKind::Captured,
        amount_minor: Some(PRICE),
        currency: None,
        at: Timestamp::now(),
    }
}

/// Money comes at the moment at which two hosts end the holds: each hold is confirmed by it or its tickets are booked anew, and
/// either way there is one booking for each payment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captures_race_with_two_hosts_that_expire() {
    const PAYMENTS: usize = 40;
    let server = SurrealServer::start().await;
    let hosts = [host(&server).await, host(&server).await];
    let engine = server.engine().await;
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    let event = priced_event(&engine, &organizer, PAYMENTS as u32).await;
    let last = opened(&hosts[0], &tenant, &event, PAYMENTS).await;
    let last = last.into_iter().max().expect("there are holds");
    let workers: Vec<_> = hosts
        .iter()
        .map(|host| host.worker().spawn_singletons())
        .collect();
    // The hosts go by the real time, and money comes around the moment at which the holds expire.
    pass_time(last.duration_since(Timestamp::now()).unsigned_abs()).await;
    let books = Caller::platform(tenant.as_str());
    let told = (0..PAYMENTS).flat_map(|number| [(number, 0), (number, 1)]);
    let told = join_all(told.map(|(number, at)| {
        let (host, books) = (hosts[at].clone(), books.clone());
        async move {
            pass_time(Duration::from_millis(20 * number as u64)).await;
            let notice = captured(key(&format!("pay-{number}")), "evt-1");
            host.payments().tell(&books, notice).await
        }
    }));
    let mut at_once = BTreeSet::new();
    for payment in told.await {
        let payment = payment.expect("a notice that is taken");
        assert_eq!(payment.money.captured_minor, PRICE, "counted once");
        if payment.status == PaymentStatus::Booked {
            at_once.insert(payment.key);
        }
    }
    println!("{} of {PAYMENTS} were booked at once", at_once.len());
    for number in 0..PAYMENTS {
        let name = key(&format!("pay-{number}"));
        let paid = wait_for(Patience::WORK, "every payment to be booked", || async {
            let payment = engine.payments().show(&books, &name).await;
            let payment = payment.expect("a payment");
            (payment.status == PaymentStatus::Booked).then_some(payment)
        });
        assert_eq!(sums(&paid.await), [PRICE, PRICE, 0, 0, 0, 0]);
    }
    let seen = engine.events().show(&organizer, event.id).await;
    let seen = seen.expect("the event").event;
    let counters = (seen.tickets_sold as usize, seen.tickets_held);
    assert_eq!(counters, (PAYMENTS, 0));
    assert_verified(&engine).await;
    for worker in workers {
        assert!(worker.drain(Duration::from_secs(10)).await);
    }
}

/// Two notices of one payment, each told at both hosts at once: one is kept, the other is due back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captures_of_one_payment_race_at_two_hosts() {
    const PAYMENTS: usize = 12;
    let server = SurrealServer::start().await;
    let hosts = [server.engine().await, server.engine().await];
    let (tenant, organizer, _) = organizer_and_tenant(&hosts[0], "north").await;
    let event = priced_event(&hosts[0], &organizer, 100).await;
    opened(&hosts[0], &tenant, &event, PAYMENTS).await;
    let books = Caller::platform(tenant.as_str());
    let told = (0..PAYMENTS * 4).map(|index| {
        let (host, books) = (hosts[index % 2].clone(), books.clone());
        let name = key(&format!("pay-{}", index / 4));
        let notice = format!("evt-{}", index / 2 % 2);
        async move { host.payments().tell(&books, captured(name, &notice)).await }
    });
    for outcome in join_all(told).await {
        let payment = outcome.expect("a notice that is taken");
        assert!(payment.money.balances(), "{payment:?}");
    }
    for number in 0..PAYMENTS {
        let name = key(&format!("pay-{number}"));
        let paid = hosts[0].payments().show(&books, &name).await;
        let paid = paid.expect("a payment");
        assert_eq!(sums(&paid), [2 * PRICE, PRICE, PRICE, 0, 0, 0]);
        assert_eq!(paid.notices.len(), 2);
    }
    let seen = hosts[1].events().show(&organizer, event.id).await;
    assert_eq!(
        seen.expect("the event").event.tickets_sold as usize,
        PAYMENTS
    );
    assert_verified(&hosts[1]).await;
}

/// Adds an owner to the tenant of a data folder that no program has.
async fn add_owner(data: &str) {
    let add = "user add --tenant demo --email owen@example.org --name Owen --role owner";
    let added = Program::run_command(Account::PASSWORD, |command| {
        command
            .args(add.split(' '))
            .args(["--password-stdin", "--data", data]);
    });
    added.await.expect_success();
}

async fn tell(client: &Client, number: usize) -> Option<Value> {
    let path = format!("/api/payments/acme/pay-{number}/captured");
    let body = json!({"noticeId": "evt-1", "amountMinor": PRICE, "at": "2026-12-01T12:00:00Z"});
    let request = client.request(reqwest::Method::POST, &path).json(&body);
    // Its host may be gone.
    let answer = request.send().await.ok()?;
    match answer.status().as_u16() {
        200 => answer.json().await.ok(),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_that_were_acknowledged_survive_a_kill() {
    const PAYMENTS: usize = 60;
    let data = TempFolder::new("payments-crash");
    let path = data.path().to_str().expect("a path in UTF-8").to_owned();
    let start = || async {
        Program::dev_with(data.path(), &[("BOXOFFICE_BOOKINGS__HOLD_SECONDS", "10")]).await
    };
    // Makes the tenant.
    start().await.stop().await;
    add_owner(&path).await;
    let program = start().await;
    let door = program.client().tenant("demo");
    let owner = door.login("owen@example.org").await.client;
    let organizer = door.register("olga@example.org", "organizer").await.client;
    let types = json!([{"name": "Hall", "capacity": 45, "priceMinor": PRICE}]);
    let body = event_body(json!({"totalTickets": null, "ticketTypes": types}));
    let event = organizer.post("/api/events", body).await.expect(201);
    let scopes = json!({"name": "Till", "scopes": ["payments", "refunds"]});
    let made = owner.post("/api/keys", scopes).await.expect(201);
    let till = door.token(text(&made["secret"]));
    let people = customers(&door, 45).await;
    for (number, person) in people.iter().enumerate() {
        let body = json!({"eventId": event["id"], "numTickets": 1});
        let hold = person.client.post("/api/holds", body).await.expect(201);
        let path = format!("/api/holds/{}/payments", text(&hold["id"]));
        let body = json!({
            "provider": "acme", "reference": format!("pay-{number}"), "amountMinor": PRICE, "currency": "EUR",
        });
        till.post(&path, body).await.expect(201);
    }
    // Some are of nobody: 45 were opened.
    let notices = join_all((0..PAYMENTS).map(|number| {
        let till = &till;
        async move {
            pass_time(Duration::from_millis(10 * number as u64)).await;
            tell(till, number).await.map(|_| number)
        }
    }));
    let kill = async {
        pass_time(Duration::from_millis(250)).await;
        program.kill();
    };
    let (acknowledged, ()) = tokio::join!(notices, kill);
    let acknowledged: BTreeSet<usize> = acknowledged.into_iter().flatten().collect();
    println!("{} notices were acknowledged", acknowledged.len());

    let program = start().await;
    let till = till.at(&program.client());
    for number in &acknowledged {
        let path = format!("/api/payments/acme/pay-{number}");
        let kept = till.get(&path).await.expect(200);
        assert_eq!(kept["notices"][0]["noticeId"], "evt-1", "{kept}");
        assert_eq!(kept["capturedMinor"], PRICE);
    }
    for number in 0..PAYMENTS {
        tell(&till, number).await.expect("a notice that is taken");
    }
    wait_for(Patience::WORK, "no payment to be pending", || async {
        let pending = till.get("/api/payments?status=pending&limit=100").await;
        (pending.expect(200)["items"] == json!([])).then_some(())
    })
    .await;
    let all = till.all("/api/payments").await;
    assert_eq!(all.len(), PAYMENTS);
    let count = |status: &str| all.iter().filter(|one| one["status"] == status).count();
    assert_eq!(count("booked"), 45, "each hold that was paid has a booking");
    assert_eq!(count("unmatched"), PAYMENTS - 45);
    program.stop().await;
    let verified = Program::run(["verify", "--data", &path]).await;
    let sums = format!(
        "demo EUR: captured {} = kept {} + refund due 0 + refunded 0 + pending 0 + unmatched {}",
        PAYMENTS as u64 * PRICE,
        45 * PRICE,
        (PAYMENTS as u64 - 45) * PRICE
    );
    assert!(verified.stderr.contains(&sums), "{verified:?}");
    verified.expect_success();
}
