//! Conditional headers (RFC 9110, 13.1) over event versions, and the Idempotency-Key.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header::IF_MATCH, request::Parts},
};
use boxoffice_engine::{Error, ErrorCode, IdempotencyKey, Result};

use crate::routes::controllers::problem::Problem;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The version that `If-Match` names.
#[derive(Debug)]
pub(in crate::routes) struct ExpectedVersion(pub(in crate::routes) u64);

impl<S: Send + Sync> FromRequestParts<S> for ExpectedVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let version = if_match(&parts.headers)?.ok_or_else(|| {
            Error::new(
                ErrorCode::PreconditionRequired,
                "Send the ETag of the event you saw as If-Match, so that nobody's change is lost.",
            )
        })?;
        Ok(Self(version))
    }
}

/// The version that `If-Match` names, if it is sent.
#[derive(Debug)]
pub(in crate::routes) struct OptionalVersion(pub(in crate::routes) Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for OptionalVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self(if_match(&parts.headers)?))
    }
}

/// The Idempotency-Key, if one is sent.
#[derive(Debug)]
pub(in crate::routes) struct IdempotencyKeyHeader(pub(in crate::routes) Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKeyHeader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self(idempotency_key(&parts.headers)?))
    }
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let rule = || {
        Error::field(
            "If-Match",
            "Name the one version you saw, as its ETag: \"3\".",
        )
    };
    let inner = value
        .to_str()
        .ok()
        .map(str::trim)
        .and_then(|text| text.strip_prefix('"')?.strip_suffix('"'))
        .filter(|inner| values.next().is_none() && !inner.contains('"'))
        .ok_or_else(rule)?;
    // `+3` would parse too, and is no version that we ever gave out.
    if inner.is_empty() || !inner.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(rule());
    }
    inner.parse().map(Some).map_err(|_| rule())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::field("Idempotency-Key", "Send one key."));
    }
    // What is not text becomes empty, which is no key either.
    IdempotencyKey::parse(value.to_str().unwrap_or_default()).map(Some)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: HeaderName, values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| {
                (
                    name.clone(),
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn if_match_names_exactly_one_version() {
        assert_eq!(if_match(&with(IF_MATCH, &[])).unwrap(), None);
        assert_eq!(if_match(&with(IF_MATCH, &[" \"12\""])).unwrap(), Some(12));
        for bad in [
            "*",
            "12",
            "W/\"12\"",
            "\"1\", \"2\"",
            "\"a\"",
            "\"\"",
            "\"",
            "\"+1\"",
            "\"-1\"",
            "",
            "\"99999999999999999999\"",
        ] {
            let error = if_match(&with(IF_MATCH, &[bad])).unwrap_err();
            assert_eq!(
                (error.code(), error.field_name()),
                (ErrorCode::FieldInvalid, Some("If-Match")),
                "{bad}"
            );
        }
        assert!(if_match(&with(IF_MATCH, &["\"1\"", "\"1\""])).is_err());
    }

    #[test]
    fn keys_are_visible_ascii_and_sent_once() {
        assert!(
            idempotency_key(&with(IDEMPOTENCY_KEY, &[]))
                .unwrap()
                .is_none()
        );
        assert_eq!(
            idempotency_key(&with(IDEMPOTENCY_KEY, &["a-1"]))
                .unwrap()
                .unwrap()
                .as_str(),
            "a-1"
        );
        let long = "x".repeat(256);
        for bad in [&["é"][..], &[""], &["a b"], &[&long], &["a", "a"]] {
            let error = idempotency_key(&with(IDEMPOTENCY_KEY, bad)).unwrap_err();
            assert_eq!(error.field_name(), Some("Idempotency-Key"), "{bad:?}");
        }
    }
}
