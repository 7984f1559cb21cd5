//! `boxoffice plugin new`: writes a complete project in a chosen language.
//!
//! Called by the plugin commands. The projects' files are in the folder `templates` of this crate (`new/projects.rs`); the contract
//! comes from the crate boxoffice-wit, so a project always has the version of this program.

mod projects;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use boxoffice_engine::PluginName;
use clap::{Args, ValueEnum};

use crate::cli::print;

/// Longest name of a project; npm and cargo allow more.
const NAME_CHARACTERS_MAX: usize = 64;

/// `boxoffice plugin new`.
#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// The project's name and folder: a-z, 0-9 and -, beginning with a letter.
    #[arg(value_parser = parse_name)]
    name: String,
    /// The language.
    #[arg(long, value_enum)]
    lang: Language,
    /// What the plugin does.
    #[arg(long, value_enum, default_value_t = Kind::Policy)]
    kind: Kind,
}

/// A language with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Needs Rust; the smallest and fastest components, together with C.
    Rust,
    /// Needs Node.js.
    Js,
    /// Needs Node.js; checked by `tsc` before it is built.
    Ts,
    /// Needs Python; components of 18 MB, which a host's operator must allow.
    Python,
    /// Needs Python and Node.js, no C compiler.
    C,
}

/// A world of the WIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Decides about bookings.
    Policy,
    /// Writes mails.
    Template,
    /// Does both, with one configuration.
    Plugin,
}

impl Kind {
    fn world(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Template => "template",
            Self::Plugin => "plugin",
        }
    }

    fn decides(self) -> bool {
        matches!(self, Self::Policy | Self::Plugin)
    }

    fn words(self) -> bool {
        matches!(self, Self::Template | Self::Plugin)
    }
}

/// Writes a project into a new folder and prints the folder; what to do next goes to stderr.
pub(super) fn new(args: &NewArgs) -> anyhow::Result<()> {
    let folder = PathBuf::from(&args.name);
    write_project(args, &folder)?;
    print(&folder.display().to_string())?;
    eprintln!(
        "written; {}/README.md says how to build and try it",
        args.name
    );
    Ok(())
}

/// Writes a project's files into a new folder, or nothing.
fn write_project(args: &NewArgs, folder: &Path) -> anyhow::Result<()> {
    // Not create_dir_all: it would succeed for an existing folder, and overwrite files in it.
    if let Err(error) = fs::create_dir(folder) {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            bail!(
                "{} is there already; choose another name or remove it",
                folder.display()
            );
        }
        return Err(error).with_context(|| folder.display().to_string());
    }
    for (path, content) in files(args) {
        let path = folder.join(path);
        let parent = path
            .parent()
            .expect("every file lies in the project's folder");
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        fs::write(&path, content).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Every file of a project, with its path in the project.
fn files(args: &NewArgs) -> Vec<(&'static str, Vec<u8>)> {
    let mut files: Vec<(&str, Vec<u8>)> = projects::of(args.lang, args.kind)
        .into_iter()
        .map(|(path, content)| (path, filled(content, args)))
        .collect();
    let wit = match args.lang {
        Language::Rust => "boxoffice-plugin/wit/boxoffice.wit",
        Language::Js | Language::Ts | Language::Python | Language::C => "wit/boxoffice.wit",
    };
    files.push((wit, boxoffice_wit::WIT.as_bytes().to_vec()));
    files
}

/// Replaces the placeholders for the project's name and kind; bytes that are no text stay unchanged.
fn filled(content: &[u8], args: &NewArgs) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(content) else {
        return content.to_vec();
    };
    text.replace("{{next}}", projects::NEXT)
        .replace("{{runs}}", &runs(args))
        .replace("{{component}}", &component(args))
        .replace("{{config}}", &config(args))
        .replace("{{name}}", &args.name)
        .replace("{{kind}}", args.kind.world())
        .into_bytes()
}

/// The component that a project builds.
fn component(args: &NewArgs) -> String {
    match args.lang {
        Language::Rust => "target/wasm32-wasip2/release/plugin.wasm".to_owned(),
        Language::Js | Language::Ts | Language::Python | Language::C => {
            format!("{}.wasm", args.name)
        }
    }
}

