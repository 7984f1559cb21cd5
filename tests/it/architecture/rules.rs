//! The rules: what each refuses, where, and how to mend it.

use std::fmt;

use super::source::{SourceFile, has_word};

/// A place that breaks a rule.
pub(super) struct Finding {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) rule: &'static str,
    pub(super) fix: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}: {}",
            self.path, self.line, self.rule, self.fix
        )
    }
}

/// Something that no file may do.
pub(super) struct Rule {
    pub(super) name: &'static str,
    fix: &'static str,
    /// The lines that break it, counted from 1.
    lines: fn(&SourceFile) -> Vec<usize>,
}

impl Rule {
    pub(super) fn check(&self, file: &SourceFile) -> Vec<Finding> {
        let finding = |line| Finding {
            path: file.path.clone(),
            line,
            rule: self.name,
            fix: self.fix,
        };
        (self.lines)(file).into_iter().map(finding).collect()
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "file-head",
        fix: "begin the file with `//!`: what lives here, who calls it, what it calls",
        lines: |file| match file.path.ends_with(".rs") && !file.text.starts_with("//! ") {
            true => vec![1],
            false => Vec::new(),
        },
    },
    Rule {
        name: "test-head",
        fix: "begin the test file with its `Goal:` and its `Method:`",
        lines: |file| {
            let head: Vec<&str> = file
                .text
                .lines()
                .take_while(|line| line.starts_with("//!"))
                .collect();
            let says = |word: &str| head.iter().any(|line| line.contains(word));
            let has_tests = file.is_in("tests/it/") && !file.lines_where(is_test_mark).is_empty();
            if has_tests && !(says("Goal:") && says("Method:")) {
                vec![1]
            } else {
                Vec::new()
            }
        },
    },
    Rule {
        name: "engine-knows-no-transport",
        fix: "the engine knows no HTTP, WASM, NATS or SMTP: put this behind a port and into the host",
        lines: |file| {
            const CRATES: [&str; 10] = [
                "axum",
                "hyper",
                "reqwest",
                "tower",
                "tower_http",
                "wasmtime",
                "async_nats",
                "lettre",
                "clap",
                "boxoffice_host",
            ];
            if file.is_in("engine/src/") {
                return file.lines_where(|line| CRATES.iter().any(|name| has_word(line, name)));
            }
            let named = |line: &str| {
                CRATES
                    .iter()
                    .any(|name| line.starts_with(&name.replace('_', "-")))
            };
            if file.path == "engine/Cargo.toml" {
                file.lines_where(named)
            } else {
                Vec::new()
            }
        },
    },
    Rule {
        name: "store-only-in-repositories",
        fix: "only engine/src/modules/repositories names surrealdb: make this a repository method",
        lines: |file| {
            let allowed = file.path.starts_with("engine/src/modules/repositories/");
            match is_ours(file) && !allowed {
                true => file.lines_where(|line| has_word(line, "surrealdb")),
                false => Vec::new(),
            }
        },
    },
    Rule {
        name: "environment-only-in-config",
        fix: "only host/src/config.rs and its children read the environment: make this an option there",
        lines: |file| {
            let allowed =
                file.path == "host/src/config.rs" || file.path.starts_with("host/src/config/");
            let reads = |line: &str| {
                let calls = [
                    "env::var",
                    "env::vars",
                    "env::var_os",
                    "env::vars_os",
                    "env::set_var",
                ];
                calls.iter().any(|call| has_word(line, call))
                    || has_word(line, "providers::Env")
                    || clap_environment(line)
            };
            match is_ours(file) && !allowed {
                true => file.lines_where(reads),
                false => Vec::new(),
            }
        },
    },
    Rule {
        name: "calls-go-down",
        fix: "a layer names only the layers below it (see ARCHITECTURE.md): move the rule up or the word down",
        lines: calls_up_or_sideways,
    },
    Rule {
        name: "layers-are-private",
        fix: "declare layer folders with plain `mod`: the path is the permission",
        lines: |file| {
            const FOLDERS: [&str; 6] = [
                "modules",
                "repositories",
                "models",
                "schema",
                "worker",
                "controllers",
            ];
            let opens = |line: &str| {
                let Some(rest) = line.trim_start().strip_prefix("pub") else {
                    return false;
                };
                let name = rest.split_once("mod ").map_or("", |(_, name)| name);
                FOLDERS.contains(&name.trim_end().trim_end_matches([';', '{']).trim_end())
            };
            if is_ours(file) {
                file.lines_where(opens)
            } else {
                Vec::new()
            }
        },
    },
    Rule {
        name: "includes-stay-in-the-crate",
        fix: "an included file lies in the folder of its crate, or the crate does not package",
        lines: includes_that_leave,
    },
    Rule {
        name: "no-unwrap",
        fix: "outside tests use `?`, or `expect` with the invariant that makes it impossible",
        lines: |file| match is_ours(file) {
            true => file
                .lines_where(|line| line.contains(".unwrap()") || line.contains(".unwrap_err()")),
            false => Vec::new(),
        },
    },
    Rule {
        name: "no-unsafe",
        fix: "safe code only; the exceptions are where compiled plugins are loaded, and the program's allocator",
        lines: |file| {
            if !file.path.ends_with(".rs") {
                return Vec::new();
            }
            let found = file.lines_where(|line| has_word(line, "unsafe"));
            // Not a line more than those that are explained there.
            match UNSAFE_PLACES.contains(&(file.path.as_str(), found.len())) {
                true => Vec::new(),
                false => found,
            }
        },
    },
    Rule {
        name: "system-scope-places",
        fix: "no query runs without a tenant: take a `TenantId`; the list of exceptions may only shrink",
        lines: |file| {
            let listed = SYSTEM_SCOPES.iter().find(|(path, _)| *path == file.path);
            let allowed = listed.map_or(0, |(_, count)| *count);
            let made = system_scopes(file);
            made.into_iter().skip(allowed).collect()
        },
    },
    Rule {
        name: "one-mapping-to-statuses",
        fix: "only host/src/routes/controllers/problem.rs turns error kinds into statuses",
        lines: |file| match file.is_in("host/src/")
            && !file.path.starts_with("host/src/routes/controllers/problem")
        {
            true => file
                .lines_where(|line| has_word(line, "ErrorKind") && !line.contains("io::ErrorKind")),
            false => Vec::new(),
        },
    },
    Rule {
        name: "no-ignored-tests",
        fix: "a test runs or does not exist: make it quick, or put its long form behind BOXOFFICE_LONG",
        lines: |file| match file.path.ends_with(".rs") {
            true => {
                let text = file.uncommented.lines().enumerate();
                text.filter(|(_, line)| line.trim_start().starts_with("#[ignore"))
                    .map(|(index, _)| index + 1)
                    .collect()
            }
            false => Vec::new(),
        },
    },
];

