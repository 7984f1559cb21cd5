//! What names plugins: the hash of a version, and what a tenant calls a plugin.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The id of a plugin's version: the SHA-256 of its bytes, as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginHash([u8; 32]);

impl PluginHash {
    /// Computes the hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for PluginHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for PluginHash {
    type Err = Error;

    /// Parses 64 hexadecimal digits. Any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let none = || {
            let shown: String = text
                .chars()
                .filter(char::is_ascii_graphic)
                .take(80)
                .collect();
            Error::not_found("plugin version", shown)
        };
        if text.len() != 64 || !text.is_ascii() {
            return Err(none());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| none())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for PluginHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PluginHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A reserved name: the API lists the versions of all plugins under it.
const RESERVED_NAME: &str = "versions";

/// A plugin's name, the same for all its versions: 1 to 64 of `a-z`, `0-9` and inner `-`, and not `versions`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName(String);

impl PluginName {
    /// Reads a name.
    ///
    /// # Errors
    /// `field-invalid` for any other text.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        if text == RESERVED_NAME {
            let rule = "The name `versions` is reserved: the API lists the versions of all plugins under it. Choose \
                another name.";
            return Err(Error::field(field, rule));
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&text.len())
            && text.bytes().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-')
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::field(
                field,
                "A plugin's name is 1 to 64 lower-case letters, digits and inner hyphens.",
            ))
        }
    }

    /// Takes a name that was checked when it was stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PluginName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse("name", text)
    }
}

impl TryFrom<String> for PluginName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse("name", &text)
    }
}

impl From<PluginName> for String {
    fn from(name: PluginName) -> Self {
        name.0
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
