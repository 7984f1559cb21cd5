//! `promo-codes`: who gives one of the codes pays less.

use super::{
    Policy, Refusal,
    code_rules::CodeRules,
    prices::{Discount, Prices},
    schema::settings,
    values::{Codes, Moment, Pattern, Sentence, TicketTypes, Uses},
};
use crate::{
    error::Result,
    ports::{BuiltInBooking, Decision},
};

settings! {
    /// Codes that make tickets cheaper. Of several codes of this list the first one counts.
    pub(super) struct PromoCodes {
        /// The codes. Upper and lower case differ.
        codes: Option<Codes>,
        /// What codes look like, in place of a list or beside it. `*` stands for any characters: `SUMMER-*`. Whoever can guess a code can
        /// use it.
        pattern: Option<Pattern>,
        /// What is taken off the price of each ticket.
        discount: Discount,
        /// The only ticket types that get cheaper, by id or name. A booking without any of them is refused with the code.
        ticket_types: Option<TicketTypes>,
        /// How often the codes may be used, all together. A use is one booking or hold.
        uses_max: Option<Uses>,
        /// How often each code may be used.
        uses_per_code_max: Option<Uses>,
        /// How often each customer may use one of the codes.
        uses_per_customer_max: Option<Uses>,
        /// From when on the codes count.
        valid_from: Option<Moment>,
        /// Until when the codes count. At that time they do not count any more.
        valid_until: Option<Moment>,
        /// Whether a code that is none of these is refused. Leave it out where other policies have codes of their own.
        #[serde(default)]
        refuse_unknown: bool,
        /// A text for customers who get the lower price.
        message: Option<Sentence>,
    }
}

impl PromoCodes {
    fn rules(&self) -> CodeRules<'_> {
        CodeRules {
            codes: self.codes.as_ref(),
            pattern: self.pattern.as_ref(),
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            uses_max: self.uses_max,
            uses_per_code_max: self.uses_per_code_max,
            uses_per_customer_max: self.uses_per_customer_max,
        }
    }
}

impl Policy for PromoCodes {
    const NAME: &str = "promo-codes";
    const RULES: u32 = 1;
    const TITLE: &str = "Promotion codes";
    const DESCRIPTION: &str = "Who gives one of the codes pays a percentage or an amount less for each ticket. Uses are \
        counted exactly, in all, per code and per customer.";
    const EXAMPLE: &str =
        r#"{"codes":["SPRING"],"discount":{"percent":20},"usesMax":100,"usesPerCustomerMax":1}"#;

    fn validate(&self) -> Result<()> {
        self.rules().validate()
    }

