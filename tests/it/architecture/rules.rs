//! The rules: what each refuses, where, and how to mend it.

use std::fmt;

use super::source::SourceFile;

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
            let head = file.text.lines().take_while(|line| line.starts_with("//!"));
            let head: String = head.collect();
            let marks: [&[&str]; 2] = [&["#", "[", "test"], &["tokio", ":", ":", "test"]];
            let has_tests = marks.iter().any(|mark| !file.lines_with(mark).is_empty());
            let is_said = head.contains("Goal:") && head.contains("Method:");
            match file.is_in("tests/it/") && has_tests && !is_said {
                true => vec![1],
                false => Vec::new(),
            }
        },
    },
    Rule {
        name: "time-passes-in-one-place",
        fix: "wait for a condition with `wait_for`, or call `pass_time` and say why time itself is tested",
        lines: |file| {
            let is_test = file.is_in("tests/it/") || file.is_in("tests/src/");
            // The load program measures.
            let may = file.is_in("tests/src/bin/") || file.path == "tests/src/kit/wait.rs";
            match is_test && !may {
                true => file.lines_with(&["sleep"]),
                false => Vec::new(),
            }
        },
    },
    Rule {
        name: "kit-knows-only-the-engine",
        fix: "the kit becomes a crate that depends on the engine alone: put this beside it, in tests/src",
        lines: |file| {
            const OTHERS: [&str; 4] =
                ["crate", "boxoffice_host", "boxoffice_nats", "boxoffice_wit"];
            match file.is_in("tests/src/kit/") {
                true => OTHERS
                    .iter()
                    .flat_map(|name| file.lines_with(&[*name]))
                    .collect(),
                false => Vec::new(),
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
                let named = CRATES.iter().flat_map(|name| file.lines_with(&[*name]));
                return named.collect();
            }
            let lines = file.text.lines().enumerate();
            // As a key, in the name of a table, or as the package behind another name.
            let named = lines.filter(|(_, line)| {
                let code = line.split('#').next().unwrap_or_default();
                let is_part = |one: char| one.is_ascii_alphanumeric() || one == '-' || one == '_';
                let mut words = code.split(|one| !is_part(one));
                words.any(|word| CRATES.contains(&word.replace('-', "_").as_str()))
            });
            match file.path == "engine/Cargo.toml" {
                true => named.map(|(index, _)| index + 1).collect(),
                false => Vec::new(),
            }
        },
    },
    Rule {
        name: "store-only-in-repositories",
        fix: "only engine/src/modules/repositories names surrealdb: make this a repository method",
        lines: |file| match is_ours(file) && !file.is_in("engine/src/modules/repositories/") {
            true => file.lines_with(&["surrealdb"]),
            false => Vec::new(),
        },
    },
    Rule {
        name: "environment-only-in-config",
        fix: "only host/src/config.rs and its children read the environment: make this an option there",
        lines: |file| {
            let allowed = file.path == "host/src/config.rs" || file.is_in("host/src/config/");
            if !is_ours(file) || allowed {
                return Vec::new();
            }
            const NAMES: [&str; 5] = ["var", "vars", "var_os", "vars_os", "set_var"];
            let calls = NAMES.map(|name| file.lines_with(&["env", ":", ":", name]));
            let mut lines = calls.concat();
            // clap would read an argument from the environment, past the configuration.
            for before in ["(", ","] {
                for behind in [")", ",", "="] {
                    lines.extend(file.lines_with(&[before, "env", behind]));
                }
            }
            lines
        },
    },
    Rule {
        name: "calls-go-down",
        fix: "a layer names only the layers below it (see ARCHITECTURE.md): move the rule up or the word down",
        lines: calls_up_or_sideways,
    },
    Rule {
        name: "no-root-re-exports",
        fix: "inside a crate, import from the module that defines it, not through what lib.rs re-exports",
        lines: |file| {
            let is_root = |path: &str| {
                path.strip_prefix("crate::")
                    .is_some_and(|rest| rest == "*" || rest.starts_with(char::is_uppercase))
            };
            match is_ours(file) && !file.path.ends_with("/src/lib.rs") {
                true => lines_of_paths(file, is_root),
                false => Vec::new(),
            }
        },
    },
    Rule {
        name: "layers-are-private",
        fix: "declare layer folders with plain `mod`, so that only the parent can name them",
        lines: |file| {
            const FOLDERS: [&str; 6] = [
                "modules",
                "repositories",
                "models",
                "schema",
                "worker",
                "controllers",
            ];
            let declared = file.modules.iter();
            let opened = declared.filter(|(_, name, is_public)| {
                *is_public && is_ours(file) && FOLDERS.contains(&name.as_str())
            });
            opened.map(|(line, ..)| *line).collect()
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
            true => {
                let calls = ["unwrap", "unwrap_err"];
                calls
                    .map(|name| file.lines_with(&[".", name, "("]))
                    .concat()
            }
            false => Vec::new(),
        },
    },
    Rule {
        name: "no-unsafe",
        fix: "safe code only; the exceptions are where compiled plugins are loaded, and the program's allocator",
        lines: |file| {
            let found = file.all_lines_with(&["unsafe"]);
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
            system_scopes(file).into_iter().skip(allowed).collect()
        },
    },
    Rule {
        name: "one-mapping-to-statuses",
        fix: "only host/src/routes/problem.rs turns error kinds into statuses",
        lines: |file| {
            if !file.is_in("host/src/") || file.is_in("host/src/routes/problem") {
                return Vec::new();
            }
            let of_io = file.lines_with(&["io", ":", ":", "ErrorKind"]);
            let mut found = file.lines_with(&["ErrorKind"]);
            found.retain(|line| !of_io.contains(line));
            found
        },
    },
    Rule {
        name: "no-ignored-tests",
        fix: "a test runs or does not exist: make it quick, or put its long form behind BOXOFFICE_LONG",
        lines: |file| file.all_lines_with(&["#", "[", "ignore"]),
    },
    Rule {
        name: "file-size",
        fix: "a file has at most 500 lines: split it by what it holds",
        lines: |file| match is_ours(file) && file.text.lines().count() > FILE_LINES_MAX {
            true => vec![1],
            false => Vec::new(),
        },
    },
    Rule {
        name: "function-size",
        fix: "a function has at most 60 lines: split it where its comments split it",
        lines: |file| {
            let is_listed = |name: &str| LONG_FUNCTIONS.contains(&(file.path.as_str(), name));
            let long = file.functions.iter().filter(|function| {
                function.lines > FUNCTION_LINES_MAX && is_ours(file) && !is_listed(&function.name)
            });
            long.map(|function| function.line).collect()
        },
    },
    Rule {
        name: "parameters",
        fix: "a function takes at most five parameters, not counting `self`: make a type of those that belong together",
        lines: |file| {
            let wide = file.functions.iter().filter(|function| {
                let is_listed = WIDE_FUNCTIONS.contains(&(file.path.as_str(), &function.name));
                function.parameters > PARAMETERS_MAX && is_ours(file) && !is_listed
            });
            wide.map(|function| function.line).collect()
        },
    },
];

