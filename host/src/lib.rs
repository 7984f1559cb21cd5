//! **Boxoffice host**: the engine's REST API, to mount in your program, and the program `boxoffice`.
//!
//! [`router`] is the whole REST interface as an [`axum::Router`] that nests under any prefix. The features
//! `program` (command line, configuration, logs), `smtp`, `nats` and `otlp` (traces to a collector) are on by default and
//! can be left out.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use boxoffice_host::{RouterOptions, router};
//!
//! let engine = boxoffice_engine::Engine::builder().embedded("data").build().await?;
//! let app = axum::Router::new().nest("/tickets", router(engine, RouterOptions::default()));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! // The peer's address is what failed sign-ins are counted by.
//! axum::serve(listener, app.into_make_service_with_connect_info::<std::net::SocketAddr>()).await?;
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]

#[cfg(feature = "program")]
mod allocator;
#[cfg(feature = "program")]
mod assembly;
mod auth;
#[cfg(feature = "program")]
pub mod cli;
#[cfg(feature = "program")]
mod config;
mod egress;
mod locked;
#[cfg(feature = "smtp")]
pub mod mail;
mod metrics;
#[cfg(feature = "plugins")]
pub mod plugin_host;
mod routes;
#[cfg(feature = "program")]
mod telemetry;
#[cfg(feature = "otlp")]
mod traces;

#[cfg(feature = "program")]
pub use allocator::Allocator;
pub use auth::{Authenticate, MailLinks, SealedTicketCodes, TokenKey, TokenKeys};
#[cfg(feature = "nats")]
pub use boxoffice_nats::{JetStreamOptions, JetStreamQueue};
pub use egress::Egress;
#[cfg(feature = "smtp")]
pub use mail::{SmtpMailer, SmtpSettings};
pub use metrics::{Metrics, metrics_router};
#[cfg(feature = "plugins")]
pub use plugin_host::{PluginHost, PluginHostSettings};
pub use routes::{
    DemoAccess, DemoSignIn, RouterOptions, error_codes, error_page, openapi_json, router,
};
