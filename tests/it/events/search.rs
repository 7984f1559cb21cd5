//! Goal: events are found by words, place, organizer and time, in the order and pages of every list, as they are now, and only by those who
//! may see them.
//!
//! Method: the real router over an engine in memory, with a table of searches; then more events with one word than the index reads.

use boxoffice_engine::{
    CreateEvent, EventFilter, EventSort, Label, PageRequest, SearchWords, TenantId, UserRole,
};
use boxoffice_tests::{
    Client, TestPlatform,
    api::{Api, etag_of, path_of, text},
    assert_verified,
};
use serde_json::{Value, json};

/// More than the rows of one word that are read.
const COMMON: usize = 1_010;

fn titles(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().expect("items");
    let titles = items.iter().map(|item| text(&item["title"]).to_owned());
    titles.collect()
}

async fn found(client: &Client, query: &str) -> Vec<String> {
    let path = format!("/api/events?{query}");
    titles(&client.get(&path).await.expect(200))
}

fn at(day: u32) -> String {
    format!("2031-03-{day:02}T19:00:00Z")
}

async fn stage() -> (Api, Vec<Value>) {
    let api = Api::start().await;
    let mut events = Vec::new();
    for (title, place, description, day) in [
        (
            "Jazz Café",
            "Große Halle, München",
            "Saxophone and more.",
            20,
        ),
        (
            "Jazzy Night",
            "Old Hall, Berlin",
            "With the Berlin quartet.",
            10,
        ),
        ("Blues", "Jazz Club Berlin", "Slow.", 15),
        ("Ópera", "Teatro Real, Madrid", "La Traviata, 2031", 5),
    ] {
        let event = json!({"title": title, "location": place, "description": description, "startsAt": at(day)});
        events.push(api.event(event).await);
    }
    (api, events)
}

