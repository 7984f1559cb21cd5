//! Pages for people: the description of the interface, and what each error code means.
//!
//! Everything is compiled in; nothing is loaded from elsewhere. Links are relative, so that any prefix works.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use boxoffice_engine::{Engine, Error, ErrorCode};

use super::{
    api::TokenIssuer,
    controllers::problem::{HOST_CODES, Problem},
    extract::Id,
    html, openapi, response_layers,
};
use crate::metrics::Metrics;

/// What data and assets may do when they are opened by themselves.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// Every error code of the HTTP side: the engine's, and those that only HTTP has.
pub fn error_codes() -> Vec<&'static str> {
    let engine = ErrorCode::ALL.iter().map(|code| code.as_str());
    engine
        .chain(HOST_CODES.iter().map(|code| code.code))
        .collect()
}

/// Finds the page about an error code, in Markdown: what it means, what to do.
pub fn error_page(code: &str) -> Option<&'static str> {
    let host = HOST_CODES
        .iter()
        .find(|host| host.code == code)
        .map(|host| host.page);
    host.or_else(|| code.parse::<ErrorCode>().ok().map(ErrorCode::page))
}

/// The OpenAPI description, as it is at the place this router is mounted.
pub(super) fn openapi(issuer: TokenIssuer, request: &Request) -> Response {
    html::content(
        "application/json",
        NOTHING,
        openapi::kept_json(issuer, &response_layers::prefix_of(request)),
    )
}

pub(super) async fn docs() -> Response {
    html::content(
        "text/html; charset=utf-8",
        html::OWN_POLICY,
        include_str!("../../assets/docs.html"),
    )
}

pub(super) async fn docs_script() -> Response {
    html::content(
        "text/javascript; charset=utf-8",
        NOTHING,
        include_str!("../../assets/docs.js"),
    )
}

pub(super) async fn style() -> Response {
    html::content(
        "text/css; charset=utf-8",
        NOTHING,
        include_str!("../../assets/pages.css"),
    )
}

/// What Prometheus reads.
pub(super) async fn metrics(
    State(engine): State<Engine>,
    State(metrics): State<Arc<Metrics>>,
) -> Response {
    metrics.scrape(&engine).await
}

/// The dashboard of what goes out; it asks the interface like any other client.
pub(super) async fn queues() -> Response {
    html::content(
        "text/html; charset=utf-8",
        html::OWN_POLICY,
        include_str!("../../assets/queues/queues.html"),
    )
}

pub(super) async fn queues_script() -> Response {
    script(include_str!("../../assets/queues/queues.js"))
}

pub(super) async fn queues_views() -> Response {
    script(include_str!("../../assets/queues/views.js"))
}

pub(super) async fn queues_page() -> Response {
    script(include_str!("../../assets/queues/page.js"))
}

fn script(text: &'static str) -> Response {
    html::content("text/javascript; charset=utf-8", NOTHING, text)
}

pub(super) async fn queues_style() -> Response {
    html::content(
        "text/css; charset=utf-8",
        NOTHING,
        include_str!("../../assets/queues/queues.css"),
    )
}

pub(super) async fn error(Id(CodeName(code)): Id<CodeName>) -> Result<Response, Problem> {
    let page = error_page(&code)
        .ok_or_else(|| Error::new(ErrorCode::NotFound, "There is no such error code."))?;
    let main = html::from_markdown(page);
    Ok(html::page(
        &code,
        "../docs/pages.css",
        html::OWN_POLICY,
        &main,
    ))
}

/// The code that a path names, whatever it is.
pub(super) struct CodeName(String);

impl std::str::FromStr for CodeName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_with_its_name_as_title() {
        for code in error_codes() {
            assert!(
                error_page(code).unwrap().starts_with(&format!("# {code}")),
                "{code}"
            );
        }
        assert_eq!(error_page("no-such-code"), None);
    }
}
