//! The OpenAPI 3.1 description, generated from the controllers.
//!
//! Controllers name the error codes of each operation in `x-error-codes`; here they become answers, together with
//! those that every operation of its kind has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use axum::{body::Bytes, http::StatusCode};
use boxoffice_engine::ErrorCode;
use serde_json::{Map, Value};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        AllOfBuilder, Content, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::Type,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::controllers::{
    announcements, auth, backups, bookings, check_ins, dispatch, events,
    events::ticket_types,
    health, holds, notifications, operators, plugins,
    problem::{HOST_CODES, PROBLEM_JSON, ProblemResponse, UNSUPPORTED_MEDIA_TYPE, status_of},
    subscriptions, tenants, waitlist,
};

const ERROR_CODES: &str = "x-error-codes";
/// Paths that are left out where a platform has sign-ins of its own.
const SIGN_IN_PATHS: [&str; 13] = [
    "/api/auth/register",
    "/api/auth/login",
    "/api/auth/refresh",
    "/api/auth/logout",
    "/api/auth/me/sessions",
    "/api/operator/login",
    "/api/operator/refresh",
    "/api/operator/logout",
    "/api/operator/password",
    "/api/operator/operators",
    "/api/operator/operators/{operator}",
    "/api/operator/operators/{operator}/sessions",
    "/api/operator/operators/{operator}/sessions/{id}",
];

/// Operations that mind an Idempotency-Key: all that make or change something of the domain and could do it twice. Every
/// other POST says that it does not.
const KEYED: [(&str, &str); 19] = [
    ("POST", "/api/bookings"),
    ("POST", "/api/bookings/{id}/cancel"),
    ("POST", "/api/events"),
    ("POST", "/api/events/{id}/announcements"),
    ("POST", "/api/events/{id}/cancel"),
    ("POST", "/api/events/{id}/check-ins"),
    ("POST", "/api/events/{id}/check-ins/undo"),
    ("POST", "/api/events/{id}/ticket-types"),
    ("POST", "/api/events/{id}/waitlist"),
    ("DELETE", "/api/events/{id}/waitlist/me"),
    ("POST", "/api/holds"),
    ("POST", "/api/holds/{id}/confirm"),
    ("POST", "/api/holds/{id}/extend"),
    ("POST", "/api/holds/{id}/release"),
    ("POST", "/api/admin/notifications/{id}/cancel"),
    ("POST", "/api/admin/notifications/{id}/move"),
    ("POST", "/api/admin/notifications/{id}/pause"),
    ("POST", "/api/admin/notifications/{id}/promote"),
    ("POST", "/api/admin/notifications/{id}/resume"),
];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Boxoffice",
        description = "Events, bookings, and telling customers what changed.\n\nThe tenant of a request is named by \
            the header X-Tenant, else by the subdomain, else by the token; the only tenant of an installation needs no \
            name. Errors are application/problem+json with a stable `code`."
    ),
    paths(
        auth::register, auth::login, auth::refresh, auth::logout, auth::end_sessions, auth::me, auth::ask_to_verify,
        subscriptions::show, subscriptions::replace,
        events::create, events::list, events::show, events::replace, events::merge, events::cancel, events::delete,
        ticket_types::show, ticket_types::create, ticket_types::merge, ticket_types::delete,
        holds::create, holds::show, holds::extend, holds::confirm, holds::release,
        bookings::create, bookings::list_mine, bookings::list_of_event, bookings::show, bookings::cancel,
        waitlist::join, waitlist::place, waitlist::leave, waitlist::list, waitlist::skips,
        check_ins::create, check_ins::show, check_ins::undo, check_ins::list, check_ins::export, check_ins::tickets,
        announcements::create, notifications::show, notifications::deliveries,
        notifications::list_of_event, notifications::deliveries_of_booking, notifications::deliveries_of_user,
        plugins::in_use, plugins::upload, plugins::list_versions, plugins::show_version, plugins::dry_run,
        plugins::overview, plugins::replay, plugins::activate, plugins::roll_back, plugins::remove, plugins::logs, plugins::failed_calls, plugins::metrics, plugins::delete_version, plugins::decision,
        dispatch::sight, dispatch::notifications, dispatch::pause, dispatch::resume, dispatch::cancel,
        dispatch::failed, dispatch::failed_of_notification, dispatch::reasons, dispatch::retry, dispatch::delivery,
        dispatch::search, dispatch::audit, dispatch::schedules, dispatch::promote, dispatch::move_to,
        dispatch::pause_lane, dispatch::resume_lane,
        tenants::show, tenants::settings, tenants::merge_settings, tenants::suppressions,
        operators::login, operators::refresh, operators::logout, operators::set_password, operators::list_operators,
        operators::remove_operator, operators::list_sessions, operators::end_session, operators::end_sessions,
        operators::create_tenant, operators::show_tenant, operators::show_user, operators::list_tenants, operators::create_user,
        operators::list_users, operators::set_sender, operators::verify,
        backups::backup, backups::restoration, backups::release,
        health::live, health::ready,
    ),
    components(schemas(ProblemResponse)),
    security(("bearer" = [])),
    tags(
        (name = "auth", description = "Signing up, in and out"),
        (name = "events", description = "What people attend"),
        (name = "bookings", description = "Tickets that customers booked"),
        (name = "check-ins", description = "Tickets at the door"),
        (name = "holds", description = "Tickets that are kept for customers for a while"),
        (name = "waitlist", description = "Customers who wait for tickets"),
        (name = "notifications", description = "What customers are told, and how far that has come"),
        (name = "dispatch", description = "Looking after what goes out: stopping it, what failed, trying again"),
        (name = "plugins", description = "Policies and templates of the tenant's own"),
        (name = "tenant", description = "The tenant of the request"),
        (name = "operator", description = "For those who run the installation"),
        (name = "health", description = "For load balancers and supervisors"),
    ),
    modifiers(&OperationNames, &Bearer, &TenantHeader, &IdempotencyKeys, &Errors, &Examples)
)]
struct Description;

