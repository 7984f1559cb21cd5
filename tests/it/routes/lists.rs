//! Goal: every list pages alike: the same parameters with the same bounds, the same refusals, and page by page the same items
//! as in one go.
//!
//! Method: the lists are those whose answer is a page in `/openapi.json`; each is asked as the table's rows say.

use boxoffice_tests::Client;
use serde_json::{Value, json};

use super::{
    rows::{Row, rows},
    world::Context,
};

/// Lists that take more than a page, and what.
const FILTERS: [(&str, &[&str]); 9] = [
    ("/api/users", &["email", "externalId", "name"]),
    ("/api/events/{id}/bookings", &["customer"]),
    ("/api/payments", &["status"]),
    ("/api/receipts", &["year"]),
    ("/api/refunds", &["state"]),
    (
        "/api/events",
        &[
            "status",
            "startsFrom",
            "startsBefore",
            "q",
            "location",
            "organizer",
            "sort",
        ],
    ),
    ("/api/admin/failed", &["state", "code"]),
    ("/api/admin/notifications/{id}/failed", &["state", "code"]),
    ("/api/notifications/{id}/deliveries", &["state"]),
];
/// Pages of one item each that are walked at most; the world's lists are shorter.
const WALK_MAX: usize = 100;

/// The operation that a row stands for, as the document has it.
pub(super) fn operation<'a>(document: &'a Value, row: &Row) -> &'a Value {
    &document["paths"][row.path][row.method.to_lowercase()]
}

fn is_list(operation: &Value) -> bool {
    let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
    schema
        .as_str()
        .is_some_and(|name| name.contains("/PageResponse"))
}

fn query_parameters(operation: &Value) -> Vec<(&str, &Value)> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters
        .filter(|one| one["in"] == "query")
        .map(|one| (one["name"].as_str().expect("a name"), &one["schema"]))
        .collect()
}

#[tokio::test]
async fn every_list_has_the_same_parameters() {
    let world = Context::make().await;
    let document = world.north.door.get("/openapi.json").await.expect(200);
    let mut lists = 0;
    for row in rows() {
        let operation = operation(&document, row);
        let parameters = query_parameters(operation);
        if row.path.ends_with("/export") {
            let names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, ["format"], "{}", row.path);
            continue;
        }
        if row.path == "/api/changes" {
            let names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, ["after", "types", "object", "limit"]);
            continue;
        }
        if !is_list(operation) {
            assert!(
                parameters.is_empty(),
                "{} is no list and takes {parameters:?}",
                row.path
            );
            continue;
        }
        lists += 1;
        let names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
        let filters = FILTERS.iter().find(|(path, _)| *path == row.path);
        let filters = filters.map_or(&[][..], |(_, names)| names);
        let wanted = [&["cursor", "limit"], filters].concat();
        assert_eq!(names, wanted, "{}", row.path);
        let limit = parameters[1].1;
        let bounds = [&limit["minimum"], &limit["maximum"], &limit["default"]];
        assert_eq!(bounds, [&json!(1), &json!(100), &json!(20)], "{}", row.path);
    }
    assert!(lists >= 20, "there are more lists than {lists}");
}

#[tokio::test]
async fn every_list_refuses_the_same_and_pages_through_all_items() {
    let world = Context::make().await;
    let document = world.north.door.get("/openapi.json").await.expect(200);
    let mut wrong = Vec::new();
    for row in rows().filter(|row| is_list(operation(&document, row))) {
        let client = world.rightful(row);
        let path = row.path_to(&world.thing(row.thing));
        let long = "x".repeat(600);
        for (query, code, field) in [
            ("limit=0", "field-invalid", "limit"),
            ("limit=101", "field-invalid", "limit"),
            ("limit=-1", "field-invalid", "limit"),
            ("limit=2.0", "field-invalid", "limit"),
            ("limit=", "field-invalid", "limit"),
            ("limit=1&limit=1", "field-invalid", "limit"),
            ("cursor=", "field-invalid", "cursor"),
            ("cursor=Non%20Sense", "field-invalid", "cursor"),
            ("cursor=..%2F..%2Fx", "field-invalid", "cursor"),
            ("cursor=%00", "field-invalid", "cursor"),
            ("cursor=%F0%9F%8E%AB", "field-invalid", "cursor"),
            (
                "cursor=01jzzzzzzzzzzzzzzzzzzzzzzz!",
                "field-invalid",
                "cursor",
            ),
            (&format!("cursor={long}"), "field-invalid", "cursor"),
            ("cursor=a&cursor=b", "field-invalid", "cursor"),
            ("Limit=1", "unknown-field", "Limit"),
            ("offset=1", "unknown-field", "offset"),
            ("order=title", "unknown-field", "order"),
        ] {
            let answer = client.get(&format!("{path}?{query}")).await;
            let problem = serde_json::from_str::<Value>(&answer.text).unwrap_or_default();
            if answer.status != 422 || problem["code"] != code || problem["field"] != field {
                wrong.push(format!("{path}?{query}: {} {}", answer.status, answer.text));
            }
        }
        let whole = client.get(&format!("{path}?limit=100")).await.expect(200);
        let whole = whole["items"].as_array().expect("items").clone();
        if walked(client, &path).await != whole {
            wrong.push(format!(
                "{path}: page by page it is not what it is in one go"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All items, one on each page.
async fn walked(client: &Client, path: &str) -> Vec<Value> {
    let (mut items, mut query) = (Vec::new(), "limit=1".to_owned());
    for _ in 0..WALK_MAX {
        let page = client.get(&format!("{path}?{query}")).await.expect(200);
        let of_page = page["items"].as_array().expect("items");
        assert!(of_page.len() <= 1, "{path}: {page}");
        items.extend(of_page.iter().cloned());
        match page["nextCursor"].as_str() {
            Some(cursor) => {
                let cursor = reqwest::Url::parse_with_params("x:/", [("cursor", cursor)]);
                let cursor = cursor
                    .expect("a query")
                    .query()
                    .expect("a query")
                    .to_owned();
                query = format!("limit=1&{cursor}");
            }
            None => return items,
        }
    }
    panic!("{path} has no end")
}
