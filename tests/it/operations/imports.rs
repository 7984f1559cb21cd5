//! Goal: a platform that moves brings its bookings: each once, none too many, whatever is sold, killed or repeated meanwhile;
//! and a dry run names each fault and writes nothing.
//!
//! Method: the real router over an engine in memory; the program, whose host is killed in the midst of `boxoffice import`, which
//! goes on when the host is back.

use std::{collections::BTreeSet, fmt::Write as _, time::Instant};

use boxoffice_engine::{TenantId, UserRole};
use boxoffice_tests::{
    Account, Client, Patience, Program, TempFolder,
    api::{Api, event_body, path_of, text},
    assert_verified, wait_until,
};
use futures::future::join_all;
use serde_json::{Value, json};

fn row(event: &Value, number: usize) -> Value {
    json!({
        "reference": format!("old-{number}"),
        "eventId": event["id"],
        "quantity": 1,
        // A thousand customers with some bookings each.
        "customer": {"name": format!("Guest {}", number % 1_000), "email": format!("guest-{}@north.test", number % 1_000)},
        "unitPriceMinor": 1250,
        "bookedAt": "2024-05-01T10:00:00Z",
    })
}

async fn owner(api: &Api) -> Account {
    let tenant = TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    api.door.login("owen@north.test").await
}

async fn imported(client: &Client, rows: &[Value], dry_run: bool) -> Value {
    let body = json!({"rows": rows, "dryRun": dry_run});
    client.post("/api/imports", body).await.expect(200)
}

fn counts(report: &Value) -> [u64; 3] {
    ["numCreated", "numPresent", "numFaulty"].map(|name| report[name].as_u64().expect("a count"))
}