/// Writes the OpenAPI description of every route, as served under `/openapi.json`.
pub fn openapi_json() -> String {
    json(true, "")
}

/// Descriptions that are kept: one for each place where routers are mounted. A prefix may hold what a client sent, so there
/// is an end to it.
const KEPT_MAX: usize = 16;

/// The description for a router at `prefix`, made once: it takes milliseconds, and anybody may ask for it.
pub(super) fn kept_json(own_tokens: bool, prefix: &str) -> Bytes {
    static KEPT: Mutex<BTreeMap<(bool, String), Bytes>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let at = (own_tokens, prefix.to_owned());
    if let Some(known) = kept.get(&at) {
        return known.clone();
    }
    let made = Bytes::from(json(own_tokens, prefix));
    if kept.len() < KEPT_MAX {
        kept.insert(at, made.clone());
    }
    made
}

/// Writes the description for a router at `prefix`, with or without the sign-ins of our own.
fn json(own_tokens: bool, prefix: &str) -> String {
    let mut description = Description::openapi();
    if !own_tokens {
        description
            .paths
            .paths
            .retain(|path, _| !SIGN_IN_PATHS.contains(&path.as_str()));
    }
    if !prefix.is_empty() {
        description.servers = Some(vec![utoipa::openapi::Server::new(prefix)]);
    }
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

/// Adds the header that names the tenant to every operation that has one.
struct TenantHeader;

impl Modify for TenantHeader {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::Required;

        let header = ParameterBuilder::new()
            .name("X-Tenant")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Which tenant, where neither host name nor token say so",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build();
        for (path, operation) in operations(openapi) {
            if path.starts_with("/api/") && !path.starts_with("/api/operator/") {
                operation
                    .parameters
                    .get_or_insert_default()
                    .push(header.clone());
            }
        }
    }
}

/// Says of each operation that makes or changes something whether it minds an Idempotency-Key.
struct IdempotencyKeys;

