//! Sales for somebody else: for whom, through which channel, and who sells.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};

use super::{ApiKeyId, DecisionRecord, EmailAddress, Label, UserId};
use crate::error::{Error, Result};

/// How a booking or a hold came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SalesChannel {
    /// The customer made it: `self`.
    #[serde(rename = "self")]
    Own,
    /// Somebody made it for the customer.
    Sold,
    /// It was imported.
    Imported,
}

impl SalesChannel {
    /// Every channel.
    pub const ALL: [Self; 3] = [Self::Own, Self::Sold, Self::Imported];

    /// The channel as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Sold => "sold",
            Self::Imported => "imported",
        }
    }
}

impl FromStr for SalesChannel {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|channel| channel.as_str() == text);
        let found = found.copied();
        found.ok_or_else(|| Error::internal(format!("unknown sales channel {text}")))
    }
}

/// Who made a booking or a hold for a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seller {
    /// A user of the tenant.
    User(UserId),
    /// A program with this API key.
    ApiKey(ApiKeyId),
    /// Trusted code.
    Platform,
}

impl fmt::Display for Seller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(formatter, "user {user}"),
            Self::ApiKey(key) => write!(formatter, "key {key}"),
            Self::Platform => formatter.write_str("platform"),
        }
    }
}

impl FromStr for Seller {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(' ') {
            Some(("user", user)) => user.parse().map(Self::User),
            Some(("key", key)) => key.parse().map(Self::ApiKey),
            _ if text == "platform" => Ok(Self::Platform),
            _ => Err(Error::internal(format!("unknown seller {text}"))),
        }
    }
}

impl Serialize for Seller {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is kept of a booking or a hold that the customer did not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// How it came about.
    pub channel: SalesChannel,
    /// Who made it; `None` for callers who may not see that.
    pub seller: Option<Seller>,
    /// Why it costs nothing, if it is complimentary; `None` for callers who may not see that.
    pub complimentary: Option<Label>,
}

impl Sale {
    /// What the customer sees of it: how it came about.
    pub(crate) fn as_customer_sees(&self) -> Self {
        Self {
            channel: self.channel,
            seller: None,
            complimentary: None,
        }
    }
}

/// How a booking was decided about.
#[derive(Debug, Clone, PartialEq)]
pub struct BookingDecision {
    /// How it came about. No policy is asked about an imported booking.
    pub channel: SalesChannel,
    /// Why it costs nothing, whatever the policies said.
    pub complimentary: Option<Label>,
    /// The plugins' input and answers; `None` if no plugin was called.
    pub record: Option<DecisionRecord>,
}

/// The customer that somebody sells to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum SoldTo {
    /// The user with this id.
    Id(UserId),
    /// The user with this id of a platform.
    ExternalId(String),
    /// Whoever reads the mails of this address: its confirmed owner, or else a guest. A guest is an account without a
    /// password. Its bookings belong to the account that confirms the address.
    Guest {
        /// Their name, for a guest who is not known yet.
        name: Label,
        /// Their address.
        email: EmailAddress,
    },
}

/// A sale to a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SellTo {
    /// The customer.
    pub customer: SoldTo,
    /// Why it costs nothing. The price is set to 0 after the policies decided.
    pub complimentary: Option<Label>,
}

impl SellTo {
    /// A sale at the usual price.
    pub fn customer(customer: SoldTo) -> Self {
        Self {
            customer,
            complimentary: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    #[test]
    fn sellers_and_channels_come_back_from_their_text() {
        let id = Ulid::from_parts(1, 2);
        for seller in [
            Seller::User(UserId::from_ulid(id)),
            Seller::ApiKey(ApiKeyId::from_ulid(id)),
            Seller::Platform,
        ] {
            assert_eq!(seller.to_string().parse::<Seller>().unwrap(), seller);
        }
        for channel in SalesChannel::ALL {
            assert_eq!(channel.as_str().parse::<SalesChannel>().unwrap(), channel);
        }
        assert!("nobody".parse::<Seller>().is_err());
    }
}
