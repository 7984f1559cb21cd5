//! The query parameters of the list of receipts.
//!
//! Used by controllers.

use axum::{extract::FromRequestParts, http::request::Parts};
use boxoffice_engine::{Error, PageRequest, Result};
use utoipa::IntoParams;

use super::page_with;
use crate::routes::problem::Problem;

/// The parameter of a list of receipts.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read by name")]
pub(in crate::routes) struct ReceiptParams {
    /// Only those that were numbered in this year, in the tenant's zone.
    #[param(minimum = 2000, maximum = 9999)]
    year: Option<i64>,
}

/// The requested page of receipts, and their year.
#[derive(Debug)]
pub(in crate::routes) struct AtReceiptPage(
    pub(in crate::routes) PageRequest,
    pub(in crate::routes) Option<i64>,
);

impl<S: Send + Sync> FromRequestParts<S> for AtReceiptPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (page, [year]) = page_with(&parts.uri, ["year"])?;
        let known = |year: String| {
            let read = year
                .parse()
                .ok()
                .filter(|year| (2000..=9999).contains(year));
            read.ok_or_else(|| Error::field("year", "A year is 2000 to 9999."))
        };
        Ok(Self(page, year.map(known).transpose()?))
    }
}