impl Modify for IdempotencyKeys {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::Required;

        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "1 to 255 visible ASCII characters, of the caller's choice. The same request under the same key has its \
                 effect once: for 24 hours it is answered as at first, with `Idempotency-Replayed: true`. A refusal is \
                 judged again",
            ))
            .schema(Some(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .min_length(Some(1))
                    .max_length(Some(255)),
            ))
            .build();
        for (method, path, operation) in operations_by_method(openapi) {
            if !KEYED.contains(&(method, path)) {
                if method == "POST" {
                    let says = operation.description.take().unwrap_or_default();
                    let ignores = "An `Idempotency-Key` is not minded here.";
                    let says = format!("{says}\n\n{ignores}");
                    operation.description = Some(says.trim().to_owned());
                }
                continue;
            }
            operation
                .parameters
                .get_or_insert_default()
                .push(key.clone());
            add_code(operation, ErrorCode::IdempotencyKeyReused);
            for (status, response) in &mut operation.responses.responses {
                if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
                    let header = HeaderBuilder::new().description(Some(
                        "`true`, if the answer is the one to the request before",
                    ));
                    response
                        .headers
                        .insert("Idempotency-Replayed".to_owned(), header.build());
                }
            }
        }
    }
}

/// Adds an error code to those that an operation names.
fn add_code(operation: &mut Operation, code: ErrorCode) {
    let codes = operation
        .extensions
        .as_mut()
        .and_then(|extensions| extensions.get_mut(ERROR_CODES)?.as_array_mut());
    if let Some(codes) = codes {
        codes.push(code.as_str().into());
    }
}

/// Turns error codes into answers.
struct Errors;

impl Modify for Errors {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let anonymous_first: Vec<_> = openapi.security.clone().unwrap_or_default();
        for (path, operation) in operations(openapi) {
            let needs_token = operation
                .security
                .as_ref()
                .unwrap_or(&anonymous_first)
                .iter()
                .any(|one| serde_json::to_value(one).is_ok_and(|one| one.get("bearer").is_some()));
            for (status, codes) in codes_by_status(path, operation, needs_token) {
                operation.responses.responses.insert(
                    status.as_str().to_owned(),
                    RefOr::T(problem(status, &codes)),
                );
            }
        }
    }
}

/// Shows what each operation is asked and answers: requests and answers of the tests (`tests/it/routes/description.rs` writes
/// them), so that they are real.
struct Examples;

impl Modify for Examples {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let examples: Map<String, Value> = serde_json::from_str(include_str!("examples.json"))
            .expect("the file is written by a test");
        for (method, path, operation) in operations_by_method(openapi) {
            let Some(example) = examples.get(&format!("{method} {path}")) else {
                continue;
            };
            let shown = |what: &str| example.get(what).cloned();
            let thing = shown("path").and_then(|path| path.as_str().map(str::to_owned));
            let thing = thing.unwrap_or_else(|| "new".to_owned());
            let things: Vec<&str> = match path.contains("{operator}") && path.contains("{id}") {
                // The example's thing is what the path ends with.
                true => vec!["me", &thing],
                false => thing.split('/').collect(),
            };
            let parameters = operation.parameters.iter_mut().flatten();
            let in_path = parameters.filter(|one| one.parameter_in == ParameterIn::Path);
            for (parameter, thing) in in_path.zip(things) {
                *parameter = ParameterBuilder::from(parameter.clone())
                    .example(Some(thing.into()))
                    .build();
            }
            for (media, content) in operation
                .request_body
                .iter_mut()
                .flat_map(|body| &mut body.content)
            {
                if media.contains("json") {
                    content.example = shown("request");
                }
            }
            for (status, response) in &mut operation.responses.responses {
                if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
                    for content in response.content.values_mut() {
                        content.example = shown("response");
                    }
                }
            }
        }
    }
}

/// The codes of an operation: its own, and those of every operation like it.
fn codes_by_status(
    path: &str,
    operation: &Operation,
    needs_token: bool,
) -> BTreeMap<StatusCode, BTreeSet<String>> {
    let own = operation
        .extensions
        .iter()
        .filter_map(|extensions| extensions.get(ERROR_CODES)?.as_array());
    let own = own
        .flatten()
        .filter_map(|code| code.as_str().map(str::to_owned));
    let mut codes: BTreeSet<String> = own.collect();
    let mut add =
        |code: &[ErrorCode]| codes.extend(code.iter().map(|code| code.as_str().to_owned()));
    if path.starts_with("/api/") {
        add(&[
            ErrorCode::FieldInvalid,
            ErrorCode::UnknownField,
            ErrorCode::TooManyRequests,
            ErrorCode::Unavailable,
            ErrorCode::Internal,
        ]);
    }
    // The tenant that a request names, or does not.
    if path.starts_with("/api/") && !path.starts_with("/api/operator/") {
        add(&[ErrorCode::NotFound]);
    }
    if needs_token {
        add(&[ErrorCode::NotAuthenticated]);
    }
    if operation.request_body.is_some() {
        add(&[ErrorCode::MalformedRequest, ErrorCode::BodyTooLarge]);
        codes.insert(UNSUPPORTED_MEDIA_TYPE.code.to_owned());
    }
    let mut by_status = BTreeMap::<StatusCode, BTreeSet<String>>::new();
    for code in codes {
        if let Some(status) = status_of_code(&code) {
            by_status.entry(status).or_default().insert(code);
        }
    }
    by_status
}

