//! Somebody asked to move their account to another address. The new address gets the link, in the built-in words. Nobody
//! confirmed it yet, so the mail has no words of people.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Audience, Kind, KindParts, KindTemplates, MailContext, MailLink, MailSource, SourceReader,
    templates,
};
use crate::{
    error::Result,
    types::{AccountLinkPurpose, NotificationId},
};

pub(super) struct EmailChange;

#[async_trait]
impl Kind for EmailChange {
    fn audience(&self) -> Audience {
        Audience::Users
    }

    fn templates(&self) -> KindTemplates {
        templates!("email-change")
    }

    fn link(&self) -> Option<MailLink> {
        Some(MailLink::Account(AccountLinkPurpose::ChangeEmail))
    }

    async fn parts(&self, reader: &SourceReader<'_>) -> Result<KindParts> {
        let mut parts = KindParts {
            other_address: reader.other_address(false).await?,
            ..KindParts::default()
        };
        for customer in &reader.customers {
            if reader.newest_email_change(*customer).await? == Some(reader.notification) {
                let stamp = reader.notification.to_string();
                parts.stamps.insert(*customer, stamp);
            }
        }
        Ok(parts)
    }

    fn overtaken(
        &self,
        source: &MailSource,
        _: NotificationId,
        _: Timestamp,
    ) -> Option<&'static str> {
        let is_over = source.parts.stamps.is_empty() || source.parts.other_address.is_none();
        is_over.then_some("the account asked for another address, or has another password, since")
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        data["changeUrl"] = json!(context.link_url);
    }
}
