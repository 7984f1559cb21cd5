//! Protects a data folder from other users of the machine: it has password hashes, addresses and ticket codes.
//!
//! Called by cli: sets the umask before anything is written, and corrects modes before a store is opened. Folders are 0700 and files 0600.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::Mode;

/// Boxoffice's files in a data folder. Others are left unchanged.
const ENTRIES: [&str; 6] = [
    "db",
    "mails",
    "plugin-cache",
    "plugin-cache.key",
    "secrets.toml",
    "boxoffice.lock",
];
/// Access of group and others.
const OTHERS: u32 = 0o077;
/// A folder with this bit, such as `/tmp`, is shared by many users.
const STICKY: u32 = 0o1000;

/// Makes all new files of this process readable by their owner only, the database's files included.
pub(crate) fn mask_new_files() {
    rustix::process::umask(Mode::from_bits_truncate(OTHERS));
}

/// Creates a folder and its parents, with access for the owner only.
///
/// # Errors
/// The file system's error.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// The result of a correction.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Correction {
    /// The number of files and folders whose access was removed.
    pub(crate) corrected: usize,
    /// The first one that others can still access, and why.
    pub(crate) left: Option<(PathBuf, String)>,
}

impl Correction {
    /// Removes others' access to a data folder and to Boxoffice's files in it.
    ///
    /// Symbolic links are not followed, except for the folder itself.
    pub(crate) fn of_data_folder(folder: &Path) -> Self {
        let mut correction = Self::default();
        correction.folder(folder);
        for entry in ENTRIES {
            correction.tree(folder.join(entry));
        }
        correction
    }

    /// Removes others' access to a folder of mails and to the mails in it.
    pub(crate) fn of_mails(folder: &Path) -> Self {
        let mut correction = Self::default();
        correction.folder(folder);
        for path in entries(folder) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".eml") || name.ends_with(".part") {
                correction.tree(path.clone());
            }
        }
        correction
    }

    /// The named folder, through a link if it is one.
    fn folder(&mut self, folder: &Path) {
        match fs::metadata(folder) {
            Ok(found) if found.mode() & STICKY != 0 => {
                let reason = "others keep things in this folder; choose one of its own";
                self.leave(folder.to_owned(), reason.to_owned());
            }
            Ok(found) => self.correct(folder.to_owned(), &found),
            // It is created later, or opening the store reports the error.
            Err(_) => {}
        }
    }

    /// A file, or a folder with everything in it.
    fn tree(&mut self, path: PathBuf) {
        let mut waiting = vec![path];
        while let Some(path) = waiting.pop() {
            let Ok(found) = fs::symlink_metadata(&path) else {
                continue;
            };
            if found.is_dir() {
                waiting.extend(entries(&path));
            }
            if found.is_dir() || found.is_file() {
                self.correct(path, &found);
            }
        }
    }

    fn correct(&mut self, path: PathBuf, found: &fs::Metadata) {
        let mode = found.mode() & 0o7777;
        if mode & OTHERS == 0 {
            return;
        }
        match fs::set_permissions(&path, fs::Permissions::from_mode(mode & !OTHERS)) {
            Ok(()) => self.corrected += 1,
            Err(error) => self.leave(path, error.to_string()),
        }
    }

    fn leave(&mut self, path: PathBuf, reason: String) {
        self.left.get_or_insert((path, reason));
    }
}

/// The entries of a folder; none if it cannot be read, which opening the store reports.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with files of ours and of others, as a program without a mask made them.
    fn open_folder(label: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("{label}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("db/sstables"))
            .expect("the temporary folder can be written to");
        for file in ["db/sstables/1.sst", "secrets.toml", "notes.txt"] {
            fs::write(folder.join(file), "x").expect("the folder is there");
        }
        for (path, mode) in [
            ("", 0o755),
            ("db", 0o755),
            ("db/sstables", 0o775),
            ("db/sstables/1.sst", 0o644),
            ("secrets.toml", 0o640),
            ("notes.txt", 0o644),
        ] {
            fs::set_permissions(folder.join(path), fs::Permissions::from_mode(mode))
                .expect("the file is ours");
        }
        folder
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & 0o7777
    }

    #[test]
    fn what_is_ours_is_closed_and_nothing_else() {
        let folder = open_folder("boxoffice-private");
        std::os::unix::fs::symlink("/etc", folder.join("mails")).expect("the folder is there");
        let correction = Correction::of_data_folder(&folder);
        assert_eq!((correction.corrected, correction.left), (5, None));
        for (path, expected) in [
            ("", 0o700),
            ("db/sstables", 0o700),
            ("db/sstables/1.sst", 0o600),
            ("secrets.toml", 0o600),
            ("notes.txt", 0o644),
        ] {
            assert_eq!(mode(&folder.join(path)), expected, "{path}");
        }
        assert_eq!(
            mode(Path::new("/etc")) & 0o055,
            0o055,
            "a link is not followed"
        );
        assert_eq!(Correction::of_data_folder(&folder), Correction::default());
        fs::remove_dir_all(&folder).expect("it can be removed");
    }

    #[test]
    fn a_folder_of_many_people_is_left_as_it_is_and_named() {
        let folder = open_folder("boxoffice-shared");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).expect("it is ours");
        let correction = Correction::of_data_folder(&folder);
        assert_eq!(correction.left.map(|(path, _)| path), Some(folder.clone()));
        assert_eq!(mode(&folder), 0o1777);
        fs::remove_dir_all(&folder).expect("it can be removed");
    }
}
