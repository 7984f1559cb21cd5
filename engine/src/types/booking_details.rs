//! What a booking or a hold carries beside its tickets: the platform's reference and metadata, codes for policies, answers to the
//! event's questions, and who has which ticket.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    Answers, BookLine, BookingLine, EmailAddress, Label, Metadata, Question, Reference,
    TicketTypeId, text::check_line,
};
use crate::error::{Error, Faults, Result};

/// A code that a customer gives, for policies to judge: one line of 1 to 64 characters, trimmed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BookingCode(String);

impl BookingCode {
    /// Longest code, in characters.
    pub const CHARACTERS_MAX: usize = 64;

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BookingCode {
    type Err = Error;

    /// # Errors
    /// `field-invalid` at `codes`.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        match check_line(text, Self::CHARACTERS_MAX) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(_) => Err(Error::field(
                "codes",
                "A code is one line of 1 to 64 characters.",
            )),
        }
    }
}

impl fmt::Display for BookingCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The person who has a ticket, as the booking's customer names them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TicketHolder {
    /// Their name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Label>,
    /// Their address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// The answers to the questions that are asked per ticket.
    #[serde(default, skip_serializing_if = "Answers::is_empty")]
    pub answers: Answers,
}

/// The person who is to have a ticket of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewTicketHolder {
    /// The type of the ticket; `None` means the only one of the request. The first of a type gets the first ticket of it, and so on.
    pub ticket_type: Option<TicketTypeId>,
    /// Who it is, and what they answer.
    pub holder: TicketHolder,
}

/// What a booking or a hold carries beside its tickets. Serialized without the reference, which rows have in a column of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BookingDetails {
    /// The platform's name of the booking, unique within the tenant. A hold's is not taken before it becomes a booking.
    #[serde(skip)]
    pub reference: Option<Reference>,
    /// The platform's own strings.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// What the customer gave for policies to judge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<BookingCode>,
    /// The answers to the questions that are asked once per booking.
    #[serde(default, skip_serializing_if = "Answers::is_empty")]
    pub answers: Answers,
    /// Who has which ticket, by the ticket's number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ticket_holders: BTreeMap<u32, TicketHolder>,
}

impl BookingDetails {
    /// Most codes of one request.
    pub const CODES_MAX: usize = 10;
    /// Most tickets of one booking that have a holder. They are in the booking's row, and in what policies see.
    pub const TICKET_HOLDERS_MAX: usize = 100;
    /// Most bytes as JSON: one row, which each change of the booking writes again.
    pub const BYTES_MAX: usize = 64 * 1024;

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses more than one row holds, at a field of the request.
    ///
    /// # Errors
    /// `field-invalid`.
    pub(crate) fn require_small(&self, field: &'static str) -> Result<()> {
        if self.ticket_holders.len() > Self::TICKET_HOLDERS_MAX {
            let rule = "At most 100 tickets of one booking have an attendee.";
            return Err(Error::field(field, rule));
        }
        let bytes = serde_json::to_vec(self).map_err(Error::internal)?.len();
        if bytes > Self::BYTES_MAX {
            let rule =
                "Metadata, answers and attendees of one booking have at most 64 KB together.";
            return Err(Error::field(field, rule));
        }
        Ok(())
    }

    /// These details in a box, or nothing if there are none.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (!self.is_empty()).then(|| Box::new(self))
    }
}

/// What a request gives of a booking's details. `None` leaves what the hold has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewBookingDetails {
    /// The platform's name of the booking, unique within the tenant.
    pub reference: Option<Reference>,
    /// The platform's own strings.
    pub metadata: Option<Metadata>,
    /// What the customer gives for policies to judge; at most 10.
    pub codes: Option<Vec<BookingCode>>,
    /// The answers to the questions that are asked once per booking.
    pub answers: Option<Answers>,
    /// Who is to have the tickets; at most 100.
    pub ticket_holders: Option<Vec<NewTicketHolder>>,
}

impl NewBookingDetails {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the event's questions or the tickets say whether it is right.
    pub(crate) fn depends_on_event(&self) -> bool {
        self.answers.is_some() || self.ticket_holders.is_some()
    }

    /// Checks what does not depend on the event.
    ///
    /// # Errors
    /// `field-invalid`.
    pub(crate) fn validate(&self) -> Result<()> {
        let codes = self.codes.as_ref().map_or(0, Vec::len);
        if codes > BookingDetails::CODES_MAX {
            return Err(Error::field("codes", "A request has at most 10 codes."));
        }
        let holders = self.ticket_holders.as_ref().map_or(0, Vec::len);
        if holders > BookingDetails::TICKET_HOLDERS_MAX {
            let rule =
                "At most 100 tickets of one booking have an attendee: make several bookings.";
            return Err(Error::field("attendees", rule));
        }
        Ok(())
    }

