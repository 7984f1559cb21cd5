//! Goal: requests at the edges of HTTP are read as its RFCs say, or refused with the reason: no host or two, bodies in
//! codings, media types in other letters, fields that stand twice, parameters that others added, times and zones that are
//! none.
//!
//! Method: the real router on a real port; raw sockets where no client would send such a request.

use boxoffice_engine::{TenantId, UserRole};
use boxoffice_tests::{
    Answer, Client, Patience,
    api::{Api, etag_of, event_body, path_of, text},
};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Sends these bytes and reads until the host closes the connection.
pub(crate) async fn spoken(client: &Client, bytes: &[u8]) -> String {
    let address = client.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("the host listens");
    stream.write_all(bytes).await.expect("the host reads");
    let mut received = Vec::new();
    stream
        .read_to_end(&mut received)
        .await
        .expect("the host answers");
    String::from_utf8_lossy(&received).into_owned()
}

/// The status of each answer in what was received.
pub(crate) fn statuses(received: &str) -> Vec<u16> {
    let lines = received.split("HTTP/1.").skip(1);
    lines
        .map(|line| line[2..5].parse().expect("a status"))
        .collect()
}

/// An owner of the tenant, signed in.
async fn owner(api: &Api) -> Client {
    let tenant = TenantId::parse("north").expect("a name");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    api.door.login("owen@north.test").await.client
}

#[tokio::test]
async fn a_request_names_one_host() {
    let api = Api::start().await;
    for (host, status) in [
        ("", 400),
        ("Host: a.example\r\nHost: b.example\r\n", 400),
        ("Host: a.example\r\nHost: a.example\r\n", 400),
        ("Host: a b\r\n", 400),
        ("Host: ann@a.example\r\n", 400),
        ("Host:\r\n", 400),
        ("Host: a.example:8080\r\n", 200),
        ("Host: [::1]\r\n", 200),
    ] {
        for path in ["/api/events", "/health/live", "/docs"] {
            let request = format!(
                "GET {path} HTTP/1.1\r\n{host}X-Tenant: north\r\nConnection: close\r\n\r\n"
            );
            let received = spoken(&api.door, request.as_bytes()).await;
            assert_eq!(statuses(&received), [status], "{host:?} {path}: {received}");
            assert_eq!(
                received.contains("\"field\":\"Host\""),
                status == 400,
                "{received}"
            );
        }
    }
    // HTTP/1.0 knows no Host.
    let received = spoken(&api.door, b"GET /health/live HTTP/1.0\r\n\r\n").await;
    assert_eq!(statuses(&received), [200], "{received}");
}

#[tokio::test]
async fn a_body_in_a_coding_is_refused_and_never_read_as_plain() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let book = json!({"eventId": event["id"], "numTickets": 1});
    let client = &api.customer.client;
    for coding in ["gzip", "br", "identity, gzip", "x-unknown"] {
        for (method, path, client) in [
            (Method::POST, "/api/bookings", client),
            (Method::PATCH, &*path_of(&event), &api.organizer.client),
            (Method::POST, "/api/auth/login", &api.door),
            (Method::POST, "/api/plugins/x/versions", client),
        ] {
            let request = client.request(method, path).json(&book);
            let refused = Answer::of(request.header("Content-Encoding", coding)).await;
            refused.problem(415, "unsupported-media-type");
            assert_eq!(refused.header("accept-encoding"), "identity", "{path}");
        }
    }
    assert_eq!(api.seen(&event).await["ticketsSold"], 0);
    let request = client.request(Method::POST, "/api/bookings").json(&book);
    let plain = Answer::of(request.header("Content-Encoding", "Identity")).await;
    plain.expect(201);
    // Without a body there is nothing to read.
    let request = client.request(Method::GET, "/api/events");
    let empty = Answer::of(request.header("Content-Encoding", "gzip")).await;
    empty.expect(200);
}

