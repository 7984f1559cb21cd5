//! The query parameters of the feed of changes, and where a stream goes on.
//!
//! Used by controllers.

use axum::{extract::FromRequestParts, http::request::Parts};
use boxoffice_engine::{ChangeCursor, ChangeFilter, ChangePage, Error, Result};
use utoipa::IntoParams;

use super::values_of;
use crate::routes::problem::Problem;

/// Types that a filter names at most: there are about 25.
const TYPES_MAX: usize = 64;
/// Longest id of an object; valid ones are far shorter.
const OBJECT_BYTES_MAX: usize = 512;
const LIMIT: u32 = 100;

/// The parameters of the feed of changes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read by name")]
pub(in crate::routes) struct ChangeParams {
    /// The `nextCursor` of the page before, or the `cursor` of a change; without it the feed is read from the oldest change that is kept.
    #[param(example = "0.42")]
    after: Option<String>,
    /// Only these types, separated by commas: such as `booking.confirmed`, or `booking.*` for all of an object.
    #[param(example = "booking.*,payment.updated")]
    types: Option<String>,
    /// Only changes of the object with this id.
    object: Option<String>,
    /// Most changes of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
}

/// What a reader of changes wants.
#[derive(Debug)]
pub(in crate::routes) struct WantedChanges {
    pub(in crate::routes) after: Option<ChangeCursor>,
    pub(in crate::routes) filter: ChangeFilter,
    pub(in crate::routes) limit: u32,
}

/// The wanted changes.
#[derive(Debug)]
pub(in crate::routes) struct AtChanges(pub(in crate::routes) WantedChanges);

impl<S: Send + Sync> FromRequestParts<S> for AtChanges {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let names = ["after", "types", "object", "limit"];
        let [after, types, object, limit] = values_of(&parts.uri, names)?;
        let after = after.map(|after| after.parse()).transpose()?;
        let names: Vec<&str> = types.iter().flat_map(|types| types.split(',')).collect();
        if names.len() > TYPES_MAX {
            let rule = format!("At most {TYPES_MAX} types are named.");
            return Err(Error::field("types", rule).into());
        }
        let mut filter = ChangeFilter::of_types(names)?;
        if object
            .as_ref()
            .is_some_and(|id| id.len() > OBJECT_BYTES_MAX)
        {
            return Err(Error::field("object", "Send the `id` of a change.").into());
        }
        filter.object = object;
        let limit = match limit {
            None => LIMIT,
            Some(text) => {
                let read = text.parse().ok();
                let read = read.filter(|limit| (1..=ChangePage::LIMIT_MAX).contains(limit));
                let rule = format!("A page has 1 to {} changes.", ChangePage::LIMIT_MAX);
                read.ok_or_else(|| Error::field("limit", rule))?
            }
        };
        Ok(Self(WantedChanges {
            after,
            filter,
            limit,
        }))
    }
}

/// The cursor that a client of a stream had last, in the header `Last-Event-ID`.
#[derive(Debug)]
pub(in crate::routes) struct LastEventId(pub(in crate::routes) Option<ChangeCursor>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("last-event-id") else {
            return Ok(Self(None));
        };
        let rule = "Send the id of the last event, such as 0.42.";
        let wrong = || Error::field("Last-Event-ID", rule);
        let text = value.to_str().map_err(|_| wrong())?;
        // Clients send an empty one before the first event.
        let cursor = match text {
            "" => None,
            text => Some(text.parse().map_err(|_| wrong())?),
        };
        Ok(Self(cursor))
    }
}