    /// The details that follow from the known ones and these, for tickets of `lines`.
    ///
    /// # Errors
    /// `field-invalid`.
    pub(crate) fn over(
        &self,
        known: Option<&BookingDetails>,
        lines: &[(TicketTypeId, u32)],
    ) -> Result<BookingDetails> {
        let mut details = known.cloned().unwrap_or_default();
        if let Some(reference) = &self.reference {
            details.reference = Some(reference.clone());
        }
        if let Some(metadata) = &self.metadata {
            details.metadata = metadata.clone();
        }
        if let Some(codes) = &self.codes {
            details.codes = codes.clone();
        }
        if let Some(answers) = &self.answers {
            details.answers = answers.clone();
        }
        if let Some(holders) = &self.ticket_holders {
            let numbers = ticket_numbers(holders, lines)?;
            let holders = holders.iter().map(|new| new.holder.clone());
            details.ticket_holders = numbers.into_iter().zip(holders).collect();
        }
        details.require_small("metadata")?;
        Ok(details)
    }
}

/// The number of the ticket that each of these people gets: those of a type get its tickets in their order.
///
/// # Errors
/// `field-invalid` at each of them for whom there is no ticket.
fn ticket_numbers(holders: &[NewTicketHolder], lines: &[(TicketTypeId, u32)]) -> Result<Vec<u32>> {
    let mut faults = Faults::default();
    // The first number of each line's tickets that is free, and the end of its numbers.
    let mut begin = 1_u32;
    let mut free = Vec::with_capacity(lines.len());
    for (ticket_type, quantity) in lines {
        let end = begin.saturating_add(*quantity);
        free.push((ticket_type, begin, end));
        begin = end;
    }
    let mut numbers = Vec::with_capacity(holders.len());
    for (index, new) in holders.iter().enumerate() {
        let at = || format!("attendees[{index}].ticketType");
        let line = match &new.ticket_type {
            Some(named) => free.iter_mut().find(|(kind, ..)| *kind == named),
            None if lines.len() == 1 => free.first_mut(),
            None => None,
        };
        match line {
            Some((_, next, end)) if *next < *end => {
                numbers.push(*next);
                *next += 1;
            }
            Some(_) => faults.add(Error::field(
                at(),
                "There are more attendees than tickets of this type.",
            )),
            None => faults.add(Error::field(at(), "Name a ticket type of this request.")),
        }
    }
    faults.end()?;
    Ok(numbers)
}

/// Checks details against an event's questions: what is given must be right, and `complete` refuses missing answers. What was
/// answered before to questions that have changed since is left as it is.
///
/// # Errors
/// `field-invalid` at each wrong or missing answer.
pub(crate) fn check_answers(
    details: &BookingDetails,
    questions: &[Question],
    lines: &[(TicketTypeId, u32)],
    given: &NewBookingDetails,
    complete: bool,
) -> Result<()> {
    let numbers = match &given.ticket_holders {
        Some(holders) => ticket_numbers(holders, lines)?,
        None => Vec::new(),
    };
    let mut faults = Faults::default();
    let of_booking = questions.iter().filter(|question| !question.per_ticket);
    let is_given = given.answers.is_some();
    faults.take((details.answers).check("answers", of_booking, is_given, complete));
    let is_given = given.ticket_holders.is_some();
    let (mut before, mut missing) = (0_u32, 0_u32);
    for (ticket_type, quantity) in lines {
        let asked = questions
            .iter()
            .filter(|question| question.is_asked_for(ticket_type));
        let last = before.saturating_add(*quantity);
        let mut answering = 0;
        for (number, holder) in details
            .ticket_holders
            .range(before.saturating_add(1)..=last)
        {
            let index = numbers.iter().position(|given| given == number);
            let index = index.unwrap_or(*number as usize - 1);
            let field = format!("attendees[{index}].answers");
            faults.take((holder.answers).check(&field, asked.clone(), is_given, complete));
            answering += 1;
        }
        if complete && asked.clone().any(|question| question.required) {
            missing = missing.saturating_add(quantity.saturating_sub(answering));
        }
        before = last;
    }
    if missing > 0 {
        let asked = questions.iter();
        let asked = asked.filter(|question| question.per_ticket && question.required);
        let labels: Vec<_> = asked.map(|question| question.label.as_str()).collect();
        let labels = labels.join("; ");
        let rule = format!("{missing} more tickets need an attendee who answers: {labels}");
        faults.add(Error::field("attendees", rule));
    }
    faults.end()
}

