//! The single mapping of errors to HTTP: from kinds to statuses, and RFC 9457 problem details.
//!
//! Made by controllers and extractors. `routes::response_layers` writes the body, because it knows the request.

use std::{borrow::Cow, error::Error as _, fmt::Write as _};

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use boxoffice_engine::{Error, ErrorCode, ErrorKind, Fact};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{choices, host_codes::HostCode};

/// The media type of problem details.
pub(in crate::routes) const PROBLEM_JSON: &str = "application/problem+json";
/// Most causes of an error that are logged, in case of a cycle.
const CAUSES_MAX: usize = 16;

/// The status of an error's kind.
pub(in crate::routes) fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Malformed => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        ErrorKind::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// An error for the client.
#[derive(Debug)]
pub(in crate::routes) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    details: ProblemDetails,
    // The context for the log; never sent to the client.
    error: Option<Error>,
}

/// The problem without `type`, `instance` and `requestId`, which need the request.
/// Passed in the response's extensions to `routes::response_layers`.
#[derive(Debug, Clone)]
pub(in crate::routes) struct ProblemDetails {
    status: u16,
    code: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    field: Option<String>,
    retry_after_seconds: Option<u64>,
    policy_code: Option<String>,
    facts: Vec<Fact>,
    faults: Vec<(String, &'static str, String)>,
}

/// One fault of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct FaultResponse<'a> {
    /// The invalid field, as a path.
    field: &'a str,
    /// The stable code of this fault.
    #[schema(value_type = choices::ErrorCode)]
    code: &'a str,
    /// What is allowed.
    detail: &'a str,
}

/// Problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(in crate::routes) struct ProblemResponse<'a> {
    /// The path of the page about this code.
    #[schema(example = "/errors/not-found")]
    r#type: String,
    /// A short title, the same for every occurrence.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong and what to do.
    detail: &'a str,
    /// The path of the request.
    instance: String,
    /// The stable code; programs may match on it.
    #[schema(value_type = choices::ErrorCode)]
    code: &'a str,
    /// The invalid field, query parameter or header, as a path: `ticketTypes[0].capacity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The time after which a retry makes sense; the same as the Retry-After header.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    /// The code of the policy that rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_code: Option<&'a str>,
    /// All faults in the fields of the request, as far as it could be parsed; the first is the one above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FaultResponse<'a>>,
    /// The number of tickets that are left of the requested type.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u32>,
    /// When sales begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    opens_at: Option<Timestamp>,
    /// When sales ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    /// The current total, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_minor: Option<u64>,
    /// The caller's hold that prevents it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_id: Option<&'a str>,
    /// The current version, in the form of its ETag.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// Where a reader of changes can go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_cursor: Option<&'a str>,
    /// The request's id in the logs; the same as the X-Request-Id header.
    request_id: &'a str,
}

impl ProblemDetails {
    /// Writes the body for a request to `path` below `prefix`.
    pub(in crate::routes) fn body(&self, prefix: &str, path: &str, request_id: &str) -> Vec<u8> {
        let faults = self.faults.iter();
        let mut body = ProblemResponse {
            r#type: format!("{prefix}/errors/{}", self.code),
            title: self.title,
            status: self.status,
            detail: &self.detail,
            instance: format!("{prefix}{path}"),
            code: self.code,
            field: self.field.as_deref(),
            retry_after_seconds: self.retry_after_seconds,
            policy_code: self.policy_code.as_deref(),
            errors: faults
                .map(|(field, code, detail)| FaultResponse {
                    field,
                    code,
                    detail,
                })
                .collect(),
            left: None,
            opens_at: None,
            closed_at: None,
            total_minor: None,
            hold_id: None,
            version: None,
            oldest_cursor: None,
            request_id,
        };
        for fact in &self.facts {
            match fact {
                Fact::Left(left) => body.left = Some(*left),
                Fact::OpensAt(at) => body.opens_at = Some(*at),
                Fact::ClosedAt(at) => body.closed_at = Some(*at),
                Fact::TotalMinor(total) => body.total_minor = Some(*total),
                Fact::HoldId(hold) => body.hold_id = Some(hold),
                Fact::Version(version) => body.version = Some(*version),
                Fact::OldestCursor(cursor) => body.oldest_cursor = Some(cursor),
            }
        }
        serde_json::to_vec(&body).expect("texts and numbers always make JSON")
    }
}

