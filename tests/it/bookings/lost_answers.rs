//! Goal: a connection to the database that breaks at the worst moment, a crowd beyond the bound, and an organizer who edits
//! while everybody buys: no booking twice, none lost, no counter reset, and nobody refused for somebody else's reason.
//!
//! Method: an engine behind a small TCP proxy that ends the connection instead of passing on an answer, first that to the
//! question, then that to the COMMIT, and so on; engines with a low bound, and two engines on one server. After each, all
//! counters are recomputed by an engine with a connection of its own.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
};

use boxoffice_engine::{
    BookLine, BookTickets, Booking, Caller, CancelTickets, Engine, ErrorCode, Event,
    IdempotencyKey, Label, NewTicketType, PageRequest, Settings, UpdateEvent,
};
use boxoffice_tests::{
    Patience, SurrealServer, TestPlatform, assert_verified, create_event, email, ensure_customer,
    organizer_and_tenant, quick_settings, wait_for, wait_until,
};
use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Passes bytes on between an engine and its server, until it is told to swallow an answer.
struct Proxy {
    address: String,
    /// Answers that still pass before one is swallowed and the connection ends; negative while all pass.
    answers_left: Arc<AtomicI64>,
}

impl Proxy {
    async fn to(server: &SurrealServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound socket").to_string();
        let target = server.url().trim_start_matches("ws://").to_owned();
        let answers_left = Arc::new(AtomicI64::new(-1));
        let left = answers_left.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                tokio::spawn(pass_on(client, server, left.clone()));
            }
        });
        Self {
            address,
            answers_left,
        }
    }

    /// Ends the connection instead of passing on the answer after `answers` more.
    fn cut_after(&self, answers: i64) {
        self.answers_left.store(answers, Ordering::SeqCst);
    }

    fn has_cut(&self) -> bool {
        self.answers_left.load(Ordering::SeqCst) < 0
    }
}

async fn pass_on(client: TcpStream, server: TcpStream, answers_left: Arc<AtomicI64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
        // One answer of the sizes that occur here comes in one piece.
        let before = answers_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            (left >= 0).then_some(left - 1)
        });
        if before == Ok(0) || to_client.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    up.abort();
}

async fn engine_at(url: String, settings: Settings) -> Engine {
    let store = SurrealServer::store_at(url);
    let engine = Engine::builder().store(store).settings(settings);
    engine
        .build()
        .await
        .expect("an engine on the server starts")
}

async fn listed(engine: &Engine, organizer: &Caller, event: &Event) -> Vec<Booking> {
    let page = PageRequest {
        cursor: None,
        limit: 100,
    };
    let bookings = engine.bookings();
    let list = bookings
        .list_of_event(organizer, event.id, None, page)
        .await;
    let list = list.expect("a list").items.into_iter();
    list.map(|listed| listed.item).collect()
}

/// An engine behind a proxy, one beside it, and who uses them.
struct Proxied {
    engine: Engine,
    proxy: Proxy,
    direct: Engine,
    organizer: Caller,
    ann: Caller,
    _server: SurrealServer,
}

impl Proxied {
    async fn start() -> Self {
        let server = SurrealServer::start().await;
        let direct = server.engine().await;
        let (tenant, organizer, _) = organizer_and_tenant(&direct, "north").await;
        let ann = ensure_customer(&direct, &tenant, "ann", email("ann", &tenant)).await;
        let proxy = Proxy::to(&server).await;
        let engine = engine_at(format!("ws://{}", proxy.address), quick_settings()).await;
        Self {
            engine,
            proxy,
            direct,
            organizer,
            ann,
            _server: server,
        }
    }

    async fn event(&self, tickets: u32) -> Event {
        let now = jiff::Timestamp::now();
        create_event(&self.direct, &self.organizer, now, tickets).await
    }
}

