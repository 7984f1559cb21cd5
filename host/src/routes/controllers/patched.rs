//! Fields of a merge patch (RFC 7396): left out, null, or a value.
//!
//! Used by the controllers of events, ticket types and tenants. A patch has its own type, in which nothing is
//! required and nothing has a default: fields that a client leaves out stay.

use boxoffice_engine::{Error, Result};
use serde::{Deserialize, Deserializer};

/// One field of a patch. Put `#[serde(default)]` on it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Patched<T> {
    /// Left out: the field stays.
    #[default]
    Kept,
    /// Null: the field is reset to its default.
    Reset,
    /// The new value.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patched<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Reset, Self::Set))
    }
}

impl<T> Patched<T> {
    /// The new value of a field that has no default, if there is one.
    ///
    /// # Errors
    /// `field-invalid` at `field` for null.
    pub(super) fn value(&self, field: &'static str) -> Result<Option<&T>> {
        match self {
            Self::Kept => Ok(None),
            Self::Set(value) => Ok(Some(value)),
            Self::Reset => Err(Error::field(
                field,
                "This field cannot be null. Leave it out to keep it as it is.",
            )),
        }
    }

    /// Writes the new value, if there is one, into `target`: the result of `read`, or `default` for null.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) fn write<V>(
        &self,
        target: &mut V,
        default: V,
        read: impl FnOnce(&T) -> Result<V>,
    ) -> Result<()> {
        match self {
            Self::Kept => {}
            Self::Reset => *target = default,
            Self::Set(value) => *target = read(value)?,
        }
        Ok(())
    }

    /// Returns whether the patch has the field, null included.
    pub(super) fn is_given(&self) -> bool {
        !matches!(self, Self::Kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Patch {
        #[serde(default)]
        name: Patched<String>,
    }

    #[test]
    fn left_out_null_and_a_value_are_three_things() {
        let name = |text: &str| serde_json::from_str::<Patch>(text).unwrap().name;
        assert_eq!(name("{}"), Patched::Kept);
        assert_eq!(name(r#"{"name":null}"#), Patched::Reset);
        assert_eq!(name(r#"{"name":"x"}"#), Patched::Set("x".to_owned()));
        let error = name(r#"{"name":null}"#).value("name").unwrap_err();
        assert_eq!(error.field_name(), Some("name"));
        let mut target = 1;
        name("{}").write(&mut target, 0, |_| Ok(2)).unwrap();
        assert_eq!(target, 1);
        name(r#"{"name":null}"#)
            .write(&mut target, 0, |_| Ok(2))
            .unwrap();
        assert_eq!(target, 0);
        name(r#"{"name":"x"}"#)
            .write(&mut target, 0, |_| Ok(2))
            .unwrap();
        assert_eq!(target, 2);
    }
}
