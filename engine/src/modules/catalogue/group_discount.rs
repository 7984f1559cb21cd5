//! `group-discount`: many tickets in one booking are cheaper.

use super::{
    Policy,
    prices::Prices,
    schema::settings,
    values::{Listed, Percent, Sentence, TicketTypes, Tickets, tickets_of},
};
use crate::{
    error::{Error, Result},
    ports::{BuiltInBooking, Decision},
};

settings! {
    /// A percentage off from a number of tickets on. Tickets of earlier bookings do not count.
    pub(super) struct GroupDiscount {
        /// The steps, with growing numbers of tickets. The last one that a booking reaches counts, for all its tickets.
        steps: Listed<Step, 20>,
        /// The only ticket types that count and get cheaper, by id or name.
        ticket_types: Option<TicketTypes>,
        /// A text for customers who get the lower price.
        message: Option<Sentence>,
    }
}

settings! {
    /// A step of the discount.
    struct Step {
        /// From how many tickets on.
        tickets: Tickets,
        /// So many percent off. What is left is rounded half up to a minor unit.
        percent: Percent,
    }
}

impl Policy for GroupDiscount {
    const NAME: &str = "group-discount";
    const RULES: u32 = 1;
    const TITLE: &str = "Group discount";
    const DESCRIPTION: &str = "Who books so many tickets at once pays a percentage less for each.";
    const EXAMPLE: &str = r#"{"steps":[{"tickets":10,"percent":10},{"tickets":20,"percent":15}]}"#;

    fn validate(&self) -> Result<()> {
        let steps: Vec<_> = self.steps.iter().map(|step| step.tickets).collect();
        let falls = steps.windows(2).position(|pair| pair[0] >= pair[1]);
        falls.map_or(Ok(()), |index| {
            let rule = "Each step has more tickets than the one before.";
            Err(Error::field(format!("steps[{}].tickets", index + 1), rule))
        })
    }

    fn decide(&self, asked: &BuiltInBooking) -> Result<Decision, String> {
        let types = self.ticket_types.as_ref();
        let tickets = tickets_of(asked, types);
        let reached = |step: &&Step| u64::from(step.tickets.get()) <= tickets;
        let Some(step) = self.steps.iter().rfind(reached) else {
            return Ok(Decision::Accept);
        };
        let mut prices = Prices::of(asked);
        prices.lower(types, |price| step.percent.off(price));
        Ok(prices.decision(self.message.as_ref(), Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{asked, decided, fault, prices};

    #[test]
    fn the_last_step_that_is_reached_counts() {
        let config =
            json!({ "steps": [{ "tickets": 3, "percent": 10 }, { "tickets": 5, "percent": 100 }] });
        for (quantity, left) in [
            (1, None),
            (2, None),
            (3, Some(vec![900])),
            (4, Some(vec![900])),
            (5, Some(vec![0])),
        ] {
            let mut question = asked(json!({}), 1_000);
            question.lines[0].quantity = quantity;
            assert_eq!(
                prices(&decided("group-discount", &config, &question)),
                left,
                "{quantity}"
            );
        }
    }

    #[test]
    fn only_the_named_types_count_and_get_cheaper() {
        let config = json!({ "steps": [{ "tickets": 3, "percent": 10 }], "ticketTypes": ["seat"] });
        let mut question = asked(json!({}), 1_000);
        question.lines[0].quantity = 2;
        question.lines.push(crate::ports::RequestLine {
            ticket_type: "box".to_owned(),
            quantity: 2,
            unit_price_minor: 5_000,
        });
        assert_eq!(prices(&decided("group-discount", &config, &question)), None);
        question.lines[0].quantity = u32::MAX;
        let decision = decided("group-discount", &config, &question);
        assert_eq!(prices(&decision), Some(vec![900, 5_000]));
        let all = json!({ "steps": [{ "tickets": 3, "percent": 10 }] });
        question.lines[0].quantity = 1;
        assert_eq!(
            prices(&decided("group-discount", &all, &question)),
            Some(vec![900, 4_500])
        );
    }

    #[test]
    fn steps_grow() {
        let steps = |first: u32, second: u32| json!({ "steps": [{ "tickets": first, "percent": 1 }, { "tickets": second, "percent": 2 }] });
        assert_eq!(fault("group-discount", &steps(2, 3)), None);
        for (first, second) in [(3, 3), (4, 3)] {
            let found = fault("group-discount", &steps(first, second));
            assert_eq!(found.as_deref(), Some("steps[1].tickets"));
        }
        let found = fault("group-discount", &steps(0, 1));
        assert_eq!(found.as_deref(), Some("steps[0].tickets"));
    }
}
