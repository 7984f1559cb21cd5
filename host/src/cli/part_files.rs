//! Files that get their name once they are complete.
//!
//! Called by backup, erasures and export.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::fs::{File, OpenOptions};

/// Creates a file that only its owner can read.
pub(super) async fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).await
}

/// The name of a file that is not complete yet.
pub(super) fn part_of(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    out.with_file_name(name)
}
