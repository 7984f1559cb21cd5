//! Sells cheaper to customers who type a code. How often a code is used is counted by claims: in all, and by each customer.

use std::collections::BTreeMap;

use boxoffice_plugin::{
    Adjustment, BookingRequest, Claim, Decision, Deserialize, Policy, Rejection,
};

/// Longest code: with `promo:`, a colon and a pseudonym of 32 characters it fits the 64 characters of a claim's key.
const CODE_CHARACTERS_MAX: usize = 25;

/// The tenant's codes.
#[derive(Deserialize)]
#[serde(
    crate = "boxoffice_plugin::serde",
    rename_all = "camelCase",
    deny_unknown_fields
)]
struct PromoCodes {
    codes: BTreeMap<String, Promotion>,
    /// Whether a code that is not listed refuses the booking. Set it to false where other plugins have codes, too.
    #[serde(default = "default_reject_unknown")]
    reject_unknown: bool,
}

/// What a code gives, and how often.
#[derive(Deserialize)]
#[serde(
    crate = "boxoffice_plugin::serde",
    rename_all = "camelCase",
    deny_unknown_fields
)]
struct Promotion {
    percent_off: Option<u32>,
    amount_off_minor: Option<u32>,
    uses: Option<u32>,
    uses_per_customer: Option<u32>,
}

/// What one ticket becomes cheaper by.
enum Discount {
    Percent(u32),
    AmountMinor(u32),
}

impl Policy for PromoCodes {
    fn validate_booking(&self, request: BookingRequest) -> Decision {
        // A panic fails the call, which refuses the booking; the plugin's log says why. All codes are checked each time, so
        // that the trial at activation finds a wrong one.
        for (code, promotion) in &self.codes {
            promotion.check(code);
        }
        let mut found: Option<(&str, &Promotion)> = None;
        for typed in &request.details.codes {
            match self.find(typed) {
                Some((code, _)) if found.is_some_and(|(other, _)| other != code) => {
                    let reason = "Only one of these codes can be used for a booking.";
                    return Rejection::new("one-code-only", reason).into();
                }
                Some(known) => found = Some(known),
                None if self.reject_unknown => {
                    let reason = format!("The code {typed} is not valid.");
                    return Rejection::new("unknown-code", reason).into();
                }
                None => {}
            }
        }
        match found {
            Some((code, promotion)) => promotion.apply(code, &request).into(),
            None => Decision::Accept,
        }
    }
}

impl PromoCodes {
    /// The code that a customer typed, in whatever case.
    fn find(&self, typed: &str) -> Option<(&str, &Promotion)> {
        let mut codes = self.codes.iter();
        let found = codes.find(|(code, _)| code.eq_ignore_ascii_case(typed))?;
        Some((found.0, found.1))
    }
}

impl Promotion {
    fn check(&self, code: &str) {
        let is_visible = code.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(
            is_visible && (1..=CODE_CHARACTERS_MAX).contains(&code.len()),
            "codes: {code:?} is not 1 to {CODE_CHARACTERS_MAX} visible ASCII characters"
        );
        self.discount(code);
    }

    fn discount(&self, code: &str) -> Discount {
        match (self.percent_off, self.amount_off_minor) {
            (Some(percent @ 1..=100), None) => Discount::Percent(percent),
            (None, Some(amount)) if amount > 0 => Discount::AmountMinor(amount),
            _ => panic!("codes.{code}: give percentOff (1 to 100) or amountOffMinor (1 or more)"),
        }
    }

    fn apply(&self, code: &str, request: &BookingRequest) -> Adjustment {
        let discount = self.discount(code);
        let prices = request.lines.iter().map(|line| line.unit_price_minor);
        let prices = prices.map(|price| discount.of(price)).collect();
        let mut yes = Adjustment::prices(prices).message(match discount {
            Discount::Percent(percent) => format!("Code {code}: {percent} % off."),
            Discount::AmountMinor(_) => format!("Code {code}: reduced price."),
        });
        if let Some(uses) = self.uses {
            yes = yes.claim(Claim::new(format!("promo:{code}"), uses));
        }
        if let Some(uses) = self.uses_per_customer {
            let key = format!("promo:{code}:{}", request.customer.pseudonym);
            yes = yes.claim(Claim::new(key, uses));
        }
        yes
    }
}

impl Discount {
    /// A price with the discount. Half a cent is rounded up.
    fn of(&self, price: u32) -> u32 {
        match self {
            Self::Percent(percent) => {
                let reduced = (u64::from(price) * u64::from(100 - percent) + 50) / 100;
                u32::try_from(reduced).expect("a share of a u32 is one")
            }
            Self::AmountMinor(amount) => price.saturating_sub(*amount),
        }
    }
}

fn default_reject_unknown() -> bool {
    true
}

boxoffice_plugin::export_policy!(PromoCodes);
