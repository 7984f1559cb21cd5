//! `members-only`: only some people may book.
//!
//! Metadata of a booking is no sign of membership: whoever books gives it.

use super::{
    Policy, Refusal,
    schema::settings,
    values::{Address, Domain, Line, Listed, QuestionName, Sentence, TicketTypes, concerns},
};
use crate::{
    error::{Error, Result},
    ports::{BuiltInBooking, Decision},
    types::{AnswerValue, SalesChannel},
};

settings! {
    /// Who may book. One of the lists is enough. Addresses, domains and external ids need `seesIdentity`.
    pub(super) struct MembersOnly {
        /// E-mail addresses. One counts once it is confirmed, or if somebody sells to the customer.
        emails: Option<Listed<Address, 1_000>>,
        /// What stands behind the `@` of addresses, each without its subdomains. An address counts once it is confirmed, or if somebody sells
        /// to the customer.
        email_domains: Option<Listed<Domain, 1_000>>,
        /// Ids that the platform gave its customers.
        external_ids: Option<Listed<Line<255>, 1_000>>,
        /// Numbers of members, which the customer gives as the answer to a question.
        numbers: Option<MemberNumbers>,
        /// The only ticket types that are for members, by id or name.
        ticket_types: Option<TicketTypes>,
        /// The reason for others, in place of the built-in one.
        reason: Option<Sentence>,
    }
}

settings! {
    /// Numbers of members. Whoever knows one can book with it.
    struct MemberNumbers {
        /// The id of the event's question, which is asked once per booking and answered with a text.
        question: QuestionName,
        /// The numbers.
        numbers: Listed<Line<64>, 1_000>,
    }
}

impl Policy for MembersOnly {
    const NAME: &str = "members-only";
    const RULES: u32 = 1;
    const TITLE: &str = "Members only";
    const DESCRIPTION: &str = "Only customers with one of the e-mail addresses, domains, external ids or member numbers may \
        book the event, or some of its ticket types.";
    const EXAMPLE: &str = r#"{"emailDomains":["club.example"],"emails":["guest@example.org"]}"#;

    fn validate(&self) -> Result<()> {
        if !self.needs_identity() && self.numbers.is_none() {
            let rule = "Give emails, emailDomains, externalIds or numbers.";
            return Err(Error::field("emails", rule));
        }
        Ok(())
    }

    fn needs_identity(&self) -> bool {
        self.emails.is_some() || self.email_domains.is_some() || self.external_ids.is_some()
    }

    fn decide(&self, asked: &BuiltInBooking) -> Result<Decision, String> {
        if !concerns(self.ticket_types.as_ref(), asked) {
            return Ok(Decision::Accept);
        }
        if self.has_number(asked) || self.has_external_id(asked) {
            return Ok(Decision::Accept);
        }
        let customer = &asked.customer;
        let is_listed = customer
            .email
            .as_deref()
            .is_some_and(|email| self.has_address(email));
        if is_listed && (customer.email_confirmed || asked.channel != SalesChannel::Own) {
            return Ok(Decision::Accept);
        }
        if is_listed {
            let reason = "Confirm your e-mail address first: these tickets are for members.";
            return Ok(Refusal::new("address-not-confirmed", reason).decision());
        }
        let reason = self.reason.as_ref().map(Sentence::as_str);
        let reason = reason.unwrap_or("These tickets are for members only.");
        Ok(Refusal::new("members-only", reason).decision())
    }
}

impl MembersOnly {
    fn has_number(&self, asked: &BuiltInBooking) -> bool {
        self.numbers
            .as_ref()
            .is_some_and(|own| match asked.answers.get(own.question.as_str()) {
                Some(AnswerValue::Text(given)) => own
                    .numbers
                    .iter()
                    .any(|number| number.as_str() == given.trim()),
                _ => false,
            })
    }

    fn has_external_id(&self, asked: &BuiltInBooking) -> bool {
        let ids = self
            .external_ids
            .as_ref()
            .zip(asked.customer.external_id.as_deref());
        ids.is_some_and(|(ids, own)| ids.iter().any(|id| id.as_str() == own))
    }

    fn has_address(&self, email: &str) -> bool {
        let email = email.to_ascii_lowercase();
        let domain = email.rsplit('@').next().unwrap_or_default();
        let emails = self.emails.iter().flat_map(Listed::iter);
        let domains = self.email_domains.iter().flat_map(Listed::iter);
        emails.map(Address::as_str).any(|own| own == email)
            || domains.map(Domain::as_str).any(|own| own == domain)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{asked, decided, fault, refused};

    #[test]
    fn a_listed_address_counts_once_it_is_confirmed() {
        let config = json!({ "emails": ["Ann@Example.org"], "emailDomains": ["club.example"], "externalIds": ["42"] });
        let yes = None;
        for (customer, channel, refusal) in [
            (
                json!({ "email": "ann@example.org", "emailConfirmed": true }),
                "self",
                yes,
            ),
            (
                json!({ "email": "ann@example.org" }),
                "self",
                Some("address-not-confirmed"),
            ),
            (json!({ "email": "ann@example.org" }), "sold", yes),
            (
                json!({ "email": "bob@example.org", "emailConfirmed": true }),
                "self",
                Some("members-only"),
            ),
            (
                json!({ "email": "bob@CLUB.example", "emailConfirmed": true }),
                "self",
                yes,
            ),
            (
                json!({ "email": "b@x.club.example", "emailConfirmed": true }),
                "self",
                Some("members-only"),
            ),
            (
                json!({ "email": "b@myclub.example", "emailConfirmed": true }),
                "self",
                Some("members-only"),
            ),
            (json!({ "externalId": "42" }), "self", yes),
            (json!({ "externalId": "4" }), "self", Some("members-only")),
            (json!({}), "self", Some("members-only")),
        ] {
            let mut whole = json!({ "pseudonym": "c", "ticketsInEvent": 0 });
            let fields = customer.as_object().expect("fields").clone();
            whole.as_object_mut().expect("an object").extend(fields);
            let question = asked(json!({ "customer": whole, "channel": channel }), 0);
            let decision = decided("members-only", &config, &question);
            assert_eq!(refused(&decision), refusal, "{customer} {channel}");
        }
    }

    #[test]
    fn a_members_number_is_an_answer() {
        let config = json!({ "numbers": { "question": "member", "numbers": ["17", "18"] } });
        for (answers, refusal) in [
            (json!({ "member": "17" }), None),
            (json!({ "member": " 18 " }), None),
            (json!({ "member": "19" }), Some("members-only")),
            (json!({ "member": 17 }), Some("members-only")),
            (json!({}), Some("members-only")),
        ] {
            let question = asked(json!({ "answers": answers }), 0);
            assert_eq!(
                refused(&decided("members-only", &config, &question)),
                refusal,
                "{answers}"
            );
        }
    }

    #[test]
    fn wrong_configurations_are_told_with_their_place() {
        for (config, field) in [
            (json!({}), "emails"),
            (json!({ "emails": ["ann"] }), "emails[0]"),
            (
                json!({ "emailDomains": ["@club.example"] }),
                "emailDomains[0]",
            ),
            (json!({ "numbers": { "question": "a" } }), "numbers.numbers"),
        ] {
            assert_eq!(
                fault("members-only", &config).as_deref(),
                Some(field),
                "{config}"
            );
        }
    }
}
