//! Use cases and who may do them: the engine's public face.
//!
//! Called by hosts, platforms and the worker. Calls modules and ports; knows no record and no query.

mod bookings;
mod events;
mod notifications;
mod operators;
mod sessions;
mod tenants;
mod users;

pub use bookings::Bookings;
pub use events::Events;
pub use notifications::Notifications;
pub use operators::Operators;
pub use sessions::Sessions;
pub use tenants::Tenants;
pub use users::Users;
