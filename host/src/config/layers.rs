//! The layers of the configuration and their order.
//!
//! Called by config.rs. The only place that reads environment variables and the configuration file.

use std::{env, path::PathBuf};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use super::ConfigError;

const DEFAULTS: &str = include_str!("../../config.default.toml");
const PREFIX: &str = "BOXOFFICE_";
/// Variables with the prefix that are not options: the program under test, the token of operator commands.
const OTHERS: [&str; 2] = ["BOXOFFICE_BIN", "BOXOFFICE_TOKEN"];

/// The configuration from the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// `--config FILE`.
    pub(crate) file: Option<PathBuf>,
    /// Values that a command sets before file and environment: (option, value in TOML).
    pub(crate) presets: Vec<(&'static str, Value)>,
    /// Values of flags, which override everything: (option, flag, value).
    pub(crate) overrides: Vec<(&'static str, &'static str, Value)>,
}

/// The token for commands that call a running host, if it is in the environment.
pub(crate) fn token_from_environment() -> Option<String> {
    env::var("BOXOFFICE_TOKEN").ok()
}

/// The machine's folder for caches: from the service manager, or the user's.
pub(crate) fn cache_folder_from_environment() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    // systemd lists several with colons between them; Boxoffice's units have one.
    let made = named("CACHE_DIRECTORY").and_then(|folders| env::split_paths(&folders).next());
    made.or_else(|| Some(PathBuf::from(named("XDG_CACHE_HOME")?).join("boxoffice")))
        .or_else(|| Some(PathBuf::from(named("HOME")?).join(".cache/boxoffice")))
        .filter(|folder| folder.is_absolute())
}

/// All layers; later ones override earlier ones.
pub(super) fn figment(flags: &Flags) -> Result<Figment, ConfigError> {
    let mut figment = defaults();
    for (key, value) in &flags.presets {
        figment = figment.merge(One {
            key,
            origin: "the command's own defaults".to_owned(),
            value: value.clone(),
        });
    }
    if let Some(file) = &flags.file {
        let text = std::fs::read_to_string(file).map_err(|error| {
            ConfigError::new(
                "--config",
                file.display(),
                format!("a file that can be read: {error}"),
            )
        })?;
        figment = figment.merge(text_from(&text, format!("{}", file.display())));
    }
    for (key, variable, text) in variables() {
        let value = parsed(&figment, &key, text);
        figment = figment.merge(One {
            key: &key,
            origin: variable,
            value,
        });
    }
    for (key, flag, value) in &flags.overrides {
        figment = figment.merge(One {
            key,
            origin: (*flag).to_owned(),
            value: value.clone(),
        });
    }
    Ok(figment)
}

/// The lowest layer.
pub(super) fn defaults() -> Figment {
    Figment::from(text_from(DEFAULTS, "the defaults".to_owned()))
}

/// A layer from text; for tests.
#[cfg(test)]
pub(super) fn text(toml: &str) -> impl Provider {
    text_from(toml, "a test".to_owned())
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
            // Invalid Unicode becomes an invalid value, so that it is reported.
            Some((key, name, text.to_string_lossy().into_owned()))
        })
        .collect();
    variables.sort();
    variables
}

/// The text as a value of the option's type: a password of digits stays a text, a list becomes a list.
fn parsed(figment: &Figment, key: &str, text: String) -> Value {
    match figment.find_value(key) {
        Ok(Value::String(..)) => Value::from(text),
        _ => text
            .parse()
            .unwrap_or_else(|never: std::convert::Infallible| match never {}),
    }
}

/// A layer with one option.
struct One<'a> {
    key: &'a str,
    origin: String,
    value: Value,
}

impl Provider for One<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let value = figment::util::nest(self.key, self.value.clone());
        Ok(value
            .into_dict()
            .map(|dict| Profile::Default.collect(dict))
            .unwrap_or_default())
    }
}

/// A TOML text with the name of its source, for messages.
struct Text {
    origin: String,
    toml: figment::providers::Data<Toml>,
}

fn text_from(toml: &str, origin: String) -> Text {
    Text {
        origin,
        toml: Toml::string(toml),
    }
}

impl Provider for Text {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        self.toml.data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environments_text_takes_the_kind_of_its_option() {
        let kind = |key: &str, text: &str| parsed(&defaults(), key, text.to_owned());
        assert_eq!(kind("mail.smtp.password", "12345").as_str(), Some("12345"));
        assert_eq!(kind("http.body_bytes_max", "12345").to_u128(), Some(12_345));
        assert_eq!(kind("http.throttle_logins", "false").to_bool(), Some(false));
        assert_eq!(
            kind("http.trusted_proxies", "[\"::1\"]")
                .as_array()
                .map(<[_]>::len),
            Some(1)
        );
        let keys = kind("auth.keys", "[{id=\"1\",secret=\"0\"}]");
        assert_eq!(
            keys.as_array().unwrap()[0].find_ref("id").unwrap().as_str(),
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
        let figment = figment(&flags).unwrap();
        assert_eq!(
            figment
                .find_value("http.throttle_logins")
                .unwrap()
                .to_bool(),
            Some(false)
        );
        assert_eq!(
            figment.find_value("listen").unwrap().as_str(),
            Some("[::1]:0")
        );
        assert_eq!(figment.find_metadata("listen").unwrap().name, "--listen");
    }
}
