//! Reading a request: metadata by key, answers by question.
//!
//! Used by plugins.

use crate::{Answer, AnswerValue, Attendee, BookingDetails, Event, MetadataEntry, TicketType};

impl Event {
    /// What the tenant's programs keep with the event under a key.
    pub fn metadata_value(&self, key: &str) -> Option<&str> {
        value_of(&self.metadata, key)
    }
}

impl TicketType {
    /// What the tenant's programs keep with the ticket type under a key.
    pub fn metadata_value(&self, key: &str) -> Option<&str> {
        value_of(&self.metadata, key)
    }
}

impl BookingDetails {
    /// What the tenant's programs keep with the booking under a key.
    pub fn metadata_value(&self, key: &str) -> Option<&str> {
        value_of(&self.metadata, key)
    }

    /// The answer to a question that is asked once per booking.
    pub fn answer(&self, question: &str) -> Option<&AnswerValue> {
        answer_to(&self.answers, question)
    }
}

impl Attendee {
    /// The answer to a question that is asked per ticket.
    pub fn answer(&self, question: &str) -> Option<&AnswerValue> {
        answer_to(&self.answers, question)
    }
}

fn value_of<'a>(metadata: &'a [MetadataEntry], key: &str) -> Option<&'a str> {
    let entry = metadata.iter().find(|entry| entry.key == key)?;
    Some(&entry.value)
}

fn answer_to<'a>(answers: &'a [Answer], question: &str) -> Option<&'a AnswerValue> {
    let answer = answers.iter().find(|answer| answer.question == question)?;
    Some(&answer.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_metadata_are_found_by_their_name() {
        let details = BookingDetails {
            reference: None,
            metadata: vec![MetadataEntry {
                key: "tier".to_owned(),
                value: "gold".to_owned(),
            }],
            codes: Vec::new(),
            answers: vec![Answer {
                question: "age".to_owned(),
                value: AnswerValue::Number(42.5),
            }],
            attendees: Vec::new(),
        };
        assert_eq!(details.metadata_value("tier"), Some("gold"));
        assert_eq!(details.metadata_value("Tier"), None);
        assert!(matches!(details.answer("age"), Some(AnswerValue::Number(age)) if *age == 42.5));
        assert!(details.answer("name").is_none());
    }
}
