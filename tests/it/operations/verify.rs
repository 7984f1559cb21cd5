//! Goal: `boxoffice verify` agrees with honest books, and names the first difference in every kind of false ones.
//!
//! Method: bookings, cancellations and changes through the engine, then the program itself: at a data folder, and through
//! a running host. Lies are told with SQL, at a SurrealDB server, one at a time, and taken back.

use boxoffice_tests::{
    Program, SurrealServer, TempFolder,
    api::{event_body, path_of, text},
    assert_verified, differences,
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_verifies_a_folder_and_a_running_host() {
    let data = TempFolder::new("verify");
    let program = Program::dev(data.path()).await;
    let door = program.client().tenant("demo");
    let organizer = door.register("olga@example.org", "organizer").await;
    let customer = door.register("ann@example.org", "customer").await;
    let types = json!([{"name": "A", "capacity": 20}, {"name": "B", "capacity": 20}]);
    let event = organizer
        .client
        .post(
            "/api/events",
            event_body(json!({"totalTickets": null, "ticketTypes": types})),
        )
        .await
        .expect(201);
    let kind = |index: usize| &event["ticketTypes"][index]["id"];
    let lines =
        json!([{"ticketType": kind(0), "quantity": 2}, {"ticketType": kind(1), "quantity": 1}]);
    for number in 0..5 {
        let body = json!({"eventId": event["id"], "lines": lines});
        let booking = customer
            .client
            .post("/api/bookings", body)
            .await
            .expect(201);
        if number % 2 == 0 {
            let cancel = format!("/api/bookings/{}/cancel", text(&booking["id"]));
            customer.client.post(&cancel, json!({})).await.expect(200);
        }
    }
    let change = json!({"totalTickets": 30});
    organizer
        .client
        .patch(&path_of(&event), "\"1\"", change)
        .await
        .expect(200);

    let password = "a long enough password";
    let data_path = data.path().to_str().expect("a path in UTF-8").to_owned();
    let held = Program::run(["verify", "--data", &data_path]).await;
    assert!(
        !held.status.success() && held.stderr.contains("--url"),
        "{held:?}"
    );
    program.stop().await;
    let add = [
        "operator",
        "add",
        "--email",
        "op@example.org",
        "--name",
        "Op",
    ];
    let added = Program::run_command(password, |command| {
        command
            .args(add)
            .args(["--password-stdin", "--data", &data_path]);
    });
    added.await.expect_success();
    let stored = Program::run(["verify", "--data", &data_path]).await;
    assert!(stored.stderr.contains("2 events agree"), "{stored:?}");
    assert_eq!(stored.expect_success(), "");

    let program = Program::dev(data.path()).await;
    let login = json!({"email": "op@example.org", "password": password});
    let token = program
        .client()
        .post("/api/operator/login", login)
        .await
        .expect(200);
    let url = program.client().base().to_owned();
    let arguments = ["verify", "--url", &url, "--token", text(&token["token"])];
    let remote = Program::run(arguments).await;
    assert!(remote.stderr.contains("2 events agree"), "{remote:?}");
    assert_eq!(remote.expect_success(), "");
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_false_books_is_named() {
    let server = SurrealServer::start().await;
    let engine = server.engine().await;
    let (tenant, organizer, _) = boxoffice_tests::organizer_and_tenant(&engine, "north").await;
    let now = jiff::Timestamp::now();
    let event = boxoffice_tests::create_event(&engine, &organizer, now, 10).await;
    let address = boxoffice_tests::email("ann", &tenant);
    let customer = boxoffice_tests::ensure_customer(&engine, &tenant, "ann", address).await;
    for quantity in [2, 3] {
        let command = boxoffice_engine::BookTickets::general(event.id, quantity);
        engine
            .bookings()
            .book_tickets(&customer, command)
            .await
            .expect("a booking");
    }
    assert_verified(&engine).await;

    let id = event.id.to_string().to_ascii_uppercase();
    let row = |table: &str, rest: &str| format!("{table}:['north', '{id}'{rest}]");
    let bookings = format!(
        "{}..{}",
        row("booking", ""),
        row("booking", ", ..").trim_start_matches("booking:")
    );
    let title = event.details.title.to_string().to_lowercase();
    let word = title.split(' ').next().expect("a word");
    let starts_at = event.details.starts_at.as_millisecond();
    let word = format!("event_word:['north', '{word}', {starts_at}, '{id}']");
    for (lie, back, words) in [
        (
            format!("DELETE {word}"),
            format!("CREATE {word}"),
            "not found by all its words",
        ),
        (
            format!("UPDATE {} SET sold = 6", row("inventory", "")),
            format!("UPDATE {} SET sold = 5", row("inventory", "")),
            "its types together 5",
        ),
        (
            format!(
                "UPDATE {} SET sold = 6, ticket_types[0].sold = 6",
                row("inventory", "")
            ),
            format!(
                "UPDATE {} SET sold = 5, ticket_types[0].sold = 5",
                row("inventory", "")
            ),
            "its bookings have 5",
        ),
        (
            format!(
                "UPDATE {} SET held = 1, ticket_types[0].held = 1",
                row("inventory", "")
            ),
            format!(
                "UPDATE {} SET held = 0, ticket_types[0].held = 0",
                row("inventory", "")
            ),
            "its open holds have 0",
        ),
        (
            format!("CREATE {} SET tickets = 1", row("open_hold", ", 'ann'")),
            format!("DELETE {}", row("open_hold", ", 'ann'")),
            "0 holds are open, and 1 notes",
        ),
        (
            format!("UPDATE {} SET total = 4", row("inventory", "")),
            format!("UPDATE {} SET total = 10", row("inventory", "")),
            "oversold: sold 5 and held 0 of 4",
        ),
        (
            format!("UPDATE {} SET total = 11", row("inventory", "")),
            format!("UPDATE {} SET total = 10", row("inventory", "")),
            "the inventory says sold 5, held 0 of 11",
        ),
        (
            format!("UPDATE {bookings} SET lines[0].quantity += 1"),
            format!("UPDATE {bookings} SET lines[0].quantity -= 1"),
            "its bookings have 7",
        ),
        (
            format!("UPDATE {bookings} SET number += 1"),
            format!("UPDATE {bookings} SET number -= 1"),
            "does not lead to it",
        ),
        (
            format!("UPDATE {} SET bookings = 3", row("inventory", "")),
            format!("UPDATE {} SET bookings = 2", row("inventory", "")),
            "counts 3 bookings, there are 2",
        ),
        (
            format!(
                "UPDATE {} SET sold_change = 1",
                row("capacity_ledger", ", 2")
            ),
            format!(
                "UPDATE {} SET sold_change = 2",
                row("capacity_ledger", ", 2")
            ),
            "revision 2 (booked) changes sold by 1",
        ),
        (
            format!("UPDATE {} SET sold = 9", row("capacity_ledger", ", 3")),
            format!("UPDATE {} SET sold = 5", row("capacity_ledger", ", 3")),
            "revision 3 (booked) says sold 9",
        ),
        (
            format!("UPDATE {} SET revision = 4", row("inventory", "")),
            format!("UPDATE {} SET revision = 3", row("inventory", "")),
            "ends at revision 3",
        ),
        (
            format!("DELETE {}", row("capacity_ledger", ", 2")),
            String::new(),
            "no row for revision 2",
        ),
    ] {
        server.sql("tests", "tests", &lie).await;
        let found = differences(&engine).await;
        assert!(
            found.len() == 1 && found[0].contains(words),
            "after {lie}: {found:?}"
        );
        if !back.is_empty() {
            server.sql("tests", "tests", &back).await;
            assert_verified(&engine).await;
        }
    }
}
