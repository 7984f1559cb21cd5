//! The event as an iCalendar file (RFC 5545), so that customers' calendars follow its changes.
//!
//! Called when mails are composed, and for the page of somebody's tickets. Calls nothing of ours.

use icalendar::{Calendar, Component as _, Event as Entry, Property};
use jiff::Timestamp;

use crate::types::{CalendarFile, EmailAddress, Event};

/// Most characters of a description in the calendar. Anchor: calendars show a few lines; the crate that folds
/// the lines takes time by the square of their length, and this is done for each of 100,000 recipients.
const DESCRIPTION_CHARACTERS_MAX: usize = 1_000;

/// How long an event lasts for calendars while its end is not announced. Anchor: what calendars themselves put for a new
/// entry. Without an end, some refuse the entry and others show none (RFC 5545, 3.6.1 makes it a moment).
const DURATION_UNKNOWN: &str = "PT1H";

/// Longest line in octets, without its end (RFC 5545, 3.1).
const LINE_BYTES_MAX: usize = 75;

/// What a calendar file says.
pub(in crate::modules) struct CalendarEntry<'a> {
    pub(in crate::modules) event: &'a Event,
    /// Whether calendars take the event out.
    pub(in crate::modules) is_cancelled: bool,
    /// Who publishes the entry: name and address.
    pub(in crate::modules) organizer: (&'a str, &'a EmailAddress),
    /// When it is written.
    pub(in crate::modules) now: Timestamp,
}

/// Writes the event for somebody's calendar.
///
/// The UID names the event alone, whatever the sender's address, and SEQUENCE is the event's version: a
/// calendar that has the event changes its entry and adds no second one, however many bookings there are.
pub(in crate::modules) fn write(entry: &CalendarEntry<'_>) -> CalendarFile {
    let event = entry.event;
    let details = &event.details;
    let (method, status) = if entry.is_cancelled {
        ("CANCEL", "CANCELLED")
    } else {
        ("PUBLISH", "CONFIRMED")
    };

    let mut component = Entry::new();
    component
        .add_property("UID", format!("{}@boxoffice", event.id))
        .add_property("SEQUENCE", event.version.to_string())
        .add_property("DTSTAMP", utc(entry.now))
        .add_property("DTSTART", utc(details.starts_at))
        .add_property("SUMMARY", details.title.as_str())
        .add_property("STATUS", status)
        .append_property(organizer(entry.organizer));
    match details.ends_at {
        Some(ends_at) => component.add_property("DTEND", utc(ends_at)),
        None => component.add_property("DURATION", DURATION_UNKNOWN),
    };
    if let Some(location) = &details.location {
        component.add_property("LOCATION", location.as_str());
    }
    let description = description(details.description.as_str());
    if !description.is_empty() {
        component.add_property("DESCRIPTION", description);
    }

    let mut calendar = Calendar::empty();
    calendar
        .append_property(("VERSION", "2.0"))
        .append_property(("PRODID", "-//Boxoffice//Boxoffice//EN"))
        .append_property(("CALSCALE", "GREGORIAN"))
        .append_property(("METHOD", method))
        .push(component.done());
    CalendarFile {
        method,
        text: folded(&calendar.to_string()),
    }
}

/// Who publishes the entry; RFC 5546 asks for it with every method.
fn organizer((name, address): (&str, &EmailAddress)) -> Property {
    Property::new("ORGANIZER", mailto(address.as_str()))
        .add_parameter("CN", &parameter(name))
        .done()
}

/// A text inside a parameter, which can hold neither a double quote nor a line break as they are (RFC 6868, 3).
fn parameter(text: &str) -> String {
    text.replace('^', "^^")
        .replace('"', "^'")
        .replace("\r\n", "^n")
        .replace(['\r', '\n'], "^n")
}

/// An address as a URI (RFC 6068, 2): what has a meaning in URIs is encoded.
fn mailto(address: &str) -> String {
    let mut uri = "mailto:".to_owned();
    for byte in address.bytes() {
        if byte.is_ascii_alphanumeric() || b"@.-_~!$'*+".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

/// The file with lines of at most 75 octets, cut between characters and not before a blank, which some readers drop.
///
/// The crate's own folds do not count the blank that a continued line begins with.
fn folded(file: &str) -> String {
    let mut text = String::with_capacity(file.len() + file.len() / 64);
    for line in file.replace("\r\n ", "").split_terminator("\r\n") {
        let mut rest = line;
        let mut bytes_max = LINE_BYTES_MAX;
        while rest.len() > bytes_max {
            let mut boundary = bytes_max;
            while !rest.is_char_boundary(boundary) {
                boundary -= 1;
            }
            // Before a blank: a letter earlier, unless there are blanks far and wide.
            let head = rest[..boundary].trim_end_matches(' ');
            let letter = head.char_indices().next_back().map_or(0, |(at, _)| at);
            let moves = rest[boundary..].starts_with(' ') && letter > bytes_max / 2;
            let end = if moves { letter } else { boundary };
            text.push_str(&rest[..end]);
            text.push_str("\r\n ");
            rest = &rest[end..];
            bytes_max = LINE_BYTES_MAX - 1;
        }
        text.push_str(rest);
        text.push_str("\r\n");
    }
    text
}

/// The beginning of a description, with line breaks as the format knows them.
fn description(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.trim();
    match text.char_indices().nth(DESCRIPTION_CHARACTERS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

/// A moment in the UTC form, to the second: `20260605T173000Z`.
fn utc(moment: Timestamp) -> String {
    moment.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let moment: Timestamp = "2026-06-05T19:30:00.9+02:00".parse().unwrap();
        assert_eq!(utc(moment), "20260605T173000Z");
    }

    #[test]
    fn names_and_addresses_come_back_from_their_forms() {
        assert_eq!(
            parameter("Rock^n^Roll \"Club\"\n"),
            "Rock^^n^^Roll ^'Club^'^n"
        );
        assert_eq!(
            mailto("o'brien+a_b.c-d~!$*@x.example"),
            "mailto:o'brien+a_b.c-d~!$*@x.example"
        );
        assert_eq!(
            mailto("a#%&/=?^`{|}b@x.example"),
            "mailto:a%23%25%26%2F%3D%3F%5E%60%7B%7C%7Db@x.example"
        );
    }

    #[test]
    fn lines_are_folded_between_characters_wherever_they_end() {
        for letters in ["x", "é", "日", "🎷", "word ", "a 🎷 "] {
            for prefix in 0..80 {
                let line = format!("{}{}", "p".repeat(prefix), letters.repeat(60));
                let line = line.trim_end();
                let file = folded(&format!("A:b\r\n{line}\r\nEND\r\n"));
                assert!(
                    file.split("\r\n").all(|line| line.len() <= LINE_BYTES_MAX),
                    "{file}"
                );
                assert!(!file.contains("\r\n  "), "{file}");
                assert_eq!(
                    file.replace("\r\n ", ""),
                    format!("A:b\r\n{line}\r\nEND\r\n")
                );
            }
        }
        // Blanks alone are cut, too.
        let blanks = format!("A:{}\r\n", " ".repeat(300));
        assert_eq!(
            folded(&blanks).replace("\r\n ", ""),
            blanks.replace("\r\n ", "")
        );
    }

    #[test]
    fn descriptions_are_cut_at_a_character() {
        assert_eq!(description(" a\r\nb\rc "), "a\nb\nc");
        let long = description(&"é".repeat(5_000));
        assert_eq!(long.chars().count(), DESCRIPTION_CHARACTERS_MAX + 1);
        assert!(long.ends_with('…'));
    }
}
