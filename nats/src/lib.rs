//! **Boxoffice on NATS**: the engine's queue as JetStream streams, for separate worker processes.
//!
//! Called by hosts, which pass a [`JetStreamQueue`] to `EngineBuilder::queue`. Only a transport: it has
//! no relay, no worker loop and no rule about mail, and the engine publishes lost tasks again. Needs nats-server
//! 2.12 or newer with JetStream; `deploy/nats-server.conf` in the repository is a configuration that keeps all
//! acknowledged tasks.
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
