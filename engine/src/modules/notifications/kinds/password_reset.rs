//! Somebody asked for a link to choose a new password. Their address gets it, confirmed or not, in the built-in words.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    Audience, Kind, KindParts, KindTemplates, MailContext, MailLink, SourceReader, templates,
};
use crate::{error::Result, types::AccountLinkPurpose};

pub(super) struct PasswordReset;

#[async_trait]
impl Kind for PasswordReset {
    fn audience(&self) -> Audience {
        Audience::Users
    }

    fn templates(&self) -> KindTemplates {
        templates!("password-reset")
    }

    fn link(&self) -> Option<MailLink> {
        Some(MailLink::Account(AccountLinkPurpose::ResetPassword))
    }

    async fn parts(&self, reader: &SourceReader<'_>) -> Result<KindParts> {
        Ok(KindParts {
            stamps: reader.password_stamps().await?,
            ..KindParts::default()
        })
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        data["resetUrl"] = json!(context.link_url);
    }
}