/// A valid configuration. The template in C has no settings.
fn config(args: &NewArgs) -> String {
    let mut settings = Vec::new();
    if args.kind.decides() {
        settings.push(r#""ticketsMax": 4"#);
    }
    if args.kind.words() && args.lang != Language::C {
        settings.push(r#""greeting": "Ahoy""#);
    }
    format!("{{{}}}", settings.join(", "))
}

/// The commands that run each fixture.
fn runs(args: &NewArgs) -> String {
    let component = component(args);
    let option = match args.lang {
        Language::Python => " --upload-bytes-max 33554432",
        Language::Rust | Language::Js | Language::Ts | Language::C => "",
    };
    let run =
        |fixture: &&str| format!("boxoffice plugin run {component} --input {fixture}{option}");
    let fixtures = projects::fixtures(args.kind);
    let paths: Vec<&str> = fixtures.iter().map(|(path, _)| *path).collect();
    paths.iter().map(run).collect::<Vec<_>>().join("\n")
}

fn parse_name(name: &str) -> Result<String, String> {
    let is_allowed = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-'
    };
    if name.is_empty() || name.len() > NAME_CHARACTERS_MAX {
        return Err(format!("expected 1 to {NAME_CHARACTERS_MAX} characters"));
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase())
        || name.ends_with('-')
        || !name.chars().all(is_allowed)
    {
        return Err("expected a-z, 0-9 and -, beginning with a letter and not ending with -, such as members-only".to_owned());
    }
    if PluginName::parse("name", name).is_err() {
        return Err(format!(
            "`{name}` is no name that a host takes for a plugin; choose another"
        ));
    }
    if name == "boxoffice-plugin" {
        return Err("the library in the project has this name; choose another".to_owned());
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_project_is_whole() {
        for &lang in Language::value_variants() {
            for &kind in Kind::value_variants() {
                let args = NewArgs {
                    name: "night-club".to_owned(),
                    lang,
                    kind,
                };
                let files = files(&args);
                let mut paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
                for needed in ["README.md", ".gitignore", "config.json"] {
                    assert!(paths.contains(&needed), "{lang:?} {kind:?} lacks {needed}");
                }
                assert!(paths.iter().any(|path| path.ends_with("boxoffice.wit")));
                assert!(paths.iter().any(|path| path.starts_with("fixtures/")));
                for (path, content) in files.iter().filter(|(path, _)| path.ends_with(".json")) {
                    let read: Result<serde_json::Value, _> = serde_json::from_slice(content);
                    assert!(read.is_ok(), "{path} of {lang:?} {kind:?}: {read:?}");
                }
                let wrong = paths
                    .iter()
                    .filter(|path| path.starts_with("fixtures/wrong-"));
                let halves = usize::from(kind.decides()) + usize::from(kind.words());
                assert_eq!(
                    wrong.count(),
                    halves,
                    "{lang:?} {kind:?} tries a wrong configuration"
                );
                for (path, content) in &files {
                    let text = String::from_utf8_lossy(content);
                    assert!(
                        !text.contains("{{"),
                        "{path} of {lang:?} {kind:?} has a place that was not filled"
                    );
                    assert!(!content.is_empty(), "{path} of {lang:?} {kind:?} is empty");
                }
                paths.sort_unstable();
                paths.dedup();
                assert_eq!(
                    paths.len(),
                    files.len(),
                    "{lang:?} {kind:?} writes a file twice"
                );
            }
        }
    }

    #[test]
    fn names_are_good_folder_and_package_names() {
        for good in ["a", "members-only", "x2", &"a".repeat(64)] {
            assert!(parse_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "2x",
            "A",
            "a_b",
            "a/b",
            "..",
            "a b",
            "boxoffice-plugin",
            "versions",
            &"a".repeat(65),
        ] {
            assert!(parse_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = std::env::temp_dir().join(format!("boxoffice-new-{}", std::process::id()));
        let args = NewArgs {
            name: "twice".to_owned(),
            lang: Language::Js,
            kind: Kind::Policy,
        };
        write_project(&args, &folder).expect("the first is written");
        fs::write(folder.join("plugin.js"), "mine").expect("a file is changed");
        let second = write_project(&args, &folder).expect_err("the second is refused");
        assert!(second.to_string().contains("is there already"));
        assert_eq!(
            fs::read_to_string(folder.join("plugin.js")).expect("it is there"),
            "mine"
        );
        fs::remove_dir_all(&folder).expect("it can be removed");
    }
}
