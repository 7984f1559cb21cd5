//! Ids in paths, and where the router is mounted.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use boxoffice_engine::{Error, ErrorCode};

use crate::routes::{answers, controllers::problem::Problem};

/// The id that a path ends or continues with; one that can't be any is `not-found`.
#[derive(Debug)]
pub(in crate::routes) struct Id<T>(pub(in crate::routes) T);

impl<S: Send + Sync, T: FromStr<Err = Error>> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match last_param(parts, state).await?.parse() {
            Ok(id) => Ok(Self(id)),
            Err(error) if error.code() == ErrorCode::NotFound => Err(error.into()),
            // A name that breaks a rule belongs to nothing.
            Err(_) => Err(nothing().into()),
        }
    }
}

/// A name in the path for what is made by the request. One that breaks a rule is refused with the rule.
#[derive(Debug)]
pub(in crate::routes) struct NewId<T>(pub(in crate::routes) T);

impl<S: Send + Sync, T: FromStr<Err = Error>> FromRequestParts<S> for NewId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(last_param(parts, state).await?.parse()?))
    }
}

/// The last parameter of the path: the prefix this router is mounted under may have parameters of its own.
async fn last_param<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    let params = params.map_err(|_| nothing())?;
    let (_, text) = params.iter().last().ok_or_else(nothing)?;
    Ok(text.to_owned())
}

fn nothing() -> Error {
    Error::new(ErrorCode::NotFound, "There is no such thing here.")
}

/// The two ids that a path has: of a thing, and of one of its parts.
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
        // The last two: the prefix this router is mounted under may have parameters of its own.
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

/// The path this router is mounted under; empty at the root.
#[derive(Debug)]
pub(in crate::routes) struct Prefix(pub(in crate::routes) String);

impl<S: Send + Sync> FromRequestParts<S> for Prefix {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(answers::prefix_in(&parts.extensions)))
    }
}
