//! Composes a mail of each kind, with good and hostile values, and reads it back with another program's parser.

mod bulk;
mod fixture;
mod hostile;
mod look;
mod receipts;
mod schemas;
mod without_booking;

use async_trait::async_trait;
use jiff::Timestamp;
use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders as _};
use serde_json::Value;

use fixture::{Fixture, booking, cancellation, label, time};

use super::*;
use crate::{
    ports::{RenderFailure, Rendered},
    types::{
        BookingStatus, CancelCause, EmailAddress, EventDetails, EventStatus, NotificationId,
        NotificationKind, TenantId,
    },
};

fn parse(composed: &ComposedMail) -> Message<'_> {
    let bytes = &composed.mail.bytes;
    assert!(
        bytes.is_ascii(),
        "a mail is 7 bit, for servers that know no other"
    );
    for line in bytes.split(|byte| *byte == b'\n') {
        assert!(line.len() <= 79, "{:?}", String::from_utf8_lossy(line));
        assert!(
            line.is_empty() || line.ends_with(b"\r") || bytes.ends_with(line),
            "a bare line feed"
        );
    }
    MessageParser::default().parse(bytes).unwrap()
}

fn calendar(message: &Message<'_>) -> String {
    let is_picture = |part: &&MessagePart<'_>| {
        part.content_type()
            .is_some_and(|kind| kind.ctype() == "image")
    };
    let (pictures, files): (Vec<_>, Vec<_>) = message.attachments().partition(is_picture);
    assert!(pictures.iter().all(|part| part.content_id().is_some()));
    let [file] = files[..] else {
        panic!("not one file: {files:?}");
    };
    assert_eq!(file.attachment_name(), Some("event.ics"));
    let content_type = file.content_type().unwrap();
    assert_eq!(
        (content_type.ctype(), content_type.subtype()),
        ("text", Some("calendar"))
    );
    let text = String::from_utf8(file.contents().to_vec()).unwrap();
    let method = content_type.attribute("method").unwrap();
    assert!(text.contains(&format!("\r\nMETHOD:{method}\r\n")), "{text}");
    assert!(text.lines().all(|line| line.len() <= 75), "{text}");
    text.replace("\r\n ", "")
}

/// HTML without the marks around values that say their direction.
fn undirected(html: &str) -> String {
    html.replace("<span dir=\"auto\">", "")
        .replace("</span>", "")
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|candidate| candidate == line)
}

#[tokio::test]
async fn each_kind_reads_back_as_it_was_meant() {
    for (kind, subject, sentence, method, status) in [
        (
            NotificationKind::BookingConfirmed,
            "Your booking: Jazz Night",
            "is confirmed.",
            "PUBLISH",
            "CONFIRMED",
        ),
        (
            NotificationKind::BookingCancelled,
            "Booking cancelled: Jazz Night",
            "is cancelled.",
            "CANCEL",
            "CANCELLED",
        ),
        (
            NotificationKind::EventUpdated,
            "Event changed: Jazz Night",
            "stays valid.",
            "PUBLISH",
            "CONFIRMED",
        ),
        (
            NotificationKind::EventCancelled,
            "Event cancelled: Jazz Night",
            "will not take place.",
            "CANCEL",
            "CANCELLED",
        ),
        (
            NotificationKind::EventReminder,
            "Reminder: Jazz Night",
            "it begins on Friday, 5 June 2026",
            "PUBLISH",
            "CONFIRMED",
        ),
    ] {
        let fixture = Fixture::new(kind);
        let composed = fixture.compose().await;
        let message = parse(&composed);
        assert_eq!(message.subject(), Some(subject));
        check_header(&fixture, &message);
        check_texts(&fixture, &message, sentence);
        check_entry(&fixture, &calendar(&message), (method, status));
    }
}

fn check_header(fixture: &Fixture, message: &Message<'_>) {
    let from = message.from().unwrap().first().unwrap();
    assert_eq!(
        (from.name(), from.address()),
        (Some("North Stage"), Some("tickets@boxoffice.example"))
    );
    let to = message.to().unwrap().first().unwrap();
    assert_eq!(
        (to.name(), to.address()),
        (Some("Ann Example"), Some("ann@example.org"))
    );
    assert_eq!(
        message.reply_to().unwrap().first().unwrap().address(),
        Some("help@north.example")
    );
    assert_eq!(
        message.date().unwrap().to_timestamp(),
        time("2026-05-01T08:00:00Z").as_second()
    );
    assert_eq!(message.message_id(), Some("key.1-a_b@boxoffice.example"));
    let header = |name: &str| message.header(name).unwrap().as_text().unwrap().to_owned();
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert_eq!(
        header("X-Boxoffice-Notification"),
        fixture.context().notification.to_string()
    );
}

