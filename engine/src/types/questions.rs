//! Questions that an event asks of those who book, and their answers.

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Label, TicketTypeId};
use crate::error::{Error, Faults, Result};

/// A question's id, unique within its event: 1 to 40 of `a-z`, `A-Z`, `0-9`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuestionId(String);

impl QuestionId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for QuestionId {
    type Err = Error;

    /// # Errors
    /// `field-invalid` at `id`.
    fn from_str(text: &str) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        match (1..=40).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(Error::field(
                "id",
                "A question's id has 1 to 40 of a-z, A-Z, 0-9, _ and -.",
            )),
        }
    }
}

impl fmt::Display for QuestionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What the answer to a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerKind {
    /// Text of at most 1,000 characters, which may have several lines.
    Text,
    /// A number.
    Number,
    /// One of the question's choices.
    Choice,
    /// Some of the question's choices.
    Choices,
    /// Yes or no.
    YesNo,
    /// A day, as `2026-11-30`.
    Date,
}

impl AnswerKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Text,
        Self::Number,
        Self::Choice,
        Self::Choices,
        Self::YesNo,
        Self::Date,
    ];

    /// The kind as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Choice => "choice",
            Self::Choices => "choices",
            Self::YesNo => "yes-no",
            Self::Date => "date",
        }
    }

    fn has_choices(self) -> bool {
        matches!(self, Self::Choice | Self::Choices)
    }
}

impl FromStr for AnswerKind {
    type Err = Error;

    /// # Errors
    /// `field-invalid` at `kind`.
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        let rule = "It is one of text, number, choice, choices, yes-no, date.";
        found.ok_or_else(|| Error::field("kind", rule))
    }
}

/// A question of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// Its id.
    pub id: QuestionId,
    /// The question, for people.
    pub label: Label,
    /// What the answer is.
    pub kind: AnswerKind,
    /// The possible answers of `Choice` and `Choices`; 1 to 50 different ones.
    pub choices: Vec<Label>,
    /// Whether a booking needs an answer.
    pub required: bool,
    /// Whether each ticket has an answer of its own, or the booking has one.
    pub per_ticket: bool,
    /// The ticket types that it is asked for, if it is asked per ticket; none means all.
    pub ticket_types: Vec<TicketTypeId>,
}

impl Question {
    /// Most questions of an event. They are in each version of it.
    pub const PER_EVENT_MAX: usize = 50;
    /// Most choices of a question.
    pub const CHOICES_MAX: usize = 50;
    /// Most bytes of an event's questions, as JSON: they are in each version of the event, and in each list of events.
    pub const BYTES_MAX: usize = 64 * 1024;
    /// Longest answer in text, in characters.
    pub const TEXT_CHARACTERS_MAX: usize = 1_000;

    /// Checks an event's questions. Whether their ticket types exist is not checked: a type may be added later, or be gone.
    ///
    /// # Errors
    /// `field-invalid` at the question.
    pub(crate) fn validate_all(questions: &[Self]) -> Result<()> {
        if questions.len() > Self::PER_EVENT_MAX {
            let rule = "An event has at most 50 questions.";
            return Err(Error::field("questions", rule));
        }
        let bytes = serde_json::to_vec(questions)
            .map_err(Error::internal)?
            .len();
        if bytes > Self::BYTES_MAX {
            let rule = "The questions of an event have at most 64 KB together.";
            return Err(Error::field("questions", rule));
        }
        let mut faults = Faults::default();
        for (index, question) in questions.iter().enumerate() {
            let at = |name: &str| format!("questions[{index}].{name}");
            if questions[..index].iter().any(|one| one.id == question.id) {
                faults.add(Error::field(
                    at("id"),
                    "Each question has an id of its own.",
                ));
            }
            let choices = &question.choices;
            let is_double = |(place, one): (usize, &Label)| choices[..place].contains(one);
            let count = 1..=Self::CHOICES_MAX;
            if question.kind.has_choices() && !count.contains(&choices.len()) {
                faults.add(Error::field(at("choices"), "Give 1 to 50 choices."));
            } else if choices.iter().enumerate().any(is_double) {
                faults.add(Error::field(at("choices"), "Give each choice once."));
            } else if !question.kind.has_choices() && !choices.is_empty() {
                let rule = "Only questions of the kinds choice and choices have choices.";
                faults.add(Error::field(at("choices"), rule));
            }
            if !question.per_ticket && !question.ticket_types.is_empty() {
                let rule = "Only questions per ticket are asked for some ticket types.";
                faults.add(Error::field(at("askedTicketTypes"), rule));
            }
        }
        faults.end()
    }

