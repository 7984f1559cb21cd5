//! A plugin failed for several customers and is quarantined: the tenant's owners are told. Always with the built-in text,
//! because the plugin that failed may be the one that writes mails.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Audience, Kind, KindParts, KindTemplates, MailContext, SourceReader, templates};
use crate::{
    error::Result,
    modules::notifications::mail::data::{local, time_zone},
};

pub(super) struct PluginQuarantined;

#[async_trait]
impl Kind for PluginQuarantined {
    fn audience(&self) -> Audience {
        Audience::Users
    }

    fn templates(&self) -> KindTemplates {
        templates!("plugin-quarantined")
    }

    async fn parts(&self, reader: &SourceReader<'_>) -> Result<KindParts> {
        Ok(KindParts {
            quarantine: reader.quarantine().await?,
            ..KindParts::default()
        })
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        let Some(quarantine) = context.quarantine else {
            return;
        };
        let zone = time_zone(context);
        data["plugin"] = json!({
            "name": quarantine.plugin.as_str(),
            "version": quarantine.version.to_string(),
            "export": quarantine.export.as_str(),
            "reason": quarantine.reason,
            "atLocal": local(quarantine.at, zone),
            "nextTryAtLocal": local(quarantine.next_try_at, zone),
        });
    }
}
