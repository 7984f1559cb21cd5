//! `minimum-age`: who books, or each attendee, must be old enough when the event begins.

use jiff::{civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Policy, Refusal,
    schema::{Described, settings},
    values::{QuestionName, TicketTypes, Whole, is_about, moment_of},
};
use crate::{
    ports::{BuiltInBooking, Decision},
    types::{AnswerValue, Answers, known_zone},
};

settings! {
    /// An age that somebody must have reached on the day of the event's start, in the event's zone. Who was born on 29 February reaches it on
    /// 1 March in other years. The date of birth is the answer to a question of the kind `date`. It must be given with the hold already, and
    /// later changes of attendees are not decided about.
    pub(super) struct MinimumAge {
        /// The age in years.
        years: Whole<1, 120>,
        /// The id of the event's question for the date of birth.
        question: QuestionName,
        /// Whose age counts.
        #[serde(default)]
        of: Whose,
        /// The only ticket types that need the age, by id or name.
        ticket_types: Option<TicketTypes>,
    }
}

/// Whose age counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Whose {
    /// That of the booking's own answer.
    #[default]
    Booking,
    /// That of each attendee: the question is asked for each ticket.
    Attendees,
}

impl Described for Whose {
    /// It is the booking's if it is left out.
    const IS_REQUIRED: bool = false;

    fn schema() -> Value {
        json!({ "enum": ["booking", "attendees"], "default": "booking" })
    }
}

impl Policy for MinimumAge {
    const NAME: &str = "minimum-age";
    const RULES: u32 = 1;
    const TITLE: &str = "Minimum age";
    const DESCRIPTION: &str = "Who books, or each attendee, must have reached an age when the event begins. The date of \
        birth is the answer to a question of the event.";
    const EXAMPLE: &str = r#"{"years":18,"question":"date-of-birth","of":"booking"}"#;

    fn decide(&self, asked: &BuiltInBooking) -> Result<Decision, String> {
        let zone = known_zone(&asked.event.time_zone).unwrap_or(TimeZone::UTC);
        let start = moment_of(&asked.event.starts_at)?.to_zoned(zone).date();
        let types = self.ticket_types.as_ref();
        // The numbers of the tickets that need the age.
        let (mut first, mut tickets) = (1_u32, Vec::new());
        for line in &asked.lines {
            let end = first.saturating_add(line.quantity);
            if is_about(types, &asked.event, &line.ticket_type) && first < end {
                tickets.push(first..end);
            }
            first = end;
        }
        if tickets.is_empty() {
            return Ok(Decision::Accept);
        }
        let refusal = match self.of {
            Whose::Booking => self.refusal(Some(&asked.answers), start, "You"),
            Whose::Attendees => {
                // A booking of more tickets than it can have attendees ends at the first ticket without one.
                let mut numbers = tickets.into_iter().flatten();
                numbers.find_map(|number| {
                    let mut attendees = asked.attendees.iter();
                    let attendee = attendees.find(|attendee| attendee.ticket == number);
                    let answers = attendee.map(|attendee| &attendee.answers);
                    self.refusal(answers, start, &format!("The attendee of ticket {number}"))
                })
            }
        };
        Ok(refusal.map_or(Decision::Accept, Refusal::decision))
    }
}

impl MinimumAge {
    /// Refuses somebody who is too young on this day, or of whom it is not known.
    fn refusal(&self, answers: Option<&Answers>, start: Date, who: &str) -> Option<Refusal> {
        let (years, question) = (self.years, self.question.as_str());
        let answer = answers.and_then(|answers| answers.get(question));
        let Some(AnswerValue::Text(text)) = answer else {
            let reason = format!(
                "{who} must be {years}: answer the question `{question}` with the date of birth."
            );
            return Some(Refusal::new("age-missing", reason));
        };
        let Ok(born) = text.parse::<Date>() else {
            let reason =
                format!("The answer to `{question}` must be a date of birth, such as 2000-02-29.");
            return Some(Refusal::new("age-unreadable", reason));
        };
        if age(born, start) >= i32::try_from(years.get()).unwrap_or(i32::MAX) {
            return None;
        }
        let reason = format!("{who} must be {years} on the day of the event, {start}.");
        Some(Refusal::new("too-young", reason))
    }
}

