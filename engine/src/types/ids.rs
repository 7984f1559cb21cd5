//! Typed ids. Public ids are opaque text. Only this file and the models know their parts.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::error::{Error, Result};

/// A tenant's id: a lower-case name that can be part of a host name (RFC 1123 label, 1 to 63 characters).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(String);

impl TenantId {
    /// Reads a tenant name.
    ///
    /// # Errors
    /// `field-invalid` unless the text is 1 to 63 of `a-z`, `0-9` and inner `-`.
    pub fn parse(text: &str) -> Result<Self> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let allowed = (1..=63).contains(&text.len())
            && text.bytes().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if allowed {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::field(
                "tenant",
                "A tenant is named by 1 to 63 lower-case letters, digits and inner hyphens.",
            ))
        }
    }

    /// Takes a name from trusted code. An unknown name finds nothing.
    pub(crate) fn trusted(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for TenantId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Ulid);

        impl $name {
            pub(crate) fn from_ulid(ulid: Ulid) -> Self {
                Self(ulid)
            }

            pub(crate) fn ulid(self) -> Ulid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}", self.0.to_string().to_ascii_lowercase())
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// Parses an id. Any other text is `not-found`.
            fn from_str(text: &str) -> Result<Self> {
                if text.len() != 26 {
                    return Err(Error::not_found($what, shortened(text)));
                }
                Ulid::from_string(&text.to_ascii_uppercase())
                    .map(Self)
                    .map_err(|_| Error::not_found($what, shortened(text)))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

ulid_id!(
    /// A user's id.
    UserId, "user"
);
ulid_id!(
    /// An event's id.
    EventId, "event"
);
ulid_id!(
    /// A notification's id.
    NotificationId, "notification"
);
ulid_id!(
    /// The id of a session of a user or operator.
    SessionId, "session"
);
ulid_id!(
    /// An API key's id, which is no secret.
    ApiKeyId, "API key"
);
ulid_id!(
    /// The id of an identity that an account can sign in with.
    IdentityId, "identity"
);
ulid_id!(
    /// A payment's id. Requests name a payment by its provider and reference.
    PaymentId, "payment"
);
ulid_id!(
    /// A refund's id.
    RefundId, "refund"
);

/// A ticket type's id: a short text, unique within the event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TicketTypeId(String);

impl TicketTypeId {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TicketTypeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for TicketTypeId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > 64 {
            return Err(Error::field(
                "ticketType",
                "A ticket type id has 1 to 64 characters.",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A booking's id. It encodes the path to the record (event, customer, booking), so a look-up is
/// one point read. Clients must treat it as opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BookingId {
    event: EventId,
    customer: UserId,
    serial: Ulid,
}

impl BookingId {
    pub(crate) fn new(event: EventId, customer: UserId, serial: Ulid) -> Self {
        Self {
            event,
            customer,
            serial,
        }
    }

    /// The booked event.
    pub fn event(self) -> EventId {
        self.event
    }

    /// The customer who booked.
    pub fn customer(self) -> UserId {
        self.customer
    }

    pub(crate) fn serial(self) -> Ulid {
        self.serial
    }
}

impl fmt::Display for BookingId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut path = [0_u8; 48];
        path[..16].copy_from_slice(&self.event.0.to_bytes());
        path[16..32].copy_from_slice(&self.customer.0.to_bytes());
        path[32..].copy_from_slice(&self.serial.to_bytes());
        formatter.write_str(&URL_SAFE_NO_PAD.encode(path))
    }
}

impl FromStr for BookingId {
    type Err = Error;

    /// Parses a booking's id. Any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let none = || Error::not_found("booking", shortened(text));
        if text.len() != 64 {
            return Err(none());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| none())?;
        let part = |from: usize| -> Result<Ulid> {
            let bytes: [u8; 16] = bytes
                .get(from..from + 16)
                .and_then(|slice| slice.try_into().ok())
                .ok_or_else(none)?;
            Ok(Ulid::from_bytes(bytes))
        };
        Ok(Self {
            event: EventId(part(0)?),
            customer: UserId(part(16)?),
            serial: part(32)?,
        })
    }
}

/// A hold's id. The booking that it becomes has the same path, so confirming twice cannot
/// make two bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldId(BookingId);

impl HoldId {
    pub(crate) fn new(event: EventId, customer: UserId, serial: Ulid) -> Self {
        Self(BookingId::new(event, customer, serial))
    }

    pub(crate) fn of_path(path: BookingId) -> Self {
        Self(path)
    }

    /// The event whose tickets are held.
    pub fn event(self) -> EventId {
        self.0.event
    }

    /// The customer who has the hold.
    pub fn customer(self) -> UserId {
        self.0.customer
    }

    /// The id of the booking that the hold becomes.
    pub fn booking(self) -> BookingId {
        self.0
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for HoldId {
    type Err = Error;

    /// Parses a hold's id. Any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let path = text.parse::<BookingId>();
        path.map(Self)
            .map_err(|_| Error::not_found("hold", shortened(text)))
    }
}

/// At most the first 80 characters of a client's text, for an error message.
fn shortened(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(80)
        .collect()
}

/// The client's name for a request: a repeated request with the same key takes effect once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads a key: 1 to 255 visible ASCII characters.
    ///
    /// # Errors
    /// `field-invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        if (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::field(
                "Idempotency-Key",
                "A key is 1 to 255 visible ASCII characters.",
            ))
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_booking_id_comes_back_from_its_text() {
        let id = BookingId::new(
            EventId::from_ulid(Ulid::from_parts(1, 2)),
            UserId::from_ulid(Ulid::from_parts(3, 4)),
            Ulid::from_parts(5, 6),
        );
        assert_eq!(id.to_string().parse::<BookingId>().unwrap(), id);
        assert!("x".repeat(64).parse::<BookingId>().is_ok());
        assert!("x".repeat(63).parse::<BookingId>().is_err());
        assert!("é".repeat(32).parse::<BookingId>().is_err());
    }

    #[test]
    fn tenant_names_are_host_labels() {
        assert!(TenantId::parse("acme-2").is_ok());
        for bad in ["", "-a", "a-", "A", "a.b", "a b", &"a".repeat(64)] {
            assert!(TenantId::parse(bad).is_err(), "{bad} must be refused");
        }
    }
}
