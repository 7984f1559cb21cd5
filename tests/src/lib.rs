//! What tests are written with. [`kit`] has an engine in this process; the other modules start programs and servers, speak
//! to them, and are of no use outside this workspace.
//!
//! Used by the test binary `it` and by the load program; calls the engine and the host through their public
//! faces only. What a test needs and lacks makes it fail with what to do; nothing is skipped.

pub mod api;
mod client;
mod components;
mod configs;
mod documented;
mod event_fixture;
mod hosted;
pub mod kit;
mod load_fixture;
mod nats_keys;
mod plugins;
mod processes;
mod programs;
mod servers;

use std::path::Path;

pub use client::{Account, Answer, Client, Problem};
pub use components::Component;
pub use configs::Config;
pub use event_fixture::{EventFixture, OWN_PASSWORD};
pub use hosted::{Hosted, mail_links, ticket_codes};
pub use kit::*;
pub use load_fixture::{LoadFixture, is_final, wait_until_final, wait_until_final_within};
pub use nats_keys::NatsOperator;
pub use plugins::{
    load_component, owner_of, plugin_host, plugin_settings, put_into_use, upload, upload_any, using,
};
pub use processes::Process;
pub use programs::{Finished, Program};
pub use servers::{
    CollectedSpan, LoggedMail, NatsCluster, NatsServer, OpenIdProvider, ScriptedSmtp, SmtpLog,
    SmtpQuestion, SmtpReply, SmtpServer, SmtpStep, SurrealServer, TakenMail, TlsFront,
    TraceCollector,
};

/// The root of the workspace, for tests that read its files.
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
}

/// Whether the long form of the tests was asked for (`BOXOFFICE_LONG=1`, set by `tests/run.py --long`).
pub fn is_long_run() -> bool {
    std::env::var("BOXOFFICE_LONG").is_ok_and(|value| value == "1")
}

/// What an environment variable that the test command sets says.
///
/// # Panics
/// When it is missing, with what to do: a test that lacks its parts fails, it does not skip.
pub fn required_variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests with `python3 tests/run.py [FILTER]`, which builds and sets it")
    })
}
