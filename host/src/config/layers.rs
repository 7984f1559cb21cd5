//! The layers of the configuration: defaults, a command's presets, file, environment, command line.
//!
//! Called by config.rs. The only place that reads environment variables and the configuration file. Remembers for each
//! option the file and line, the variable or the flag that set it, for messages.

use std::{collections::BTreeMap, env, fmt, path::PathBuf};

use serde::{Deserialize as _, de::DeserializeOwned};
use toml::{
    Table, Value,
    de::{DeTable, DeValue, ValueDeserializer},
};

const DEFAULTS: &str = include_str!("../../config.default.toml");
const PREFIX: &str = "BOXOFFICE_";
/// Variables with the prefix that are not options: the program under test, the token of operator commands.
const OTHERS: [&str; 2] = ["BOXOFFICE_BIN", "BOXOFFICE_TOKEN"];

/// An option that is unknown or has a value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {0}")]
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

/// The configuration from the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// `--config FILE`.
    pub(crate) file: Option<PathBuf>,
    /// What a command sets before file and environment: (option, value).
    pub(crate) presets: Vec<(&'static str, Value)>,
    /// Values of flags, which override everything: (option, flag, value).
    pub(crate) overrides: Vec<(&'static str, &'static str, Value)>,
}

/// The token for commands that call a running host, if it is in the environment.
pub(crate) fn token_from_environment() -> Option<String> {
    env::var("BOXOFFICE_TOKEN").ok()
}

/// This machine's folder for our caches: the one that the service manager made, or the user's own.
pub(crate) fn cache_folder_from_environment() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    // systemd names several with colons between them; our unit has one.
    let made = named("CACHE_DIRECTORY").and_then(|folders| env::split_paths(&folders).next());
    made.or_else(|| Some(PathBuf::from(named("XDG_CACHE_HOME")?).join("boxoffice")))
        .or_else(|| Some(PathBuf::from(named("HOME")?).join(".cache/boxoffice")))
        .filter(|folder| folder.is_absolute())
}

/// The merged layers, and the place that set each option.
#[derive(Default)]
pub(super) struct Layers {
    merged: Table,
    places: BTreeMap<String, String>,
}

impl Layers {
    /// All layers; later ones override earlier ones.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that cannot be read.
    pub(super) fn new(flags: &Flags) -> Result<Self, ConfigError> {
        let mut layers = Self::defaults()?;
        for (key, value) in &flags.presets {
            layers.set(key, value.clone(), "the command's own defaults");
        }
        if let Some(file) = &flags.file {
            let file = file.display().to_string();
            let text = std::fs::read_to_string(&file).map_err(|error| {
                let allowed = format_args!("a file that can be read: {error}");
                ConfigError::new("--config", &file, allowed)
            })?;
            layers.add_text(&text, &file)?;
        }
        for (key, variable, text) in variables() {
            layers.set_text(&key, text, &variable);
        }
        for (key, flag, value) in &flags.overrides {
            layers.set(key, value.clone(), flag);
        }
        Ok(layers)
    }

