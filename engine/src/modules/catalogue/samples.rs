//! Questions for the tests of policies.

use serde_json::{Value, json};

use super::{BuiltIn, CATALOGUE};
use crate::ports::{BuiltInBooking, Decision};

/// A booking of one seat at a price, on 2026-11-22 at 18:30 UTC, for an event in Berlin two weeks later. `more` has other fields.
pub(super) fn asked(more: Value, price: u32) -> BuiltInBooking {
    let mut question = json!({
        "event": {
            "id": "e", "version": 1, "title": "Jazz", "startsAt": "2026-12-05T18:30:00Z", "timeZone": "Europe/Berlin",
            "currency": "EUR", "ticketTypes": [
                { "id": "seat", "name": "Seat", "priceMinor": price },
                { "id": "box", "name": "Box", "priceMinor": 5_000 }
            ]
        },
        "lines": [{ "ticketType": "seat", "quantity": 1, "unitPriceMinor": price }],
        "customer": { "pseudonym": "c", "ticketsInEvent": 0 },
        "counters": "boxoffice.promo-codes",
        "now": { "utc": "2026-11-22T18:30:00Z", "local": "2026-11-22T19:30:00+01:00" }
    });
    let fields = more.as_object().expect("fields").clone();
    question.as_object_mut().expect("an object").extend(fields);
    serde_json::from_value(question).expect("a question")
}

pub(super) fn policy(name: &str) -> &'static BuiltIn {
    let mut all = CATALOGUE.iter();
    all.find(|own| own.policy == name).expect("a policy")
}

/// What a policy decides with a configuration that it takes, judged.
pub(super) fn decided(name: &str, config: &Value, asked: &BuiltInBooking) -> Decision {
    let (own, config) = (policy(name), config.to_string());
    own.check(&config).expect("a configuration");
    let request = crate::ports::BuiltInRequest::ValidateBooking(Box::new(asked.clone()));
    match own.answer(&config, &request) {
        Ok(crate::ports::PluginAnswer::Decided(decision)) => decision,
        other => panic!("{other:?}"),
    }
}

/// The code of a no.
pub(super) fn refused(decision: &Decision) -> Option<&str> {
    match decision {
        Decision::Reject { code, .. } => Some(code),
        _ => None,
    }
}

/// The prices of a decision that changes or claims something.
pub(super) fn prices(decision: &Decision) -> Option<Vec<u32>> {
    match decision {
        Decision::Adjust {
            unit_prices_minor, ..
        } => Some(unit_prices_minor.clone()),
        _ => None,
    }
}

/// The place of a configuration's fault within it; empty for the whole.
pub(super) fn fault(name: &str, config: &Value) -> Option<String> {
    let error = policy(name).check(&config.to_string()).err()?;
    let field = error.field_name().expect("a field");
    let within = field.strip_prefix("config").expect("a place");
    Some(within.trim_start_matches('.').to_owned())
}
