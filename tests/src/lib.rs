//! The kit that tests are written with: programs and servers to start, a client that asserts, an engine with a
//! clock that can be moved, and mails read back.
//!
//! Used by the test binary `it` and by the load program; calls the engine and the host through their public
//! faces only. What a test needs and lacks makes it fail with what to do; nothing is skipped.

pub mod api;
mod client;
mod components;
mod configs;
mod folders;
mod hosted;
mod load_fixture;
mod mails;
mod nats_keys;
mod platform;
mod processes;
mod programs;
mod servers;
mod verified;
mod wait;

pub use client::{Account, Answer, Client, Problem};
pub use components::{
    Component, load_component, owner_of, plugin_host, plugin_settings, put_into_use, upload,
    upload_any, using,
};
pub use configs::Config;
pub use folders::{TempFolder, workspace_root};
pub use hosted::Hosted;
pub use load_fixture::{LoadFixture, is_final, wait_until_final, wait_until_final_within};
pub use mails::{EnvelopedMail, ReceivedMail, count_mails, read_mails};
pub use nats_keys::NatsOperator;
pub use platform::{
    FakeClock, TestPlatform, booked_event, create_event, email, ensure_customer, move_event,
    organizer_and_tenant, quick_settings, same_shard_as, ticket_codes,
};
pub use processes::Process;
pub use programs::{Finished, Program};
pub use servers::{
    CollectedSpan, LoggedMail, NatsCluster, NatsServer, ScriptedSmtp, SmtpLog, SmtpQuestion,
    SmtpReply, SmtpServer, SmtpStep, SurrealServer, TakenMail, TlsFront, TraceCollector,
};
pub use verified::{assert_verified, differences};
pub use wait::{Patience, wait_for, wait_until};

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
