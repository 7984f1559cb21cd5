//! A sale with payment: the platform's own webhook for a payment provider, which tells Boxoffice what the provider said.
//! `cargo run --example paid_sale`.
//!
//! The provider is a small one. It signs its notices, is late, sends them again and out of order, dies in between, and once tells
//! another amount than before. What a real provider needs is the same: check the signature, tell, and answer with 2xx afterwards.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use boxoffice_engine::{
    Caller, CreateEvent, CreateTenant, EmailAddress, Engine, EnsureUser, ErrorKind, Hold,
    HoldTickets, Label, NoticeKind, OpenPayment, PageRequest, Payment, PaymentKey, PaymentStatus,
    RefundState, Settings, Store, TellPayment, TenantId,
};
use hmac::{Hmac, Mac as _};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::{net::TcpListener, time::sleep};

type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PROVIDER: &str = "acme";
const SECRET: &[u8] = b"what the provider and the platform know";
const PRICE: u64 = 2_500;

/// What the provider sends.
#[derive(Clone, Serialize, Deserialize)]
struct Notice {
    id: String,
    /// `captured`, `failed` or `refunded`.
    kind: String,
    payment: String,
    amount: u64,
}

/// The platform's webhook: believes nothing that is not signed, and answers with 2xx only what Boxoffice has on disk.
async fn webhook(State(engine): State<Arc<Engine>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers.get("signature").map(|header| header.as_bytes());
    if !is_signed(&body, signature.unwrap_or_default()) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(notice) = serde_json::from_slice::<Notice>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let Ok(command) = command(&notice) else {
        return StatusCode::BAD_REQUEST;
    };
    match engine
        .payments()
        .tell(&Caller::platform("acme"), command)
        .await
    {
        Ok(payment) => {
            println!(
                "{} {}: {}",
                notice.id,
                notice.payment,
                payment.status.as_str()
            );
            StatusCode::OK
        }
        // Somebody has to look: the provider contradicts itself. Sending it again does not help.
        Err(refusal) if refusal.kind() == ErrorKind::Invalid => {
            println!("{} {}: refused, {refusal}", notice.id, notice.payment);
            StatusCode::UNPROCESSABLE_ENTITY
        }
        // The provider sends it again.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn is_signed(body: &[u8], signature: &[u8]) -> bool {
    let (Ok(mut mac), Ok(signature)) = (
        Hmac::<Sha256>::new_from_slice(SECRET),
        STANDARD.decode(signature),
    ) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

fn command(notice: &Notice) -> boxoffice_engine::Result<TellPayment> {
    Ok(TellPayment {
        payment: payment_key(&notice.payment)?,
        notice: notice.id.parse()?,
        kind: notice.kind.parse::<NoticeKind>()?,
        amount_minor: Some(notice.amount),
        currency: Some("EUR".to_owned()),
        at: Timestamp::now(),
    })
}

fn payment_key(reference: &str) -> boxoffice_engine::Result<PaymentKey> {
    format!("{PROVIDER}/{reference}").parse()
}

/// The provider. What it sends is signed, and sent until somebody answers.
struct Provider {
    url: String,
    client: reqwest::Client,
    sent: u32,
}

impl Provider {
    fn notice(&mut self, kind: &str, payment: &str, amount: u64) -> Notice {
        self.sent += 1;
        Notice {
            id: format!("evt_{}", self.sent),
            kind: kind.to_owned(),
            payment: payment.to_owned(),
            amount,
        }
    }

    async fn send(&self, notice: &Notice) -> Outcome<u16> {
        let body = serde_json::to_vec(notice)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET)?;
        mac.update(&body);
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let request = self.client.post(&self.url).header("signature", signature);
        Ok(request.body(body).send().await?.status().as_u16())
    }
}

/// The platform, with an event that costs something.
struct Platform {
    engine: Arc<Engine>,
    caller: Caller,
    event: boxoffice_engine::EventId,
}

impl Platform {
    async fn open() -> Outcome<Self> {
        let mut settings = Settings::default();
        // So that the example need not wait for ten minutes.
        settings.bookings.hold_duration = Duration::from_secs(2);
        let engine = Engine::builder().store(Store::Memory).settings(settings);
        let engine = engine.build().await?;
        let (id, name) = (TenantId::parse("acme")?, Label::parse("name", "Acme")?);
        let tenant = CreateTenant::new(id, name, "EUR");
        engine.tenants().ensure(&Caller::operator(), tenant).await?;
        let caller = Caller::platform("acme");
        let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
        let mut jazz = CreateEvent::general(Label::parse("title", "Jazz night")?, tomorrow, 100);
        jazz.ticket_types[0].price_minor = u32::try_from(PRICE)?;
        let event = engine.events().create(&caller, jazz).await?.id;
        Ok(Self {
            engine: Arc::new(engine),
            caller,
            event,
        })
    }

    /// Holds a ticket for a customer, and opens the payment that the provider will tell of.
    async fn sell(&self, name: &str, reference: &str) -> Outcome<Hold> {
        let user = EnsureUser {
            external_id: name.to_owned(),
            name: Label::parse("name", name)?,
            email: EmailAddress::parse("email", &format!("{name}@example.org"))?,
            metadata: None,
        };
        let user = self.engine.users().ensure(&self.caller, user).await?;
        let customer = self.caller.on_behalf_of(user.id);
        let wish = HoldTickets::general(self.event, 1);
        let hold = self.engine.holds().hold_tickets(&customer, wish).await?;
        let open = OpenPayment {
            hold: hold.id,
            key: payment_key(reference)?,
            amount_minor: hold.total_minor,
            currency: hold.currency.clone(),
        };
        self.engine.payments().open(&self.caller, open).await?;
        Ok(hold)
    }

    async fn payment(&self, reference: &str) -> Outcome<Payment> {
        let payments = self.engine.payments();
        Ok(payments
            .show(&self.caller, &payment_key(reference)?)
            .await?)
    }

    /// Pays back what is due, under the refund's id, so that the provider pays it once.
    async fn pay_back(&self, provider: &mut Provider) -> Outcome<()> {
        let (payments, page) = (self.engine.payments(), PageRequest::default());
        let due = payments.refunds(&self.caller, Some(RefundState::Due), page);
        for listed in due.await?.items {
            let amount = listed.refund.left_minor();
            let reference = listed.payment.reference.to_string();
            println!(
                "paying {amount} of {reference} back as {}",
                listed.refund.id
            );
            let notice = provider.notice("refunded", &reference, amount);
            provider.send(&notice).await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let platform = Platform::open().await?;
    let worker = platform.engine.worker().spawn();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut provider = Provider {
        url: format!("http://{}/webhooks/acme", listener.local_addr()?),
        client: reqwest::Client::new(),
        sent: 0,
    };
    let routes = Router::new().route("/webhooks/acme", post(webhook));
    let app = routes.with_state(platform.engine.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });

    // In time, and again: one booking.
    platform.sell("ann", "pi_1").await?;
    let captured = provider.notice("captured", "pi_1", PRICE);
    for _ in 0..3 {
        assert_eq!(provider.send(&captured).await?, 200);
    }
    // Nobody but the provider can say that money came, and it cannot take back what it said.
    let forged = provider
        .client
        .post(&provider.url)
        .body("{}")
        .send()
        .await?;
    assert_eq!(forged.status().as_u16(), 401);
    let other = Notice {
        amount: 1,
        ..captured
    };
    assert_eq!(provider.send(&other).await?, 422);

    // The provider died, and tells when the hold has ended: the tickets are booked at the hold's price.
    platform.sell("ben", "pi_2").await?;
    sleep(Duration::from_secs(3)).await;
    let late = provider.notice("captured", "pi_2", PRICE);
    provider.send(&late).await?;
    while platform.payment("pi_2").await?.status != PaymentStatus::Booked {
        sleep(Duration::from_millis(50)).await;
    }
    println!("pi_2: booked late");

    // Out of order, and too much: what is too much is due back.
    platform.sell("cleo", "pi_3").await?;
    let (first, second) = (
        provider.notice("captured", "pi_3", PRICE),
        provider.notice("captured", "pi_3", PRICE),
    );
    provider.send(&second).await?;
    provider.send(&first).await?;
    platform.pay_back(&mut provider).await?;

    for reference in ["pi_1", "pi_2", "pi_3"] {
        let money = platform.payment(reference).await?.money;
        assert!(money.balances() && money.kept_minor == PRICE, "{money:?}");
    }
    println!("three bookings are paid, and nothing is due");
    worker.drain(Duration::from_secs(5)).await;
    Ok(())
}
