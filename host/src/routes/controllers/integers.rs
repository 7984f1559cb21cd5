//! Numbers in requests, as types that parse only what is allowed. The parser of bodies adds the field's path to an error.
//!
//! Used by the requests of controllers. The engine checks ranges within the type's.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Unexpected},
};
use serde_json::Number;

/// Above it, JSON readers that use doubles confuse neighbouring whole numbers.
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// A whole number that is not negative and fits into `T`. `2.0` is one, because JSON has only one kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole<T>(pub(super) T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        let whole = number
            .as_u64()
            .or_else(|| number.as_f64().and_then(exact))
            .and_then(|whole| T::try_from(whole).ok());
        whole.map(Self).ok_or_else(|| {
            let rule = "a whole number that is not negative or too large";
            D::Error::invalid_value(Unexpected::Other("number"), &rule)
        })
    }
}

/// A number of tickets: 1 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TicketCount(pub(super) u32);

impl<'de> Deserialize<'de> for TicketCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Whole::deserialize(deserializer)? {
            Whole(0) => Err(D::Error::invalid_value(
                Unexpected::Unsigned(0),
                &"at least 1 ticket",
            )),
            Whole(count) => Ok(Self(count)),
        }
    }
}

fn exact(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&number)).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::routes::extract::read_value;

    #[derive(Debug, Deserialize)]
    struct Request {
        seats: Vec<Whole<u32>>,
        tickets: TicketCount,
    }

    fn read(seat: &str, tickets: Value) -> Result<Request, boxoffice_engine::Error> {
        let seat: Value = serde_json::from_str(seat).unwrap();
        read_value(json!({"seats": [7, seat], "tickets": tickets}))
    }

    #[test]
    fn whole_numbers_pass_and_others_name_their_field_and_what_is_allowed() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("2.0", 2),
            ("1e2", 100),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(
                read(text, json!(1)).unwrap().seats[1],
                Whole(value),
                "{text}"
            );
        }
        for text in [
            "-5",
            "-1.0",
            "1.5",
            "1099511627776",
            "4294967296",
            "1e30",
            "18446744073709551616",
        ] {
            let error = read(text, json!(1)).unwrap_err();
            assert_eq!(error.field_name(), Some("seats[1]"), "{text}");
            let rule = "Expected a whole number that is not negative or too large.";
            assert_eq!(error.detail(), rule, "{text}");
        }
    }

    #[test]
    fn no_tickets_are_too_few() {
        assert_eq!(read("0", json!(1.0)).unwrap().tickets, TicketCount(1));
        let error = read("0", json!(0)).unwrap_err();
        let shown = (error.field_name(), error.detail());
        assert_eq!(shown, (Some("tickets"), "Expected at least 1 ticket."));
    }
}
