//! Goal: whoever forgot a password chooses a new one by a link that works once, and nobody learns by that who has an account;
//! whoever knows it changes it.
//!
//! Method: the real router and worker; the links are those of mails that were really sent; the clock is moved past their end. Two
//! engines on one SurrealDB server where hosts race.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use boxoffice_engine::{
    AccountLink, BookingId, Caller, EmailAddress, ErrorCode, Login, NotificationKind, TenantId,
    UserId,
    ports::{FolderMailer, Links},
};
use boxoffice_tests::{
    Account, Answer, Client, EventFixture, Patience, SurrealServer, TempFolder, api::text,
    organizer_and_tenant, wait_for,
};
use reqwest::Method;
use serde_json::json;

const SUBJECT: &str = "Choose a new password";
const OTHER_PASSWORD: &str = "another long password";
const OWNER: &str = "owen@north.test";
const FORGOTTEN: &str = "/api/auth/password/forgotten";
const RESET: &str = "/api/auth/password/reset";
const CHANGE: &str = "/api/auth/password";

async fn forget(house: &EventFixture, email: &str) -> Answer {
    let answer = house.door.post(FORGOTTEN, json!({"email": email})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer
}

/// The path of the link that an address is mailed.
async fn link(house: &EventFixture, email: &str) -> String {
    forget(house, email).await;
    house.platform.owes(1);
    let mut links = house.links_of(SUBJECT, email).await;
    links.pop().expect("a link")
}

fn token_of(path: &str) -> &str {
    path.strip_prefix("/password/").expect(path)
}

async fn reset(door: &Client, token: &str, password: &str) -> Answer {
    let body = json!({"token": token, "password": password});
    door.post(RESET, body).await
}

async fn login(door: &Client, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    door.post("/api/auth/login", body).await
}

/// Waits until a session is over: within a second.
async fn is_signed_out(account: &Account) {
    wait_for(Patience::WORK, "a session to end", || async {
        let answer = account.client.get("/api/auth/me").await;
        (answer.status == 401).then_some(())
    })
    .await;
    let body = json!({"refreshToken": account.refresh_token});
    let refused = account.client.post("/api/auth/refresh", body).await;
    refused.problem(401, "session-ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_a_link_does_not_show_who_has_an_account() {
    let house = EventFixture::open(true).await;
    let mut seen = Vec::new();
    for email in [OWNER, "nobody@north.test"] {
        let begun = Instant::now();
        let answer = forget(&house, email).await;
        // Both answers come at the same pace, which is longer than what differs.
        assert!(begun.elapsed() >= Duration::from_millis(249));
        seen.push((answer.text, answer.headers.keys().len()));
    }
    assert_eq!(seen[0], seen[1]);
    house.platform.owes(1);
    house.platform.drain().await;
    let mails = house.platform.settle().await;
    assert!(mails[0].is_to(OWNER) && mails[0].subject == SUBJECT);
    let bad = json!({"email": "no address"});
    let refused = house.door.post(FORGOTTEN, bad).await;
    refused.problem(422, "field-invalid").at_field("email");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_sets_a_password_once_and_ends_all_sessions() {
    let house = EventFixture::open(true).await;
    let other = house.door.login(OWNER).await;
    let path = link(&house, OWNER).await;
    let short = reset(&house.door, token_of(&path), "short").await;
    short.problem(422, "field-invalid").at_field("password");
    let done = reset(&house.door, token_of(&path), OTHER_PASSWORD).await;
    assert_eq!(done.status, 204, "{}", done.text);
    is_signed_out(&house.owner).await;
    is_signed_out(&other).await;
    let old = login(&house.door, OWNER, Account::PASSWORD).await;
    old.problem(401, "wrong-credentials");
    login(&house.door, OWNER, OTHER_PASSWORD).await.expect(200);
    let again = reset(&house.door, token_of(&path), "a third password").await;
    again.problem(404, "link-invalid");
    login(&house.door, OWNER, OTHER_PASSWORD).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_100_requests_with_one_link_one_wins() {
    let house = EventFixture::open(true).await;
    let path = link(&house, OWNER).await;
    let password = |number: usize| format!("password number {number}");
    let requests = (0..100).map(|number| {
        let (door, token) = (house.door.clone(), token_of(&path).to_owned());
        tokio::spawn(async move { (number, reset(&door, &token, &password(number)).await) })
    });
    let requests: Vec<_> = requests.collect();
    let mut winners = Vec::new();
    for request in requests {
        let (number, answer) = request.await.expect("no request panics");
        match answer.status {
            204 => winners.push(number),
            _ => drop(answer.problem(404, "link-invalid")),
        }
    }
    let [winner] = winners[..] else {
        panic!("one wins, not {winners:?}")
    };
    is_signed_out(&house.owner).await;
    let signed_in = login(&house.door, OWNER, &password(winner)).await;
    signed_in.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_altered_foreign_and_overtaken_links_are_refused() {
    let house = EventFixture::open(true).await;
    let path = link(&house, OWNER).await;
    let token = token_of(&path);
    let south = house.platform.tenant("south").await;
    let southern = house.door.tenant(south.as_str());
    let foreign = reset(&southern, token, OTHER_PASSWORD).await;
    foreign.problem(404, "link-invalid");
    for (from, to) in [("north.", "south."), (".", ".."), ("north.", "north.0")] {
        let altered = token.replacen(from, to, 1);
        let refused = reset(&house.door, &altered, OTHER_PASSWORD).await;
        refused.problem(404, "link-invalid");
    }
    for altered in ["", "x", &token[..token.len() - 1], &token.repeat(4)] {
        let refused = reset(&house.door, altered, OTHER_PASSWORD).await;
        refused.problem(404, "link-invalid");
    }
    // A link for something else.
    let other = format!("/email/{token}");
    let other = house.open_page(Method::GET, &other).await;
    assert_eq!(other.status, 404);
    house.platform.clock.advance(Duration::from_secs(3_599));
    let page = house.open_page(Method::GET, &path).await;
    assert_eq!(page.status, 200, "{}", page.text);
    house.platform.clock.advance(Duration::from_secs(2));
    let expired = reset(&house.door, token, OTHER_PASSWORD).await;
    expired.problem(404, "link-invalid");
    assert_eq!(house.open_page(Method::GET, &path).await.status, 404);
    // A changed password ends the links before it.
    let path = link(&house, OWNER).await;
    let owner = house.door.login(OWNER).await;
    let body = json!({"currentPassword": Account::PASSWORD, "newPassword": OTHER_PASSWORD});
    owner.client.post(CHANGE, body).await.expect(200);
    let overtaken = reset(&house.door, token_of(&path), "a third password").await;
    overtaken.problem(404, "link-invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_gets_five_links_a_day() {
    let house = EventFixture::open(true).await;
    for _ in 0..7 {
        forget(&house, OWNER).await;
    }
    house.platform.owes(5);
    house.platform.drain().await;
    assert_eq!(house.links_of(SUBJECT, OWNER).await.len(), 5);
    house
        .platform
        .clock
        .advance(Duration::from_secs(24 * 3_600));
    forget(&house, OWNER).await;
    house.platform.owes(1);
    assert_eq!(house.links_of(SUBJECT, OWNER).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_over_is_not_mailed() {
    let house = EventFixture::open(true).await;
    forget(&house, OWNER).await;
    house.platform.clock.advance(Duration::from_secs(3_600));
    house.platform.drain().await;
    assert!(house.platform.settle().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_chooses_a_password_by_a_link_owns_the_address() {
    let house = EventFixture::open(true).await;
    let stranger = house.customer("ann").await;
    assert!(!house.is_verified(&stranger).await);
    let path = link(&house, &stranger.email).await;
    let mails = house.platform.settle().await;
    let mail = mails.iter().find(|mail| mail.subject == SUBJECT);
    let mail = mail.expect("the mail with the link");
    // Whoever typed the address typed the name, too.
    assert!(mail.text.starts_with("Hello,"), "{}", mail.text);
    let done = reset(&house.door, token_of(&path), OTHER_PASSWORD).await;
    assert_eq!(done.status, 204, "{}", done.text);
    is_signed_out(&stranger).await;
    let ann = login(&house.door, &stranger.email, OTHER_PASSWORD).await;
    assert_eq!(ann.expect(200)["user"]["emailVerified"], true);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_link_is_a_plain_form() {
    let house = EventFixture::open(true).await;
    let path = link(&house, OWNER).await;
    for _ in 0..2 {
        let page = house.open_page(Method::GET, &path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(page.text.contains(OWNER) && page.text.contains("<form method=\"post\""));
        assert!(!page.text.contains("<script"));
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
    login(&house.door, OWNER, Account::PASSWORD)
        .await
        .expect(200);
    for form in ["", "newPassword=short", "password=another+long+password"] {
        let page = house.confirm(&path, form).await;
        assert_eq!(page.status, 422, "{form}: {}", page.text);
        assert!(page.text.contains("8 to 200 characters"), "{}", page.text);
    }
    let form = "newPassword=another+long+password";
    let done = house.confirm(&path, form).await;
    assert_eq!(done.status, 200, "{}", done.text);
    login(&house.door, OWNER, OTHER_PASSWORD).await.expect(200);
    for again in [
        house.confirm(&path, form).await,
        house.open_page(Method::GET, &path).await,
    ] {
        assert_eq!(again.status, 404, "{}", again.text);
        assert!(again.text.contains("ask for another"), "{}", again.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_links_nobody_is_promised_a_mail() {
    let house = EventFixture::open(false).await;
    let answer = house.door.post(FORGOTTEN, json!({"email": OWNER})).await;
    answer.problem(503, "links-off");
    let body = json!({"email": "new@north.test", "currentPassword": Account::PASSWORD});
    let answer = house.owner.client.post("/api/auth/me/email", body).await;
    answer.problem(503, "links-off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changing_a_password_needs_the_old_one_and_ends_the_other_sessions() {
    let house = EventFixture::open(true).await;
    let other = house.door.login(OWNER).await;
    let change = |current: &str, new: &str| {
        let body = json!({"currentPassword": current, "newPassword": new});
        house.owner.client.post(CHANGE, body)
    };
    let wrong = change("not the old one", OTHER_PASSWORD).await;
    wrong.problem(401, "wrong-credentials");
    let short = change(Account::PASSWORD, "short").await;
    short.problem(422, "field-invalid").at_field("newPassword");
    other.client.get("/api/auth/me").await.expect(200);
    let tokens = change(Account::PASSWORD, OTHER_PASSWORD).await.expect(200);
    is_signed_out(&other).await;
    // The caller goes on, with the new tokens and until they expire with the old one.
    house.owner.client.get("/api/auth/me").await.expect(200);
    let own = house.door.token(text(&tokens["token"]));
    own.get("/api/auth/me").await.expect(200);
    assert_ne!(text(&tokens["refreshToken"]), house.owner.refresh_token);
    let body = json!({"refreshToken": tokens["refreshToken"]});
    own.post("/api/auth/refresh", body).await.expect(200);
    let old = login(&house.door, OWNER, Account::PASSWORD).await;
    old.problem(401, "wrong-credentials");
    login(&house.door, OWNER, OTHER_PASSWORD).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_old_passwords_count_as_wrong_sign_ins() {
    let house = EventFixture::open_with(true, |options| options.throttle_logins = true).await;
    for tried in 0..60 {
        let body = json!({"currentPassword": "a wrong one", "newPassword": OTHER_PASSWORD});
        let answer = house.owner.client.post(CHANGE, body).await;
        if answer.status == 429 {
            assert!(tried >= 9, "after {tried} failures");
            let right = login(&house.door, OWNER, Account::PASSWORD).await;
            right.problem(429, "too-many-requests");
            return;
        }
        answer.problem(401, "wrong-credentials");
    }
    panic!("60 wrong passwords were let through");
}

/// Links that only a test follows.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<Vec<AccountLink>>>);

impl Links for Recorded {
    fn unsubscribe(&self, _: &TenantId, _: UserId, _: NotificationKind) -> String {
        "https://tickets.example.org/unsubscribe".to_owned()
    }

    fn verify(&self, _: &TenantId, _: UserId, _: &EmailAddress) -> String {
        "https://tickets.example.org/verify".to_owned()
    }

    fn tickets(&self, _: &TenantId, _: UserId, _: BookingId) -> String {
        "https://tickets.example.org/tickets".to_owned()
    }

    fn account(&self, link: &AccountLink) -> String {
        self.0.lock().expect("no holder panics").push(link.clone());
        "https://tickets.example.org/password".to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hosts_with_one_link_one_wins() {
    let server = SurrealServer::start().await;
    let (folder, links) = (TempFolder::new("passwords"), Recorded::default());
    let mut engines = Vec::new();
    for _ in 0..2 {
        let mailer = FolderMailer::open(folder.join("mails")).expect("the folder is ours");
        let own = links.clone();
        let engine = server.engine_with(|builder| builder.links(own).mailer(mailer));
        engines.push(engine.await);
    }
    let (tenant, _, email) = organizer_and_tenant(&engines[0], "north").await;
    let door = Caller::anonymous(tenant);
    let asked = engines[0].users().forgot_password(&door, &email).await;
    asked.expect("it is answered");
    let worker = engines[0].worker().spawn();
    let link = wait_for(Patience::WORK, "the mail with the link", || async {
        links.0.lock().expect("no holder panics").first().cloned()
    })
    .await;
    let password = |number: usize| format!("password number {number}");
    let resets = (0..20).map(|number| {
        let (users, door, link) = (engines[number % 2].users(), door.clone(), link.clone());
        tokio::spawn(async move { users.reset_password(&door, &link, password(number)).await })
    });
    let resets: Vec<_> = resets.collect();
    let mut winners = Vec::new();
    for (number, reset) in resets.into_iter().enumerate() {
        match reset.await.expect("no reset panics") {
            Ok(()) => winners.push(number),
            Err(error) => assert_eq!(error.code(), ErrorCode::LinkInvalid, "{error}"),
        }
    }
    let [winner] = winners[..] else {
        panic!("one wins, not {winners:?}")
    };
    let login = Login {
        email,
        password: password(winner),
    };
    let signed_in = engines[1].users().login(&door, login).await;
    signed_in.expect("the winner's password");
    assert!(worker.drain(Patience::WORK).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_races_a_reset_does_not_outlive_it() {
    let house = EventFixture::open(true).await;
    let ann = house.customer("ann").await;
    let link_of_ann = || link(&house, &ann.email);
    let (mut old, mut new) = (Account::PASSWORD, OTHER_PASSWORD);
    for _ in 0..4 {
        let link = link_of_ann().await;
        let signing_in = (0..6).map(|_| login(&house.door, &ann.email, old));
        let (signed_in, done) = tokio::join!(
            futures::future::join_all(signing_in),
            reset(&house.door, token_of(&link), new),
        );
        assert_eq!(done.status, 204, "{}", done.text);
        for answer in signed_in {
            if answer.status == 200 {
                let tokens = answer.json();
                let client = house.door.token(text(&tokens["token"]));
                let over = wait_for(Patience::WORK, "a session to end", || async {
                    let answer = client.get("/api/auth/me").await;
                    (answer.status == 401).then_some(())
                });
                over.await;
            } else {
                answer.problem(401, "wrong-credentials");
            }
        }
        let refused = login(&house.door, &ann.email, old).await;
        refused.problem(401, "wrong-credentials");
        login(&house.door, &ann.email, new).await.expect(200);
        std::mem::swap(&mut old, &mut new);
    }
}
