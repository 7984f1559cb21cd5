//! Opens the store for a command, with a helpful error if another process has it open.
//!
//! Called by all commands that open a store. Calls assembly.

use anyhow::Context as _;
use boxoffice_engine::{Engine, ErrorCode};

use crate::{
    assembly::{self, AssemblyError, MailRole},
    config::{
        Config,
        data_folder::{self, LockOwner},
        private_files::Correction,
    },
    telemetry::Telemetry,
};

/// An engine, and the record that this process owns its data folder. Drop the record after the engine.
pub(super) struct Opened {
    pub(super) engine: Engine,
    pub(super) lock_owner: Option<LockOwner>,
}

/// Opens the store and records the owner.
///
/// # Errors
/// [`AssemblyError`], with what to do if the store is in use.
pub(super) async fn open(
    config: &Config,
    mail_role: MailRole,
    command: &str,
    url: Option<&str>,
    telemetry: Option<&Telemetry>,
) -> anyhow::Result<Opened> {
    close_to_others(config);
    let exporting = telemetry.and_then(Telemetry::exporting);
    let engine = match assembly::engine(config, mail_role, exporting).await {
        Ok(engine) => engine,
        Err(AssemblyError::Engine(error)) if error.code() == ErrorCode::StoreInUse => {
            return Err(anyhow::anyhow!("{error}{}", what_to_do(config)));
        }
        Err(error) => return Err(error.into()),
    };
    // surrealkv gives the group access to the folder of its log, whatever the umask.
    if let Some(folder) = config.data_folder() {
        Correction::of_data_folder(folder);
    }
    let lock_owner = match config.data_folder() {
        None => None,
        Some(folder) => Some(
            LockOwner::write(folder, command, url.map(str::to_owned))
                .with_context(|| format!("writing to the data folder {}", folder.display()))?,
        ),
    };
    Ok(Opened { engine, lock_owner })
}

/// Removes the access of other users of this machine to the configured files, and logs it.
pub(super) fn close_to_others(config: &Config) {
    let data = config.data_folder().map(|folder| {
        let correction = Correction::of_data_folder(folder);
        ("data folder", folder.clone(), correction)
    });
    let mails = assembly::mails_folder(config).map(|folder| {
        let correction = Correction::of_mails(&folder);
        ("mail folder", folder, correction)
    });
    for (what, folder, Correction { corrected, left }) in data.into_iter().chain(mails) {
        let folder = folder.display();
        if corrected > 0 {
            tracing::warn!(
                %folder,
                corrected,
                "other users of this machine could read the {what}; their access was removed"
            );
        }
        if let Some((path, reason)) = left {
            tracing::warn!(
                path = %path.display(),
                reason,
                "other users of this machine can read the {what}: remove their access (chmod -R go= {folder})"
            );
        }
    }
}

fn what_to_do(config: &Config) -> String {
    let Some(folder) = config.data_folder() else {
        return String::new();
    };
    let mut text = format!("\n  The data folder is {}", folder.display());
    match data_folder::holder(folder) {
        Some(holder) => {
            text.push_str(&format!(
                "; `{}` (process {}) holds it",
                holder.command, holder.pid
            ));
            if let Some(url) = holder.url {
                text.push_str(&format!(
                    " and answers at {url}.\n  Commands that take --url can ask it instead: --url {url} --token TOKEN\n  \
                     (`boxoffice operator login --url {url} --email EMAIL` prints a token)"
                ));
            }
            text.push('.');
        }
        None => text.push_str("; the process that holds it left no note."),
    }
    text.push_str(
        "\n  A SurrealDB server is named by --store ws://HOST:PORT, or store.url in the configuration.",
    );
    text
}