/// The write of a plan on stale knowledge fails, and nobody hears of it: what became of it can be read all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_refusal_of_a_stale_plan_is_no_unknown_outcome() {
    let proxied = Proxied::start().await;
    let (engine, direct, proxy) = (&proxied.engine, &proxied.direct, &proxied.proxy);
    let ann = &proxied.ann;
    let event = proxied.event(2).await;
    let order = || BookTickets::general(event.id, 1);
    let first = engine.bookings().book_tickets(ann, order()).await;
    first.expect("two are left");
    let last = direct.bookings().book_tickets(ann, order()).await;
    last.expect("one is left");

    proxy.cut_after(0);
    let refused = engine.bookings().book_tickets(ann, order()).await;
    let refused = refused.expect_err("none is left");
    assert!(proxy.has_cut());
    assert_eq!(refused.code(), ErrorCode::NotEnoughTickets, "{refused:?}");
    assert_verified(direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_at_the_commit_books_once() {
    let proxied = Proxied::start().await;
    let (engine, direct, proxy) = (&proxied.engine, &proxied.direct, &proxied.proxy);
    let (organizer, ann) = (&proxied.organizer, &proxied.ann);
    let mut acknowledged = 0;
    // A first booking of an event asks twice: what it is decided on, and the transaction itself. A later one asks once, and
    // reads after the cut.
    let cases = [
        (0, false, false),
        (1, false, false),
        (1, true, false),
        (0, true, false),
        (0, false, true),
        (0, true, true),
    ];
    for (answers, with_key, is_known) in cases {
        let event = proxied.event(10).await;
        let before = usize::from(is_known);
        if is_known {
            let first = BookTickets::general(event.id, 1);
            let first = engine.bookings().book_tickets(ann, first).await;
            first.expect("a connection that is there again");
        }
        let key = format!("once-{answers}-{is_known}");
        let key = IdempotencyKey::parse(&key).expect("visible ASCII");
        let command = BookTickets {
            idempotency_key: with_key.then_some(key),
            ..BookTickets::general(event.id, 2)
        };
        proxy.cut_after(answers);
        let first = engine.bookings().book_tickets(ann, command.clone()).await;
        assert!(proxy.has_cut(), "the connection was to be cut");
        proxy.cut_after(-1);
        let mut there = listed(direct, organizer, &event).await;
        // The newest last: ids of one customer and event are in the order of their time.
        there.drain(..before);
        let outcome = first.as_ref().map(|booking| booking.id.to_string());
        println!(
            "cut after {answers} answers, key {with_key}, known {is_known}: {outcome:?}, {} there",
            there.len()
        );
        match &first {
            Ok(booking) => {
                acknowledged += 1;
                assert_eq!(there.len(), 1, "what was acknowledged is there, once");
                assert_eq!(there[0].id, booking.id);
            }
            Err(error) => {
                let honest = [ErrorCode::OutcomeUnknown, ErrorCode::Unavailable];
                assert!(honest.contains(&error.code()), "{error:?}");
                assert!(there.len() <= 1);
                // Only "outcome unknown" may leave a booking behind.
                assert!(there.is_empty() || error.code() == ErrorCode::OutcomeUnknown);
            }
        }
        if with_key {
            let again = engine.bookings().book_tickets(ann, command).await;
            let again = again.expect("a connection that is there again");
            let there = listed(direct, organizer, &event).await;
            assert_eq!(there.len(), before + 1, "the same key books once");
            assert_eq!(there[before].id, again.id);
            assert!(first.is_err() || first.is_ok_and(|first| first.id == again.id));
        }
        assert_verified(direct).await;
    }
    assert!(acknowledged > 0, "a lost answer is settled by the marker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_while_tickets_are_cancelled_cancels_each_once() {
    let proxied = Proxied::start().await;
    let (engine, direct, proxy) = (&proxied.engine, &proxied.direct, &proxied.proxy);
    let ann = &proxied.ann;
    let event = proxied.event(20).await;
    let command = BookTickets::general(event.id, 20);
    let booking = direct.bookings().book_tickets(ann, command).await;
    let booking = booking.expect("a booking");
    let command = CancelTickets {
        lines: Some(vec![BookLine {
            ticket_type: None,
            quantity: 1,
        }]),
        ..CancelTickets::all(booking.id)
    };
    let (mut left, mut acknowledged) = (20, 0);
    // Reading who asks, what is decided on, and the transaction: somewhere among these is the COMMIT.
    for answers in 0..8 {
        wait_for(
            Patience::WORK,
            "a connection that is there again",
            || async { engine.bookings().show(ann, booking.id).await.ok() },
        )
        .await;
        proxy.cut_after(answers);
        let cancelled = engine.bookings().cancel_tickets(ann, command.clone()).await;
        proxy.cut_after(-1);
        let now = direct.bookings().show(ann, booking.id).await;
        let now = now.expect("the booking");
        let now = match now.cancelled {
            None => now.tickets(),
            Some(_) => 0,
        };
        let outcome = cancelled.as_ref().map(Booking::tickets);
        println!("cut after {answers} answers: {outcome:?}, {now} of {left} left");
        match cancelled {
            Ok(booking) => {
                acknowledged += 1;
                assert_eq!((booking.tickets(), now), (left - 1, left - 1));
            }
            Err(error) if error.code() == ErrorCode::OutcomeUnknown => {
                assert!([left, left - 1].contains(&now), "{now} of {left}");
            }
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::Unavailable, "{error:?}");
                assert_eq!(now, left, "what was refused is not done");
            }
        }
        left = now;
        assert_verified(direct).await;
    }
    assert!(acknowledged > 0, "a lost answer is settled by the booking");
}

