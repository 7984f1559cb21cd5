//! An account moved to another address: the old one is told, in the built-in words, in case it was not its owner.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Audience, Kind, KindParts, KindTemplates, MailSource, SourceReader, templates};
use crate::{error::Result, types::NotificationId};

pub(super) struct EmailChanged;

#[async_trait]
impl Kind for EmailChanged {
    fn audience(&self) -> Audience {
        Audience::Users
    }

    fn templates(&self) -> KindTemplates {
        templates!("email-changed")
    }

    async fn parts(&self, reader: &SourceReader<'_>) -> Result<KindParts> {
        Ok(KindParts {
            // Only confirmed ones are told.
            other_address: reader.other_address(true).await?,
            ..KindParts::default()
        })
    }

    fn overtaken(
        &self,
        source: &MailSource,
        _: NotificationId,
        _: Timestamp,
    ) -> Option<&'static str> {
        let is_unknown = source.parts.other_address.is_none();
        is_unknown.then_some("the old address is not known")
    }
}
