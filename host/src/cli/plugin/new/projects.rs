//! The files of the projects that `boxoffice plugin new` writes, compiled in from this crate's folder `templates`.
//!
//! Called by `new.rs`. `plugins/generate` keeps those that are copies of other files up to date.

use super::{Kind, Language};

/// A file: its path in the project, and its content with places to fill.
type File = (&'static str, &'static [u8]);

macro_rules! template {
    ($path:literal) => {
        include_bytes!(concat!("../../../../templates/", $path)).as_slice()
    };
}

/// The files of a project in a language, without the contract.
pub(super) fn of(language: Language, kind: Kind) -> Vec<File> {
    let mut files = vec![(".gitignore", template!("gitignore"))];
    files.extend(fixtures(kind));
    match language {
        Language::Rust => files.extend(rust(kind)),
        Language::Js => files.extend(js(kind)),
        Language::Python => files.extend(python(kind)),
        Language::C => files.extend(c(kind)),
    }
    files
}

/// Calls to try a plugin with, one for each way it may answer.
pub(super) fn fixtures(kind: Kind) -> [File; 2] {
    match kind {
        Kind::Policy => [
            (
                "fixtures/accepted.json",
                template!("fixtures/accepted.json"),
            ),
            (
                "fixtures/rejected.json",
                template!("fixtures/rejected.json"),
            ),
        ],
        Kind::Template => [
            (
                "fixtures/confirmed.json",
                template!("fixtures/confirmed.json"),
            ),
            (
                "fixtures/not-mine.json",
                template!("fixtures/not-mine.json"),
            ),
        ],
    }
}

fn rust(kind: Kind) -> [File; 11] {
    let source = match kind {
        Kind::Policy => template!("rust/policy/lib.rs"),
        Kind::Template => template!("rust/template/lib.rs"),
    };
    // Manifests have another name here, because cargo packages no folder that holds one.
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
            "boxoffice-plugin/src/templates.rs",
            template!("rust/boxoffice-plugin/src/templates.rs"),
        ),
        (
            "boxoffice-plugin/src/times.rs",
            template!("rust/boxoffice-plugin/src/times.rs"),
        ),
    ]
}

fn js(kind: Kind) -> [File; 4] {
    let source = match kind {
        Kind::Policy => template!("js/policy/plugin.js"),
        Kind::Template => template!("js/template/plugin.js"),
    };
    [
        ("package.json", template!("js/package.json")),
        ("package-lock.json", template!("js/package-lock.json")),
        ("README.md", template!("js/README.md")),
        ("plugin.js", source),
    ]
}

fn python(kind: Kind) -> [File; 3] {
    let source = match kind {
        Kind::Policy => template!("python/policy/app.py"),
        Kind::Template => template!("python/template/app.py"),
    };
    [
        ("requirements.txt", template!("python/requirements.txt")),
        ("README.md", template!("python/README.md")),
        ("app.py", source),
    ]
}

fn c(kind: Kind) -> [File; 10] {
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
    };
    let [bindings_c, bindings_h, bindings_o] = bindings;
    [
        ("package.json", template!("c/package.json")),
        ("package-lock.json", template!("c/package-lock.json")),
        ("requirements.txt", template!("c/requirements.txt")),
        ("README.md", template!("c/README.md")),
        ("build.sh", template!("c/build.sh")),
        ("wrap.mjs", template!("c/wrap.mjs")),
        ("plugin.c", source),
        bindings_c,
        bindings_h,
        bindings_o,
    ]
}
