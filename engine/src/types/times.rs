//! Valid time zones and times of events.
//!
//! Used by the types of events, and by code that shows times to people.

use std::sync::LazyLock;

use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::error::{Error, Result};

/// The IANA data that is compiled in. The system's folder has more than zones: other forms of the same
/// data (`posix/…`, `right/…`), and the machine's own choice (`localtime`).
static IANA: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Years (UTC) in which tickets are sold and events take place. Others are typing errors or wrong
/// clocks, and calendars and spreadsheets treat them differently.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2199;

/// Finds a time zone by its IANA name, in any case.
///
/// # Errors
/// `field-invalid` at `timeZone` for everything else, also for placeholders (`Factory`, `Etc/Unknown`) and
/// POSIX rules (`CET-1CEST`).
pub fn time_zone(name: &str) -> Result<TimeZone> {
    known_zone(name).ok_or_else(|| {
        Error::field(
            "timeZone",
            "A time zone is an IANA name such as Europe/Berlin or UTC.",
        )
    })
}

/// Finds a time zone by name: in the system's data, which may be newer, else in the compiled data.
pub(crate) fn known_zone(name: &str) -> Option<TimeZone> {
    let own = IANA.get(name).ok()?;
    let is_place = !own.is_unknown() && own.iana_name() != Some("Factory");
    let own = is_place.then_some(own)?;
    let usual_name = own.iana_name().unwrap_or(name);
    Some(TimeZone::get(usual_name).unwrap_or(own))
}

/// Refuses a time outside the years in which something can be sold.
///
/// # Errors
/// `field-invalid` at `field`.
pub(crate) fn require_year(field: impl Into<String>, moment: Timestamp) -> Result<()> {
    if YEARS.contains(&moment.to_zoned(TimeZone::UTC).year()) {
        return Ok(());
    }
    let (first, last) = (YEARS.start(), YEARS.end());
    Err(Error::field(
        field.into(),
        format!("Expected a time between the years {first} and {last} (UTC)."),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_names_of_the_iana_data() {
        for (name, usual) in [
            ("Europe/Berlin", "Europe/Berlin"),
            ("europe/BERLIN", "Europe/Berlin"),
            ("Europe/Kiev", "Europe/Kiev"),
            ("UTC", "UTC"),
            ("Etc/GMT+5", "Etc/GMT+5"),
        ] {
            assert_eq!(time_zone(name).unwrap().iana_name(), Some(usual), "{name}");
        }
        for bad in [
            "",
            " UTC",
            "Etc/Unknown",
            "etc/unknown",
            "Factory",
            "localtime",
            "posixrules",
            "posix/Europe/Berlin",
            "right/UTC",
            "CET-1CEST",
            "EST5EDT,M3.2.0,M11.1.0",
            "+02:00",
            "Mars/Olympus",
            "../../../etc/passwd",
            "Europe",
            "Europe/Berlin\0",
        ] {
            let error = time_zone(bad).unwrap_err();
            assert_eq!(error.field_name(), Some("timeZone"), "{bad:?}");
        }
    }

    #[test]
    fn every_zone_that_we_bring_can_be_found() {
        let all: Vec<String> = IANA.available().map(|name| name.to_string()).collect();
        assert!(all.len() > 400, "{}", all.len());
        for name in all {
            assert_eq!(known_zone(&name).is_some(), name != "Factory", "{name}");
        }
    }

    #[test]
    fn moments_lie_in_years_of_sales() {
        for (moment, is_good) in [
            ("2000-01-01T00:00:00Z", true),
            ("2199-12-31T23:59:59Z", true),
            ("1999-12-31T23:59:59Z", false),
            ("2200-01-01T00:00:00Z", false),
            ("-000044-03-15T12:00:00Z", false),
            ("9999-12-30T22:00:00Z", false),
        ] {
            assert_eq!(
                require_year("startsAt", moment.parse().unwrap()).is_ok(),
                is_good,
                "{moment}"
            );
        }
    }
}
