//! Built-in policies, as tenants see them: every tenant has them without an upload.

use serde_json::Value;

use super::{PluginHash, PluginName};

/// A built-in policy.
#[derive(Debug, Clone, PartialEq)]
pub struct CataloguePolicy {
    /// The name under which it is activated, on its own or with a label: `boxoffice.promo-codes.spring`.
    pub name: PluginName,
    /// What it is called.
    pub title: &'static str,
    /// What it does.
    pub description: &'static str,
    /// The version of its rules. The same rules decide the same about the same request and configuration.
    pub rules: u32,
    /// The id of that version, for activations, dry runs and replays.
    pub version: PluginHash,
    /// JSON Schema (2020-12) of its configuration.
    pub config_schema: Value,
    /// A configuration that it takes.
    pub example: Value,
}
