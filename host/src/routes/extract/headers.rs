//! Conditional headers (RFC 9110, 13.1) over versions, and the Idempotency-Key.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header::IF_MATCH, request::Parts},
};
use boxoffice_engine::{Error, ErrorCode, Fact, IdempotencyKey, Result};

use crate::routes::problem::Problem;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Entity tags that one `If-Match` may name. A client has seen one or a few.
const TAGS_MAX: usize = 32;

/// The versions that an `If-Match` names (RFC 9110, 13.1.1).
#[derive(Debug, PartialEq, Eq)]
pub(in crate::routes) enum Versions {
    /// `*`: any version.
    Any,
    /// The tags that can be versions. Others match nothing.
    OneOf {
        versions: Vec<u64>,
        /// Whether there was a weak tag, which never matches: `If-Match` compares strongly.
        has_weak: bool,
    },
}

impl Versions {
    /// The version to change, if the client has seen the current one.
    ///
    /// # Errors
    /// `version-mismatch`.
    pub(in crate::routes) fn judge(&self, current: u64) -> Result<u64> {
        let (versions, has_weak) = match self {
            Self::Any => return Ok(current),
            Self::OneOf { versions, has_weak } => (versions, has_weak),
        };
        if versions.contains(&current) {
            return Ok(current);
        }
        let detail = match (&versions[..], has_weak) {
            ([version], _) => {
                format!("The version is {current} now; the change was made for version {version}.")
            }
            ([], true) => format!(
                "If-Match has a weak ETag (W/\"…\"), which matches no version. A proxy has changed the ETag, often \
                one that compresses. The version is {current} now: send If-Match: \"{current}\"."
            ),
            _ => format!("The version is {current} now, and If-Match names others."),
        };
        Err(Error::new(ErrorCode::VersionMismatch, detail).with(Fact::Version(current)))
    }

    /// Converts the engine's error for a version from [`judge`](Self::judge). A client that accepts any version does not get
    /// `version-mismatch`.
    pub(in crate::routes) fn refused(&self, refusal: Error) -> Error {
        if *self == Self::Any && refusal.code() == ErrorCode::VersionMismatch {
            return Error::new(
                ErrorCode::ConflictTryAgain,
                "Somebody changed it at the same time; send the request again.",
            );
        }
        refusal
    }
}

/// The versions in `If-Match`, which is required.
#[derive(Debug)]
pub(in crate::routes) struct SeenVersions(pub(in crate::routes) Versions);

impl<S: Send + Sync> FromRequestParts<S> for SeenVersions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let versions = if_match(&parts.headers)?.ok_or_else(|| {
            Error::new(
                ErrorCode::PreconditionRequired,
                "Send the ETag of the version that you saw as If-Match, so that nobody's change is lost.",
            )
        })?;
        Ok(Self(versions))
    }
}

/// The versions in `If-Match`, if it is sent.
#[derive(Debug)]
pub(in crate::routes) struct OptionalVersions(pub(in crate::routes) Option<Versions>);

impl<S: Send + Sync> FromRequestParts<S> for OptionalVersions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self(if_match(&parts.headers)?))
    }
}

fn if_match(headers: &HeaderMap) -> Result<Option<Versions>> {
    let mut lines = headers.get_all(IF_MATCH).iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let rule = || {
        Error::new(
            ErrorCode::MalformedRequest,
            "If-Match is `*` or a list of ETags in double quotes: If-Match: \"3\".",
        )
        .at_field("If-Match")
    };
    // Several lines are one list (RFC 9110, 5.3).
    let lines: Option<Vec<&str>> = lines.map(|line| line.to_str().ok()).collect();
    let list = lines.ok_or_else(rule)?.join(",");
    if list.trim() == "*" {
        return Ok(Some(Versions::Any));
    }
    let tags = entity_tags(&list).ok_or_else(rule)?;
    let has_weak = tags.iter().any(|(is_weak, _)| *is_weak);
    let versions = tags.into_iter().filter(|(is_weak, _)| !is_weak);
    // Only digits, and no leading zero: `+3` and `03` would parse too, but are not valid ETags of this API.
    let versions = versions.filter_map(|(_, tag)| {
        let version: u64 = tag.parse().ok()?;
        (version.to_string() == tag).then_some(version)
    });
    Ok(Some(Versions::OneOf {
        versions: versions.collect(),
        has_weak,
    }))
}

