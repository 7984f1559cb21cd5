//! Which pages of other origins may call this host from a browser (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol).
//!
//! Called by the URL table. Such pages use a bearer token: credentials are never allowed, so the
//! dashboard's cookies only work for this origin, whatever is configured.

use std::time::Duration;

use axum::http::{
    HeaderName, HeaderValue, Method,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION,
        RETRY_AFTER,
    },
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::response_layers::{IDEMPOTENCY_REPLAYED, RATE_LIMIT, RATE_LIMIT_POLICY, REQUEST_ID};

/// How long a browser caches the answer; browsers limit it to two hours (Chromium) and a day (Firefox).
const PREFLIGHT_LASTS: Duration = Duration::from_secs(3_600);

/// The layer that allows pages of these origins; `None` without origins.
pub(super) fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins.to_vec();
    let is_allowed = move |origin: &HeaderValue, request: &axum::http::request::Parts| {
        is_of_the_interface(request.uri.path()) && origins.contains(origin)
    };
    Some(
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(is_allowed))
            .allow_methods([
                Method::GET,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers([
                ACCEPT,
                AUTHORIZATION,
                CONTENT_TYPE,
                IF_MATCH,
                HeaderName::from_static("idempotency-key"),
                HeaderName::from_static("x-tenant"),
                REQUEST_ID,
            ])
            .expose_headers([
                CONTENT_DISPOSITION,
                ETAG,
                IDEMPOTENCY_REPLAYED,
                LOCATION,
                RATE_LIMIT,
                RATE_LIMIT_POLICY,
                RETRY_AFTER,
                REQUEST_ID,
            ])
            .max_age(PREFLIGHT_LASTS),
    )
}

/// Pages, metrics and the dashboard's session are for this origin only.
fn is_of_the_interface(path: &str) -> bool {
    path.starts_with("/api/") || path == "/openapi.json"
}

/// Returns whether this is an origin as browsers send it: a scheme, a host in lower case, and a port if it is not the scheme's default.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some((scheme @ ("http" | "https"), authority)) = text.split_once("://") else {
        return false;
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_name = !host.is_empty()
        && host.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._[]:".contains(&byte)
        });
    let default = if scheme == "http" { "80" } else { "443" };
    let is_port =
        |port: &str| port != default && !port.starts_with('0') && port.parse::<u16>().is_ok();
    is_name && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_those_that_browsers_send() {
        for good in [
            "https://shop.example",
            "http://localhost:3000",
            "http://127.0.0.1:8081",
            "http://[::1]:5173",
            "http://[::1]",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "null",
            "",
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://Shop.example",
            "https://shop.example:443",
            "http://localhost:",
            "http://localhost:99999",
            "ftp://shop.example",
            "https://a b",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
