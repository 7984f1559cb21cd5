//! The two layers around all routes: [`complete`] is outside of CORS, [`guard`] inside.
//!
//! Wrapped around the URL table by [`router`](super::router()). Spans carry methods, route patterns and request
//! ids; never a path, query, header or body, which may name people.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
            REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use boxoffice_engine::{Error, ErrorCode, Idempotency, in_request};
use futures::FutureExt as _;
use rand::Rng as _;
use tracing::Instrument as _;

use super::{
    extract::{Prefix, idempotency_key},
    html::FILE_POLICY,
    incoming,
    problem::{PROBLEM_JSON, Problem, ProblemDetails},
};
use crate::{
    auth::{RateLimitState, Transport},
    metrics::Metrics,
};

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
/// A request that took longer is logged. Usual ones take milliseconds.
const SLOW: Duration = Duration::from_secs(1);

/// The id of a request in logs and responses.
#[derive(Debug, Clone)]
pub(super) struct RequestId(Arc<str>);

/// What [`complete`] needs to know of the installation.
pub(super) struct Completion {
    pub(super) metrics: Arc<Metrics>,
    /// The text of the limits, if requests are counted.
    pub(super) limits: Option<HeaderValue>,
    /// The HSTS header of responses over TLS.
    pub(super) hsts: Option<(Transport, HeaderValue)>,
}

impl Completion {
    /// `hsts_seconds`: how long browsers shall use TLS only; 0 for no header.
    pub(super) fn new(
        metrics: Arc<Metrics>,
        limits: Option<HeaderValue>,
        transport: Transport,
        hsts_seconds: u64,
    ) -> Arc<Self> {
        let policy = HeaderValue::from_str(&format!("max-age={hsts_seconds}"));
        let policy = policy.expect("a number is a header's value");
        Arc::new(Self {
            metrics,
            limits,
            hsts: (hsts_seconds > 0).then_some((transport, policy)),
        })
    }
}

/// Runs a request in its span and under its id, counts and logs it, and completes the response: problem details and the
/// headers that every response has. The outer layer.
pub(super) async fn complete(
    State(completion): State<Arc<Completion>>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let id = RequestId::of(request.headers());
    let Prefix(prefix) = Prefix::of(request.extensions());
    let uri = request.uri().clone();
    let method = method_text(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let hsts = completion.hsts.as_ref();
    let hsts = hsts.filter(|(transport, _)| transport.is_tls(&request));
    let counted = completion.limits.as_ref().map(|policies| {
        let state = Arc::new(RateLimitState::default());
        request.extensions_mut().insert(state.clone());
        (state, policies)
    });
    let span = tracing::info_span!("request", method, route, request_id = &*id.0);
    #[cfg(feature = "otlp")]
    crate::traces::take_in(&span, request.headers());

    let served = in_request(id.0.clone(), next.run(request));
    let mut response = served.instrument(span.clone()).await;
    if let Some(details) = response.extensions_mut().remove::<ProblemDetails>() {
        *response.body_mut() = details.body(&prefix, uri.path(), &id.0).into();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        // The status alone was an empty body of known length.
        headers.remove(CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    if let Some((state, policies)) = counted
        && let Some(state) = state.header()
    {
        headers.insert(RATE_LIMIT, state);
        headers.insert(RATE_LIMIT_POLICY, policies.clone());
    }
    // Browsers must ignore it in responses without TLS (RFC 6797, 8.1).
    if let Some((_, policy)) = hsts {
        headers.insert(STRICT_TRANSPORT_SECURITY, policy.clone());
    }
    complete_headers(headers, &id);
    let (status, took) = (response.status(), begun.elapsed());
    completion
        .metrics
        .answered(method, route, status.as_u16(), took);
    span.in_scope(|| log(status, took));
    response
}

/// Checks a request, runs it within a time, and answers for a handler that panicked. Marks replayed responses. The inner layer:
/// its refusals get the headers of CORS, too.
///
/// An interrupted change may have been committed: only reads end with `unavailable`.
pub(super) async fn guard(
    State(limit): State<Duration>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(refusal) = incoming::refusal(&request) {
        return refusal;
    }
    let idempotency = match idempotency_key(request.headers()) {
        Ok(key) => key.map(Idempotency::new),
        Err(error) => return Problem::from(error).into_response(),
    };
    if let Some(idempotency) = &idempotency {
        request.extensions_mut().insert(idempotency.clone());
    }
    let is_read = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let served = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = match tokio::time::timeout(limit, served).await {
        Ok(Ok(response)) => response,
        // The panic's text went to stderr. It is not repeated here, because it may contain anything.
        Ok(Err(_panic)) => Problem::from(Error::internal("a handler panicked")).into_response(),
        Err(_) => Problem::from(too_slow(is_read)).into_response(),
    };
    if idempotency.is_some_and(|idempotency| idempotency.is_replayed())
        && response.status().is_success()
    {
        let replayed = HeaderValue::from_static("true");
        response
            .headers_mut()
            .insert(IDEMPOTENCY_REPLAYED, replayed);
    }
    response
}

fn too_slow(is_read: bool) -> Error {
    match is_read {
        true => Error::new(
            ErrorCode::Unavailable,
            "The request took too long; try again later.",
        ),
        false => Error::new(
            ErrorCode::OutcomeUnknown,
            "The request took too long, and its outcome is unknown. Read the current state, or send it again with the \
            same Idempotency-Key.",
        ),
    }
}

/// Logs a request that failed, was refused or was slow. Others are counted by the metrics; a line for each would cost more than
/// many of them.
fn log(status: StatusCode, took: Duration) {
    let latency_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let status_code = status.as_u16();
    if status.is_server_error() {
        tracing::warn!(status = status_code, latency_ms, "answered");
    } else if status.is_client_error() || took >= SLOW {
        tracing::info!(status = status_code, latency_ms, "answered");
    } else {
        tracing::debug!(status = status_code, latency_ms, "answered");
    }
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
        .or_insert(HeaderValue::from_static(FILE_POLICY));
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
fn method_text(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let mut known = KNOWN.into_iter();
    known
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    fn app() -> Router {
        let completion = Arc::new(Completion {
            metrics: Metrics::new(),
            limits: None,
            hsts: None,
        });
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
                guard,
            ))
            .layer(middleware::from_fn_with_state(completion, complete));
        Router::new().nest("/tickets", inner)
    }

    async fn ask(method: &str, path: &str, id: &str) -> (StatusCode, HeaderMap, serde_json::Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "boxoffice.test")
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
