//! `early-bird`: tickets are cheaper until a time.

use super::{
    Policy,
    prices::Prices,
    schema::{choice, settings},
    values::{Deadline, Listed, MinorUnits, Percent, Sentence, TicketTypes, is_about, moment_of},
};
use crate::ports::{BuiltInBooking, Decision};

settings! {
    /// Lower prices until a time. Of those for a ticket type, the first one in the list that is not over counts.
    pub(super) struct EarlyBird {
        /// The prices.
        prices: Listed<EarlyPrice, 50>,
        /// A text for customers who get a lower price.
        message: Option<Sentence>,
    }
}

settings! {
    /// A price until a time.
    struct EarlyPrice {
        /// The ticket types, by id or name. Without it all.
        ticket_types: Option<TicketTypes>,
        /// Until when it counts. At that time it is over.
        until: Deadline,
        /// The price.
        price: NewPrice,
    }
}

choice! {
    /// The price of a ticket until then. A ticket that is cheaper already, by the policy before, stays so.
    enum NewPrice {
        /// So many percent off. What is left is rounded half up to a minor unit.
        Percent(Percent),
        /// The price of a ticket in minor units.
        PriceMinor(MinorUnits),
    }
}

impl Policy for EarlyBird {
    const NAME: &str = "early-bird";
    const RULES: u32 = 1;
    const TITLE: &str = "Early bird";
    const DESCRIPTION: &str = "Tickets cost another price, or a percentage less, until a time or so many days before the \
        event, for each ticket type.";
    const EXAMPLE: &str = r#"{"prices":[{"until":{"daysBeforeStart":30},"price":{"percent":15}}],"message":"Early bird"}"#;

    fn decide(&self, asked: &BuiltInBooking) -> Result<Decision, String> {
        let now = moment_of(&asked.now.utc)?;
        let mut open = Vec::new();
        for early in self.prices.iter() {
            if !early.until.is_over(&asked.event, now)? {
                open.push(early);
            }
        }
        let mut prices = Prices::of(asked);
        prices.lower_each(|kind, price| {
            let about =
                |early: &&&EarlyPrice| is_about(early.ticket_types.as_ref(), &asked.event, kind);
            match open.iter().find(about).map(|early| early.price) {
                Some(NewPrice::Percent(percent)) => percent.off(price),
                Some(NewPrice::PriceMinor(minor)) => minor.get(),
                None => price,
            }
        });
        Ok(prices.decision(self.message.as_ref(), Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{asked, decided, fault, prices};

    #[test]
    fn a_price_counts_until_its_time() {
        // The question's moment is 2026-11-22T18:30:00Z; its event begins 2026-12-05T18:30:00Z, in Berlin.
        let question = asked(json!({}), 1_000);
        for (until, left) in [
            (json!({ "at": "2026-11-22T18:30:01Z" }), Some(vec![800])),
            (json!({ "at": "2026-11-22T18:30:00Z" }), None),
            (json!({ "daysBeforeStart": 12 }), Some(vec![800])),
            (json!({ "daysBeforeStart": 13 }), None),
            (json!({ "daysBeforeStart": 3650 }), None),
        ] {
            let config = json!({ "prices": [{ "until": until, "price": { "priceMinor": 800 } }] });
            assert_eq!(
                prices(&decided("early-bird", &config, &question)),
                left,
                "{until}"
            );
        }
    }

    #[test]
    fn days_before_the_start_are_days_of_the_events_zone() {
        // Clocks go back on 2026-10-25 in Berlin: a day before 18:30 local is 25 hours.
        let mut config = json!({ "prices": [{ "until": { "daysBeforeStart": 1 }, "price": { "percent": 50 } }] });
        let question = |now: &str| {
            let mut question = asked(json!({}), 1_000);
            question.event.starts_at = "2026-10-25T17:30:00Z".to_owned();
            question.now.utc = now.to_owned();
            question
        };
        let before = question("2026-10-24T16:29:59Z");
        assert_eq!(
            prices(&decided("early-bird", &config, &before)),
            Some(vec![500])
        );
        let after = question("2026-10-24T16:30:00Z");
        assert_eq!(prices(&decided("early-bird", &config, &after)), None);
        config["prices"][0]["until"]["daysBeforeStart"] = json!(0);
        assert_eq!(
            prices(&decided("early-bird", &config, &after)),
            Some(vec![500])
        );
    }

    #[test]
    fn the_first_open_price_for_a_type_counts_and_never_raises_a_price() {
        let early = |until: &str, types: &[&str], minor: u32| json!({ "until": { "at": until }, "ticketTypes": types, "price": { "priceMinor": minor } });
        let (over, open) = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
        let config = json!({ "prices": [early(over, &["Seat"], 100), early(open, &["Box"], 200), early(open, &["Seat"], 300),
            early(open, &["Seat"], 250)] });
        for (price, left) in [
            (1_000, Some(vec![300])),
            (300, None),
            (200, None),
            (0, None),
        ] {
            let question = asked(json!({}), price);
            assert_eq!(
                prices(&decided("early-bird", &config, &question)),
                left,
                "{price}"
            );
        }
    }

    #[test]
    fn wrong_configurations_are_told_with_their_place() {
        for (config, field) in [
            (json!({}), "prices"),
            (json!({ "prices": [] }), "prices"),
            (
                json!({ "prices": [{ "until": { "at": "soon" }, "price": { "percent": 5 } }] }),
                "prices[0].until.at",
            ),
            (
                json!({ "prices": [{ "until": { "daysBeforeStart": 1 }, "price": { "percent": 5 }, "when": 1 }] }),
                "prices[0].when",
            ),
        ] {
            assert_eq!(
                fault("early-bird", &config).as_deref(),
                Some(field),
                "{config}"
            );
        }
    }
}
