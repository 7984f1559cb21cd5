//! What only bulk mails have: the way out of them, and an organizer's own words.

use super::{
    fixture::{Fixture, address, label},
    parse,
};
use crate::types::{Announcement, NotificationKind, Prose};

const URL: &str = "https://tickets.example.org/shop/unsubscribe/north.01hzy0000000000000000000ab.event-announcement.\
    c29tZXRoaW5nLXRoYXQtaXMtYXMtbG9uZy1hcy1hLW1hYw";

#[tokio::test]
async fn the_way_out_stands_in_the_header_and_in_both_parts() {
    for kind in NotificationKind::needing_consent() {
        let mut fixture = Fixture::new(kind);
        fixture.unsubscribe_url = Some(URL.to_owned());
        let composed = fixture.compose().await;
        let raw = String::from_utf8(composed.mail.bytes.clone()).unwrap();
        // Each on one line: an address is never folded, and some readers of this header know no folding.
        assert!(
            raw.contains(&format!("\r\nList-Unsubscribe: <{URL}>\r\n")),
            "{raw}"
        );
        assert!(raw.contains("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
        let message = mail_parser::MessageParser::default()
            .parse(raw.as_bytes())
            .unwrap();
        assert!(message.body_text(0).unwrap().contains(URL));
        let html = message.body_html(0).unwrap();
        assert!(html.contains("<a href=\"https:"), "{html}");
        let unescaped = html.replace("&#x2f;", "/");
        assert!(unescaped.contains(URL), "{html}");
    }
}

#[tokio::test]
async fn without_links_there_is_no_header_and_no_sentence() {
    let composed = Fixture::new(NotificationKind::EventReminder)
        .compose()
        .await;
    let message = parse(&composed);
    assert!(message.header("List-Unsubscribe").is_none());
    assert!(message.header("List-Unsubscribe-Post").is_none());
    assert!(!message.body_text(0).unwrap().contains("No more mails"));
    assert!(!message.body_html(0).unwrap().contains("No more mails"));
}

#[tokio::test]
async fn an_announcement_is_the_organizers_words_as_text() {
    let composed = Fixture::new(NotificationKind::EventAnnouncement)
        .compose()
        .await;
    let message = parse(&composed);
    assert_eq!(message.subject(), Some("Doors open early"));
    let text = message.body_text(0).unwrap().replace("\r\n", "\n");
    assert!(
        text.contains("\n\nWe open at six.\n\nSee you!\n\nJazz Night\n"),
        "{text}"
    );
    assert_eq!(
        message.attachment_count(),
        0,
        "calendars have nothing to learn"
    );
    assert_eq!(
        (message.text_body_count(), message.html_body_count()),
        (1, 1)
    );
}

#[tokio::test]
async fn an_announcements_markup_and_line_breaks_stay_text() {
    for hostile in [
        "<script>alert('x')</script> & \"quotes\"",
        "{{ tenant.name }} {% raw %}",
        "--=_boxoffice_words--",
        "=?utf-8?q?x?=",
        "Bcc: evil@example.net",
        &"🎷".repeat(200),
    ] {
        let mut fixture = Fixture::new(NotificationKind::EventAnnouncement);
        let message = format!("\r\n.\r\n{hostile}\r\n\r\n--=_boxoffice_words--\n");
        fixture.announcement = Some(Announcement {
            subject: label(hostile),
            message: Prose::parse("message", &message).unwrap(),
        });
        let composed = fixture.compose().await;
        let parsed = parse(&composed);
        assert_eq!(parsed.subject(), Some(hostile));
        assert!(parsed.header("Bcc").is_none());
        assert!(parsed.body_text(0).unwrap().contains(hostile));
        let html = parsed.body_html(0).unwrap();
        assert!(!html.contains("<script"), "{html}");
        assert_eq!((parsed.text_body_count(), parsed.html_body_count()), (1, 1));
    }
}

#[tokio::test]
async fn the_sender_is_the_tenants() {
    let mut fixture = Fixture::new(NotificationKind::EventReminder);
    fixture.tenant.settings.sender_name = Some(label("North \"Hall\""));
    fixture.tenant.mail_from = Some(address("tickets@north.example"));
    let composed = fixture.compose().await;
    let message = parse(&composed);
    let from = message.from().unwrap().first().unwrap();
    assert_eq!(
        (from.name(), from.address()),
        (Some("North \"Hall\""), Some("tickets@north.example"))
    );
    assert_eq!(composed.mail.from.as_str(), "tickets@north.example");
    // The name of a mail does not change with its sender: it is the same mail at every attempt.
    assert_eq!(message.message_id(), Some("key.1-a_b@boxoffice.example"));
}
