//! The data folder except the database: its layout, its owner, and the secrets of `dev`.
//!
//! Called by cli and assembly. The store writes `db/`, the folder mailer `mails/`, this module the rest.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rand::{Rng as _, distr::Alphanumeric};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::private_files;

/// The database's folder.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("db")
}

/// The folder that mails are written to.
pub(crate) fn mails(folder: &Path) -> PathBuf {
    folder.join("mails")
}

/// The cache folder of compiled plugins. It can be removed at any time.
pub(crate) fn plugin_cache(folder: &Path) -> PathBuf {
    folder.join("plugin-cache")
}

/// The key that seals compiled plugins; made at the first start, and stored outside their folder. Processes
/// that share the folder share the key.
///
/// # Errors
/// The file system's error.
pub(crate) fn plugin_cache_key(cache: &Path) -> io::Result<[u8; 32]> {
    let path = cache.with_extension("key");
    // Letters and digits; 43 of them have 256 bits.
    let known = || {
        let text = fs::read_to_string(&path).ok();
        text.filter(|text| text.len() == 43)
    };
    let text = match known() {
        Some(text) => text,
        // Missing or damaged: plugins that another key sealed are compiled again.
        None => {
            if let Some(parent) = path.parent() {
                private_files::create_folder(parent)?;
            }
            let _ = fs::remove_file(&path);
            write_private(&path, &random_text(43))?;
            // Another process may have written one at the same time; the last one counts.
            known().ok_or_else(|| io::Error::other(format!("{}: it is gone", path.display())))?
        }
    };
    Ok(Sha256::digest(text.as_bytes()).into())
}

/// The owner of a data folder, for error messages. The store has the real lock.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// The process id.
    pub(crate) pid: u32,
    /// The command, such as `boxoffice serve`.
    pub(crate) command: String,
    /// Its URL, if it listens.
    pub(crate) url: Option<String>,
}

/// The record of this process; deleted when dropped.
#[derive(Debug)]
pub(crate) struct LockOwner {
    path: PathBuf,
}

impl LockOwner {
    /// Writes the owner of the folder. Call it only when the store is open.
    ///
    /// # Errors
    /// The file system's error.
    pub(crate) fn write(folder: &Path, command: &str, url: Option<String>) -> io::Result<Self> {
        let path = note_path(folder);
        let holder = Holder {
            pid: std::process::id(),
            command: format!("boxoffice {command}"),
            url,
        };
        let text = serde_json::to_string(&holder).map_err(io::Error::other)?;
        write_private(&path, &text)?;
        Ok(Self { path })
    }
}

impl Drop for LockOwner {
    fn drop(&mut self) {
        // A stale record does no harm: it is read only while the store is in use.
        let _ = fs::remove_file(&self.path);
    }
}

/// The last recorded owner of the folder.
pub(crate) fn holder(folder: &Path) -> Option<Holder> {
    serde_json::from_str(&fs::read_to_string(note_path(folder)).ok()?).ok()
}

/// The secrets that `dev` generates once and stores, so that tokens and passwords survive a restart.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevSecrets {
    /// The id of the key below.
    pub(crate) key_id: String,
    /// Signs access tokens.
    pub(crate) key_secret: String,
    /// Signs the links in mails. Folders of older programs have none.
    #[serde(default)]
    pub(crate) links_secret: Option<String>,
    /// Seals the codes of tickets. Folders of older programs have none.
    #[serde(default)]
    pub(crate) tickets_secret: Option<String>,
    /// Password of the operator.
    pub(crate) operator_password: String,
    /// Password of the demo tenant's owner.
    pub(crate) owner_password: String,
    /// Password of the demo tenant's organizer.
    pub(crate) organizer_password: String,
    /// Password of the demo tenant's customer.
    pub(crate) customer_password: String,
}

impl DevSecrets {
    /// Reads the folder's secrets, or generates and stores them. Returns whether they are new.
    ///
    /// # Errors
    /// The file system's error, or that the file is damaged.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, bool)> {
        let path = folder.join("secrets.toml");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let mut secrets = Self::parse(&text).map_err(|error| damaged(&path, &error))?;
                if secrets.links_secret.is_none() || secrets.tickets_secret.is_none() {
                    for secret in [&mut secrets.links_secret, &mut secrets.tickets_secret] {
                        secret.get_or_insert_with(|| random_text(43));
                    }
                    write_private(&path, &secrets.to_text())?;
                }
                Ok((secrets, false))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private_files::create_folder(folder)?;
                let secrets = Self::generate();
                write_private(&path, &secrets.to_text())?;
                Ok((secrets, true))
            }
            Err(error) => Err(error),
        }
    }

    fn generate() -> Self {
        Self {
            key_id: format!("dev-{}", random_text(8).to_ascii_lowercase()),
            // 43 letters and digits have 256 bits, as many as HS256 uses.
            key_secret: random_text(43),
            links_secret: Some(random_text(43)),
            tickets_secret: Some(random_text(43)),
            operator_password: generated_password(),
            owner_password: generated_password(),
            organizer_password: generated_password(),
            customer_password: generated_password(),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        // toml's own error shows the line, and a damaged secret must not reach the terminal.
        toml::from_str(text)
            .map_err(|_| "it is no TOML with the keys that `boxoffice dev` writes".to_owned())
    }

    fn to_text(&self) -> String {
        let secrets = toml::to_string(self).expect("a flat table of texts is TOML");
        format!(
            "# Made by `boxoffice dev` for this folder only. Without this file the next start makes new secrets,\n\
             # and the demo accounts keep passwords that nobody knows.\n{secrets}"
        )
    }
}

/// A random password: 20 letters and digits, about 119 bits, safe in shells and JSON.
pub(crate) fn generated_password() -> String {
    random_text(20)
}

fn random_text(length: usize) -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(length)
        .map(char::from)
        .collect()
}

fn note_path(folder: &Path) -> PathBuf {
    folder.join("boxoffice.lock")
}

/// Writes a file atomically that only its owner may read.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let part = path.with_extension("part");
    // A leftover may have another mode; the mode below applies to new files only.
    let _ = fs::remove_file(&part);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)
}

fn damaged(path: &Path, reason: &str) -> io::Error {
    io::Error::other(format!(
        "{}: {reason}; repair it or remove it",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_back_from_their_text() {
        let secrets = DevSecrets::generate();
        let read = DevSecrets::parse(&secrets.to_text()).unwrap();
        assert_eq!(read.to_text(), secrets.to_text());
        assert!(secrets.key_secret.len() >= 32);
        assert_ne!(secrets.owner_password, secrets.customer_password);
    }

    #[test]
    fn a_damaged_file_is_refused_without_its_content() {
        let Err(error) = DevSecrets::parse("key_id = \"a\"\nkey_secret = hunter2") else {
            panic!("must be refused")
        };
        assert!(!error.contains("hunter2"));
    }
}
