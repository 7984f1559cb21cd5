//! Layers around all routes: request ids, problem details, a time limit, and security
//! headers.
//!
//! Wrapped around the URL table by [`router`](super::router()). Spans carry methods, route patterns and request
//! ids; never a path, query, header or body, which may name people.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Response as HttpResponse,
        header::{
            CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use boxoffice_engine::{Error, ErrorCode, Idempotency, in_request};
use rand::Rng as _;
use tracing::Span;

use super::{
    extract::{Prefix, idempotency_key},
    problem::{PROBLEM_JSON, Problem, ProblemDetails},
};
use crate::auth::{RateLimitState, Transport};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The remaining requests, and the limit (draft-ietf-httpapi-ratelimit-headers-11).
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Tells nginx and compatible proxies not to buffer a response.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Marks a replayed response.
pub(super) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest request id that is accepted from a client; UUIDs and trace ids fit.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The id of a request in logs and responses.
#[derive(Debug, Clone)]
pub(super) struct RequestId(Arc<str>);

/// Adds the request id, runs the request, and completes the response. The outermost layer.
pub(super) async fn complete(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let Prefix(prefix) = Prefix::of(request.extensions());
    let path = request.uri().path().to_owned();
    request.extensions_mut().insert(id.clone());

    let mut response = in_request(id.0.clone(), next.run(request)).await;
    if let Some(details) = response.extensions_mut().remove::<ProblemDetails>() {
        *response.body_mut() = details.body(&prefix, &path, &id.0).into();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        // The status alone was an empty body of known length.
        response
            .headers_mut()
            .remove(axum::http::header::CONTENT_LENGTH);
    }
    complete_headers(response.headers_mut(), &id);
    response
}

/// Limits the time of a request.
///
/// An interrupted change may have been committed: only reads end with `unavailable`.
pub(super) async fn within_time(
    State(limit): State<Duration>,
    request: Request,
    next: Next,
) -> Response {
    let reads = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) if reads => Problem::from(Error::new(
            ErrorCode::Unavailable,
            "The request took too long; try again later.",
        ))
        .into_response(),
        Err(_) => Problem::from(Error::new(
            ErrorCode::OutcomeUnknown,
            "The request took too long, and its outcome is unknown. Read the current state, or send it again with the \
            same Idempotency-Key.",
        ))
        .into_response(),
    }
}

/// Reads the Idempotency-Key of a request, and marks replayed responses.
pub(super) async fn idempotency(mut request: Request, next: Next) -> Response {
    let idempotency = match idempotency_key(request.headers()) {
        Ok(key) => key.map(Idempotency::new),
        Err(error) => return Problem::from(error).into_response(),
    };
    let Some(idempotency) = idempotency else {
        return next.run(request).await;
    };
    request.extensions_mut().insert(idempotency.clone());
    let mut response = next.run(request).await;
    if idempotency.is_replayed() && response.status().is_success() {
        let replayed = HeaderValue::from_static("true");
        response
            .headers_mut()
            .insert(IDEMPOTENCY_REPLAYED, replayed);
    }
    response
}

/// The HSTS header of responses over TLS.
#[derive(Clone)]
pub(super) struct InsistingOnTls {
    transport: Transport,
    policy: HeaderValue,
}

impl InsistingOnTls {
    pub(super) fn new(transport: Transport, seconds: u64) -> Self {
        let policy = HeaderValue::from_str(&format!("max-age={seconds}"));
        let policy = policy.expect("a number is a header's value");
        Self { transport, policy }
    }
}

/// Adds the HSTS header to responses over TLS: browsers must ignore it in others (RFC 6797, 8.1).
pub(super) async fn insist_on_tls(
    State(insisting): State<InsistingOnTls>,
    request: Request,
    next: Next,
) -> Response {
    let is_tls = insisting.transport.is_tls(&request);
    let mut response = next.run(request).await;
    if is_tls {
        let headers = response.headers_mut();
        headers.insert(STRICT_TRANSPORT_SECURITY, insisting.policy);
    }
    response
}

/// Adds the rate limit headers, if the request was counted.
pub(super) async fn tell_limits(
    State(policies): State<HeaderValue>,
    mut request: Request,
    next: Next,
) -> Response {
    let standing = Arc::new(RateLimitState::default());
    request.extensions_mut().insert(standing.clone());
    let mut response = next.run(request).await;
    if let Some(standing) = standing.header() {
        response.headers_mut().insert(RATE_LIMIT, standing);
        response.headers_mut().insert(RATE_LIMIT_POLICY, policies);
    }
    response
}

