//! A whole booking, on disk, with its mail, in a dozen statements: `cargo run --example embed`.

use boxoffice_engine::{
    BookTickets, Caller, CreateEvent, CreateTenant, EmailAddress, Engine, EnsureUser, Label,
    TenantId,
};
use jiff::{SignedDuration, Timestamp};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("boxoffice-embed-{}", std::process::id()));
    // From here: what a platform writes.
    let engine = Engine::builder().embedded(&folder).build().await?;
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
    let booking = engine
        .bookings()
        .book_tickets(&ann, BookTickets::general(event.id, 2))
        .await?;
    println!("booked {} tickets: {}", booking.tickets(), booking.id);
    // To here.
    let mails = folder.join("mails");
    let mail = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        loop {
            let mut files = std::fs::read_dir(&mails).into_iter().flatten().flatten();
            let is_mail =
                |file: &std::fs::DirEntry| file.path().extension().is_some_and(|end| end == "eml");
            if let Some(file) = files.find(is_mail) {
                break file.path();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    println!("mailed: {}", mail.await?.display());
    worker.drain(std::time::Duration::from_secs(5)).await;
    Ok(std::fs::remove_dir_all(folder)?)
}