/// The only files with `unsafe` in them, and in how many lines: machine code of plugins is loaded there, and memory
/// shared out between two allocators.
const UNSAFE_PLACES: &[(&str, usize)] = &[
    ("host/src/allocator.rs", 9),
    ("host/src/plugin_host/cache.rs", 1),
];

/// Where leave to work across tenants is given, and how often: in what the worker, migrations and operators do.
/// The numbers may only fall; a test holds them to what is there.
pub(super) const SYSTEM_SCOPES: &[(&str, usize)] = &[
    // A backup is of all tenants.
    ("engine/src/modules/operations/backups/mod.rs", 1),
    ("engine/src/modules/bookings/holds.rs", 1),
    // Operators look across tenants; worker processes belong to none.
    ("engine/src/modules/notifications/delivery_admin.rs", 3),
    (
        "engine/src/modules/notifications/delivery_admin/lanes.rs",
        2,
    ),
    (
        "engine/src/modules/notifications/delivery_admin/workers.rs",
        4,
    ),
    ("engine/src/modules/operations/housekeeping.rs", 3),
    // What operators did outside tenants is found by its key.
    ("engine/src/modules/idempotency.rs", 1),
    ("engine/src/modules/operations/leases.rs", 1),
    // One commit for the batches of all tenants that a worker has in hand.
    ("engine/src/modules/notifications/delivery_writer.rs", 1),
    ("engine/src/modules/notifications/outbox_relay.rs", 3),
    ("engine/src/modules/operators.rs", 6),
    ("engine/src/modules/notifications/embedded_queue.rs", 4),
    ("engine/src/modules/repositories/migrations.rs", 2),
    // Operators' sessions lie outside tenants, and one log says of all tenants whose have ended.
    ("engine/src/modules/users/sessions/mod.rs", 1),
    ("engine/src/modules/users/sessions/principals.rs", 1),
    ("engine/src/modules/tenants.rs", 1),
    ("engine/src/modules/operations/verification.rs", 1),
];