#[tokio::test]
async fn a_full_lane_refuses_at_once_and_loses_nothing() {
    const REQUESTS: usize = 40;
    let mut settings = quick_settings();
    settings.limits.event_queue_max = 3;
    let platform = TestPlatform::with(|builder| builder.settings(settings)).await;
    platform.may_owe();
    let tenant = platform.tenant("north").await;
    let organizer = platform
        .user(&tenant, "olga", boxoffice_engine::UserRole::Organizer)
        .await;
    let ann = platform.customer(&tenant, "ann").await;
    let event = platform.event(&organizer, 100).await;
    let other = platform.event(&organizer, 100).await;
    let bookings = platform.engine.bookings();
    let book = async |event: &Event| {
        let command = BookTickets::general(event.id, 1);
        bookings.book_tickets(&ann, command).await
    };
    // From then on the tenant's plugins are known, and nothing is read before the lane.
    book(&other).await.expect("a first booking");
    // All of them enter before the lane's task gets its first turn on this one thread.
    let (answers, elsewhere) =
        tokio::join!(join_all((0..REQUESTS).map(|_| book(&event))), book(&other));
    elsewhere.expect("another event's lane is its own");
    let booked = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(booked, 3, "those who found room");
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refused.code(), ErrorCode::EventBusy);
        assert!(refused.retry_after_hint().is_some(), "when to try again");
    }
    book(&event).await.expect("there is room again");
    let seen = platform.engine.events().show(&organizer, event.id).await;
    assert_eq!(
        seen.expect("the event").event.tickets_sold as usize,
        booked + 1
    );
    assert_verified(&platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organizer_edits_while_everybody_buys_at_two_hosts() {
    const BUYERS: usize = 60;
    const EDITS: u32 = 12;
    let server = SurrealServer::start().await;
    let hosts = [server.engine().await, server.engine().await];
    let (tenant, organizer, _) = organizer_and_tenant(&hosts[0], "north").await;
    let now = jiff::Timestamp::now();
    let event = create_event(&hosts[0], &organizer, now, 1_000).await;
    let mut people = Vec::new();
    for number in 0..6 {
        let name = format!("c{number}");
        let address = email(&name, &tenant);
        people.push(ensure_customer(&hosts[0], &tenant, &name, address).await);
    }
    let edits = AtomicU32::new(0);
    let buying = join_all((0..BUYERS).map(|index| {
        let (host, person, edits) = (&hosts[index % 2], &people[index % people.len()], &edits);
        let command = BookTickets::general(event.id, 1);
        async move {
            // Five for each edit, all the way through.
            let begun = u32::try_from(index / 5).expect("few");
            wait_until(Patience::WORK, "an edit", || async {
                edits.load(Ordering::Relaxed) >= begun
            })
            .await;
            host.bookings().book_tickets(person, command).await
        }
    }));
    let editing = async {
        for edit in 0..EDITS {
            let events = hosts[0].events();
            let seen = events.show(&organizer, event.id).await;
            let seen = seen.expect("the event").event;
            let mut details = seen.details.clone();
            details.title = Label::parse("title", &format!("Jazz {edit}")).expect("one line");
            let command = UpdateEvent {
                event: seen.id,
                expected_version: seen.version,
                details,
                status: seen.status,
                ticket_types: vec![NewTicketType::general(1_000 + edit)],
                total_tickets: None,
                cancellation_terms: Default::default(),
                max_tickets_per_customer: None,
                notify_customers: Some(false),
            };
            let changed = events.update(&organizer, command).await;
            let changed = changed.expect("bookings are no other version");
            assert_eq!(changed.event.version, seen.version + 1);
            assert!(
                changed.event.tickets_sold >= seen.tickets_sold,
                "a counter was reset"
            );
            edits.fetch_add(1, Ordering::Relaxed);
        }
    };
    let (answers, ()) = tokio::join!(buying, editing);
    let mut refusals: BTreeMap<&str, usize> = BTreeMap::new();
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        *refusals.entry(refused.code().as_str()).or_default() += 1;
    }
    assert!(refusals.is_empty(), "{refusals:?}");
    let seen = hosts[1].events().show(&organizer, event.id).await;
    let seen = seen.expect("the event").event;
    assert_eq!(
        (seen.tickets_sold as usize, seen.total_tickets, seen.version),
        (BUYERS, 1_000 + EDITS - 1, u64::from(EDITS) + 1)
    );
    assert_verified(&hosts[0]).await;
}
