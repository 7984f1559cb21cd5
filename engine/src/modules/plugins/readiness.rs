//! What this process knows of the plugins in use that it has yet to load.
//!
//! Kept by the engine; read and changed by readiness checks.

use std::{collections::HashMap, time::Instant};

use crate::{ports::PluginRef, types::TenantId};

/// Which plugins in use are not loaded in this process.
#[derive(Default)]
pub(crate) struct PluginReadiness {
    pub(crate) looked_at: Option<Instant>,
    /// The version of each tenant's set that was read: a number for each tenant with active plugins.
    pub(crate) sets: HashMap<TenantId, u64>,
    /// What is in use and not loaded yet, and how often it was tried.
    pub(crate) missing: HashMap<PluginRef, u32>,
    /// Whether a task loads what is missing.
    pub(crate) is_loading: bool,
}