/// The types and numbers of tickets of booked lines.
pub(crate) fn quantities(lines: &[BookingLine]) -> Vec<(TicketTypeId, u32)> {
    let line = |line: &BookingLine| (line.ticket_type.clone(), line.quantity);
    lines.iter().map(line).collect()
}

/// The types and numbers of tickets of wanted lines, all of which name their type.
pub(crate) fn wanted_quantities(
    lines: &[BookLine],
    types: &[super::TicketType],
) -> Result<Vec<(TicketTypeId, u32)>> {
    let line = |(index, line): (usize, &BookLine)| {
        let kind = line.ticket_type_of(index, types)?;
        Ok((kind.id.clone(), line.quantity))
    };
    lines.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::AnswerKind, *};

    fn lines() -> Vec<(TicketTypeId, u32)> {
        vec![(TicketTypeId::new("t1"), 2), (TicketTypeId::new("t2"), 1)]
    }

    fn holder(ticket_type: Option<&str>, name: &str) -> NewTicketHolder {
        NewTicketHolder {
            ticket_type: ticket_type.map(TicketTypeId::new),
            holder: TicketHolder {
                name: Some(Label::stored(name.to_owned())),
                ..TicketHolder::default()
            },
        }
    }

    fn question(per_ticket: bool, ticket_types: &[&str]) -> Question {
        Question {
            id: "age".parse().unwrap(),
            label: Label::stored("How old?".to_owned()),
            kind: AnswerKind::Number,
            choices: Vec::new(),
            required: true,
            per_ticket,
            ticket_types: ticket_types
                .iter()
                .copied()
                .map(TicketTypeId::new)
                .collect(),
        }
    }

    #[test]
    fn attendees_get_the_tickets_of_their_type_in_order() {
        let given = [holder(Some("t2"), "C"), holder(Some("t1"), "A")];
        assert_eq!(ticket_numbers(&given, &lines()).unwrap(), [3, 1]);
        let too_many = [holder(Some("t2"), "C"), holder(Some("t2"), "D")];
        let error = ticket_numbers(&too_many, &lines()).unwrap_err();
        assert_eq!(error.field_name(), Some("attendees[1].ticketType"));
        let unnamed = [holder(None, "A")];
        assert!(ticket_numbers(&unnamed, &lines()).is_err());
        assert_eq!(ticket_numbers(&unnamed, &lines()[..1]).unwrap(), [1]);
    }

    #[test]
    fn what_a_request_leaves_out_stays() {
        let known = BookingDetails {
            reference: Some("r".parse().unwrap()),
            codes: vec!["SPRING".parse().unwrap()],
            ..BookingDetails::default()
        };
        let given = NewBookingDetails {
            codes: Some(Vec::new()),
            ticket_holders: Some(vec![holder(Some("t2"), "C")]),
            ..NewBookingDetails::default()
        };
        let after = given.over(Some(&known), &lines()).unwrap();
        assert_eq!(after.reference, known.reference);
        assert!(after.codes.is_empty());
        assert_eq!(after.ticket_holders.keys().collect::<Vec<_>>(), [&3]);
        let stored = serde_json::to_string(&after).unwrap();
        let mut read: BookingDetails = serde_json::from_str(&stored).unwrap();
        read.reference = after.reference.clone();
        assert_eq!(read, after);
    }

    #[test]
    fn each_ticket_of_the_asked_types_needs_an_answer() {
        let mut named = BookingDetails::default();
        let asked = [question(true, &["t1"])];
        let none = NewBookingDetails::default();
        check_answers(&named, &asked, &lines(), &none, false).unwrap();
        let error = check_answers(&named, &asked, &lines(), &none, true).unwrap_err();
        assert_eq!(error.field_name(), Some("attendees"));
        assert!(error.detail().starts_with("2 more tickets"), "{error:?}");
        named.ticket_holders = [1, 2]
            .map(|number| (number, TicketHolder::default()))
            .into();
        let error = check_answers(&named, &asked, &lines(), &none, true).unwrap_err();
        assert_eq!(error.field_name(), Some("attendees[0].answers.age"));
        for holder in named.ticket_holders.values_mut() {
            holder.answers = serde_json::from_str(r#"{"age":7}"#).unwrap();
        }
        check_answers(&named, &asked, &lines(), &none, true).unwrap();
        let once = check_answers(&named, &[question(false, &[])], &lines(), &none, true);
        assert_eq!(once.unwrap_err().field_name(), Some("answers.age"));
    }
}