#[tokio::test]
async fn words_places_organizers_and_times_go_together() {
    let (api, _) = stage().await;
    let tenant = TenantId::parse("north").expect("a tenant");
    api.platform
        .user(&tenant, "otto", UserRole::Organizer)
        .await;
    let otto = api.door.login("otto@north.test").await;
    let own = json!({"title": "Jazz of Otto", "startsAt": at(12), "totalTickets": 5});
    otto.client.post("/api/events", own).await.expect(201);
    let (olga, otto) = (&api.organizer.id, &otto.id);
    let [cafe, night, blues, opera, own] =
        ["Jazz Café", "Jazzy Night", "Blues", "Ópera", "Jazz of Otto"];
    let of_otto = format!("organizer={otto}");
    let jazz_of_olga = format!("organizer={olga}&q=jazz");
    let otto_in_berlin = format!("organizer={otto}&location=berlin");
    let late_jazz = format!("q=jazz&startsFrom={}", at(12));
    let jazz_between = format!("q=jazz&startsFrom={}&startsBefore={}", at(11), at(15));
    for (query, expected) in [
        ("q=jazz", vec![cafe, night, blues, own]),
        ("q=JAZZ&sort=startsAt", vec![night, own, blues, cafe]),
        ("q=jazzy", vec![night]),
        ("q=azz", vec![]),
        ("q=cafe", vec![cafe]),
        ("q=caf%C3%A9", vec![cafe]),
        ("q=cafe%CC%81", vec![cafe]),
        ("q=opera", vec![opera]),
        ("q=grosse+mun", vec![cafe]),
        ("q=gro%C3%9Fe", vec![cafe]),
        ("q=2031", vec![opera]),
        ("q=berlin+jazz", vec![night, blues]),
        ("q=jazz,+berlin!+slow", vec![blues]),
        ("q=jazz+madrid", vec![]),
        ("location=jazz", vec![blues]),
        ("location=berlin", vec![night, blues]),
        ("q=jazz&location=ber", vec![night, blues]),
        ("q=quartet&location=quartet", vec![]),
        (of_otto.as_str(), vec![own]),
        (jazz_of_olga.as_str(), vec![cafe, night, blues]),
        (otto_in_berlin.as_str(), vec![]),
        (late_jazz.as_str(), vec![own, blues, cafe]),
        (jazz_between.as_str(), vec![own]),
        ("q=jazz&status=cancelled", vec![]),
    ] {
        assert_eq!(found(&api.door, query).await, expected, "{query}");
    }
    let long = format!("q={}", "x".repeat(101));
    for (query, field) in [
        ("q=", "q"),
        ("q=%20!?", "q"),
        ("location=-", "location"),
        (long.as_str(), "q"),
        ("q=a+b+c+d+e+f+g+h+i", "q"),
        ("organizer=me", "organizer"),
        ("q=jazz&sort=startsAt&cursor=broken", "cursor"),
        ("q=jazz&cursor=broken", "cursor"),
        ("q=jazz&q=blues", "q"),
    ] {
        let answer = api.door.get(&format!("/api/events?{query}")).await;
        answer.problem(422, "field-invalid").at_field(field);
    }
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn what_is_found_is_what_an_event_says_now_to_those_who_see_it() {
    let (api, events) = stage().await;
    let organizer = &api.organizer.client;
    // Drafts are found by those who see them.
    let draft = json!({"title": "Jazz Secret", "status": "draft", "startsAt": at(28)});
    let draft = api.event(draft).await;
    for stranger in [&api.door, &api.customer.client] {
        assert_eq!(found(stranger, "q=secret").await, [""; 0]);
    }
    assert_eq!(found(organizer, "q=jazz+secret").await, ["Jazz Secret"]);
    let publish = json!({"status": "published"});
    let published = organizer.patch(&path_of(&draft), "\"1\"", publish).await;
    let published = published.expect(200);
    assert_eq!(found(&api.door, "q=secret").await, ["Jazz Secret"]);
    // A change of words and times is found at once, and nothing by what is gone.
    let change = json!({"title": "Swing", "location": "Köln", "startsAt": at(2)});
    let changed = organizer.patch(&path_of(&events[0]), "\"1\"", change).await;
    changed.expect(200);
    assert_eq!(found(&api.door, "q=cafe").await, [""; 0]);
    assert_eq!(found(&api.door, "q=munchen").await, [""; 0]);
    assert_eq!(found(&api.door, "location=koln&q=swing").await, ["Swing"]);
    let until = format!("q=sax&startsBefore={}", at(3));
    assert_eq!(found(&api.door, &until).await, ["Swing"]);
    // Cancelled ones stay; deleted ones go.
    let cancel = format!("{}/cancel", path_of(&events[1]));
    organizer.post_empty(&cancel).await.expect(200);
    assert_eq!(
        found(&api.door, "q=jazzy&status=cancelled").await,
        ["Jazzy Night"]
    );
    let deleted = organizer
        .delete(&path_of(&draft), &etag_of(&published))
        .await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    assert_eq!(found(organizer, "q=secret").await, [""; 0]);
    // A copy has the words of the event.
    let copy = json!({"startsAt": "2032-01-01T00:00:00Z", "title": "Copy"});
    let path = format!("{}/clone", path_of(&events[3]));
    organizer.post(&path, copy).await.expect(201);
    assert_eq!(found(organizer, "q=traviata").await, ["Ópera", "Copy"]);
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn a_search_is_walked_page_by_page() {
    let api = Api::start().await;
    for number in 0..7 {
        // Those that begin first are made last, and two at a time.
        let event = json!({"title": format!("Waltz {number}"), "startsAt": at(20 - number / 2)});
        api.event(event).await;
        api.event(json!({"title": "Something else"})).await;
    }
    let made: Vec<String> = (0..7).map(|number| format!("Waltz {number}")).collect();
    let begun = [6, 4, 5, 2, 3, 0, 1].map(|number| format!("Waltz {number}"));
    for (query, expected) in [("q=wal", &made[..]), ("q=wal&sort=startsAt", &begun[..])] {
        for limit in [1, 2, 7, 8] {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("/api/events?{query}&limit={limit}{cursor}");
                let page = api.door.get(&path).await.expect(200);
                seen.extend(titles(&page));
                match page["nextCursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(seen, expected, "{query} by {limit}");
        }
    }
}

#[tokio::test]
async fn words_that_very_many_events_have_are_found_too() {
    let platform = TestPlatform::new().await;
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let events = platform.engine.events();
    let soon = jiff::Timestamp::from_second(1_900_000_000).expect("a time");
    for number in 0..COMMON {
        let title = Label::parse("title", &format!("Common {number}")).expect("a title");
        let hours = jiff::SignedDuration::from_hours(i64::try_from(number).expect("few"));
        let command = CreateEvent::general(title, soon - hours, 1);
        events.create(&organizer, command).await.expect("an event");
    }
    let search = async |words: &str, sort: EventSort| {
        let filter = EventFilter {
            words: Some(SearchWords::parse("q", words).expect("words")),
            organizer: organizer.user_id(),
            sort: Some(sort),
            ..EventFilter::default()
        };
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = PageRequest { cursor, limit: 100 };
            let page = events.list(&organizer, filter.clone(), page).await;
            let page = page.expect("a page");
            let titles = page
                .items
                .iter()
                .map(|seen| seen.event.details.title.to_string());
            seen.extend(titles);
            cursor = page.next;
            if cursor.is_none() {
                return seen;
            }
        }
    };
    let mut all: Vec<String> = (0..COMMON)
        .map(|number| format!("Common {number}"))
        .collect();
    assert_eq!(search("common", EventSort::CreatedAt).await, all);
    assert_eq!(
        search("com 777", EventSort::CreatedAt).await,
        ["Common 777"]
    );
    all.reverse();
    assert_eq!(search("common", EventSort::StartsAt).await, all);
    assert_eq!(
        search("common 100", EventSort::StartsAt).await,
        [
            1009, 1008, 1007, 1006, 1005, 1004, 1003, 1002, 1001, 1000, 100
        ]
        .map(|number| format!("Common {number}"))
    );
}
