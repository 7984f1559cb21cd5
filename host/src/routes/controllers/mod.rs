//! Controllers: request JSON -> command -> AppModule -> response JSON, and nothing else.
//!
//! Called by the URL table in `routes`. Who may do what, and every rule, is decided in the engine.

pub(super) mod account;
pub(super) mod announcements;
pub(super) mod api_keys;
pub(super) mod auth;
pub(super) mod backups;
mod booking_details;
pub(super) mod bookings;
pub(super) mod branding;
pub(super) mod changes;
pub(super) mod check_ins;
pub(super) mod claims;
pub(super) mod customers;
pub(super) mod dashboard_session;
pub(super) mod delivery_admin;
pub(super) mod door_list;
pub(super) mod erasures;
pub(super) mod events;
mod exports;
pub(super) mod health;
pub(super) mod holds;
pub(super) mod identities;
pub(super) mod imports;
mod integers;
pub(super) mod live;
pub(super) mod members;
pub(super) mod notifications;
pub(super) mod operators;
mod patched;
pub(super) mod payments;
pub(super) mod personal_data;
pub(super) mod plugins;
pub(super) mod quotes;
mod receipt_settings;
pub(super) mod receipts;
mod sales;
pub(super) mod subscriptions;
pub(super) mod tenants;
pub(super) mod transfers;
pub(super) mod unconfirmed;
pub(super) mod waitlist;

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{ETAG, LOCATION, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};
use boxoffice_engine::Page;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;

/// The result of a controller.
type Answer<T> = Result<T, Problem>;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageResponse<T> {
    /// The items, in the list's order.
    items: Vec<T>,
    /// Send it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl<T> PageResponse<T> {
    fn of<U>(page: Page<U>, response: impl FnMut(U) -> T) -> axum::Json<Self> {
        let page = page.map(response);
        axum::Json(Self {
            items: page.items,
            next_cursor: page.next,
        })
    }
}

/// 201 with the path of the created resource.
fn created(location: &str, body: impl Serialize) -> Response {
    let mut response = (StatusCode::CREATED, axum::Json(body)).into_response();
    // Paths and ids are ASCII. With another prefix the header is left out.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The same answer with these cookies.
fn with_cookies(
    mut response: Response,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Response {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The response with the version as its ETag.
fn with_etag(version: u64, mut response: Response) -> Response {
    let value = HeaderValue::from_str(&format!("\"{version}\""))
        .expect("digits in quotes are a header value");
    response.headers_mut().insert(ETAG, value);
    response
}
