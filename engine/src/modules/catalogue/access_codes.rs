//! `access-codes`: the event, or some of its ticket types, can only be booked with a code.

use super::{
    Policy, Refusal,
    code_rules::CodeRules,
    prices::Prices,
    schema::settings,
    values::{Codes, Moment, Pattern, Sentence, TicketTypes, Uses, concerns},
};
use crate::{
    error::Result,
    ports::{BuiltInBooking, Decision},
};

settings! {
    /// Codes without which tickets cannot be booked. Of several codes of this list the first one counts.
    pub(super) struct AccessCodes {
        /// The codes. Upper and lower case differ.
        codes: Option<Codes>,
        /// What codes look like, in place of a list or beside it. `*` stands for any characters: `CREW-*`. Whoever can guess a code can use
        /// it.
        pattern: Option<Pattern>,
        /// The only ticket types that need a code, by id or name. Without it all do.
        ticket_types: Option<TicketTypes>,
        /// How often the codes may be used, all together. A use is one booking or hold.
        uses_max: Option<Uses>,
        /// How often each code may be used.
        uses_per_code_max: Option<Uses>,
        /// How often each customer may use one of the codes.
        uses_per_customer_max: Option<Uses>,
        /// From when on the codes count. Before that nobody can book.
        valid_from: Option<Moment>,
        /// Until when the codes count. From that time on nobody can book.
        valid_until: Option<Moment>,
        /// The reason for customers who give no code, in place of the built-in one.
        reason: Option<Sentence>,
    }
}

impl AccessCodes {
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

impl Policy for AccessCodes {
    const NAME: &str = "access-codes";
    const RULES: u32 = 1;
    const TITLE: &str = "Access codes";
    const DESCRIPTION: &str = "The event, or some of its ticket types, can only be booked with one of the codes. Uses are \
        counted exactly, in all, per code and per customer.";
    const EXAMPLE: &str =
        r#"{"codes":["BACKSTAGE"],"ticketTypes":["Backstage"],"usesPerCustomerMax":1}"#;

    fn validate(&self) -> Result<()> {
        self.rules().validate()
    }

    fn decide(&self, asked: &BuiltInBooking) -> Result<Decision, String> {
        if !concerns(self.ticket_types.as_ref(), asked) {
            return Ok(Decision::Accept);
        }
        let rules = self.rules();
        let Some(code) = rules.found(asked) else {
            return Ok(match asked.codes.first() {
                Some(unknown) => {
                    let reason =
                        format!("The code {unknown} does not give access to these tickets.");
                    Refusal::new("code-unknown", reason)
                }
                None => {
                    let reason = self.reason.as_ref().map(Sentence::as_str);
                    Refusal::new(
                        "code-required",
                        reason.unwrap_or("These tickets need a code."),
                    )
                }
            }
            .decision());
        };
        if let Some(refusal) = rules.out_of_time(code, asked)? {
            return Ok(refusal.decision());
        }
        let claims = rules.claims(code, asked);
        Ok(Prices::of(asked).decision(None, claims))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{asked, decided, fault, prices, refused};

    #[test]
    fn tickets_need_a_code_that_is_known() {
        let config = json!({ "codes": ["A"], "pattern": "CREW-*", "reason": "Ask the office." });
        for (codes, refusal) in [
            (json!([]), Some("code-required")),
            (json!(["B"]), Some("code-unknown")),
            (json!(["a"]), Some("code-unknown")),
            (json!(["B", "A"]), None),
            (json!(["CREW-"]), None),
            (json!(["CREW-17"]), None),
            (json!(["XCREW-17"]), Some("code-unknown")),
        ] {
            let decision = decided(
                "access-codes",
                &config,
                &asked(json!({ "codes": codes }), 500),
            );
            assert_eq!(refused(&decision), refusal, "{codes}");
        }
        let others = json!({ "codes": ["A"], "ticketTypes": ["Box"] });
        let decision = decided("access-codes", &others, &asked(json!({}), 500));
        assert_eq!(refused(&decision), None, "other tickets need none");
    }

    #[test]
    fn a_use_is_counted_and_the_price_stays() {
        let config = json!({ "codes": ["A"], "usesMax": 1 });
        let question = asked(
            json!({ "codes": ["A"], "counters": "boxoffice.access-codes@e" }),
            500,
        );
        let decision = decided("access-codes", &config, &question);
        assert_eq!(prices(&decision), Some(vec![500]));
        let answer = serde_json::to_value(&decision).expect("JSON");
        let expected = json!([{ "key": "boxoffice.access-codes@e/all", "limit": 1, "amount": 1 }]);
        assert_eq!(answer["claims"], expected);
    }

    #[test]
    fn codes_count_within_their_window() {
        let question = asked(json!({ "codes": ["A"] }), 500);
        for (window, refusal) in [
            (
                json!({ "codes": ["A"], "validFrom": "2026-11-22T18:30:01Z" }),
                Some("code-not-yet"),
            ),
            (
                json!({ "codes": ["A"], "validUntil": "2026-11-22T18:30:00Z" }),
                Some("code-over"),
            ),
            (
                json!({ "codes": ["A"], "validUntil": "2026-11-22T18:30:01Z" }),
                None,
            ),
        ] {
            assert_eq!(
                refused(&decided("access-codes", &window, &question)),
                refusal
            );
        }
        assert_eq!(fault("access-codes", &json!({})).as_deref(), Some("codes"));
    }
}
