//! The REST interface under a prefix of a platform's own program, with the platform's own sign-in:
//! `cargo run --example mount`, then the `curl` that it prints.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use axum::{Router, http::HeaderMap, routing::get};
use boxoffice_engine::{
    Caller, CreateEvent, CreateTenant, EmailAddress, Engine, EnsureUser, Error, ErrorCode, Label,
    Result, Store, TenantId,
};
use boxoffice_host::{Authenticate, RouterOptions, router};
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;

/// The platform's sign-in: whoever shows a member's badge is that member. Boxoffice believes what this answers.
struct Badges {
    ann: Caller,
}

#[async_trait]
impl Authenticate for Badges {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Caller>> {
        match headers.get("badge").map(|badge| badge.as_bytes()) {
            None => Ok(None),
            Some(b"ann") => Ok(Some(self.ann.clone())),
            Some(_) => Err(Error::new(
                ErrorCode::NotAuthenticated,
                "This badge is forged.",
            )),
        }
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder().store(Store::Memory).build().await?;
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

    let options = RouterOptions {
        authenticate: Some(Arc::new(Badges { ann })),
        ..RouterOptions::default()
    };
    let app = Router::new()
        .route("/", get(async || "A page of the platform's own."))
        .nest("/tickets", router(engine, options));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!(
        "curl -H 'badge: ann' --json '{{\"eventId\":\"{}\",\"numTickets\":2}}' http://{}/tickets/api/bookings",
        event.id,
        listener.local_addr()?
    );
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .await?;
    Ok(())
}
