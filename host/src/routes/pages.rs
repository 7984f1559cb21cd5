//! Pages for people: the description of the API, and what each error code means.
//!
//! Everything is compiled in; nothing is loaded from other hosts. Links are relative, so any prefix works.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header::CACHE_CONTROL},
    response::Response,
};
use boxoffice_engine::{Engine, Error, ErrorCode};

use super::{
    api::TokenIssuer,
    extract::{Id, Prefix},
    host_codes::HOST_CODES,
    html, openapi,
    problem::Problem,
};
use crate::metrics::Metrics;

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Every error code of the HTTP side: the engine's, and those that only HTTP has.
pub fn error_codes() -> Vec<&'static str> {
    let engine = ErrorCode::ALL.iter().map(|code| code.as_str());
    engine
        .chain(HOST_CODES.iter().map(|code| code.code))
        .collect()
}

/// Finds the page of an error code, in Markdown.
pub fn error_page(code: &str) -> Option<&'static str> {
    let host = HOST_CODES
        .iter()
        .find(|host| host.code == code)
        .map(|host| host.page);
    host.or_else(|| code.parse::<ErrorCode>().ok().map(ErrorCode::page))
}

/// The OpenAPI description for this router's prefix.
pub(super) fn openapi(issuer: TokenIssuer, request: &Request) -> Response {
    html::content(
        "application/json",
        html::FILE_POLICY,
        openapi::kept_json(issuer, &Prefix::of(request.extensions()).0),
    )
}

pub(super) async fn docs() -> Response {
    html::content(
        HTML,
        html::DOCS_POLICY,
        include_str!("../../assets/docs.html"),
    )
}

/// A file that a page loads: its name, its type, its text.
pub(super) type PageFile = (&'static str, &'static str, &'static str);

const DOCS_FILES: [PageFile; 6] = [
    ("docs.css", CSS, include_str!("../../assets/docs.css")),
    ("docs.js", SCRIPT, include_str!("../../assets/docs.js")),
    ("pages.css", CSS, include_str!("../../assets/pages.css")),
    (
        "swagger-ui-bundle.js",
        SCRIPT,
        include_str!("../../assets/swagger-ui/swagger-ui-bundle.js"),
    ),
    (
        "swagger-ui.css",
        CSS,
        include_str!("../../assets/swagger-ui/swagger-ui.css"),
    ),
    ("tickets.css", CSS, include_str!("../../assets/tickets.css")),
];

/// A file of `/docs`, the style of all other pages among them.
pub(super) async fn docs_file(Id(name): Id<Name>) -> Result<Response, Problem> {
    let mut response = file(&DOCS_FILES, &name)?;
    if name.0.starts_with("swagger-ui") {
        // Nearly two megabytes that change only with a release.
        let hour = HeaderValue::from_static("public, max-age=3600");
        response.headers_mut().insert(CACHE_CONTROL, hour);
    }
    Ok(response)
}

/// The file with this name.
pub(super) fn file(files: &[PageFile], name: &Name) -> Result<Response, Problem> {
    let (_, content_type, text) = files
        .iter()
        .find(|(known, ..)| *known == name.0)
        .ok_or_else(|| Error::new(ErrorCode::NotFound, "There is no such file."))?;
    Ok(html::content(content_type, html::FILE_POLICY, *text))
}

/// The metrics for Prometheus.
pub(super) async fn metrics(
    State(engine): State<Engine>,
    State(metrics): State<Arc<Metrics>>,
) -> Response {
    metrics.scrape(&engine).await
}

pub(super) async fn error(Id(Name(code)): Id<Name>) -> Result<Response, Problem> {
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

/// The last part of a path, whatever it is.
pub(super) struct Name(pub(super) String);

impl std::str::FromStr for Name {
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
