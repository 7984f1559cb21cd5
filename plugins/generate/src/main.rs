//! Writes every file of this repository that is made of another one: C bindings and TypeScript types of the WIT, and the copies that
//! projects of `boxoffice plugin new` carry. With `--check` it only says which are out of date.
//!
//! Run by hand after a change of the WIT or the SDK (`cargo run -p generate`), and by the test command with `--check`.
//! The C bindings are committed, so that nobody needs Rust to write a plugin in C; the SDK is copied, so that every
//! crate packages by itself.

mod typescript;

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use wit_bindgen_core::Files;
use wit_parser::Resolve;

const WIT: &str = "wit/boxoffice.wit";

/// Which folder holds the C bindings of which world.
const C_BINDINGS: [(&str, &str); 4] = [
    ("policy", "plugins/max-per-customer/bindings"),
    ("policy", "host/templates/c/policy/bindings"),
    ("template", "host/templates/c/template/bindings"),
    ("plugin", "host/templates/c/plugin/bindings"),
];

/// The contract's types for JavaScript and TypeScript.
const TYPESCRIPT: &str = "host/templates/js/boxoffice-plugin/contract.d.ts";

/// Which file is a copy of which, with the example's name made the place of a name.
const COPIES: [(&str, &str); 10] = [
    (WIT, "plugins/sdk/wit/boxoffice.wit"),
    (
        "plugins/sdk/Cargo.toml",
        "host/templates/rust/boxoffice-plugin/Cargo.toml.template",
    ),
    (
        "plugins/sdk/src",
        "host/templates/rust/boxoffice-plugin/src",
    ),
    (
        "plugins/group-discount/package-lock.json",
        "host/templates/js/package-lock.json",
    ),
    (
        "plugins/max-per-customer/package-lock.json",
        "host/templates/c/package-lock.json",
    ),
    (
        "plugins/max-per-customer/package.json",
        "host/templates/c/package.json",
    ),
    (
        "plugins/max-per-customer/requirements.txt",
        "host/templates/c/requirements.txt",
    ),
    (
        "plugins/max-per-customer/wrap.mjs",
        "host/templates/c/wrap.mjs",
    ),
    (
        "plugins/weekday-pricing/requirements.txt",
        "host/templates/python/requirements.txt",
    ),
    ("plugins/.gitignore", "host/templates/gitignore"),
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let only_checks = std::env::args().any(|argument| argument == "--check");
    // As cargo says it now: the program may have been built where another copy of the source was.
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?)
        .join("../..")
        .canonicalize()?;
    let mut wanted = BTreeMap::new();
    for (world, folder) in C_BINDINGS {
        for (name, bytes) in c_bindings(&root.join(WIT), world)? {
            wanted.insert(Path::new(folder).join(name), bytes);
        }
    }
    wanted.insert(PathBuf::from(TYPESCRIPT), typescript::types(&root.join(WIT))?);
    for (from, to) in COPIES {
        copies(&root, Path::new(from), Path::new(to), &mut wanted)?;
    }
    let mut is_current = true;
    for (path, bytes) in wanted {
        if fs::read(root.join(&path)).is_ok_and(|found| found == bytes) {
            continue;
        }
        is_current = false;
        println!(
            "{}: {}",
            if only_checks {
                "out of date"
            } else {
                "written"
            },
            path.display()
        );
        if !only_checks {
            fs::create_dir_all(root.join(&path).parent().expect("a file lies in a folder"))?;
            fs::write(root.join(&path), bytes)?;
        }
    }
    if only_checks && !is_current {
        println!("run `cargo run -p generate` in plugins/");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The files that wit-bindgen makes of a world: a source, a header, and an object that carries the world's types.
fn c_bindings(wit: &Path, world: &str) -> Result<Vec<(PathBuf, Vec<u8>)>, Box<dyn Error>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_path(wit)?.0;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)?;
    Ok(files
        .iter()
        .map(|(name, bytes)| (PathBuf::from(name), bytes.to_vec()))
        .collect())
}

/// Notes a file, or every file of a folder, as it is to be elsewhere.
fn copies(
    root: &Path,
    from: &Path,
    to: &Path,
    wanted: &mut BTreeMap<PathBuf, Vec<u8>>,
) -> Result<(), Box<dyn Error>> {
    if root.join(from).is_dir() {
        for entry in fs::read_dir(root.join(from))? {
            let name = entry?.file_name();
            copies(root, &from.join(&name), &to.join(&name), wanted)?;
        }
        return Ok(());
    }
    let mut bytes = fs::read(root.join(from))?;
    // A project of npm has its name in both of its files.
    if from
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        let example = from
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default()
            .to_string_lossy();
        bytes = String::from_utf8(bytes)?
            .replace(&format!("{example:?}"), "\"{{name}}\"")
            .into_bytes();
    }
    wanted.insert(to.to_owned(), bytes);
    Ok(())
}
