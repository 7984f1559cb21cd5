//! **Boxoffice**: an embeddable, multi-tenant event booking engine.
//!
//! The public API: [`Engine`], the domain types ([`types`], also at the root), the traits that a platform may
//! implement ([`ports`]), and the use cases ([`app_modules`]). The first argument of every use case is a [`Caller`].
//!
//! ```
//! use boxoffice_engine::{
//!     BookTickets, Caller, CreateEvent, CreateTenant, EmailAddress, Engine, EnsureUser, Label, TenantId,
//! };
//! # use boxoffice_engine::{Result, Store};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<()> {
//! # let folder = std::env::temp_dir().join(format!("boxoffice-doc-{}", std::process::id()));
//! let engine = Engine::builder().embedded(&folder).build().await?; // migrates; no global state
//! let worker = engine.worker().spawn(); // sends the mails that bookings owe, into `mails/` by default
//!
//! let acme = CreateTenant::new(TenantId::parse("acme")?, Label::parse("name", "Acme Concerts")?, "EUR");
//! engine.tenants().ensure(&Caller::operator(), acme).await?;
//!
//! let caller = Caller::platform("acme"); // trusted code: all rights in this tenant
//! let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
//! let event = CreateEvent::general(Label::parse("title", "Jazz night")?, tomorrow, 100);
//! let event = engine.events().create(&caller, event).await?;
//!
//! let user = EnsureUser {
//!     external_id: "42".to_owned(), // the platform's own id; no password needed
//!     name: Label::parse("name", "Ann")?,
//!     email: EmailAddress::parse("email", "ann@example.org")?,
//!     metadata: None,
//! };
//! let user = engine.users().ensure(&caller, user).await?;
//! let booking = engine
//!     .bookings()
//!     .book_tickets(&caller.on_behalf_of(user.id), BookTickets::general(event.id, 2))
//!     .await?;
//! assert_eq!(booking.tickets(), 2);
//! assert_eq!(engine.events().show(&caller, event.id).await?.event.tickets_sold, 2);
//!
//! assert!(worker.drain(std::time::Duration::from_secs(5)).await);
//! # drop(engine);
//! # let _ = std::fs::remove_dir_all(folder);
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]

pub mod app_modules;
mod builder;
mod context;
mod counters;
mod engine;
mod error;
mod locked;
mod modules;
pub mod ports;
mod request;
mod settings;
pub mod types;
mod worker;

pub use app_modules::LookupResult;
pub use builder::{EngineBuilder, check_backup};
pub use counters::Counts;
pub use engine::Engine;
pub use error::{Error, ErrorCode, ErrorKind, Fact, Faults, Result};
pub use modules::{Backup, FailedCall, PluginLogEntry, qr_code_png, qr_code_svg};
pub use request::in_request;
pub use settings::{
    BookingSettings, ChangeSettings, DeliverySettings, Limits, Settings, Store, WorkerSettings,
};
pub use types::*;
pub use worker::{Worker, WorkerHandle};