/// The lines that make a `SystemScope`.
pub(super) fn system_scopes(file: &SourceFile) -> Vec<usize> {
    if file.is_in("engine/src/") {
        file.lines_where(|line| has_word(line, "SystemScope::new"))
    } else {
        Vec::new()
    }
}

/// Which paths each folder of the engine may not name; the first folder that fits a file counts.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "engine/src/types/",
        &[
            "ports",
            "modules",
            "app_modules",
            "worker",
            "engine",
            "builder",
            "context",
            "settings",
        ],
    ),
    (
        "engine/src/ports/",
        &[
            "modules",
            "app_modules",
            "worker",
            "engine",
            "builder",
            "context",
            "settings",
        ],
    ),
    (
        "engine/src/modules/",
        &[
            "app_modules",
            "policy_check",
            "worker",
            "engine",
            "builder",
            "context",
        ],
    ),
    (
        "engine/src/app_modules/",
        &["modules::repositories", "worker", "engine", "builder"],
    ),
    (
        "engine/src/worker/",
        &["modules::repositories", "engine", "builder"],
    ),
    // A leaf.
    (
        "engine/src/settings.rs",
        &[
            "ports",
            "modules",
            "app_modules",
            "policy_check",
            "worker",
            "engine",
            "builder",
            "context",
        ],
    ),
];

fn calls_up_or_sideways(file: &SourceFile) -> Vec<usize> {
    // Probes hold what must not compile; the test command sees to it that they don't.
    if file.path.ends_with("/layer_probe.rs") {
        return Vec::new();
    }
    let refused = REFUSED
        .iter()
        .find(|(folder, _)| file.is_in(folder))
        .map_or(&[][..], |(_, refused)| refused);
    let is_refused = |path: &str| {
        let inner = path.strip_prefix("crate::").unwrap_or_default();
        let below = |prefix: &str| {
            inner == prefix
                || inner
                    .strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with("::"))
        };
        let repositories = file.path.starts_with("engine/src/modules/repositories/");
        let models = file
            .path
            .starts_with("engine/src/modules/repositories/models/");
        // The area an AppModule is about: its file's name, or the folder of its files.
        let area = file.path.strip_prefix("engine/src/app_modules/");
        let area = area
            .and_then(|rest| rest.split(['/', '.']).next())
            .filter(|area| *area != "mod");
        let sideways = area
            .is_some_and(|area| below("app_modules") && !below(&format!("app_modules::{area}")));
        refused.iter().any(|prefix| below(prefix))
            // A repository knows no rule, a model no repository, a use case no other use case.
            || (repositories && below("modules") && !below("modules::repositories"))
            || (models && below("modules::repositories") && !below("modules::repositories::models"))
            || sideways
    };
    let mut lines: Vec<usize> = file
        .crate_paths()
        .into_iter()
        .filter(|(_, path)| is_refused(path))
        .map(|(line, _)| line)
        .collect();
    lines.dedup();
    lines
}

fn includes_that_leave(file: &SourceFile) -> Vec<usize> {
    // The tests are not packaged, and quote such lines as snippets.
    if file.is_in("tests/") {
        return Vec::new();
    }
    const MACROS: [&str; 3] = ["include_str!", "include_bytes!", "include!"];
    // Folders between the crate's own folder and the file: `engine/src/a/b.rs` lies two deep.
    let depth = file.path.split('/').count().saturating_sub(2);
    let lines: Vec<&str> = file.uncommented.lines().collect();
    let leaves = |line: usize| {
        // The path may stand on one of the next lines, and be put together; its first piece says how far up it goes.
        let text = lines[line - 1..lines.len().min(line + 2)].join(" ");
        let at = MACROS.iter().find_map(|name| text.find(name)).unwrap_or(0);
        let path = text[at..].split('"').nth(1).unwrap_or_default();
        path.starts_with('/') || path.split('/').filter(|part| *part == "..").count() > depth
    };
    let included = file.lines_where(|line| MACROS.iter().any(|name| line.contains(name)));
    included.into_iter().filter(|line| leaves(*line)).collect()
}

/// Whether a file is part of what platforms run.
fn is_ours(file: &SourceFile) -> bool {
    ["engine/src/", "host/src/", "nats/src/"]
        .iter()
        .any(|folder| file.is_in(folder))
}

fn is_test_mark(line: &str) -> bool {
    line.trim_start().starts_with("#[test]") || line.trim_start().starts_with("#[tokio::test")
}

/// Whether clap would read an argument from the environment, past the configuration.
fn clap_environment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("#[arg(") && has_word(line, "env")
}