    /// Whether it is asked for a ticket of this type.
    pub fn is_asked_for(&self, ticket_type: &TicketTypeId) -> bool {
        self.per_ticket && (self.ticket_types.is_empty() || self.ticket_types.contains(ticket_type))
    }

    /// Checks an answer to it.
    ///
    /// # Errors
    /// The rule that it breaks.
    fn check(&self, answer: &AnswerValue) -> Result<(), &'static str> {
        let is_choice = |text: &String| {
            self.choices
                .iter()
                .any(|choice| choice.as_str() == text.as_str())
        };
        match (self.kind, answer) {
            (AnswerKind::Text, AnswerValue::Text(text)) => {
                let is_control = |one: char| one.is_control() && !matches!(one, '\n' | '\r' | '\t');
                if text.chars().count() > Self::TEXT_CHARACTERS_MAX {
                    return Err("An answer has at most 1,000 characters.");
                }
                match text.chars().any(is_control) {
                    true => Err("An answer has no control characters."),
                    false => Ok(()),
                }
            }
            (AnswerKind::Text, _) => Err("The answer is a text."),
            (AnswerKind::Number, AnswerValue::Number(_)) => Ok(()),
            (AnswerKind::Number, _) => Err("The answer is a number."),
            (AnswerKind::YesNo, AnswerValue::YesNo(_)) => Ok(()),
            (AnswerKind::YesNo, _) => Err("The answer is true or false."),
            (AnswerKind::Choice, AnswerValue::Text(text)) if is_choice(text) => Ok(()),
            (AnswerKind::Choice, _) => Err("The answer is one of the question's choices."),
            (AnswerKind::Choices, AnswerValue::Choices(texts)) => {
                let is_double = |(place, one): (usize, &String)| texts[..place].contains(one);
                let double = texts.iter().enumerate().any(is_double);
                match texts.iter().all(is_choice) && !double {
                    true => Ok(()),
                    false => Err("The answer is a list of the question's choices, each once."),
                }
            }
            (AnswerKind::Choices, _) => Err("The answer is a list of the question's choices."),
            (AnswerKind::Date, AnswerValue::Text(text)) => {
                let is_day = text.len() == 10 && text.parse::<Date>().is_ok();
                is_day
                    .then_some(())
                    .ok_or("The answer is a day, such as 2026-11-30.")
            }
            (AnswerKind::Date, _) => Err("The answer is a day, such as 2026-11-30."),
        }
    }
}

/// A number that is neither infinite nor undefined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FiniteNumber(f64);

// A finite number equals itself.
impl Eq for FiniteNumber {}

impl FiniteNumber {
    /// The number, if it is finite.
    pub fn new(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnswerValue {
    /// Yes or no.
    YesNo(bool),
    /// A number.
    Number(FiniteNumber),
    /// A text, a choice or a day.
    Text(String),
    /// Some choices.
    Choices(Vec<String>),
}

impl fmt::Display for AnswerValue {
    /// The answer for readers.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::YesNo(true) => formatter.write_str("yes"),
            Self::YesNo(false) => formatter.write_str("no"),
            Self::Number(number) => write!(formatter, "{}", number.get()),
            Self::Text(text) => formatter.write_str(text),
            Self::Choices(choices) => formatter.write_str(&choices.join(", ")),
        }
    }
}

impl AnswerValue {
    /// Whether nothing was answered: an empty text or list.
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => super::text::shows_nothing(text),
            Self::Choices(choices) => choices.is_empty(),
            Self::YesNo(_) | Self::Number(_) => false,
        }
    }
}

/// The answers to questions, by the question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answers(BTreeMap<QuestionId, AnswerValue>);

impl Answers {
    /// These answers; which questions there are is checked later.
    pub fn new(answers: BTreeMap<QuestionId, AnswerValue>) -> Self {
        Self(answers)
    }

    /// The answer to a question.
    pub fn get(&self, question: &str) -> Option<&AnswerValue> {
        let mut answers = self.0.iter();
        let found = answers.find(|(id, _)| id.as_str() == question);
        found.map(|(_, answer)| answer)
    }

