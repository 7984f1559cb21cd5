//! Requests to plugins, made of what policies see: the customer and a user who sells as pseudonyms, answers by the kind of their question,
//! people without names and addresses.
//!
//! Called by the policy check. Pure.

use std::collections::BTreeMap;

use super::views::pseudonym;
use crate::{
    ports::{
        BookingRequest, BookingView, CancellationRequest, CancellationView, RequestAnswer,
        RequestAttendee, RequestCustomer, RequestDetails, RequestEvent, RequestLine, RequestMoment,
        RequestSeller, RequestSellerKind,
    },
    types::{
        AnswerKind, AnswerValue, Answers, Booking, BookingDetails, FiniteNumber, Question,
        QuestionId, Reference, Seller, TenantId, TicketHolder,
    },
};

/// What a plugin is asked about a booking of an event with these questions.
pub(super) fn booking_request(view: &BookingView, questions: &[Question]) -> BookingRequest {
    let lines = view.lines.iter();
    let tickets = tickets_of(lines.map(|line| (line.ticket_type.as_str(), line.quantity)));
    BookingRequest {
        event: RequestEvent::from(&view.event),
        lines: view.lines.iter().map(RequestLine::from).collect(),
        customer: RequestCustomer::from(&view.customer),
        channel: view.channel.as_str().to_owned(),
        seller: view.seller.map(|seller| seller_of(&view.tenant, seller)),
        details: details_of(&view.details, questions, |number| tickets(number)),
        now: RequestMoment::at(view.now, &view.event.time_zone),
    }
}

/// What a plugin is asked about a cancellation of an event with these questions.
pub(super) fn cancellation_request(
    view: &CancellationView,
    booking: &Booking,
    questions: &[Question],
) -> CancellationRequest {
    let left = booking.numbers_left();
    let lines = booking.lines_as_booked().iter();
    let tickets = tickets_of(lines.map(|line| (line.ticket_type.as_str(), line.quantity)));
    let ticket = |number: u32| {
        let is_left = left.binary_search(&number).is_ok();
        tickets(number).filter(|_| is_left)
    };
    CancellationRequest {
        event: RequestEvent::from(&view.event),
        booking: view.booking.to_string(),
        booked_at: view.booked_at.to_string(),
        lines: view.lines.iter().map(RequestLine::from).collect(),
        customer: RequestCustomer::from(&view.customer),
        details: details_of(&view.details, questions, ticket),
        now: RequestMoment::at(view.now, &view.event.time_zone),
    }
}

/// Adds names and addresses of attendees to details without them; `None` takes them out.
pub(super) fn name_attendees(
    attendees: &mut [RequestAttendee],
    holders: Option<&BTreeMap<u32, TicketHolder>>,
) {
    for attendee in attendees {
        let holder = holders.and_then(|holders| holders.get(&attendee.ticket));
        let email = holder.and_then(|holder| holder.email.as_ref());
        let name = holder.and_then(|holder| holder.name.as_ref());
        attendee.email = email.map(|email| email.as_str().to_owned());
        attendee.name = name.map(|name| name.as_str().to_owned());
    }
}

/// Finds the type of a ticket by its number: numbers follow the lines.
fn tickets_of<'a>(lines: impl Iterator<Item = (&'a str, u32)>) -> impl Fn(u32) -> Option<&'a str> {
    let mut last = 0_u32;
    let lasts = lines.map(|(ticket_type, quantity)| {
        last = last.saturating_add(quantity);
        (ticket_type, last)
    });
    let lasts: Vec<_> = lasts.collect();
    move |number| {
        let mut lines = lasts.iter();
        let line = lines.find(|(_, last)| number <= *last);
        line.map(|(ticket_type, _)| *ticket_type)
    }
}

fn seller_of(tenant: &TenantId, seller: Seller) -> RequestSeller {
    let (kind, id) = match seller {
        Seller::User(user) => (RequestSellerKind::User, Some(pseudonym(tenant, user))),
        Seller::ApiKey(key) => (RequestSellerKind::ApiKey, Some(key.to_string())),
        Seller::Platform => (RequestSellerKind::Platform, None),
    };
    RequestSeller { kind, id }
}

fn details_of<'a>(
    details: &BookingDetails,
    questions: &[Question],
    ticket_type: impl Fn(u32) -> Option<&'a str>,
) -> RequestDetails {
    let attendees = details.ticket_holders.iter();
    let attendees = attendees.filter_map(|(number, holder)| {
        Some(RequestAttendee {
            ticket: *number,
            ticket_type: ticket_type(*number)?.to_owned(),
            answers: answers_of(&holder.answers, questions),
            email: None,
            name: None,
        })
    });
    RequestDetails {
        reference: details.reference.as_ref().map(Reference::to_string),
        metadata: details.metadata.clone(),
        codes: details.codes.iter().map(ToString::to_string).collect(),
        answers: answers_of(&details.answers, questions),
        attendees: attendees.collect(),
    }
}

