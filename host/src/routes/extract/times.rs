//! Times of events in requests: RFC 3339, or a date or local time in the event's zone.
//!
//! Called by the controllers of events and of delivery administration, and for query parameters.

use boxoffice_engine::{Error, Result};
use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

/// Longest text that is read; RFC 3339 with nanoseconds fits.
const TEXT_BYTES_MAX: usize = 40;
/// Length of `2026-12-31`.
const DATE_BYTES: usize = 10;
/// The first time that RFC 3339 can express in UTC: 0000-01-01T00:00:00Z.
const FIRST: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// Finds a zone by its IANA name.
///
/// # Errors
/// `field-invalid` at `timeZone`.
pub(in crate::routes) fn zone(name: &str) -> Result<TimeZone> {
    boxoffice_engine::time_zone(name)
}

/// The canonical spelling of a zone's name: names are found in any case.
///
/// # Errors
/// `field-invalid` at `timeZone`.
pub(in crate::routes) fn zone_name(name: &str) -> Result<String> {
    Ok(zone(name)?.iana_name().unwrap_or(name).to_owned())
}

/// Reads an instant: RFC 3339 with its offset, such as `2026-12-31T20:00:00+01:00`.
///
/// # Errors
/// `field-invalid` at `field`.
pub(in crate::routes) fn instant(text: &str, field: impl Into<String>) -> Result<Timestamp> {
    rfc_3339(text.trim()).ok_or_else(|| {
        Error::field(
            field.into(),
            "Expected a time with its offset (RFC 3339), such as 2026-12-31T20:00:00Z.",
        )
    })
}

/// Reads an instant, a local time in `zone`, or a date alone, which means 00:00 there.
///
/// A local time that the zone's clocks skip is moved forward by the gap. If they show it twice, the first is
/// meant (as in RFC 5545, 3.3.5).
///
/// # Errors
/// `field-invalid` at `date`.
pub(in crate::routes) fn date(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    let rule = || {
        Error::field(
            "date",
            "Expected a date such as 2026-12-31, with a time if need be: 2026-12-31T20:00.",
        )
    };
    let text = text.trim();
    if let Some(instant) = rfc_3339(text) {
        return Ok(instant);
    }
    let local = local(text).ok_or_else(rule)?;
    let instant = zone.to_ambiguous_timestamp(local).compatible();
    instant
        .ok()
        .filter(|instant| can_be_told(*instant))
        .ok_or_else(rule)
}

/// A time in the form of RFC 3339, 5.6, without the extras of ISO 8601: no signed or long years, no times without
/// seconds or separators. Zones in brackets (RFC 9557) are refused, because the event has its own zone.
fn rfc_3339(text: &str) -> Option<Timestamp> {
    let (date_time, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(date_time) => (date_time, None),
        None => {
            let (date_time, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            (date_time, Some(offset))
        }
    };
    let is_offset = offset.is_none_or(|offset| {
        offset.starts_with(['+', '-']) && has_shape(&offset[1..], "00:00") && &offset[1..3] < "24"
    });
    let is_time = text.len() <= TEXT_BYTES_MAX && is_offset && is_date_time(date_time, true);
    let instant = is_time.then(|| text.parse().ok()).flatten()?;
    can_be_told(instant).then_some(instant)
}

/// A date, or a date and time without an offset.
fn local(text: &str) -> Option<DateTime> {
    if text.len() == DATE_BYTES {
        let date = has_shape(text, "0000-00-00").then(|| text.parse::<Date>().ok());
        return Some(date.flatten()?.to_datetime(Time::midnight()));
    }
    let is_time = text.len() <= TEXT_BYTES_MAX && is_date_time(text, false);
    is_time.then(|| text.parse().ok()).flatten()
}

/// Returns whether this is `2026-12-31T20:00:00`, with or without a fraction; the seconds may be missing if they are optional.
fn is_date_time(text: &str, needs_seconds: bool) -> bool {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let is_fraction = fraction.is_none_or(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let has_seconds = has_shape(whole, "0000-00-00T00:00:00");
    is_fraction && has_seconds
        || !needs_seconds && fraction.is_none() && has_shape(whole, "0000-00-00T00:00")
}

/// Returns whether a text has digits where `shape` has zeros, and the same characters elsewhere; `T` in any case.
fn has_shape(text: &str, shape: &str) -> bool {
    let alike = |(byte, wanted): (u8, u8)| match wanted {
        b'0' => byte.is_ascii_digit(),
        wanted => byte.eq_ignore_ascii_case(&wanted),
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(alike)
}

/// Returns whether RFC 3339 can express this time in UTC: not before the year 0000. The last one that can be read is in 9999.
fn can_be_told(instant: Timestamp) -> bool {
    instant >= FIRST
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
            "2026-12-31 20:00",
            "20261231",
            "+2026-1231",
            "-000044-03-15",
            "2026-12-31T20",
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
        for (text, same) in [
            ("2026-12-31t20:00:00z", "2026-12-31T20:00:00Z"),
            ("2026-12-31T20:00:00.25-23:59", "2027-01-01T19:59:00.25Z"),
            ("2026-12-31T20:00:00-00:00", "2026-12-31T20:00:00Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(
                instant(text, "startsAt").unwrap().to_string(),
                same,
                "{text}"
            );
        }
        for bad in [
            "2026-12-31",
            "2026-12-31T20:00:00",
            "2026-12-31T20:00:00[Europe/Berlin]",
            "2026-12-31T20:00:00Z[UTC]",
            "2026-12-31T20:00Z",
            "2026-12-31 20:00:00Z",
            "20261231T200000Z",
            "2026-12-31T20Z",
            "2026-12-31T20:00:00,5Z",
            "2026-12-31T20:00:00.Z",
            "2026-12-31T20:00:00+01",
            "2026-12-31T20:00:00+0100",
            "2026-12-31T20:00:00+24:00",
            "2026-12-31T20:00:00+01:00:00",
            "2026-12-31T20:00:00\u{2212}01:00",
            "-000044-03-15T12:00:00Z",
            "+002026-12-31T20:00:00Z",
            "12026-12-31T20:00:00Z",
            "0000-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59Z",
            "Z",
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
