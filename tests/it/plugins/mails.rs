//! Goal: a tenant's template words what goes out over SMTP from a worker of its own; and owners hear, once each and in the
//! built-in words, that a plugin was quarantined, however many hosts saw it fail.
//!
//! Method: `boxoffice serve` and `boxoffice worker` on one SurrealDB server with a real SMTP server; then two engines on one
//! server whose customers fail at the same time, with mails in a folder.

use boxoffice_engine::{
    BookTickets, CreateUser, Engine, EngineBuilder, Label, LookupResult, NotificationKind,
    UserRole, ports::FolderMailer,
};
use boxoffice_tests::{
    Account, Component, Config, Patience, Program, SmtpServer, SurrealServer, TempFolder,
    count_mails, create_event, email, ensure_customer, organizer_and_tenant, owner_of, plugin_host,
    plugin_settings, put_into_use, read_mails, wait_until,
};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;

use super::{code, examples};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_templates_words_go_out_over_smtp_from_a_worker_of_its_own() {
    let (server, smtp) = (SurrealServer::start().await, SmtpServer::start().await);
    let folder = TempFolder::new("template-over-smtp");
    let engine = server.engine().await;
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    owner_of(&engine, &tenant).await;
    let event = create_event(&engine, &organizer, Timestamp::now(), 10).await;
    let config = Config::remote(&server)
        .smtp(&smtp)
        // What a busy machine needs for a call is no fault of the plugin.
        .raw("plugins", "template_time_seconds", "5")
        .write(&folder, "boxoffice.toml");
    let host = Program::serve(&config).await;
    let worker = Program::worker(&config).await;
    let door = host.client().tenant("north");
    let owner = door.login("owner@north.test").await.client;
    let settings = json!({"config": {"brand": "North <Stage>", "footer": "1 Harbour Street"}});
    examples::put_into_use(&owner, "branded-mail", settings).await;
    let ann = door.register("ann@north.test", "customer").await;
    let body = json!({"eventId": event.id.to_string(), "numTickets": 3});
    let booking = ann.client.post("/api/bookings", body).await.expect(201);
    let cancel = format!(
        "/api/bookings/{}/cancel",
        boxoffice_tests::api::text(&booking["id"])
    );
    wait_until(Patience::WORK, "the confirmation", || async {
        smtp.count() == 1
    })
    .await;
    let some = json!({"lines": [{"quantity": 1}]});
    ann.client.post(&cancel, some).await.expect(200);
    wait_until(Patience::WORK, "the mail about one ticket", || async {
        smtp.count() == 2
    })
    .await;
    worker.stop().await;
    let mails = smtp.mails();
    for (mail, subject, words) in [
        (&mails[0], "You're in: Jazz Night", "your seats are waiting"),
        (
            &mails[1],
            "Fewer tickets: Jazz Night",
            "1 x General of your booking is cancelled.",
        ),
    ] {
        assert_eq!(mail.recipients, ["ann@north.test"]);
        let mail = &mail.mail;
        assert_eq!(mail.subject, subject);
        assert!(
            mail.text.contains(words) && mail.text.contains("1 Harbour Street"),
            "{}",
            mail.text
        );
        assert!(mail.html.contains("<h1>North &#60;Stage&#62;</h1>"));
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_hear_once_each_that_a_plugin_is_in_quarantine() {
    let server = SurrealServer::start().await;
    let folder = TempFolder::new("quarantine");
    let mails = folder.join("mails");
    let hosts = [host(&server, &mails).await, host(&server, &mails).await];
    let (tenant, organizer, _) = organizer_and_tenant(&hosts[0], "north").await;
    let owner = owner_of(&hosts[0], &tenant).await;
    let second = CreateUser {
        email: email("second", &tenant),
        name: Label::parse("name", "Second").expect("one line"),
        password: Some(Account::PASSWORD.to_owned()),
        role: UserRole::Owner,
    };
    let users = hosts[0].users();
    users.create(&owner, second).await.expect("a second owner");
    let event = create_event(&hosts[0], &organizer, Timestamp::now(), 100).await;
    let set = put_into_use(&hosts[0], &owner, "ill", &Component::trapping()).await;
    let version = set.plugins[0].version.to_string();
    let mut people = Vec::new();
    for number in 0..16 {
        let name = format!("c{number}");
        people.push(ensure_customer(&hosts[0], &tenant, &name, email(&name, &tenant)).await);
    }
    let workers: Vec<_> = hosts.iter().map(|host| host.worker().spawn()).collect();
    // All at once, so that both hosts may be the one that sees the fifth.
    let refused = join_all(people.iter().enumerate().map(|(index, person)| {
        let (host, command) = (&hosts[index % 2], BookTickets::general(event.id, 1));
        async move { host.bookings().book_tickets(person, command).await }
    }));
    for outcome in refused.await {
        assert_eq!(code(outcome), "policy-unavailable");
    }
    let plugins = hosts[1].plugins();
    wait_until(Patience::WORK, "the quarantine", || async {
        let set = plugins.in_use(&owner).await.expect("a set");
        set.plugins[0].open_quarantines().next().is_some()
    })
    .await;
    wait_until(Patience::WORK, "a mail to each owner", || async {
        count_mails(&mails) >= 2
    })
    .await;
    // A mail that is due later is sent later. The other host has to find out by itself that the plugin is gone.
    let name = set.plugins[0].name.clone();
    let removed = plugins.remove(&owner, &name, None).await;
    removed.expect("the owner acts");
    let command = BookTickets::general(event.id, 1);
    let booked = hosts[0].bookings().book_tickets(&people[0], command).await;
    booked.expect("a booking");
    wait_until(Patience::WORK, "the booking's mail", || async {
        count_mails(&mails) >= 3
    })
    .await;
    for worker in workers {
        assert!(worker.drain(Patience::WORK).await);
    }
    let mails = read_mails(&mails);
    assert_eq!(mails.len(), 3);
    for address in ["owner@north.test", "second@north.test"] {
        let own: Vec<_> = mails.iter().filter(|mail| mail.is_to(address)).collect();
        assert_eq!(own.len(), 1, "{address}");
        let mail = own[0];
        assert_eq!(mail.subject, "Plugin set aside: ill");
        for words in [
            "plugin ill failed",
            &version,
            "validate-booking",
            "trapped",
            "tried again by itself",
            "/api/plugins/ill/failed-calls",
            "/api/plugins/ill/roll-back",
        ] {
            assert!(mail.text.contains(words), "{words}: {}", mail.text);
        }
        assert!(mail.html.contains(&version) && mail.calendar.is_none());
        let found = hosts[0].delivery_admin();
        let found = found.search(&owner, &mail.message_id).await.expect("it");
        let LookupResult::Delivery(delivery) = found else {
            panic!("a delivery: {found:?}");
        };
        assert_eq!(
            (delivery.kind, delivery.event),
            (NotificationKind::PluginQuarantined, None)
        );
    }
}

/// An engine on the server that runs plugins and writes mails to a folder.
async fn host(server: &SurrealServer, mails: &std::path::Path) -> Engine {
    let mailer = FolderMailer::open(mails).expect("the folder is ours");
    let describe = |builder: EngineBuilder| {
        let builder = builder.plugins(plugin_host(plugin_settings()));
        builder.mailer(mailer)
    };
    server.engine_with(describe).await
}