    /// All answers, in order of the questions' ids.
    pub fn iter(&self) -> impl Iterator<Item = (&QuestionId, &AnswerValue)> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks the answers of a request's `field` against the questions that are asked, if they are given now; `complete` also refuses
    /// what is missing.
    ///
    /// # Errors
    /// `field-invalid` at each wrong or missing answer.
    pub(crate) fn check<'q>(
        &self,
        field: &str,
        questions: impl Iterator<Item = &'q Question> + Clone,
        is_given: bool,
        complete: bool,
    ) -> Result<()> {
        let mut faults = Faults::default();
        for (id, answer) in self.0.iter().filter(|_| is_given) {
            let rule = match questions.clone().find(|question| question.id == *id) {
                Some(question) => question.check(answer).err(),
                None => Some("This question is not asked here."),
            };
            if let Some(rule) = rule {
                faults.add(Error::field(format!("{field}.{id}"), rule));
            }
        }
        for question in questions.filter(|question| complete && question.required) {
            if self.0.get(&question.id).is_none_or(AnswerValue::is_empty) {
                let rule = format!("Answer the question: {}", question.label);
                faults.add(Error::field(format!("{field}.{}", question.id), rule));
            }
        }
        faults.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: AnswerKind, choices: &[&str]) -> Question {
        let label = |text: &&str| Label::parse("choices", text).unwrap();
        Question {
            id: "q".parse().unwrap(),
            label: label(&"What?"),
            kind,
            choices: choices.iter().map(label).collect(),
            required: true,
            per_ticket: false,
            ticket_types: Vec::new(),
        }
    }

    fn answers(json: &str) -> Answers {
        serde_json::from_str(&format!("{{\"q\":{json}}}")).unwrap()
    }

    #[test]
    fn answers_are_of_their_questions_kind() {
        let menu = ["Meat", "None"];
        for (kind, fine, wrong) in [
            (AnswerKind::Text, r#""a\nb""#, "1"),
            (AnswerKind::Number, "42.5", r#""42""#),
            (AnswerKind::Choice, r#""Meat""#, r#""meat""#),
            (
                AnswerKind::Choices,
                r#"["None","Meat"]"#,
                r#"["Meat","Meat"]"#,
            ),
            (AnswerKind::YesNo, "false", r#""no""#),
            (AnswerKind::Date, r#""2024-02-29""#, r#""2025-02-29""#),
        ] {
            let choices = if kind.has_choices() { &menu[..] } else { &[] };
            let asked = [question(kind, choices)];
            Question::validate_all(&asked).unwrap();
            answers(fine)
                .check("answers", asked.iter(), true, true)
                .unwrap();
            let error = answers(wrong).check("answers", asked.iter(), true, false);
            assert_eq!(
                error.unwrap_err().field_name(),
                Some("answers.q"),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_required_answer_may_be_missing_until_the_booking_is_made() {
        let asked = [question(AnswerKind::Text, &[])];
        let none = Answers::default();
        none.check("answers", asked.iter(), true, false).unwrap();
        for missing in [none, answers(r#"" ""#)] {
            let error = missing
                .check("answers", asked.iter(), true, true)
                .unwrap_err();
            assert_eq!(error.field_name(), Some("answers.q"));
        }
        let unasked = answers("true").check("answers", [].iter(), true, false);
        assert!(unasked.is_err());
    }

    #[test]
    fn questions_need_different_ids_and_fitting_choices() {
        let mut per_type = question(AnswerKind::Text, &[]);
        per_type.ticket_types = vec![TicketTypeId::new("t1")];
        let long = "x".repeat(198);
        let many: Vec<String> = (10..60).map(|one| format!("{one}{long}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let large = |number: usize| Question {
            id: format!("q{number}").parse().unwrap(),
            ..question(AnswerKind::Choice, &many)
        };
        Question::validate_all(&[large(0)]).unwrap();
        for wrong in [
            (0..10).map(large).collect(),
            vec![question(AnswerKind::Text, &[]); 2],
            vec![question(AnswerKind::Choice, &[])],
            vec![question(AnswerKind::Choices, &["A", "A"])],
            vec![question(AnswerKind::Date, &["A"])],
            vec![per_type],
        ] {
            assert!(Question::validate_all(&wrong).is_err(), "{wrong:?}");
        }
    }
}
