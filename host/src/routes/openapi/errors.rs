//! The error responses: each operation's own error codes, and those that every operation of its kind has.

use boxoffice_engine::ErrorCode;
use utoipa::{
    Modify,
    openapi::{Required, path::Operation},
};

use super::operations_by_method;
use crate::routes::{
    host_codes::{UNSUPPORTED_MEDIA_TYPE, UPLOAD_TOO_SLOW},
    refusals::{answers, own_codes},
};

/// What every operation of the API may be refused with.
const EVERYWHERE: [ErrorCode; 6] = [
    ErrorCode::MalformedRequest,
    ErrorCode::FieldInvalid,
    ErrorCode::UnknownField,
    ErrorCode::TooManyRequests,
    ErrorCode::Unavailable,
    ErrorCode::Internal,
];

/// Adds the codes that follow from an operation's method, path and parameters.
pub(super) struct Errors;

impl Modify for Errors {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let anonymous_first: Vec<_> = openapi.security.clone().unwrap_or_default();
        for (method, path, operation) in operations_by_method(openapi) {
            let security = operation.security.as_ref().unwrap_or(&anonymous_first);
            let mut codes = own_codes(operation);
            if security
                .iter()
                .any(|one| serde_json::to_value(one).is_ok_and(|one| one.get("bearer").is_some()))
            {
                codes.insert(ErrorCode::NotAuthenticated.as_str().to_owned());
            }
            if path.starts_with("/api/") {
                let implied = [&EVERYWHERE[..], &implied_by(method, path)].concat();
                codes.extend(implied.iter().map(|code| code.as_str().to_owned()));
            }
            codes.extend(sent_with(operation).into_iter().map(str::to_owned));
            operation.responses.responses.extend(answers(codes));
        }
    }
}

/// The codes that follow from a method and a path.
fn implied_by(method: &str, path: &str) -> Vec<ErrorCode> {
    let mut codes = Vec::new();
    // The tenant of the request.
    if !path.starts_with("/api/operator/") || path.contains('{') {
        codes.push(ErrorCode::NotFound);
    }
    // A change that took too long may have happened.
    if method != "GET" {
        codes.push(ErrorCode::OutcomeUnknown);
    }
    codes
}

/// The codes of what a request carries: a precondition, a body.
fn sent_with(operation: &Operation) -> Vec<&'static str> {
    let mut codes = Vec::new();
    let mut parameters = operation.parameters.iter().flatten();
    if let Some(precondition) = parameters.find(|one| one.name == "If-Match") {
        codes.push(ErrorCode::VersionMismatch.as_str());
        if precondition.required == Required::True {
            codes.push(ErrorCode::PreconditionRequired.as_str());
        }
    }
    if let Some(body) = &operation.request_body {
        codes.push(ErrorCode::BodyTooLarge.as_str());
        codes.push(UNSUPPORTED_MEDIA_TYPE.code);
        // A plugin is read as it comes, and its speed is bounded.
        if body.content.contains_key("application/wasm") {
            codes.push(UPLOAD_TOO_SLOW.code);
        }
    }
    codes
}
