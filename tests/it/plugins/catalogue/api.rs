//! Goal: owners read the catalogue over the API and activate from it; a wrong configuration is refused with its place and changes nothing.
//!
//! Method: each example of the catalogue is activated, and configurations that are wrong in one place each; an age decides a booking.

use boxoffice_engine::{TenantId, UserRole};
use boxoffice_tests::{
    Account, Answer,
    api::{Api, text},
};
use serde_json::{Value, json};

use super::PROMO;

/// The API with an owner.
async fn owned_api() -> (Api, Account) {
    let api = Api::start().await;
    let tenant = TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    let owner = api.door.login("owen@north.test").await;
    (api, owner)
}

async fn activate_at(owner: &Account, policy: &str, body: Value) -> Answer {
    let path = format!("/api/plugins/{policy}/activate");
    owner.client.post(&path, body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_has_every_policy_and_each_example_is_activated() {
    let (api, owner) = owned_api().await;
    let policies = owner.client.get("/api/policy-catalogue").await.expect(200);
    let items = policies["items"].as_array().expect("items");
    let names: Vec<_> = items.iter().map(|policy| text(&policy["name"])).collect();
    assert_eq!(
        names,
        [
            "boxoffice.access-codes",
            "boxoffice.early-bird",
            "boxoffice.group-discount",
            "boxoffice.members-only",
            "boxoffice.minimum-age",
            "boxoffice.per-customer-maximum",
            "boxoffice.promo-codes",
        ]
    );
    let mut version = 0;
    for policy in items {
        assert_eq!(policy["rules"], 1);
        assert_eq!(policy["configSchema"]["type"], "object");
        let sees_identity = policy["name"] == "boxoffice.members-only";
        let body = json!({"config": policy["configExample"], "seesIdentity": sees_identity});
        let set = activate_at(&owner, text(&policy["name"]), body).await;
        let set = set.expect(200);
        version += 1;
        assert_eq!(set["version"], version);
        let last = set["items"].as_array().and_then(|items| items.last());
        let last = last.expect("an item");
        assert_eq!(
            (&last["name"], &last["version"]),
            (&policy["name"], &policy["version"])
        );
        assert_eq!(
            (&last["rules"], &last["config"]),
            (&json!(1), &policy["configExample"])
        );
    }
    for other in [&api.organizer, &api.customer] {
        let refused = other.client.get("/api/policy-catalogue").await;
        refused.problem(403, "forbidden");
        let refused = activate_at(other, PROMO, json!({"config": {}})).await;
        refused.problem(403, "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_configuration_is_refused_with_its_place_and_changes_nothing() {
    let (_api, owner) = owned_api().await;
    let right = json!({"codes": ["SPRING"], "discount": {"percent": 20}});
    for (body, field) in [
        (json!({}), "config.discount"),
        (json!({"config": {"codes": ["A"]}}), "config.discount"),
        (
            json!({"config": {"codes": ["A", ""], "discount": {"percent": 20}}}),
            "config.codes[1]",
        ),
        (
            json!({"config": {"codes": ["A"], "discount": {"percent": 120}}}),
            "config.discount.percent",
        ),
        (
            json!({"config": {"discount": {"percent": 20}}}),
            "config.codes",
        ),
        (
            json!({"config": right, "seesIdentity": true}),
            "seesIdentity",
        ),
        (json!({"config": right, "limits": {"timeMs": 5}}), "limits"),
        (json!({"config": right, "fixtures": [{}]}), "fixtures"),
    ] {
        let refused = activate_at(&owner, PROMO, body).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    let config = json!({"codes": ["A"], "discount": {"percent": 20}, "uses": 1});
    let refused = activate_at(&owner, PROMO, json!({"config": config})).await;
    refused
        .problem(422, "unknown-field")
        .at_field("config.uses");
    let members = json!({"config": {"emailDomains": ["club.example"]}});
    let refused = activate_at(&owner, "boxoffice.members-only", members).await;
    refused
        .problem(422, "field-invalid")
        .at_field("seesIdentity");
    let unknown = activate_at(&owner, "boxoffice.free-beer", json!({"config": {}})).await;
    unknown.problem(404, "not-found");
    let other = json!({"config": right, "version": "0".repeat(64)});
    activate_at(&owner, PROMO, other)
        .await
        .problem(404, "not-found");
    let set = owner.client.get("/api/plugins").await.expect(200);
    assert_eq!((&set["version"], &set["items"]), (&json!(0), &json!([])));
    // A stored configuration is not replaced by a wrong one.
    activate_at(&owner, PROMO, json!({"config": right}))
        .await
        .expect(200);
    let refused = activate_at(&owner, PROMO, json!({"config": {}})).await;
    refused
        .problem(422, "field-invalid")
        .at_field("config.discount");
    let set = owner.client.get("/api/plugins").await.expect(200);
    assert_eq!(set["items"][0]["config"], right);
    let back = format!("/api/plugins/{PROMO}/roll-back");
    let refused = owner.client.post(&back, json!({})).await;
    refused.problem(409, "plugin-not-ready");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minimum_age_asks_for_the_answer_of_a_booking() {
    let (api, owner) = owned_api().await;
    let born = json!([{"id": "born", "label": "When were you born?", "kind": "date"}]);
    // It begins on 2027-03-01 in Berlin.
    let event = api.event(json!({"questions": born})).await;
    let config = json!({"years": 18, "question": "born"});
    let body = json!({"config": config, "eventId": event["id"]});
    activate_at(&owner, "boxoffice.minimum-age", body)
        .await
        .expect(200);
    let client = &api.customer.client;
    for (answers, policy_code) in [
        (json!({}), Some("age-missing")),
        (json!({"born": "2009-03-02"}), Some("too-young")),
        (json!({"born": "2009-03-01"}), None),
    ] {
        let body = json!({"eventId": event["id"], "numTickets": 1, "answers": answers});
        let answer = client.post("/api/bookings", body).await;
        match policy_code {
            None => drop(answer.expect(201)),
            Some(code) => {
                let problem = answer.problem(409, "policy-rejected");
                assert_eq!(problem.member("policyCode"), code);
            }
        }
    }
    let free = api.event(json!({})).await;
    api.book(&free, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_asked_over_the_api_without_any_effect() {
    let (api, owner) = owned_api().await;
    let policies = owner.client.get("/api/policy-catalogue").await.expect(200);
    let mut items = policies["items"].as_array().expect("items").iter();
    let promo = items.find(|policy| policy["name"] == PROMO);
    let version = text(&promo.expect("the policy")["version"]);
    let path = format!("/api/plugins/versions/{version}/dry-run");
    // What a plugin's fixture has, and the codes beside it.
    let question = json!({"export": "validate-booking", "request": {
        "event": {
            "id": "e", "version": 1, "title": "Jazz", "startsAt": "2026-12-05T18:30:00Z", "timeZone": "UTC", "currency": "EUR",
            "ticketTypes": [{"id": "seat", "name": "Seat", "priceMinor": 1_000}]
        },
        "lines": [{"ticketType": "seat", "quantity": 2, "unitPriceMinor": 1_000}],
        "customer": {"pseudonym": "c", "ticketsInEvent": 0},
        "codes": ["SPRING"],
        "now": {"utc": "2026-11-22T18:30:00Z", "local": "2026-11-22T18:30:00+00:00"}
    }});
    let config = json!({"codes": ["SPRING"], "discount": {"percent": 30}, "usesMax": 3});
    let body = json!({"question": question, "config": config});
    let tried = owner.client.post(&path, body.clone()).await.expect(200);
    assert_eq!(tried["answer"]["unitPricesMinor"], json!([700]));
    assert_eq!(
        tried["answer"]["claims"],
        json!([{"key": "boxoffice.promo-codes/all", "limit": 3, "amount": 1}])
    );
    assert_eq!(owner.client.all("/api/claims").await, Vec::<Value>::new());
    let wrong = json!({"question": question, "config": {"codes": ["SPRING"]}});
    let refused = owner.client.post(&path, wrong).await;
    refused
        .problem(422, "field-invalid")
        .at_field("config.discount");
    let mail = json!({"question": {"export": "render", "request": {}}, "config": config});
    let refused = owner.client.post(&path, mail).await;
    refused.problem(422, "field-invalid").at_field("question");
    let refused = api.organizer.client.post(&path, body).await;
    refused.problem(403, "forbidden");
}
