//! The catalogue of built-in policies as JSON.
//!
//! Called by the plugins controller.

use boxoffice_engine::CataloguePolicy;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The built-in policies.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct CatalogueResponse {
    /// Each of them, by name.
    items: Vec<CataloguePolicyResponse>,
}

/// A built-in policy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct CataloguePolicyResponse {
    /// Its name, under which it is activated: as it is, or with a full stop and a label.
    #[schema(example = "boxoffice.promo-codes")]
    name: String,
    /// What it is called.
    title: &'static str,
    /// What it does.
    description: &'static str,
    /// The version of its rules. The same rules decide the same about the same request and configuration.
    rules: u32,
    /// The id of that version, for activations, dry runs and replays.
    version: String,
    /// JSON Schema (2020-12) of its configuration.
    #[schema(value_type = Object)]
    config_schema: Value,
    /// A configuration that it takes.
    #[schema(value_type = Object)]
    config_example: Value,
}

impl From<Vec<CataloguePolicy>> for CatalogueResponse {
    fn from(policies: Vec<CataloguePolicy>) -> Self {
        Self {
            items: policies.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<CataloguePolicy> for CataloguePolicyResponse {
    fn from(policy: CataloguePolicy) -> Self {
        Self {
            name: policy.name.to_string(),
            title: policy.title,
            description: policy.description,
            rules: policy.rules,
            version: policy.version.to_string(),
            config_schema: policy.config_schema,
            config_example: policy.example,
        }
    }
}
