//! What requests and answers say of what bookings and holds carry beside their tickets.
//!
//! Called by the controllers of bookings, holds, quotes, waiting lists and imports.

use std::collections::BTreeMap;

use boxoffice_engine::{
    AnswerValue, Answers, BookingDetails, EmailAddress, Error, FiniteNumber, Label, Metadata,
    NewBookingDetails, NewTicketHolder, Result, TicketHolder,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// The person who is to have a ticket.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct AttendeeRequest {
    /// The type of the ticket. The default is the only one of the request. The first attendee of a type gets its first ticket.
    ticket_type: Option<String>,
    /// Their name: one line of 1 to 200 characters.
    name: Option<String>,
    /// Their address.
    email: Option<String>,
    /// Their answers, by the id of the question: a text, a number, true or false, or a list of choices.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    answers: Option<Map<String, Value>>,
}

impl AttendeeRequest {
    fn command(&self, index: usize) -> Result<NewTicketHolder> {
        let at = |error: Error, name: &str| error.at_field(format!("attendees[{index}].{name}"));
        let ticket_type = self.ticket_type.as_deref().map(str::parse).transpose();
        let name = self.name.as_deref();
        let name = name.map(|name| Label::parse("name", name)).transpose();
        let email = self.email.as_deref();
        let email = email
            .map(|email| EmailAddress::parse("email", email))
            .transpose();
        let field = format!("attendees[{index}].answers");
        Ok(NewTicketHolder {
            ticket_type: ticket_type.map_err(|error| at(error, "ticketType"))?,
            holder: TicketHolder {
                name: name.map_err(|error| at(error, "name"))?,
                email: email.map_err(|error| at(error, "email"))?,
                answers: match &self.answers {
                    Some(answers) => answers_of(&field, answers)?,
                    None => Answers::default(),
                },
            },
        })
    }
}

