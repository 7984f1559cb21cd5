//! Requests to plugins: the records of `wit/boxoffice.wit`, in camelCase. Metadata and answers are objects by key. What the contract lists or
//! may leave out may be left out.
//!
//! Made by the policy check, and read from fixtures and recorded decisions. Read by plugin hosts.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CustomerView, EventView, LineView};
use crate::types::{FiniteNumber, Metadata, Reference, SalesChannel, known_zone};

/// `booking-request` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BookingRequest {
    /// The event to be booked.
    pub event: RequestEvent,
    /// The tickets to book.
    pub lines: Vec<RequestLine>,
    /// The customer who books.
    pub customer: RequestCustomer,
    /// How it comes about: `self` or `sold`.
    #[serde(default = "own_channel")]
    pub channel: String,
    /// Who makes it for the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<RequestSeller>,
    /// What it is to carry beside its tickets.
    #[serde(default, skip_serializing_if = "RequestDetails::is_empty")]
    pub details: RequestDetails,
    /// The moment of the call.
    pub now: RequestMoment,
}

/// `cancellation-request` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancellationRequest {
    /// The booked event.
    pub event: RequestEvent,
    /// The booking's id.
    pub booking: String,
    /// When it was created.
    pub booked_at: String,
    /// The tickets to cancel.
    pub lines: Vec<RequestLine>,
    /// The customer who booked.
    pub customer: RequestCustomer,
    /// What the whole booking carries beside its tickets.
    #[serde(default, skip_serializing_if = "RequestDetails::is_empty")]
    pub details: RequestDetails,
    /// The moment of the call.
    pub now: RequestMoment,
}

/// `render-request` of the WIT, its data as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenderRequest {
    /// The notification's kind.
    pub kind: String,
    /// BCP 47 tag of the reader's language.
    pub locale: String,
    /// The mail's data.
    pub data: Value,
}

/// `event` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestEvent {
    /// The event's id.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// Its name.
    pub title: String,
    /// When it begins.
    pub starts_at: String,
    /// When it ends.
    #[serde(default)]
    pub ends_at: Option<String>,
    /// Its zone.
    pub time_zone: String,
    /// Its place.
    #[serde(default)]
    pub location: Option<String>,
    /// Currency of its prices.
    pub currency: String,
    /// Its ticket types.
    pub ticket_types: Vec<RequestTicketType>,
    /// The platform's name of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The platform's own strings.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// `ticket-type` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestTicketType {
    /// The ticket type.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its list price.
    pub price_minor: u32,
    /// The platform's own strings.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// `line` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestLine {
    /// The ticket type.
    pub ticket_type: String,
    /// The number of tickets.
    pub quantity: u32,
    /// Price of one.
    pub unit_price_minor: u32,
}

/// `customer` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestCustomer {
    /// The customer's pseudonym, unique within the tenant.
    pub pseudonym: String,
    /// Tickets of this event the customer holds.
    pub tickets_in_event: u32,
    /// Only for plugins that may see personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Only for plugins that may see personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `seller` of the WIT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestSeller {
    /// What kind of seller it is.
    pub kind: RequestSellerKind,
    /// The pseudonym of a user, or the id of an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// `seller-kind` of the WIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestSellerKind {
    /// A user of the tenant.
    User,
    /// A program with an API key.
    ApiKey,
    /// Trusted code.
    Platform,
}

/// `booking-details` of the WIT.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestDetails {
    /// The platform's name of the booking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The platform's own strings.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// What the customer typed for policies to judge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// The answers to the questions that are asked once per booking, by the question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, RequestAnswer>,
    /// Who has which ticket, in order of the tickets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attendees: Vec<RequestAttendee>,
}