    fn decide(&self, asked: &BuiltInBooking) -> Result<Decision, String> {
        let rules = self.rules();
        let Some(code) = rules.found(asked) else {
            return Ok(match asked.codes.first() {
                Some(unknown) if self.refuse_unknown => {
                    let reason = format!("The code {unknown} is not known here.");
                    Refusal::new("code-unknown", reason).decision()
                }
                _ => Decision::Accept,
            });
        };
        if let Some(refusal) = rules.out_of_time(code, asked)? {
            return Ok(refusal.decision());
        }
        let mut prices = Prices::of(asked);
        let has_tickets =
            prices.lower(self.ticket_types.as_ref(), |price| self.discount.off(price));
        if !has_tickets {
            let reason = format!("The code {code} is for other tickets.");
            return Ok(Refusal::new("code-not-for-these-tickets", reason).decision());
        }
        let claims = rules.claims(code, asked);
        Ok(prices.decision(self.message.as_ref(), claims))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples::{asked, decided, fault, prices, refused};

    fn spring(more: Value) -> Value {
        let mut config = json!({ "codes": ["SPRING"], "discount": { "percent": 20 } });
        let fields = more.as_object().expect("fields").clone();
        config.as_object_mut().expect("an object").extend(fields);
        config
    }

    #[test]
    fn a_code_lowers_the_price_and_another_changes_nothing() {
        for (discount, price, left) in [
            (json!({ "percent": 20 }), 1_000, 800),
            (json!({ "percent": 100 }), 1_000, 0),
            // 9.5 and 10.5 are rounded up.
            (json!({ "percent": 50 }), 19, 10),
            (json!({ "percent": 50 }), 21, 11),
            (json!({ "percent": 1 }), u32::MAX, 4_252_017_622),
            (json!({ "amountMinor": 300 }), 1_000, 700),
            (json!({ "amountMinor": 1_001 }), 1_000, 0),
            (json!({ "amountMinor": u32::MAX }), u32::MAX, 0),
        ] {
            let config = spring(json!({ "discount": discount }));
            let question = asked(json!({ "codes": ["SPRING"] }), price);
            let decision = decided("promo-codes", &config, &question);
            assert_eq!(prices(&decision), Some(vec![left]), "{config} of {price}");
            for other in [json!([]), json!(["spring"]), json!(["SPRING2"])] {
                let question = asked(json!({ "codes": other }), price);
                assert_eq!(prices(&decided("promo-codes", &config, &question)), None);
            }
        }
    }

    #[test]
    fn a_price_of_nothing_stays() {
        let config = spring(json!({ "message": "A fifth off.", "usesMax": 1 }));
        let free = asked(json!({ "codes": ["SPRING"] }), 0);
        let decision = decided("promo-codes", &config, &free);
        assert_eq!(prices(&decision), Some(vec![0]), "the use is counted");
        let answer = serde_json::to_value(&decision).expect("JSON");
        assert_eq!(answer["messages"], json!([]), "nothing got cheaper");
    }

    #[test]
    fn a_code_counts_within_its_window() {
        // The question's moment is 2026-11-22T18:30:00Z.
        let question = asked(json!({ "codes": ["SPRING"] }), 1_000);
        for (window, code) in [
            (json!({ "validFrom": "2026-11-22T18:30:00Z" }), None),
            (
                json!({ "validFrom": "2026-11-22T19:30:01+01:00" }),
                Some("code-not-yet"),
            ),
            (json!({ "validUntil": "2026-11-22T18:30:01Z" }), None),
            (
                json!({ "validUntil": "2026-11-22T18:30:00Z" }),
                Some("code-over"),
            ),
        ] {
            let decision = decided("promo-codes", &spring(window.clone()), &question);
            assert_eq!(refused(&decision), code, "{window}");
        }
    }

    #[test]
    fn codes_of_some_ticket_types_are_for_them_only() {
        let config = spring(json!({ "ticketTypes": ["Seat"], "message": "A fifth off." }));
        let seat = asked(json!({ "codes": ["SPRING"] }), 1_000);
        assert_eq!(
            prices(&decided("promo-codes", &config, &seat)),
            Some(vec![800])
        );
        let config = spring(json!({ "ticketTypes": ["Box"] }));
        let decision = decided("promo-codes", &config, &seat);
        assert_eq!(refused(&decision), Some("code-not-for-these-tickets"));
        let unknown = asked(json!({ "codes": ["WINTER"] }), 1_000);
        let config = spring(json!({ "refuseUnknown": true }));
        let decision = decided("promo-codes", &config, &unknown);
        assert_eq!(refused(&decision), Some("code-unknown"));
        let none = asked(json!({}), 1_000);
        assert_eq!(refused(&decided("promo-codes", &config, &none)), None);
    }

    #[test]
    fn each_limit_has_a_counter_of_its_own() {
        let config = spring(json!({ "usesMax": 9, "usesPerCodeMax": 8, "usesPerCustomerMax": 1 }));
        let question = asked(json!({ "codes": ["WINTER", "SPRING"] }), 1_000);
        let decision = decided("promo-codes", &config, &question);
        let claims = serde_json::to_value(&decision).expect("JSON");
        let claims = claims["claims"].as_array().expect("claims").clone();
        let told: Vec<_> = claims
            .iter()
            .map(|claim| (&claim["limit"], &claim["amount"]))
            .collect();
        assert_eq!(
            told,
            [
                (&json!(8), &json!(1)),
                (&json!(9), &json!(1)),
                (&json!(1), &json!(1))
            ]
        );
        assert_eq!(claims[0]["key"], json!("boxoffice.promo-codes/code/SPRING"));
        assert_eq!(claims[1]["key"], json!("boxoffice.promo-codes/all"));
        assert_ne!(claims[2]["key"], claims[1]["key"]);
    }

    #[test]
    fn wrong_configurations_are_told_with_their_place() {
        for (config, field) in [
            (json!({ "discount": { "percent": 20 } }), "codes"),
            (json!({ "codes": ["A"] }), "discount"),
            (spring(json!({ "codes": [] })), "codes"),
            (spring(json!({ "codes": ["A", " "] })), "codes[1]"),
            (
                spring(json!({ "discount": { "percent": 0 } })),
                "discount.percent",
            ),
            (
                spring(json!({ "discount": { "percent": 12.5 } })),
                "discount.percent",
            ),
            (
                spring(json!({ "discount": { "percent": 101 } })),
                "discount.percent",
            ),
            (
                spring(json!({ "discount": { "amountMinor": -1 } })),
                "discount.amountMinor",
            ),
            (spring(json!({ "pattern": "**" })), "pattern"),
            (spring(json!({ "usesMax": 0 })), "usesMax"),
            (spring(json!({ "validFrom": "2026-12-01" })), "validFrom"),
            (
                spring(
                    json!({ "validFrom": "2026-12-01T00:00:00Z", "validUntil": "2026-12-01T00:00:00Z" }),
                ),
                "validUntil",
            ),
            (spring(json!({ "colour": "red" })), "colour"),
        ] {
            assert_eq!(
                fault("promo-codes", &config).as_deref(),
                Some(field),
                "{config}"
            );
        }
    }
}
