//! The words of a tenant's mails: its plugins that word mails in their order, then the platform's templates.
//!
//! Called by deliveries. Calls the plugins module and the plugin runtime and templates ports. What fails here ends in the
//! built-in words: a mail that is owed is sent.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    context::EngineContext,
    ports::{PluginAnswer, PluginRequest, RenderFailure, RenderRequest, Rendered, Templates},
    types::{NotificationKind, PluginSet, TenantId},
};

/// The language of every mail so far.
const LOCALE: &str = "en";

/// Words mails with what a tenant has in use.
pub(super) struct TenantTemplates {
    inner: Arc<EngineContext>,
    set: Arc<PluginSet>,
}

impl TenantTemplates {
    /// The words of this tenant's mails; none if neither it nor the platform has any of its own.
    pub(super) async fn of(inner: &Arc<EngineContext>, tenant: &TenantId) -> Option<Self> {
        let set = match &inner.plugins {
            // Nothing could be called, so nothing is looked up.
            None => Arc::default(),
            // A worker sees a changed set at the next batch at the latest.
            Some(_) => match inner.modules.plugins.fresh_set(tenant).await {
                Ok(set) => set,
                Err(error) => {
                    tracing::warn!(%tenant, %error, "finding a tenant's templates failed");
                    Arc::default()
                }
            },
        };
        let is_needed = inner.templates.is_some() || words(&set).next().is_some();
        is_needed.then(|| Self {
            inner: inner.clone(),
            set,
        })
    }
}

fn words(set: &PluginSet) -> impl Iterator<Item = &crate::types::ActivePlugin> {
    set.plugins.iter().filter(|plugin| {
        // Mails are worded for the whole tenant: a plugin for one event has no part in them.
        plugin.enabled && plugin.words && plugin.event.is_none()
    })
}

#[async_trait]
impl Templates for TenantTemplates {
    async fn render(
        &self,
        tenant: &TenantId,
        kind: NotificationKind,
        data: &Value,
    ) -> Result<Rendered, RenderFailure> {
        for plugin in words(&self.set) {
            let request = PluginRequest::Render(RenderRequest {
                kind: kind.as_str().to_owned(),
                locale: LOCALE.to_owned(),
                data: data.clone(),
            });
            let outcome = self.inner.call_plugin(tenant, plugin, &request).await;
            match outcome.answer {
                Ok(PluginAnswer::Rendered { rendered }) => return Ok(rendered),
                Ok(_) => {}
                Err(failure) => {
                    tracing::warn!(%tenant, plugin = %plugin.name, %kind, %failure, "a template gave no valid text");
                }
            }
        }
        match &self.inner.templates {
            Some(templates) => templates.render(tenant, kind, data).await,
            None => Err(RenderFailure("no plugin writes this mail".to_owned())),
        }
    }
}
