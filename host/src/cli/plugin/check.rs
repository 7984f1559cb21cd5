//! `boxoffice plugin check`: checks whether a host would accept a component.
//!
//! Called by the plugin commands. Calls the plugin host.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Local;
use crate::cli::print;

/// `boxoffice plugin check`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// The component.
    file: PathBuf,
    /// Largest component; a host's own limit is `plugins.upload_bytes_max` in its configuration.
    #[arg(long, value_name = "BYTES")]
    upload_bytes_max: Option<usize>,
}

/// Prints the component's interface, or why it is refused.
pub(super) async fn check(args: CheckArgs) -> anyhow::Result<()> {
    let local = Local::load(&args.file, args.upload_bytes_max, None).await?;
    let facts = json!({
        "version": local.plugin.hash,
        "sizeBytes": local.size_bytes,
        "witVersion": local.facts.wit_version,
        "decides": local.facts.decides,
        "words": local.facts.words,
        "exports": local.facts.exports,
        "imports": local.facts.imports,
    });
    print(&serde_json::to_string_pretty(&facts)?)
}
