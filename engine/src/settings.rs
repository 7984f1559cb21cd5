//! The store of an engine, and the settings of an installation.
//!
//! Supplied by hosts and platforms; read by modules, use cases and the worker. Depends on `types` only.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use crate::types::EmailAddress;

/// The store of an engine.
#[derive(Debug, Clone)]
pub enum Store {
    /// In a local folder; one process at a time.
    Embedded(PathBuf),
    /// In memory, dropped with the engine; for tests.
    Memory,
    /// On a SurrealDB server (`ws://` or `wss://`); any number of processes.
    Remote {
        /// Its URL.
        url: String,
        /// SurrealDB namespace.
        namespace: String,
        /// SurrealDB database.
        database: String,
        /// A user who may define tables.
        username: String,
        /// The user's password.
        password: String,
    },
}

/// The settings of an installation. The defaults suit one process on one machine.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Holds, offers and waiting lists.
    pub bookings: BookingSettings,
    /// Mails: their sender, rates and retries.
    pub delivery: DeliverySettings,
    /// The feed of changes.
    pub changes: ChangeSettings,
    /// Leases of background work.
    pub worker: WorkerSettings,
    /// Bounds on what callers and tenants may use.
    pub limits: Limits,
}

/// Holds, offers and waiting lists.
#[derive(Debug, Clone)]
pub struct BookingSettings {
    /// How long a hold keeps its tickets, and by how much it can be extended, once. Default: 600 s, long enough to pay,
    /// short enough that unpaid holds do not block a sold-out event.
    pub hold_duration: Duration,
    /// How long offered tickets are held for a customer on a waiting list, at most until their sale ends.
    /// Default: 12 h, so that a mail of the evening can be read in the morning.
    pub offer_duration: Duration,
    /// Most customers on the waiting list of an event; 0 for no waiting lists. Default: 5,000. Showing a customer's place counts
    /// the keys before it, and 5,000 keys take some ten milliseconds.
    pub waitlist_entries_max: u32,
}

impl Default for BookingSettings {
    fn default() -> Self {
        Self {
            hold_duration: Duration::from_secs(600),
            offer_duration: Duration::from_secs(12 * 3600),
            waitlist_entries_max: 5_000,
        }
    }
}

/// Mails: their sender, rates and retries.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// Envelope and header sender of every mail. Default: `boxoffice@localhost`.
    pub mail_from: EmailAddress,
    /// How long an event update waits for further ones, to become one mail. Default: 60 s.
    pub update_merge_window: Duration,
    /// Batches of 32 mails of one notification that wait for workers at a time, at least 2. Default: 64. A tenant with
    /// 100,000 recipients puts no more than these before another tenant's mails in the same shard of the queue. Too few
    /// keep workers waiting for more to be listed.
    pub bulk_window_batches: u32,
    /// Mails a second that each tenant may send from one process. Default: `None`, no limit. Bulk mails leave a tenth of
    /// the rate to the others.
    pub tenant_mails_per_second: Option<NonZeroU32>,
    /// Mails a second that all tenants together may send from one process, for providers that bound an account. Default:
    /// `None`, no limit.
    pub account_mails_per_second: Option<NonZeroU32>,
    /// First pause after a failed send; doubles each time, with jitter, up to `retry_pause_max`. Default: 30 s.
    pub retry_pause: Duration,
    /// Longest pause between two attempts at a delivery. Default: 4 h.
    pub retry_pause_max: Duration,
    /// Attempts at a delivery before it is dead. Default: 40. With these pauses they take four to five days, as RFC 5321
    /// (4.5.4.1) asks for.
    pub attempts_max: u32,
    /// Whether customers are asked to confirm their address where their tenant wants that. Default: true; false is for
    /// trials and demos.
    pub require_email_verification: bool,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            mail_from: EmailAddress::stored("boxoffice@localhost".to_owned()),
            update_merge_window: Duration::from_secs(60),
            bulk_window_batches: 64,
            tenant_mails_per_second: None,
            account_mails_per_second: None,
            retry_pause: Duration::from_secs(30),
            retry_pause_max: Duration::from_secs(4 * 3600),
            attempts_max: 40,
            require_email_verification: true,
        }
    }
}

/// The feed of changes.
#[derive(Debug, Clone)]
pub struct ChangeSettings {
    /// How long changes are kept after they were numbered. Default: 30 days, so that a program can be away for a long holiday.
    pub kept_for: Duration,
}

impl Default for ChangeSettings {
    fn default() -> Self {
        Self {
            kept_for: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

/// Leases of background work.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// How long a silent worker keeps its batch of deliveries. Default: 30 s. Longer than the slowest mail costs only time
    /// after a crash; shorter loses batches to other workers while they are being sent.
    pub delivery_lease: Duration,
    /// How long a silent process keeps the lease of a job that only one process does. Default: 6 s.
    pub singleton_lease: Duration,
    /// How long work may stay unfinished before the relay publishes it again. Default: 60 s.
    pub republish_after: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            delivery_lease: Duration::from_secs(30),
            singleton_lease: Duration::from_secs(6),
            republish_after: Duration::from_secs(60),
        }
    }
}

/// Bounds on what callers and tenants may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Booking requests that may wait for one event inside this process; further ones get `event-busy`. Default: 16,384.
    pub event_queue_max: usize,
    /// Passwords hashed at the same time. Default: 2; each takes 19 MiB.
    pub password_checks_max: usize,
    /// Plugin versions that a tenant may have, older ones included. Default: 1,000: ten for each of 64 plugins in use, and
    /// as many again for trials. At 4 MiB each they are 4 GB at most.
    pub plugin_versions_max: u32,
    /// Announcements that a tenant may allow its organizers in a day; each is a mail to every customer of an event.
    /// Default: 100.
    pub announcements_per_day_max: u32,
    /// Mails of one kind that an address gets in a day (UTC) until its owner confirms it, of those that anybody can cause who
    /// types it; further ones are suppressed. Default: 5, which a person books before reading any mail.
    pub unconfirmed_mails_per_day: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_queue_max: 16_384,
            password_checks_max: 2,
            plugin_versions_max: 1_000,
            announcements_per_day_max: 100,
            unconfirmed_mails_per_day: 5,
        }
    }
}
