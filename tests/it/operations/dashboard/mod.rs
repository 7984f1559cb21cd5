//! Goal: who looks after what goes out sees how it stands, stops it, and gets what failed on its way again; each sees and
//! moves only what is theirs, every action is in the audit, and no other site acts through a page's cookies.
//!
//! Method: an engine of this process with the host's SMTP mailer against a real SMTP server that is told to refuse
//! everybody, asked over HTTP as the dashboard asks. The dashboard itself is tried in a browser by `tests/browser`.

mod desk;
mod looking;
mod retries;

use std::time::Duration;

use boxoffice_engine::{Caller, EmailAddress};
use boxoffice_tests::{
    Account, Answer, Patience, SmtpServer, api::text, organizer_and_tenant, wait_for, wait_until,
};
use reqwest::Method;
use serde_json::{Value, json};

use desk::{Desk, close, items};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_found_by_reason_tried_again_and_sent() {
    let server = SmtpServer::start().await;
    server.control(&json!({"refuse": "550 5.7.1 not today"}));
    let desk = Desk::open(&server).await;
    let worker = desk.engine.worker().spawn();
    let (ann, event) = desk.booked("ann").await;
    let admin = &desk.organizer.client;
    let failed = wait_for(Patience::WORK, "a failed delivery", || async {
        let failed = admin.get("/api/admin/failed").await.expect(200);
        (items(&failed).len() == 1).then_some(failed)
    })
    .await;
    let one = &items(&failed)[0];
    assert_eq!(one["state"], "dead");
    assert_eq!(one["eventId"], event["id"]);
    assert_eq!(one["customer"]["email"], "ann@north.test");
    let reasons = admin.get("/api/admin/reasons").await.expect(200);
    let group = &reasons["groups"][0];
    assert_eq!(
        (&group["count"], &group["state"]),
        (&json!(1), &json!("dead"))
    );
    assert!(text(&group["reason"]).contains("not today"), "{group}");
    let overview = admin.get("/api/admin/overview").await.expect(200);
    assert_eq!(
        (&overview["dead"], &overview["lanes"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(overview["workers"][0]["isAlive"], true);
    assert_eq!(overview["workers"].as_array().map(Vec::len), Some(1));

    // Another tenant, and a rival in the same one, have nothing of it.
    let (_, _, south) = organizer_and_tenant(&desk.engine, "south").await;
    let south = desk
        .hosted
        .client()
        .tenant("south")
        .login(south.as_str())
        .await;
    let rival = desk.door.register("rival@north.test", "organizer").await;
    for words in ["ann@north.test", ann.id.as_str()] {
        let search = json!({"text": words});
        let found = rival.client.post("/api/admin/searches", search).await;
        found.problem(404, "not-found");
    }
    let path = format!("/api/admin/deliveries/{}", text(&one["id"]));
    for other in [&south.client, &rival.client] {
        assert!(items(&other.get("/api/admin/failed").await.expect(200)).is_empty());
        other.get(&path).await.problem(404, "not-found");
        let all = json!({"state": "dead", "why": "mine?"});
        let sum = other.post("/api/admin/retries", all).await.expect(200);
        assert_eq!(sum["matched"], 0);
        let this = json!({"state": "dead", "deliveryId": one["id"], "why": "mine?"});
        other
            .post("/api/admin/retries", this)
            .await
            .problem(404, "not-found");
    }

    let body = json!({"state": "dead", "reason": group["reason"], "dryRun": true, "why": "count"});
    let counted = admin.post("/api/admin/retries", body).await.expect(200);
    assert_eq!(
        (&counted["matched"], &counted["retried"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(server.count(), 0);
    server.release();
    let body = json!({"state": "dead", "reason": group["reason"], "why": "the server is well"});
    let retried = admin.post("/api/admin/retries", body).await.expect(200);
    assert_eq!(
        (&retried["matched"], &retried["retried"]),
        (&json!(1), &json!(1))
    );
    let sent = wait_for(Patience::WORK, "the mail", || async {
        let found = admin.get(&path).await.expect(200);
        (found["state"] == "sent").then_some(found)
    })
    .await;
    assert_eq!(server.count(), 1);
    assert_eq!(sent["earlier"][0]["state"], "dead");
    assert!(text(&sent["earlier"][0]["reply"]).contains("not today"));
    assert!(items(&admin.get("/api/admin/failed").await.expect(200)).is_empty());

    // By what names it: the customer, the mail.
    let find = async |words: &str| {
        admin
            .post("/api/admin/searches", json!({"text": words}))
            .await
    };
    assert_eq!(find("ann@north.test").await.expect(200)["userId"], ann.id);
    let by_mail = find(text(&sent["messageId"])).await.expect(200);
    assert_eq!(by_mail["delivery"]["id"], one["id"]);
    assert_eq!(
        find(text(&event["id"])).await.expect(200)["eventId"],
        event["id"]
    );
    find("nobody@north.test").await.problem(404, "not-found");
    find("ann@").await.problem(422, "field-invalid");

    // Organizers do not read the audit, owners do.
    admin
        .get("/api/admin/audit")
        .await
        .problem(403, "forbidden");
    let audit = desk.owner.client.get("/api/admin/audit").await.expect(200);
    let entry = &items(&audit)[0];
    assert_eq!(
        (&entry["action"], &entry["count"]),
        (&json!("retry"), &json!(1))
    );
    assert_eq!(entry["why"], "the server is well");
    assert!(
        text(&entry["who"]).starts_with("organizer organizer@north.test"),
        "{entry}"
    );
    assert_eq!(
        items(&audit).len(),
        1,
        "counting, and what was refused, leave nothing: {audit}"
    );
    close(worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_notification_waits_and_a_cancelled_one_is_suppressed() {
    let server = SmtpServer::start().await;
    let desk = Desk::open(&server).await;
    let admin = &desk.organizer.client;
    let worker = desk.engine.worker().spawn();
    let (_, event) = desk.booked("ann").await;
    let (_, second) = desk.booked("ben").await;
    wait_until(Patience::WORK, "the confirmations", || async {
        server.count() == 2
    })
    .await;
    close(worker).await;
    let paused = desk.told(&event).await;
    let steer = async |id: &str, verb: &str| {
        let path = format!("/api/admin/notifications/{id}/{verb}");
        admin.post(&path, json!({"why": "a test"})).await
    };
    steer(&paused, "pause").await.expect(204);
    let other = desk.told(&second).await;
    let worker = desk.engine.worker().spawn();
    let path = format!("/api/notifications/{other}");
    // The second one's mail goes out behind the first one's task: by then that one has been looked at and left.
    wait_until(Patience::WORK, "the other's mail", || async {
        admin.get(&path).await.expect(200)["deliveries"]["sent"] == 1
    })
    .await;
    let shown = admin
        .get(&format!("/api/notifications/{paused}"))
        .await
        .expect(200);
    assert_eq!(
        (&shown["isPaused"], &shown["deliveries"]["sent"]),
        (&json!(true), &json!(0))
    );
    let heads = admin.get("/api/admin/notifications").await.expect(200);
    let of_paused = items(&heads)
        .iter()
        .find(|head| head["id"] == paused.as_str());
    assert_eq!(of_paused.map(|head| &head["isPaused"]), Some(&json!(true)));
    steer(&paused, "resume").await.expect(204);
    wait_until(Patience::WORK, "the resumed mail", || async {
        server.count() == 4
    })
    .await;

    // Stopped for good before it went out.
    close(worker).await;
    let third = desk.told_again(&second).await;
    steer(&third, "cancel").await.expect(204);
    steer(&third, "pause")
        .await
        .problem(409, "notification-over");
    let last = desk.told_again(&event).await;
    let worker = desk.engine.worker().spawn();
    wait_until(Patience::WORK, "the last mail", || async {
        admin
            .get(&format!("/api/notifications/{last}"))
            .await
            .expect(200)["deliveries"]["sent"]
            == 1
    })
    .await;
    assert_eq!(server.count(), 5, "nothing of the cancelled one");
    let audit = desk.owner.client.get("/api/admin/audit").await.expect(200);
    let actions: Vec<&str> = items(&audit)
        .iter()
        .map(|entry| text(&entry["action"]))
        .collect();
    assert_eq!(actions, ["cancel", "resume", "pause"]);
    close(worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pages_cookies_count_from_our_own_page_only() {
    let server = SmtpServer::start().await;
    let desk = Desk::open(&server).await;
    let door = &desk.door;
    for (path, kind) in [
        ("/admin/queues", "text/html"),
        ("/admin", "text/html"),
        ("/admin/changes", "text/html"),
        ("/admin/assets/shell.js", "text/javascript"),
        ("/admin/assets/mails.js", "text/javascript"),
        ("/admin/assets/console.css", "text/css"),
        ("/admin/assets/icon.svg", "image/svg+xml"),
    ] {
        let page = door.get(path).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").starts_with(kind));
        assert!(
            page.header("content-security-policy")
                .contains("default-src 'none'")
        );
    }
    let open = |origin: Option<&str>, body: Value| {
        let request = desk
            .hosted
            .client()
            .request(Method::POST, "/admin/session")
            .json(&body);
        Answer::of(match origin {
            Some(origin) => request.header("Origin", origin),
            None => request,
        })
    };
    let own = desk.hosted.client().base().to_owned();
    let right =
        json!({"email": "owner@north.test", "password": Account::PASSWORD, "tenant": "north"});
    let wrong =
        json!({"email": "owner@north.test", "password": "wrong password", "tenant": "north"});
    open(Some(&own), wrong)
        .await
        .problem(401, "wrong-credentials");
    open(Some("https://evil.example"), right.clone())
        .await
        .problem(403, "forbidden");
    let answer = open(Some(&own), right).await;
    let session = answer.expect(200);
    assert_eq!(
        (&session["role"], &session["tenant"]),
        (&json!("owner"), &json!("north"))
    );
    let cookies = Cookies::of(&answer);
    for cookie in &cookies.set {
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
            "{cookie}"
        );
    }
    let csrf = text(&session["csrfToken"]).to_owned();
    let ask = |method: Method, path: &str, headers: &[(&str, &str)]| {
        let mut request = desk
            .hosted
            .client()
            .request(method, path)
            .header("Cookie", &cookies.sent);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request)
    };
    let overview = "/api/admin/overview";
    ask(Method::GET, overview, &[("X-CSRF-Token", &csrf)])
        .await
        .expect(200);
    ask(Method::GET, overview, &[])
        .await
        .problem(401, "not-authenticated");
    ask(Method::GET, overview, &[("X-CSRF-Token", "other")])
        .await
        .problem(401, "not-authenticated");
    let foreign = [
        ("X-CSRF-Token", csrf.as_str()),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    ask(Method::GET, overview, &foreign)
        .await
        .problem(403, "forbidden");
    let again = ask(Method::GET, "/admin/session", &[]).await.expect(200);
    assert_eq!(again["csrfToken"], csrf.as_str());
    let nobody = desk.hosted.client().get("/admin/session").await.expect(200);
    assert_eq!(nobody, json!({"mayRefresh": false}));
    // The cookies alone get no further tokens, and neither does another site.
    let refresh = "/admin/session/refresh";
    let own = [("X-CSRF-Token", csrf.as_str())];
    for without in [&[][..], &[("X-CSRF-Token", "other")]] {
        ask(Method::POST, refresh, without)
            .await
            .problem(401, "not-authenticated");
        ask(Method::DELETE, "/admin/session", without)
            .await
            .problem(401, "not-authenticated");
    }
    ask(Method::POST, refresh, &foreign)
        .await
        .problem(403, "forbidden");
    let refreshed = ask(Method::POST, refresh, &own).await;
    let went_on = refreshed.expect(200);
    assert_ne!(Cookies::of(&refreshed).sent, cookies.sent);
    assert_eq!(went_on["csrfToken"], csrf.as_str(), "other tabs go on");
    // A page that is opened when the access token is over learns what to send along.
    let refresh_cookie = cookies.sent.split("; ").nth(1).expect("two cookies");
    let only_refresh = desk
        .hosted
        .client()
        .request(Method::GET, "/admin/session")
        .header("Cookie", refresh_cookie);
    let found = Answer::of(only_refresh).await.expect(200);
    assert_eq!(found, json!({"mayRefresh": true, "csrfToken": csrf}));
    let ended = ask(Method::DELETE, "/admin/session", &own).await;
    ended.expect(204);
    assert!(
        set_cookies(&ended)
            .iter()
            .all(|cookie| cookie.contains("Max-Age=0"))
    );
    // A session that was ended gets no further tokens.
    ask(Method::POST, refresh, &own)
        .await
        .problem(401, "session-ended");
    ask(Method::GET, overview, &own)
        .await
        .problem(401, "not-authenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_token_does_not_renew_itself() {
    let server = SmtpServer::start().await;
    let desk = Desk::open(&server).await;
    let client = desk.hosted.client();
    let login = json!({"email": Desk::OPERATOR, "password": Account::PASSWORD, "operator": true});
    let opened = client.request(Method::POST, "/admin/session").json(&login);
    let opened = Answer::of(opened).await;
    let csrf = text(&opened.expect(200)["csrfToken"]).to_owned();
    let cookies = Cookies::of(&opened).sent;
    let mut pairs = cookies.split("; ");
    let (access, refresh) = (pairs.next().expect("one"), pairs.next().expect("two"));
    let ask = |cookies: &str| {
        let request = client.request(Method::POST, "/admin/session/refresh");
        let request = request.header("Cookie", cookies);
        Answer::of(request.header("X-CSRF-Token", &csrf))
    };
    ask(access).await.problem(401, "not-authenticated");
    let session = ask(refresh).await.expect(200);
    assert_eq!(session["role"], "operator");
    let operator = EmailAddress::parse("email", Desk::OPERATOR).expect("an address");
    let operators = desk.engine.operators();
    let removed = operators.remove(&Caller::operator(), &operator).await;
    removed.expect("an operator");
    ask(refresh).await.problem(401, "session-ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_is_streamed_to_those_who_may_look() {
    let server = SmtpServer::start().await;
    let desk = Desk::open(&server).await;
    let (ann, event) = desk.booked("ann").await;
    ann.client
        .get("/api/admin/live")
        .await
        .problem(403, "forbidden");
    let notification = desk.told(&event).await;
    let request = desk
        .organizer
        .client
        .request(Method::GET, "/api/admin/live");
    let mut stream = request.send().await.expect("an answer");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let sample = next_sample(&mut stream).await;
    assert_eq!(sample["active"][0]["id"], notification.as_str());
    assert_eq!(sample["workers"], json!([]), "nobody works yet");
    let worker = desk.engine.worker().spawn();
    let all_out = async {
        loop {
            let sample = next_sample(&mut stream).await;
            if sample["active"] == json!([]) && sample["workers"][0]["isAlive"] == true {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all_out)
        .await
        .expect("the stream shows that it went out");
    close(worker).await;
}

/// The next sample of a stream.
async fn next_sample(stream: &mut reqwest::Response) -> Value {
    let (name, sample) = next_event(stream).await;
    assert_eq!(name, "", "a sample has no name: {sample}");
    sample
}

/// What a stream says next: the name of the event, if it has one, and its data.
async fn next_event(stream: &mut reqwest::Response) -> (String, Value) {
    let mut text = String::new();
    loop {
        let chunk = stream
            .chunk()
            .await
            .expect("the stream goes on")
            .expect("the stream goes on");
        text.push_str(&String::from_utf8_lossy(&chunk));
        if let Some(end) = text.find("\n\n") {
            let lines = || text[..end].lines();
            let named = lines().find_map(|line| line.strip_prefix("event: "));
            if let Some(data) = lines().find_map(|line| line.strip_prefix("data: ")) {
                let name = named.unwrap_or_default().to_owned();
                return (name, serde_json::from_str(data).expect("an event is JSON"));
            }
            text.drain(..end + 2);
        }
    }
}

fn set_cookies(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all("set-cookie").iter();
    values
        .map(|value| value.to_str().expect("ASCII").to_owned())
        .collect()
}

struct Cookies {
    set: Vec<String>,
    sent: String,
}

impl Cookies {
    fn of(answer: &Answer) -> Self {
        let set = set_cookies(answer);
        let pairs: Vec<&str> = set
            .iter()
            .filter_map(|cookie| cookie.split(';').next())
            .collect();
        let sent = pairs.join("; ");
        Self { set, sent }
    }
}