fn check_texts(fixture: &Fixture, message: &Message<'_>, sentence: &str) {
    assert_eq!(
        (message.text_body_count(), message.html_body_count()),
        (1, 1)
    );
    let text = message.body_text(0).unwrap().into_owned();
    let html = undirected(&message.body_html(0).unwrap());
    assert!(text.contains(sentence), "{text}");
    for part in [&text, &html] {
        for word in [
            "Jazz Night",
            "Ann Example",
            "2 ",
            "Balcony at 12.50 EUR",
            "25.00 EUR",
            "19:30 (Europe",
            "New Hall, Main Street 1",
        ] {
            assert!(part.contains(word), "{word} must be in {part}");
        }
        assert!(part.contains(&fixture.bookings[0].number.to_string()));
    }
}

fn check_entry(fixture: &Fixture, calendar: &str, (method, status): (&str, &str)) {
    assert!(calendar.contains(&format!("METHOD:{method}")));
    for line in [
        &format!("UID:{}@boxoffice", fixture.event.id),
        "SEQUENCE:3",
        "DTSTAMP:20260501T080000Z",
        "DTSTART:20260605T173000Z",
        "DTEND:20260605T200000Z",
        "SUMMARY:Jazz Night",
        r"LOCATION:New Hall\, Main Street 1",
        r"DESCRIPTION:Doors at seven\;\nbring friends\, please",
        &format!("STATUS:{status}"),
        "ORGANIZER;CN=North Stage:mailto:tickets@boxoffice.example",
    ] {
        assert!(has_line(calendar, line), "{line} must be in {calendar}");
    }
}

#[tokio::test]
async fn the_same_context_gives_the_same_bytes() {
    let fixture = Fixture::new(NotificationKind::EventUpdated);
    let (one, two) = (fixture.compose().await, fixture.compose().await);
    assert_eq!(one.message_id, "<key.1-a_b@boxoffice.example>");
    assert_eq!(one.mail.bytes, two.mail.bytes);
    assert_eq!(one.mail.delivery_key, "key.1-a_b");
}

#[tokio::test]
async fn an_update_names_what_changed() {
    let mut fixture = Fixture::new(NotificationKind::EventUpdated);
    fixture.previous = Some(EventDetails {
        title: label("Blues Night"),
        starts_at: time("2026-06-04T18:30:00Z"),
        ends_at: None,
        time_zone: "Europe/London".to_owned(),
        location: None,
        ..fixture.event.details.clone()
    });
    let composed = fixture.compose().await;
    let text = parse(&composed).body_text(0).unwrap().replace("\r\n", "\n");
    assert_holds(
        &text,
        "\
What changed
  Title: Jazz Night
    before: Blues Night
  Begins: Friday, 5 June 2026, 19:30 (Europe/Berlin)
    before: Thursday, 4 June 2026, 19:30 (Europe/London)
  Ends: Friday, 5 June 2026, 22:00 (Europe/Berlin)
    before: not announced
  Time zone: Europe/Berlin
    before: Europe/London
  Place: New Hall, Main Street 1
    before: not announced

This is how it stands now;",
    );

    // Told although nothing of it differs, as an organizer may ask for.
    fixture.previous = Some(fixture.event.details.clone());
    let composed = fixture.compose().await;
    assert!(
        !parse(&composed)
            .body_text(0)
            .unwrap()
            .contains("What changed")
    );
}

fn assert_holds(text: &str, part: &str) {
    assert!(text.contains(part), "{part}\nmust be in\n{text}");
}

#[tokio::test]
async fn the_text_part_reads_well() {
    let mut fixture = Fixture::new(NotificationKind::EventCancelled);
    fixture.event.details.location = None;
    fixture.event.details.ends_at = None;
    let mut free = booking(&fixture.event, 8);
    free.lines[0].unit_price_minor = 0;
    free.total_minor = 0;
    fixture.bookings.push(free);
    let composed = fixture.compose().await;
    let text = parse(&composed).body_text(0).unwrap().replace("\r\n", "\n");
    let (first, second) = (fixture.bookings[0].number, fixture.bookings[1].number);
    let expected = format!(
        "\
Hello Ann Example,

We are sorry: the event below was cancelled and will not take place. Your bookings have ended with it, and the tickets are no longer valid. The attached file takes the event out of your calendar.

Jazz Night
  Begins: Friday, 5 June 2026, 19:30 (Europe/Berlin)

Your bookings
  2 x Balcony at 12.50 EUR
  Total: 25.00 EUR
  Early bird: 20 % off <until Friday>
  Booking number: {first}
  2 x Balcony
  Total: free
  Early bird: 20 % off <until Friday>
  Booking number: {second}

Kind regards
North Stage"
    );
    assert_eq!(text.trim_end(), expected);
}

