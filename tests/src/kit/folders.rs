//! Folders that go away with their test.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A new folder of this test's own. Removed when dropped, unless the test is failing: then its path is printed.
pub struct TempFolder(PathBuf);

impl TempFolder {
    /// Makes the folder; `label` only helps people who look.
    ///
    /// # Panics
    /// When the file system refuses.
    pub fn new(label: &str) -> Self {
        super::without_spans();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("boxoffice-{}-{count}-{label}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the folder for temporary files can be written to");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of something in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left for inspection: {}", self.0.display());
        } else {
            // A folder that stays behind harms nobody and must not fail a test that passed.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
