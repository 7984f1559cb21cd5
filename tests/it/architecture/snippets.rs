//! Snippets that break one rule at one line, and snippets that come close and may pass.

/// A file that a rule must judge.
pub(super) struct Snippet {
    /// The rule that is tried.
    pub(super) rule: &'static str,
    /// The path the snippet pretends to have.
    pub(super) path: &'static str,
    /// The line that must be refused; 0 if the snippet must pass.
    pub(super) line: usize,
    /// Its text.
    pub(super) text: &'static str,
}

const fn breaks(
    rule: &'static str,
    path: &'static str,
    line: usize,
    text: &'static str,
) -> Snippet {
    Snippet {
        rule,
        path,
        line,
        text,
    }
}

const fn passes(rule: &'static str, path: &'static str, text: &'static str) -> Snippet {
    Snippet {
        rule,
        path,
        line: 0,
        text,
    }
}

pub(super) const ALL: &[Snippet] = &[
    breaks("file-head", "engine/src/x.rs", 1, "use std::fmt;\n"),
    breaks(
        "file-head",
        "host/src/x.rs",
        1,
        "/// Not the head of a file.\n",
    ),
    passes("file-head", "engine/src/x.rs", "//! What lives here.\n"),
    passes("file-head", "engine/Cargo.toml", "[package]\n"),
    breaks(
        "test-head",
        "tests/it/x.rs",
        1,
        "//! Tests of x.\n#[test]\nfn x() {}\n",
    ),
    breaks(
        "test-head",
        "tests/it/x.rs",
        1,
        "//! Goal: x.\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn x() {}\n",
    ),
    passes(
        "test-head",
        "tests/it/x.rs",
        "//! Goal: x.\n//! Method: y.\n#[test]\nfn x() {}\n",
    ),
    passes(
        "test-head",
        "tests/it/x.rs",
        "//! Helpers, no tests.\nfn x() {}\n",
    ),
    breaks(
        "engine-knows-no-transport",
        "engine/src/app_modules/x.rs",
        2,
        "//! Head.\nuse axum::Json;\n",
    ),
    breaks(
        "engine-knows-no-transport",
        "engine/src/ports/x.rs",
        2,
        "//! Head.\nfn f(m: lettre::Message) {}\n",
    ),
    breaks(
        "engine-knows-no-transport",
        "engine/Cargo.toml",
        2,
        "[dependencies]\nasync-nats.workspace = true\n",
    ),
    passes(
        "engine-knows-no-transport",
        "engine/src/x.rs",
        "//! No axum.\n/* lettre */ let a = \"wasmtime\"; // axum\n",
    ),
    passes(
        "engine-knows-no-transport",
        "host/src/x.rs",
        "//! Head.\nuse axum::Json;\n",
    ),
    passes(
        "engine-knows-no-transport",
        "engine/src/x.rs",
        "//! Head.\nlet tower_of_babel = 1;\n",
    ),
    breaks(
        "store-only-in-repositories",
        "engine/src/modules/x.rs",
        2,
        "//! Head.\nuse surrealdb::Surreal;\n",
    ),
    breaks(
        "store-only-in-repositories",
        "host/src/x.rs",
        3,
        "//! Head.\n\nfn f(s: surrealdb::Error) {}\n",
    ),
    passes(
        "store-only-in-repositories",
        "engine/src/modules/repositories/x.rs",
        "//! Head.\nuse surrealdb::Surreal;\n",
    ),
    passes(
        "store-only-in-repositories",
        "host/src/x.rs",
        "//! On surrealdb.\nlet level = \"surrealdb=warn\";\n",
    ),
    breaks(
        "environment-only-in-config",
        "host/src/cli/x.rs",
        2,
        "//! Head.\nlet x = std::env::var(\"X\");\n",
    ),
    breaks(
        "environment-only-in-config",
        "engine/src/x.rs",
        2,
        "//! Head.\nfor x in env::vars_os() {}\n",
    ),
    breaks(
        "environment-only-in-config",
        "host/src/cli/x.rs",
        2,
        "//! Head.\n    #[arg(long, env = \"X\")]\n",
    ),
    passes(
        "environment-only-in-config",
        "host/src/config.rs",
        "//! Head.\nlet x = env::var(\"X\");\n",
    ),
    passes(
        "environment-only-in-config",
        "host/src/config/layers.rs",
        "//! Head.\nlet x = env::var(\"X\");\n",
    ),
    passes(
        "environment-only-in-config",
        "host/src/x.rs",
        "//! Head.\nlet x = env!(\"CARGO_PKG_VERSION\");\n",
    ),
    breaks(
        "calls-go-down",
        "engine/src/modules/x.rs",
        2,
        "//! Head.\nuse crate::app_modules::Bookings;\n",
    ),
    breaks(
        "calls-go-down",
        "engine/src/modules/x.rs",
        2,
        "//! Head.\nuse crate::{\n    Result,\n    worker::{A, B},\n};\n",
    ),
    breaks(
        "calls-go-down",
        "engine/src/types/x.rs",
        3,
        "//! Head.\nfn f() {\n    crate::ports::g();\n}\n",
    ),
    breaks(
        "calls-go-down",
        "engine/src/app_modules/x.rs",
        2,
        "//! Head.\nuse super::events::Events;\n",
    ),
    breaks(
        "calls-go-down",
        "engine/src/app_modules/x.rs",
        2,
        "//! Head.\nuse crate::modules::{repositories::Db};\n",
    ),
    breaks(
        "calls-go-down",
        "engine/src/modules/repositories/x.rs",
        2,
        "//! Head.\nuse super::super::bookings::place;\n",
    ),
    breaks(
        "calls-go-down",
        "engine/src/modules/repositories/models/x.rs",
        2,
        "//! Head.\nuse super::super::events;\n",
    ),
    passes(
        "calls-go-down",
        "engine/src/modules/x.rs",
        "//! Head.\nuse crate::{Result, types::Event};\nuse super::repositories::x;\n",
    ),
    passes(
        "calls-go-down",
        "engine/src/modules/repositories/x.rs",
        "//! Head.\nuse super::models::XRow;\nuse self::y::Z;\npub(in crate::modules) fn f() {}\n",
    ),
    passes(
        "calls-go-down",
        "engine/src/modules/x.rs",
        "//! Called by `crate::app_modules`.\nlet a = \"crate::worker::x\";\n",
    ),
    passes(
        "calls-go-down",
        "engine/src/modules/x.rs",
        "//! Head.\n#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}\n",
    ),
    passes(
        "calls-go-down",
        "engine/src/app_modules/x.rs",
        "//! Head.\n#[cfg(layer_probe = \"x\")]\ntype X = crate::modules::repositories::Db;\n",
    ),
    passes(
        "calls-go-down",
        "engine/src/app_modules/queues/x.rs",
        "//! Head.\nuse super::Queues;\nuse crate::app_modules::queues::y;\n",
    ),
    passes(
        "calls-go-down",
        "engine/src/app_modules/mod.rs",
        "//! Head.\npub use self::events::Events;\n",
    ),
    breaks(
        "layers-are-private",
        "engine/src/lib.rs",
        2,
        "//! Head.\npub mod modules;\n",
    ),
    breaks(
        "layers-are-private",
        "engine/src/modules/mod.rs",
        2,
        "//! Head.\npub(crate) mod repositories;\n",
    ),
    breaks(
        "layers-are-private",
        "host/src/routes/mod.rs",
        2,
        "//! Head.\n    pub mod controllers {\n",
    ),
    passes(
        "layers-are-private",
        "engine/src/lib.rs",
        "//! Head.\nmod modules;\npub mod app_modules;\npub use worker::Worker;\n",
    ),
    breaks(
        "includes-stay-in-the-crate",
        "engine/src/x.rs",
        2,
        "//! Head.\nconst A: &str = include_str!(\"../../wit/a.wit\");\n",
    ),
    breaks(
        "includes-stay-in-the-crate",
        "host/src/a/x.rs",
        2,
        "//! Head.\nconst A: &[u8] = include_bytes!(concat!(\"../../../b/\", \"c\"));\n",
    ),
    breaks(
        "includes-stay-in-the-crate",
        "host/src/x.rs",
        2,
        "//! Head.\nconst A: &str = include_str!(\"/etc/passwd\");\n",
    ),
    breaks(
        "includes-stay-in-the-crate",
        "host/src/x.rs",
        2,
        "//! Head.\nconst A: &str = include_str!(\n    \"../../engine/src/lib.rs\"\n);\n",
    ),
    passes(
        "includes-stay-in-the-crate",
        "engine/src/x.rs",
        "//! Head.\nconst A: &str = include_str!(\"../errors/a.md\");\n",
    ),
    passes(
        "includes-stay-in-the-crate",
        "host/src/a/x.rs",
        "//! Head.\nconst A: &str = include_str!(\"../../config.default.toml\");\n",
    ),
    breaks(
        "no-unwrap",
        "engine/src/x.rs",
        3,
        "//! Head.\nfn f() {\n    g().unwrap();\n}\n",
    ),
    breaks(
        "no-unwrap",
        "host/src/x.rs",
        2,
        "//! Head.\nlet x = '\"'; y.unwrap();\n",
    ),
    breaks(
        "no-unwrap",
        "engine/src/x.rs",
        6,
        "//! Head.\n#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap(); }\n}\nfn h() { i().unwrap(); }\n",
    ),
    passes(
        "no-unwrap",
        "engine/src/x.rs",
        "//! Never `.unwrap()`.\nx.unwrap_or_default(); // y.unwrap()\nlet a = r#\"z.unwrap()\"#;\n",
    ),
    passes(
        "no-unwrap",
        "engine/src/x.rs",
        "//! Head.\n#[cfg(test)]\nmod tests {\n    fn f() { g('{').unwrap(); }\n}\n",
    ),
    passes("no-unwrap", "tests/src/x.rs", "//! Head.\nx.unwrap();\n"),
    breaks(
        "no-unsafe",
        "tests/it/x.rs",
        2,
        "//! Head.\nfn f() { unsafe { g() } }\n",
    ),
    breaks(
        "no-unsafe",
        "host/src/x.rs",
        2,
        "//! Head.\nunsafe impl Send for X {}\n",
    ),
    passes(
        "no-unsafe",
        "engine/src/x.rs",
        "//! No unsafe.\n#![deny(unsafe_code)]\nlet a = \"unsafe\";\n",
    ),
    breaks(
        "system-scope-places",
        "engine/src/app_modules/x.rs",
        2,
        "//! Head.\nlet scope = SystemScope::new();\n",
    ),
    passes(
        "system-scope-places",
        "engine/src/modules/operations/leases.rs",
        "//! Head.\nlet scope = SystemScope::new();\n",
    ),
    passes(
        "system-scope-places",
        "engine/src/app_modules/x.rs",
        "//! No SystemScope::new here.\nfn f(_: SystemScope) {}\n",
    ),
    breaks(
        "one-mapping-to-statuses",
        "host/src/auth/x.rs",
        2,
        "//! Head.\nuse boxoffice_engine::ErrorKind;\n",
    ),
    passes(
        "one-mapping-to-statuses",
        "host/src/routes/controllers/problem.rs",
        "//! Head.\nuse boxoffice_engine::ErrorKind;\n",
    ),
    passes(
        "one-mapping-to-statuses",
        "host/src/x.rs",
        "//! Head.\nif error.kind() == std::io::ErrorKind::NotFound {}\n",
    ),
    breaks(
        "no-ignored-tests",
        "tests/it/x.rs",
        3,
        "//! Head.\n#[test]\n#[ignore = \"slow\"]\nfn x() {}\n",
    ),
    breaks(
        "no-ignored-tests",
        "engine/src/x.rs",
        4,
        "//! Head.\n#[cfg(test)]\nmod tests {\n    #[ignore]\n    fn x() {}\n}\n",
    ),
    passes(
        "no-ignored-tests",
        "tests/it/x.rs",
        "//! Head.\n// #[ignore]\n#[test]\nfn x() {}\n",
    ),
];
