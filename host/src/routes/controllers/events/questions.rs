//! The questions of an event as JSON.
//!
//! Called by the requests and responses of events.

use boxoffice_engine::{Error, Label, Question, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::routes::choices;

/// A question that those who book an event answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct QuestionRequest {
    /// Its id, unique within the event: up to 40 of `a-z`, `A-Z`, `0-9`, `_` and `-`. Answers, policies and exports name it so.
    #[schema(min_length = 1, max_length = 40, example = "meal")]
    id: String,
    /// The question, for people: one line of 1 to 200 characters.
    #[schema(example = "What do you eat?")]
    label: String,
    /// What the answer is: a text of up to 1,000 characters, a number, one choice, some choices, true or false, or a day.
    #[schema(value_type = choices::AnswerKind)]
    kind: String,
    /// The possible answers of `choice` and `choices`: 1 to 50.
    #[schema(max_items = 50)]
    choices: Option<Vec<String>>,
    /// Whether a booking needs an answer. The default is false.
    required: Option<bool>,
    /// Whether each ticket has an answer of its own. The default is one answer per booking.
    per_ticket: Option<bool>,
    /// The ticket types that it is asked for, if it is asked per ticket. The default is all.
    #[schema(max_items = 50)]
    asked_ticket_types: Option<Vec<String>>,
}

impl QuestionRequest {
    fn command(&self, index: usize) -> Result<Question> {
        let at = |error: Error, name: &str| error.at_field(format!("questions[{index}].{name}"));
        let choice = |text: &String| Label::parse("choices", text);
        let choices = self.choices.iter().flatten().map(choice);
        let ticket_types = self.asked_ticket_types.iter().flatten();
        let ticket_types = ticket_types.map(|id| id.parse());
        Ok(Question {
            id: self.id.parse().map_err(|error| at(error, "id"))?,
            label: Label::parse("label", &self.label).map_err(|error| at(error, "label"))?,
            kind: self.kind.parse().map_err(|error| at(error, "kind"))?,
            choices: choices
                .collect::<Result<_>>()
                .map_err(|error| at(error, "choices"))?,
            required: self.required.unwrap_or_default(),
            per_ticket: self.per_ticket.unwrap_or_default(),
            ticket_types: ticket_types
                .collect::<Result<_>>()
                .map_err(|error| at(error, "askedTicketTypes"))?,
        })
    }
}

/// The questions of a request.
pub(super) fn questions(given: &[QuestionRequest]) -> Result<Vec<Question>> {
    let given = given.iter().enumerate();
    given.map(|(index, one)| one.command(index)).collect()
}

/// A question that those who book an event answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct QuestionResponse {
    /// The question's id, unique within the event.
    id: String,
    /// The question, for people.
    label: String,
    /// What the answer is.
    #[schema(value_type = choices::AnswerKind)]
    kind: &'static str,
    /// The possible answers of `choice` and `choices`.
    choices: Vec<String>,
    /// Whether a booking needs an answer.
    required: bool,
    /// Whether each ticket has an answer of its own.
    per_ticket: bool,
    /// The ids of the ticket types that it is asked for; empty for all.
    asked_ticket_types: Vec<String>,
}

impl From<Question> for QuestionResponse {
    fn from(question: Question) -> Self {
        let ticket_types = question.ticket_types.iter();
        Self {
            id: question.id.to_string(),
            label: question.label.to_string(),
            kind: question.kind.as_str(),
            choices: question.choices.iter().map(ToString::to_string).collect(),
            required: question.required,
            per_ticket: question.per_ticket,
            asked_ticket_types: ticket_types.map(ToString::to_string).collect(),
        }
    }
}
