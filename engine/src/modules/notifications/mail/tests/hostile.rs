//! Names, titles and texts that look like markup, headers or templates stay what they are.

use mail_parser::Message;

use super::{Fixture, calendar, has_line, label, parse};
use crate::types::{NotificationKind, Prose};

#[tokio::test]
async fn hostile_values_stay_values() {
    for hostile in [
        "<script>alert('x')</script> & \"quotes\" \\",
        "\"; evil <evil@example.net>, \"",
        "🎷 Jürgen & 日本 Ünïcode",
        "=?utf-8?q?x?= =?utf-8?b?eA==?=",
        "{{ tenant.name }} {% raw %}",
        "--=_boxoffice_parts--",
        "a  b   c",
        "ATTENDEE:x;Y=\"z\":END:VEVENT\\nBEGIN:VEVENT",
        "e\u{301}e\u{301}",
        &"x".repeat(200),
        &"🎷".repeat(200),
        &"é ".repeat(99),
        &format!("{}é", "word ".repeat(39)),
    ] {
        // An announcement's words are the organizer's own, and a plugin's failure is about no event: `bulk` and
        // `without_booking` have their tests.
        let all = NotificationKind::ALL.iter();
        let others = all
            .filter(|kind| **kind != NotificationKind::EventAnnouncement && kind.has_templates());
        for kind in others {
            let mut fixture = Fixture::new(*kind);
            fixture.tenant.name = label(hostile);
            fixture.recipient.name = label(hostile);
            fixture.event.details.title = label(hostile);
            fixture.event.details.location = Some(label(hostile));
            fixture.event.details.description = Prose::parse(
                "description",
                &format!("\n--=_boxoffice_parts--\r\n.\r\n{hostile}"),
            )
            .unwrap();
            check_hostile(&fixture, label(hostile).as_str()).await;
        }
    }
}

/// Reads a mail back whose names, title and place are `hostile`.
async fn check_hostile(fixture: &Fixture, hostile: &str) {
    let composed = fixture.compose().await;
    let message = parse(&composed);
    check_header(&message, hostile);
    assert!(message.body_text(0).unwrap().contains(hostile));
    let html = message.body_html(0).unwrap();
    assert!(
        !html.contains("<script") && !html.contains("<evil"),
        "{html}"
    );
    let plain = !hostile.contains(['<', '"', '&', '/', '\'', '\\']);
    assert!(!plain || html.contains(hostile), "{html}");
    match fixture.kind {
        NotificationKind::WaitingListOffer => assert_eq!(message.attachment_count(), 0),
        NotificationKind::Receipt => assert_eq!(message.attachment_count(), 1),
        _ => check_calendar(&calendar(&message), hostile),
    }
}

fn check_header(message: &Message<'_>, hostile: &str) {
    let names: Vec<&str> = message
        .headers()
        .iter()
        .map(|header| header.name())
        .collect();
    assert_eq!(
        names,
        [
            "From",
            "Reply-To",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Auto-Submitted",
            "X-Boxoffice-Notification",
            "MIME-Version",
            "Content-Type"
        ]
    );
    for mailboxes in [message.from(), message.to()] {
        let mailboxes = mailboxes.unwrap();
        assert_eq!(mailboxes.iter().count(), 1);
        assert_eq!(mailboxes.first().unwrap().name(), Some(hostile));
    }
    let subject = message.subject().unwrap();
    let (_, title) = subject.split_once(": ").unwrap();
    assert!(
        hostile.starts_with(title.trim_end_matches('…')),
        "{subject}"
    );
    assert!(subject.chars().count() <= 200);
}

fn check_calendar(calendar: &str, hostile: &str) {
    let escaped = hostile
        .replace('\\', r"\\")
        .replace(',', r"\,")
        .replace(';', r"\;");
    assert!(
        has_line(calendar, &format!("SUMMARY:{escaped}")),
        "{calendar}"
    );
    assert_eq!(
        calendar
            .lines()
            .filter(|line| line.starts_with("BEGIN"))
            .count(),
        2
    );
}
