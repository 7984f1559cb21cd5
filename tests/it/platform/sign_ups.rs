//! Goal: signing up tells nobody who has an account, a stranger's sign-up owns no address and has nobody mailed in
//! the stranger's words, and wrong passwords of strangers keep nobody out.
//!
//! Method: the real router and worker behind a trusted proxy, so that requests come from networks of our choice; mails are
//! those that were really sent.

use std::num::NonZeroU32;

use boxoffice_tests::{
    Account, Answer, Client, EventFixture, OWN_PASSWORD, Patience,
    api::{event_body, path_of, text},
    wait_for,
};
use reqwest::Method;
use serde_json::{Value, json};

const NOTICE: &str = "You have an account already";
const OTHER_PASSWORD: &str = "another long password";

/// Signs up or in from a network, with a device's cookie if there is one.
async fn from(door: &Client, path: &str, body: Value, address: &str, cookie: &str) -> Answer {
    let request = door.request(Method::POST, path).json(&body);
    let request = request.header("X-Forwarded-For", address);
    Answer::of(request.header("Cookie", cookie)).await
}

async fn login(door: &Client, email: &str, password: &str, address: &str, cookie: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    from(door, "/api/auth/login", body, address, cookie).await
}

/// Fails to sign in until that is refused: after ten failures, and one more for each six seconds that they took.
async fn fail_until_refused(door: &Client, email: &str, address: &str, cookie: &str) -> Answer {
    for tried in 0..60 {
        let answer = login(door, email, "wrong password", address, cookie).await;
        if answer.status == 429 {
            assert!(tried >= 9, "after {tried} failures");
            return answer;
        }
        answer.problem(401, "wrong-credentials");
    }
    panic!("60 wrong passwords were let through");
}

