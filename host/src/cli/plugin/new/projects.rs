//! The files of the projects that `boxoffice plugin new` writes, compiled in from this crate's folder `templates`.
//!
//! Called by `new.rs`. `plugins/generate` keeps those that are copies of other files up to date.

use super::{Kind, Language};

/// A file: its path in the project, and its content with placeholders.
type File = (&'static str, &'static [u8]);

macro_rules! template {
    ($path:literal) => {
        include_bytes!(concat!("../../../../templates/", $path)).as_slice()
    };
}

/// The end of each README: uploading, configuring, logs and limits.
pub(super) const NEXT: &str = include_str!("../../../../templates/next.md");

/// The files of a project in a language, without the contract.
pub(super) fn of(language: Language, kind: Kind) -> Vec<File> {
    let mut files = vec![
        (".gitignore", template!("gitignore")),
        ("config.json", b"{{config}}\n".as_slice()),
    ];
    files.extend(fixtures(kind));
    match language {
        Language::Rust => files.extend(rust(kind)),
        Language::Js => files.extend(js(kind)),
        Language::Ts => files.extend(ts(kind)),
        Language::Python => files.extend(python(kind)),
        Language::C => files.extend(c(kind)),
    }
    files
}

/// Fixtures: one for each possible answer, and one with an invalid configuration.
pub(super) fn fixtures(kind: Kind) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    if kind.decides() {
        files.extend([
            (
                "fixtures/accepted.json",
                template!("fixtures/accepted.json"),
            ),
            (
                "fixtures/rejected.json",
                template!("fixtures/rejected.json"),
            ),
            (
                "fixtures/wrong-configuration.json",
                template!("fixtures/wrong-configuration.json"),
            ),
        ]);
    }
    if kind.words() {
        files.extend([
            (
                "fixtures/confirmed.json",
                template!("fixtures/confirmed.json"),
            ),
            (
                "fixtures/not-mine.json",
                template!("fixtures/not-mine.json"),
            ),
            (
                "fixtures/wrong-words.json",
                template!("fixtures/wrong-words.json"),
            ),
        ]);
    }
    files
}

fn rust(kind: Kind) -> [File; 12] {
    let source = match kind {
        Kind::Policy => template!("rust/policy/lib.rs"),
        Kind::Template => template!("rust/template/lib.rs"),
        Kind::Plugin => template!("rust/plugin/lib.rs"),
    };
    // Manifests have another name here, because cargo does not package a folder with a manifest.
    [
        ("Cargo.toml", template!("rust/Cargo.toml.template")),
        ("README.md", template!("rust/README.md")),
        ("src/lib.rs", source),
        (
            "boxoffice-plugin/Cargo.toml",
            template!("rust/boxoffice-plugin/Cargo.toml.template"),
        ),
        (
            "boxoffice-plugin/src/bindings.rs",
            template!("rust/boxoffice-plugin/src/bindings.rs"),
        ),
        (
            "boxoffice-plugin/src/configuration.rs",
            template!("rust/boxoffice-plugin/src/configuration.rs"),
        ),
        (
            "boxoffice-plugin/src/lib.rs",
            template!("rust/boxoffice-plugin/src/lib.rs"),
        ),
        (
            "boxoffice-plugin/src/log.rs",
            template!("rust/boxoffice-plugin/src/log.rs"),
        ),
        (
            "boxoffice-plugin/src/policies.rs",
            template!("rust/boxoffice-plugin/src/policies.rs"),
        ),
        (
            "boxoffice-plugin/src/requests.rs",
            template!("rust/boxoffice-plugin/src/requests.rs"),
        ),
        (
            "boxoffice-plugin/src/templates.rs",
            template!("rust/boxoffice-plugin/src/templates.rs"),
        ),
        (
            "boxoffice-plugin/src/times.rs",
            template!("rust/boxoffice-plugin/src/times.rs"),
        ),
    ]
}

