//! When an event is, as people write it: RFC 3339, or a date or local time in the event's zone.
//!
//! Called by the events controller.

use boxoffice_engine::{Error, Result};
use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

/// Longest text that is looked at; RFC 3339 with nanoseconds fits.
const TEXT_BYTES_MAX: usize = 40;
/// Length of `2026-12-31`.
const DATE_BYTES: usize = 10;

/// Finds a zone by its IANA name.
///
/// # Errors
/// `field-invalid` at `timeZone`.
pub(super) fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|_| {
        Error::field(
            "timeZone",
            "A time zone is an IANA name such as Europe/Berlin or UTC.",
        )
    })
}

/// Reads an instant: RFC 3339 with its offset, such as `2026-12-31T20:00:00+01:00`.
///
/// # Errors
/// `field-invalid` at `field`.
pub(in crate::routes) fn instant(text: &str, field: impl Into<String>) -> Result<Timestamp> {
    bounded(text)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            Error::field(
                field.into(),
                "Expected a time with its offset (RFC 3339), such as 2026-12-31T20:00:00Z.",
            )
        })
}

/// Reads an instant, a local time in `zone`, or a date alone, which means 00:00 there.
///
/// A local time that the zone's clocks skip is moved forward by the gap; of one that they show twice the first is
/// meant (as in RFC 5545, 3.3.5).
///
/// # Errors
/// `field-invalid` at `date`.
pub(super) fn date(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    let rule = || {
        Error::field(
            "date",
            "Expected a date such as 2026-12-31, with a time if need be: 2026-12-31T20:00.",
        )
    };
    let text = bounded(text).ok_or_else(rule)?;
    if text.len() > DATE_BYTES
        && let Ok(instant) = text.parse()
    {
        return Ok(instant);
    }
    let local = if text.len() == DATE_BYTES {
        text.parse::<Date>()
            .map(|date| date.to_datetime(Time::midnight()))
    } else {
        text.parse::<DateTime>()
    };
    let local = local.map_err(|_| rule())?;
    zone.to_ambiguous_timestamp(local)
        .compatible()
        .map_err(|_| rule())
}

/// A text that may be a time. Zones in brackets (RFC 9557) are refused: the event's own zone is what counts.
fn bounded(text: &str) -> Option<&str> {
    let text = text.trim();
    (text.len() <= TEXT_BYTES_MAX && !text.contains('[')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_berlin(text: &str) -> Result<String> {
        date(text, &zone("Europe/Berlin").unwrap()).map(|instant| instant.to_string())
    }

    #[test]
    fn dates_and_local_times_are_of_the_zone() {
        assert_eq!(in_berlin("2026-12-31").unwrap(), "2026-12-30T23:00:00Z");
        assert_eq!(in_berlin("2026-07-01").unwrap(), "2026-06-30T22:00:00Z");
        assert_eq!(
            in_berlin("2026-12-31T20:00").unwrap(),
            "2026-12-31T19:00:00Z"
        );
        assert_eq!(
            in_berlin("2026-12-31T20:00:30").unwrap(),
            "2026-12-31T19:00:30Z"
        );
        assert_eq!(
            in_berlin("2026-12-31T20:00:00Z").unwrap(),
            "2026-12-31T20:00:00Z"
        );
        assert_eq!(
            in_berlin("2026-12-31T20:00:00-05:00").unwrap(),
            "2027-01-01T01:00:00Z"
        );
    }

    #[test]
    fn skipped_and_doubled_hours_are_settled() {
        assert_eq!(
            in_berlin("2026-03-29T02:30").unwrap(),
            "2026-03-29T01:30:00Z"
        );
        assert_eq!(
            in_berlin("2026-10-25T02:30").unwrap(),
            "2026-10-25T00:30:00Z"
        );
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let long = "2".repeat(100);
        for bad in [
            "",
            "tomorrow",
            "2026-13-01",
            "2026-02-30",
            "31.12.2026",
            "20:00",
            "2026-12-31T25:00",
            "2026-12-31T20:00[UTC]",
            &long,
        ] {
            assert_eq!(
                in_berlin(bad).unwrap_err().field_name(),
                Some("date"),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_instant_needs_its_offset() {
        assert_eq!(
            instant("2026-12-31T20:00:00+01:00", "startsAt")
                .unwrap()
                .to_string(),
            "2026-12-31T19:00:00Z"
        );
        for bad in [
            "2026-12-31",
            "2026-12-31T20:00:00",
            "2026-12-31T20:00:00[Europe/Berlin]",
            "",
            "1767225600",
        ] {
            assert_eq!(
                instant(bad, "startsAt").unwrap_err().field_name(),
                Some("startsAt"),
                "{bad}"
            );
        }
        assert_eq!(
            zone("Mars/Olympus").unwrap_err().field_name(),
            Some("timeZone")
        );
    }
}
