//! Numbers in requests: any JSON number is parsed, and checked here, so that an error names its field.
//!
//! Called by controllers. The engine checks ranges within the type's.

use boxoffice_engine::{Error, Result};
use serde_json::Number;

/// Above it, JSON readers that use doubles confuse neighbouring whole numbers.
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// Reads a whole number that fits into `T`. `2.0` is one, because JSON has only one kind of number.
///
/// # Errors
/// `field-invalid` at `field` for fractions, negative numbers and numbers that do not fit.
pub(super) fn whole<T: TryFrom<u64>>(number: &Number, field: impl Into<String>) -> Result<T> {
    number
        .as_u64()
        .or_else(|| number.as_f64().and_then(exact))
        .and_then(|whole| T::try_from(whole).ok())
        .ok_or_else(|| {
            Error::field(
                field.into(),
                "Expected a whole number that is not negative or too large.",
            )
        })
}

/// Like [`whole`], with a default.
pub(super) fn whole_or<T: TryFrom<u64>>(
    number: Option<&Number>,
    default: T,
    field: impl Into<String>,
) -> Result<T> {
    number.map_or(Ok(default), |number| whole(number, field))
}

fn exact(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&number)).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<u32> {
        whole(&serde_json::from_str(text).unwrap(), "numTickets")
    }

    #[test]
    fn whole_numbers_pass_and_others_name_their_field() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("2.0", 2),
            ("1e2", 100),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(read(text).unwrap(), value, "{text}");
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
            let error = read(text).unwrap_err();
            assert_eq!(
                (error.code().as_str(), error.field_name()),
                ("field-invalid", Some("numTickets")),
                "{text}"
            );
        }
    }
}
