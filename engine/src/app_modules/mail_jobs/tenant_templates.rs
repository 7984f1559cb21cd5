//! The templates of a tenant's mails: its template plugins in order, then the platform's templates.
//!
//! Called by deliveries. Calls the plugins module and the plugin runtime and templates ports. After a failure the
//! built-in template is used: the mail is sent in any case.

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

/// Renders mails with a tenant's active templates.
pub(super) struct TenantTemplates {
    inner: Arc<EngineContext>,
    set: Arc<PluginSet>,
}

impl TenantTemplates {
    /// The templates of this tenant's mails; `None` if neither it nor the platform has any.
    pub(super) async fn of(inner: &Arc<EngineContext>, tenant: &TenantId) -> Option<Self> {
        let set = match &inner.plugins {
            // Without a plugin runtime nothing is read.
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
        // Templates apply to the whole tenant: plugins for one event are not used.
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
