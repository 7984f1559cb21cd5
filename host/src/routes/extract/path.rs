//! Ids in paths, and the router's prefix.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, NestedPath, RawPathParams},
    http::{Extensions, request::Parts},
};
use boxoffice_engine::{EmailAddress, Error, ErrorCode, SessionId};

use crate::routes::problem::Problem;

/// An id in the path. An invalid one is `not-found`.
#[derive(Debug)]
pub(in crate::routes) struct Id<T>(pub(in crate::routes) T);

impl<S: Send + Sync, T: FromStr<Err = Error>> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match last_param(parts, state).await?.parse() {
            Ok(id) => Ok(Self(id)),
            Err(error) if error.code() == ErrorCode::NotFound => Err(error.into()),
            // An invalid name belongs to nothing.
            Err(_) => Err(nothing().into()),
        }
    }
}

/// A name in the path for a resource that the request creates. An invalid one is refused with the rule.
#[derive(Debug)]
pub(in crate::routes) struct NewId<T>(pub(in crate::routes) T);

impl<S: Send + Sync, T: FromStr<Err = Error>> FromRequestParts<S> for NewId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(last_param(parts, state).await?.parse()?))
    }
}

/// An operator in the path: an address, or `me` for the caller (`None`).
#[derive(Debug)]
pub(in crate::routes) struct NamedOperator(pub(in crate::routes) Option<EmailAddress>);

impl<S: Send + Sync> FromRequestParts<S> for NamedOperator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let [text] = last_parts(parts, state).await?;
        Ok(Self(operator(&text)?))
    }
}

/// A session of an operator, both from the path.
#[derive(Debug)]
pub(in crate::routes) struct NamedOperatorSession(
    pub(in crate::routes) Option<EmailAddress>,
    pub(in crate::routes) SessionId,
);

impl<S: Send + Sync> FromRequestParts<S> for NamedOperatorSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let [whose, session] = last_parts(parts, state).await?;
        let session = session.parse().map_err(|_| nothing())?;
        Ok(Self(operator(&whose)?, session))
    }
}

/// The last parameter of a path.
async fn last_param<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    let [last] = last_parts(parts, state).await?;
    Ok(last)
}

/// The last parameters of a path: the router's prefix may have parameters, too.
async fn last_parts<S: Send + Sync, const N: usize>(
    parts: &mut Parts,
    state: &S,
) -> Result<[String; N], Problem> {
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| nothing())?;
    let all: Vec<&str> = params.iter().map(|(_, text)| text).collect();
    let last = all.last_chunk::<N>().ok_or_else(nothing)?;
    Ok(last.map(str::to_owned))
}

fn operator(text: &str) -> Result<Option<EmailAddress>, Problem> {
    if text == "me" {
        return Ok(None);
    }
    // An invalid address belongs to nobody.
    let email = EmailAddress::parse("operator", text);
    Ok(Some(email.map_err(|_| nothing())?))
}

fn nothing() -> Error {
    Error::new(ErrorCode::NotFound, "Not found here.")
}

/// Two ids in the path: of a resource, and of one of its parts.
#[derive(Debug)]
pub(in crate::routes) struct Ids<T, U>(pub(in crate::routes) T, pub(in crate::routes) U);

impl<S, T, U> FromRequestParts<S> for Ids<T, U>
where
    S: Send + Sync,
    T: FromStr<Err = Error>,
    U: FromStr<Err = Error>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| nothing())?;
        // The last two: the router's prefix may have parameters, too.
        let texts: Vec<&str> = params.iter().map(|(_, text)| text).collect();
        let [.., thing, part] = texts.as_slice() else {
            return Err(nothing().into());
        };
        match (thing.parse(), part.parse()) {
            (Ok(thing), Ok(part)) => Ok(Self(thing, part)),
            _ => Err(nothing().into()),
        }
    }
}

/// The router's prefix; empty at the root.
#[derive(Debug)]
pub(in crate::routes) struct Prefix(pub(in crate::routes) String);

impl Prefix {
    /// Where a request found this router, from its extensions.
    pub(in crate::routes) fn of(extensions: &Extensions) -> Self {
        let prefix = extensions
            .get::<NestedPath>()
            .map_or("", NestedPath::as_str);
        Self(prefix.trim_end_matches('/').to_owned())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Prefix {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions))
    }
}