/// The entity tags of a list (RFC 9110, 8.8.3 and 5.6.1), each with whether it is weak; `None` if it is not a list.
fn entity_tags(list: &str) -> Option<Vec<(bool, &str)>> {
    let mut tags = Vec::new();
    let mut rest = list;
    loop {
        // Empty elements are allowed and ignored.
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(tags);
        }
        let (is_weak, opaque) = match rest.strip_prefix("W/") {
            Some(opaque) => (true, opaque),
            None => (false, rest),
        };
        let (tag, behind) = opaque.strip_prefix('"')?.split_once('"')?;
        let is_tag = tag
            .bytes()
            .all(|byte| byte == 0x21 || byte >= 0x23 && byte != 0x7f);
        rest = behind.trim_start_matches([' ', '\t']);
        if !is_tag || tags.len() == TAGS_MAX || !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        tags.push((is_weak, tag));
    }
}

/// The Idempotency-Key, if one is sent.
///
/// # Errors
/// `field-invalid` for an invalid key, and for two.
pub(in crate::routes) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::field("Idempotency-Key", "Send one key."));
    }
    // Invalid text becomes empty, which is no valid key either.
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

    fn read(lines: &[&str]) -> Result<Option<Versions>> {
        if_match(&with(IF_MATCH, lines))
    }

    fn one_of(versions: &[u64], has_weak: bool) -> Versions {
        Versions::OneOf {
            versions: versions.to_vec(),
            has_weak,
        }
    }

    #[test]
    fn if_match_is_a_star_or_a_list_of_tags() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[" * "]).unwrap(), Some(Versions::Any));
        for (lines, versions, has_weak) in [
            (&[" \"12\""][..], &[12][..], false),
            (&["\"1\", \"2\""], &[1, 2], false),
            (&["\"1\"", "\"2\""], &[1, 2], false),
            (&[",\"1\" ,, \"2\","], &[1, 2], false),
            (&["W/\"12\""], &[], true),
            (&["W/\"12\",\"12\""], &[12], true),
            (&["\"a,b\", \"\", \"+1\", \"-1\", \"01\""], &[], false),
            (&["\"99999999999999999999\""], &[], false),
        ] {
            let read = read(lines).unwrap().unwrap();
            assert_eq!(read, one_of(versions, has_weak), "{lines:?}");
        }
        for bad in [
            "",
            ",",
            "12",
            "\"",
            "\"1",
            "\"1\" \"2\"",
            "*, \"1\"",
            "w/\"1\"",
            "\"a b\"",
        ] {
            let error = read(&[bad]).unwrap_err();
            assert_eq!(
                (error.code(), error.field_name()),
                (ErrorCode::MalformedRequest, Some("If-Match")),
                "{bad}"
            );
        }
        let many = "\"1\",".repeat(TAGS_MAX + 1);
        assert!(read(&[&many]).is_err());
    }

    #[test]
    fn only_the_present_version_matches() {
        assert_eq!(Versions::Any.judge(3).unwrap(), 3);
        assert_eq!(one_of(&[2, 3], true).judge(3).unwrap(), 3);
        for (versions, says) in [
            (one_of(&[2], false), "for version 2"),
            (one_of(&[], true), "If-Match: \"3\""),
            (one_of(&[1, 2], true), "names others"),
            (one_of(&[], false), "names others"),
        ] {
            let error = versions.judge(3).unwrap_err();
            assert_eq!(error.code(), ErrorCode::VersionMismatch);
            assert!(error.detail().contains(says), "{error}");
        }
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
