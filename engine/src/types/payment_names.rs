//! Names that come from payment providers: of the provider, of a payment, of a notice.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::error::{Error, Result};

/// Defines a name that comes from a payment provider or a platform.
macro_rules! provider_name {
    ($(#[$doc:meta])* $name:ident, $field:literal, $max:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes a name that was checked when it was stored.
            pub(crate) fn stored(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// # Errors
            /// `field-invalid` with the rule.
            fn from_str(text: &str) -> Result<Self> {
                let may_stand =
                    |byte: u8| byte.is_ascii_alphanumeric() || b"._~:-".contains(&byte);
                let begins_well = text.bytes().next().is_some_and(|one| one.is_ascii_alphanumeric());
                match begins_well && text.len() <= $max && text.bytes().all(may_stand) {
                    true => Ok(Self(text.to_owned())),
                    false => Err(Error::field($field, $rule)),
                }
            }
        }
    };
}

provider_name!(
    /// The name of a payment provider, such as `stripe`: 1 to 40 letters, digits and `. _ ~ : -`, of which the first is a
    /// letter or digit. It needs no escaping in a path.
    PaymentProvider, "provider", 40,
    "A provider is 1 to 40 letters, digits and . _ ~ : -, and begins with a letter or digit."
);
provider_name!(
    /// The provider's name of a payment: 1 to 200 letters, digits and `. _ ~ : -`, of which the first is a letter or digit.
    PaymentReference, "reference", 200,
    "A reference is 1 to 200 letters, digits and . _ ~ : -, and begins with a letter or digit."
);
provider_name!(
    /// The provider's name of a notice, unique within its payment: 1 to 200 letters, digits and `. _ ~ : -`, of which the
    /// first is a letter or digit.
    NoticeId, "noticeId", 200,
    "A notice id is 1 to 200 letters, digits and . _ ~ : -, and begins with a letter or digit."
);

/// What names a payment within a tenant: its provider, and the provider's reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PaymentKey {
    /// The provider.
    pub provider: PaymentProvider,
    /// The provider's name of the payment.
    pub reference: PaymentReference,
}

impl fmt::Display for PaymentKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.provider, self.reference)
    }
}

impl FromStr for PaymentKey {
    type Err = Error;

    /// # Errors
    /// `field-invalid` unless it is `PROVIDER/REFERENCE`.
    fn from_str(text: &str) -> Result<Self> {
        let rule = || Error::field("payment", "A payment is named by PROVIDER/REFERENCE.");
        let (provider, reference) = text.split_once('/').ok_or_else(rule)?;
        Ok(Self {
            provider: provider.parse()?,
            reference: reference.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_escaping_in_a_path() {
        for good in ["stripe", "pi_3Nk-1.2~a:b", "7"] {
            assert_eq!(good.parse::<PaymentReference>().unwrap().as_str(), good);
        }
        let long = "x".repeat(201);
        for bad in ["", ".", "..", "-a", "a/b", "a b", "é", "a%2F", &long] {
            assert!(bad.parse::<PaymentReference>().is_err(), "{bad}");
        }
        let key: PaymentKey = "stripe/pi_1".parse().unwrap();
        assert_eq!(key.to_string(), "stripe/pi_1");
        assert!("stripe".parse::<PaymentKey>().is_err());
    }
}
