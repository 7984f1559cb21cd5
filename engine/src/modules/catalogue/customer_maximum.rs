//! `per-customer-maximum`: nobody gets more than so many tickets.

use super::{
    Policy, Refusal,
    prices::Prices,
    schema::settings,
    values::{Sentence, Tickets, Word, counter_key, tickets_of},
};
use crate::{
    error::{Error, Result},
    ports::{BuiltInBooking, Decision},
    types::Claim,
};

settings! {
    /// How many tickets a customer gets. Holds count as tickets.
    pub(super) struct CustomerMaximum {
        /// Most tickets of one event for each customer.
        per_event: Option<Tickets>,
        /// Most tickets of several events together for each customer.
        across_events: Option<AcrossEvents>,
        /// The reason for customers who want more of one event, in place of the built-in one.
        reason: Option<Sentence>,
    }
}

settings! {
    /// A maximum of several events together: those for which a policy with this group is in use.
    struct AcrossEvents {
        /// The name of the group. Activations with the same name count together.
        group: Word,
        /// Most tickets. Those that were booked before the policy was activated do not count.
        tickets: Tickets,
    }
}

impl Policy for CustomerMaximum {
    const NAME: &str = "per-customer-maximum";
    const RULES: u32 = 1;
    const TITLE: &str = "Maximum per customer";
    const DESCRIPTION: &str = "Nobody gets more than so many tickets of an event, or of a group of events. Both hold \
        exactly, however many requests come at once.";
    const EXAMPLE: &str = r#"{"perEvent":4,"acrossEvents":{"group":"festival","tickets":10}}"#;

    fn validate(&self) -> Result<()> {
        match (self.per_event, &self.across_events) {
            (None, None) => Err(Error::field(
                "perEvent",
                "Give perEvent, acrossEvents, or both.",
            )),
            _ => Ok(()),
        }
    }

    fn decide(&self, asked: &BuiltInBooking) -> Result<Decision, String> {
        let (wanted, own) = (tickets_of(asked, None), asked.customer.tickets_in_event);
        if let Some(most) = self.per_event
            && wanted + u64::from(own) > u64::from(most.get())
        {
            let built_in = || {
                format!(
                    "At most {most} tickets of this event per customer; you have {own} and want {wanted}."
                )
            };
            let reason = self.reason.as_ref().map(|own| own.as_str().to_owned());
            return Ok(
                Refusal::new("too-many-tickets", reason.unwrap_or_else(built_in)).decision(),
            );
        }
        let Some(AcrossEvents { group, tickets }) = &self.across_events else {
            return Ok(Decision::Accept);
        };
        let amount = u32::try_from(wanted)
            .ok()
            .filter(|wanted| *wanted <= tickets.get());
        let Some(amount) = amount else {
            let reason = format!(
                "At most {tickets} tickets of these events per customer; you want {wanted}."
            );
            return Ok(Refusal::new("too-many-tickets", reason).decision());
        };
        let customer = &asked.customer.pseudonym;
        let claim = Claim {
            // Not under the activation's own name: several count together.
            key: counter_key(&format!(
                "boxoffice.{}/{}/{customer}",
                Self::NAME,
                group.as_str()
            )),
            limit: tickets.get(),
            amount,
        };
        Ok(Prices::of(asked).decision(None, vec![claim]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{asked, decided, fault, refused};

    #[test]
    fn tickets_that_the_customer_has_count() {
        let config = json!({ "perEvent": 4 });
        for (own, wanted, refusal) in [
            (0, 4, None),
            (0, 5, Some("too-many-tickets")),
            (3, 1, None),
            (3, 2, Some("too-many-tickets")),
            (u32::MAX, u32::MAX, Some("too-many-tickets")),
        ] {
            let mut question = asked(json!({}), 1_000);
            question.customer.tickets_in_event = own;
            question.lines[0].quantity = wanted;
            let decision = decided("per-customer-maximum", &config, &question);
            assert_eq!(refused(&decision), refusal, "{own} and {wanted}");
        }
    }

    #[test]
    fn a_group_has_a_counter_for_each_customer() {
        let config = json!({ "acrossEvents": { "group": "festival", "tickets": 10 } });
        let key = |counters: &str, pseudonym: &str| {
            let mut question = asked(json!({ "counters": counters }), 1_000);
            question.customer.pseudonym = pseudonym.to_owned();
            question.lines[0].quantity = 10;
            let decision = decided("per-customer-maximum", &config, &question);
            let answer = serde_json::to_value(decision).expect("JSON");
            assert_eq!(answer["claims"][0]["limit"], json!(10));
            assert_eq!(answer["claims"][0]["amount"], json!(10));
            answer["claims"][0]["key"]
                .as_str()
                .expect("a key")
                .to_owned()
        };
        let ann = "a".repeat(32);
        assert_eq!(
            key("one", &ann),
            key("other", &ann),
            "activations count together"
        );
        assert_ne!(key("one", &ann), key("one", &"b".repeat(32)));
        let mut question = asked(json!({}), 1_000);
        question.lines[0].quantity = 11;
        let decision = decided("per-customer-maximum", &config, &question);
        assert_eq!(refused(&decision), Some("too-many-tickets"));
    }

    #[test]
    fn one_of_the_maxima_is_given() {
        assert_eq!(
            fault("per-customer-maximum", &json!({})).as_deref(),
            Some("perEvent")
        );
        let group = json!({ "acrossEvents": { "group": "A b", "tickets": 1 } });
        let found = fault("per-customer-maximum", &group);
        assert_eq!(found.as_deref(), Some("acrossEvents.group"));
        let many = json!({ "perEvent": 1_001 });
        assert_eq!(
            fault("per-customer-maximum", &many).as_deref(),
            Some("perEvent")
        );
    }
}