/// Defines a request that has, beside its own members, those of what a booking carries; `details()` is what they say. They stand
/// here once, because serde cannot both flatten a struct and refuse unknown fields.
macro_rules! request_with_details {
    ($(#[$attribute:meta])* $name:ident { $($(#[$own_attribute:meta])* $own:ident: $own_type:ty,)* }) => {
        $(#[$attribute])*
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(in crate::routes) struct $name {
            $($(#[$own_attribute])* $own: $own_type,)*
            /// The platform's own name of the booking, unique within the tenant: visible ASCII characters.
            #[schema(min_length = 1, max_length = 64)]
            reference: Option<String>,
            /// The platform's own strings: up to 50 keys of 40 characters, with values of up to 500.
            metadata: Option<std::collections::BTreeMap<String, String>>,
            /// Codes for the tenant's policies to judge: up to 10 of 64 characters. A hold keeps those that policies decided with;
            /// only an offer from the waiting list may get others.
            #[schema(max_items = 10)]
            codes: Option<Vec<String>>,
            /// The answers to the questions that are asked per booking, by the id of the question: a text, a number, true or false, or
            /// a list of choices.
            #[schema(value_type = Option<std::collections::BTreeMap<String, serde_json::Value>>)]
            answers: Option<serde_json::Map<String, serde_json::Value>>,
            /// Who is to have the tickets, with answers to the questions that are asked per ticket.
            #[schema(max_items = 100)]
            attendees: Option<Vec<$crate::routes::controllers::booking_details::AttendeeRequest>>,
        }

        impl $name {
            fn details(&self) -> boxoffice_engine::Result<boxoffice_engine::NewBookingDetails> {
                let given = $crate::routes::controllers::booking_details::GivenDetails {
                    reference: self.reference.as_deref(),
                    metadata: self.metadata.as_ref(),
                    codes: self.codes.as_deref(),
                    answers: self.answers.as_ref(),
                    attendees: self.attendees.as_deref(),
                };
                given.command()
            }
        }
    };
}
pub(super) use request_with_details;

/// What a request gives of a booking's details.
pub(super) struct GivenDetails<'a> {
    pub(super) reference: Option<&'a str>,
    pub(super) metadata: Option<&'a BTreeMap<String, String>>,
    pub(super) codes: Option<&'a [String]>,
    pub(super) answers: Option<&'a Map<String, Value>>,
    pub(super) attendees: Option<&'a [AttendeeRequest]>,
}

impl GivenDetails<'_> {
    pub(super) fn command(self) -> Result<NewBookingDetails> {
        let metadata = self.metadata.cloned();
        let code = |(index, code): (usize, &String)| {
            let code = code.parse();
            code.map_err(|error: Error| error.at_field(format!("codes[{index}]")))
        };
        let codes = self.codes.map(|codes| codes.iter().enumerate().map(code));
        let answers = self.answers.map(|answers| answers_of("answers", answers));
        let attendees = self.attendees.map(|attendees| {
            let attendees = attendees.iter().enumerate();
            attendees.map(|(index, one)| one.command(index)).collect()
        });
        Ok(NewBookingDetails {
            reference: self.reference.map(str::parse).transpose()?,
            metadata: metadata
                .map(|given| Metadata::parse("metadata", given))
                .transpose()?,
            codes: codes.map(Iterator::collect).transpose()?,
            answers: answers.transpose()?,
            ticket_holders: attendees.transpose()?,
        })
    }
}

/// The answers of a request's `field`. Null is no answer.
pub(super) fn answers_of(field: &str, given: &Map<String, Value>) -> Result<Answers> {
    let mut answers = BTreeMap::new();
    for (id, value) in given {
        let at = || format!("{field}.{id}");
        let question = id.parse();
        let question = question.map_err(|error: Error| error.at_field(field.to_owned()))?;
        let answer = match value {
            Value::Null => continue,
            Value::Bool(yes) => Some(AnswerValue::YesNo(*yes)),
            Value::Number(number) => number
                .as_f64()
                .and_then(FiniteNumber::new)
                .map(AnswerValue::Number),
            Value::String(text) => Some(AnswerValue::Text(text.clone())),
            Value::Array(items) => {
                let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().map(AnswerValue::Choices)
            }
            Value::Object(_) => None,
        };
        let rule = "An answer is a text, a number, true or false, or a list of texts.";
        answers.insert(question, answer.ok_or_else(|| Error::field(at(), rule))?);
    }
    Ok(Answers::new(answers))
}

/// The person who has a ticket, as the customer names them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TicketHolderResponse {
    /// The ticket's number in the booking, from 1.
    number: u32,
    /// Their name, if it was given.
    pub(super) name: Option<String>,
    /// Their address, if it was given.
    email: Option<String>,
    /// The answers, by the id of the question: a text, a number, true or false, or a list of choices.
    #[schema(value_type = BTreeMap<String, Value>)]
    answers: BTreeMap<String, Value>,
}

impl TicketHolderResponse {
    pub(super) fn of(number: u32, holder: &TicketHolder) -> Self {
        Self {
            number,
            name: holder.name.as_ref().map(ToString::to_string),
            email: holder.email.as_ref().map(ToString::to_string),
            answers: answers_response(&holder.answers),
        }
    }
}

/// What an answer shows of details.
#[derive(Debug, Default)]
pub(super) struct DetailsResponse {
    pub(super) reference: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) codes: Vec<String>,
    pub(super) answers: BTreeMap<String, Value>,
    pub(super) attendees: Vec<TicketHolderResponse>,
}

impl DetailsResponse {
    pub(super) fn of(details: Option<&BookingDetails>) -> Self {
        let Some(details) = details else {
            return Self::default();
        };
        let holders = details.ticket_holders.iter();
        Self {
            reference: details.reference.as_ref().map(ToString::to_string),
            metadata: metadata_response(&details.metadata),
            codes: details.codes.iter().map(ToString::to_string).collect(),
            answers: answers_response(&details.answers),
            attendees: holders
                .map(|(number, holder)| TicketHolderResponse::of(*number, holder))
                .collect(),
        }
    }
}

pub(super) fn metadata_response(metadata: &Metadata) -> BTreeMap<String, String> {
    let entries = metadata.iter();
    entries
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(super) fn answers_response(answers: &Answers) -> BTreeMap<String, Value> {
    let answers = answers.iter();
    answers
        .map(|(id, answer)| (id.to_string(), json!(answer)))
        .collect()
}

/// JSON for a cell of an export; empty if there is nothing.
pub(super) fn json_cell<T: Serialize>(items: &T, is_empty: bool) -> String {
    match is_empty {
        true => String::new(),
        false => serde_json::to_string(items).unwrap_or_default(),
    }
}
