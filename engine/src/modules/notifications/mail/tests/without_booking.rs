//! Mails to readers who have no booking: who only waited for an event that is cancelled, and a tenant's owners.

use super::{fixture::Fixture, parse};
use crate::types::NotificationKind;

#[tokio::test]
async fn who_only_waited_is_told_so_and_has_nothing_in_the_calendar() {
    let mut fixture = Fixture::new(NotificationKind::EventCancelled);
    fixture.bookings.clear();
    fixture.unsubscribe_url = Some("https://tickets.example/unsubscribe".to_owned());
    let composed = fixture.compose().await;
    let message = parse(&composed);
    assert_eq!(message.subject(), Some("Event cancelled: Jazz Night"));
    let (text, html) = (message.body_text(0).unwrap(), message.body_html(0).unwrap());
    for part in [&text, &html] {
        assert!(part.contains("waiting list ended"), "{part}");
        assert!(part.contains("because you waited for tickets"), "{part}");
        for word in ["booking", "calendar"] {
            assert!(!part.to_lowercase().contains(word), "{word} in {part}");
        }
    }
    assert_eq!(message.attachment_count(), 0);
}

#[tokio::test]
async fn owners_read_which_plugin_failed_and_how() {
    let fixture = Fixture::new(NotificationKind::PluginQuarantined);
    let composed = fixture.compose().await;
    let message = parse(&composed);
    assert_eq!(message.subject(), Some("Plugin set aside: members-only"));
    let text = message.body_text(0).unwrap().replace("\r\n", "\n");
    let version = fixture.quarantine.as_ref().unwrap().version.to_string();
    assert!(text.contains(&format!("  Version: {version}\n")), "{text}");
    assert!(text.contains("  Its last failure: it trapped: <unreachable>\n"));
    assert!(
        text.ends_with("out of use.\n\nKind regards\nNorth Stage\n")
            || text.ends_with("North Stage")
    );
    let html = message.body_html(0).unwrap();
    assert!(html.contains("it trapped: &lt;unreachable&gt;"), "{html}");
    assert!(!html.contains("<h1"), "there is no event: {html}");
    assert_eq!(message.attachment_count(), 0);
}

#[tokio::test]
async fn who_signs_up_reads_where_to_confirm_the_address() {
    let fixture = Fixture::new(NotificationKind::EmailVerification);
    let composed = fixture.compose().await;
    let message = parse(&composed);
    assert_eq!(message.subject(), Some("Confirm your address"));
    // Whoever entered the address entered the name, too.
    let raw = String::from_utf8(composed.mail.bytes.clone()).unwrap();
    assert!(!raw.contains("Ann Example"), "{raw}");
    let text = message.body_text(0).unwrap().replace("\r\n", "\n");
    assert!(
        text.contains("\nhttps://tickets.example/verify/a<b\n"),
        "{text}"
    );
    let html = message.body_html(0).unwrap();
    let link = "<a href=\"https://tickets.example/verify/a&lt;b\">";
    assert!(html.replace("&#x2f;", "/").contains(link), "{html}");
    assert!(!html.contains("<h1"), "there is no event: {html}");
    assert_eq!(message.attachment_count(), 0);
}

#[tokio::test]
async fn who_asked_for_a_link_to_change_the_account_reads_it() {
    for (kind, subject) in [
        (NotificationKind::PasswordReset, "Choose a new password"),
        (NotificationKind::EmailChange, "Confirm your new address"),
        (NotificationKind::Invitation, "Invitation to North Stage"),
    ] {
        let composed = Fixture::new(kind).compose().await;
        let message = parse(&composed);
        assert_eq!(message.subject(), Some(subject));
        let text = message.body_text(0).unwrap().replace("\r\n", "\n");
        assert!(
            text.contains("\nhttps://tickets.example/verify/a<b\n"),
            "{text}"
        );
        let html = message.body_html(0).unwrap().replace("&#x2f;", "/");
        let link = "<a href=\"https://tickets.example/verify/a&lt;b\">";
        assert!(html.contains(link), "{html}");
        assert_eq!(message.attachment_count(), 0);
    }
    // Nobody confirmed these addresses, so they get no words of people.
    for kind in [NotificationKind::EmailChange, NotificationKind::Invitation] {
        let composed = Fixture::new(kind).compose().await;
        let raw = String::from_utf8(composed.mail.bytes).unwrap();
        assert!(!raw.contains("Ann Example"), "{raw}");
    }
}

#[tokio::test]
async fn who_confirmed_the_address_reads_all_coming_bookings() {
    let mut fixture = Fixture::new(NotificationKind::BookingSummary);
    let composed = fixture.compose().await;
    let message = parse(&composed);
    assert_eq!(message.subject(), Some("Your bookings"));
    assert_eq!(message.attachment_count(), 0);
    for part in [message.body_text(0).unwrap(), message.body_html(0).unwrap()] {
        for words in [
            "Ann Example",
            "A trial",
            "Begins:",
            "Wednesday, 5 June 2030, 19:30 (Europe",
            "Tickets:",
            "7K3QX-9TB0A",
            "Show or print your tickets",
            "and 3 more",
        ] {
            assert!(part.contains(words), "{words} must be in {part}");
        }
    }
    fixture.summary.as_mut().unwrap()["numMore"] = 0.into();
    let composed = fixture.compose().await;
    let message = parse(&composed);
    let text = message.body_text(0).unwrap();
    assert!(!text.contains("more"), "{text}");
}
