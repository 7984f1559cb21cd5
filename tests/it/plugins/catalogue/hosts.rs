//! Goal: a code is used exactly as often as it may be, whichever host dies while customers race for it.
//!
//! Method: two programs on one SurrealDB server; each round has a code of its own, which more customers want than may use it, and one
//! program is killed after a random number of answers. Requests whose answers were lost are sent again under their keys at the other.
//! Rounds are 20, and 100 in the long form. The seed is printed.

use std::sync::atomic::{AtomicUsize, Ordering};

use boxoffice_engine::UserRole;
use boxoffice_tests::{
    Account, Answer, Client, Config, Patience, Program, SurrealServer, TempFolder,
    api::{customers, event_body, path_of, text},
    assert_verified, create_user, is_long_run, organizer_and_tenant, seeded, wait_until,
};
use futures::future::join_all;
use rand::Rng as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::PROMO;

/// How often a code may be used.
const USES: usize = 100;
const CUSTOMERS: usize = 12;
/// Bookings that each of them wants with a code; more than the code has uses.
const WISHES: usize = 11;

/// Books with a code under a key: at a host, and where it does not answer at the other. Returns whether the code could be used.
async fn book(doors: [&Client; 2], customer: &Account, key: &str, body: &Value) -> bool {
    for door in doors {
        let request = customer
            .client
            .at(door)
            .request(Method::POST, "/api/bookings");
        let request = request.header("Idempotency-Key", key).json(body);
        match Answer::try_of(request).await {
            Ok(answer) if answer.status == 201 => return true,
            Ok(answer) => {
                answer.problem(409, "claim-exhausted");
                return false;
            }
            // Its host is gone.
            Err(_) => {}
        }
    }
    panic!("{key}: one of the two hosts answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_used_as_often_as_it_may_be_whichever_host_is_killed() {
    let (mut random, rounds) = (seeded(), if is_long_run() { 100 } else { 20 });
    let server = SurrealServer::start().await;
    let folder = TempFolder::new("code-kills");
    let engine = server.engine().await;
    let (tenant, _, address) = organizer_and_tenant(&engine, "north").await;
    create_user(&engine, &tenant, "owen", UserRole::Owner).await;
    let mails = folder.join("mails");
    let config = Config::remote(&server).mail_folder(&mails);
    let config = config.write(&folder, "boxoffice.toml");
    let mut hosts = vec![Program::serve(&config).await, Program::serve(&config).await];
    let door = hosts[0].client().tenant("north");
    let owner = door.login("owen@north.test").await;
    let codes: Vec<String> = (0..rounds).map(|round| format!("R{round}")).collect();
    let promo = json!({"codes": codes, "discount": {"percent": 20}, "usesPerCodeMax": USES});
    let activate = format!("/api/plugins/{PROMO}/activate");
    let activated = owner.client.post(&activate, json!({"config": promo})).await;
    activated.expect(200);
    let organizer = door.login(address.as_str()).await;
    let people = customers(&door, CUSTOMERS).await;
    for (round, code) in codes.iter().enumerate() {
        let body = event_body(json!({"totalTickets": CUSTOMERS * WISHES}));
        let organizer = organizer.client.at(&hosts[0].client());
        let event = organizer.post("/api/events", body).await.expect(201);
        let wish = json!({"eventId": event["id"], "numTickets": 1, "codes": [code]});
        let (dying, answers) = (round % 2, AtomicUsize::new(0));
        let doors = [hosts[0].client(), hosts[1].client()];
        let racing = people.iter().enumerate().map(|(index, customer)| {
            let (doors, answers, wish) = (&doors, &answers, &wish);
            async move {
                let mut used = 0;
                for number in 0..WISHES {
                    let first = (index + number) % 2;
                    // Whoever asks the dying host turns to the other.
                    let own = match first == dying {
                        true => [&doors[dying], &doors[1 - dying]],
                        false => [&doors[1 - dying], &doors[1 - dying]],
                    };
                    let key = format!("{code}-{index}-{number}");
                    used += usize::from(book(own, customer, &key, wish).await);
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                used
            }
        });
        let killed_after = random.random_range(5..CUSTOMERS * WISHES - 20);
        let (victim, seen) = (hosts.remove(dying), &answers);
        let kill = async move {
            wait_until(Patience::WORK, "enough answers", || {
                let is_enough = seen.load(Ordering::Relaxed) >= killed_after;
                async move { is_enough }
            })
            .await;
            victim.kill();
        };
        let (used, ()) = tokio::join!(join_all(racing), kill);
        let used: usize = used.into_iter().sum();
        assert_eq!(
            used, USES,
            "round {round}, killed after {killed_after} answers"
        );
        hosts.insert(dying, Program::serve(&config).await);
        let booked = organizer.at(&hosts[0].client());
        let booked = booked.all(&format!("{}/bookings", path_of(&event))).await;
        assert_eq!(booked.len(), USES, "round {round}");
        let counters = owner.client.at(&hosts[1].client()).all("/api/claims").await;
        let counter = counters
            .iter()
            .find(|one| text(&one["key"]).ends_with(&format!("/code/{code}")));
        assert_eq!(counter.expect("the code's counter")["used"], USES);
    }
    assert_verified(&engine).await;
}
