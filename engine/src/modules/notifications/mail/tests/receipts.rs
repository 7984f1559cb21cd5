//! Mails with receipts: their facts, and the page to print as a file that loads nothing.

use mail_parser::{MessagePart, MimeHeaders as _};

use super::{Fixture, has_line, label, parse};
use crate::types::{CancelCause, NotificationKind};

/// Subject, text, and name and text of the only file.
async fn read(fixture: &Fixture) -> (String, String, String, String) {
    let composed = fixture.compose().await;
    let message = parse(&composed);
    let files: Vec<&MessagePart<'_>> = message.attachments().collect();
    let [file] = files[..] else {
        panic!("not one file: {files:?}");
    };
    let content_type = file.content_type().unwrap();
    assert_eq!(
        (content_type.ctype(), content_type.subtype()),
        ("text", Some("html"))
    );
    assert_eq!(content_type.attribute("charset"), Some("utf-8"));
    (
        message.subject().unwrap().to_owned(),
        message.body_text(0).unwrap().replace("\r\n", "\n"),
        file.attachment_name().unwrap().to_owned(),
        String::from_utf8(file.contents().to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn a_receipt_is_a_file_that_loads_nothing() {
    let fixture = Fixture::new(NotificationKind::Receipt).dressed();
    let composed = fixture.compose().await;
    let logo = "Content-ID: <logo@boxoffice>";
    assert!(String::from_utf8_lossy(&composed.mail.bytes).contains(logo));
    let fixture = Fixture::new(NotificationKind::Receipt);
    let (subject, text, name, page) = read(&fixture).await;
    assert_eq!(subject, "Receipt R-2026-000123: Jazz Night");
    for line in [
        "  2 x Balcony: 25.00 EUR",
        "  Total: 25.00 EUR",
        "  VAT 19 % included: 3.99 EUR",
        "  Number: R-2026-000123 of 2026-05-01",
    ] {
        assert!(has_line(&text, line), "{line}: {text}");
    }
    assert_eq!(name, "R-2026-000123.html");
    for part in [
        "<!doctype html>\n<html lang=\"en\">",
        "<title>Receipt R-2026-000123</title>\n<style>",
        "@media print",
        "<bdi>North Stage &lt;Ltd&gt;</bdi>",
        "<bdi>Ann &lt;3 Example</bdi>",
        "VAT 19 %",
        "25.00 EUR",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for loaded in ["http", "src=", "<link", "@import", "url(", "<script"] {
        assert!(!page.contains(loaded), "{loaded}: {page}");
    }
}

#[tokio::test]
async fn a_credit_note_says_what_it_corrects() {
    let mut fixture = Fixture::new(NotificationKind::Receipt);
    let receipt = fixture.receipt.as_mut().unwrap();
    receipt.id.index = 1;
    receipt.corrects = Some("R-2026-000123".to_owned());
    receipt.number.as_mut().unwrap().text = "C-2026-000001".to_owned();
    fixture.bookings[0].cancelled = Some((CancelCause::Customer, jiff::Timestamp::UNIX_EPOCH));
    let (subject, text, name, page) = read(&fixture).await;
    assert_eq!(subject, "Credit note C-2026-000001: Jazz Night");
    assert!(has_line(&text, "  Refund: 25.00 EUR"), "{text}");
    assert!(
        has_line(&text, "  Corrects receipt: R-2026-000123"),
        "{text}"
    );
    assert_eq!(name, "C-2026-000001.html");
    assert!(page.contains("<h1>Credit note</h1>"), "{page}");
}

#[tokio::test]
async fn readers_with_unconfirmed_addresses_see_no_words_that_others_typed_for_them() {
    let mut fixture = Fixture::new(NotificationKind::Receipt);
    fixture.recipient.email_verified = false;
    fixture.recipient.name = label("Call 0900 now");
    let receipt = fixture.receipt.as_mut().unwrap();
    receipt.recipient.as_mut().unwrap().name = label("Call 0900 now");
    receipt.event_title = label("Buy at evil.example");
    receipt.lines[0].name = label("Cheap at evil.example");
    fixture.event = fixture.event.in_neutral_words();
    let (subject, text, _, page) = read(&fixture).await;
    for words in [&subject, &text, &page] {
        assert!(
            !words.contains("0900") && !words.contains("evil"),
            "{words}"
        );
    }
    for part in [
        "<bdi>Guest</bdi>",
        "ann@example.org",
        "<bdi>An event</bdi>",
        "<bdi>Ticket</bdi>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}
