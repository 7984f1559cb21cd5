//! Goal: every tenant has the built-in policies without an upload. Owners activate them with a checked configuration in the same list as
//! plugins, what they count holds in races, and what they decided is recorded and can be made again.
//!
//! Method: over the API and over the engine, on an engine in memory; then many customers with one code at once.

use boxoffice_engine::{
    ActivatePlugin, BookTickets, Booking, Caller, Error, EventId, HoldTickets, NewBookingDetails,
    PageRequest, PluginName, PluginSet, QuoteTickets, UploadPlugin, UserRole,
    ports::BuiltInRequest,
};
use boxoffice_tests::{
    Account, Component,
    api::{Api, text},
    assert_verified, create_priced_event,
};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{Fixture, code, price};

const PROMO: &str = "boxoffice.promo-codes";

fn name(text: &str) -> PluginName {
    text.parse().expect("a name")
}

/// Says nothing but the name and the configuration.
fn with_config(policy: &str, config: &Value) -> ActivatePlugin {
    ActivatePlugin {
        name: name(policy),
        event: None,
        version: None,
        config: Some(config.to_string()),
        when_not_loaded: None,
        sees_identity: None,
        limits: None,
        enabled: None,
        position: None,
        fixtures: Vec::new(),
        skip_trial: false,
    }
}

/// A tenant of [`Fixture`] with an event whose tickets cost 10.00.
struct CatalogueFixture {
    at: Fixture,
    event: EventId,
}

impl CatalogueFixture {
    async fn make() -> Self {
        let at = Fixture::make().await;
        let event = Self::priced(&at).await;
        Self { at, event }
    }

    async fn priced(at: &Fixture) -> EventId {
        use boxoffice_engine::ports::Clock as _;
        let (engine, now) = (&at.platform.engine, at.platform.clock.now());
        let event = create_priced_event(engine, &at.organizer, now, 1_000, 1_000).await;
        event.id
    }

    async fn activate(&self, policy: &str, config: Value) -> PluginSet {
        let command = with_config(policy, &config);
        self.activated(command).await.expect("an activation")
    }

    async fn activated(&self, command: ActivatePlugin) -> Result<PluginSet, Error> {
        let plugins = self.at.platform.engine.plugins();
        let activation = plugins.activate(&self.at.owner, command).await?;
        Ok(activation.set)
    }

    async fn book(&self, who: &Caller, tickets: u32, codes: &[&str]) -> Result<Booking, Error> {
        let command = wish(self.event, tickets, codes);
        let bookings = self.at.platform.engine.bookings();
        bookings.book_tickets(who, command).await
    }

    /// What is used of each counter whose key has this part.
    async fn used(&self, part: &str) -> Vec<u64> {
        let claims = self.at.platform.engine.claims();
        let owner = Caller::platform("north");
        let page = claims.list(&owner, PageRequest::default()).await;
        let counters = page.expect("counters").items.into_iter();
        let own = counters.filter(|counter| counter.key.as_str().contains(part));
        own.map(|counter| counter.used).collect()
    }
}

fn wish(event: EventId, tickets: u32, codes: &[&str]) -> BookTickets {
    let codes = codes.iter().map(|code| code.parse().expect("a code"));
    BookTickets {
        details: NewBookingDetails {
            codes: Some(codes.collect()),
            ..NewBookingDetails::default()
        },
        ..BookTickets::general(event, tickets)
    }
}

/// The policy's own code of a refusal.
#[track_caller]
fn refusal(outcome: Result<Booking, Error>) -> String {
    let error = outcome.expect_err("a refusal");
    assert_eq!(error.code().as_str(), "policy-rejected", "{error:?}");
    error.policy_code_text().expect("a code").to_owned()
}

/// The API with an owner.
async fn owned_api() -> (Api, Account) {
    let api = Api::start().await;
    let tenant = boxoffice_engine::TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    let owner = api.door.login("owen@north.test").await;
    (api, owner)
}

