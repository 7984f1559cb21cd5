//! Goal: one trace leads from a caller's own span through the request, outbox, queue and worker to the mail server's reply,
//! across processes; what a caller does not record is not recorded, and a collector that is away holds nothing up. Logs are
//! lines of JSON when asked for.
//!
//! Method: `boxoffice serve` and `boxoffice worker` on one SurrealDB server, mails to a real SMTP server, spans to a collector
//! of this process that speaks OTLP over gRPC.

use boxoffice_tests::{
    CollectedSpan, Config, LoadFixture, Patience, Program, SmtpServer, SurrealServer,
    TraceCollector,
    api::{path_of, text},
    wait_for, wait_until,
};
use reqwest::Method;
use serde_json::{Value, json};

const CUSTOMERS: usize = 40;
const BOOKING: &str = "0af7651916cd43dd8448eb211c80319c";
const CHANGE: &str = "1af7651916cd43dd8448eb211c80319c";
const UNRECORDED: &str = "2af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_leads_from_the_request_to_the_mail_servers_reply() {
    let (collector, smtp) = (TraceCollector::start().await, SmtpServer::start().await);
    let crowd = LoadFixture::gather(SurrealServer::start().await, CUSTOMERS).await;
    let config = Config::remote(&crowd.server)
        .smtp(&smtp)
        .text("telemetry", "otlp_endpoint", &collector.url())
        .raw("telemetry", "sample_ratio", "1")
        .text("logs", "format", "json")
        .write(&crowd.folder, "boxoffice.toml");
    let host = Program::serve(&config).await;
    let organizer = crowd.organizer(&host).await;
    let event = crowd.booked_event(&organizer).await;
    let door = host.client().tenant("north");
    let ann = door.register("ann@north.test", "customer").await;
    let ben = door.register("ben@north.test", "customer").await;
    let worker = Program::worker(&config).await;
    for (customer, trace, flags) in [(&ben, UNRECORDED, "00"), (&ann, BOOKING, "01")] {
        let booked = customer
            .client
            .request(Method::POST, "/api/bookings")
            .header("traceparent", format!("00-{trace}-{CALLER}-{flags}"))
            .json(&json!({"eventId": event["id"], "numTickets": 1}))
            .send()
            .await;
        assert_eq!(booked.expect("an answer").status(), 201);
    }
    wait_until(Patience::WORK, "the confirmations", || async {
        smtp.count() == CUSTOMERS + 2
    })
    .await;

    let of_booking = whole(&collector, BOOKING, 1).await;
    let [request, queue, deliver, send] =
        ["request", "queue", "deliver", "smtp send"].map(|name| only(&of_booking, name));
    assert_eq!(request.parent, CALLER, "the caller's own span");
    assert_eq!(said(request, "route"), "/api/bookings");
    assert_eq!((&queue.parent, &deliver.parent), (&request.id, &request.id));
    assert_eq!(send.parent, deliver.id);
    assert_eq!(said(deliver, "kind"), "booking-confirmed");
    assert_eq!(said(deliver, "outcome"), "sent");
    assert_eq!(said(send, "reply_code"), "250");
    assert!(queue.nanoseconds > 0 && send.nanoseconds > 0);
    assert!(of_booking.iter().all(|span| span.service == "boxoffice"));

    // A change that many hear of is one trace, too.
    let changed = organizer
        .client
        .request(Method::PATCH, &path_of(&event))
        .header("traceparent", format!("00-{CHANGE}-{CALLER}-01"))
        .header("If-Match", "\"1\"")
        .json(&json!({"location": "New Hall"}))
        .send()
        .await;
    assert_eq!(changed.expect("an answer").status(), 200);
    let of_change = whole(&collector, CHANGE, CUSTOMERS + 2).await;
    let request = only(&of_change, "request");
    let deliveries = of_change.iter().filter(|span| span.name == "deliver");
    assert!(deliveries.clone().all(|span| span.parent == request.id));
    assert_eq!(deliveries.count(), CUSTOMERS + 2);

    let refused = organizer.client.post("/api/bookings", json!({})).await;
    refused.expect(422);
    worker.stop().await;
    host.signal("TERM");
    let output = host.stopped().await;
    let of_nobody = traced(&collector, UNRECORDED);
    assert!(of_nobody.is_empty(), "{of_nobody:?}");
    let said: String = collector
        .spans()
        .iter()
        .map(|span| format!("{span:?}"))
        .collect();
    assert!(!said.contains("north.test"), "spans name nobody");

    let lines: Vec<Value> = output
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("a line of the log is JSON"))
        .collect();
    // What was refused is logged; the bookings were not.
    let answered: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "answered" && line["span"]["route"] == "/api/bookings")
        .collect();
    let [answered] = answered[..] else {
        panic!("one refusal was logged: {output}");
    };
    assert_eq!(
        (&answered["level"], &answered["status"]),
        (&json!("INFO"), &json!(422))
    );
    assert!(text(&answered["timestamp"]).ends_with('Z'), "{answered}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_holds_nothing_up() {
    let collector = TraceCollector::start().await;
    let away = collector.url();
    drop(collector);
    let crowd = LoadFixture::gather(SurrealServer::start().await, 3).await;
    let mails = crowd.folder.join("mails");
    let config = Config::remote(&crowd.server)
        .mail_folder(&mails)
        .text("telemetry", "otlp_endpoint", &away)
        .raw("telemetry", "sample_ratio", "1.0")
        .write(&crowd.folder, "boxoffice.toml");
    let host = Program::serve(&config).await;
    let worker = Program::worker(&config).await;
    let organizer = crowd.organizer(&host).await;
    crowd.booked_event(&organizer).await;
    wait_until(Patience::WORK, "the confirmations", || async {
        boxoffice_tests::count_mails(&mails) == 3
    })
    .await;
    worker.stop().await;
    host.stop().await;
}

/// The spans of a trace once as many mails of it have been handed over as are named.
async fn whole(collector: &TraceCollector, trace: &str, mails: usize) -> Vec<CollectedSpan> {
    wait_for(Patience::WORK, "a whole trace", || async {
        let spans = traced(collector, trace);
        let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
        let is_whole = count("request") == 1
            && ["queue", "deliver", "smtp send"]
                .iter()
                .all(|name| count(name) == mails);
        is_whole.then_some(spans)
    })
    .await
}

fn traced(collector: &TraceCollector, trace: &str) -> Vec<CollectedSpan> {
    let mut spans = collector.spans();
    spans.retain(|span| span.trace == trace);
    spans
}

fn only<'a>(spans: &'a [CollectedSpan], name: &str) -> &'a CollectedSpan {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    match found.as_slice() {
        [only] => only,
        other => panic!("one span `{name}`: {other:?}"),
    }
}

fn said<'a>(span: &'a CollectedSpan, attribute: &str) -> &'a str {
    let mut said = span.attributes.iter();
    let found = said.find(|(key, _)| key == attribute);
    found.map_or("", |(_, value)| value.as_str())
}
