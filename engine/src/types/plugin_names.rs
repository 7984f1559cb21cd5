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

/// What the names of built-in policies begin with. An uploaded plugin's name has no full stop.
const BUILT_IN: &str = "boxoffice.";

/// A plugin's name, the same for all its versions: 1 to 64 of `a-z`, `0-9` and inner `-`, and not `versions`. A built-in policy's is
/// `boxoffice.POLICY`, or `boxoffice.POLICY.LABEL` where it is in use several times.
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
        let is_right = match text.strip_prefix(BUILT_IN) {
            Some(rest) => rest.split('.').count() <= 2 && rest.split('.').all(is_word),
            None => is_word(text),
        };
        if is_right && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::field(
                field,
                "A plugin's name is 1 to 64 lower-case letters, digits and inner hyphens. A built-in policy's is \
                boxoffice.POLICY or boxoffice.POLICY.LABEL.",
            ))
        }
    }

    /// The policy that this name uses, if it is a built-in one: `promo-codes` for `boxoffice.promo-codes.spring`.
    pub fn built_in(&self) -> Option<&str> {
        let rest = self.0.strip_prefix(BUILT_IN)?;
        rest.split('.').next()
    }

    /// The name of a built-in policy without a label.
    pub(crate) fn of_built_in(policy: &str) -> Self {
        Self(format!("{BUILT_IN}{policy}"))
    }

    /// Refuses the names of built-in policies, which no upload takes.
    ///
    /// # Errors
    /// `field-invalid` at `name`.
    pub fn require_uploadable(&self) -> Result<()> {
        match self.built_in() {
            None => Ok(()),
            Some(_) => Err(Error::field(
                "name",
                "Names that begin with `boxoffice.` are those of built-in policies. Choose another name.",
            )),
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

/// Whether a text is made of lower-case letters, digits and inner hyphens.
fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_built_in_policies_have_a_form_of_their_own() {
        for (text, policy) in [
            ("two-each", None),
            ("boxoffice", None),
            ("boxoffice.promo-codes", Some("promo-codes")),
            ("boxoffice.promo-codes.spring-1", Some("promo-codes")),
        ] {
            let name = PluginName::parse("name", text).expect("a name");
            assert_eq!(name.built_in(), policy, "{text}");
            assert_eq!(
                name.require_uploadable().is_ok(),
                policy.is_none(),
                "{text}"
            );
        }
        let long = format!("boxoffice.promo-codes.{}", "x".repeat(43));
        for wrong in [
            "boxoffice.",
            "boxoffice..x",
            "boxoffice.a.",
            "boxoffice.a.b.c",
            "boxoffice.A",
            "boxoffice.-a",
            "two.each",
            "versions",
            "",
            &long,
        ] {
            assert!(PluginName::parse("name", wrong).is_err(), "{wrong:?}");
        }
    }
}