#[tokio::test]
async fn a_dry_run_names_each_fault_and_writes_nothing() {
    let api = Api::start().await;
    let owner = owner(&api).await;
    let event = api.event(json!({"totalTickets": 4})).await;
    let kinds = json!([{"name": "Hall", "capacity": 5}, {"name": "Balcony", "capacity": 5}]);
    let typed = api
        .event(json!({"totalTickets": null, "ticketTypes": kinds}))
        .await;
    let with = |changes: Value| {
        let mut row = row(&event, 7);
        boxoffice_tests::api::merge(&mut row, changes);
        row
    };
    let faults = [
        (json!({"reference": "a b"}), "reference"),
        (json!({"reference": "x".repeat(65)}), "reference"),
        (json!({"reference": null}), "reference"),
        (json!({"eventId": "01jzzzzzzzzzzzzzzzzzzzzzzz"}), "eventId"),
        (json!({"ticketType": "Balcony"}), "ticketType"),
        (json!({"eventId": typed["id"]}), "ticketType"),
        (
            json!({"eventId": typed["id"], "ticketType": "Stalls"}),
            "ticketType",
        ),
        (json!({"quantity": 0}), "quantity"),
        (json!({"quantity": 10_001}), "quantity"),
        (
            json!({"customer": {"externalId": "none"}}),
            "customer.externalId",
        ),
        (
            json!({"customer": {"name": "A", "email": "x"}}),
            "customer.email",
        ),
        (json!({"customer": {"mail": "x"}}), "customer.mail"),
        (json!({"unitPriceMinor": -1}), "unitPriceMinor"),
        (json!({"unitPriceMinor": null}), "unitPriceMinor"),
        (
            json!({"unitPriceMinor": null, "quantity": 3, "totalMinor": 1000}),
            "totalMinor",
        ),
        (json!({"bookedAt": "2124-05-01T10:00:00Z"}), "bookedAt"),
        (json!({"bookedAt": "yesterday"}), "bookedAt"),
        (
            json!({"checkedInAt": "2023-05-01T10:00:00Z"}),
            "checkedInAt",
        ),
        (json!({"colour": "red"}), "colour"),
    ];
    let mut rows: Vec<Value> = Vec::new();
    for (number, (fault, _)) in faults.iter().enumerate() {
        let mut row = with(json!({"reference": format!("r-{number}")}));
        boxoffice_tests::api::merge(&mut row, fault.clone());
        rows.push(row);
    }
    // Five tickets of four; the same reference again, once with other content.
    rows.extend([0, 1, 2].map(|number| with(json!({"reference": format!("ok-{number}")}))));
    rows.push(with(json!({"reference": "big", "quantity": 2})));
    rows.push(with(json!({"reference": "ok-1"})));
    rows.push(with(json!({"reference": "ok-2", "unitPriceMinor": 1})));
    for dry_run in [true, false] {
        let report = imported(&owner.client, &rows, dry_run).await;
        let outcomes = report["rows"].as_array().expect("rows");
        for (index, (fault, field)) in faults.iter().enumerate() {
            let error = &outcomes[index]["error"];
            let told = (&outcomes[index]["row"], &error["field"]);
            assert_eq!(told, (&json!(index), &json!(field)), "{fault}: {error}");
        }
        let rest = &outcomes[faults.len()..];
        let statuses: Vec<&str> = rest.iter().map(|one| text(&one["status"])).collect();
        let (new, again) = match dry_run {
            true => ("valid", "valid"),
            false => ("created", "present"),
        };
        assert_eq!(statuses, [new, new, new, "faulty", again, "faulty"]);
        assert_eq!(rest[3]["error"]["code"], "not-enough-tickets");
        let sold = if dry_run { 0 } else { 3 };
        assert_eq!(api.seen(&event).await["ticketsSold"], sold);
        let made = owner
            .client
            .get("/api/users?email=guest-7%40north.test")
            .await;
        let made = made.expect(200)["items"].as_array().map(Vec::len);
        assert_eq!(
            made,
            Some(usize::from(!dry_run)),
            "a dry run makes no guest"
        );
    }
    // What earlier rows would take is counted.
    let taken = json!([{"eventId": event["id"], "ticketType": event["ticketTypes"][0]["id"], "quantity": 1}]);
    let body =
        json!({"rows": [with(json!({"reference": "last"}))], "dryRun": true, "taken": taken});
    let report = owner.client.post("/api/imports", body).await.expect(200);
    assert_eq!(report["rows"][0]["error"]["code"], "not-enough-tickets");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn what_is_imported_keeps_price_times_and_check_ins_and_sends_no_mail() {
    let api = Api::start().await;
    let owner = owner(&api).await;
    let kinds = json!([{
        "name": "Hall", "capacity": 50, "priceMinor": 9900, "maxPerBooking": 2,
        "salesOpenAt": "2027-01-01T00:00:00Z",
    }]);
    let event = api.event(json!({"totalTickets": null, "ticketTypes": kinds}));
    let event = event.await;
    let mut one = row(&event, 1);
    boxoffice_tests::api::merge(
        &mut one,
        json!({
            "ticketType": "Hall", "quantity": 3, "unitPriceMinor": null, "totalMinor": 3750,
            "checkedInAt": "2024-06-01T20:00:00Z",
        }),
    );
    let report = imported(&owner.client, &[one.clone()], false).await;
    assert_eq!(counts(&report), [1, 0, 0], "{report}");
    let path = format!("/api/bookings/{}", text(&report["rows"][0]["bookingId"]));
    let booking = owner.client.get(&path).await.expect(200);
    assert_eq!(booking["totalMinor"], 3750);
    assert_eq!(booking["createdAt"], "2024-05-01T10:00:00Z");
    assert_eq!(
        (&booking["channel"], &booking["reference"]),
        (&json!("imported"), &json!("old-1"))
    );
    assert_eq!(booking["customer"]["email"], "guest-1@north.test");
    let decision = owner
        .client
        .get(&format!("{path}/decision"))
        .await
        .expect(200);
    assert_eq!(
        (&decision["channel"], &decision["steps"]),
        (&json!("imported"), &json!([]))
    );
    let came = owner
        .client
        .all(&format!("{}/check-ins", path_of(&event)))
        .await;
    assert_eq!(came.len(), 3);
    assert_eq!(came[0]["checkedInAt"], "2024-06-01T20:00:00Z");
    let deliveries = owner.client.all(&format!("{path}/deliveries")).await;
    assert!(deliveries.is_empty(), "{deliveries:?}");
    let body = json!({"rows": [row(&event, 2)], "sendMails": true});
    let mailed = owner.client.post("/api/imports", body).await.expect(200);
    let path = format!(
        "/api/bookings/{}/deliveries",
        text(&mailed["rows"][0]["bookingId"])
    );
    assert_eq!(owner.client.all(&path).await.len(), 1);

    // Repeated it is there; with another price it is another row.
    assert_eq!(
        counts(&imported(&owner.client, &[one.clone()], false).await),
        [0, 1, 0]
    );
    one["totalMinor"] = json!(3000);
    let other = imported(&owner.client, &[one], false).await;
    assert_eq!(other["rows"][0]["error"]["field"], "reference");

    // Only owners and keys of the scope import.
    let key = async |scopes: &[&str]| {
        let body = json!({"name": "Mover", "scopes": scopes});
        let made = owner.client.post("/api/keys", body).await.expect(201);
        api.door.token(text(&made["secret"]))
    };
    let rows = json!({"rows": [row(&event, 3)]});
    for client in [
        &api.organizer.client,
        &api.customer.client,
        &key(&["bookings:write"]).await,
    ] {
        let refused = client.post("/api/imports", rows.clone()).await;
        refused.problem(403, "forbidden");
    }
    let mover = key(&["imports"]).await;
    let report = mover.post("/api/imports", rows).await.expect(200);
    assert_eq!(counts(&report), [1, 0, 0]);
    let many: Vec<Value> = (0..1_001)
        .map(|number| json!({"reference": number}))
        .collect();
    let refused = mover.post("/api/imports", json!({"rows": many})).await;
    refused.problem(422, "field-invalid").at_field("rows");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_and_sales_share_the_capacity_exactly() {
    const ROWS: usize = 3_000;
    const SOLD: usize = 300;
    let api = Api::start().await;
    let owner = owner(&api).await;
    // A hundred too few for all.
    let event = api.event(json!({"totalTickets": ROWS + SOLD - 100})).await;
    let rows: Vec<Value> = (0..ROWS).map(|number| row(&event, number)).collect();
    let import = async {
        let mut made = [0; 3];
        for rows in rows.chunks(500) {
            // Two importers of the same rows at once.
            let both = join_all([(); 2].map(|()| imported(&owner.client, rows, false))).await;
            let both = both.iter().map(counts).collect::<Vec<_>>();
            made[0] += both[0][0] + both[1][0];
            made[1] += both[0][1] + both[1][1];
            made[2] += both[0][2] + both[1][2];
        }
        made
    };
    let sell = async {
        let mut sold = 0;
        for _ in 0..SOLD / 20 {
            let body = json!({"eventId": event["id"], "numTickets": 1});
            let booked = (0..20).map(|_| api.customer.client.post("/api/bookings", body.clone()));
            let booked = join_all(booked).await;
            sold += booked.iter().filter(|answer| answer.status == 201).count() as u64;
        }
        sold
    };
    let (made, sold) = tokio::join!(import, sell);
    let seen = api.seen(&event).await;
    assert_eq!(
        seen["ticketsSold"],
        json!(made[0] + sold),
        "{made:?} and {sold}"
    );
    assert_eq!(
        seen["ticketsSold"],
        json!(ROWS + SOLD - 100),
        "all of them are taken"
    );
    assert_eq!(made.iter().sum::<u64>(), 2 * ROWS as u64);
    let listed = owner
        .client
        .all(&format!("{}/bookings", path_of(&event)))
        .await;
    let references: Vec<&str> = listed
        .iter()
        .filter_map(|one| one["reference"].as_str())
        .collect();
    let once: BTreeSet<&str> = references.iter().copied().collect();
    assert_eq!(
        (references.len(), once.len()),
        (made[0] as usize, made[0] as usize)
    );
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_goes_on_when_its_host_was_killed() {
    const ROWS: usize = 4_000;
    let data = TempFolder::new("imports");
    let program = Program::dev(data.path()).await;
    let door = program.client().tenant("demo");
    let organizer = door.register("olga@example.org", "organizer").await;
    let body = event_body(json!({"totalTickets": ROWS}));
    let event = organizer.client.post("/api/events", body).await.expect(201);
    let data_path = data.path().to_str().expect("a path in UTF-8").to_owned();
    program.stop().await;
    let add = [
        "user",
        "add",
        "--tenant",
        "demo",
        "--email",
        "owen@example.org",
        "--name",
        "Owen",
        "--role",
        "owner",
    ];
    let added = Program::run_command(Account::PASSWORD, |command| {
        command
            .args(add)
            .args(["--password-stdin", "--data", &data_path]);
    });
    added.await.expect_success();
    let mut csv =
        "reference,eventId,quantity,customer.name,customer.email,unitPriceMinor,bookedAt\n"
            .to_owned();
    for number in 0..ROWS {
        let guest = number % 500;
        let id = text(&event["id"]);
        writeln!(csv, "old-{number},{id},1,\"Guest, {guest}\",guest-{guest}@example.org,1250,2024-05-01T10:00:00Z").expect("text");
    }
    let file = data.path().join("old.csv");
    std::fs::write(&file, csv).expect("a file");
    let file = file.to_str().expect("a path in UTF-8").to_owned();

    let program = Program::dev(data.path()).await;
    let owner = program
        .client()
        .tenant("demo")
        .login("owen@example.org")
        .await;
    let key = json!({"name": "Mover", "scopes": ["imports"]});
    let key = owner.client.post("/api/keys", key).await.expect(201);
    let secret = text(&key["secret"]).to_owned();
    let run = async |url: String, more: &[&str]| {
        Program::run_command("", |command| {
            command.env("BOXOFFICE_TOKEN", &secret);
            command.args(["import", &file, "--url", &url]).args(more);
        })
        .await
    };
    let dry = run(program.client().base().to_owned(), &["--dry-run"]).await;
    assert!(dry.status.success(), "{dry:?}");
    let seen = async |client: &Client| {
        let seen = owner.client.at(client).get(&path_of(&event)).await;
        let seen = seen.expect(200);
        seen["ticketsSold"].as_u64().expect("a number")
    };
    assert_eq!(seen(&program.client()).await, 0);

    let url = program.client().base().to_owned();
    let first = run(url, &["--patience", "1"]);
    let kill = async {
        let client = program.client();
        wait_until(Patience::WORK, "some rows to be imported", || async {
            seen(&client).await > 600
        })
        .await;
        program.kill();
    };
    let begun = Instant::now();
    let (first, ()) = tokio::join!(first, kill);
    assert!(!first.status.success(), "its host is gone: {first:?}");
    assert!(first.stderr.contains("run it again"), "{first:?}");

    let program = Program::dev(data.path()).await;
    let kept = seen(&program.client()).await;
    assert!(kept > 600 && kept < ROWS as u64, "{kept} were kept");
    let second = run(program.client().base().to_owned(), &[]).await;
    assert!(second.status.success(), "{second:?}");
    assert_eq!(seen(&program.client()).await, ROWS as u64);
    let third = run(program.client().base().to_owned(), &[]).await;
    let all = format!("0 rows imported, {ROWS} were imported before, 0 are faulty");
    assert!(third.stderr.contains(&all), "{third:?}");
    eprintln!("{:?}: {}\n{}", begun.elapsed(), second.stderr, third.stderr);
    program.stop().await;
    let verified = Program::run(["verify", "--data", &data_path]).await;
    assert!(verified.status.success(), "{verified:?}");
}
