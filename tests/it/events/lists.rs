//! Goal: lists of events have pages, filters and an order.
//!
//! Method: the real router over an engine in memory; every page is compared.

use boxoffice_tests::api::{Api, path_of, replacement_body, text};
use serde_json::{Value, json};

#[tokio::test]
async fn lists_are_walked_page_by_page() {
    let api = Api::start().await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(
            text(&api.event(json!({"title": format!("Night {number}")})).await["id"]).to_owned(),
        );
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api
            .door
            .get(&format!("/api/events?limit=2{cursor}"))
            .await
            .expect(200);
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|item| text(&item["id"]).to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made);
    for limit in ["0", "101", "-1", "many"] {
        let answer = api.door.get(&format!("/api/events?limit={limit}")).await;
        answer.problem(422, "field-invalid").at_field("limit");
    }
    api.door
        .get("/api/events?cursor=broken")
        .await
        .problem(422, "field-invalid")
        .at_field("cursor");
}

#[tokio::test]
async fn lists_are_filtered_by_state_and_walked_as_events_begin() {
    let api = Api::start().await;
    let titled = |answer: &Value| {
        let items = answer["items"].as_array().expect("items");
        let titles = items.iter().map(|item| text(&item["title"]).to_owned());
        titles.collect::<Vec<_>>()
    };
    let at = |day: u32| format!("2031-03-{day:02}T20:00:00+01:00");
    let made = |title: &str, day| json!({"title": title, "startsAt": at(day)});
    let moved = api.event(made("late, moved to the first", 20)).await;
    api.event(made("third", 12)).await;
    let cancelled = api.event(made("second", 11)).await;
    api.event(made("third of the same moment", 12)).await;
    let deleted = api.event(made("deleted", 13)).await;
    api.event(made("last", 28)).await;
    let organizer = &api.organizer.client;
    let body = replacement_body(made("late, moved to the first", 10));
    let answer = organizer.put(&path_of(&moved), "\"1\"", body).await;
    answer.expect(200);
    let answer = organizer.delete(&path_of(&deleted), "\"1\"").await;
    assert_eq!(answer.status, 204);
    let path = format!("{}/cancel", path_of(&cancelled));
    organizer.post(&path, json!({})).await.expect(200);

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/events?sort=startsAt&limit=1{cursor}");
        let page = api.door.get(&path).await.expect(200);
        seen.extend(titled(&page));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let in_order = [
        "late, moved to the first",
        "second",
        "third",
        "third of the same moment",
        "last",
    ];
    assert_eq!(seen, in_order);

    let list = async |query: &str| {
        titled(
            &api.door
                .get(&format!("/api/events?{query}"))
                .await
                .expect(200),
        )
    };
    // From a moment on includes it, before a moment does not.
    let (from, before) = ("2031-03-11T19:00:00Z", "2031-03-28T19:00:00Z");
    assert_eq!(
        list(&format!("startsFrom={from}&startsBefore={before}")).await,
        in_order[1..4]
    );
    // The plus of an offset, as people type it.
    assert_eq!(list(&format!("startsFrom={}", at(12))).await, in_order[2..]);
    assert_eq!(list("status=cancelled").await, in_order[1..2]);
    assert_eq!(
        list(&format!("status=published&startsBefore={before}")).await,
        [in_order[0], in_order[2], in_order[3]]
    );
    assert_eq!(
        list("status=published&sort=createdAt").await,
        [in_order[0], in_order[2], in_order[3], in_order[4]]
    );
    assert_eq!(list("status=draft").await, [""; 0]);
    for (query, field) in [
        ("status=sold", "status"),
        ("sort=title", "sort"),
        ("startsFrom=tomorrow", "startsFrom"),
        ("startsBefore=2031-03-11", "startsBefore"),
        ("sort=createdAt&startsFrom=2031-03-11T19:00:00Z", "sort"),
        ("sort=startsAt&cursor=broken", "cursor"),
        ("sort=startsAt&sort=startsAt", "sort"),
    ] {
        let answer = api.door.get(&format!("/api/events?{query}")).await;
        answer.problem(422, "field-invalid").at_field(field);
    }
}
