//! What keeps an installation running: backups, leases, workers that live, the sweep of what has expired, and the check of
//! the whole store.
//!
//! Called by app_modules and the worker's use cases. Each file calls its own repository.

pub(in crate::modules) mod backups;
pub(in crate::modules) mod housekeeping;
pub(in crate::modules) mod leases;
pub(in crate::modules) mod verification;
pub(in crate::modules) mod worker_liveness;
