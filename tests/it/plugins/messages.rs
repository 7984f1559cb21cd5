//! Goal: what a policy tells the customer about the prices reaches the customer: in the answer to the booking, wherever the
//! booking is shown later, in the hold and the booking that it becomes, and in the confirmation.
//!
//! Method: a component that says one sentence; the engine's answers and the mails of a worker.

use boxoffice_engine::{BookTickets, HoldTickets};
use boxoffice_tests::{
    Component, Hosted, TestPlatform, owner_of, plugin_host, plugin_settings, put_into_use,
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_policy_says_reaches_the_customer() {
    let runtime = plugin_host(plugin_settings());
    let platform = TestPlatform::with(|builder| builder.plugins(runtime)).await;
    let tenant = platform.tenant("north").await;
    let owner = owner_of(&platform.engine, &tenant).await;
    let event = platform.event(&owner, 100).await;
    let ann = platform.customer(&tenant, "ann").await;
    put_into_use(&platform.engine, &owner, "tells", &Component::telling(true)).await;
    // Two policies may speak: both are heard.
    put_into_use(&platform.engine, &owner, "too", &Component::telling(false)).await;
    let bookings = platform.engine.bookings();
    let command = BookTickets::general(event.id, 1);
    let booking = bookings
        .book_tickets(&ann, command)
        .await
        .expect("a booking");
    assert_eq!(booking.messages, ["No.", "no"]);
    let shown = bookings.show(&ann, booking.id).await.expect("the booking");
    assert_eq!(shown.messages, booking.messages);
    let listed = bookings.list_mine(&ann, Default::default()).await;
    assert_eq!(listed.expect("a list").items[0].messages, booking.messages);

    let holds = platform.engine.holds();
    let command = HoldTickets::general(event.id, 1);
    let hold = holds.hold_tickets(&ann, command).await.expect("a hold");
    assert_eq!(hold.messages, ["No.", "no"]);
    let confirmed = holds.confirm(&ann, hold.id).await.expect("a booking");
    assert_eq!(confirmed.messages, hold.messages);

    platform.owes(2);
    for mail in platform.settle().await {
        let text = mail.text.replace("\r\n", "\n");
        assert!(text.contains("\n  No.\n  no\n"), "{text}");
        let html =
            "<p style=\"margin:0\" dir=\"auto\">No.</p>\n<p style=\"margin:0\" dir=\"auto\">no</p>";
        assert!(
            mail.html.replace("\r\n", "\n").contains(html),
            "{}",
            mail.html
        );
    }

    let host = Hosted::start(platform.engine.clone()).await;
    let door = host.client().tenant("north");
    let ben = door.register("ben@north.test", "customer").await.client;
    let body = json!({"eventId": event.id.to_string(), "numTickets": 1});
    let held = ben.post("/api/holds", body.clone()).await.expect(201);
    assert_eq!(held["messages"], json!(["No.", "no"]));
    let booked = ben.post("/api/bookings", body).await.expect(201);
    assert_eq!(booked["messages"], json!(["No.", "no"]));
    let listed = ben.get("/api/bookings/me").await.expect(200);
    assert_eq!(listed["items"][0]["messages"], booked["messages"]);
    platform.owes(1);
    platform.settle().await;
}
