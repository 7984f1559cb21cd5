//! The error responses: each operation's own error codes, and those that every operation of its kind has.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use boxoffice_engine::ErrorCode;
use serde_json::json;
use utoipa::{
    Modify,
    openapi::{
        Content, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder,
        extensions::ExtensionsBuilder, path::Operation,
    },
};

use super::operations;
use crate::routes::controllers::problem::{
    HOST_CODES, PROBLEM_JSON, UNSUPPORTED_MEDIA_TYPE, status_of,
};

/// The extension in which controllers name an operation's own codes.
pub(super) const ERROR_CODES: &str = "x-error-codes";

/// Adds an error code to those that an operation names.
pub(super) fn add_code(operation: &mut Operation, code: ErrorCode) {
    let codes = operation
        .extensions
        .as_mut()
        .and_then(|extensions| extensions.get_mut(ERROR_CODES)?.as_array_mut());
    if let Some(codes) = codes {
        codes.push(code.as_str().into());
    }
}

/// Turns error codes into responses.
pub(super) struct Errors;

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

/// The codes of an operation: its own, and those of its kind.
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
    // The tenant of the request.
    if path.starts_with("/api/") && !path.starts_with("/api/operator/") {
        add(&[ErrorCode::NotFound]);
    }
    if needs_token {
        add(&[ErrorCode::NotAuthenticated]);
    }
    // A header that is not a list of ETags.
    let has_precondition =
        (operation.parameters.iter().flatten()).any(|one| one.name == "If-Match");
    if has_precondition {
        add(&[ErrorCode::MalformedRequest]);
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

pub(super) fn status_of_code(code: &str) -> Option<StatusCode> {
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

/// The response of one status: always a `Problem`, with its codes in the description and in `x-error-codes`. One schema for
/// all keeps generated clients small.
fn problem(status: StatusCode, codes: &BTreeSet<String>) -> Response {
    let named: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
    let listed = ExtensionsBuilder::new().add(ERROR_CODES, json!(codes));
    let schema = Ref::from_schema_name("Problem");
    let mut response = ResponseBuilder::new()
        .description(named.join(", "))
        .content(PROBLEM_JSON, Content::new(Some(schema)))
        .extensions(Some(listed.build()));
    if status == StatusCode::UNAUTHORIZED {
        response = response.header("WWW-Authenticate", HeaderBuilder::new().build());
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        response = response.header("Retry-After", HeaderBuilder::new().build());
    }
    response.build()
}
