//! A policy in Rust instead of WebAssembly: half price for groups, and no more than ten tickets each.
//! `cargo run --example native_policy`.

use async_trait::async_trait;
use boxoffice_engine::{
    BookTickets, Caller, CreateEvent, CreateTenant, EmailAddress, Engine, EnsureUser, ErrorCode,
    Label, Store, TenantId,
    ports::{BookingView, Decision, HookFailure, Policy},
};
use jiff::{SignedDuration, Timestamp};

struct Groups;

#[async_trait]
impl Policy for Groups {
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure> {
        let wanted: u32 = request.lines.iter().map(|line| line.quantity).sum();
        // What the customer holds already is exact: if it moves before the booking is written, this is asked again.
        if request.customer.tickets_in_event + wanted > 10 {
            return Ok(Decision::Reject {
                code: "ten-each".to_owned(),
                reason: "Ten tickets each, please.".to_owned(),
            });
        }
        if wanted < 5 {
            return Ok(Decision::Accept);
        }
        let halves = request.lines.iter().map(|line| line.unit_price_minor / 2);
        Ok(Decision::Adjust {
            unit_prices_minor: halves.collect(),
            messages: vec!["Half price for groups of five and more.".to_owned()],
            claims: Vec::new(),
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder()
        .store(Store::Memory)
        .policy(Groups)
        .build()
        .await?;
    let acme = CreateTenant::new(
        TenantId::parse("acme")?,
        Label::parse("name", "Acme")?,
        "EUR",
    );
    engine.tenants().ensure(&Caller::operator(), acme).await?;
    let caller = Caller::platform("acme");
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    let mut jazz = CreateEvent::general(Label::parse("title", "Jazz night")?, tomorrow, 100);
    jazz.ticket_types[0].price_minor = 2_000;
    let event = engine.events().create(&caller, jazz).await?;
    let user = EnsureUser {
        external_id: "42".to_owned(),
        name: Label::parse("name", "Ann")?,
        email: EmailAddress::parse("email", "ann@example.org")?,
        metadata: None,
    };
    let ann = caller.on_behalf_of(engine.users().ensure(&caller, user).await?.id);

    let group = BookTickets::general(event.id, 6);
    let booking = engine.bookings().book_tickets(&ann, group).await?;
    println!("six tickets cost {} cents", booking.total_minor);
    let more = BookTickets::general(event.id, 5);
    let refused = engine.bookings().book_tickets(&ann, more).await;
    let refused = refused.err().ok_or("the eleventh ticket was sold")?;
    assert_eq!(refused.code(), ErrorCode::PolicyRejected);
    println!("five more: {}", refused.detail());
    Ok(())
}
