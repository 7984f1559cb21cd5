//! Somebody signed up and is asked to confirm the address.

use serde_json::{Value, json};

use super::{Audience, Kind, KindTemplates, MailContext, MailLink, MailSource, templates};
use crate::types::DeliveryRecord;

pub(super) struct EmailVerification;

impl Kind for EmailVerification {
    fn audience(&self) -> Audience {
        Audience::Users
    }

    fn templates(&self) -> KindTemplates {
        templates!("email-verification")
    }

    fn is_caused_by_reader(&self) -> bool {
        true
    }

    fn link(&self) -> Option<MailLink> {
        Some(MailLink::Verify)
    }

    fn unwanted(&self, source: &MailSource, delivery: &DeliveryRecord) -> Option<&'static str> {
        let is_confirmed = source.is_confirmed(delivery.customer);
        is_confirmed.then_some("the address was confirmed before it was sent")
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        if let Some(url) = context.link_url {
            data["verifyUrl"] = json!(url);
        }
    }
}