fn answers_of(answers: &Answers, questions: &[Question]) -> BTreeMap<String, RequestAnswer> {
    let answer = |(id, value): (&QuestionId, &AnswerValue)| {
        let question = questions.iter().find(|question| question.id == *id);
        let kind = question.map(|question| question.kind);
        (id.as_str().to_owned(), answer_of(value, kind))
    };
    answers.iter().map(answer).collect()
}

/// An answer by the kind of its question. The question may be gone, or be of another kind by now.
fn answer_of(value: &AnswerValue, kind: Option<AnswerKind>) -> RequestAnswer {
    match value {
        AnswerValue::YesNo(answer) => RequestAnswer::YesNo(*answer),
        AnswerValue::Number(number) => RequestAnswer::Number(as_read_back(*number)),
        AnswerValue::Choices(choices) => RequestAnswer::Choices(choices.clone()),
        AnswerValue::Text(text) => match kind {
            Some(AnswerKind::Choice) => RequestAnswer::Choice(text.clone()),
            Some(AnswerKind::Date) => RequestAnswer::Date(text.clone()),
            _ => RequestAnswer::Text(text.clone()),
        },
    }
}

/// The number as it is read from a recorded decision, so that a replay asks exactly what was asked. Reading JSON may miss the nearest
/// number by one unit in the last place. A number of extreme size with 16 or more digits may still be read as another.
fn as_read_back(number: FiniteNumber) -> FiniteNumber {
    let mut number = number;
    // One round is enough for nearly every number.
    for _ in 0..READ_BACK_MAX {
        let text = serde_json::to_string(&number);
        let read = text.and_then(|text| serde_json::from_str::<FiniteNumber>(&text));
        match read {
            Ok(read) if read != number => number = read,
            _ => break,
        }
    }
    number
}

/// Most rounds until a number stays the same.
const READ_BACK_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EmailAddress, Label};

    fn question(id: &str, kind: AnswerKind) -> Question {
        Question {
            id: id.parse().expect("an id"),
            label: Label::stored("What?".to_owned()),
            kind,
            choices: Vec::new(),
            required: false,
            per_ticket: false,
            ticket_types: Vec::new(),
        }
    }

    #[test]
    fn answers_are_typed_by_their_question_and_gone_questions_leave_texts() {
        let answers = r#"{"age":42.5,"day":"2026-11-30","gone":"2026-11-30","menu":"A","vegan":false,"with":["A"]}"#;
        let answers: Answers = serde_json::from_str(answers).expect("answers");
        let questions = [
            question("age", AnswerKind::Number),
            question("day", AnswerKind::Date),
            question("menu", AnswerKind::Choice),
            question("vegan", AnswerKind::YesNo),
            question("with", AnswerKind::Choices),
        ];
        let typed = serde_json::to_value(answers_of(&answers, &questions)).expect("JSON");
        assert_eq!(
            typed,
            serde_json::json!({
                "age": {"number": 42.5}, "day": {"date": "2026-11-30"}, "gone": {"text": "2026-11-30"},
                "menu": {"choice": "A"}, "vegan": {"yesNo": false}, "with": {"choices": ["A"]},
            })
        );
    }

    #[test]
    fn tickets_have_the_type_of_their_line() {
        let types = tickets_of([("a", 2), ("b", 0), ("c", 1)].into_iter());
        let found: Vec<_> = (1..=4).map(types).collect();
        assert_eq!(found, [Some("a"), Some("a"), Some("c"), None]);
    }

    #[test]
    fn attendees_are_named_and_unnamed() {
        let holder = TicketHolder {
            name: Some(Label::stored("Ann".to_owned())),
            email: Some(EmailAddress::parse("email", "ann@north.test").expect("an address")),
            answers: Answers::default(),
        };
        let details = BookingDetails {
            ticket_holders: [(1, holder), (2, TicketHolder::default())].into(),
            ..BookingDetails::default()
        };
        let mut asked = details_of(&details, &[], |number| (number == 1).then_some("a"));
        let unnamed = asked.clone();
        assert_eq!(asked.attendees.len(), 1, "a ticket that is gone has nobody");
        assert_eq!(asked.attendees[0].name, None);
        name_attendees(&mut asked.attendees, Some(&details.ticket_holders));
        let named = &asked.attendees[0];
        let seen = (named.name.as_deref(), named.email.as_deref());
        assert_eq!(seen, (Some("Ann"), Some("ann@north.test")));
        name_attendees(&mut asked.attendees, None);
        assert_eq!(asked, unnamed);
    }

    #[test]
    fn numbers_are_asked_as_a_replay_reads_them() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Of sizes that people answer with: up to 10^15, with as many digits as there may be.
            let scale = 10_f64.powi((bits >> 60) as i32);
            let number = (bits as f64 / u64::MAX as f64 - 0.5) * scale;
            let number = FiniteNumber::new(number).expect("it is finite");
            let asked = as_read_back(number);
            let text = serde_json::to_string(&asked).expect("JSON");
            let read: FiniteNumber = serde_json::from_str(&text).expect("a number");
            assert_eq!(read, asked, "{text}");
            let distance = (number.get() - asked.get()).abs();
            assert!(distance <= number.get().abs() * 1e-14, "{text}: {number:?}");
        }
    }
}
