//! **Boxoffice**: an embeddable, multi-tenant event booking engine.
//!
//! The whole public face: [`Engine`], the words of the domain in [`types`], what a platform may supply in
//! [`ports`], and the use cases in [`app_modules`].

pub mod app_modules;
mod engine;
mod error;
mod modules;
pub mod ports;
pub mod types;
mod worker;

pub use engine::{Engine, EngineBuilder, Settings, Store};
pub use error::{Error, ErrorCode, ErrorKind, Result};
pub use types::*;
pub use worker::{Worker, WorkerHandle};
