//! The values that options can have. Each type and function reads one value, and fails with the text that says what is allowed.
//!
//! Called by options.rs, through serde.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use axum::http::HeaderValue;
use boxoffice_engine::types::EmailAddress;
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Value;
use tracing_subscriber::EnvFilter;

use super::MetricsListen;
use crate::{egress::Egress, routes::cors::is_origin};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count<T, const MIN: i64, const MAX: i64>(pub(crate) T);

impl<'de, T: TryFrom<i64>, const MIN: i64, const MAX: i64> Deserialize<'de> for Count<T, MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Value::deserialize(deserializer)?.as_integer();
        number
            .filter(|number| (MIN..=MAX).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .map(Self)
            .ok_or_else(|| D::Error::custom(format_args!("a whole number from {MIN} to {MAX}")))
    }
}

/// Seconds, whole or not. The bounds are milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seconds<const MIN: u32, const MAX: u32>(pub(crate) Duration);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Seconds<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (min, max) = (f64::from(MIN) / 1e3, f64::from(MAX) / 1e3);
        number(deserializer, min..=max, "a number of seconds")
            .map(|seconds| Self(Duration::from_secs_f64(seconds)))
    }
}

/// The bytes of the file that an option names; `None` if it names none.
pub(super) struct FileContent(pub(super) Option<Vec<u8>>);

impl<'de> Deserialize<'de> for FileContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(path) = optional::<_, PathBuf>(deserializer)? else {
            return Ok(Self(None));
        };
        std::fs::read(path)
            .map(|content| Self(Some(content)))
            .map_err(|error| D::Error::custom(format_args!("a file that can be read: {error}")))
    }
}

/// A text, or `None` if it is empty.
pub(super) fn optional<'de, D: Deserializer<'de>, T: From<String>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

/// An address to listen at.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let allowed = "ADDRESS:PORT such as 127.0.0.1:8080";
    text(deserializer, allowed, |text| text.parse().ok())
}

/// The address that answers `/metrics`.
pub(super) fn metrics_listen<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<MetricsListen, D::Error> {
    let allowed = "ADDRESS:PORT such as 127.0.0.1:9464, \"with-api\" (open to whoever reaches the API), or \"\"";
    text(deserializer, allowed, |text| match text {
        "" => Some(MetricsListen::Nowhere),
        "with-api" => Some(MetricsListen::WithApi),
        address => address.parse().ok().map(MetricsListen::At),
    })
}

/// A data folder, memory or a server.
pub(super) fn store_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let allowed = "a folder, mem://, ws://HOST:PORT or wss://HOST:PORT";
    text(deserializer, allowed, |url| {
        let is_allowed = match url.split_once("://") {
            Some(("mem", host)) => host.is_empty(),
            Some(("ws" | "wss", host)) => !host.is_empty(),
            Some(_) => false,
            None => !url.is_empty(),
        };
        is_allowed.then(|| url.to_owned())
    })
}

/// The sender of mails.
pub(super) fn email_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<EmailAddress, D::Error> {
    let allowed = "an e-mail address such as tickets@example.org";
    text(deserializer, allowed, |text| {
        EmailAddress::parse("mail.from", text).ok()
    })
}

/// IP addresses.
pub(super) fn ip_addresses<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<IpAddr>, D::Error> {
    let allowed = "a list of IP addresses such as [\"10.0.0.1\"]";
    list(deserializer, allowed, |text| text.parse().ok())
}

/// Hosts that are exempt from the checks of what tenants name.
pub(super) fn egress<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Egress, D::Error> {
    let allowed =
        "a list of HOST:PORT such as [\"id.internal:8443\"], with each host in lower case";
    let hosts: Vec<String> = list(deserializer, allowed, |text| Some(text.to_owned()))?;
    let hosts = hosts.iter().map(String::as_str);
    Egress::allowing(hosts).map_err(|_| D::Error::custom(allowed))
}

/// Origins as browsers send them.
pub(super) fn origins<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<HeaderValue>, D::Error> {
    let allowed = "a list of origins such as [\"https://shop.example\"]: scheme, host in lower case, port if it is not \
                   the scheme's own, and nothing behind it";
    list(deserializer, allowed, |text| {
        HeaderValue::from_str(text).ok().filter(|_| is_origin(text))
    })
}

/// A domain in lower case, or none.
pub(super) fn domain<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_plain);
    let allowed = "a domain such as tickets.example.org, or empty";
    text(deserializer, allowed, |text| match text {
        "" => Some(None),
        domain => domain
            .split('.')
            .all(is_label)
            .then(|| Some(domain.to_ascii_lowercase())),
    })
}

/// The URL of a collector of traces, or none.
pub(super) fn collector_url<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let allowed = "http://HOST:PORT or https://HOST:PORT of a collector (OTLP over gRPC), or empty";
    text(deserializer, allowed, |text| match text.split_once("://") {
        Some(("http" | "https", host)) if !host.is_empty() && !host.starts_with('/') => {
            Some(Some(text.to_owned()))
        }
        Some(_) => None,
        None => text.is_empty().then_some(None),
    })
}

/// The name of a service.
pub(super) fn service_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer, "1 to 100 visible characters", |text| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        ((1..=100).contains(&text.len()) && is_plain).then(|| text.to_owned())
    })
}

/// What is logged.
pub(super) fn log_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let allowed = "a level (error, warn, info, debug, trace), or TARGET=LEVEL pairs with commas";
    text(deserializer, allowed, |level| {
        EnvFilter::try_new(level).is_ok().then(|| level.to_owned())
    })
}

/// A share of a whole.
pub(super) fn ratio<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, 0.0..=1.0, "a number")
}

/// A number, whole or not, within a range.
fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
    range: RangeInclusive<f64>,
    allowed: &str,
) -> Result<f64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let whole = value.as_integer().map(|number| number as f64);
    let number = value.as_float().or(whole);
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let (min, max) = (range.start(), range.end());
            D::Error::custom(format_args!("{allowed} from {min} to {max}"))
        })
}

/// A text that `parse` accepts and turns into what it stands for.
fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    allowed: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let parsed = value.as_str().and_then(parse);
    parsed.ok_or_else(|| D::Error::custom(allowed))
}

/// A list of such texts.
fn list<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    allowed: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let items = value.as_array();
    let parsed = items.and_then(|items| items.iter().map(|item| parse(item.as_str()?)).collect());
    parsed.ok_or_else(|| D::Error::custom(allowed))
}