/// Files with `unsafe`, and in how many places.
const UNSAFE_PLACES: &[(&str, usize)] = &[
    ("host/src/allocator.rs", 11),
    ("host/src/plugin_host/cache.rs", 1),
];

const FILE_LINES_MAX: usize = 500;
pub(super) const FUNCTION_LINES_MAX: usize = 60;
pub(super) const PARAMETERS_MAX: usize = 5;

/// Functions that may be longer.
pub(super) const LONG_FUNCTIONS: &[(&str, &str)] = &[
    // One entry for each module.
    ("engine/src/modules/mod.rs", "open"),
];

/// Functions that may take more parameters.
pub(super) const WIDE_FUNCTIONS: &[(&str, &str)] = &[
    // Handlers: one extractor each.
    ("host/src/routes/controllers/auth.rs", "register"),
    ("host/src/routes/controllers/bookings.rs", "create"),
    ("host/src/routes/controllers/holds.rs", "create"),
    ("host/src/routes/controllers/waitlist.rs", "join"),
    // OpenTelemetry's trait.
    ("host/src/traces.rs", "should_sample"),
    // Storage steps: what a row had and gets.
    (
        "engine/src/modules/repositories/delivery_admin.rs",
        "replace_notification",
    ),
    ("engine/src/modules/repositories/plugins.rs", "replace_set"),
    ("engine/src/modules/repositories/queue.rs", "lease"),
    ("host/src/cli/demo.rs", "ensure_user"),
    ("host/src/cli/serve.rs", "run"),
];

