//! The engine that is compared with the model: on a folder, with a clock that is moved, and able to crash.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_engine::{
    AnswerKind, Caller, CancellationStep, CancellationTerms, ChangedObject, Claim, CreateEvent,
    Engine, ErrorCode, Event, EventDetails, EventId, EventStatus, Label, NewTicketType,
    PageRequest, Prose, Question, Reminder, WorkerHandle,
    ports::{BookingView, Decision, HookFailure, Policy},
};
use boxoffice_tests::{
    FakeClock, FeedReader, Patience, TempFolder, email, ensure_customer, organizer_and_tenant,
    pass_time, quick_settings, wait_for,
};

use super::model::{CUSTOMERS_SHARE, Model, PRICE, USES, USES_MAX};

/// How long holds last here.
pub(super) const HOLD_LASTS: Duration = Duration::from_secs(600);

/// How long offers last here.
pub(super) const OFFER_LASTS: Duration = Duration::from_secs(900);

/// An engine on a folder, which can crash.
pub(super) struct Context {
    folder: TempFolder,
    pub(super) clock: Arc<FakeClock>,
    running: Option<(Engine, WorkerHandle)>,
    pub(super) organizer: Caller,
    pub(super) customers: Vec<Caller>,
    /// What it has heard of the changes.
    feed: FeedReader,
    /// The cursor behind which only this sequence's event lies.
    pub(super) verified: Option<String>,
}

impl Context {
    /// What its customers are called.
    pub(super) const NAMES: [&str; 5] = ["ann", "ben", "cal", "dan", "eve"];

    pub(super) async fn make() -> Self {
        let (folder, clock) = (
            TempFolder::new("properties"),
            Arc::new(FakeClock::at("2026-12-01T12:00:00Z")),
        );
        let running = open(&folder, &clock).await;
        let (tenant, organizer, _) = organizer_and_tenant(&running.0, "north").await;
        let mut customers = Vec::new();
        for name in Self::NAMES {
            let address = email(name, &tenant);
            customers.push(ensure_customer(&running.0, &tenant, name, address).await);
        }
        Self {
            folder,
            clock,
            running: Some(running),
            organizer,
            customers,
            verified: None,
            feed: FeedReader::default(),
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.running.as_ref().expect("it runs between crashes").0
    }

    /// Reads the feed of changes until what it told last of each booking and hold is what the store has, and nothing else of the
    /// bookings of this event.
    pub(super) async fn compare_feed(&mut self, event: EventId) {
        let (engine, caller) = (self.engine().clone(), Caller::platform("north"));
        let page = PageRequest {
            cursor: None,
            limit: 100,
        };
        let mut feed = std::mem::take(&mut self.feed);
        for attempt in 0.. {
            feed.read_on(&engine, &caller).await;
            let bookings = engine.bookings();
            let stored = bookings.list_of_event(&caller, event, None, page.clone());
            let stored = stored.await.expect("a list").items.into_iter();
            let stored: BTreeMap<_, _> = stored.map(|one| (one.item.id, one.item)).collect();
            let told = feed.last().into_values();
            let told = told.filter_map(|change| match &change.object {
                Some(ChangedObject::Booking(booking)) if booking.event == event => {
                    Some((booking.id, (**booking).clone()))
                }
                _ => None,
            });
            let told: BTreeMap<_, _> = told.collect();
            if told == stored {
                break;
            }
            // The sequencer, and the sweeper of cancelled events, come a moment later.
            assert!(attempt < 600, "told {told:?}, stored {stored:?}");
            pass_time(Duration::from_millis(50)).await;
        }
        self.feed = feed;
    }

    pub(super) async fn crash(&mut self) {
        drop(self.running.take());
        self.running = Some(open(&self.folder, &self.clock).await);
    }

    pub(super) async fn event(&self, model: &Model) -> Event {
        let types = model.capacities.iter().zip(["Hall", "Balcony"]);
        let command = CreateEvent {
            details: EventDetails {
                title: Label::parse("title", "Any event").expect("one line"),
                description: Prose::default(),
                starts_at: "2036-01-01T00:00:00Z".parse().expect("a moment"),
                ends_at: None,
                time_zone: "Europe/Berlin".to_owned(),
                location: None,
                reminder: Reminder::AsTenant,
                reference: None,
                metadata: Default::default(),
                questions: vec![question()],
                attendees_until: None,
            },
            status: EventStatus::Published,
            ticket_types: types
                .map(|(capacity, name)| ticket_type(name, *capacity))
                .collect(),
            total_tickets: Some(model.total),
            cancellation_terms: CancellationTerms::new(vec![CancellationStep {
                until_hours_before: 0,
                refund_percent: CUSTOMERS_SHARE as u32,
            }])
            .expect("terms"),
            max_tickets_per_customer: None,
        };
        let events = self.engine().events();
        events
            .create(&self.organizer, command)
            .await
            .expect("an event")
    }
}

/// Whether somebody wants a meal.
pub(super) fn question() -> Question {
    Question {
        id: "meal".parse().expect("an id"),
        label: Label::parse("label", "A meal?").expect("one line"),
        kind: AnswerKind::YesNo,
        choices: Vec::new(),
        required: false,
        per_ticket: false,
        ticket_types: Vec::new(),
    }
}

/// A booking with a code takes some of the code's uses.
struct UsesOfCodes;

#[async_trait]
impl Policy for UsesOfCodes {
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure> {
        let claims = request.details.codes.iter().map(|code| Claim {
            key: code.to_string().parse().expect("a key"),
            limit: USES_MAX,
            amount: USES,
        });
        Ok(Decision::claiming(request, claims.collect()))
    }
}

pub(super) fn ticket_type(name: &str, capacity: u32) -> NewTicketType {
    NewTicketType {
        name: Label::parse("name", name).expect("one line"),
        price_minor: PRICE as u32,
        ..NewTicketType::general(capacity)
    }
}

async fn open(folder: &TempFolder, clock: &Arc<FakeClock>) -> (Engine, WorkerHandle) {
    let mut settings = quick_settings();
    settings.bookings.hold_duration = HOLD_LASTS;
    settings.bookings.offer_duration = OFFER_LASTS;
    // Looks for due holds every 50 ms.
    settings.worker.singleton_lease = Duration::from_millis(150);
    // The last engine's store closes behind our back.
    let engine = wait_for(Patience::START, "the store to open", || async {
        let engine = Engine::builder()
            .embedded(folder.join("store"))
            .settings(settings.clone())
            .policy(UsesOfCodes)
            .clock(clock.clone());
        match engine.build().await {
            Err(error) if error.code() == ErrorCode::StoreInUse => None,
            engine => Some(engine.expect("the store opens")),
        }
    })
    .await;
    let worker = engine.worker().spawn_singletons();
    (engine, worker)
}
