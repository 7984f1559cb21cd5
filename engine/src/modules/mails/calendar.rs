//! The event as an iCalendar file (RFC 5545), so that a customer's calendar follows its changes.
//!
//! Called by the composing of mails. Calls nothing of ours.

use icalendar::{Calendar, Component as _, Event as Entry, Property};
use jiff::Timestamp;

use super::MailContext;
use crate::types::{EventStatus, NotificationKind};

/// Most characters of a description in the calendar. Anchor: calendars show a few lines; the crate that folds
/// the lines takes time by the square of their length, and this is done for each of 100,000 recipients.
const DESCRIPTION_CHARACTERS_MAX: usize = 1_000;

/// An iCalendar file and what a calendar is to do with it.
pub(super) struct CalendarFile {
    /// `PUBLISH` puts the event into the calendar or changes it there, `CANCEL` takes it out (RFC 5546).
    pub(super) method: &'static str,
    /// The file, with CRLF line ends.
    pub(super) text: String,
}

/// Writes the event for the recipient's calendar.
///
/// The UID names the event alone, whatever the sender's address, and SEQUENCE is the event's version: a
/// calendar that has the event changes its entry and adds no second one, however many bookings there are. An announcement
/// and an offer have nothing for it, and neither has a cancellation that leaves its reader with tickets, nor one for who
/// only waited.
pub(super) fn render(context: &MailContext<'_>) -> Option<CalendarFile> {
    let event = context.event?;
    let details = &event.details;
    let stays = context.keeps_entry && event.status != EventStatus::Cancelled;
    match context.kind {
        NotificationKind::EventAnnouncement | NotificationKind::WaitingListOffer => return None,
        NotificationKind::BookingCancelled if stays => return None,
        NotificationKind::EventCancelled if context.bookings.is_empty() => return None,
        _ => {}
    }
    let ends_entry = matches!(
        context.kind,
        NotificationKind::BookingCancelled | NotificationKind::EventCancelled
    );
    // A confirmation that was late must not put an event back that is off by now.
    let cancelled = ends_entry || event.status == EventStatus::Cancelled;
    let (method, status) = if cancelled {
        ("CANCEL", "CANCELLED")
    } else {
        ("PUBLISH", "CONFIRMED")
    };

    let mut entry = Entry::new();
    entry
        .add_property("UID", format!("{}@boxoffice", event.id))
        .add_property("SEQUENCE", event.version.to_string())
        .add_property("DTSTAMP", utc(context.now))
        .add_property("DTSTART", utc(details.starts_at))
        .add_property("SUMMARY", details.title.as_str())
        .add_property("STATUS", status)
        .append_property(organizer(context));
    if let Some(ends_at) = details.ends_at {
        entry.add_property("DTEND", utc(ends_at));
    }
    if let Some(location) = &details.location {
        entry.add_property("LOCATION", location.as_str());
    }
    let description = description(details.description.as_str());
    if !description.is_empty() {
        entry.add_property("DESCRIPTION", description);
    }

    let mut calendar = Calendar::empty();
    calendar
        .append_property(("VERSION", "2.0"))
        .append_property(("PRODID", "-//Boxoffice//Boxoffice//EN"))
        .append_property(("CALSCALE", "GREGORIAN"))
        .append_property(("METHOD", method))
        .push(entry.done());
    Some(CalendarFile {
        method,
        text: calendar.to_string(),
    })
}

/// Who publishes the entry; RFC 5546 asks for it with every method.
fn organizer(context: &MailContext<'_>) -> Property {
    // A parameter cannot hold a double quote (RFC 5545, 3.2), not even an escaped one.
    let name = context.sender_name().replace('"', "'");
    Property::new("ORGANIZER", format!("mailto:{}", context.sender()))
        .add_parameter("CN", &name)
        .done()
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
    fn descriptions_are_cut_at_a_character() {
        assert_eq!(description(" a\r\nb\rc "), "a\nb\nc");
        let long = description(&"é".repeat(5_000));
        assert_eq!(long.chars().count(), DESCRIPTION_CHARACTERS_MAX + 1);
        assert!(long.ends_with('…'));
    }
}
