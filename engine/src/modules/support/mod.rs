//! Mechanisms that several modules use, without business rules.
//!
//! Called by modules.

pub(in crate::modules) mod arrivals;
pub(in crate::modules) mod due_scan;
pub(in crate::modules) mod event_queues;
pub(in crate::modules) mod inventory_locks;
pub(in crate::modules) mod lru_cache;
mod retry;
pub(in crate::modules) mod scan_schedule;

pub(in crate::modules) use retry::Attempts;
