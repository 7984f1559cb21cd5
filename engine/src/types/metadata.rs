//! What a platform keeps with its objects: strings by key, and its own name of an object. Boxoffice stores and shows them, and
//! reads nothing from them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Strings by key, for programs: at most 50 keys of 1 to 40 characters, with values of at most 500.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Most keys of one object. With the longest values 27 KB, in characters of one byte.
    pub const KEYS_MAX: usize = 50;
    /// Longest key, in characters.
    pub const KEY_CHARACTERS_MAX: usize = 40;
    /// Longest value, in characters.
    pub const VALUE_CHARACTERS_MAX: usize = 500;

    /// Checks the metadata of a request's `field`.
    ///
    /// # Errors
    /// `field-invalid`, at `field` or at `field.KEY`.
    pub fn parse(field: &str, entries: BTreeMap<String, String>) -> Result<Self> {
        if entries.len() > Self::KEYS_MAX {
            return Err(Error::field(
                field.to_owned(),
                "Metadata have at most 50 keys.",
            ));
        }
        for (key, value) in &entries {
            let fits = (1..=Self::KEY_CHARACTERS_MAX).contains(&key.chars().count());
            if !fits || key.chars().any(char::is_control) {
                let rule = "A key of metadata has 1 to 40 characters, and no control characters.";
                return Err(Error::field(field.to_owned(), rule));
            }
            if value.len() > 4 * Self::VALUE_CHARACTERS_MAX
                || value.chars().count() > Self::VALUE_CHARACTERS_MAX
            {
                let rule = "A value of metadata has at most 500 characters.";
                return Err(Error::field(format!("{field}.{key}"), rule));
            }
        }
        Ok(Self(entries))
    }

    /// These metadata after a merge patch (RFC 7396) of their keys, from the request's `field`: null removes a key.
    ///
    /// # Errors
    /// `field-invalid`, at `field` or at `field.KEY`.
    pub fn merged(&self, field: &str, patch: &BTreeMap<String, Option<String>>) -> Result<Self> {
        let mut entries = self.0.clone();
        for (key, value) in patch {
            match value {
                Some(value) => drop(entries.insert(key.clone(), value.clone())),
                None => drop(entries.remove(key)),
            }
        }
        Self::parse(field, entries)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All keys with their values, in order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.0.iter();
        entries.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The bytes of all keys and values.
    pub(crate) fn bytes(&self) -> usize {
        let entries = self.0.iter();
        entries.map(|(key, value)| key.len() + value.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The platform's name of an event or a booking, unique within the tenant: 1 to 64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(String);

impl Reference {
    /// Longest reference, in characters.
    pub const CHARACTERS_MAX: usize = 64;

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The reference as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reference {
    type Err = Error;

    /// Checks a reference.
    ///
    /// # Errors
    /// `field-invalid` at `reference`.
    fn from_str(text: &str) -> Result<Self> {
        let fits = (1..=Self::CHARACTERS_MAX).contains(&text.len());
        match fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.to_owned())),
            false => Err(Error::field(
                "reference",
                "A reference is 1 to 64 visible ASCII characters.",
            )),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        list.iter().map(owned).collect()
    }

    #[test]
    fn metadata_are_bounded_in_characters_and_name_the_wrong_key() {
        let long = "ü".repeat(500);
        let fine = Metadata::parse(
            "metadata",
            entries(&[("seat", &long), (&"k".repeat(40), "")]),
        );
        assert_eq!(fine.unwrap().get("seat"), Some(long.as_str()));
        let too_long = entries(&[("seat", &"ü".repeat(501))]);
        let error = Metadata::parse("metadata", too_long).unwrap_err();
        assert_eq!(error.field_name(), Some("metadata.seat"));
        for key in ["", "a\nb", &"k".repeat(41)] {
            let error = Metadata::parse("metadata", entries(&[(key, "")])).unwrap_err();
            assert_eq!(error.field_name(), Some("metadata"), "{key:?}");
        }
        let many: BTreeMap<_, _> = (0..51)
            .map(|key| (key.to_string(), String::new()))
            .collect();
        assert!(Metadata::parse("metadata", many).is_err());
    }

    #[test]
    fn references_are_visible_ascii() {
        let longest = "x".repeat(64);
        for text in ["order/1", longest.as_str()] {
            assert_eq!(text.parse::<Reference>().unwrap().as_str(), text);
        }
        for text in ["", "a b", "ü", &"x".repeat(65)] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
