//! The OpenAPI 3.1 description, generated from the controllers.
//!
//! Controllers name the error codes of each operation in `x-error-codes`. Here they become responses, together with
//! those that every operation of its kind has.

mod errors;
mod parameters;
mod scopes;
mod successes;

use std::{collections::BTreeMap, sync::Mutex};

use axum::body::Bytes;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use self::{
    errors::Errors,
    parameters::{IdempotencyKeys, RequiredBodies, TenantHeader},
    scopes::ApiKeyScopes,
    successes::{Described, Examples, PageItems},
};
use super::{
    api::{TokenIssuer, api},
    choices,
    problem::ProblemResponse,
};
use crate::locked::Locked as _;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Boxoffice",
        description = "Events, bookings, waiting lists, check-ins, and mails to customers.\n\nThe tenant of a request \
            is named by \
            the header X-Tenant, else by the subdomain, else by the token; the only tenant of an installation needs no \
            name. Errors are application/problem+json with a stable `code`."
    ),
    components(schemas(ProblemResponse, choices::EventSort, choices::ExportFormat, choices::NotificationCommand, choices::LaneCommand)),
    security(("bearer" = [])),
    tags(
        (name = "auth", description = "Sign-up, sign-in and sign-out"),
        (name = "events", description = "What people attend"),
        (name = "bookings", description = "Tickets that customers booked"),
        (name = "check-ins", description = "Check-in of tickets"),
        (name = "holds", description = "Tickets that are reserved for customers until a time"),
        (name = "payments", description = "Payments for holds, and refunds"),
        (name = "receipts", description = "Receipts of bookings, and credit notes of refunds"),
        (name = "imports", description = "Bookings of another system"),
        (name = "waitlist", description = "Customers who wait for tickets"),
        (name = "notifications", description = "Notifications to customers, and their progress"),
        (name = "delivery-admin", description = "Delivery administration: pause, move, cancel and retry mails"),
        (name = "plugins", description = "The tenant's policies and templates"),
        (name = "tenant", description = "The tenant of the request"),
        (name = "operator", description = "For operators of the installation"),
        (name = "health", description = "For load balancers and supervisors"),
    ),
)]
struct Description;

/// What is said of operations by rule, in the order in which it is done.
const RULES: [&(dyn Modify + Sync); 10] = [
    &OperationNames,
    &Bearer,
    &ApiKeyScopes,
    &PageItems,
    &RequiredBodies,
    &TenantHeader,
    &IdempotencyKeys,
    &Described,
    &Errors,
    &Examples,
];

/// The description of a router whose callers have tokens of `issuer`.
fn description(issuer: TokenIssuer) -> utoipa::openapi::OpenApi {
    let operations = api(issuer).into_openapi();
    let mut description = Description::openapi().merge_from(operations);
    RULES.iter().for_each(|rule| rule.modify(&mut description));
    description
}

/// Writes the OpenAPI description of every route, as served under `/openapi.json`.
pub fn openapi_json() -> String {
    json(TokenIssuer::Own, "")
}

/// Most cached descriptions: one for each prefix of a router. A prefix may contain what a client sent, so there
/// is a limit.
const KEPT_MAX: usize = 16;

/// The description for a router at `prefix`, made once: it takes milliseconds, and anybody may request it.
pub(super) fn kept_json(issuer: TokenIssuer, prefix: &str) -> Bytes {
    static KEPT: Mutex<BTreeMap<(TokenIssuer, String), Bytes>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.locked();
    let at = (issuer, prefix.to_owned());
    if let Some(known) = kept.get(&at) {
        return known.clone();
    }
    let made = Bytes::from(json(issuer, prefix));
    if kept.len() < KEPT_MAX {
        kept.insert(at, made.clone());
    }
    made
}

/// Writes the description for a router at `prefix`.
fn json(issuer: TokenIssuer, prefix: &str) -> String {
    let mut description = description(issuer);
    let mut server = utoipa::openapi::Server::new(if prefix.is_empty() { "/" } else { prefix });
    server.description = Some("The host that this description comes from.".to_owned());
    description.servers = Some(vec![server]);
    description
        .to_pretty_json()
        .expect("the description is plain data")
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The `token` of a sign-in."))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Makes operation ids unique: `create` of the tag `events` is `events_create`.
struct OperationNames;

impl Modify for OperationNames {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (_, operation) in operations(openapi) {
            let tag = operation.tags.iter().flatten().next().cloned();
            if let (Some(tag), Some(id)) = (tag, operation.operation_id.as_mut()) {
                *id = format!("{tag}_{id}");
            }
        }
    }
}

fn operations(
    openapi: &mut utoipa::openapi::OpenApi,
) -> impl Iterator<Item = (&str, &mut Operation)> {
    operations_by_method(openapi).map(|(_, path, operation)| (path, operation))
}

fn operations_by_method(
    openapi: &mut utoipa::openapi::OpenApi,
) -> impl Iterator<Item = (&'static str, &str, &mut Operation)> {
    openapi.paths.paths.iter_mut().flat_map(|(path, item)| {
        let all = [
            ("GET", &mut item.get),
            ("POST", &mut item.post),
            ("PUT", &mut item.put),
            ("PATCH", &mut item.patch),
            ("DELETE", &mut item.delete),
        ];
        all.into_iter()
            .filter_map(|(method, operation)| Some((method, path.as_str(), operation.as_mut()?)))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn written() -> Value {
        serde_json::from_str(&openapi_json()).unwrap()
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, root: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(root.pointer(pointer).is_some(), "{reference}");
                    }
                    members.values().for_each(|value| walk(value, root));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, root)),
                _ => {}
            }
        }
        walk(&written(), &written());
    }

    #[test]
    fn operations_have_their_errors_security_and_ids() {
        let written = written();
        assert_eq!(written["openapi"], "3.1.0");
        let book = &written["paths"]["/api/bookings"]["post"];
        for status in [
            "201", "400", "401", "403", "404", "409", "413", "415", "422", "500", "503",
        ] {
            assert!(book["responses"][status].is_object(), "{status}");
        }
        assert!(
            book["responses"]["409"]["description"]
                .as_str()
                .unwrap()
                .contains("`not-enough-tickets`")
        );
        assert_eq!(
            written["components"]["securitySchemes"]["bearer"]["scheme"],
            "bearer"
        );
        assert!(written["paths"]["/api/auth/login"]["post"]["responses"]["429"].is_object());
        let mut ids = BTreeSet::new();
        for (path, operation) in operations(&mut description(TokenIssuer::Own)) {
            let id = operation.operation_id.clone().unwrap();
            assert!(ids.insert(id.clone()), "{path}: {id} stands there twice");
        }
    }

    #[test]
    fn a_prefix_is_its_server_and_foreign_sign_ins_have_no_paths() {
        let mounted: Value =
            serde_json::from_str(&json(TokenIssuer::Platform, "/tickets")).unwrap();
        assert_eq!(mounted["servers"][0]["url"], "/tickets");
        assert!(mounted["paths"].get("/api/auth/login").is_none());
        assert!(mounted["paths"].get("/api/auth/me").is_some());
    }
}
