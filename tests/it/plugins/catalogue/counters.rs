//! Goal: what built-in policies count holds exactly in races, is given back, and is taken by bookings and holds alone.
//!
//! Method: many customers with one code at once, one customer for two events at once, quotes before a booking.

use boxoffice_engine::{ActivatePlugin, BookTickets, QuoteTickets};
use boxoffice_tests::assert_verified;
use futures::future::join_all;
use serde_json::json;

use super::{CatalogueFixture, PROMO, code, price, refusal, wish, with_config};

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