/// Which files make a `SystemScope`, and how many: in what the worker, migrations and operators do. The numbers may only
/// fall; a test compares them with the code.
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
        3,
    ),
    ("engine/src/modules/operations/housekeeping.rs", 3),
    // What operators did outside tenants is found by its key.
    ("engine/src/modules/idempotency.rs", 1),
    ("engine/src/modules/operations/leases.rs", 1),
    ("engine/src/modules/notifications/outbox_relay.rs", 3),
    // That the last process died concerns the mails of all tenants.
    ("engine/src/modules/notifications/mod.rs", 1),
    ("engine/src/modules/operators.rs", 6),
    ("engine/src/modules/notifications/stored_queue.rs", 4),
    ("engine/src/modules/repositories/migrations.rs", 2),
    // Operators' sessions lie outside tenants, and one log says of all tenants whose have ended.
    ("engine/src/modules/users/sessions/mod.rs", 1),
    ("engine/src/modules/users/principals.rs", 1),
    // Operators keep one list of all erasures; that what was recorded is looked through again is housekeeping.
    ("engine/src/modules/users/erasures.rs", 2),
    ("engine/src/modules/tenants.rs", 1),
    ("engine/src/modules/operations/verification.rs", 1),
    ("engine/src/modules/operations/verification/claims.rs", 1),
    ("engine/src/modules/operations/verification/payments.rs", 1),
    ("engine/src/modules/operations/verification/receipts.rs", 1),
    // Money that waits is found by its time, of all tenants.
    ("engine/src/modules/payments/late.rs", 1),
    // So are receipts that have no number yet; that a store was restored concerns all tenants.
    ("engine/src/modules/receipts/numbering.rs", 3),
    // The sequencer numbers the changes of all tenants; old ones are forgotten.
    ("engine/src/modules/changes/mod.rs", 2),
    ("engine/src/modules/changes/numbering.rs", 1),
];

/// The lines that make a `SystemScope`.
pub(super) fn system_scopes(file: &SourceFile) -> Vec<usize> {
    match file.is_in("engine/src/") {
        true => file.lines_with(&["SystemScope", ":", ":", "new"]),
        false => Vec::new(),
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
        &["app_modules", "worker", "engine", "builder", "context"],
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
            "worker",
            "engine",
            "builder",
            "context",
        ],
    ),
];

fn calls_up_or_sideways(file: &SourceFile) -> Vec<usize> {
    let refused = REFUSED
        .iter()
        .find(|(folder, _)| file.is_in(folder))
        .map_or(&[][..], |(_, refused)| refused);
    lines_of_paths(file, |path| {
        let inner = path.strip_prefix("crate::").unwrap_or_default();
        let below = |prefix: &str| {
            inner == prefix
                || inner
                    .strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with("::"))
        };
        // The area an AppModule is about: its file's name, or the folder of its files.
        let area = file.path.strip_prefix("engine/src/app_modules/");
        let area = area
            .and_then(|rest| rest.split(['/', '.']).next())
            .filter(|area| *area != "mod");
        let is_sideways = area
            .is_some_and(|area| below("app_modules") && !below(&format!("app_modules::{area}")));
        let is_repository = file.is_in("engine/src/modules/repositories/");
        let is_model = file.is_in("engine/src/modules/repositories/models/");
        refused.iter().any(|prefix| below(prefix))
            // A repository knows no rule, a model no repository, a use case no other use case.
            || (is_repository && below("modules") && !below("modules::repositories"))
            || (is_model && below("modules::repositories") && !below("modules::repositories::models"))
            || is_sideways
    })
}

/// The lines that name a path for which this is true.
fn lines_of_paths(file: &SourceFile, condition: impl Fn(&str) -> bool) -> Vec<usize> {
    let paths = file.crate_paths().into_iter();
    let found = paths.filter(|(_, path)| condition(path));
    let mut lines: Vec<usize> = found.map(|(line, _)| line).collect();
    lines.dedup();
    lines
}

fn includes_that_leave(file: &SourceFile) -> Vec<usize> {
    // The tests are not packaged.
    if file.is_in("tests/") {
        return Vec::new();
    }
    const MACROS: [&str; 3] = ["include_str", "include_bytes", "include"];
    // Folders between the crate's own folder and the file: `engine/src/a/b.rs` lies two deep.
    let depth = file.path.split('/').count().saturating_sub(2);
    let leaves = |path: &str| {
        path.starts_with('/') || path.split('/').filter(|part| *part == "..").count() > depth
    };
    let tokens = file.tokens.iter().enumerate();
    let included = tokens.filter(|(index, token)| {
        let mut behind = file.tokens[index + 1..].iter();
        // The path may be put together; its first piece says how far up it goes.
        MACROS.contains(&token.text.as_str())
            && behind.next().is_some_and(|next| next.text == "!")
            && behind
                .find_map(|token| token.text.strip_prefix('"'))
                .is_some_and(|path| leaves(path.trim_end_matches('"')))
    });
    included.map(|(_, token)| token.line).collect()
}

/// Whether a file is part of what platforms run.
fn is_ours(file: &SourceFile) -> bool {
    ["engine/src/", "host/src/", "nats/src/"]
        .iter()
        .any(|folder| file.is_in(folder))
}
