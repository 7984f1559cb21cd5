//! The options, as `config.default.toml` lists and explains them: names, types and ranges.
//!
//! Read by config.rs. Each type says what it allows; see values.rs. The defaults name every option: one that is missing here or
//! there stops every start.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use axum::http::HeaderValue;
use boxoffice_engine::types::EmailAddress;
use serde::Deserialize;

use super::{
    MetricsListen,
    values::{self, Count, FileContent, Seconds},
};
use crate::{auth::TokenKey, egress::Egress, mail::SmtpTls};

/// A megabyte to a terabyte.
type LargeBytes = Count<u64, 1_048_576, 1_099_511_627_776>;
/// What a call of a plugin may execute.
type Fuel = Count<u64, 1_000, 100_000_000_000>;
/// Below a tenth of a second a lease would end between two heartbeats of its holder.
type Lease = Seconds<100, 3_600_000>;
/// Up to a week.
type Pause = Seconds<1, 604_800_000>;

/// The whole configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    #[serde(deserialize_with = "values::address")]
    pub(super) listen: SocketAddr,
    pub(super) store: StoreOptions,
    pub(super) auth: KeyOptions,
    pub(super) links: LinkOptions,
    pub(super) tickets: KeyOptions,
    pub(super) http: HttpOptions,
    pub(super) egress: EgressOptions,
    pub(super) metrics: MetricsOptions,
    pub(super) mail: MailOptions,
    pub(super) queue: QueueOptions,
    pub(super) bookings: BookingOptions,
    pub(super) changes: ChangeOptions,
    pub(super) plugins: PluginOptions,
    pub(super) worker: WorkerOptions,
    pub(super) logs: LogOptions,
    pub(super) telemetry: TelemetryOptions,
}

/// `[store]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct StoreOptions {
    #[serde(deserialize_with = "values::store_url")]
    pub(super) url: String,
    pub(super) namespace: String,
    pub(super) database: String,
    pub(super) username: String,
    pub(super) password: String,
}

/// `[auth]` and `[tickets]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct KeyOptions {
    pub(super) keys: Vec<KeyOption>,
}

/// A key; what is left out is refused as too short.
#[derive(Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a table { id = \"…\", secret = \"…\" }"
)]
pub(super) struct KeyOption {
    id: String,
    secret: String,
}

impl From<KeyOption> for TokenKey {
    fn from(option: KeyOption) -> Self {
        Self {
            id: option.id,
            secret: option.secret.into_bytes(),
        }
    }
}

/// `[links]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct LinkOptions {
    pub(super) public_url: String,
    pub(super) keys: Vec<KeyOption>,
}

/// `[http]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(crate) struct HttpOptions {
    // Below 1 KiB not even a sign-in fits; above 100 MiB one request can exhaust a small host.
    pub(crate) body_bytes_max: Count<usize, 1_024, 104_857_600>,
    pub(crate) throttle_logins: bool,
    pub(crate) sign_ups_per_hour: Count<u32, 0, 1_000_000>,
    pub(crate) unconfirmed_tickets_per_hour: Count<u32, 0, 1_000_000>,
    pub(crate) client_requests_per_minute: Count<u32, 0, 1_000_000_000>,
    pub(crate) tenant_requests_per_minute: Count<u32, 0, 1_000_000_000>,
    #[serde(deserialize_with = "values::origins")]
    pub(crate) cors_origins: Vec<HeaderValue>,
    #[serde(deserialize_with = "values::ip_addresses")]
    pub(crate) trusted_proxies: Vec<IpAddr>,
    pub(crate) behind_tls: bool,
    // Browsers' preload lists ask for two years at most.
    pub(crate) hsts_seconds: Count<u64, 0, 63_072_000>,
    #[serde(deserialize_with = "values::domain")]
    pub(crate) base_domain: Option<String>,
    pub(crate) request_timeout_seconds: Seconds<100, 3_600_000>,
}

/// `[egress]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct EgressOptions {
    #[serde(deserialize_with = "values::egress")]
    pub(super) allow: Egress,
}

/// `[metrics]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct MetricsOptions {
    #[serde(deserialize_with = "values::metrics_listen")]
    pub(super) listen: MetricsListen,
}

/// `[mail]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct MailOptions {
    pub(super) kind: MailKind,
    #[serde(deserialize_with = "values::optional")]
    pub(super) folder: Option<PathBuf>,
    #[serde(deserialize_with = "values::email_address")]
    pub(super) from: EmailAddress,
    pub(super) announcements_per_day_max: Count<u32, 0, 100_000>,
    // The keys of a day's mails stand in one row: 1,000 are 50 KB.
    pub(super) unconfirmed_mails_per_day: Count<u32, 1, 1_000>,
    pub(super) smtp: SmtpOptions,
}