#[tokio::test]
async fn a_cancelled_booking_says_who_ended_it() {
    for (cause, sentence) in [
        (
            CancelCause::Customer,
            "Your booking is cancelled. Its tickets",
        ),
        (
            CancelCause::Organizer,
            "Your booking was cancelled by the organizer. Its tickets",
        ),
        (
            CancelCause::Event,
            "Your booking ended because the event was cancelled. Its tickets",
        ),
    ] {
        let mut fixture = Fixture::new(NotificationKind::BookingCancelled);
        fixture.bookings[0].status = BookingStatus::Cancelled;
        fixture.bookings[0].cancelled = Some((cause, Timestamp::UNIX_EPOCH));
        let composed = fixture.compose().await;
        assert_holds(&parse(&composed).body_text(0).unwrap(), sentence);
    }
}

#[tokio::test]
async fn a_cancellation_says_what_went_what_stays_and_what_comes_back() {
    let mut fixture = Fixture::new(NotificationKind::BookingCancelled);
    let booking = &mut fixture.bookings[0];
    let mut later = cancellation(1);
    later.notification = NotificationId::from_ulid(ulid::Ulid::from_parts(1, 10));
    booking.booked_lines = Some(booking.lines.clone());
    booking.cancellations = vec![cancellation(1), later];
    booking.status = BookingStatus::Cancelled;
    booking.cancelled = Some((CancelCause::Customer, Timestamp::UNIX_EPOCH));
    // All of it is gone by now; this mail tells of the first ticket.
    let composed = fixture.compose().await;
    let message = parse(&composed);
    assert_eq!(message.subject(), Some("Tickets cancelled: Jazz Night"));
    for part in [message.body_text(0).unwrap(), message.body_html(0).unwrap()] {
        for words in [
            "You cancelled",
            "1 ticket",
            "You get 6.25 EUR back.",
            "What is left of your booking stands below.",
            "Total: 12.50 EUR",
        ] {
            assert_holds(&part, words);
        }
    }
    assert!(has_line(&calendar(&message), "STATUS:CANCELLED"));
    fixture.keeps_entry = true;
    let composed = fixture.compose().await;
    assert_eq!(parse(&composed).attachment_count(), 0);
    // A called-off event leaves every calendar.
    fixture.event.status = EventStatus::Cancelled;
    let composed = fixture.compose().await;
    assert!(has_line(&calendar(&parse(&composed)), "METHOD:CANCEL"));
}

#[tokio::test]
async fn an_offer_says_what_is_kept_and_until_when() {
    let composed = Fixture::new(NotificationKind::WaitingListOffer)
        .compose()
        .await;
    let message = parse(&composed);
    assert_eq!(message.subject(), Some("Tickets for you: Jazz Night"));
    assert_eq!(message.attachment_count(), 0);
    let html = undirected(&message.body_html(0).unwrap()).replace("&times;", "x");
    for part in [message.body_text(0).unwrap().into_owned(), html] {
        for words in [
            "the tickets you wait for are kept for you until",
            "Friday, 1 May 2026, 22:00 (Europe",
            "2 x Balcony at 12.50 EUR",
            "Total: 25.00 EUR",
            "Offer number: ",
        ] {
            assert_holds(&part, words);
        }
        assert!(!part.contains("Your booking"), "{part}");
    }
}

