//! Goal: staff look at everything and move nothing; an operator's actions stand in the audit under their name; what failed
//! is found by the code of the server's reply and by its state; a stream tells operators how fast the lanes are, and
//! whether database and queue answer.
//!
//! Method: as in the rest of `dashboard`: a real SMTP server that refuses, asked over HTTP as the page asks.

use boxoffice_tests::{Patience, SmtpServer, api::text, wait_for, wait_until};
use reqwest::Method;
use serde_json::json;

use super::{Desk, close, items, next_event};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_look_and_move_nothing() {
    let server = SmtpServer::start().await;
    server.control(&json!({"refuse": "550 5.7.1 not today"}));
    let desk = Desk::open(&server).await;
    let worker = desk.engine.worker().spawn();
    let (_, event) = desk.booked("ann").await;
    let staff = &desk.staff.client;
    let failed = wait_for(Patience::WORK, "a failed delivery", || async {
        let failed = staff.get("/api/admin/failed").await.expect(200);
        (items(&failed).len() == 1).then_some(failed)
    })
    .await;
    close(worker).await;
    let delivery = text(&items(&failed)[0]["id"]).to_owned();
    let notification = desk.told(&event).await;
    for path in [
        "/api/admin/overview",
        "/api/admin/notifications",
        "/api/admin/schedules",
        "/api/admin/reasons",
        &format!("/api/admin/notifications/{notification}/failed"),
        &format!("/api/notifications/{notification}/deliveries"),
        &format!("/api/admin/deliveries/{delivery}"),
    ] {
        staff.get(path).await.expect(200);
    }
    let found = staff.post("/api/admin/searches", json!({"text": "ann@north.test"}));
    found.await.expect(200);
    let why = json!({"why": "I may not"});
    for verb in ["pause", "resume", "cancel", "promote"] {
        let path = format!("/api/admin/notifications/{notification}/{verb}");
        staff
            .post(&path, why.clone())
            .await
            .problem(403, "forbidden");
    }
    let path = format!("/api/admin/notifications/{notification}/move");
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let body = json!({"dueAt": tomorrow.to_string(), "why": "I may not"});
    staff.post(&path, body).await.problem(403, "forbidden");
    // A dry run is a look, but one that only those take who may go on.
    for dry_run in [true, false] {
        let body = json!({"state": "dead", "dryRun": dry_run, "why": "I may not"});
        staff
            .post("/api/admin/retries", body)
            .await
            .problem(403, "forbidden");
    }
    for path in ["/api/admin/audit", "/api/admin/plugins"] {
        staff.get(path).await.problem(403, "forbidden");
    }
    for verb in ["pause", "resume"] {
        let path = format!("/api/admin/lanes/bulk/{verb}");
        for client in [staff, &desk.owner.client] {
            client
                .post(&path, why.clone())
                .await
                .problem(403, "forbidden");
        }
    }
    let shown = staff
        .get(&format!("/api/notifications/{notification}"))
        .await
        .expect(200);
    assert_eq!(
        (&shown["isPaused"], &shown["status"]),
        (&json!(false), &json!("scheduled"))
    );
    let audit = desk.owner.client.get("/api/admin/audit").await.expect(200);
    assert!(items(&audit).is_empty(), "{audit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_named_in_the_audit_with_their_reason() {
    let server = SmtpServer::start().await;
    let desk = Desk::open(&server).await;
    let (_, event) = desk.booked("ann").await;
    let notification = desk.told(&event).await;
    let operator = desk.operator.tenant("north");
    let path = format!("/api/admin/notifications/{notification}/pause");
    for (why, status) in [("", 422), (&"x".repeat(501), 422), (&"é".repeat(500), 204)] {
        let answer = operator.post(&path, json!({"why": why})).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    let audit = desk.owner.client.get("/api/admin/audit").await.expect(200);
    let [entry] = items(&audit).as_slice() else {
        panic!("one action: {audit}")
    };
    assert_eq!(entry["who"], "an operator", "which one is for operators");
    assert_eq!(entry["why"], "é".repeat(500));

    // What is for all tenants stands outside them.
    let why = json!({"why": "the provider asked us to"});
    desk.operator
        .post("/api/admin/lanes/bulk/pause", why.clone())
        .await
        .expect(204);
    let overview = desk
        .organizer
        .client
        .get("/api/admin/overview")
        .await
        .expect(200);
    let pause = &overview["pausedLanes"][0];
    assert_eq!(
        (&pause["lane"], &pause["who"], &pause["why"]),
        (&json!("bulk"), &json!(null), &json!(null))
    );
    let metrics = desk.hosted.client().get("/metrics").await.text;
    assert!(
        metrics.contains("boxoffice_lane_paused{lane=\"bulk\"} 1.0"),
        "{metrics}"
    );
    desk.operator
        .post("/api/admin/lanes/bulk/resume", why)
        .await
        .expect(204);
    let audit = desk.operator.get("/api/admin/audit").await.expect(200);
    let actions: Vec<&str> = items(&audit)
        .iter()
        .map(|entry| text(&entry["action"]))
        .collect();
    assert_eq!(actions, ["resume-lane", "pause-lane"]);
    assert_eq!(
        items(&audit)[1]["who"],
        format!("operator {}", Desk::OPERATOR)
    );
    let of_tenant = operator.get("/api/admin/audit").await.expect(200);
    assert_eq!(items(&of_tenant).len(), 1, "{of_tenant}");
    assert_eq!(
        items(&of_tenant)[0]["who"],
        format!("operator {}", Desk::OPERATOR)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_found_by_reply_code_and_state() {
    let server = SmtpServer::start().await;
    server.control(&json!({"refuse": "552 5.2.2 mailbox full", "ending": "7"}));
    let desk = Desk::open(&server).await;
    let worker = desk.engine.worker().spawn();
    desk.booked("c7").await;
    let (_, event) = desk.booked("ann").await;
    let admin = &desk.organizer.client;
    wait_until(Patience::WORK, "one sent and one failed", || async {
        let failed = admin.get("/api/admin/failed").await.expect(200);
        items(&failed).len() == 1 && server.count() == 1
    })
    .await;
    let count = async |query: &str| {
        let found = admin
            .get(&format!("/api/admin/failed?{query}"))
            .await
            .expect(200);
        items(&found).len()
    };
    for query in [
        "code=552",
        "code=5",
        "code=5.2.2",
        "state=dead",
        "state=dead&code=55&limit=1",
    ] {
        assert_eq!(count(query).await, 1, "{query}");
    }
    for query in [
        "code=550",
        "code=4",
        "state=unknown",
        "state=dead&code=5.1.1",
    ] {
        assert_eq!(count(query).await, 0, "{query}");
    }
    for (query, field) in [
        ("code=abc", "code"),
        ("state=sent", "state"),
        ("code=5&code=5", "code"),
    ] {
        let answer = admin.get(&format!("/api/admin/failed?{query}")).await;
        answer.problem(422, "field-invalid").at_field(field);
    }
    let find = async |words: &str| {
        admin
            .post("/api/admin/searches", json!({"text": words}))
            .await
    };
    let found = find("552").await.expect(200);
    assert_eq!(
        (&found["failedCode"], &found["failedCount"]),
        (&json!("552"), &json!(1))
    );
    find("421").await.problem(404, "not-found");
    let rival = desk.door.register("rival@north.test", "organizer").await;
    let others = rival
        .client
        .post("/api/admin/searches", json!({"text": "552"}));
    others.await.problem(404, "not-found");

    // Within a notification by any state.
    let told = desk.told(&event).await;
    let path = format!("/api/notifications/{told}/deliveries");
    wait_until(Patience::WORK, "the mail about the change", || async {
        let sent = admin.get(&format!("{path}?state=sent")).await.expect(200);
        items(&sent).len() == 1
    })
    .await;
    let dead = admin.get(&format!("{path}?state=dead")).await.expect(200);
    assert_eq!((items(&dead).len(), &dead["nextCursor"]), (0, &json!(null)));
    let odd = admin.get(&format!("{path}?state=lost")).await;
    odd.problem(422, "field-invalid").at_field("state");
    close(worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_how_fast_the_lanes_are_and_what_answers() {
    let server = SmtpServer::start().await;
    let desk = Desk::open(&server).await;
    let worker = desk.engine.worker().spawn();
    let request = desk.operator.request(Method::GET, "/api/admin/live");
    let mut stream = request.send().await.expect("an answer");
    let (name, points) = next_event(&mut stream).await;
    assert_eq!(
        (name.as_str(), &points),
        ("paces", &json!([])),
        "nobody has watched before"
    );
    let (name, sample) = next_event(&mut stream).await;
    assert_eq!(name, "");
    for part in ["database", "queue"] {
        assert_eq!(sample["health"][part]["answers"], true, "{sample}");
        assert!(sample["health"][part]["tookMillis"].is_f64(), "{sample}");
    }
    desk.booked("ann").await;
    let paced = async {
        loop {
            let (_, sample) = next_event(&mut stream).await;
            let pace = &sample["paces"]["lanes"][0];
            if pace["sendP95Millis"].is_f64() {
                return pace.clone();
            }
        }
    };
    let pace = tokio::time::timeout(Patience::WORK, paced)
        .await
        .expect("a mail is seen in the pace");
    assert_eq!(pace["lane"], "transactional");
    assert!(pace["waitP50Millis"].as_f64() > Some(0.0), "{pace}");
    let of_tenant = desk
        .owner
        .client
        .get("/api/admin/overview")
        .await
        .expect(200);
    for hidden in ["paces", "health", "lanes"] {
        assert_eq!(of_tenant[hidden], json!(null), "{hidden} is for operators");
    }
    let metrics = desk.hosted.client().get("/metrics").await.text;
    for line in [
        "boxoffice_mail_wait_seconds_count{lane=\"transactional\"} 1",
        "boxoffice_mail_seconds_count{lane=\"transactional\"} 1",
        "boxoffice_part_answers{part=\"queue\"} 1.0",
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
    close(worker).await;
}
