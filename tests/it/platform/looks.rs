//! Goal: owners choose colour, logo, footer and links of their tenant's mails; whatever they may enter, mails stay whole.
//!
//! Method: settings are changed over the API, and the mails that follow are read as a mail program reads them.

use boxoffice_engine::UserRole;
use boxoffice_tests::{
    Account, Answer, Client, Hosted, ReceivedMail, SMALL_PNG, TestPlatform,
    api::{event_body, text},
};
use mail_parser::{MessageParser, MimeHeaders as _};
use reqwest::Method;
use serde_json::{Value, json};

const SETTINGS: &str = "/api/tenant/settings";
const LOGO: &str = "/api/tenant/logo";

struct Shop {
    platform: TestPlatform,
    door: Client,
    owner: Account,
    customer: Account,
    _hosted: Hosted,
}

impl Shop {
    async fn open() -> Self {
        let platform = TestPlatform::new().await;
        let tenant = platform.tenant("north").await;
        platform.user(&tenant, "owen", UserRole::Owner).await;
        let hosted = Hosted::start(platform.engine.clone()).await;
        let door = hosted.client().tenant("north");
        Self {
            owner: door.login("owen@north.test").await,
            customer: door.register("ann@north.test", "customer").await,
            platform,
            door,
            _hosted: hosted,
        }
    }

    async fn change(&self, change: Value) -> Answer {
        let seen = self.owner.client.get(SETTINGS).await;
        let etag = seen.header("etag").to_owned();
        self.owner.client.patch(SETTINGS, &etag, change).await
    }

    async fn upload(&self, client: &Client, content_type: &str, bytes: &[u8]) -> Answer {
        let request = client.request(Method::PUT, LOGO);
        let request = request.header("Content-Type", content_type);
        Answer::of(request.body(bytes.to_vec())).await
    }

    /// Books a ticket, and returns the event, the booking and the mail that confirms it.
    async fn confirmation(&self, reference: &str) -> (Value, Value, ReceivedMail) {
        let owner = &self.owner.client;
        let event = owner.post("/api/events", event_body(json!({}))).await;
        let event = event.expect(201);
        let body = json!({"eventId": event["id"], "numTickets": 1, "reference": reference});
        let booking = self.customer.client.post("/api/bookings", body).await;
        let booking = booking.expect(201);
        self.platform.owes(1);
        let mails = self.platform.settle().await;
        let number = text(&booking["bookingNumber"]).to_owned();
        let mut own = mails.into_iter().filter(|mail| mail.text.contains(&number));
        (event, booking, own.next().expect("the mail"))
    }
}

