//! `boxoffice tenant|user|operator`: accounts, in the store or through a running host.
//!
//! Called by the program. Calls the engine's use cases as an operator, or the same over REST.

mod operators;
mod tenants;
mod users;

use std::io::{self, Read as _};

use anyhow::{Context as _, bail};
use boxoffice_engine::{Page, PageRequest};
use clap::Args;
use serde_json::Value;

use super::{
    StoreArgs, print,
    remote::{RemoteArgs, text},
    store::{self, Opened},
};
use crate::{
    assembly::MailRole,
    config::{Config, data_folder::generated_password},
    telemetry,
};

pub(super) use operators::{OperatorCommand, operator};
pub(super) use tenants::{TenantCommand, tenant};
pub(super) use users::{UserCommand, user};

/// The store or host of a command.
#[derive(Debug, Clone, Args)]
pub(super) struct Place {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) remote: RemoteArgs,
}

/// The new account.
#[derive(Debug, Clone, Args)]
pub(super) struct Account {
    /// Their address and login.
    #[arg(long)]
    email: String,
    /// Their display name.
    #[arg(long)]
    name: String,
    /// Reads the password from the first line of stdin.
    #[arg(long)]
    password_stdin: bool,
}

impl Account {
    /// The password, and whether it was generated and must be shown.
    fn password(&self) -> anyhow::Result<(String, bool)> {
        if self.password_stdin {
            let [password] = lines_from_stdin()?;
            Ok((password, false))
        } else {
            Ok((generated_password(), true))
        }
    }
}

/// Opens the store for a short command.
pub(super) async fn open(store: &StoreArgs, command: &str) -> anyhow::Result<Opened> {
    let config = Config::load(&store.flags())?;
    // A short command logs only errors; the configured level is for hosts.
    telemetry::start_lines("warn,surrealkv=error", config.logs.format);
    store::open(&config, MailRole::None, command, None, None).await
}

pub(super) async fn each_page<T>(
    list: impl AsyncFn(PageRequest) -> anyhow::Result<Page<T>>,
    mut show: impl FnMut(&T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut cursor = None;
    loop {
        let page = list(PageRequest {
            cursor,
            limit: PageRequest::LIMIT_MAX,
        })
        .await?;
        page.items.iter().try_for_each(&mut show)?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn print_rows(items: &[Value], members: &[&str]) -> anyhow::Result<()> {
    items.iter().try_for_each(|item| {
        let row: Vec<&str> = members.iter().map(|member| text(item, member)).collect();
        print(&row.join("\t"))
    })
}

/// The second line that `add` prints: the password cannot be read later.
fn show_new_password(password: &str, is_new: bool) -> anyhow::Result<()> {
    if is_new {
        print(&format!("password: {password}"))
    } else {
        Ok(())
    }
}

/// The first lines of stdin, each a password.
fn lines_from_stdin<const N: usize>() -> anyhow::Result<[String; N]> {
    let mut text = String::new();
    // 200 characters are allowed, so a kilobyte each is enough.
    io::stdin()
        .take(1_024 * N as u64)
        .read_to_string(&mut text)
        .context("reading the password from stdin")?;
    let lines: Vec<String> = text.lines().take(N).map(str::to_owned).collect();
    match <[String; N]>::try_from(lines) {
        Ok(lines) if lines.iter().all(|line| !line.is_empty()) => Ok(lines),
        _ if N == 1 => bail!(
            "stdin holds no password; send one line, for example: printf %s \"$PASSWORD\" | boxoffice …"
        ),
        _ => bail!("stdin must hold {N} lines: the present password, and the new one"),
    }
}
