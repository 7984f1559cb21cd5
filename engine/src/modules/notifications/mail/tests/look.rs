//! The tenant's look: what mails have of it, and that nothing of it breaks them.

use std::{env, fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{Fixture, booking, label, parse};
use crate::{
    modules::{notifications::mail::templates::data, tickets::qr_code::qr_code_png},
    types::{Brand, LinkTarget, LinkTemplate, NotificationKind, TenantLinks},
};

/// Text and HTML of a mail.
async fn texts(fixture: &Fixture) -> (String, String) {
    let composed = fixture.compose().await;
    let message = parse(&composed);
    let text = message.body_text(0).unwrap().replace("\r\n", "\n");
    let html = message.body_html(0).unwrap().into_owned();
    (text, html)
}

fn has_logo(composed: &super::ComposedMail) -> bool {
    let message = parse(composed);
    message.attachments().any(|part| {
        use mail_parser::MimeHeaders as _;
        part.content_id() == Some("logo@boxoffice")
    })
}

#[tokio::test]
async fn mails_have_the_logo_the_color_the_footer_and_the_links() {
    let fixture = Fixture::new(NotificationKind::BookingConfirmed).dressed();
    let (text, html) = texts(&fixture).await;
    assert!(has_logo(&fixture.compose().await));
    for part in [
        "<img src=\"cid:logo@boxoffice\" alt=\"North Stage\" dir=\"auto\" width=\"240\" height=\"60\"",
        "border-bottom:4px solid #ffcc00",
        // Black is read on yellow.
        "background-color:#ffcc00;color:#000000\">Show your booking</a>",
        "<p style=\"margin:8px 0 0\"><a href=\"https:&#x2f;&#x2f;north.example&#x2f;e&#x2f;gig-1\">Show the event</a></p>",
        "<span dir=\"auto\">North Stage Ltd, 1 Main Street</span><br>",
        "&lt;b&gt;&amp;&lt;&#x2f;b&gt; {{ tenant }}</span>",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("<b>"), "{html}");
    let booking = &fixture.bookings[0];
    let link = format!(
        "https://north.example/b/order-1?n={}&e={}",
        booking.number, fixture.event.id
    );
    assert!(
        text.contains(&format!("Show your booking:\n{link}\n")),
        "{text}"
    );
    assert!(
        text.contains("  Show the event: https://north.example/e/gig-1\n"),
        "{text}"
    );
    let footer = "North Stage Ltd, 1 Main Street\n\u{2068}קונצרט <b>&</b> {{ tenant }}\u{2069}\n";
    assert!(text.contains(footer), "{text}");
    let data = data(&fixture.context());
    assert_eq!(data["links"]["bookingUrl"], json!(link));
    assert_eq!(data["bookings"][0]["url"], json!(link));
    assert_eq!(
        data["tenant"],
        json!({"name": "North Stage", "senderName": "North Stage"})
    );
}

#[tokio::test]
async fn an_uploaded_logo_comes_before_one_at_an_address() {
    let mut fixture = Fixture::new(NotificationKind::EventReminder).dressed();
    fixture.logo = None;
    fixture.tenant.settings.sender_name = Some(label("\"North\" <Tickets>"));
    let (_, html) = texts(&fixture).await;
    let image = "<img src=\"https:&#x2f;&#x2f;north.example&#x2f;logo.png?a=1&amp;b=2\" \
        alt=\"&quot;North&quot; &lt;Tickets&gt;\"";
    assert!(html.contains(image), "{html}");
    assert!(!has_logo(&fixture.compose().await));
    // Words of a plugin that show no logo need none.
    let mut words_without = Fixture::new(NotificationKind::EmailVerification).with_logo(10, 10);
    words_without.tenant.settings.brand = Brand::default();
    let (_, html) = texts(&words_without).await;
    assert!(
        html.contains("width=\"10\" height=\"10\""),
        "a small one stays small: {html}"
    );
    assert!(has_logo(&words_without.compose().await));
}

#[tokio::test]
async fn without_a_look_mails_have_nothing_of_it() {
    for kind in NotificationKind::ALL {
        let fixture = Fixture::new(*kind);
        let (_, html) = texts(&fixture).await;
        for part in [
            "background-color",
            "<img src=\"cid:logo",
            "border-bottom",
            "Show your",
            "Show the event",
        ] {
            assert!(!html.contains(part), "{kind}: {part}: {html}");
        }
        let dressed = Fixture::new(*kind).dressed();
        let (text, html) = texts(&dressed).await;
        assert!(html.contains("border-bottom:4px solid #ffcc00"), "{kind}");
        assert!(text.contains("North Stage Ltd, 1 Main Street"), "{kind}");
    }
}

#[tokio::test]
async fn links_whose_values_are_not_known_are_left_out() {
    let mut fixture = Fixture::new(NotificationKind::BookingConfirmed).dressed();
    fixture.event.details.reference = None;
    fixture.bookings[0].details = None;
    let (text, html) = texts(&fixture).await;
    for words in [&text, &html] {
        assert!(
            !words.contains("Show your") && !words.contains("Show the"),
            "{words}"
        );
    }
    // Somebody who got a ticket of it sees no link to a booking that is not theirs.
    let mut fixture = Fixture::new(NotificationKind::TicketReceived).dressed();
    fixture.bookings[0].customer = crate::types::UserId::from_ulid(ulid::Ulid::from_parts(9, 9));
    let (text, _) = texts(&fixture).await;
    assert!(!text.contains("Show your booking"), "{text}");
    assert!(text.contains("Show the event"), "{text}");
    assert_eq!(data(&fixture.context())["bookings"][0]["url"], json!(null));
}

#[tokio::test]
async fn several_bookings_have_a_link_each_and_an_offer_has_its_own() {
    let mut fixture = Fixture::new(NotificationKind::EventReminder).dressed();
    let links = &mut fixture.tenant.settings.links;
    *links = TenantLinks {
        booking: LinkTemplate::parse(LinkTarget::Booking, "https://n.example/{bookingNumber}").ok(),
        ..TenantLinks::default()
    };
    fixture.bookings = vec![booking(&fixture.event, 7), booking(&fixture.event, 8)];
    let (text, html) = texts(&fixture).await;
    for booking in &fixture.bookings {
        let link = format!(
            "  Show this booking: https://n.example/{}\n",
            booking.number
        );
        assert!(text.contains(&link), "{text}");
    }
    assert_eq!(html.matches("Show this booking</a>").count(), 2, "{html}");
    assert!(!html.contains("Show your booking"));
    let fixture = Fixture::new(NotificationKind::WaitingListOffer).dressed();
    let (text, html) = texts(&fixture).await;
    let hold = fixture.offer.as_ref().unwrap().id;
    assert!(
        text.contains(&format!(
            "Take the tickets:\nhttps://north.example/take/{hold}\n"
        )),
        "{text}"
    );
    assert!(
        html.contains("color:#000000\">Take the tickets</a>"),
        "{html}"
    );
}

/// Writes mails as pages into the folder that `BOXOFFICE_MAIL_PAGES` names, to be looked at in a browser.
#[tokio::test]
async fn pages_to_look_at_show_their_pictures() {
    for kind in NotificationKind::ALL {
        for (name, fixture) in [
            ("plain", Fixture::new(*kind)),
            ("dressed", Fixture::new(*kind).dressed()),
        ] {
            let mut html = texts(&fixture).await.1;
            let tickets = fixture.tickets.iter();
            let tickets = tickets.map(|one| (one.image_id(), qr_code_png(&one.code).unwrap()));
            for (id, png) in tickets {
                html = html.replace(&format!("cid:{id}"), &data_url(&STANDARD.encode(png)));
            }
            if let Some(logo) = &fixture.logo {
                let encoded = String::from_utf8(logo.encoded.clone()).unwrap();
                html = html.replace(
                    "cid:logo@boxoffice",
                    &data_url(&encoded.replace("\r\n", "")),
                );
            }
            assert!(
                !html.contains("\"cid:"),
                "{kind}: a picture that is no part of the mail"
            );
            if let Some(folder) = env::var_os("BOXOFFICE_MAIL_PAGES") {
                let folder = Path::new(&folder);
                fs::create_dir_all(folder).unwrap();
                fs::write(folder.join(format!("{kind}-{name}.html")), html).unwrap();
            }
        }
    }
}

fn data_url(base64: &str) -> String {
    format!("data:image/png;base64,{base64}")
}