    /// The lowest layer.
    pub(super) fn defaults() -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        layers.add_text(DEFAULTS, "config.default.toml")?;
        Ok(layers)
    }

    /// Adds a layer of TOML.
    pub(super) fn add_text(&mut self, text: &str, file: &str) -> Result<(), ConfigError> {
        let place = |at: usize| format!("{file}:{}", 1 + text[..at].matches('\n').count());
        // The message alone: an excerpt could show a secret.
        let refused = |error: toml::de::Error| {
            let at = place(error.span().map_or(0, |span| span.start));
            ConfigError(format!("{at}: {}", error.message()))
        };
        let document = DeTable::parse(text).map_err(refused)?;
        self.add("", document.into_inner(), &place).map_err(refused)
    }

    fn add(
        &mut self,
        section: &str,
        table: DeTable<'_>,
        place: &impl Fn(usize) -> String,
    ) -> Result<(), toml::de::Error> {
        for (name, value) in table {
            let place_of_name = place(name.span().start);
            let key = match section {
                "" => name.into_inner().into_owned(),
                section => format!("{section}.{}", name.get_ref()),
            };
            match value.get_ref() {
                DeValue::Table(_) => {
                    // Kept even if it is empty, so that an unknown section is refused.
                    if !self.value(&key).is_some_and(Value::is_table) {
                        self.set(&key, Value::Table(Table::new()), &place_of_name);
                    }
                    if let DeValue::Table(table) = value.into_inner() {
                        self.add(&key, table, place)?;
                    }
                }
                _ => {
                    let value = Value::deserialize(ValueDeserializer::from(value))?;
                    self.set(&key, value, &place_of_name);
                }
            }
        }
        Ok(())
    }

    /// Sets an option from a text without quotes, as a value of the option's kind: a password of digits stays a text, a
    /// list becomes a list.
    fn set_text(&mut self, key: &str, text: String, place: &str) {
        let value = match self.value(key) {
            Some(Value::String(_)) => Value::String(text),
            _ => text.parse().unwrap_or(Value::String(text)),
        };
        self.set(key, value, place);
    }

    fn set(&mut self, key: &str, value: Value, place: &str) {
        self.places.insert(key.to_owned(), place.to_owned());
        let mut names: Vec<&str> = key.split('.').collect();
        let name = names.pop().unwrap_or_default();
        let section = names.into_iter().fold(&mut self.merged, |table, name| {
            let value = table
                .entry(name)
                .or_insert_with(|| Value::Table(Table::new()));
            if !value.is_table() {
                *value = Value::Table(Table::new());
            }
            value.as_table_mut().expect("it was made one")
        });
        section.insert(name.to_owned(), value);
    }

    fn value(&self, key: &str) -> Option<&Value> {
        let mut names = key.split('.');
        let first = self.merged.get(names.next()?)?;
        names.try_fold(first, |value, name| match value {
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            value => value.get(name),
        })
    }

    /// Reads all options.
    ///
    /// # Errors
    /// [`ConfigError`] for an unknown option, and for a value that its type does not allow.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let all = Value::Table(self.merged.clone());
        serde_path_to_error::deserialize(all).map_err(|error| {
            let key = error.path().to_string();
            let key = key.replace('[', ".").replace(']', "");
            // serde writes "unknown field `x`, expected …" and "invalid type: …, expected …"; our types say only what is allowed.
            let message = error.inner().message().replace('`', "");
            let (problem, allowed) = message.rsplit_once(", expected ").unwrap_or(("", &message));
            match problem.starts_with("unknown field") {
                true => ConfigError(format!(
                    "there is no option {key}{}; expected {allowed}",
                    self.place(&key)
                )),
                false => self.refused(&key, allowed),
            }
        })
    }

    /// The error for the value of an option.
    pub(super) fn refused(&self, key: &str, allowed: impl fmt::Display) -> ConfigError {
        let place = self.place(key);
        ConfigError::new(&format!("{key}{place}"), self.shown(key), allowed)
    }

    /// Refuses a combination of values, without showing them.
    pub(super) fn invalid(&self, key: &str, reason: &str) -> ConfigError {
        ConfigError(format!("{key}{} is not valid: {reason}", self.place(key)))
    }

    /// The place that set an option, or else the list or section that it stands in.
    fn place(&self, key: &str) -> String {
        let mut keys = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0));
        keys.find_map(|key| self.places.get(key))
            .map(|place| format!(" (from {place})"))
            .unwrap_or_default()
    }

    /// A value for a message.
    fn shown(&self, key: &str) -> String {
        let is_secret = key.contains("keys")
            || ["secret", "password", "token"]
                .iter()
                .any(|name| key.ends_with(name));
        match self.value(key) {
            None => "(nothing)".to_owned(),
            Some(Value::Table(_)) => "(a section)".to_owned(),
            Some(Value::Array(_)) => "(a list)".to_owned(),
            Some(value) if is_secret && value.as_str() != Some("") => "(a secret)".to_owned(),
            Some(value) => value.to_string(),
        }
    }
}

/// Environment variables that are options, in a stable order: (option, variable, text).
fn variables() -> Vec<(String, String, String)> {
    let mut variables: Vec<_> = env::vars_os()
        .filter_map(|(name, text)| {
            let name = name.into_string().ok()?;
            let key = name.strip_prefix(PREFIX)?;
            if OTHERS.contains(&name.as_str()) || key.is_empty() {
                return None;
            }
            let key = key.to_ascii_lowercase().replace("__", ".");
            // Text that is not Unicode becomes a value that no option allows.
            Some((key, name, text.to_string_lossy().into_owned()))
        })
        .collect();
    variables.sort();
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environments_text_takes_the_kind_of_its_option() {
        let mut layers = Layers::defaults().unwrap();
        let mut kind = |key: &str, text: &str| {
            layers.set_text(key, text.to_owned(), "VARIABLE");
            layers.value(key).unwrap().to_string()
        };
        assert_eq!(kind("mail.smtp.password", "12345"), "\"12345\"");
        assert_eq!(kind("http.body_bytes_max", "12345"), "12345");
        assert_eq!(kind("http.throttle_logins", "false"), "false");
        assert_eq!(kind("http.throttle_logins", "no"), "\"no\"");
        assert_eq!(kind("http.trusted_proxies", "[\"::1\"]"), "[\"::1\"]");
        kind("auth.keys", "[{id=\"1\",secret=\"0\"}]");
        assert_eq!(
            layers.value("auth.keys.0.id").and_then(Value::as_str),
            Some("1")
        );
    }

    #[test]
    fn later_layers_win_and_say_where_they_came_from() {
        let flags = Flags {
            presets: vec![("http.throttle_logins", Value::from(false))],
            overrides: vec![("listen", "--listen", Value::from("[::1]:0"))],
            ..Flags::default()
        };
        let mut layers = Layers::new(&flags).unwrap();
        let shown = |layers: &Layers, key: &str| layers.value(key).unwrap().to_string();
        assert_eq!(shown(&layers, "http.throttle_logins"), "false");
        assert_eq!(shown(&layers, "listen"), "\"[::1]:0\"");
        assert_eq!(layers.place("listen"), " (from --listen)");
        layers
            .add_text("# A file\n\n[http]\nbody_bytes_max = 5\n", "some.toml")
            .unwrap();
        assert_eq!(layers.place("http.body_bytes_max"), " (from some.toml:4)");
        assert_eq!(shown(&layers, "http.hsts_seconds"), "0");
    }
}