impl Problem {
    /// Makes a problem of a code that only HTTP has.
    pub(in crate::routes) fn host(
        code: &'static HostCode,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let details = ProblemDetails {
            status: code.status.as_u16(),
            code: code.code,
            title: code.title,
            detail: detail.into(),
            field: None,
            retry_after_seconds: None,
            policy_code: None,
            facts: Vec::new(),
            faults: Vec::new(),
        };
        Self(Box::new(Parts {
            status: code.status,
            details,
            error: None,
        }))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = status_of(error.kind());
        let details = ProblemDetails {
            status: status.as_u16(),
            code: error.code().as_str(),
            title: error.code().title(),
            detail: error.detail().to_owned().into(),
            field: error.field_name().map(str::to_owned),
            // Rounded up, so that a client that waits this long is not early.
            retry_after_seconds: error
                .retry_after_hint()
                .map(|wait| wait.as_millis().div_ceil(1000) as u64),
            policy_code: error.policy_code_text().map(str::to_owned),
            facts: error.facts().to_vec(),
            faults: faults(&error),
        };
        Self(Box::new(Parts {
            status,
            details,
            error: Some(error),
        }))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts {
            status,
            details,
            error,
        } = *self.0;
        if let Some(error) = &error {
            log(error);
        }
        let mut response = status.into_response();
        if let Some(seconds) = details.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        // The rest of the body is not read, so the connection ends; clients must not reuse it.
        let leaves_body = [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT];
        if leaves_body.contains(&status) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(details);
        response
    }
}

/// The faults of a request's fields, if it could be parsed but breaks rules.
fn faults(error: &Error) -> Vec<(String, &'static str, String)> {
    if error.kind() != ErrorKind::Invalid {
        return Vec::new();
    }
    let all = std::iter::once(error).chain(error.others());
    all.filter_map(|error| {
        let field = error.field_name()?.to_owned();
        Some((field, error.code().as_str(), error.detail().to_owned()))
    })
    .collect()
}

/// Logs the context that the client must not see, once, here where the error is handled. Refusals are not logged.
fn log(error: &Error) {
    let code = error.code().as_str();
    match error.kind() {
        ErrorKind::Internal => tracing::error!(code, causes = causes(error), "a request failed"),
        ErrorKind::Unavailable
            if error.source().is_some() || error.code() == ErrorCode::OutcomeUnknown =>
        {
            tracing::warn!(code, causes = causes(error), "serving a request failed");
        }
        _ => {}
    }
}

fn causes(error: &Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(cause) = next else { break };
        let separator = if text.is_empty() { "" } else { ": " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_problem_carries_what_the_error_says_and_hides_its_cause() {
        let error = Error::new(ErrorCode::EventBusy, "Come back.")
            .at_field("x")
            .retry_after(Duration::from_millis(1200))
            .caused_by("secret");
        let response = Problem::from(error).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        let details = response.extensions().get::<ProblemDetails>().unwrap();
        let body = String::from_utf8(details.body("/tickets", "/api/bookings", "r1")).unwrap();
        assert_eq!(
            body,
            concat!(
                r#"{"type":"/tickets/errors/event-busy","title":"Too many people are booking this event right now","#,
                r#""status":503,"detail":"Come back.","instance":"/tickets/api/bookings","code":"event-busy","#,
                r#""field":"x","retryAfterSeconds":2,"requestId":"r1"}"#
            )
        );
    }

    #[test]
    fn causes_are_walked_to_their_end() {
        let inner = Error::new(ErrorCode::Unavailable, "inner").caused_by("the disk");
        assert_eq!(
            causes(&Error::internal(inner)),
            "unavailable: inner: the disk"
        );
    }

    #[test]
    fn every_401_asks_for_a_bearer_token() {
        let response =
            Problem::from(Error::new(ErrorCode::WrongCredentials, "No.")).into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    }
}
