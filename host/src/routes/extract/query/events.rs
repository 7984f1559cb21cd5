//! The query parameters of a list of events.

use axum::{extract::FromRequestParts, http::request::Parts};
use boxoffice_engine::{Error, EventFilter, PageRequest, Result, SearchWords};
use utoipa::IntoParams;

use super::{moment, page_with};
use crate::routes::{choices, problem::Problem};

/// The parameters of a list of events.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read by name")]
pub(in crate::routes) struct EventParams {
    /// Only those in this state: `draft`, `published` or `cancelled`.
    #[param(value_type = Option<choices::EventStatus>)]
    status: Option<String>,
    /// Only those that begin at this time (RFC 3339) or later.
    #[param(format = DateTime, rename = "startsFrom")]
    starts_from: Option<String>,
    /// Only those that begin before this time (RFC 3339).
    #[param(format = DateTime, rename = "startsBefore")]
    starts_before: Option<String>,
    /// Only those with all these words in title, place or description, each the beginning of a word, in any case and with or without
    /// accents: at most 8. Of a long description the first words count: an event has at most 200 different ones.
    #[param(min_length = 1, max_length = 100, example = "jazz ber")]
    q: Option<String>,
    /// Only those with all these words in the place; likewise.
    #[param(min_length = 1, max_length = 100, example = "berlin")]
    location: Option<String>,
    /// Only those of the organizer with this id.
    organizer: Option<String>,
    /// The ascending order: `createdAt` or `startsAt`. The default is `startsAt` if one of the times is given,
    /// else by `createdAt`.
    #[param(value_type = Option<choices::EventSort>)]
    sort: Option<String>,
}

/// The requested page of events, and the filter.
#[derive(Debug)]
pub(in crate::routes) struct AtEventPage(
    pub(in crate::routes) PageRequest,
    pub(in crate::routes) EventFilter,
);

impl<S: Send + Sync> FromRequestParts<S> for AtEventPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let names = [
            "status",
            "startsFrom",
            "startsBefore",
            "sort",
            "q",
            "location",
            "organizer",
        ];
        let (page, [status, from, before, sort, words, location, organizer]) =
            page_with(&parts.uri, names)?;
        let unknown = |_| Error::field("organizer", "It is the id of a user of this tenant.");
        let organizer = organizer.map(|id| id.parse()).transpose();
        let filter = EventFilter {
            status: status.map(|status| status.parse()).transpose()?,
            starts_from: from.map(|at| moment(&at, "startsFrom")).transpose()?,
            starts_before: before.map(|at| moment(&at, "startsBefore")).transpose()?,
            words: words
                .map(|words| SearchWords::parse("q", &words))
                .transpose()?,
            location: location
                .map(|words| SearchWords::parse("location", &words))
                .transpose()?,
            organizer: organizer.map_err(unknown)?,
            sort: sort.map(|sort| sort.parse()).transpose()?,
        };
        Ok(Self(page, filter))
    }
}
