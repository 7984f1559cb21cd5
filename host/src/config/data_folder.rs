//! What lies in a data folder besides the database: its layout, who holds it, and the secrets that `dev` made.
//!
//! Called by cli and assembly. `db/` is the store's, `mails/` the folder mailer's; the rest is written here.

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

/// The folder that compiled plugins are kept in. It can be removed at any time.
pub(crate) fn plugin_cache(folder: &Path) -> PathBuf {
    folder.join("plugin-cache")
}

/// The key that compiled plugins are sealed with; made at the first start, and kept beside their folder, not in it. Processes
/// that share the folder share the key.
///
/// # Errors
/// The file system's error.
pub(crate) fn plugin_cache_key(cache: &Path) -> io::Result<[u8; 32]> {
    let path = cache.with_extension("key");
    // Letters and digits, as all our secrets; 43 of them hold 256 bits.
    let known = || {
        let text = fs::read_to_string(&path).ok();
        text.filter(|text| text.len() == 43)
    };
    let text = match known() {
        Some(text) => text,
        // None yet, or damaged: what was sealed with another key is compiled again.
        None => {
            if let Some(parent) = path.parent() {
                private_files::create_folder(parent)?;
            }
            let _ = fs::remove_file(&path);
            write_private(&path, &random_text(43))?;
            // Another process may have written its own in the same moment; the last one counts.
            known().ok_or_else(|| io::Error::other(format!("{}: it is gone", path.display())))?
        }
    };
    Ok(Sha256::digest(text.as_bytes()).into())
}

/// Who holds a data folder. A note for people; the lock itself is the store's.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// Its process.
    pub(crate) pid: u32,
    /// What it was started as, such as `boxoffice serve`.
    pub(crate) command: String,
    /// Where it can be asked, if it listens.
    pub(crate) url: Option<String>,
}

/// The note of this process about itself; gone when dropped.
#[derive(Debug)]
pub(crate) struct LockOwner {
    path: PathBuf,
}

impl LockOwner {
    /// Writes who holds the folder. Call it only once the store is open.
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
        // A note that stays behind misleads nobody: it is read only while the store says it is in use.
        let _ = fs::remove_file(&self.path);
    }
}

/// Who said last that they hold the folder.
pub(crate) fn holder(folder: &Path) -> Option<Holder> {
    serde_json::from_str(&fs::read_to_string(note_path(folder)).ok()?).ok()
}

/// What `dev` makes up once and keeps, so that tokens and passwords outlive a restart.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevSecrets {
    /// Names the key below.
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
    /// Reads the folder's secrets, or makes and keeps some; says whether they are new.
    ///
    /// # Errors
    /// What the file system says, or that the file is damaged.
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
            // 43 letters and digits hold 256 bits, as many as HS256 uses.
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
        use figment::providers::{Format as _, Toml};
        // The error names keys and places, no values: a damaged secret must not reach the terminal.
        Toml::from_str(text)
            .map_err(|_| "it is no TOML with the keys that `boxoffice dev` writes".to_owned())
    }

    fn to_text(&self) -> String {
        // All values are letters, digits and hyphens, so nothing needs escaping.
        format!(
            "# Made by `boxoffice dev` for this folder only. Without this file the next start makes new secrets,\n\
             # and the demo accounts keep passwords that nobody knows.\n\
             key_id = \"{}\"\nkey_secret = \"{}\"\nlinks_secret = \"{}\"\ntickets_secret = \"{}\"\noperator_password = \"{}\"\nowner_password = \"{}\"\n\
             organizer_password = \"{}\"\ncustomer_password = \"{}\"\n",
            self.key_id,
            self.key_secret,
            self.links_secret.as_deref().unwrap_or_default(),
            self.tickets_secret.as_deref().unwrap_or_default(),
            self.operator_password,
            self.owner_password,
            self.organizer_password,
            self.customer_password,
        )
    }
}

/// A password that nobody guesses: 20 letters and digits, about 119 bits, safe in shells and JSON.
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

/// Writes a file that only its owner may read, whole or not at all.
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
