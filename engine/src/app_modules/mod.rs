//! Use cases and who may do them: the engine's public face.
//!
//! Called by hosts, platforms and the worker. Calls modules and ports; knows no record and no query.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

mod bookings;
mod events;
#[cfg(any(
    layer_probe = "control",
    layer_probe = "app_module_names_repository",
    layer_probe = "app_module_calls_repository",
    layer_probe = "app_module_opens_store"
))]
mod layer_probe;
mod notifications;
mod operators;
mod plugins;
mod queues;
mod sessions;
mod subscriptions;
mod tenants;
mod users;

pub use bookings::{Bookings, Holds};
pub use events::Events;
pub use notifications::Notifications;
pub use operators::Operators;
pub use plugins::{Plugins, ReplayDifference, ReplayReport};
pub(crate) use queues::{Buckets, Queues, Turns};
pub use sessions::Sessions;
pub use subscriptions::Subscriptions;
pub use tenants::Tenants;
pub use users::Users;

/// What makes two requests with one Idempotency-Key the same: everything but the key itself, as JSON.
fn request_hash(canonical: &Value) -> String {
    let digest = Sha256::digest(canonical.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
