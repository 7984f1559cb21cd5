//! Goal: what stands around every route: answers are compressed where that gains something and tells nothing, pages of
//! other origins get in only where the configuration says so, and whoever asks too often waits, alone.
//!
//! Method: real requests to the real router, with the headers that browsers and proxies send.

use std::{
    io::{Read as _, Write as _},
    num::NonZeroU32,
    process::{Command, Stdio},
    time::Duration,
};

use boxoffice_engine::UserRole;
use boxoffice_host::RouterOptions;
use boxoffice_tests::{
    Account, Client, Hosted, TestPlatform,
    api::{Api, event_body, path_of, text},
    pass_time, required_variable,
};
use reqwest::{Method, Response, header::HeaderMap};
use serde_json::{Value, json};

const SHOP: &str = "https://shop.example";

async fn send(request: reqwest::RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

/// What an answer says of its encoding, and its bytes as they came.
async fn packed(client: &Client, path: &str) -> (HeaderMap, Vec<u8>) {
    let request = client.request(Method::GET, path);
    let answer = send(request.header("Accept-Encoding", "gzip, br")).await;
    assert_eq!(answer.status(), 200, "{path}");
    let headers = answer.headers().clone();
    (headers, answer.bytes().await.expect("a body").to_vec())
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let code =
        "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
    let mut python = Command::new(required_variable("BOXOFFICE_PYTHON"))
        .args(["-c", code])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = python.stdin.take().expect("stdin is piped");
    input.write_all(bytes).expect("Python reads");
    drop(input);
    let mut plain = Vec::new();
    let mut output = python.stdout.take().expect("stdout is piped");
    output.read_to_end(&mut plain).expect("Python writes");
    assert!(python.wait().expect("Python ends").success(), "no gzip");
    plain
}

#[tokio::test]
async fn long_answers_are_compressed_for_whoever_asks_and_others_are_not() {
    let api = Api::start().await;
    for number in 0..20 {
        api.event(json!({"title": format!("Night {number}")})).await;
    }
    for path in [
        "/api/events",
        "/openapi.json",
        "/admin/assets/shell.js",
        "/docs",
    ] {
        let plain = send(api.door.request(Method::GET, path)).await;
        assert!(plain.headers().get("content-encoding").is_none(), "{path}");
        let plain = plain.bytes().await.expect("a body");
        let (headers, bytes) = packed(&api.door, path).await;
        if plain.len() < 1_200 {
            assert!(headers.get("content-encoding").is_none(), "{path}");
            continue;
        }
        assert_eq!(headers["content-encoding"], "gzip", "{path}");
        assert_eq!(headers["vary"], "accept-encoding", "{path}");
        assert!(bytes.len() * 2 < plain.len(), "{path}: {}", bytes.len());
        assert!(unpacked(&bytes) == plain, "{path}: the same bytes");
    }
    // Short; with an ETag; no answer of ours at all.
    let event = api
        .event(json!({"description": "long ".repeat(1_000)}))
        .await;
    for path in ["/health/live", &path_of(&event)] {
        let (headers, _) = packed(&api.door, path).await;
        assert!(headers.get("content-encoding").is_none(), "{path}");
    }
}

#[tokio::test]
async fn answers_with_secrets_are_never_compressed_and_live_ones_neither() {
    let api = Api::start().await;
    // A name this long is said again in the answer, which would then be worth compressing.
    let body = json!({
        "email": "ben@north.test", "name": "Ben".repeat(30), "password": Account::PASSWORD, "role": "customer",
    });
    let request = api
        .door
        .request(Method::POST, "/api/auth/register")
        .json(&body);
    let answer = send(request.header("Accept-Encoding", "gzip")).await;
    assert_eq!(answer.status(), 201);
    assert!(answer.headers().get("content-encoding").is_none());

    let many = api.event(json!({"totalTickets": 40})).await;
    let booking = api.book(&many, 40).await;
    let tickets = format!("/api/bookings/{}/tickets?limit=100", text(&booking["id"]));
    let (headers, bytes) = packed(&api.customer.client, &tickets).await;
    assert!(
        bytes.len() > 1_200,
        "worth compressing otherwise: {}",
        bytes.len()
    );
    assert!(headers.get("content-encoding").is_none());

    let live = api.organizer.client.request(Method::GET, "/api/admin/live");
    let live = send(live.header("Accept-Encoding", "gzip")).await;
    assert_eq!(live.headers()["content-type"], "text/event-stream");
    assert_eq!(live.headers()["x-accel-buffering"], "no");
    let kept = live.headers()["cache-control"].to_str().expect("text");
    for word in ["no-cache", "no-transform"] {
        assert!(kept.split(", ").any(|one| one == word), "{kept}");
    }
    assert!(live.headers().get("content-encoding").is_none());
}

/// A tenant `north` with an owner and one with the name `south`, behind a router with these options.
async fn hosted(describe: impl FnOnce(&mut RouterOptions)) -> (Hosted, TestPlatform) {
    let platform = TestPlatform::new().await;
    platform.may_owe();
    for name in ["north", "south"] {
        let tenant = platform.tenant(name).await;
        platform.user(&tenant, "owen", UserRole::Owner).await;
        platform.user(&tenant, "ann", UserRole::Customer).await;
    }
    let mut options = RouterOptions {
        throttle_logins: false,
        client_requests_per_minute: None,
        tenant_requests_per_minute: None,
        ..RouterOptions::default()
    };
    describe(&mut options);
    let hosted = Hosted::with_options(platform.engine.clone(), options).await;
    (hosted, platform)
}

fn preflight(client: &Client, path: &str, origin: &str) -> reqwest::RequestBuilder {
    client
        .request(Method::OPTIONS, path)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "POST")
        .header(
            "Access-Control-Request-Headers",
            "authorization,content-type,x-tenant",
        )
}

