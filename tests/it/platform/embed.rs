//! Goal: DESIGN's embedding sketch works as written: a platform brings its users, its policy, its mailer, its clock
//! and its sign-ins, and mounts the API under a prefix of its own program.
//!
//! Method: the engine and the router as a platform would use them, in this process; requests go into the router
//! without a socket.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use boxoffice_engine::{
    BookTickets, Caller, EmailAddress, Engine, EnsureUser, ErrorCode, IdempotencyKey, Label,
    Metadata, Result, TenantId, UserRole,
    ports::{BookingView, Decision, HookFailure, Policy},
};
use boxoffice_host::{Authenticate, RouterOptions};
use boxoffice_tests::{
    MemoryMailer, Patience, TempFolder, TestPlatform, create_event, organizer_and_tenant,
    quick_settings, wait_for, wait_until,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sketch_of_the_design_works() {
    let folder = TempFolder::new("embed");
    let mailer = MemoryMailer::default();
    let engine = Engine::builder()
        .embedded(folder.join("data"))
        .settings(quick_settings())
        .mailer(mailer.clone())
        .policy(AtMostTwo)
        .build()
        .await
        .expect("an engine on disk starts");
    let (_, organizer, _) = organizer_and_tenant(&engine, "acme").await;
    let event = create_event(&engine, &organizer, Timestamp::now(), 10).await;

    let caller = Caller::platform("acme");
    let ensure = |name: &str| EnsureUser {
        external_id: "user-17".to_owned(),
        name: Label::parse("name", name).expect("one line"),
        email: EmailAddress::parse("email", "ann@acme.test").expect("an address"),
        metadata: None,
    };
    let user = engine
        .users()
        .ensure(&caller, ensure("Ann"))
        .await
        .expect("a user");
    let again = engine
        .users()
        .ensure(&caller, ensure("Ann of Acme"))
        .await
        .expect("the same user");
    assert_eq!(
        (again.id, again.name.as_str(), again.role),
        (user.id, "Ann of Acme", UserRole::Customer)
    );
    let entries = [("level".to_owned(), "gold".to_owned())].into();
    let metadata = Metadata::parse("metadata", entries).expect("metadata");
    let with = EnsureUser {
        metadata: Some(metadata.clone()),
        ..ensure("Ann")
    };
    for command in [with, ensure("Ann")] {
        let user = engine.users().ensure(&caller, command).await;
        let user = user.expect("the same user");
        assert_eq!(user.metadata, metadata, "metadata that nobody names stay");
    }

    let command = BookTickets {
        idempotency_key: Some(IdempotencyKey::parse("order-1").expect("a key")),
        ..BookTickets::general(event.id, 2)
    };
    let ann = caller.on_behalf_of(user.id);
    let booking = engine
        .bookings()
        .book_tickets(&ann, command.clone())
        .await
        .expect("a booking");
    let same = engine
        .bookings()
        .book_tickets(&ann, command)
        .await
        .expect("the same booking");
    assert_eq!(booking, same);
    let refused = engine
        .bookings()
        .book_tickets(&ann, BookTickets::general(event.id, 1))
        .await;
    let refused = refused.expect_err("the policy allows two");
    assert_eq!(refused.code(), ErrorCode::PolicyRejected);
    assert_eq!(
        (refused.policy_code_text(), refused.detail()),
        (Some("two-each"), "Two tickets each, please.")
    );

    let worker = engine.worker().spawn();
    wait_until(Patience::WORK, "the confirmation", || async {
        !mailer.sent().is_empty()
    })
    .await;
    assert!(worker.is_healthy());
    assert!(worker.drain(Patience::START).await);
    let mails = mailer.sent();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to.as_str(), "ann@acme.test");
    drop(engine);

    // The folder is free again, a moment after the last handle is gone, and remembers.
    let engine = wait_for(Patience::START, "the folder to be free", || async {
        Engine::builder()
            .embedded(folder.join("data"))
            .build()
            .await
            .ok()
    })
    .await;
    let kept = engine
        .bookings()
        .show(&ann, booking.id)
        .await
        .expect("the booking");
    assert_eq!(kept.item, booking);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_decides_prices_and_its_failure_is_never_a_yes() {
    let asked = Arc::new(AtomicU32::new(0));
    let platform = TestPlatform::with(|builder| builder.policy(Priced(asked.clone()))).await;
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let event = platform.event(&organizer, 100).await;
    let ann = platform.customer(&tenant, "ann").await;
    let free = platform.book(&ann, event.id, 1).await;
    assert_eq!(free.total_minor, 0);
    for (quantity, code) in [
        (3, ErrorCode::PolicyRejected),
        (4, ErrorCode::PolicyUnavailable),
        (5, ErrorCode::PolicyUnavailable),
        (6, ErrorCode::PolicyUnavailable),
    ] {
        let refused = platform
            .engine
            .bookings()
            .book_tickets(&ann, BookTickets::general(event.id, quantity))
            .await;
        assert_eq!(
            refused.expect_err("refused").code(),
            code,
            "for {quantity} tickets"
        );
    }
    assert_eq!(asked.load(Ordering::Relaxed), 5);
    let shown = platform
        .engine
        .events()
        .show(&organizer, event.id)
        .await
        .expect("the event");
    assert_eq!(shown.event.tickets_sold, 1);
    platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_per_customer_holds_against_fifty_requests_at_once() {
    let platform = TestPlatform::with(|builder| builder.policy(AtMostTwo)).await;
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let event = platform.event(&organizer, 100).await;
    let ann = platform.customer(&tenant, "ann").await;
    let requests = (0..50).map(|_| {
        let (engine, ann) = (platform.engine.clone(), ann.clone());
        tokio::spawn(async move {
            engine
                .bookings()
                .book_tickets(&ann, BookTickets::general(event.id, 1))
                .await
        })
    });
    let mut booked = 0;
    for answer in futures::future::join_all(requests).await {
        match answer.expect("no request panics") {
            Ok(_) => booked += 1,
            Err(error) => {
                let allowed = [ErrorCode::PolicyRejected, ErrorCode::ConflictTryAgain];
                assert!(allowed.contains(&error.code()), "{error}");
            }
        }
    }
    assert_eq!(booked, 2);
    platform.owes(booked);
    platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_nests_under_a_prefix_with_sign_ins_of_the_platform() {
    let platform = TestPlatform::new().await;
    platform.may_owe();
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let event = platform.event(&organizer, 100).await;
    let ann = platform.customer(&tenant, "ann").await;
    let options = RouterOptions {
        authenticate: Some(Arc::new(Badges { tenant, user: ann })),
        ..RouterOptions::default()
    };
    let app = axum::Router::new().nest(
        "/tickets",
        boxoffice_host::router(platform.engine.clone(), options),
    );
    let send = |request: Request<Body>| {
        let app = app.clone();
        async move {
            let response = app.oneshot(request).await.expect("a router does not fail");
            let status = response.status();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20)
                .await
                .expect("a body");
            (
                status,
                serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null),
            )
        }
    };
    let book = |badge: &str| {
        let body = json!({"eventId": event.id.to_string(), "numTickets": 1}).to_string();
        Request::post("/tickets/api/bookings")
            .header("Host", "tickets.example")
            .header("Badge", badge)
            .header("Content-Type", "application/json")
            .body(Body::from(body))
            .expect("a request")
    };
    let (status, booking) = send(book("ann")).await;
    assert_eq!(status, StatusCode::CREATED, "{booking}");
    assert_eq!(booking["status"], "confirmed");
    let (status, problem) = send(book("forged")).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNAUTHORIZED, &json!("not-authenticated"))
    );
    let show = Request::get(format!("/tickets/api/events/{}", event.id))
        .header("Host", "tickets.example")
        .body(Body::empty())
        .expect("a request");
    let (status, shown) = send(show).await;
    assert_eq!(
        (status, &shown["available"]["state"]),
        (StatusCode::OK, &json!("yes"))
    );
    let outside = Request::get("/api/events")
        .body(Body::empty())
        .expect("a request");
    assert_eq!(send(outside).await.0, StatusCode::NOT_FOUND);
}