/// The full years from one day to another.
fn age(born: Date, day: Date) -> i32 {
    let is_before_birthday = (day.month(), day.day()) < (born.month(), born.day());
    i32::from(day.year()) - i32::from(born.year()) - i32::from(is_before_birthday)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples::{asked, decided, fault, refused};

    fn config(more: Value) -> Value {
        let mut config = json!({ "years": 18, "question": "born" });
        let fields = more.as_object().expect("fields").clone();
        config.as_object_mut().expect("an object").extend(fields);
        config
    }

    #[test]
    fn the_age_counts_on_the_day_of_the_start_in_the_events_zone() {
        // 2028-02-28T23:30Z is 29 February in Berlin, and 28 February in New York.
        for (starts_at, zone, born, refusal) in [
            ("2026-12-05T18:30:00Z", "Europe/Berlin", "2008-12-05", None),
            (
                "2026-12-05T18:30:00Z",
                "Europe/Berlin",
                "2008-12-06",
                Some("too-young"),
            ),
            ("2026-12-05T18:30:00Z", "Europe/Berlin", "1900-01-01", None),
            (
                "2028-02-28T23:30:00Z",
                "Europe/Berlin",
                "2010-02-29",
                Some("age-unreadable"),
            ),
            (
                "2028-02-28T23:30:00Z",
                "Europe/Berlin",
                "2010-03-01",
                Some("too-young"),
            ),
            ("2026-12-05T23:30:00Z", "Europe/Berlin", "2008-12-06", None),
            (
                "2026-12-05T23:30:00Z",
                "America/New_York",
                "2008-12-06",
                Some("too-young"),
            ),
            // Born on a leap day.
            (
                "2026-02-28T12:00:00Z",
                "UTC",
                "2008-02-29",
                Some("too-young"),
            ),
            ("2026-03-01T12:00:00Z", "UTC", "2008-02-29", None),
            ("2028-02-29T12:00:00Z", "UTC", "2010-02-28", None),
            (
                "2026-12-05T18:30:00Z",
                "Europe/Berlin",
                "2030-01-01",
                Some("too-young"),
            ),
        ] {
            let mut question = asked(json!({ "answers": { "born": born } }), 0);
            question.event.starts_at = starts_at.to_owned();
            question.event.time_zone = zone.to_owned();
            let decision = decided("minimum-age", &config(json!({})), &question);
            assert_eq!(
                refused(&decision),
                refusal,
                "{born} on {starts_at} in {zone}"
            );
        }
    }

    #[test]
    fn a_missing_answer_refuses() {
        for answers in [
            json!({}),
            json!({ "other": "2000-01-01" }),
            json!({ "born": 2000 }),
        ] {
            let question = asked(json!({ "answers": answers }), 0);
            let decision = decided("minimum-age", &config(json!({})), &question);
            assert_eq!(refused(&decision), Some("age-missing"), "{answers}");
        }
        let others = config(json!({ "ticketTypes": ["Box"] }));
        assert_eq!(
            refused(&decided("minimum-age", &others, &asked(json!({}), 0))),
            None
        );
    }

    #[test]
    fn each_attendee_of_the_named_types_needs_the_age() {
        let of = |ticket: u32, born: &str| json!({ "ticket": ticket, "answers": { "born": born } });
        let (old, young) = ("2000-01-01", "2020-01-01");
        for (attendees, refusal) in [
            (json!([]), Some("age-missing")),
            (json!([of(1, old)]), Some("age-missing")),
            (json!([of(1, old), of(2, young)]), Some("too-young")),
            (json!([of(1, old), of(2, old)]), None),
            // The third ticket is of another type.
            (json!([of(1, old), of(3, old)]), Some("age-missing")),
            (json!([of(1, old), of(2, old), of(3, young)]), None),
        ] {
            let mut question = asked(json!({ "attendees": attendees }), 0);
            question.lines[0].quantity = 2;
            question.lines.push(crate::ports::RequestLine {
                ticket_type: "box".to_owned(),
                quantity: 1,
                unit_price_minor: 0,
            });
            let config = config(json!({ "of": "attendees", "ticketTypes": ["Seat"] }));
            let decision = decided("minimum-age", &config, &question);
            assert_eq!(refused(&decision), refusal, "{attendees}");
        }
    }

    #[test]
    fn wrong_configurations_are_told_with_their_place() {
        for (more, field) in [
            (json!({ "years": 0 }), "years"),
            (json!({ "question": "date of birth" }), "question"),
            (json!({ "of": "parents" }), "of"),
        ] {
            assert_eq!(fault("minimum-age", &config(more)).as_deref(), Some(field));
        }
    }
}
