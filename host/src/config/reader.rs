//! Reads single options out of the layers, each with its rule.
//!
//! Called by config.rs. Every error has the same form: option, source, value, allowed values. Secrets are not shown.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use axum::http::HeaderValue;
use figment::{
    Figment,
    value::{Dict, Value},
};

use super::{MetricsListen, layers};
use crate::routes::cors::is_origin;

/// An option that is unknown or has a value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError(String);

impl ConfigError {
    /// The error for a value of `key`, with the allowed values.
    pub(crate) fn new(key: &str, value: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self(format!(
            "{key} = {value} is not allowed; it must be {allowed}"
        ))
    }

    /// The error for a missing option, with advice.
    pub(crate) fn missing(key: &str, what_to_do: &str) -> Self {
        Self(format!("{key} is not set; {what_to_do}"))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "configuration: {}", self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The merged layers.
pub(super) struct Reader {
    figment: Figment,
    all: Value,
}

impl Reader {
    /// Merges the layers and refuses options that the defaults do not have.
    pub(super) fn new(figment: Figment) -> Result<Self, ConfigError> {
        let merged = |figment: &Figment| {
            let dict = figment
                .extract::<Dict>()
                .map_err(|error| ConfigError(without_excerpt(&error.to_string())))?;
            Ok(Value::from(dict))
        };
        let reader = Self {
            all: merged(&figment)?,
            figment,
        };
        let known = merged(&layers::defaults())?;
        reader.refuse_unknown("", &reader.all, &known)?;
        Ok(reader)
    }

    /// The error for the value of an option.
    pub(super) fn refused(&self, key: &str, allowed: impl fmt::Display) -> ConfigError {
        let place = self.place(key);
        ConfigError::new(
            &format!("{key}{place}"),
            shown(key, self.all.find_ref(key)),
            allowed,
        )
    }

    /// A text, possibly empty.
    pub(super) fn text(&self, key: &str) -> Result<String, ConfigError> {
        self.checked(key, "a text in quotes", |text| Some(text.to_owned()))
    }

    /// A text that `check` accepts and converts.
    pub(super) fn checked<T>(
        &self,
        key: &str,
        allowed: &str,
        check: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.value(key)
            .and_then(Value::as_str)
            .and_then(check)
            .ok_or_else(|| self.refused(key, allowed))
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let find = |text: &str| {
            choices
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| *value)
        };
        self.checked(key, &words.join(" or "), find)
    }

    /// `true` or `false`.
    pub(super) fn yes_or_no(&self, key: &str) -> Result<bool, ConfigError> {
        self.value(key)
            .and_then(Value::to_bool)
            .ok_or_else(|| self.refused(key, "true or false"))
    }

    /// A whole number within a range.
    pub(super) fn number<T: TryFrom<i128>>(
        &self,
        key: &str,
        range: RangeInclusive<i128>,
    ) -> Result<T, ConfigError> {
        self.value(key)
            .and_then(whole)
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                self.refused(
                    key,
                    format_args!("a whole number from {} to {}", range.start(), range.end()),
                )
            })
    }

    /// A duration in seconds, with or without a fraction, within a range.
    pub(super) fn seconds(
        &self,
        key: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Duration, ConfigError> {
        self.fraction(key)
            .filter(|number| range.contains(number))
            .map(Duration::from_secs_f64)
            .ok_or_else(|| {
                self.refused(
                    key,
                    format_args!(
                        "a number of seconds from {} to {}",
                        range.start(),
                        range.end()
                    ),
                )
            })
    }

    /// A share, from 0 to 1.
    pub(super) fn share(&self, key: &str) -> Result<f64, ConfigError> {
        self.fraction(key)
            .filter(|number| (0.0..=1.0).contains(number))
            .ok_or_else(|| self.refused(key, "a number from 0 to 1"))
    }

    /// A number, with or without a fraction.
    fn fraction(&self, key: &str) -> Option<f64> {
        match self.value(key)? {
            value @ Value::Num(_, number) => number
                .to_f64()
                .or_else(|| whole(value).map(|number| number as f64)),
            _ => None,
        }
    }

    /// An address to listen at.
    pub(super) fn address(&self, key: &str) -> Result<SocketAddr, ConfigError> {
        self.checked(key, "ADDRESS:PORT such as 127.0.0.1:8080", |text| {
            text.parse().ok()
        })
    }

    /// Where `/metrics` is served.
    pub(super) fn metrics_listen(&self, key: &str) -> Result<MetricsListen, ConfigError> {
        let allowed = "ADDRESS:PORT such as 127.0.0.1:9464, \"with-api\" (open to whoever reaches the API), or \"\"";
        self.checked(key, allowed, |text| match text {
            "" => Some(MetricsListen::Nowhere),
            "with-api" => Some(MetricsListen::WithApi),
            address => address.parse().ok().map(MetricsListen::At),
        })
    }

    /// A list of IP addresses.
    pub(super) fn ip_addresses(&self, key: &str) -> Result<Vec<IpAddr>, ConfigError> {
        let items = self.value(key).and_then(Value::as_array);
        items
            .and_then(|items| {
                items
                    .iter()
                    .map(|item| item.as_str()?.parse().ok())
                    .collect()
            })
            .ok_or_else(|| self.refused(key, "a list of IP addresses such as [\"10.0.0.1\"]"))
    }

    /// A list of origins as browsers send them.
    pub(super) fn origins(&self, key: &str) -> Result<Vec<HeaderValue>, ConfigError> {
        let items = self.value(key).and_then(Value::as_array);
        let origin = |item: &Value| {
            let text = item.as_str().filter(|text| is_origin(text))?;
            HeaderValue::from_str(text).ok()
        };
        items
            .and_then(|items| items.iter().map(origin).collect())
            .ok_or_else(|| {
                let allowed = "a list of origins such as [\"https://shop.example\"]: scheme, host in lower case, port if \
                               it is not the scheme's own, and nothing behind it";
                self.refused(key, allowed)
            })
    }

    /// A domain in lower case; `None` if it is empty.
    pub(super) fn domain(&self, key: &str) -> Result<Option<String>, ConfigError> {
        self.checked(
            key,
            "a domain such as tickets.example.org, or empty",
            |text| {
                let label = |label: &str| {
                    !label.is_empty()
                        && label
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                };
                let is_domain = text.split('.').all(label);
                (text.is_empty() || is_domain)
                    .then(|| (!text.is_empty()).then(|| text.to_ascii_lowercase()))
            },
        )
    }

    /// The bytes of the file that an option names; `None` if it is empty.
    pub(super) fn file(&self, key: &str) -> Result<Option<Vec<u8>>, ConfigError> {
        let path = self.text(key)?;
        if path.is_empty() {
            return Ok(None);
        }
        std::fs::read(&path)
            .map(Some)
            .map_err(|error| self.refused(key, format_args!("a file that can be read: {error}")))
    }

    /// A list of tables, each with exactly these texts.
    pub(super) fn tables<const N: usize>(
        &self,
        key: &str,
        fields: &[&str; N],
    ) -> Result<Vec<[String; N]>, ConfigError> {
        let rule = || {
            format!(
                "a list of tables such as [{{ {} }}]",
                fields.map(|field| format!("{field} = \"…\"")).join(", ")
            )
        };
        let items = self
            .value(key)
            .and_then(Value::as_array)
            .ok_or_else(|| self.refused(key, rule()))?;
        let mut tables = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let at = |field: &str| format!("{key}.{index}.{field}");
            let table = item.as_dict().ok_or_else(|| self.refused(key, rule()))?;
            if let Some(unknown) = table.keys().find(|name| !fields.contains(&name.as_str())) {
                return Err(ConfigError(format!(
                    "there is no option {}; allowed are {}",
                    at(unknown),
                    fields.join(", ")
                )));
            }
            let mut texts = [const { String::new() }; N];
            for (text, field) in texts.iter_mut().zip(fields) {
                let value = table.get(*field);
                *text = value
                    .and_then(Value::as_str)
                    .ok_or_else(|| {
                        ConfigError::new(&at(field), shown(field, value), "a text in quotes")
                    })?
                    .to_owned();
            }
            tables.push(texts);
        }
        Ok(tables)
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.all.find_ref(key)
    }

    fn refuse_unknown(&self, path: &str, given: &Value, known: &Value) -> Result<(), ConfigError> {
        let (Some(given), Some(known)) = (given.as_dict(), known.as_dict()) else {
            return Ok(());
        };
        for (name, value) in given {
            let key = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let Some(known) = known.get(name) else {
                let place = self.place(&key);
                let allowed: Vec<&str> = known.keys().map(String::as_str).collect();
                return Err(ConfigError(format!(
                    "there is no option {key}{place}; allowed here are {}",
                    allowed.join(", ")
                )));
            };
            if known.as_dict().is_some() && value.as_dict().is_none() {
                return Err(self.refused(&key, format_args!("a section, [{key}]")));
            }
            self.refuse_unknown(&key, value, known)?;
        }
        Ok(())
    }

    /// The source of the value, in brackets.
    fn place(&self, key: &str) -> String {
        self.figment
            .find_metadata(key)
            .map(|metadata| format!(" (from {})", metadata.name))
            .unwrap_or_default()
    }
}

