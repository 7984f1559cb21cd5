//! The servers that tests run against: SurrealDB, NATS and SMTP, real ones, started and stopped here, and a collector of
//! traces.
//!
//! Each listens on a loopback address of its own (127.x.y.1), so that a port stays free while its server is down:
//! no outgoing connection of this machine ever takes a port there.

mod collector;
mod nats;
mod open_id;
mod scripted_smtp;
mod smtp;
mod surreal;
mod tls;

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU8, Ordering},
};

pub use collector::{CollectedSpan, TraceCollector};
pub use nats::{NatsCluster, NatsServer};
pub use open_id::OpenIdProvider;
pub use scripted_smtp::{ScriptedSmtp, SmtpQuestion, SmtpReply, SmtpStep, TakenMail};
pub use smtp::{LoggedMail, SmtpLog, SmtpServer};
pub use surreal::SurrealServer;
pub use tls::TlsFront;

fn own_address_with_port() -> String {
    with_port(own_address())
}

fn with_port(host: Ipv4Addr) -> String {
    let listener = TcpListener::bind((host, 0)).expect("a loopback address has free ports");
    let address = listener.local_addr();
    address.expect("a bound socket has an address").to_string()
}

/// A loopback address that no other server of this test run has, and most likely none of another run.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, 1 + (std::process::id() % 250) as u8, count, 1)
}
