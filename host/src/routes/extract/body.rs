//! JSON bodies: checked for type, size and repeated fields, with errors that name the field.

use axum::{
    body::Bytes,
    extract::{
        FromRequest, Request,
        rejection::{BytesRejection, FailedToBufferBody},
    },
    http::{HeaderMap, header::CONTENT_TYPE},
};
use boxoffice_engine::{Error, ErrorCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::faults::read_object;
use crate::routes::{host_codes::UNSUPPORTED_MEDIA_TYPE, problem::Problem};

const JSON: &str = "application/json";
const MERGE_PATCH_JSON: &str = "application/merge-patch+json";

/// A JSON object read into `T`.
#[derive(Debug)]
pub(in crate::routes) struct Json<T>(pub(in crate::routes) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_type(request.headers(), &[JSON])?;
        let bytes = bytes_of(request, state).await?;
        Ok(Self(read_object(&bytes)?))
    }
}

/// A JSON object read into `T`, or `None` if the request has neither a body nor a content type.
#[derive(Debug)]
pub(in crate::routes) struct OptionalJson<T>(pub(in crate::routes) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let bytes = bytes_of(request, state).await?;
        if bytes.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            return Ok(Self(T::default()));
        }
        require_type(&headers, &[JSON])?;
        Ok(Self(read_object(&bytes)?))
    }
}

/// A merge patch (RFC 7396): an object that is read after the version was checked; see [`read_value`].
#[derive(Debug)]
pub(in crate::routes) struct MergePatch(pub(in crate::routes) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for MergePatch {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_type(request.headers(), &[MERGE_PATCH_JSON, JSON])?;
        let bytes = bytes_of(request, state).await?;
        Ok(Self(read_object(&bytes)?))
    }
}

/// Refuses a body that is not of one of these media types, which are compared without case and parameters.
///
/// # Errors
/// `unsupported-media-type`, naming the first of them.
pub(in crate::routes) fn require_type(
    headers: &HeaderMap,
    accepted: &[&str],
) -> Result<(), Problem> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let given = values.next().and_then(|value| value.to_str().ok());
    let essence = given
        .and_then(|given| given.split(';').next())
        .map_or("", str::trim);
    if values.next().is_none()
        && accepted
            .iter()
            .any(|accepted| essence.eq_ignore_ascii_case(accepted))
    {
        return Ok(());
    }
    let detail = format!("Send the body with `Content-Type: {}`.", accepted[0]);
    Err(Problem::host(&UNSUPPORTED_MEDIA_TYPE, detail))
}

/// Reads a body whole.
///
/// # Errors
/// `body-too-large` beyond what the host reads, `malformed-request` if it ends early.
pub(in crate::routes) async fn bytes_of<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<Bytes, Error> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                Error::new(
                    ErrorCode::BodyTooLarge,
                    "The body is larger than this host reads.",
                )
            }
            _ => Error::new(ErrorCode::MalformedRequest, "The body ended early."),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_types_are_read() {
        let headers = |values: &[&str]| {
            values
                .iter()
                .map(|value| (CONTENT_TYPE, value.parse().unwrap()))
                .collect::<HeaderMap>()
        };
        assert!(require_type(&headers(&["application/JSON; charset=utf-8"]), &[JSON]).is_ok());
        for bad in [
            &[][..],
            &["text/plain"],
            &["application/jsonx"],
            &[JSON, JSON],
        ] {
            assert!(
                require_type(&headers(bad), &[JSON]).is_err(),
                "{bad:?} must be refused"
            );
        }
        assert!(require_type(&headers(&[MERGE_PATCH_JSON]), &[MERGE_PATCH_JSON, JSON]).is_ok());
    }
}
