//! Goal: trying failed deliveries again has its effect once for each Idempotency-Key, also where they failed again since and
//! where the same is asked many times at once; and what is done stands in the audit once.
//!
//! Method: the engine and SMTP server of the parent module, which goes on refusing.

use boxoffice_tests::{Patience, SmtpServer, api::text, wait_for};
use futures::future::join_all;
use serde_json::{Value, json};

use super::desk::{Desk, close, items};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_deliveries_are_tried_again_once_for_each_key() {
    let server = SmtpServer::start().await;
    server.control(&json!({"refuse": "550 5.7.1 not today"}));
    let desk = Desk::open(&server).await;
    let worker = desk.engine.worker().spawn();
    desk.booked("ann").await;
    let admin = &desk.organizer.client;
    let dead = async |earlier: usize| -> Value {
        wait_for(Patience::WORK, "a failed delivery", || async {
            let failed = admin.get("/api/admin/failed").await.expect(200);
            let found = items(&failed).first().cloned()?;
            let tries = found["earlier"].as_array().map_or(0, Vec::len);
            (tries == earlier).then_some(found)
        })
        .await
    };
    let one = dead(0).await;
    let path = "/api/admin/retries";
    let body = json!({"state": "dead", "why": "the server is well"});
    let first = admin.post_once(path, "again", body.clone()).await;
    let counts = first.expect(200);
    assert_eq!(
        (&counts["matched"], &counts["retried"]),
        (&json!(1), &json!(1))
    );
    dead(1).await;
    // It failed again since: the same request under the same key leaves it so.
    let again = admin.post_once(path, "again", body.clone()).await;
    assert_eq!(again.expect(200), counts);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = json!({"state": "dead", "why": "another reason"});
    let refused = admin.post_once(path, "again", other).await;
    refused
        .problem(422, "idempotency-key-reused")
        .at_field("Idempotency-Key");
    // Counting has no effect that could be repeated.
    let count = json!({"state": "dead", "dryRun": true, "why": "count"});
    for _ in 0..2 {
        let counted = admin.post_once(path, "count", count.clone()).await;
        assert_eq!(counted.expect(200)["matched"], 1);
        assert!(!counted.headers.contains_key("idempotency-replayed"));
    }
    let shown = format!("/api/admin/deliveries/{}", text(&one["id"]));
    let shown = admin.get(&shown).await.expect(200);
    assert_eq!(shown["state"], "dead", "{shown}");
    assert_eq!(shown["earlier"].as_array().map(Vec::len), Some(1));

    // Of many at once all hear the same, and it is tried once.
    let many = (0..8).map(|_| admin.post_once(path, "many", body.clone()));
    for answer in join_all(many).await {
        assert_eq!(answer.expect(200), counts);
    }
    dead(2).await;
    let audit = desk.owner.client.get("/api/admin/audit").await.expect(200);
    let done: Vec<_> = items(&audit).iter().map(|one| &one["count"]).collect();
    assert_eq!(done, [&json!(1), &json!(1)], "{audit}");
    close(worker).await;
}