#[tokio::test]
async fn text_from_right_to_left_reorders_nothing_around_it() {
    const TITLE: &str = "קונצרט ג׳אז (2028)!";
    for kind in NotificationKind::ALL {
        let mut fixture = Fixture::new(*kind);
        fixture.tenant.name = label("היכל התרבות.");
        fixture.recipient.name = label("ענת!");
        fixture.event.details.title = label(TITLE);
        fixture.event.details.location = Some(label("תל אביב (3)."));
        fixture.event.ticket_types[0].name = label("יציע (א).");
        let composed = fixture.compose().await;
        let message = parse(&composed);
        let hebrew = |character: char| ('א'..='ת').contains(&character);
        let own_words = *kind == NotificationKind::EventAnnouncement;
        let mut lines = vec![message.subject().unwrap().to_owned()];
        lines.extend(message.body_text(0).unwrap().lines().map(str::to_owned));
        for line in lines.iter().filter(|line| line.contains(hebrew)) {
            let begins = line.matches('\u{2068}').count();
            assert!(begins > 0, "{kind}: {line}");
            assert_eq!(begins, line.matches('\u{2069}').count(), "{kind}: {line}");
        }
        let html = message.body_html(0).unwrap();
        // Every piece of text between tags that has such letters stands in an element with a direction of its own.
        let (_, body) = html.split_once("<body").unwrap();
        let mut pieces = 0;
        for piece in body.split('<').filter(|piece| piece.contains(hebrew)) {
            assert!(
                piece.split('>').next().unwrap().contains("dir=\"auto\""),
                "{kind}: {piece}"
            );
            pieces += 1;
        }
        assert!(own_words || pieces > 0, "{kind}: {html}");
    }
    // Others have no invisible letters, and no calendar has.
    let composed = Fixture::new(NotificationKind::BookingConfirmed)
        .compose()
        .await;
    assert!(!parse(&composed).body_text(0).unwrap().contains('\u{2068}'));
    let mut fixture = Fixture::new(NotificationKind::BookingConfirmed);
    fixture.event.details.title = label(TITLE);
    let composed = fixture.compose().await;
    assert!(has_line(
        &calendar(&parse(&composed)),
        &format!("SUMMARY:{TITLE}")
    ));
}

#[tokio::test]
async fn an_entry_has_an_end_and_an_organizer_that_reads_back() {
    let mut fixture = Fixture::new(NotificationKind::BookingConfirmed);
    fixture.event.details.ends_at = None;
    fixture.tenant.name = label("Rock^n^Roll \"Club\"; North");
    fixture.mail_from = EmailAddress::parse("email", "o'brien{100%}@north.example").unwrap();
    let composed = fixture.compose().await;
    let calendar = calendar(&parse(&composed));
    assert!(has_line(&calendar, "DURATION:PT1H"), "{calendar}");
    assert!(!calendar.contains("DTEND"), "{calendar}");
    let organizer =
        "ORGANIZER;CN=\"Rock^^n^^Roll ^'Club^'; North\":mailto:o'brien%7B100%25%7D@north.example";
    assert!(has_line(&calendar, organizer), "{calendar}");
}

#[tokio::test]
async fn a_late_confirmation_does_not_put_a_cancelled_event_back() {
    let mut fixture = Fixture::new(NotificationKind::BookingConfirmed);
    fixture.event.status = EventStatus::Cancelled;
    let composed = fixture.compose().await;
    assert!(has_line(&calendar(&parse(&composed)), "STATUS:CANCELLED"));
}

/// Templates that answer what they are told to.
struct Fixed(Result<Rendered, RenderFailure>);

#[async_trait]
impl Templates for Fixed {
    async fn render(
        &self,
        _: &TenantId,
        kind: NotificationKind,
        data: &Value,
    ) -> Result<Rendered, RenderFailure> {
        assert_eq!(data["kind"], kind.as_str());
        self.0.clone()
    }
}

#[tokio::test]
async fn the_platforms_templates_are_used_while_they_work() {
    let words = Rendered {
        subject: "Hi".into(),
        text: "Text ä".into(),
        html: "<p>ä</p>".into(),
    };
    let fixture = Fixture::new(NotificationKind::BookingConfirmed);
    let own = Fixed(Ok(words.clone()));
    let composed = compose(Some(&own), &fixture.context()).await.unwrap();
    let message = parse(&composed);
    assert_eq!(message.subject(), Some("Hi"));
    assert_eq!(message.body_text(0).unwrap(), "Text ä");
    assert_eq!(message.body_html(0).unwrap(), "<p>ä</p>");

    let bad_subject = Rendered {
        subject: "Hi\r\nBcc: x@example.net".into(),
        ..words
    };
    for failing in [
        Fixed(Err(RenderFailure("trap".to_owned()))),
        Fixed(Ok(bad_subject)),
    ] {
        let composed = compose(Some(&failing), &fixture.context()).await.unwrap();
        assert_eq!(parse(&composed).subject(), Some("Your booking: Jazz Night"));
    }
}
