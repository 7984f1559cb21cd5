//! Goal: built-in policies decide in the tenant's order, for the tenant alone, and each decision is recorded and can be made again.
//!
//! Method: activations over the engine's public face, beside an uploaded plugin; bookings, prices and records are compared.

use boxoffice_engine::{
    ActivatePlugin, BookTickets, HoldTickets, UploadPlugin, UserRole, ports::BuiltInRequest,
};
use boxoffice_tests::Component;
use serde_json::{Value, json};

use super::{CatalogueFixture, PROMO, code, name, price, refusal, wish, with_config};

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
async fn built_in_policies_stand_in_one_order_with_plugins() {
    let scene = CatalogueFixture::make().await;
    scene
        .at
        .put_into_use("hundred", &Component::priced(100))
        .await;
    let half = json!({"codes": ["SPRING"], "discount": {"percent": 50}});
    let set = scene.activate(PROMO, half).await;
    assert_eq!(set.version, 2);
    // There is nothing to load for it.
    let ready = scene.at.platform.engine.ready().await;
    ready.expect("a ready engine");
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
    let holds = scene.at.platform.engine.holds();
    let asked = HoldTickets::from(wish(scene.event, 1, &["SPRING"]));
    let hold = holds
        .hold_tickets(&scene.at.customer, asked)
        .await
        .expect("a hold");
    let after = scene.activate(PROMO, of(10)).await;
    assert_eq!((before.version, after.version), (1, 2));
    let confirmed = holds.confirm(&scene.at.customer, hold.id).await;
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
