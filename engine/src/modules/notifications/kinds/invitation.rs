//! An owner invited somebody to work for the tenant. Their address gets the link, in the built-in words. Nobody confirmed it yet,
//! so the mail has no words of people but the tenant's name.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Audience, Kind, KindParts, KindTemplates, MailContext, MailLink, MailSource, SourceReader,
    templates,
};
use crate::{
    error::Result,
    types::{AccountLinkPurpose, NotificationId, UserRole},
};

pub(super) struct Invitation;

#[async_trait]
impl Kind for Invitation {
    fn audience(&self) -> Audience {
        Audience::Users
    }

    fn templates(&self) -> KindTemplates {
        templates!("invitation")
    }

    fn link(&self) -> Option<MailLink> {
        Some(MailLink::Account(AccountLinkPurpose::AcceptInvitation))
    }

    async fn parts(&self, reader: &SourceReader<'_>) -> Result<KindParts> {
        Ok(KindParts {
            stamps: reader.password_stamps().await?,
            ..KindParts::default()
        })
    }

    fn overtaken(
        &self,
        source: &MailSource,
        _: NotificationId,
        _: Timestamp,
    ) -> Option<&'static str> {
        let is_open = source.users.values().any(|user| !user.email_verified);
        (!is_open).then_some("the invitation was accepted or withdrawn")
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        data["acceptUrl"] = json!(context.link_url);
        data["role"] = json!(match context.recipient.role {
            UserRole::Owner => "an owner",
            UserRole::Organizer => "an organizer",
            UserRole::Staff => "staff",
            UserRole::Customer => "a customer",
        });
    }
}
