//! A mailer of the platform's own: it is handed finished mails and says how sending ended. This one prints their
//! envelopes, and is busy at first, so that the ledger tries again. `cargo run --example own_mailer`.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_engine::{
    BookTickets, Caller, CreateEvent, CreateTenant, EmailAddress, Engine, EnsureUser, Label,
    Settings, Store, TenantId,
    ports::{MailOutcome, Mailer, OutgoingMail},
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

struct Printer {
    was_busy: AtomicBool,
    printed: mpsc::UnboundedSender<String>,
}

#[async_trait]
impl Mailer for Printer {
    async fn send(&self, mail: &OutgoingMail) -> MailOutcome {
        // Certainly not sent: it comes again. `Refused` would be for good, `Unknown` if nobody can tell.
        if !self.was_busy.swap(true, Ordering::SeqCst) {
            println!("busy");
            return MailOutcome::Deferred {
                reply: "451 busy".to_owned(),
            };
        }
        println!(
            "{} -> {}: {} bytes",
            mail.from.as_str(),
            mail.to.as_str(),
            mail.bytes.len()
        );
        // The delivery key is the same at each attempt: a mailer that remembers it can be idempotent.
        match self.printed.send(mail.delivery_key.clone()) {
            Ok(()) => MailOutcome::Sent {
                reply: "printed".to_owned(),
            },
            Err(_) => MailOutcome::Deferred {
                reply: "nobody reads".to_owned(),
            },
        }
    }

    fn concurrency(&self) -> usize {
        1
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (printed, mut printing) = mpsc::unbounded_channel();
    let printer = Printer {
        was_busy: AtomicBool::new(false),
        printed,
    };
    let mut settings = Settings::default();
    settings.delivery.retry_pause = Duration::from_millis(100);
    let engine = Engine::builder()
        .store(Store::Memory)
        .settings(settings)
        .mailer(printer)
        .build()
        .await?;
    let worker = engine.worker().spawn();
    let acme = CreateTenant::new(
        TenantId::parse("acme")?,
        Label::parse("name", "Acme")?,
        "EUR",
    );
    engine.tenants().ensure(&Caller::operator(), acme).await?;
    let caller = Caller::platform("acme");
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    let jazz = CreateEvent::general(Label::parse("title", "Jazz night")?, tomorrow, 100);
    let event = engine.events().create(&caller, jazz).await?;
    let user = EnsureUser {
        external_id: "42".to_owned(),
        name: Label::parse("name", "Ann")?,
        email: EmailAddress::parse("email", "ann@example.org")?,
        metadata: None,
    };
    let ann = caller.on_behalf_of(engine.users().ensure(&caller, user).await?.id);
    engine
        .bookings()
        .book_tickets(&ann, BookTickets::general(event.id, 2))
        .await?;
    let key = tokio::time::timeout(Duration::from_secs(30), printing.recv()).await?;
    println!("delivered {}", key.ok_or("the mailer ended")?);
    worker.drain(Duration::from_secs(5)).await;
    Ok(())
}
