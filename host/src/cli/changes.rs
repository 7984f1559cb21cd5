//! `boxoffice changes`: what changed in a tenant, a JSON object on each line.
//!
//! Called by the program.

use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::http::Method;
use clap::Args;
use serde_json::Value;

use super::{
    print,
    remote::{Remote, percent_encoded},
};
use crate::config;

/// Changes of one request.
const PAGE: usize = 200;
/// The pause between two looks for more.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pause after a host that does not answer.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// `boxoffice changes`.
#[derive(Debug, Args)]
pub(super) struct ChangesArgs {
    /// The host: https://HOST or http://HOST:PORT.
    #[arg(long, value_name = "URL")]
    url: String,
    /// An API key with the scope changes:read, or an owner's token. Better set BOXOFFICE_TOKEN, which `ps` does not show.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// The cursor of the last change that was read [default: the oldest change is first].
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Only these types, separated by commas: such as booking.confirmed, or booking.* for all of an object.
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
    /// Waits for more at the end, until it is stopped.
    #[arg(long)]
    follow: bool,
}

/// Prints changes.
pub(super) async fn changes(args: ChangesArgs) -> anyhow::Result<()> {
    let Some(token) = args.token.clone().or_else(config::token_from_environment) else {
        bail!("an API key or an owner's token is needed: --token TOKEN, or BOXOFFICE_TOKEN");
    };
    let remote = Remote::new(&args.url, Some(token))?;
    let mut after = args.after.clone();
    let mut has_answered = false;
    loop {
        let page = match remote
            .call(Method::GET, &args.path(after.as_deref()), None)
            .await
        {
            Ok(page) => page,
            // Whoever follows outlives a restart of the host. What it refuses stays refused.
            Err(error) if args.follow && has_answered && is_away(&error) => {
                eprintln!("boxoffice: {error:#}; trying again");
                tokio::time::sleep(RETRY_EVERY).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        has_answered = true;
        let items = page["items"]
            .as_array()
            .context("the host's answer has no items")?;
        for change in items {
            print(&change.to_string())?;
        }
        let next = page["nextCursor"].as_str();
        after = Some(next.context("the host's answer has no cursor")?.to_owned());
        let has_more = page["hasMore"] == Value::Bool(true);
        match (has_more, args.follow) {
            (true, _) => {}
            (false, true) => tokio::time::sleep(LOOK_EVERY).await,
            (false, false) => return Ok(()),
        }
    }
}

/// Whether a host could not be reached, as far as the connection says.
fn is_away(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<reqwest::Error>())
}

impl ChangesArgs {
    fn path(&self, after: Option<&str>) -> String {
        let mut path = format!("/api/changes?limit={PAGE}");
        for (name, value) in [("after", after), ("types", self.types.as_deref())] {
            if let Some(value) = value {
                path = format!("{path}&{name}={}", percent_encoded(value));
            }
        }
        path
    }
}