/// Two tickets of an event for each customer.
struct AtMostTwo;

#[async_trait]
impl Policy for AtMostTwo {
    async fn validate_booking(
        &self,
        request: &BookingView,
    ) -> std::result::Result<Decision, HookFailure> {
        let wanted: u32 = request.lines.iter().map(|line| line.quantity).sum();
        if request.customer.tickets_in_event + wanted <= 2 {
            return Ok(Decision::Accept);
        }
        Ok(Decision::Reject {
            code: "two-each".to_owned(),
            reason: "Two tickets each, please.".to_owned(),
        })
    }
}

/// Answers by the number of tickets: yes, no, no answer, a price beyond what is allowed, prices for other lines.
struct Priced(Arc<AtomicU32>);

#[async_trait]
impl Policy for Priced {
    async fn validate_booking(
        &self,
        request: &BookingView,
    ) -> std::result::Result<Decision, HookFailure> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match request.lines[0].quantity {
            1 => Ok(Decision::Adjust {
                unit_prices_minor: vec![0],
                messages: Vec::new(),
                claims: Vec::new(),
            }),
            3 => Ok(Decision::Reject {
                code: "three".to_owned(),
                reason: "Not three.".to_owned(),
            }),
            4 => Err(HookFailure::Failed("the policy is ill".to_owned())),
            5 => Ok(Decision::Adjust {
                unit_prices_minor: vec![1],
                messages: Vec::new(),
                claims: Vec::new(),
            }),
            _ => Ok(Decision::Adjust {
                unit_prices_minor: vec![0, 0],
                messages: Vec::new(),
                claims: Vec::new(),
            }),
        }
    }
}

/// The platform's own sign-ins: a header that names who is known here.
struct Badges {
    tenant: TenantId,
    user: Caller,
}

#[async_trait]
impl Authenticate for Badges {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Caller>> {
        match headers.get("Badge").map(|badge| badge.as_bytes()) {
            None => Ok(Some(Caller::anonymous(self.tenant.clone()))),
            Some(b"ann") => Ok(Some(self.user.clone())),
            Some(_) => Err(boxoffice_engine::Error::new(
                ErrorCode::NotAuthenticated,
                "This badge is forged.",
            )),
        }
    }
}