#[tokio::test]
async fn pages_of_named_origins_may_ask_and_no_others() {
    let (hosted, _platform) = hosted(|options| {
        options.cors_origins = vec![SHOP.parse().expect("a header value")];
    })
    .await;
    let door = hosted.client().tenant("north");
    let asked = send(preflight(&door, "/api/bookings", SHOP)).await;
    assert!(asked.status().is_success());
    let headers = asked.headers();
    assert_eq!(headers["access-control-allow-origin"], SHOP);
    assert_eq!(headers["access-control-max-age"], "3600");
    assert!(headers.get("access-control-allow-credentials").is_none());
    for (name, words) in [
        ("access-control-allow-methods", "GET POST PUT PATCH DELETE"),
        (
            "access-control-allow-headers",
            "authorization content-type if-match idempotency-key x-tenant",
        ),
    ] {
        let allowed = headers[name].to_str().expect("text");
        for word in words.split(' ') {
            assert!(
                allowed.split(',').any(|one| one == word),
                "{name}: {allowed}"
            );
        }
    }

    // Answers, problems included, can be read there, with the headers that programs need.
    for (path, status) in [
        ("/api/events", 200),
        ("/api/bookings/me", 401),
        ("/api/none", 404),
    ] {
        let answer = send(door.request(Method::GET, path).header("Origin", SHOP)).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(
            answer.headers()["access-control-allow-origin"],
            SHOP,
            "{path}"
        );
        let exposed = answer.headers()["access-control-expose-headers"]
            .to_str()
            .expect("text");
        for name in [
            "etag",
            "location",
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
        ] {
            assert!(
                exposed.split(',').any(|one| one == name),
                "{path}: {exposed}"
            );
        }
        assert!(
            answer
                .headers()
                .get("access-control-allow-credentials")
                .is_none()
        );
    }

    // Another origin, one that only begins alike, and what is not the API.
    for (path, origin) in [
        ("/api/events", "https://evil.example"),
        ("/api/events", "https://shop.example.evil.example"),
        ("/api/events", "http://shop.example"),
        ("/api/events", "null"),
        ("/admin/session", SHOP),
        ("/metrics", SHOP),
    ] {
        for request in [
            preflight(&door, path, origin),
            door.request(Method::GET, path).header("Origin", origin),
        ] {
            let answer = send(request).await;
            let allowed = answer.headers().get("access-control-allow-origin");
            assert!(allowed.is_none(), "{path} from {origin}: {allowed:?}");
        }
    }
}

#[tokio::test]
async fn without_origins_there_is_no_cors() {
    let (hosted, _platform) = hosted(|_| {}).await;
    let door = hosted.client().tenant("north");
    let asked = send(preflight(&door, "/api/bookings", SHOP)).await;
    assert_eq!(asked.status(), 405);
    assert!(asked.headers().get("access-control-allow-origin").is_none());
}

fn some(requests: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(requests)
}