async fn activate_at(owner: &Account, policy: &str, body: Value) -> boxoffice_tests::Answer {
    let path = format!("/api/plugins/{policy}/activate");
    owner.client.post(&path, body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_has_every_policy_and_each_example_is_activated() {
    let (api, owner) = owned_api().await;
    let policies = owner.client.get("/api/policy-catalogue").await.expect(200);
    let items = policies["items"].as_array().expect("items");
    let names: Vec<_> = items.iter().map(|policy| text(&policy["name"])).collect();
    assert_eq!(
        names,
        [
            "boxoffice.access-codes",
            "boxoffice.early-bird",
            "boxoffice.group-discount",
            "boxoffice.members-only",
            "boxoffice.minimum-age",
            "boxoffice.per-customer-maximum",
            "boxoffice.promo-codes",
        ]
    );
    let mut version = 0;
    for policy in items {
        assert_eq!(policy["rules"], 1);
        assert_eq!(policy["configSchema"]["type"], "object");
        let sees_identity = policy["name"] == "boxoffice.members-only";
        let body = json!({"config": policy["configExample"], "seesIdentity": sees_identity});
        let set = activate_at(&owner, text(&policy["name"]), body).await;
        let set = set.expect(200);
        version += 1;
        assert_eq!(set["version"], version);
        let last = set["items"].as_array().and_then(|items| items.last());
        let last = last.expect("an item");
        assert_eq!(
            (&last["name"], &last["version"]),
            (&policy["name"], &policy["version"])
        );
        assert_eq!(
            (&last["rules"], &last["config"]),
            (&json!(1), &policy["configExample"])
        );
    }
    for other in [&api.organizer, &api.customer] {
        let refused = other.client.get("/api/policy-catalogue").await;
        refused.problem(403, "forbidden");
        let refused = activate_at(other, PROMO, json!({"config": {}})).await;
        refused.problem(403, "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_configuration_is_refused_with_its_place_and_changes_nothing() {
    let (_api, owner) = owned_api().await;
    let right = json!({"codes": ["SPRING"], "discount": {"percent": 20}});
    for (body, field) in [
        (json!({}), "config.discount"),
        (json!({"config": {"codes": ["A"]}}), "config.discount"),
        (
            json!({"config": {"codes": ["A", ""], "discount": {"percent": 20}}}),
            "config.codes[1]",
        ),
        (
            json!({"config": {"codes": ["A"], "discount": {"percent": 120}}}),
            "config.discount.percent",
        ),
        (
            json!({"config": {"discount": {"percent": 20}}}),
            "config.codes",
        ),
        (
            json!({"config": right, "seesIdentity": true}),
            "seesIdentity",
        ),
        (json!({"config": right, "limits": {"timeMs": 5}}), "limits"),
        (json!({"config": right, "fixtures": [{}]}), "fixtures"),
    ] {
        let refused = activate_at(&owner, PROMO, body).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    let config = json!({"codes": ["A"], "discount": {"percent": 20}, "uses": 1});
    let refused = activate_at(&owner, PROMO, json!({"config": config})).await;
    refused
        .problem(422, "unknown-field")
        .at_field("config.uses");
    let members = json!({"config": {"emailDomains": ["club.example"]}});
    let refused = activate_at(&owner, "boxoffice.members-only", members).await;
    refused
        .problem(422, "field-invalid")
        .at_field("seesIdentity");
    let unknown = activate_at(&owner, "boxoffice.free-beer", json!({"config": {}})).await;
    unknown.problem(404, "not-found");
    let other = json!({"config": right, "version": "0".repeat(64)});
    activate_at(&owner, PROMO, other)
        .await
        .problem(404, "not-found");
    let set = owner.client.get("/api/plugins").await.expect(200);
    assert_eq!((&set["version"], &set["items"]), (&json!(0), &json!([])));
    // A stored configuration is not replaced by a wrong one.
    activate_at(&owner, PROMO, json!({"config": right}))
        .await
        .expect(200);
    let refused = activate_at(&owner, PROMO, json!({"config": {}})).await;
    refused
        .problem(422, "field-invalid")
        .at_field("config.discount");
    let set = owner.client.get("/api/plugins").await.expect(200);
    assert_eq!(set["items"][0]["config"], right);
    let back = format!("/api/plugins/{PROMO}/roll-back");
    let refused = owner.client.post(&back, json!({})).await;
    refused.problem(409, "plugin-not-ready");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_upload_takes_the_name_of_a_built_in_policy() {
    let scene = CatalogueFixture::make().await;
    let plugins = scene.at.platform.engine.plugins();
    for taken in [PROMO, "boxoffice.promo-codes.spring", "boxoffice.other"] {
        let command = UploadPlugin {
            name: name(taken),
            bytes: Component::rejecting().into(),
        };
        let refused = plugins.upload(&scene.at.owner, command).await;
        let error = refused.expect_err("a refusal");
        assert_eq!(
            (error.code().as_str(), error.field_name()),
            ("field-invalid", Some("name"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_with_twenty_uses_is_used_twenty_times_and_a_cancellation_gives_one_back() {
    let scene = CatalogueFixture::make().await;
    let config = json!({"codes": ["SPRING"], "discount": {"percent": 20}, "usesMax": 20, "usesPerCustomerMax": 1});
    scene.activate(PROMO, config).await;
    let mut people = Vec::new();
    for index in 0..60 {
        let person = format!("p{index}");
        people.push(scene.at.platform.customer(&scene.at.tenant, &person).await);
    }
    let racing = people
        .iter()
        .map(|person| scene.book(person, 2, &["SPRING"]));
    let outcomes = join_all(racing).await;
    let (made, refused): (Vec<_>, Vec<_>) = outcomes
        .into_iter()
        .enumerate()
        .partition(|(_, outcome)| outcome.is_ok());
    assert_eq!(made.len(), 20);
    for (_, outcome) in refused {
        assert_eq!(code(outcome), "claim-exhausted");
    }
    assert_eq!(scene.used("promo-codes/all").await, [20]);
    let (index, first) = &made[0];
    let first = first.as_ref().expect("a booking");
    assert_eq!(price(&first.lines), 800);
    let bookings = scene.at.platform.engine.bookings();
    let cancelled = bookings.cancel(&people[*index], first.id).await;
    cancelled.expect("a cancellation");
    assert_eq!(scene.used("promo-codes/all").await, [19]);
    // The customer has their own use back, and takes the last one of all.
    scene
        .book(&people[*index], 1, &["SPRING"])
        .await
        .expect("a booking");
    assert_eq!(
        code(scene.book(&people[59], 1, &["SPRING"]).await),
        "claim-exhausted"
    );
    assert_verified(&scene.at.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_customer_has_uses_of_their_own_and_activations_count_apart() {
    let scene = CatalogueFixture::make().await;
    let config = json!({"codes": ["A"], "discount": {"amountMinor": 100}, "usesPerCustomerMax": 1});
    scene
        .activate("boxoffice.promo-codes.one", config.clone())
        .await;
    let other = json!({"codes": ["B"], "discount": {"amountMinor": 100}, "usesPerCustomerMax": 1});
    scene.activate("boxoffice.promo-codes.two", other).await;
    let (ann, bob) = (
        &scene.at.customer,
        scene.at.platform.customer(&scene.at.tenant, "bob").await,
    );
    let both = scene.book(ann, 1, &["A", "B"]).await.expect("a booking");
    assert_eq!(
        price(&both.lines),
        800,
        "both lower the price, one after the other"
    );
    assert_eq!(code(scene.book(ann, 1, &["A"]).await), "claim-exhausted");
    assert_eq!(code(scene.book(ann, 1, &["B"]).await), "claim-exhausted");
    let own = scene.book(&bob, 1, &["A"]).await.expect("a booking");
    assert_eq!(price(&own.lines), 900);
    // For one event the same name is another activation, with counters of its own.
    let for_event = ActivatePlugin {
        event: Some(scene.event),
        ..with_config(
            "boxoffice.promo-codes.three",
            &json!({"codes": ["C"], "discount": {"percent": 50}, "usesMax": 1}),
        )
    };
    let elsewhere = ActivatePlugin {
        event: Some(scene.at.event.id),
        ..for_event.clone()
    };
    scene.activated(for_event).await.expect("an activation");
    scene.activated(elsewhere).await.expect("an activation");
    scene.book(&bob, 1, &["C"]).await.expect("a booking");
    assert_eq!(code(scene.book(&bob, 1, &["C"]).await), "claim-exhausted");
    let bookings = scene.at.platform.engine.bookings();
    let there = bookings
        .book_tickets(&bob, wish(scene.at.event.id, 1, &["C"]))
        .await;
    there.expect("a booking of the other event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_shows_the_price_and_claims_nothing() {
    let scene = CatalogueFixture::make().await;
    let config = json!({"codes": ["SPRING"], "discount": {"percent": 25}, "usesMax": 1, "message": "A quarter off."});
    scene.activate(PROMO, config).await;
    let bookings = scene.at.platform.engine.bookings();
    let asked = wish(scene.event, 2, &["SPRING"]);
    let quote = QuoteTickets {
        event: scene.event,
        lines: asked.lines,
        customer: None,
        details: asked.details,
    };
    for _ in 0..3 {
        let quote = bookings.quote(&scene.at.customer, quote.clone()).await;
        let quote = quote.expect("a quote");
        assert_eq!((quote.total_minor, price(&quote.lines)), (1_500, 750));
        assert_eq!(quote.messages, ["A quarter off."]);
    }
    assert!(scene.used(PROMO).await.is_empty());
    scene
        .book(&scene.at.customer, 2, &["SPRING"])
        .await
        .expect("a booking");
    let late = bookings.quote(&scene.at.customer, quote).await;
    assert_eq!(code(late), "claim-exhausted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn built_in_policies_stand_in_one_order_with_plugins() {
    let scene = CatalogueFixture::make().await;
    scene
        .at
        .put_into_use("hundred", &Component::priced(100))
        .await;
    let half = json!({"codes": ["SPRING"], "discount": {"percent": 50}});
    let set = scene.activate(PROMO, half).await;
    assert_eq!(set.version, 2);
    let book = || scene.book(&scene.at.customer, 1, &["SPRING"]);
    assert_eq!(price(&book().await.expect("a booking").lines), 50);
    let first = ActivatePlugin {
        config: None,
        position: Some(0),
        ..with_config(PROMO, &json!({}))
    };
    let set = scene.activated(first.clone()).await.expect("a new order");
    assert_eq!((set.version, set.plugins[0].name.as_str()), (3, PROMO));
    assert_eq!(price(&book().await.expect("a booking").lines), 100);
    let off = ActivatePlugin {
        enabled: Some(false),
        position: None,
        ..first
    };
    scene.activated(off).await.expect("a change");
    let plugins = scene.at.platform.engine.plugins();
    plugins
        .remove(&scene.at.owner, &name("hundred"), None)
        .await
        .expect("a removal");
    assert_eq!(price(&book().await.expect("a booking").lines), 1_000);
    plugins
        .remove(&scene.at.owner, &name(PROMO), None)
        .await
        .expect("a removal");
    scene
        .at
        .platform
        .engine
        .ready()
        .await
        .expect("a ready engine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_owners_activate_and_other_tenants_are_not_affected() {
    let scene = CatalogueFixture::make().await;
    let config = json!({"codes": ["BACKSTAGE"]});
    let plugins = scene.at.platform.engine.plugins();
    for caller in [&scene.at.organizer, &scene.at.customer] {
        let refused = plugins
            .activate(caller, with_config("boxoffice.access-codes", &config))
            .await;
        assert_eq!(code(refused), "forbidden");
        assert_eq!(code(plugins.catalogue(caller).await), "forbidden");
    }
    scene.activate("boxoffice.access-codes", config).await;
    let ann = &scene.at.customer;
    assert_eq!(refusal(scene.book(ann, 1, &[]).await), "code-required");
    assert_eq!(
        refusal(scene.book(ann, 1, &["FRONT"]).await),
        "code-unknown"
    );
    scene.book(ann, 1, &["BACKSTAGE"]).await.expect("a booking");
    let platform = &scene.at.platform;
    let south = platform.tenant("south").await;
    let organizer = platform.user(&south, "olga", UserRole::Organizer).await;
    let customer = platform.customer(&south, "ann").await;
    let event = platform.event(&organizer, 5).await;
    let bookings = platform.engine.bookings();
    let booked = bookings
        .book_tickets(&customer, BookTickets::general(event.id, 1))
        .await;
    booked.expect("a booking of the other tenant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_keeps_its_price_when_the_configuration_changes() {
    let scene = CatalogueFixture::make().await;
    let of = |percent: u32| json!({"codes": ["SPRING"], "discount": {"percent": percent}});
    let before = scene.activate(PROMO, of(50)).await;
    let bookings = scene.at.platform.engine.bookings();
    let asked = HoldTickets::from(wish(scene.event, 1, &["SPRING"]));
    let hold = bookings
        .hold_tickets(&scene.at.customer, asked)
        .await
        .expect("a hold");
    let after = scene.activate(PROMO, of(10)).await;
    assert_eq!((before.version, after.version), (1, 2));
    let confirmed = bookings.confirm(&scene.at.customer, hold.id).await;
    assert_eq!(price(&confirmed.expect("a booking").lines), 500);
    let later = scene.book(&scene.at.customer, 1, &["SPRING"]).await;
    assert_eq!(price(&later.expect("a booking").lines), 900);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_recorded_with_its_rules_and_can_be_made_again() {
    let scene = CatalogueFixture::make().await;
    let config = json!({"codes": ["SPRING"], "discount": {"percent": 20}, "usesMax": 5});
    let set = scene
        .activate("boxoffice.promo-codes.spring", config.clone())
        .await;
    let booking = scene
        .book(&scene.at.customer, 1, &["SPRING"])
        .await
        .expect("a booking");
    let plugins = scene.at.platform.engine.plugins();
    let owner = &scene.at.owner;
    let decision = plugins
        .decision(owner, booking.id)
        .await
        .expect("a decision");
    let record = decision.record.expect("a record");
    let step = &record.steps[0];
    let version = set.plugins[0].version;
    assert_eq!(
        (step.plugin.as_str(), step.version),
        ("boxoffice.promo-codes.spring", version)
    );
    assert_eq!((step.rules, record.policy_version), (Some(1), set.version));
    assert_eq!(
        serde_json::from_str::<Value>(&step.config).expect("JSON"),
        config
    );
    let asked = step.request.clone().expect("the question");
    assert_eq!(asked["request"]["codes"], json!(["SPRING"]));
    assert_eq!(
        asked["request"]["customer"]["email"],
        Value::Null,
        "nobody allowed it"
    );
    assert_eq!(step.answer["unitPricesMinor"], json!([800]));
    assert_eq!(
        step.answer["claims"][0]["key"],
        json!("boxoffice.promo-codes.spring/all")
    );
    let same = plugins
        .replay(owner, version, 10, None)
        .await
        .expect("a replay");
    assert_eq!((same.replayed, same.differing.len()), (1, 0));
    let half = json!({"codes": ["SPRING"], "discount": {"percent": 50}, "usesMax": 5}).to_string();
    let other = plugins
        .replay(owner, version, 10, Some(half.clone()))
        .await
        .expect("a replay");
    assert_eq!(other.differing[0].now["unitPricesMinor"], json!([500]));
    let wrong = plugins
        .replay(owner, version, 10, Some("{}".to_owned()))
        .await;
    assert_eq!(code(wrong), "field-invalid");
    let question: BuiltInRequest = serde_json::from_value(asked).expect("a question");
    let tried = plugins
        .dry_run_built_in(owner, version, question, Some(half))
        .await;
    let answer =
        serde_json::to_value(tried.expect("a trial").answer.expect("an answer")).expect("JSON");
    assert_eq!(answer["unitPricesMinor"], json!([500]));
    assert_eq!(scene.used("spring/all").await, [1], "neither took anything");
    let metrics = plugins
        .metrics(owner, &name("boxoffice.promo-codes.spring"))
        .await;
    assert_eq!(metrics.expect("metrics").here.made(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_known_by_their_address_once_the_owner_allows_it() {
    let scene = CatalogueFixture::make().await;
    let config = json!({"emails": ["ann@north.test"], "externalIds": ["external-bob"]});
    let command = with_config("boxoffice.members-only", &config);
    let refused = scene
        .activated(command.clone())
        .await
        .expect_err("a refusal");
    assert_eq!(refused.field_name(), Some("seesIdentity"));
    let allowed = ActivatePlugin {
        sees_identity: Some(true),
        ..command
    };
    scene.activated(allowed).await.expect("an activation");
    let platform = &scene.at.platform;
    let bob = platform.customer(&scene.at.tenant, "bob").await;
    let eve = platform.customer(&scene.at.tenant, "eve").await;
    for member in [&scene.at.customer, &bob] {
        scene.book(member, 1, &[]).await.expect("a booking");
    }
    assert_eq!(refusal(scene.book(&eve, 1, &[]).await), "members-only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_maximum_holds_for_one_event_and_for_several_in_a_race() {
    let scene = CatalogueFixture::make().await;
    let other = CatalogueFixture::priced(&scene.at).await;
    let config = json!({"perEvent": 4, "acrossEvents": {"group": "festival", "tickets": 6}});
    scene
        .activate("boxoffice.per-customer-maximum", config)
        .await;
    let ann = &scene.at.customer;
    let bookings = scene.at.platform.engine.bookings();
    let racing = (0..16).map(|index| {
        let event = [scene.event, other][index % 2];
        bookings.book_tickets(ann, BookTickets::general(event, 1))
    });
    let outcomes = join_all(racing).await;
    let made: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().ok())
        .collect();
    assert!(made.len() <= 6, "{} tickets", made.len());
    // What the race refused for reasons of timing is asked again.
    let mut tickets = made.len();
    for event in [scene.event, other, scene.event, other, scene.event, other] {
        let command = BookTickets::general(event, 1);
        tickets += usize::from(bookings.book_tickets(ann, command).await.is_ok());
    }
    assert_eq!(tickets, 6);
    let refused = scene.book(ann, 5, &[]).await;
    assert_eq!(refusal(refused), "too-many-tickets");
    assert_eq!(scene.used("boxoffice~").await, [6]);
    assert_verified(&scene.at.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minimum_age_asks_for_the_answer_of_a_booking() {
    let (api, owner) = owned_api().await;
    let born = json!([{"id": "born", "label": "When were you born?", "kind": "date"}]);
    // It begins on 2027-03-01 in Berlin.
    let event = api.event(json!({"questions": born})).await;
    let config = json!({"years": 18, "question": "born"});
    let body = json!({"config": config, "eventId": event["id"]});
    activate_at(&owner, "boxoffice.minimum-age", body)
        .await
        .expect(200);
    let client = &api.customer.client;
    for (answers, policy_code) in [
        (json!({}), Some("age-missing")),
        (json!({"born": "2009-03-02"}), Some("too-young")),
        (json!({"born": "2009-03-01"}), None),
    ] {
        let body = json!({"eventId": event["id"], "numTickets": 1, "answers": answers});
        let answer = client.post("/api/bookings", body).await;
        match policy_code {
            None => drop(answer.expect(201)),
            Some(code) => {
                let problem = answer.problem(409, "policy-rejected");
                assert_eq!(problem.member("policyCode"), code);
            }
        }
    }
    let free = api.event(json!({})).await;
    api.book(&free, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_fall_early_and_for_groups() {
    let scene = CatalogueFixture::make().await;
    let early =
        json!({"prices": [{"until": {"daysBeforeStart": 7}, "price": {"priceMinor": 900}}]});
    scene.activate("boxoffice.early-bird", early).await;
    let group = json!({"steps": [{"tickets": 5, "percent": 10}], "message": "For groups."});
    scene.activate("boxoffice.group-discount", group).await;
    let ann = &scene.at.customer;
    assert_eq!(
        price(&scene.book(ann, 4, &[]).await.expect("a booking").lines),
        900
    );
    let five = scene.book(ann, 5, &[]).await.expect("five");
    assert_eq!(
        (price(&five.lines), five.messages),
        (810, vec!["For groups.".to_owned()])
    );
    let days = std::time::Duration::from_secs(24 * 24 * 3_600);
    scene.at.platform.clock.advance(days);
    let late = scene.at.platform.customer(&scene.at.tenant, "late").await;
    assert_eq!(
        price(&scene.book(&late, 1, &[]).await.expect("a booking").lines),
        1_000
    );
}