fn status_of_code(code: &str) -> Option<StatusCode> {
    let host = HOST_CODES
        .iter()
        .find(|host| host.code == code)
        .map(|host| host.status);
    host.or_else(|| {
        code.parse::<ErrorCode>()
            .ok()
            .map(|code| status_of(code.kind()))
    })
}

fn problem(status: StatusCode, codes: &BTreeSet<String>) -> Response {
    let named: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
    let code = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(codes.iter().cloned()));
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name("Problem"))
        .item(ObjectBuilder::new().property("code", code));
    let mut response = ResponseBuilder::new()
        .description(named.join(", "))
        .content(PROBLEM_JSON, Content::new(Some(schema)));
    if status == StatusCode::UNAUTHORIZED {
        response = response.header("WWW-Authenticate", HeaderBuilder::new().build());
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        response = response.header("Retry-After", HeaderBuilder::new().build());
    }
    response.build()
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
    use serde_json::Value;

    use super::*;

    fn description() -> Value {
        serde_json::from_str(&openapi_json()).unwrap()
    }

    #[test]
    fn every_named_error_code_exists() {
        for (path, operation) in operations(&mut Description::openapi()) {
            for code in operation
                .extensions
                .iter()
                .filter_map(|all| all.get(ERROR_CODES)?.as_array())
                .flatten()
            {
                assert!(
                    status_of_code(code.as_str().unwrap()).is_some(),
                    "{path}: {code}"
                );
            }
        }
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
        walk(&description(), &description());
    }

    #[test]
    fn operations_have_their_errors_security_and_ids() {
        let description = description();
        assert_eq!(description["openapi"], "3.1.0");
        let book = &description["paths"]["/api/bookings"]["post"];
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
            description["components"]["securitySchemes"]["bearer"]["scheme"],
            "bearer"
        );
        assert!(description["paths"]["/api/auth/login"]["post"]["responses"]["429"].is_object());
        let mut ids = BTreeSet::new();
        for (path, operation) in operations(&mut Description::openapi()) {
            let id = operation.operation_id.clone().unwrap();
            assert!(ids.insert(id.clone()), "{path}: {id} stands there twice");
        }
    }

    #[test]
    fn every_post_says_whether_it_minds_a_key() {
        let description = description();
        let paths = description["paths"].as_object().unwrap();
        let mut keyed = Vec::new();
        for (path, item) in paths {
            for (method, operation) in item.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let mut named = parameters.map(|parameter| &parameter["name"]);
                let minds = named.any(|name| name == "Idempotency-Key");
                let says = operation["description"].as_str().unwrap_or_default();
                let ignores = says.contains("`Idempotency-Key` is not minded");
                assert!(!minds || !ignores, "{method} {path}");
                assert!(method != "post" || minds || ignores, "{method} {path}");
                if minds {
                    keyed.push((method.to_uppercase(), path.clone()));
                    assert!(
                        operation["responses"]["422"]["description"]
                            .as_str()
                            .unwrap()
                            .contains("`idempotency-key-reused`")
                    );
                }
            }
        }
        keyed.sort();
        let mut listed = KEYED.map(|(method, path)| (method.to_owned(), path.to_owned()));
        listed.sort();
        assert_eq!(keyed, listed, "all that are listed are there");
    }

    #[test]
    fn a_prefix_is_its_server_and_foreign_sign_ins_have_no_paths() {
        let mounted: Value = serde_json::from_str(&json(false, "/tickets")).unwrap();
        assert_eq!(mounted["servers"][0]["url"], "/tickets");
        assert!(mounted["paths"].get("/api/auth/login").is_none());
        assert!(mounted["paths"].get("/api/auth/me").is_some());
    }
}
