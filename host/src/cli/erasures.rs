//! `boxoffice erasures`: the list of erased accounts, which is kept beside backups, and its use after a restore.
//!
//! Called by the program. Calls the engine's use cases as an operator, or the same over REST. A line of the list is JSON: tenant, user
//! and time. It names nobody.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use boxoffice_engine::{Caller, Engine, Erasure, TenantId};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    accounts::{Place, each_page, open},
    part_files::part_of,
    remote::{Remote, text},
};

/// `boxoffice erasures`.
#[derive(Debug, Args)]
pub(super) struct ErasuresArgs {
    /// Writes the list to this file; an earlier one is replaced.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// A line of the list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    tenant: String,
    user_id: String,
    erased_at: String,
}

/// Writes the list.
pub(super) async fn erasures(ErasuresArgs { out, place }: ErasuresArgs) -> anyhow::Result<()> {
    let lines = match place.remote.remote()? {
        Some(remote) => through(&remote).await?,
        None => at_store(&place).await?,
    };
    let mut whole = String::new();
    for line in &lines {
        let _ = writeln!(whole, "{}", serde_json::to_string(line)?);
    }
    // The old list stays until the new one is whole.
    let part = part_of(&out);
    let shown = out.display();
    tokio::fs::write(&part, whole)
        .await
        .with_context(|| format!("writing {shown}"))?;
    tokio::fs::rename(&part, &out)
        .await
        .with_context(|| format!("writing {shown}"))?;
    let _ = writeln!(io::stderr(), "{} erased accounts", lines.len());
    Ok(())
}

/// Reads a list.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Erasure>> {
    let shown = path.display();
    let whole = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    let lines = whole.lines().enumerate().map(|(index, line)| {
        erasure(line).with_context(|| format!("reading line {} of {shown}", index + 1))
    });
    lines.collect()
}

/// Erases the accounts of a list in a restored store.
pub(super) async fn apply(engine: &Engine, erasures: &[Erasure]) -> anyhow::Result<()> {
    let (operators, caller) = (engine.operators(), Caller::operator());
    let erased = operators.apply_erasures(&caller, erasures).await;
    let erased = erased.context("erasing the accounts of the list")?;
    let _ = writeln!(
        io::stderr(),
        "{erased} accounts of the list were erased again"
    );
    Ok(())
}

fn erasure(line: &str) -> anyhow::Result<Erasure> {
    let line: Line = serde_json::from_str(line)?;
    Ok(Erasure {
        tenant: TenantId::parse(&line.tenant)?,
        user: line.user_id.parse()?,
        at: line.erased_at.parse()?,
    })
}

async fn at_store(place: &Place) -> anyhow::Result<Vec<Line>> {
    let opened = open(&place.store, "erasures").await?;
    let operators = opened.engine.operators();
    let (caller, mut lines) = (Caller::operator(), Vec::new());
    each_page(
        async |page| Ok(operators.erasures(&caller, page).await?),
        |one| {
            lines.push(Line {
                tenant: one.tenant.to_string(),
                user_id: one.user.to_string(),
                erased_at: one.at.to_string(),
            });
            Ok(())
        },
    )
    .await?;
    Ok(lines)
}

async fn through(remote: &Remote) -> anyhow::Result<Vec<Line>> {
    let items = remote.list("/api/operator/erasures").await?;
    let line = |item: &Value| Line {
        tenant: text(item, "tenant").to_owned(),
        user_id: text(item, "userId").to_owned(),
        erased_at: text(item, "erasedAt").to_owned(),
    };
    Ok(items.iter().map(line).collect())
}