#[tokio::test]
async fn media_types_are_compared_without_case_and_parameters() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let send = async |client: &Client, path: &str, kind: &str, body: &str| {
        let request = client.request(Method::POST, path);
        Answer::of(request.header("Content-Type", kind).body(body.to_owned())).await
    };
    let book = json!({"eventId": event["id"], "numTickets": 1}).to_string();
    for kind in ["APPLICATION/Json; Charset=UTF-8", "application/json;x=y"] {
        let answer = send(&api.customer.client, "/api/bookings", kind, &book).await;
        answer.expect(201);
    }
    let owen = owner(&api).await;
    for kind in [
        "application/wasm",
        "Application/WASM",
        "application/wasm; v=1",
    ] {
        let answer = send(&owen, "/api/plugins/x/versions", kind, "x").await;
        assert_ne!(answer.status, 415, "{kind}: {}", answer.text);
    }
    for kind in ["application/octet-stream", "application/wasmx"] {
        let answer = send(&owen, "/api/plugins/x/versions", kind, "x").await;
        assert!(
            [415, 503].contains(&answer.status),
            "{kind}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn no_body_names_a_field_twice() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let path = path_of(&event);
    let raw = async |client: &Client, method: Method, path: &str, body: &str| {
        let request = client.request(method, path).header("If-Match", "\"1\"");
        let request = request.header("Content-Type", "application/json");
        Answer::of(request.body(body.to_owned())).await
    };
    let organizer = &api.organizer.client;
    for (method, path, body, field) in [
        (
            Method::PATCH,
            &*path,
            r#"{"title":"B","title":"C"}"#,
            "title",
        ),
        (Method::PUT, &*path, r#"{"title":"B","title":"C"}"#, "title"),
        (
            Method::PATCH,
            &*path,
            r#"{"ticketTypes":[{"name":"A","capacity":5,"capacity":6}]}"#,
            "ticketTypes[0].capacity",
        ),
        (
            Method::POST,
            "/api/bookings",
            r#"{"eventId":"x","lines":[{"quantity":1,"quantity":9}]}"#,
            "lines[0].quantity",
        ),
    ] {
        let refused = raw(organizer, method, path, body).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    assert_eq!(api.seen(&event).await, event, "nothing was changed");
    let owen = owner(&api).await;
    let twice = r#"{"announcementsPerDay":3,"announcementsPerDay":9}"#;
    let settings = "/api/tenant/settings";
    let refused = raw(&owen, Method::PATCH, settings, twice).await;
    refused
        .problem(422, "field-invalid")
        .at_field("announcementsPerDay");
    // A plugin's configuration may hold anything, but nothing twice.
    let config = r#"{"version":"x","config":{"rules":[{"a":1},{"a":1,"b":{"c":1,"c":2}}]}}"#;
    let refused = raw(&owen, Method::POST, "/api/plugins/x/activate", config).await;
    refused
        .problem(422, "field-invalid")
        .at_field("config.rules[1].b.c");
}

#[tokio::test]
async fn parameters_of_trackers_are_ignored_where_something_is_read() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let tracked = "utm_source=newsletter&utm_campaign=a%20b&gclid=Cj0&fbclid=IwAR&_=1700000000000";
    let shown = path_of(&event);
    for path in ["/api/events", "/api/tenant", &shown] {
        let plain = api.door.get(path).await.expect(200);
        let answer = api.door.get(&format!("{path}?{tracked}")).await;
        assert_eq!(answer.expect(200), plain, "{path}");
    }
    let page = format!("/api/events?limit=1&{tracked}");
    let page = api.door.get(&page).await.expect(200);
    assert_eq!(page["items"][0]["id"], event["id"]);
    api.door
        .get("/api/events?utm=1")
        .await
        .problem(422, "unknown-field");
    let book = json!({"eventId": event["id"], "numTickets": 1});
    api.customer
        .client
        .post("/api/bookings?utm_source=x", book)
        .await
        .problem(422, "unknown-field");
}

#[tokio::test]
async fn times_are_rfc_3339_and_zones_are_real() {
    let api = Api::start().await;
    let organizer = &api.organizer.client;
    let post = async |changes| organizer.post("/api/events", event_body(changes)).await;
    for time in [
        "-000044-03-15T12:00:00Z",
        "+002027-03-15T12:00:00Z",
        "9999-12-31T23:59:59Z",
        "1999-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2027-03-15T12:00Z",
        "2027-03-15 12:00:00Z",
        "20270315T120000Z",
        "2027-03-15T12:00:00+24:00",
    ] {
        for field in ["startsAt", "endsAt"] {
            let refused = post(json!({field: time})).await;
            refused.problem(422, "field-invalid").at_field(field);
        }
        for field in ["salesOpenAt", "salesCloseAt"] {
            let kind = json!([{"name": "A", "capacity": 5, field: time}]);
            let refused = post(json!({"totalTickets": null, "ticketTypes": kind})).await;
            let field = format!("ticketTypes[0].{field}");
            refused.problem(422, "field-invalid").at_field(&field);
        }
    }
    // A notification of nobody: its time is read first.
    let moved = "/api/admin/notifications/01hzy0000000000000000000ab/move";
    for time in [
        "-000044-03-15T12:00:00Z",
        "2027-03-15T12Z",
        "2027-W11-1T12:00:00Z",
    ] {
        let body = json!({"dueAt": time, "why": "a test"});
        let refused = organizer.post(moved, body).await;
        refused.problem(422, "field-invalid").at_field("dueAt");
    }
    let later = post(json!({"startsAt": "2027-03-15t12:00:00.5-00:00"})).await;
    assert_eq!(later.expect(201)["startsAt"], "2027-03-15T12:00:00.5Z");
    for zone in [
        "Etc/Unknown",
        "Factory",
        "localtime",
        "posix/Europe/Berlin",
        "CET-1CEST",
        "+02:00",
        "",
    ] {
        let refused = post(json!({"timeZone": zone})).await;
        refused.problem(422, "field-invalid").at_field("timeZone");
    }
    let zoned = post(json!({"timeZone": "europe/kyiv"})).await.expect(201);
    assert_eq!(zoned["timeZone"], "Europe/Kyiv");
    // What stood there stays good: a change of something else is not refused for it.
    let (path, etag) = (path_of(&zoned), etag_of(&zoned));
    let patched = organizer.patch(&path, &etag, json!({"title": "B"})).await;
    assert_eq!(patched.expect(200)["timeZone"], "Europe/Kyiv");
}

#[tokio::test]
async fn what_was_made_stands_where_the_answer_says() {
    let api = Api::start().await;
    let (organizer, customer) = (&api.organizer.client, &api.customer.client);
    let found = async |client: &Client, made: &Answer, id: &str| {
        made.expect(201);
        let location = made.header("location");
        let shown = client.get(location).await.expect(200);
        assert_eq!(shown[id], made.json()[id], "{location}");
        shown
    };
    let event = organizer.post("/api/events", event_body(json!({}))).await;
    let event = found(organizer, &event, "id").await;
    let wanted = json!({"eventId": event["id"], "numTickets": 2});
    let booking = customer.post("/api/bookings", wanted.clone()).await;
    found(customer, &booking, "id").await;
    let hold = customer.post("/api/holds", wanted).await;
    found(customer, &hold, "id").await;
    let words = json!({"subject": "Hi", "message": "There"});
    let path = path_of(&event);
    let told = organizer
        .post(&format!("{path}/announcements"), words)
        .await;
    found(organizer, &told, "id").await;

    let signed_up = json!({
        "email": "una@north.test", "name": "Una", "password": boxoffice_tests::Account::PASSWORD,
    });
    let una = api.door.post("/api/auth/register", signed_up).await;
    let token = una.expect(201);
    let una_signed_in = api.door.token(text(&token["token"]));
    let me = una_signed_in.get(una.header("location")).await.expect(200);
    assert_eq!(me["id"], token["user"]["id"]);
    // Her owner sees her, and nobody else does.
    let path = format!("/api/users/{}", text(&me["id"]));
    let seen = owner(&api).await.get(&path).await.expect(200);
    assert_eq!(seen["email"], "una@north.test");
    organizer.get(&path).await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_draft_does_not_exist_for_strangers() {
    let api = Api::start().await;
    let draft = api.event(json!({"status": "draft"})).await;
    let none = "01k9zq5d3n8m2r7w4x6y0a1b2c";
    let other = api.door.register("otto@north.test", "organizer").await;
    let ids = [text(&draft["id"]), none];
    for (who, client) in [
        ("a customer", &api.customer.client),
        ("an organizer", &other.client),
    ] {
        for (method, path, body) in [
            (Method::GET, "/api/events/ID", None),
            (Method::PUT, "/api/events/ID", Some(event_body(json!({})))),
            (Method::PATCH, "/api/events/ID", Some(json!({"title": "B"}))),
            (Method::DELETE, "/api/events/ID", None),
            (Method::POST, "/api/events/ID/cancel", None),
            (Method::GET, "/api/events/ID/bookings", None),
            (Method::GET, "/api/events/ID/waitlist", None),
            (Method::GET, "/api/events/ID/waitlist/me", None),
            (Method::DELETE, "/api/events/ID/waitlist/me", None),
            (Method::GET, "/api/events/ID/waitlist/skips", None),
            (Method::GET, "/api/events/ID/check-ins", None),
            (Method::GET, "/api/events/ID/check-ins/export", None),
            (Method::GET, "/api/events/ID/notifications", None),
            (
                Method::POST,
                "/api/events/ID/check-ins",
                Some(json!({"code": "x"})),
            ),
            (
                Method::POST,
                "/api/events/ID/check-ins/undo",
                Some(json!({"ticketId": "x"})),
            ),
            (
                Method::POST,
                "/api/events/ID/announcements",
                Some(json!({"subject": "Hi", "message": "There"})),
            ),
            (
                Method::POST,
                "/api/events/ID/waitlist",
                Some(json!({"numTickets": 1})),
            ),
            (
                Method::POST,
                "/api/events/ID/waitlist",
                Some(json!({"lines": [{"ticketType": "x", "quantity": 1}]})),
            ),
            (
                Method::POST,
                "/api/bookings",
                Some(json!({"eventId": "ID", "numTickets": 1})),
            ),
            (
                Method::POST,
                "/api/bookings",
                Some(json!({"eventId": "ID", "numTickets": 9999})),
            ),
            (
                Method::POST,
                "/api/holds",
                Some(json!({"eventId": "ID", "lines": [{"ticketType": "x", "quantity": 1}]})),
            ),
        ] {
            // What there is and what there is not answer alike, down to the words.
            let mut told = Vec::new();
            for id in ids {
                let request = client.request(method.clone(), &path.replace("ID", id));
                let request = request.header("If-Match", "\"1\"");
                let request = match &body {
                    Some(body) => {
                        let body = body.to_string().replace("ID", id);
                        request
                            .header("Content-Type", "application/json")
                            .body(body)
                    }
                    None => request,
                };
                let answer = Answer::of(request).await;
                let detail = answer.json()["detail"].to_string().replace(id, "ID");
                told.push((answer.status, answer.json()["code"].clone(), detail));
            }
            assert_eq!(told[0], told[1], "{who}: {method} {path}");
            let refused = [404, 422].contains(&told[0].0);
            assert!(refused, "{who}: {method} {path}: {:?}", told[0]);
        }
    }
    // Who runs it is told why.
    let book = json!({"eventId": draft["id"], "numTickets": 1});
    for path in ["/api/bookings", "/api/holds"] {
        let answer = api.organizer.client.post(path, book.clone()).await;
        answer.problem(409, "event-not-published");
    }
}

#[tokio::test]
async fn a_live_streams_connection_ends_with_its_session() {
    let api = Api::start().await;
    owner(&api).await;
    let account = api.door.login("owen@north.test").await;
    let request = format!(
        "GET /api/admin/live HTTP/1.1\r\nHost: a\r\nX-Tenant: north\r\nAuthorization: Bearer {}\r\n\r\n",
        account.token
    );
    let address = api.door.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("the host listens");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the host reads");
    let mut received = vec![0; 1024];
    let first = stream.read(&mut received).await.expect("an answer");
    received.truncate(first);
    let body = json!({"refreshToken": account.refresh_token});
    api.door.post("/api/auth/logout", body).await.expect(204);
    // Nobody reads on at a connection that is kept for other requests.
    tokio::time::timeout(Patience::WORK, stream.read_to_end(&mut received))
        .await
        .expect("the connection ends")
        .expect("without an error");
    let received = String::from_utf8_lossy(&received);
    assert_eq!(statuses(&received), [200], "{received}");
    assert!(
        received.ends_with("0\r\n\r\n"),
        "the stream ended as a whole"
    );
}