#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MailKind {
    Folder,
    Smtp,
}

/// `[mail.smtp]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct SmtpOptions {
    pub(super) host: String,
    pub(super) port: Count<u16, 1, 65_535>,
    pub(super) tls: SmtpTls,
    #[serde(deserialize_with = "values::optional")]
    pub(super) username: Option<String>,
    pub(super) password: String,
    pub(super) authorities_file: FileContent,
    #[serde(deserialize_with = "values::optional")]
    pub(super) hello_name: Option<String>,
    pub(super) connections_max: Count<usize, 1, 100>,
    pub(super) mails_per_connection_max: Count<u32, 1, 1_000_000>,
    pub(super) timeout_seconds: Seconds<100, 600_000>,
    pub(super) message_timeout_seconds: Seconds<100, 3_600_000>,
}

/// `[queue]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct QueueOptions {
    pub(super) kind: QueueKind,
    pub(super) url: String,
    pub(super) token: String,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) credentials_file: FileContent,
    pub(super) authorities_file: FileContent,
    pub(super) monitor_url: String,
    pub(super) prefix: String,
    pub(super) replicas: Count<usize, 1, 5>,
}

#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum QueueKind {
    Embedded,
    Nats,
}

/// `[bookings]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct BookingOptions {
    // A hold of more than a day would be an unpaid booking.
    pub(super) hold_seconds: Seconds<1_000, 86_400_000>,
    // Longer than a month, and the event is over before the next customer on the list hears of it.
    pub(super) offer_seconds: Seconds<1_000, 2_678_400_000>,
    pub(super) waitlist_entries_max: Count<u32, 0, 100_000>,
}

/// `[changes]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct ChangeOptions {
    pub(super) kept_days: Count<u64, 1, 3_650>,
}

/// `[plugins]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(crate) struct PluginOptions {
    pub(super) enabled: bool,
    // 64 MiB is twice the largest toolchain's output.
    pub(crate) upload_bytes_max: Count<usize, 1_024, 67_108_864>,
    pub(super) tenant_versions_max: Count<u32, 1, 100_000>,
    pub(crate) policy_time_seconds: Seconds<1, 10_000>,
    pub(crate) policy_fuel: Fuel,
    pub(crate) template_time_seconds: Seconds<1, 60_000>,
    pub(crate) template_fuel: Fuel,
    // A component has at least a page of memory; the pool keeps 4 GiB of address space for each at most.
    pub(crate) memory_bytes_max: Count<usize, 65_536, 1_073_741_824>,
    pub(crate) tenant_calls_max: Count<usize, 1, 1_000>,
    pub(crate) calls_max: Count<usize, 1, 1_000>,
    pub(crate) tenant_fuel_per_second: Count<u64, 1_000, 1_000_000_000_000>,
    pub(crate) compile_seconds: Seconds<10, 3_600_000>,
    pub(crate) compile_memory_bytes_max: Count<u64, 1_048_576, 68_719_476_736>,
    pub(crate) compilers: Count<usize, 1, 64>,
    pub(crate) tenant_compile_seconds_per_day: Seconds<1_000, 86_400_000>,
    pub(crate) loaded_bytes_max: LargeBytes,
    pub(crate) tenant_loaded_bytes_max: LargeBytes,
    #[serde(deserialize_with = "values::optional")]
    pub(crate) cache_folder: Option<PathBuf>,
    pub(crate) cache_bytes_max: LargeBytes,
}

/// `[worker]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct WorkerOptions {
    #[serde(deserialize_with = "values::address")]
    pub(super) listen: SocketAddr,
    pub(super) update_merge_seconds: Seconds<0, 86_400_000>,
    pub(super) delivery_lease_seconds: Lease,
    pub(super) singleton_lease_seconds: Lease,
    pub(super) republish_after_seconds: Lease,
    pub(super) bulk_window_batches: Count<u32, 2, 1_000>,
    pub(super) tenant_mails_per_second: Count<u32, 0, 1_000_000>,
    pub(super) account_mails_per_second: Count<u32, 0, 1_000_000>,
    pub(super) retry_pause_seconds: Pause,
    pub(super) retry_pause_max_seconds: Pause,
    pub(super) attempts_max: Count<u32, 1, 1_000>,
}

/// `[logs]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(crate) struct LogOptions {
    pub(crate) format: LogFormat,
    #[serde(deserialize_with = "values::log_level")]
    pub(crate) level: String,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[telemetry]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct TelemetryOptions {
    #[serde(deserialize_with = "values::collector_url")]
    pub(super) otlp_endpoint: Option<String>,
    #[serde(deserialize_with = "values::service_name")]
    pub(super) service_name: String,
    #[serde(deserialize_with = "values::ratio")]
    pub(super) sample_ratio: f64,
}
