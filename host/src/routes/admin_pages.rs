//! The console: one page for every address below `/admin`, and the files that it loads.
//!
//! The page finds out who is signed in and calls the API like any other client. It has no special rights.

use axum::response::Response;
use boxoffice_engine::{Error, ErrorCode};

use super::{
    extract::{Id, Prefix},
    html,
    pages::{self, CSS, HTML, Name, PageFile, SCRIPT},
    problem::Problem,
};

const SVG: &str = "image/svg+xml";

/// The sections beside the overview, each at `/admin/NAME`; `queues` shows mails.
const SECTIONS: [&str; 6] = ["events", "queues", "plugins", "changes", "keys", "audit"];

macro_rules! files {
    ($($kind:ident: $($name:literal)+;)+) => {
        &[$($(($name, $kind, include_str!(concat!("../../assets/admin/", $name))),)+)+]
    };
}

const FILES: &[PageFile] = files! {
    CSS: "console.css";
    SVG: "icon.svg";
    SCRIPT: "shell.js" "api.js" "page.js" "parts.js" "live.js" "sign-in.js" "overview.js" "events.js" "mails.js"
        "deliveries.js" "plugins.js" "changes.js" "keys.js" "audit.js";
};

/// The page at `/admin`.
pub(super) async fn overview(Prefix(prefix): Prefix) -> Response {
    page(&prefix)
}

/// The page of a section; what it shows of it stands after the `#`.
pub(super) async fn section(
    Prefix(prefix): Prefix,
    Id(Name(name)): Id<Name>,
) -> Result<Response, Problem> {
    if SECTIONS.contains(&name.as_str()) {
        return Ok(page(&prefix));
    }
    Err(Error::new(ErrorCode::NotFound, "There is no such page.").into())
}

/// A file of the page.
pub(super) async fn file(Id(name): Id<Name>) -> Result<Response, Problem> {
    pages::file(FILES, &name)
}

fn page(prefix: &str) -> Response {
    let text = include_str!("../../assets/admin/console.html");
    let text = text.replace("{prefix}", &html::escaped(prefix));
    html::content(HTML, html::CONSOLE_POLICY, text)
}
