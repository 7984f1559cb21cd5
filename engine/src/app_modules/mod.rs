//! Use cases and their permissions: the engine's public API.
//!
//! Called by hosts, platforms and the worker. Calls modules and ports. Contains no row type and no query.

mod api_keys;
mod bookings;
mod changes;
mod check_ins;
mod claims;
mod confirmations;
mod customers;
mod delivery_admin;
mod events;
mod imports;
#[cfg(any(
    layer_probe = "app_module_names_repository",
    layer_probe = "app_module_calls_repository",
    layer_probe = "app_module_opens_store"
))]
mod layer_probe;
mod mail_jobs;
mod notifications;
mod operators;
mod payments;
mod plugins;
mod receipts;
mod sessions;
mod subscriptions;
mod tenants;
mod users;

pub use api_keys::ApiKeys;
pub use bookings::{Bookings, Holds, Waitlist};
pub(crate) use changes::ChangeJobs;
pub use changes::Changes;
pub use check_ins::CheckIns;
pub use claims::Claims;
pub use delivery_admin::{DeliveryAdmin, LookupResult};
pub use events::Events;
pub use imports::Imports;
pub(crate) use mail_jobs::{Buckets, LanePauses, MailJobs, TenantLocks};
pub use notifications::Notifications;
pub use operators::Operators;
pub(crate) use payments::PaymentJobs;
pub use payments::Payments;
pub use plugins::{Plugins, ReplayDifference, ReplayReport};
pub(crate) use receipts::ReceiptJobs;
pub use receipts::Receipts;
pub use sessions::Sessions;
pub use subscriptions::Subscriptions;
pub use tenants::Tenants;
pub use users::Users;
