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

/// A moment for people, in the event's zone: `Friday, 5 June 2026, 19:30 (Europe/Berlin)`.
///
/// In the hour that a clock goes through twice, the offset says which one is meant.
pub(crate) fn local_time(moment: Timestamp, zone: &str) -> String {
    let (zone, time_zone) = match known_zone(zone) {
        Some(time_zone) => (zone, time_zone),
        // Zones are checked when they enter; one that has gone since is no reason to send no mail.
        None => ("UTC", TimeZone::UTC),
    };
    let zoned = moment.to_zoned(time_zone.clone());
    let twice = time_zone
        .to_ambiguous_timestamp(zoned.datetime())
        .is_ambiguous();
    let clock = if zoned.second() == 0 {
        "%H:%M"
    } else {
        "%H:%M:%S"
    };
    let time = zoned
        .strftime(&format!("%A, %-d %B %Y, {clock}"))
        .to_string();
    if twice {
        format!("{time} ({zone}, UTC{})", zoned.strftime("%:z"))
    } else {
        format!("{time} ({zone})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_zone_and_its_summer_time() {
        for (moment, zone, text) in [
            (
                "2026-06-05T17:30:00Z",
                "Europe/Berlin",
                "Friday, 5 June 2026, 19:30 (Europe/Berlin)",
            ),
            (
                "2026-12-05T17:30:00Z",
                "Europe/Berlin",
                "Saturday, 5 December 2026, 18:30 (Europe/Berlin)",
            ),
            (
                "2026-06-05T17:30:00Z",
                "UTC",
                "Friday, 5 June 2026, 17:30 (UTC)",
            ),
            (
                "2026-06-05T17:30:15Z",
                "UTC",
                "Friday, 5 June 2026, 17:30:15 (UTC)",
            ),
            // The night the clock goes back: 02:30 comes twice.
            (
                "2026-10-25T00:30:00Z",
                "Europe/Berlin",
                "Sunday, 25 October 2026, 02:30 (Europe/Berlin, UTC+02:00)",
            ),
            (
                "2026-10-25T01:30:00Z",
                "Europe/Berlin",
                "Sunday, 25 October 2026, 02:30 (Europe/Berlin, UTC+01:00)",
            ),
            // The night it goes forward: 02:30 never comes.
            (
                "2026-03-29T01:30:00Z",
                "Europe/Berlin",
                "Sunday, 29 March 2026, 03:30 (Europe/Berlin)",
            ),
            (
                "2026-06-05T17:30:00Z",
                "Nowhere/Gone",
                "Friday, 5 June 2026, 17:30 (UTC)",
            ),
        ] {
            assert_eq!(local_time(moment.parse().unwrap(), zone), text);
        }
    }

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