/// A message about invalid TOML, without the quoted lines, which may contain a secret.
fn without_excerpt(message: &str) -> String {
    let is_excerpt = |line: &&str| {
        line.trim_start()
            .trim_start_matches(|character: char| character.is_ascii_digit())
            .trim_start()
            .starts_with('|')
    };
    let lines: Vec<&str> = message
        .lines()
        .filter(|line| !is_excerpt(line))
        .map(str::trim)
        .collect();
    lines.join("; ")
}

fn whole(value: &Value) -> Option<i128> {
    value.to_i128().or_else(|| {
        value
            .to_u128()
            .and_then(|number| i128::try_from(number).ok())
    })
}

/// A value for a message.
fn shown(key: &str, value: Option<&Value>) -> String {
    let is_secret = ["secret", "password", "token"]
        .iter()
        .any(|word| key.ends_with(word))
        || key.starts_with("auth.keys");
    match value {
        None => "(nothing)".to_owned(),
        Some(Value::String(_, text)) if text.is_empty() => "\"\"".to_owned(),
        Some(_) if is_secret => "(a secret)".to_owned(),
        Some(Value::String(_, text)) => format!("{text:?}"),
        Some(Value::Bool(_, yes)) => yes.to_string(),
        Some(Value::Num(_, number)) => match number.to_f64() {
            Some(float) => float.to_string(),
            None => number
                .to_i128()
                .map(|number| number.to_string())
                .or_else(|| number.to_u128().map(|number| number.to_string()))
                .unwrap_or_default(),
        },
        Some(Value::Array(..)) => "(a list)".to_owned(),
        Some(_) => "(a section)".to_owned(),
    }
}