impl RequestDetails {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `attendee` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestAttendee {
    /// The ticket's number in the booking, from 1.
    pub ticket: u32,
    /// The ticket's type.
    pub ticket_type: String,
    /// The answers to the questions that are asked per ticket, by the question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, RequestAnswer>,
    /// Only for plugins that may see personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Only for plugins that may see personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `answer-value` of the WIT: an object with the kind as its only key, such as `{"number": 42.5}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestAnswer {
    /// A text.
    Text(String),
    /// A number.
    Number(FiniteNumber),
    /// One of the question's choices.
    Choice(String),
    /// Some of the question's choices.
    Choices(Vec<String>),
    /// Yes or no.
    YesNo(bool),
    /// A day, as `2026-11-30`.
    Date(String),
}

/// `moment` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestMoment {
    /// In UTC.
    pub utc: String,
    /// In the event's zone.
    pub local: String,
}

impl From<&CustomerView> for RequestCustomer {
    /// The request without address and name.
    fn from(customer: &CustomerView) -> Self {
        Self {
            pseudonym: customer.pseudonym.clone(),
            tickets_in_event: customer.tickets_in_event,
            email: None,
            name: None,
        }
    }
}

impl From<&EventView> for RequestEvent {
    fn from(event: &EventView) -> Self {
        Self {
            id: event.id.to_string(),
            // No event is changed four billion times.
            version: u32::try_from(event.version).unwrap_or(u32::MAX),
            title: event.title.clone(),
            starts_at: event.starts_at.to_string(),
            ends_at: event.ends_at.map(|moment| moment.to_string()),
            time_zone: event.time_zone.clone(),
            location: event.location.clone(),
            currency: event.currency.clone(),
            ticket_types: event
                .ticket_types
                .iter()
                .map(|kind| RequestTicketType {
                    id: kind.id.clone(),
                    name: kind.name.clone(),
                    price_minor: kind.price_minor,
                    metadata: kind.metadata.clone(),
                })
                .collect(),
            reference: event.reference.as_ref().map(Reference::to_string),
            metadata: event.metadata.clone(),
        }
    }
}

impl From<&LineView> for RequestLine {
    fn from(line: &LineView) -> Self {
        Self {
            ticket_type: line.ticket_type.clone(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
        }
    }
}

impl RequestMoment {
    /// Formats a time in UTC and in a zone. An unknown zone counts as UTC.
    pub fn at(moment: Timestamp, zone: &str) -> Self {
        let zone = known_zone(zone).unwrap_or(TimeZone::UTC);
        Self {
            utc: moment.to_string(),
            local: moment
                .to_zoned(zone)
                .strftime("%Y-%m-%dT%H:%M:%S%:z")
                .to_string(),
        }
    }
}

fn own_channel() -> String {
    SalesChannel::Own.as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_both_zones() {
        let moment = RequestMoment::at(
            "2026-11-22T18:30:00Z".parse().expect("a moment"),
            "Europe/Berlin",
        );
        assert_eq!(moment.utc, "2026-11-22T18:30:00Z");
        assert_eq!(moment.local, "2026-11-22T19:30:00+01:00");
    }

    #[test]
    fn details_read_as_the_contract_for_fixtures_says() {
        let text = r#"{"codes":["SPRING"],"answers":{"age":{"number":42.5},"vegan":{"yesNo":true}},"attendees":[{"ticket":1,"ticketType":"t1","answers":{"menu":{"choices":["A"]}}}]}"#;
        let details: RequestDetails = serde_json::from_str(text).expect("details");
        assert_eq!(serde_json::to_string(&details).expect("JSON"), text);
        assert!(serde_json::from_str::<RequestDetails>("{}").is_ok_and(|none| none.is_empty()));
        for wrong in [
            r#"{"codes":"SPRING"}"#,
            r#"{"answers":{"age":42.5}}"#,
            r#"{"answers":{"age":{"number":"42.5"}}}"#,
            r#"{"attendees":[{"ticketType":"t1"}]}"#,
            r#"{"code":["SPRING"]}"#,
        ] {
            assert!(
                serde_json::from_str::<RequestDetails>(wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
