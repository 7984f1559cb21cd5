//! Where an engine keeps its state, and the settings of an installation.
//!
//! Supplied by hosts and platforms; read by modules, use cases and the worker. A leaf: names only `types`.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use crate::types::EmailAddress;

/// Where the engine keeps its state.
#[derive(Debug, Clone)]
pub enum Store {
    /// In a folder of this machine; one process at a time.
    Embedded(PathBuf),
    /// In memory, gone with the engine; for tests.
    Memory,
    /// On a SurrealDB server (`ws://` or `wss://`); any number of processes.
    Remote {
        /// Its URL.
        url: String,
        /// SurrealDB namespace.
        namespace: String,
        /// SurrealDB database.
        database: String,
        /// A user who may define tables there.
        username: String,
        /// Their password.
        password: String,
    },
}

/// Numbers an installation may turn. The defaults suit one process on one machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Envelope and header sender of every mail.
    pub mail_from: EmailAddress,
    /// How long an event update waits for further ones, to become one mail.
    pub update_merge_window: Duration,
    /// How long a hold keeps its tickets, and how much more time it can be given, once.
    pub hold_duration: Duration,
    /// How long tickets are kept for a customer on a waiting list whom they were offered; never longer than they are sold.
    pub offer_duration: Duration,
    /// Most customers on the waiting list of an event.
    pub waitlist_entries_max: u32,
    /// Bookings that may wait for one event inside this process; beyond it `event-busy`.
    pub lane_waiting_max: usize,
    /// Passwords hashed at the same time; each takes 19 MiB.
    pub password_checks_max: usize,
    /// How long a silent worker keeps its block of deliveries.
    pub delivery_lease: Duration,
    /// How long a silent process keeps a singleton's lease.
    pub singleton_lease: Duration,
    /// How long work may stay unfinished before the relay publishes it again.
    pub republish_after: Duration,
    /// Blocks of 32 mails of one notification that wait for workers at a time, at least 2. A tenant with 100,000
    /// recipients puts no more than these before another tenant's mails in the same shard of the queue; too few keep
    /// workers waiting for more to be listed.
    pub bulk_window_blocks: u32,
    /// Mails a second that each tenant may send from one process; none for as many as go. Bulk mails leave a tenth of
    /// it to the others.
    pub tenant_mails_per_second: Option<NonZeroU32>,
    /// Mails a second that all tenants together may send from one process, as providers of mail accounts ask for.
    pub account_mails_per_second: Option<NonZeroU32>,
    /// First pause after a failed send; doubles each time, with jitter, up to `retry_pause_max`.
    pub retry_pause: Duration,
    /// Longest pause between two tries of a delivery.
    pub retry_pause_max: Duration,
    /// Tries of a delivery before it is dead.
    pub attempts_max: u32,
    /// Versions of plugins that a tenant may have, those of before included. With 4 MiB each they are 4 GB at most.
    pub plugin_versions_max: u32,
    /// Announcements that a tenant may allow itself in a day; each is a mail to every customer of an event.
    pub announcements_per_day_max: u32,
    /// Mails of one kind that an address gets in a day (UTC) until somebody confirms it, of those that whoever typed it brings
    /// about; further ones are suppressed.
    pub unconfirmed_mails_per_day: u32,
    /// Whether customers are asked to confirm their address where their tenant wants that. Off for trying things out.
    pub require_email_verification: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mail_from: EmailAddress::stored("boxoffice@localhost".to_owned()),
            update_merge_window: Duration::from_secs(60),
            // Long enough to type a card number in, short enough that a full house is not held by ghosts.
            hold_duration: Duration::from_secs(600),
            // Long enough to see a mail of the evening in the morning.
            offer_duration: Duration::from_secs(12 * 3600),
            // Where somebody stands is counted: 5,000 keys take some ten milliseconds.
            waitlist_entries_max: 5_000,
            lane_waiting_max: 16_384,
            password_checks_max: 2,
            delivery_lease: Duration::from_secs(30),
            singleton_lease: Duration::from_secs(6),
            republish_after: Duration::from_secs(60),
            bulk_window_blocks: 64,
            tenant_mails_per_second: None,
            account_mails_per_second: None,
            retry_pause: Duration::from_secs(30),
            retry_pause_max: Duration::from_secs(4 * 3600),
            attempts_max: 40,
            // Ten to go back to for each of 64 plugins in use, and as many again to try.
            plugin_versions_max: 1_000,
            announcements_per_day_max: 100,
            // As many as a person books in a day before they look into their mails; no flood for a stranger.
            unconfirmed_mails_per_day: 5,
            require_email_verification: true,
        }
    }
}