/// The response in place of a handler that panicked. The panic's text went to stderr. It is not repeated here, because it may
/// contain anything.
pub(super) fn panicked(_panic: Box<dyn Any + Send + 'static>) -> HttpResponse<axum::body::Body> {
    Problem::from(Error::internal("a handler panicked")).into_response()
}

/// The span of a request.
pub(super) fn span(request: &Request) -> Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str);
    let id = request
        .extensions()
        .get::<RequestId>()
        .map_or("", |id| &id.0);
    let span = tracing::info_span!(
        "request",
        method = method_text(request.method()),
        route,
        request_id = id
    );
    #[cfg(feature = "otlp")]
    crate::traces::take_in(&span, request.headers());
    span
}

/// Logs the result of a request.
pub(super) fn answered(response: &Response, latency: Duration, _span: &Span) {
    let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(status = response.status().as_u16(), latency_ms, "answered");
}

impl RequestId {
    /// Uses the client's id if it is harmless, and makes one otherwise.
    fn of(headers: &HeaderMap) -> Self {
        let sane = |id: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(plain)
        };
        let mut values = headers.get_all(REQUEST_ID).iter();
        match (
            values.next().and_then(|value| value.to_str().ok()),
            values.next(),
        ) {
            (Some(id), None) if sane(id) => Self(id.into()),
            _ => Self(format!("{:032x}", rand::rng().random::<u128>()).into()),
        }
    }
}

fn complete_headers(headers: &mut HeaderMap, id: &RequestId) {
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Pages have a policy for what they load; JSON loads nothing.
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    if headers.get(CONTENT_TYPE).is_some_and(is_live) {
        // A proxy must not buffer, compress or cache a live stream.
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache, no-store, no-transform"),
        );
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        // The connection ends with the stream.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

fn is_live(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"text/event-stream")
}

/// The method, if it is a standard one: others are arbitrary text of the client.
fn method_text(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    if known.contains(method) {
        method.as_str()
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::StatusCode, middleware, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    fn app() -> Router {
        let inner = Router::new()
            .route(
                "/slow",
                get(async || std::future::pending::<()>().await).post(async || {
                    std::future::pending::<()>().await;
                }),
            )
            .route("/panics", get(async || -> () { panic!("boom") }))
            .fallback(async || Problem::from(Error::not_found("page", "x")))
            .layer(middleware::from_fn_with_state(
                Duration::from_millis(20),
                within_time,
            ))
            .layer(tower_http::catch_panic::CatchPanicLayer::custom(panicked))
            .layer(middleware::from_fn(complete));
        Router::new().nest("/tickets", inner)
    }

    async fn ask(method: &str, path: &str, id: &str) -> (StatusCode, HeaderMap, serde_json::Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-request-id", id);
        let response = app()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        (
            parts.status,
            parts.headers,
            serde_json::from_slice(&body).unwrap(),
        )
    }

    #[tokio::test]
    async fn problems_know_the_request_also_below_a_prefix() {
        let (status, headers, body) = ask("GET", "/tickets/nowhere", "my-id.1").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(headers["content-type"], PROBLEM_JSON);
        assert_eq!(headers["x-request-id"], "my-id.1");
        assert_eq!(body["instance"], "/tickets/nowhere");
        assert_eq!(body["type"], "/tickets/errors/not-found");
        assert_eq!(body["requestId"], "my-id.1");
    }

    #[tokio::test]
    async fn strange_request_ids_are_replaced() {
        let (_, headers, body) = ask("GET", "/tickets/nowhere", "a b").await;
        assert_eq!(headers["x-request-id"].len(), 32);
        assert_eq!(body["requestId"], headers["x-request-id"].to_str().unwrap());
    }

    #[tokio::test]
    async fn slow_and_panicking_handlers_are_answered_for() {
        let (status, _, body) = ask("GET", "/tickets/slow", "a").await;
        assert_eq!(
            (status, body["code"].as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, Some("unavailable"))
        );
        let (status, _, body) = ask("POST", "/tickets/slow", "a").await;
        assert_eq!(
            (status, body["code"].as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, Some("outcome-unknown"))
        );
        let (status, _, body) = ask("GET", "/tickets/panics", "a").await;
        assert_eq!(
            (status, body["code"].as_str()),
            (StatusCode::INTERNAL_SERVER_ERROR, Some("internal"))
        );
        assert!(!body.to_string().contains("boom"));
    }
}
