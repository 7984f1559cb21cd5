//! Goal: a request with an Idempotency-Key has its effect once and is answered as at first, whatever it makes or changes and
//! whatever became of that since; another request under the key is refused; and no key is ever quietly ignored.
//!
//! Method: the real router over an engine whose clock stands still, each route with the same request twice, alone and at
//! once; two engines on one SurrealDB server for events that are made in two places.

use boxoffice_engine::{
    AddOperator, Caller, CreateEvent, EmailAddress, Engine, Idempotency, IdempotencyKey, Label,
    PageRequest, UserRole,
};
use boxoffice_tests::{
    Account, Answer, Client, Component, Hosted, SurrealServer, TestPlatform,
    api::{Api, event_body, path_of, text},
    assert_verified, organizer_and_tenant, plugin_host, plugin_settings, ticket_codes, upload,
};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

async fn start() -> Api {
    Api::with(|builder| builder.ticket_codes(ticket_codes())).await
}

/// Headers that make an answer what it is.
fn shown(answer: &Answer) -> (u16, String, Option<String>) {
    let location = answer.headers.get("location");
    let location = location.map(|value| value.to_str().expect("ASCII").to_owned());
    (answer.status, answer.text.clone(), location)
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.contains_key("idempotency-replayed")
}

/// Sends a request under a key and once more, and another under the same key. Returns what the first one was.
async fn once(client: &Client, path: &str, key: &str, body: Value, other: Option<Value>) -> Value {
    let first = client.post_once(path, key, body.clone()).await;
    assert!((200..300).contains(&first.status), "{path}: {}", first.text);
    assert!(!is_replayed(&first), "{path}");
    let again = client.post_once(path, key, body).await;
    assert_eq!(shown(&again), shown(&first), "{path}");
    assert_eq!(again.header("idempotency-replayed"), "true", "{path}");
    if let Some(other) = other {
        let refused = client.post_once(path, key, other).await;
        refused
            .problem(422, "idempotency-key-reused")
            .at_field("Idempotency-Key");
    }
    match first.text.is_empty() {
        true => Value::Null,
        false => first.json(),
    }
}