#[tokio::test]
async fn a_client_that_asks_too_often_waits_alone() {
    let (hosted, _platform) = hosted(|options| {
        options.client_requests_per_minute = some(6);
        options.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await;
    let door = hosted.client().tenant("north");
    let from = async |client: &Client, path: &str, address: &str| {
        let request = client.request(Method::GET, path);
        boxoffice_tests::Answer::of(request.header("X-Forwarded-For", address)).await
    };
    // Signed in from an address of its own: signing in counts, too.
    let login = json!({"email": "ann@north.test", "password": Account::PASSWORD});
    let request = door.request(Method::POST, "/api/auth/login").json(&login);
    let answer = boxoffice_tests::Answer::of(request.header("X-Forwarded-For", "192.0.2.1")).await;
    assert_eq!(answer.header("ratelimit"), "\"client\";r=5;t=10");
    let ann = door.token(text(&answer.expect(200)["token"]));

    for left in (0..6).rev() {
        let answer = from(&ann, "/api/auth/me", "192.0.2.2").await;
        answer.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"client\";q=6;w=60");
        let told = answer.header("ratelimit");
        assert!(
            told.starts_with(&format!("\"client\";r={left};t=")),
            "{told}"
        );
    }
    let refused = from(&ann, "/api/auth/me", "192.0.2.3").await;
    let problem = refused.problem(429, "too-many-requests");
    let seconds = problem
        .member("retryAfterSeconds")
        .as_u64()
        .expect("a number");
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("retry-after"), seconds.to_string());
    assert!(refused.header("ratelimit").starts_with("\"client\";r=0;t="));
    // Nothing was done: the limit stands before the route.
    ann.post("/api/bookings", json!({}))
        .await
        .problem(429, "too-many-requests");

    // Nobody else is held up: not the user's address, not other addresses, not health checks, which nobody counts.
    from(&door, "/api/events", "192.0.2.2").await.expect(200);
    for _ in 0..8 {
        let answer = from(&door, "/health/live", "192.0.2.2").await;
        answer.expect(200);
        assert_eq!(answer.header("ratelimit"), "");
    }
    // Pages, the description, links of mails and paths that are not there are counted: they cost time, too.
    for path in [
        "/openapi.json",
        "/docs",
        "/errors/not-found",
        "/verify/nonsense",
        "/unsubscribe/nonsense",
        "/nowhere",
    ] {
        assert_ne!(from(&door, path, "192.0.2.9").await.status, 429, "{path}");
    }
    for path in [
        "/openapi.json",
        "/verify/nonsense",
        "/tickets/nonsense",
        "/tickets/nonsense/event.ics",
        "/nowhere",
        "/admin/queues",
    ] {
        let refused = from(&door, path, "192.0.2.9").await;
        refused.problem(429, "too-many-requests");
    }
    // An address is counted whatever it claims to be: without a token, and with a wrong one.
    let liar = door.token("nonsense");
    for _ in 0..6 {
        from(&liar, "/api/events", "198.51.100.7")
            .await
            .problem(401, "not-authenticated");
    }
    from(&door, "/api/events", "198.51.100.7")
        .await
        .problem(429, "too-many-requests");
    from(&door, "/api/events", "198.51.100.8").await.expect(200);
}

#[tokio::test]
async fn addresses_come_from_trusted_proxies_only() {
    let (hosted, _platform) = hosted(|options| {
        options.client_requests_per_minute = some(3);
    })
    .await;
    let door = hosted.client().tenant("north");
    for (number, status) in [(1, 200), (2, 200), (3, 200), (4, 429)] {
        let request = door.request(Method::GET, "/api/events");
        let answer = send(request.header("X-Forwarded-For", format!("192.0.2.{number}"))).await;
        assert_eq!(answer.status(), status, "request {number}");
    }
}

#[tokio::test]
async fn a_tenant_over_its_limit_is_refused_alone() {
    let (hosted, _platform) = hosted(|options| {
        options.tenant_requests_per_minute = some(4);
    })
    .await;
    let (north, south) = (
        hosted.client().tenant("north"),
        hosted.client().tenant("south"),
    );
    let owner = north.login("owen@north.test").await;
    let ann = north.login("ann@north.test").await;
    let body: Value = event_body(json!({}));
    owner.client.post("/api/events", body).await.expect(201);
    ann.client.get("/api/auth/me").await.expect(200);
    for client in [&owner.client, &ann.client, &north] {
        let refused = client.get("/api/events").await;
        let problem = refused.problem(429, "too-many-requests");
        assert!(
            problem
                .member("retryAfterSeconds")
                .as_u64()
                .is_some_and(|wait| wait <= 15)
        );
        assert!(refused.header("ratelimit").starts_with("\"tenant\";r=0;t="));
    }
    for _ in 0..3 {
        let answer = south.get("/api/events").await;
        answer.expect(200);
        // How busy a tenant is, is nobody's business.
        assert_eq!(answer.header("ratelimit"), "");
    }
}

#[tokio::test]
async fn what_came_is_let_through_again_after_the_time_to_wait() {
    // 60 a minute: the next one after a second.
    let (hosted, _platform) = hosted(|options| {
        options.client_requests_per_minute = some(60);
    })
    .await;
    let door = hosted.client().tenant("north");
    let refused = loop {
        let answer = door.get("/api/events").await;
        if answer.status != 200 {
            break answer;
        }
    };
    refused.problem(429, "too-many-requests");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    // The very thing that is tested: whoever waits as long as told is let through.
    pass_time(Duration::from_secs(wait)).await;
    door.get("/api/events").await.expect(200);
}
