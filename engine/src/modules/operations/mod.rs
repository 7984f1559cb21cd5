//! The operation of an installation: backups, leases, liveness of workers, housekeeping, and verification of
//! the whole store.
//!
//! Called by app_modules and the worker's use cases. Each file calls its own repository.

pub(in crate::modules) mod backups;
pub(in crate::modules) mod housekeeping;
pub(in crate::modules) mod leases;
pub(in crate::modules) mod verification;
pub(in crate::modules) mod worker_liveness;