async fn behind_proxy(per_hour: u32) -> EventFixture {
    EventFixture::open_with(true, |options| {
        options.throttle_logins = true;
        options.sign_ups_per_hour = NonZeroU32::new(per_hour);
        options.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await
}

fn sign_up(email: &str, password: &str) -> Value {
    json!({"email": email, "name": "Some Body", "password": password})
}

/// Waits until a session is over: within a second.
async fn is_signed_out(account: &Account) {
    wait_for(Patience::WORK, "a session to end", || async {
        let answer = account.client.get("/api/auth/me").await;
        (answer.status == 401).then_some(())
    })
    .await;
}

/// The shape of an answer, without what differs between any two.
fn shape(answer: &Answer) -> (u16, Vec<String>, Vec<String>, Value) {
    let names = |value: &Value| {
        let fields = value.as_object().expect("an object");
        fields.keys().cloned().collect::<Vec<_>>()
    };
    let body = answer.json();
    let user = &body["user"];
    let told = json!([user["emailVerified"], user["role"], user["name"]]);
    (answer.status, names(&body), names(user), told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_up_tells_nothing_and_the_owner_of_the_address_hears_of_it_once() {
    let house = EventFixture::open(true).await;
    let path = "/api/auth/register";
    let owned = "owen@north.test";
    let again = house.door.post(path, sign_up(owned, OTHER_PASSWORD)).await;
    house.platform.owes(1);
    let fresh = sign_up("nobody@north.test", OTHER_PASSWORD);
    let fresh = house.door.post(path, fresh).await;
    house.platform.owes(1);
    assert_eq!(again.status, 201, "{}", again.text);
    assert_eq!(shape(&again), shape(&fresh));
    // Both can be used, also later, and neither is anybody else's account.
    for (email, answer) in [(owned, &again), ("nobody@north.test", &fresh)] {
        let id = answer.json()["user"]["id"].clone();
        let body = json!({"email": email, "password": OTHER_PASSWORD});
        let signed_in = house.door.post("/api/auth/login", body).await.expect(200);
        assert_eq!(signed_in["user"]["id"], id);
        assert_ne!(text(&id), house.owner.id);
    }
    assert_eq!(house.door.login(owned).await.id, house.owner.id);
    let owned_mails = house.platform.settle().await;
    let told: Vec<_> = owned_mails
        .iter()
        .filter(|mail| mail.is_to(owned))
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].subject, NOTICE);
    assert!(!told[0].raw.contains("Some Body"), "{}", told[0].raw);
    // Again within a day: the same answer and no further mail; nor does asking for one say more.
    let once_more = house.door.post(path, sign_up(owned, OTHER_PASSWORD)).await;
    assert_eq!(shape(&once_more), shape(&fresh));
    house
        .platform
        .clock
        .advance(std::time::Duration::from_secs(61));
    let impostor = house.door.token(text(&again.json()["token"]));
    let asked = impostor.post_empty("/api/auth/me/verification").await;
    assert_eq!(asked.status, 204);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_confirmed_addresses_an_address_in_use_is_refused() {
    let house = EventFixture::open(false).await;
    let body = sign_up("owen@north.test", OTHER_PASSWORD);
    let answer = house.door.post("/api/auth/register", body).await;
    answer.problem(409, "email-taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_registers_a_strangers_address_first_does_not_own_it() {
    let house = EventFixture::open(true).await;
    // A stranger signs up with Ann's address; she follows the link that she gets and chooses a password of her own.
    let stranger = house.customer("ann").await;
    let path = house.links(&stranger).await.remove(0);
    let bare = house.confirm(&path, "").await;
    assert_eq!(bare.status, 422, "a click alone gives nobody the address");
    let wrong = house.confirm(&path, "password=not+the+strangers").await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    assert!(!house.is_verified(&stranger).await);
    let form = "newPassword=another+long+password";
    let done = house.confirm(&path, form).await;
    assert_eq!(done.status, 200, "{}", done.text);
    // The stranger's password and sessions are good for nothing.
    is_signed_out(&stranger).await;
    let body = json!({"refreshToken": stranger.refresh_token});
    let refused = house.door.post("/api/auth/refresh", body).await;
    refused.problem(401, "session-ended");
    let body = json!({"email": stranger.email, "password": Account::PASSWORD});
    let refused = house.door.post("/api/auth/login", body).await;
    refused.problem(401, "wrong-credentials");
    let body = json!({"email": stranger.email, "password": OTHER_PASSWORD});
    let ann = house.door.post("/api/auth/login", body).await.expect(200);
    assert_eq!(ann["user"]["emailVerified"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_accounts_at_an_address_the_one_that_confirms_it_stays() {
    let house = EventFixture::open(true).await;
    let stranger = house.customer("ann").await;
    let body = sign_up("ann@north.test", OTHER_PASSWORD);
    let own = house
        .door
        .post("/api/auth/register", body)
        .await
        .expect(201);
    house.platform.owes(1);
    let links = house.links(&stranger).await;
    assert_eq!(links.len(), 2);
    // Whichever mail she opens: her password names her account.
    let strangers = links.iter().find(|link| link.contains(&stranger.id));
    let strangers = strangers.expect("the stranger's link");
    let done = house.confirm(strangers, "password=another+long+password");
    assert_eq!(done.await.status, 200);
    let own_client = house.door.token(text(&own["token"]));
    let me = own_client.get("/api/auth/me").await.expect(200);
    assert_eq!(me["emailVerified"], true, "her session goes on");
    is_signed_out(&stranger).await;
    for link in links {
        let late = house.confirm(&link, OWN_PASSWORD).await;
        assert!(
            !late.text.contains("is confirmed") || link.contains(text(&own["user"]["id"])),
            "{}",
            late.text
        );
    }
    let body = json!({"email": "ann@north.test", "password": Account::PASSWORD});
    let refused = house.door.post("/api/auth/login", body).await;
    refused.problem(401, "wrong-credentials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_wrong_passwords_keep_nobody_out() {
    let house = behind_proxy(60).await;
    let (door, email) = (&house.door, "owen@north.test");
    let (stranger, home) = ("192.0.2.1", "198.51.100.7");
    let signed_in = login(door, email, Account::PASSWORD, stranger, "").await;
    signed_in.expect(200);
    let cookie = signed_in.header("set-cookie");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    assert!(cookie.starts_with("boxoffice-device="), "{cookie}");
    let refused = fail_until_refused(door, email, stranger, "").await;
    let problem = refused.problem(429, "too-many-requests");
    let wait = problem.member("retryAfterSeconds").as_u64();
    assert!((1..=6).contains(&wait.expect("seconds")), "{wait:?}");
    // From home, and on a device that signed in before, nothing of it is felt; others behind the network are not concerned.
    login(door, email, Account::PASSWORD, home, "")
        .await
        .expect(200);
    login(door, email, Account::PASSWORD, stranger, &cookie)
        .await
        .expect(200);
    let unknown = login(door, "else@north.test", "wrong password", stranger, "").await;
    unknown.problem(401, "wrong-credentials");
    // The cookie opens nothing, and its failures are bounded, too.
    let refused = fail_until_refused(door, email, stranger, &cookie).await;
    refused.problem(429, "too-many-requests");
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_makes_so_many_accounts_an_hour() {
    let house = behind_proxy(2).await;
    house.platform.may_owe();
    let path = "/api/auth/register";
    for name in ["a", "b"] {
        let body = sign_up(&format!("{name}@north.test"), OTHER_PASSWORD);
        let answer = from(&house.door, path, body, "2001:db8::1", "").await;
        answer.expect(201);
    }
    let body = sign_up("c@north.test", OTHER_PASSWORD);
    let refused = from(&house.door, path, body.clone(), "2001:db8::2", "").await;
    refused.problem(429, "too-many-requests");
    let other = from(&house.door, path, body, "2001:db8:0:1::2", "").await;
    other.expect(201);
}

/// Words that would be worth a mail to a stranger.
const WORDS: &str = "Collect at evil.example";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unconfirmed_address_gets_no_words_of_people_without_one() {
    let house = EventFixture::open(true).await;
    let door = &house.door;
    let role = json!({"email": "liar@north.test", "name": WORDS, "password": OTHER_PASSWORD, "role": "organizer"});
    let liar = door.post("/api/auth/register", role).await.expect(201);
    house.platform.owes(1);
    let liar = door.token(text(&liar["token"]));
    let body = event_body(json!({
        "title": WORDS, "location": WORDS, "description": WORDS, "totalTickets": null,
        "ticketTypes": [{"name": WORDS, "capacity": 10}],
    }));
    let event = liar.post("/api/events", body).await.expect(201);
    let body = json!({"email": "victim@north.test", "name": WORDS, "password": OTHER_PASSWORD});
    let victim = door.post("/api/auth/register", body).await.expect(201);
    house.platform.owes(1);
    let victim = door.token(text(&victim["token"]));
    let lines = json!([{"ticketType": event["ticketTypes"][0]["id"], "quantity": 1}]);
    let body = json!({"eventId": event["id"], "lines": lines});
    victim.post("/api/bookings", body.clone()).await.expect(201);
    house.platform.owes(1);
    house.book(&victim).await;
    house.platform.settle().await;
    let path = path_of(&event);
    let moved = json!({"startsAt": "2028-07-05T18:00:00Z", "title": format!("{WORDS} now")});
    liar.patch(&path, "\"1\"", moved).await.expect(200);
    house.platform.owes(1);
    let mails = house.platform.settle().await;
    let told: Vec<_> = mails
        .iter()
        .filter(|mail| mail.is_to("victim@north.test"))
        .collect();
    assert_eq!(told.len(), 4);
    for mail in &told {
        let all = [&mail.raw, &mail.subject, &mail.text, &mail.html];
        let words = all.iter().any(|part| part.contains("evil.example"));
        assert!(!words, "{}", mail.raw);
        let calendar = mail.calendar.as_deref().unwrap_or_default();
        assert!(!calendar.contains("evil.example"), "{calendar}");
    }
    // What a confirmed person says goes to everybody, and a confirmed address gets it all.
    let title = text(&house.event["title"]);
    assert!(told.iter().any(|mail| mail.text.contains(title)));
    let owner = &house.owner;
    owner.client.post("/api/bookings", body).await.expect(201);
    house.platform.owes(1);
    let mails = house.platform.settle().await;
    let confirmed = mails.iter().find(|mail| mail.is_to(&owner.email));
    let confirmed = confirmed.expect("a confirmation");
    assert!(confirmed.text.contains(WORDS) && confirmed.text.contains("owen"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unconfirmed_address_gets_few_mails_a_day_and_bookings_go_on() {
    let house = EventFixture::open(true).await;
    let ann = house.customer("ann").await;
    let book = || {
        let body = json!({"eventId": house.event["id"], "numTickets": 1});
        ann.client.post("/api/bookings", body)
    };
    for _ in 1..5 {
        house.book(&ann.client).await;
    }
    house.platform.settle().await;
    for _ in 0..3 {
        book().await.expect(201);
    }
    // Another account at the address has nothing more to spend, but what was confirmed goes on.
    let suppressed = async |account: &str, count: usize| {
        let what = format!("{count} suppressed confirmations");
        wait_for(Patience::WORK, &what, || async {
            let path = format!("/api/users/{account}/deliveries");
            let seen = house.owner.client.get(&path).await.expect(200);
            let items = seen["items"].as_array().expect("items");
            let of_kind = items
                .iter()
                .filter(|one| one["kind"] == "booking-confirmed" && one["state"] == "suppressed");
            (of_kind.count() == count).then_some(())
        })
        .await;
    };
    suppressed(&ann.id, 3).await;
    let body = sign_up("ann@north.test", OTHER_PASSWORD);
    let other = house
        .door
        .post("/api/auth/register", body)
        .await
        .expect(201);
    house.platform.owes(1);
    let other_id = text(&other["user"]["id"]).to_owned();
    let other = house.door.token(text(&other["token"]));
    let body = json!({"eventId": house.event["id"], "numTickets": 1});
    other.post("/api/bookings", body).await.expect(201);
    suppressed(&other_id, 1).await;
    let link = house.links(&ann).await.remove(0);
    let done = house.confirm(&link, OWN_PASSWORD).await;
    assert_eq!(done.status, 200, "{}", done.text);
    // What was held back comes in one mail.
    house.platform.owes(1);
    house.book(&ann.client).await;
    house.platform.settle().await;
}
