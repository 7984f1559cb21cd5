//! Goal: `/openapi.json` says everything that a client needs: what each operation is for, what it takes and answers with
//! examples, which errors it has by code, and who may.
//!
//! Method: the document is walked, and whatever is missing is named. The examples are what the API really answered to the
//! rows of the table: `BOXOFFICE_UPDATE_EXAMPLES=1` with this test writes them anew, and otherwise their shapes must still be
//! those of the answers.

use std::collections::BTreeMap;

use boxoffice_tests::{Answer, workspace_root};
use serde_json::{Map, Value, json};

use super::{
    lists::operation,
    rows::{Door, Row, Thing, rows},
    world::Context,
};

const EXAMPLES: &str = "host/src/routes/examples.json";
/// Members whose values would be taken for secrets, are as long as one, or are this machine's.
const SECRETS: [(&str, &str); 8] = [
    ("token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMWo…"),
    ("refreshToken", "bm9ydGg6MDFq…"),
    ("password", "correct horse battery"),
    ("code", "AYxk0…"),
    ("idempotencyKey", "order-4711"),
    ("idToken", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4…"),
    ("issuer", "https://id.example.org"),
    ("jwksUrl", "https://id.example.org/keys"),
];

/// Fields that mean the same in every answer that has them, and in how many schemas they stand at least.
const SHARED: [(&str, usize); 11] = [
    ("numTickets", 6),
    ("totalMinor", 2),
    ("messages", 2),
    ("paidMinor", 1),
    ("cancelledMinor", 1),
    ("refundDueMinor", 1),
    ("refundMinor", 2),
    ("refundPercent", 2),
    ("ticketNumbers", 1),
    ("currency", 4),
    ("eventVersion", 2),
];

#[tokio::test]
async fn every_operation_is_described_to_its_end() {
    let world = Context::make().await;
    let document = world.north.door.get("/openapi.json").await.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let mut missing = Vec::new();
    for row in rows() {
        let operation = operation(&document, row);
        let mut lacks = |what: String| missing.push(format!("{} {}: {what}", row.method, row.path));
        for member in ["summary", "operationId"] {
            if operation[member].as_str().is_none_or(str::is_empty) {
                lacks(member.to_owned());
            }
        }
        if operation["tags"].as_array().is_none_or(Vec::is_empty) {
            lacks("tags".to_owned());
        }
        // Who may: an empty requirement stands for nobody signed in.
        let security = operation.get("security").unwrap_or(&document["security"]);
        let opens = |one: &Value| security.as_array().is_some_and(|all| all.contains(one));
        let (open, bearer) = (opens(&json!({})), opens(&json!({"bearer": []})));
        let expected = match row.door {
            Door::Open => (true, false),
            Door::Public => (true, true),
            _ => (false, true),
        };
        if (open, bearer) != expected {
            lacks(format!("security {expected:?}, and not {security}"));
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["description"].as_str().is_none_or(str::is_empty) {
                lacks(format!("the description of {}", parameter["name"]));
            }
            if parameter["in"] == "path" && parameter.get("example").is_none() {
                lacks(format!("an example of {}", parameter["name"]));
            }
        }
        for (media, content) in members(&operation["requestBody"]["content"]) {
            if media.contains("json") && content.get("example").is_none() {
                lacks(format!("an example of its {media} request"));
            }
        }
        let responses = members(&operation["responses"]);
        for (status, response) in &responses {
            let content = members(&response["content"]);
            if response["description"].as_str().is_none_or(str::is_empty) {
                lacks(format!("the description of its answer {status}"));
            }
            if status.as_str() < "400" {
                for (media, content) in content {
                    if media == "application/json" && content.get("example").is_none() {
                        lacks(format!("an example of its answer {status}"));
                    }
                }
                continue;
            }
            let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
            let codes = response["x-error-codes"].as_array();
            if problem != "#/components/schemas/Problem" || codes.is_none_or(Vec::is_empty) {
                lacks(format!("the codes of {status}"));
            }
            if ["429", "503"].contains(&status.as_str())
                && response["headers"].get("Retry-After").is_none()
            {
                lacks(format!("Retry-After of {status}"));
            }
        }
        if !responses.iter().any(|(status, _)| status.starts_with('2')) {
            lacks("an answer of success".to_owned());
        }
    }
    assert!(
        missing.is_empty(),
        "{} are missing:\n{}",
        missing.len(),
        missing.join("\n")
    );
}

#[tokio::test]
async fn operations_honour_a_key_where_the_description_names_it_and_nowhere_else() {
    let world = Context::make().await;
    let document = world.north.door.get("/openapi.json").await.expect(200);
    for (index, row) in rows().enumerate().filter(|(_, row)| row.method != "GET") {
        let parameters = operation(&document, row)["parameters"].as_array();
        let mut names = parameters.into_iter().flatten().map(|one| &one["name"]);
        let is_named = names.any(|name| name == "Idempotency-Key");
        let (thing, body) = (world.thing(row.thing), row.body.map(|body| body(&world)));
        // A dry run changes nothing, so its answer is not recorded.
        let is_dry = body.as_ref().is_some_and(|body| body["dryRun"] == true);
        let send = async || {
            let request = row.request(world.rightful(row), &thing);
            let request = request.header("Idempotency-Key", format!("row-{index}"));
            Answer::of(match &body {
                Some(body) => request.json(body),
                None => request,
            })
            .await
        };
        let first = send().await;
        assert_eq!(first.status, row.succeeds, "{}", row.named(&first));
        let again = send().await;
        let is_replayed = again.header("idempotency-replayed") == "true";
        assert_eq!(is_replayed, is_named && !is_dry, "{}", row.named(&again));
    }
}

/// What generators of clients make one class of each: things by reference, and fixed values by name.
#[tokio::test]
async fn things_and_fixed_values_have_one_schema_each() {
    let world = Context::make().await;
    let document = world.north.door.get("/openapi.json").await.expect(200);
    assert_eq!(document["servers"][0]["url"], "/");
    let mut wrong = Vec::new();
    for (name, schema) in members(&document["components"]["schemas"]) {
        for (property, of) in members(&schema["properties"]) {
            let items = &of["items"];
            if items["properties"].is_object() {
                wrong.push(format!("{name}.{property} repeats what its items are"));
            }
            if !of["properties"].is_null() {
                wrong.push(format!("{name}.{property} has no schema of its own"));
            }
            // The words of a field that has fixed values name one of them first.
            let says = of["description"].as_str().unwrap_or_default();
            let is_text =
                of["type"] == "string" && says.starts_with('`') && says.contains("` or `");
            if is_text && of.get("$ref").is_none() && of.get("enum").is_none() {
                wrong.push(format!(
                    "{name}.{property} has values without a name: {says}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn examples_are_what_the_api_answers() {
    let world = Context::make().await;
    let document = world.north.door.get("/openapi.json").await.expect(200);
    let mut seen = BTreeMap::new();
    for row in rows() {
        let example = example_of(row, &world).await;
        seen.insert(format!("{} {}", row.method, row.path), example);
    }
    // The table cannot send a component, and has no restored store: the answers are those of looking at the same later.
    for (does, shows) in [
        (
            "POST /api/plugins/{id}/versions",
            "GET /api/plugins/versions/{id}",
        ),
        (
            "POST /api/operator/restoration/release",
            "GET /api/operator/restoration",
        ),
    ] {
        let shown = seen[shows]["response"].clone();
        if let Some(done) = seen.get_mut(does) {
            done["response"] = shown;
        }
    }
    if std::env::var_os("BOXOFFICE_UPDATE_EXAMPLES").is_some() {
        let text = serde_json::to_string_pretty(&seen).expect("JSON");
        std::fs::write(workspace_root().join(EXAMPLES), text + "\n")
            .expect("the file can be written");
        return;
    }
    for row in rows() {
        let (operation, key) = (
            operation(&document, row),
            format!("{} {}", row.method, row.path),
        );
        let shown = |content: &Value| {
            let content = members(content).into_iter();
            content
                .filter_map(|(_, content)| content.get("example").cloned())
                .next()
        };
        let request = shown(&operation["requestBody"]["content"]);
        let ok = members(&operation["responses"]).into_iter();
        let response = ok
            .filter(|(status, _)| status.starts_with('2'))
            .find_map(|(_, response)| shown(&response["content"]));
        for (what, shown) in [("request", request), ("response", response)] {
            let Some(shown) = shown else { continue };
            let real = &seen[&key][what];
            assert!(
                same_shape(&shown, real),
                "{key}: the example of its {what} is not like it any more; \
                 BOXOFFICE_UPDATE_EXAMPLES=1 writes it anew:\n{shown:#}\n{real:#}"
            );
        }
    }
}

#[tokio::test]
async fn fields_of_one_name_mean_the_same_in_every_answer() {
    let world = Context::make().await;
    let document = world.north.door.get("/openapi.json").await.expect(200);
    let api = std::fs::read_to_string(workspace_root().join("docs/api.md")).expect("the page");
    let rows: Vec<&str> = (api.lines())
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next())
        .collect();
    for (name, answers_min) in SHARED {
        let mut meanings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (schema, value) in members(&document["components"]["schemas"]) {
            // What is sent may be left out, and an error's number is no field of a thing.
            if schema.ends_with("Request") || schema == "Problem" {
                continue;
            }
            for part in
                std::iter::once(value).chain(value["allOf"].as_array().into_iter().flatten())
            {
                let Some(field) = part["properties"].get(name) else {
                    continue;
                };
                let mut field = field.clone();
                let described = field.as_object_mut().and_then(|field| {
                    field.remove("example");
                    field.get("description")
                });
                assert!(described.is_some(), "{schema}.{name} is not described");
                let of = meanings.entry(field.to_string()).or_default();
                of.push(schema.clone());
            }
        }
        assert_eq!(meanings.len(), 1, "{name} differs: {meanings:#?}");
        let answers = meanings.values().map(Vec::len).sum::<usize>();
        assert!(
            answers >= answers_min,
            "{name} stands in {answers} answers: {meanings:?}"
        );
        let is_told = rows
            .iter()
            .any(|row| format!("`{row}").contains(&format!("`{name}`")));
        assert!(is_told, "docs/api.md says nothing of {name}");
    }
}

async fn example_of(row: &Row, world: &Context) -> Value {
    let thing = world.thing(row.thing);
    let answer = row.send(world, world.rightful(row), &thing).await;
    let mut example = Map::new();
    if row.thing != Thing::None {
        example.insert("path".to_owned(), json!(thing));
    }
    if let Some(body) = row.body {
        example.insert("request".to_owned(), without_secrets(body(world)));
    }
    let is_json = answer.header("content-type") == "application/json";
    if is_json && answer.status < 300 {
        example.insert("response".to_owned(), without_secrets(answer.json()));
    }
    Value::Object(example)
}

fn without_secrets(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let secret = SECRETS.iter().find(|(secret, _)| *secret == name);
                let value = match (secret, &value) {
                    (Some((_, shown)), Value::String(_)) => json!(shown),
                    _ => without_secrets(value),
                };
                (name, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(without_secrets).collect(),
        value => value,
    }
}

/// Whether two values have the same members of the same kinds; null may be anything that is not there yet.
fn same_shape(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) => true,
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| {
                    other
                        .get(name)
                        .is_some_and(|other| same_shape(value, other))
                })
        }
        (Value::Array(one), Value::Array(other)) => match (one.first(), other.first()) {
            (Some(one), Some(other)) => same_shape(one, other),
            _ => true,
        },
        (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

fn members(value: &Value) -> Vec<(String, &Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), value)).collect()
}