fn js(kind: Kind) -> Vec<File> {
    let mut files = vec![
        ("package.json", template!("js/package.json")),
        ("package-lock.json", template!("js/package-lock.json")),
        ("jsconfig.json", template!("js/jsconfig.json")),
        ("README.md", template!("js/README.md")),
        ("plugin.js", javascript(kind)),
    ];
    files.extend(javascript_library());
    files
}

/// The same source as in JavaScript: `tsc` infers all types.
fn ts(kind: Kind) -> Vec<File> {
    let mut files = vec![
        ("package.json", template!("ts/package.json")),
        ("package-lock.json", template!("ts/package-lock.json")),
        ("tsconfig.json", template!("ts/tsconfig.json")),
        ("README.md", template!("ts/README.md")),
        ("plugin.ts", javascript(kind)),
    ];
    files.extend(javascript_library());
    files
}

fn javascript(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Policy => template!("js/policy/plugin.js"),
        Kind::Template => template!("js/template/plugin.js"),
        Kind::Plugin => template!("js/plugin/plugin.js"),
    }
}

fn javascript_library() -> [File; 4] {
    [
        (
            "boxoffice-plugin/package.json",
            template!("js/boxoffice-plugin/package.json"),
        ),
        (
            "boxoffice-plugin/index.js",
            template!("js/boxoffice-plugin/index.js"),
        ),
        (
            "boxoffice-plugin/index.d.ts",
            template!("js/boxoffice-plugin/index.d.ts"),
        ),
        (
            "boxoffice-plugin/contract.d.ts",
            template!("js/boxoffice-plugin/contract.d.ts"),
        ),
    ]
}

fn python(kind: Kind) -> [File; 3] {
    let source = match kind {
        Kind::Policy => template!("python/policy/app.py"),
        Kind::Template => template!("python/template/app.py"),
        Kind::Plugin => template!("python/plugin/app.py"),
    };
    [
        ("requirements.txt", template!("python/requirements.txt")),
        ("README.md", template!("python/README.md")),
        ("app.py", source),
    ]
}

fn c(kind: Kind) -> [File; 11] {
    let (source, bindings): (_, [File; 3]) = match kind {
        Kind::Policy => (
            template!("c/policy/plugin.c"),
            [
                ("bindings/policy.c", template!("c/policy/bindings/policy.c")),
                ("bindings/policy.h", template!("c/policy/bindings/policy.h")),
                (
                    "bindings/policy_component_type.o",
                    template!("c/policy/bindings/policy_component_type.o"),
                ),
            ],
        ),
        Kind::Template => (
            template!("c/template/plugin.c"),
            [
                (
                    "bindings/template.c",
                    template!("c/template/bindings/template.c"),
                ),
                (
                    "bindings/template.h",
                    template!("c/template/bindings/template.h"),
                ),
                (
                    "bindings/template_component_type.o",
                    template!("c/template/bindings/template_component_type.o"),
                ),
            ],
        ),
        Kind::Plugin => (
            template!("c/plugin/plugin.c"),
            [
                ("bindings/plugin.c", template!("c/plugin/bindings/plugin.c")),
                ("bindings/plugin.h", template!("c/plugin/bindings/plugin.h")),
                (
                    "bindings/plugin_component_type.o",
                    template!("c/plugin/bindings/plugin_component_type.o"),
                ),
            ],
        ),
    };
    let [bindings_c, bindings_h, bindings_o] = bindings;
    [
        ("package.json", template!("c/package.json")),
        ("package-lock.json", template!("c/package-lock.json")),
        ("requirements.txt", template!("c/requirements.txt")),
        ("README.md", template!("c/README.md")),
        ("build.sh", template!("c/build.sh")),
        ("wrap.mjs", template!("c/wrap.mjs")),
        ("settings.h", template!("c/settings.h")),
        ("plugin.c", source),
        bindings_c,
        bindings_h,
        bindings_o,
    ]
}
