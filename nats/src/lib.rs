//! **Boxoffice on NATS**: the engine's queue as JetStream streams, so that workers run as processes of their own.
//!
//! Called by hosts, which hand a [`JetStreamQueue`] to `EngineBuilder::queue`. A transport and nothing else: it has
//! no relay, no worker loop and no rule about mail, and what it loses the engine publishes again. Needs nats-server
//! 2.12 or newer with JetStream; `deploy/nats-server.conf` in the repository is a configuration that keeps what it
//! acknowledges.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use boxoffice_nats::{JetStreamOptions, JetStreamQueue};
//!
//! let queue = JetStreamQueue::connect(JetStreamOptions::new("nats://127.0.0.1:4222")).await?;
//! let engine = boxoffice_engine::Engine::builder().embedded("data").queue(Arc::new(queue)).build().await?;
//! # Ok(())
//! # }
//! ```

mod broker;
mod durability;
mod fetch;
mod options;
mod publish;
mod purge;
mod queue;
mod settings;
mod settle;
mod shard_scheduler;

pub use options::{ConnectError, Credentials, JetStreamOptions, SignIn};
pub use queue::JetStreamQueue;