#[tokio::test]
async fn events_are_made_and_cancelled_once() {
    let api = start().await;
    let olga = &api.organizer.client;
    let other = event_body(json!({"title": "Another"}));
    let body = event_body(json!({}));
    let event = once(olga, "/api/events", "made", body.clone(), Some(other)).await;
    let path = path_of(&event);
    let words = json!({"title": "Jazz Morning"});
    olga.patch(&path, "\"1\"", words).await.expect(200);
    // As it was made, whatever became of it.
    let again = olga.post_once("/api/events", "made", body).await;
    assert_eq!(again.json(), event);
    assert_eq!(again.header("etag"), "\"1\"");
    assert_eq!(olga.all("/api/events").await.len(), 1);

    api.book(&event, 2).await;
    let off = once(olga, &format!("{path}/cancel"), "off", json!({}), None).await;
    assert_eq!(off["notification"]["recipients"], 1);
    // Without the key it is an event that is cancelled already.
    let plain = olga.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(plain.expect(200)["notification"], Value::Null);
    // Nobody else's keys are these, and neither are those of another route.
    let mine = event_body(json!({}));
    let bea = api.door.register("bea@north.test", "organizer").await;
    let hers = bea.client.post_once("/api/events", "made", mine).await;
    assert_ne!(hers.expect(201)["id"], event["id"]);
    assert!(!is_replayed(&hers));
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn holds_are_extended_confirmed_and_released_once() {
    let api = start().await;
    let event = api.event(json!({})).await;
    let ann = &api.customer.client;
    let hold = async |tickets: u32| {
        let body = json!({"eventId": event["id"], "numTickets": tickets});
        let other = json!({"eventId": event["id"], "numTickets": tickets + 1});
        let key = format!("hold-{tickets}");
        once(ann, "/api/holds", &key, body, Some(other)).await
    };
    let act = |hold: &Value, what: &str| format!("/api/holds/{}/{what}", text(&hold["id"]));

    let first = hold(1).await;
    let extended = once(ann, &act(&first, "extend"), "more", json!({}), None).await;
    assert_eq!(extended["extended"], true);
    let refused = ann.post(&act(&first, "extend"), json!({})).await;
    refused.problem(409, "hold-already-extended");
    let confirm = act(&first, "confirm");
    let at = |total: u32| json!({"expectedTotalMinor": total});
    let booking = once(ann, &confirm, "yes", at(0), Some(at(1))).await;
    // What was answered first is answered now: a hold, and one that was extended.
    let again = ann
        .post_once(&act(&first, "extend"), "more", json!({}))
        .await;
    assert_eq!(again.expect(200), extended);
    let again = json!({"eventId": event["id"], "numTickets": 1});
    let again = ann.post_once("/api/holds", "hold-1", again).await;
    assert_eq!(again.expect(201), first);
    // The booking as it was made, though it is cancelled since.
    let cancel = format!("/api/bookings/{}/cancel", text(&booking["id"]));
    let lines = json!({"lines": [{"quantity": 1}]});
    let cancelled = once(ann, &cancel, "back", json!({}), Some(lines)).await;
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(ann.post_once(&confirm, "yes", at(0)).await.json(), booking);

    let second = hold(2).await;
    let released = once(ann, &act(&second, "release"), "free", json!({}), None).await;
    assert_eq!(released["status"], "released");
    // The same key for another hold is another request.
    let third = hold(3).await;
    let refused = ann
        .post_once(&act(&third, "release"), "free", json!({}))
        .await;
    refused.problem(422, "idempotency-key-reused");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn people_wait_and_come_in_once() {
    let api = start().await;
    let event = api.event(json!({"totalTickets": 2})).await;
    let (ann, olga) = (&api.customer.client, &api.organizer.client);
    let booking = api.book(&event, 2).await;
    let list = format!("{}/waitlist", path_of(&event));
    let [ben, cal] = [
        api.door.register("ben@north.test", "customer").await.client,
        api.door.register("cal@north.test", "customer").await.client,
    ];
    let wanted = |tickets: u32| json!({"numTickets": tickets});
    once(&ben, &list, "wait", wanted(1), Some(wanted(2))).await;
    let second = once(&cal, &list, "wait", wanted(1), None).await;
    assert_eq!(second["position"], 2);
    let leave = async || {
        let left = ben.request(Method::DELETE, &format!("{list}/me"));
        Answer::of(left.header("Idempotency-Key", "leave")).await
    };
    let (first, again) = (leave().await, leave().await);
    assert_eq!((first.status, again.status), (204, 204), "{}", again.text);
    assert!(!is_replayed(&first) && is_replayed(&again));
    // Second in line, as at first; without the key they are the first by now.
    let place = cal.post_once(&list, "wait", wanted(1)).await;
    assert_eq!(place.expect(201)["position"], 2);
    assert_eq!(cal.post(&list, wanted(1)).await.expect(201)["position"], 1);

    // Joining where one waits already changes nothing, and the same request does not join anew later.
    let stays = once(&cal, &list, "stay", wanted(1), None).await;
    assert_eq!(stays["position"], 1);
    let left = cal.request(Method::DELETE, &format!("{list}/me"));
    Answer::of(left).await.expect(204);
    assert_eq!(cal.post_once(&list, "stay", wanted(1)).await.json(), stays);
    let gone = cal.get(&format!("{list}/me")).await;
    gone.problem(404, "not-found");

    let tickets = format!("/api/bookings/{}/tickets", text(&booking["id"]));
    let tickets = ann.all(&tickets).await;
    let code = |index: usize| json!({"code": tickets[index]["code"]});
    let door = format!("{}/check-ins", path_of(&event));
    let came = once(olga, &door, "in", code(0), Some(code(1))).await;
    let refused = olga.post(&door, code(0)).await;
    refused.problem(409, "already-checked-in");
    let undo = format!("{door}/undo");
    let ticket = |index: usize| json!({"ticketId": tickets[index]["id"]});
    let back = once(olga, &undo, "out", ticket(0), Some(ticket(1))).await;
    assert_eq!(back["status"], "valid");
    olga.post(&undo, ticket(0)).await.problem(404, "not-found");
    // Nobody is in, and the answer is still the first one.
    assert_eq!(olga.post_once(&door, "in", code(0)).await.json(), came);
    assert!(olga.all(&door).await.is_empty());

    // Of many at once with one key all hear the same.
    let many = (0..12).map(|_| olga.post_once(&door, "many", code(1)));
    for answer in join_all(many).await {
        assert_eq!(answer.expect(201)["number"], 2);
    }
    assert_eq!(olga.all(&door).await.len(), 1);
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn what_is_told_is_told_and_stopped_once() {
    let api = start().await;
    let event = api.event(json!({})).await;
    api.book(&event, 1).await;
    let olga = &api.organizer.client;
    let words = |subject: &str| json!({"subject": subject, "message": "We open at six."});
    let path = format!("{}/announcements", path_of(&event));
    let told = once(olga, &path, "told", words("Doors"), Some(words("Other"))).await;
    for (command, other) in [
        ("pause", "resume"),
        ("resume", "cancel"),
        ("cancel", "pause"),
    ] {
        let path = |what: &str| format!("/api/admin/notifications/{}/{what}", text(&told["id"]));
        let why = json!({"why": "A mistake in it."});
        once(olga, &path(command), command, why.clone(), None).await;
        let refused = olga.post_once(&path(other), command, why).await;
        refused.problem(422, "idempotency-key-reused");
    }
    let audit = "/api/admin/audit";
    let owner = api.platform.engine.users();
    let platform = Caller::platform("north");
    let command = boxoffice_engine::CreateUser {
        email: boxoffice_tests::email("oona", &"north".parse().expect("a tenant")),
        name: Label::parse("name", "oona").expect("one line"),
        password: Some(Account::PASSWORD.to_owned()),
        role: UserRole::Owner,
    };
    owner.create(&platform, command).await.expect("an owner");
    let oona = api.door.login("oona@north.test").await;
    assert_eq!(oona.client.all(audit).await.len(), 3, "each once");
    // The event is cancelled since: the announcement is answered all the same.
    let off = format!("{}/cancel", path_of(&event));
    olga.post(&off, json!({})).await.expect(200);
    assert_eq!(
        olga.post_once(&path, "told", words("Doors")).await.json(),
        told
    );
}

#[tokio::test]
async fn broken_keys_are_refused_by_every_route() {
    let api = start().await;
    let described = api.door.get("/openapi.json").await.expect(200);
    let paths = described["paths"].as_object().expect("paths");
    let mut asked = 0;
    for (path, item) in paths {
        if item.get("post").is_none() {
            continue;
        }
        let mut parts = path.split('/').map(|part| match part.starts_with('{') {
            true => "01hzy0000000000000000000ab",
            false => part,
        });
        let first = parts.next().unwrap_or_default().to_owned();
        let path = parts.fold(first, |path, part| format!("{path}/{part}"));
        for broken in ["two words", "", &"x".repeat(256)] {
            let refused = api
                .organizer
                .client
                .post_once(&path, broken, json!({}))
                .await;
            refused
                .problem(422, "field-invalid")
                .at_field("Idempotency-Key");
        }
        asked += 1;
    }
    assert!(asked > 30, "{asked} routes");
}

fn with_key(caller: &Caller, key: &str) -> (Caller, Idempotency) {
    let key = IdempotencyKey::parse(key).expect("visible ASCII");
    let idempotency = Idempotency::new(key);
    (caller.with_idempotency(idempotency.clone()), idempotency)
}

async fn make(engine: &Engine, caller: &Caller) -> (boxoffice_engine::EventId, bool) {
    let (caller, idempotency) = with_key(caller, "one-event");
    let title = Label::parse("title", "Two places").expect("one line");
    let starts_at = "2036-01-01T00:00:00Z".parse().expect("a moment");
    let command = CreateEvent::general(title, starts_at, 5);
    let event = engine.events().create(&caller, command).await;
    (event.expect("an event").id, idempotency.is_replayed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_make_one_event_of_one_key() {
    let server = SurrealServer::start().await;
    let (one, two) = (server.engine().await, server.engine().await);
    let (_, organizer, _) = organizer_and_tenant(&one, "north").await;
    let many = (0..16).map(|index| make(if index % 2 == 0 { &one } else { &two }, &organizer));
    let made = join_all(many).await;
    let first = made[0].0;
    assert!(made.iter().all(|(id, _)| *id == first), "{made:?}");
    let fresh = made.iter().filter(|(_, is_replayed)| !is_replayed);
    assert_eq!(fresh.count(), 1, "{made:?}");
    let page = PageRequest {
        cursor: None,
        limit: 100,
    };
    let events = one.events();
    let listed = events.list(&organizer, Default::default(), page).await;
    assert_eq!(listed.expect("a list").items.len(), 1);
    assert_verified(&one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_are_activated_rolled_back_and_removed_once() {
    let runtime = plugin_host(plugin_settings());
    let platform = TestPlatform::with(|builder| builder.plugins(runtime)).await;
    let north = platform.tenant("north").await;
    let owner = platform.user(&north, "owen", UserRole::Owner).await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let door = hosted.client().tenant("north");
    let owen = door.login("owen@north.test").await.client;
    let mut versions = Vec::new();
    for component in [Component::at_most(2), Component::accepting()] {
        let version = upload(&platform.engine, &owner, "limits", &component).await;
        versions.push(version.to_string());
    }
    let path = |what: &str| format!("/api/plugins/limits/{what}");
    let using = |index: usize| json!({"version": versions[index]});
    let first = once(&owen, &path("activate"), "one", using(0), Some(using(1))).await;
    once(&owen, &path("activate"), "two", using(1), None).await;
    // What was answered first, though another version is in use since.
    let again = owen.post_once(&path("activate"), "one", using(0)).await;
    assert_eq!(again.expect(200), first);
    let in_use = async || -> Value { owen.get("/api/plugins").await.expect(200) };
    assert_eq!(in_use().await["items"][0]["version"], versions[1].as_str());

    // A second one would find no version to go back to.
    let other = Some(json!({"eventId": "01hzy0000000000000000000ab"}));
    let back = once(&owen, &path("roll-back"), "back", json!({}), other).await;
    assert_eq!(back["items"][0]["version"], versions[0].as_str());
    assert_eq!(in_use().await, back);
    let refused = owen.post(&path("roll-back"), json!({})).await;
    refused.problem(409, "plugin-not-ready");
    let activate = path("activate");
    let many = (0..8).map(|_| owen.post_once(&activate, "many", using(1)));
    for answer in join_all(many).await {
        assert_eq!(answer.expect(200)["version"], 4);
    }
    // What changes nothing is answered as at first, too.
    let same = once(&owen, &path("activate"), "same", using(1), None).await;
    assert_eq!(same["version"], 4);

    let gone = once(&owen, &path("remove"), "gone", json!({}), None).await;
    assert_eq!(gone["items"], json!([]));
    let refused = owen.post(&path("remove"), json!({})).await;
    refused.problem(404, "not-found");
    let again = owen.post_once(&path("activate"), "same", using(1)).await;
    assert_eq!(again.expect(200), same);
    assert_eq!(in_use().await, gone);
}

#[tokio::test]
async fn lanes_are_stopped_once() {
    let platform = TestPlatform::new().await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let olivia = operator_of(&platform.engine, &hosted, "olivia@boxoffice.test").await;
    let path = |what: &str| format!("/api/admin/lanes/bulk/{what}");
    let why = json!({"why": "a test"});
    let other = json!({"why": "another"});
    once(&olivia, &path("pause"), "stop", why.clone(), Some(other)).await;
    once(&olivia, &path("resume"), "go", why.clone(), None).await;
    // It goes on since, and the repeated request does not stop it again.
    let again = olivia.post_once(&path("pause"), "stop", why.clone()).await;
    assert!(is_replayed(&again), "{}", again.text);
    let paused = async || {
        let overview = olivia.get("/api/admin/overview").await.expect(200);
        overview["pausedLanes"].clone()
    };
    assert_eq!(paused().await, json!([]));
    assert_eq!(olivia.all("/api/admin/audit").await.len(), 2);
    // Another operator's keys are others.
    let oscar = operator_of(&platform.engine, &hosted, "oscar@boxoffice.test").await;
    let his = oscar.post_once(&path("pause"), "stop", why).await;
    assert!(!is_replayed(&his), "{}", his.text);
    assert_eq!(paused().await[0]["lane"], "bulk");
}

/// An operator's account, signed in.
async fn operator_of(engine: &Engine, hosted: &Hosted, address: &str) -> Client {
    let operator = AddOperator {
        email: EmailAddress::parse("email", address).expect("an address"),
        name: Label::parse("name", "Op").expect("one line"),
        password: Account::PASSWORD.to_owned(),
    };
    let added = engine.operators().add(&Caller::operator(), operator).await;
    added.expect("an operator");
    let login = json!({"email": address, "password": Account::PASSWORD});
    let signed_in = hosted.client().post("/api/operator/login", login).await;
    hosted.client().token(text(&signed_in.expect(200)["token"]))
}