/// The bytes of the logo in a mail.
fn logo_in(mail: &ReceivedMail) -> Option<Vec<u8>> {
    let bytes = std::fs::read(&mail.path).expect("a mail file");
    let message = MessageParser::default().parse(&bytes).expect("a mail");
    let mut parts = message.attachments();
    let logo = parts.find(|part| part.content_id() == Some("logo@boxoffice"))?;
    Some(logo.contents().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_look_as_the_owner_says() {
    let shop = Shop::open().await;
    let (_, _, plain) = shop.confirmation("order/1").await;
    assert!(!plain.html.contains("background-color"), "{}", plain.html);

    let answer = shop
        .change(json!({
            "brand": {"color": "#7A1F3D", "logoUrl": "https://north.example/logo.png", "footer": "North <b>Stage</b>\n1 Main Street"},
            "bookingUrl": "https://north.example/b/{bookingReference}?n={bookingNumber}",
            "eventUrl": "https://north.example/e/{eventId}",
        }))
        .await;
    let changed = answer.expect(200);
    assert_eq!(changed["brand"]["color"], "#7a1f3d");
    assert_eq!(changed["offerUrl"], Value::Null);
    assert_eq!(changed["hasLogo"], false);
    shop.door.get(LOGO).await.problem(404, "not-found");
    assert_eq!(
        shop.upload(&shop.owner.client, "image/png", SMALL_PNG)
            .await
            .status,
        204
    );
    assert_eq!(
        shop.owner.client.get(SETTINGS).await.expect(200)["hasLogo"],
        true
    );
    let shown = shop.door.get(LOGO).await;
    assert_eq!(
        (shown.status, shown.header("content-type")),
        (200, "image/png")
    );

    let (event, booking, mail) = shop.confirmation("order/2").await;
    assert_eq!(logo_in(&mail).as_deref(), Some(SMALL_PNG));
    for part in [
        "src=\"cid:logo@boxoffice\" alt=\"north\"",
        "border-bottom:4px solid #7a1f3d",
        "background-color:#7a1f3d;color:#ffffff\">Show your booking</a>",
        "North &lt;b&gt;Stage&lt;&#x2f;b&gt;</span><br>",
    ] {
        assert!(mail.html.contains(part), "{part}: {}", mail.html);
    }
    assert!(!mail.html.contains("<b>"), "{}", mail.html);
    let number = text(&booking["bookingNumber"]);
    let link = format!("https://north.example/b/order%2F2?n={number}");
    let event_link = format!("https://north.example/e/{}", text(&event["id"]));
    for part in [
        link.as_str(),
        &event_link,
        "North <b>Stage</b>",
        "1 Main Street",
    ] {
        assert!(mail.text.contains(part), "{part}: {}", mail.text);
    }

    let removed = shop.owner.client.delete(LOGO, "\"1\"").await;
    assert_eq!(removed.status, 204);
    shop.owner
        .client
        .delete(LOGO, "\"1\"")
        .await
        .problem(404, "not-found");
    shop.change(json!({"brand": {"footer": null}, "bookingUrl": null}))
        .await
        .expect(200);
    let (_, _, mail) = shop.confirmation("order/3").await;
    assert_eq!(logo_in(&mail), None);
    assert!(
        mail.html.contains("north.example&#x2f;logo.png\" alt="),
        "{}",
        mail.html
    );
    for part in ["Main Street", "Show your booking"] {
        assert!(!mail.html.contains(part), "{part}: {}", mail.html);
    }
    let reset = shop.change(json!({"brand": null})).await.expect(200);
    assert_eq!(
        reset["brand"],
        json!({"color": null, "logoUrl": null, "footer": null})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_mails_is_refused_by_name() {
    let shop = Shop::open().await;
    for (field, change) in [
        (
            "brand.color",
            json!({"brand": {"color": "red;background:url(x)"}}),
        ),
        (
            "brand.logoUrl",
            json!({"brand": {"logoUrl": "http://north.example/x.png"}}),
        ),
        (
            "brand.logoUrl",
            json!({"brand": {"logoUrl": "https://a:b@north.example/x.png"}}),
        ),
        (
            "brand.footer",
            json!({"brand": {"footer": "x".repeat(501)}}),
        ),
        ("brand.footer", json!({"brand": {"footer": "a\u{0}b"}})),
        (
            "bookingUrl",
            json!({"bookingUrl": "https://{bookingId}.example/"}),
        ),
        (
            "bookingUrl",
            json!({"bookingUrl": "javascript:alert({bookingId})"}),
        ),
        (
            "offerUrl",
            json!({"offerUrl": "https://north.example/{bookingId}"}),
        ),
        (
            "eventUrl",
            json!({"eventUrl": "https://north.example/{holdId}"}),
        ),
    ] {
        let answer = shop.change(change).await;
        answer.problem(422, "field-invalid").at_field(field);
    }
    let unknown = shop.change(json!({"brand": {"colour": "#000000"}})).await;
    unknown
        .problem(422, "unknown-field")
        .at_field("brand.colour");
    let owner = &shop.owner.client;
    let cut = &SMALL_PNG[..SMALL_PNG.len() - 20];
    for bytes in [&b""[..], b"GIF89a", cut] {
        let answer = shop.upload(owner, "image/png", bytes).await;
        answer.problem(422, "field-invalid").at_field("logo");
    }
    let answer = shop.upload(owner, "image/svg+xml", b"<svg/>").await;
    answer.problem(415, "unsupported-media-type");
    let answer = shop.upload(owner, "image/png", &vec![0; 65_537]).await;
    answer.problem(413, "body-too-large");
    let answer = shop
        .upload(&shop.customer.client, "image/png", SMALL_PNG)
        .await;
    answer.problem(403, "forbidden");
    assert_eq!(owner.get(SETTINGS).await.expect(200)["version"], 1);
    shop.platform.settle().await;
}
