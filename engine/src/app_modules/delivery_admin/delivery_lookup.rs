//! The search of delivery administration: finds what a text names, by key.
//!
//! Called by hosts and platforms. Calls the notifications, users and events modules.

use std::collections::HashMap;

use super::{DeliveryAdmin, require_desk};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::events_of,
    types::{
        Caller, Delivery, DeliveryId, EmailAddress, EventId, FailedFilter, NotificationHead,
        NotificationId, ReplyCode, User, UserId,
    },
};

/// The result of a search.
#[derive(Debug, Clone)]
pub enum LookupResult {
    /// A customer; ask for their deliveries.
    User(User),
    /// An event; ask for its notifications.
    Event(EventId),
    /// A notification.
    Notification(NotificationHead),
    /// A delivery, by its id or its mail's Message-ID.
    Delivery(Box<Delivery>),
    /// Failed deliveries that a mail server refused with a code; ask for them with a [`FailedFilter`](crate::FailedFilter).
    Failed {
        /// The code.
        code: ReplyCode,
        /// The number, among the newest that were read.
        count: u64,
    },
}

impl DeliveryAdmin {
    /// Finds what a text names: a customer's address or id, an event's, notification's or delivery's id, or a mail's
    /// Message-ID. Each is a look-up by key. The code of a mail server's reply is searched among the newest failed
    /// deliveries. Nothing else is searched. Organizers find customers of their own events only.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn search(&self, caller: &Caller, text: &str) -> Result<LookupResult> {
        require_desk(caller)?;
        let tenant = caller.tenant()?;
        let none = || {
            Error::new(
                ErrorCode::NotFound,
                "Nothing here has this address, id, Message-ID or reply code.",
            )
        };
        let modules = &self.0.modules;
        let text = text.trim();
        // `<TENANT.NOTIFICATION.BLOCK-INDEX@DOMAIN>`
        let bare = text.trim_matches(['<', '>']);
        let of_mail = bare
            .split_once('@')
            .and_then(|(key, _)| key.strip_prefix(&format!("{tenant}.")));
        if let Ok(id) = of_mail.unwrap_or(bare).parse::<DeliveryId>() {
            let found = self.delivery(caller, id).await?;
            return Ok(LookupResult::Delivery(Box::new(found)));
        }
        if let Ok(code) = ReplyCode::parse("text", text) {
            let (blocks, _) = modules
                .delivery_admin
                .failed_batches(tenant, None, None)
                .await?;
            let visible = self.visible(caller, tenant, &events_of(&blocks)).await?;
            let filter = FailedFilter {
                code: Some(code.clone()),
                ..FailedFilter::default()
            };
            let blocks = blocks.iter().filter(|block| visible[&block.event]);
            let entries = blocks.flat_map(|block| &block.entries);
            let matching =
                entries.filter(|entry| filter.matches(entry.state, entry.reason.as_deref()));
            return match matching.count() as u64 {
                0 => Err(none()),
                count => Ok(LookupResult::Failed { code, count }),
            };
        }
        if text.contains('@') {
            let email = EmailAddress::parse("text", text)?;
            let found = modules.users.find_by_email(tenant, &email).await?;
            let user = found.ok_or_else(none)?;
            let may_find = self.may_find(caller, user.id).await?;
            return may_find
                .then_some(LookupResult::User(user))
                .ok_or_else(none);
        }
        if let Ok(id) = text.parse::<NotificationId>()
            && let Some(head) = modules.notifications.head_of(tenant, id).await?
        {
            let sees = self.sees(caller, tenant, Some(head.event)).await?;
            return sees
                .then_some(LookupResult::Notification(head))
                .ok_or_else(none);
        }
        if let Ok(id) = text.parse::<EventId>()
            && modules.events.find(tenant, id).await?.is_some()
        {
            let sees = self.sees(caller, tenant, Some(id)).await?;
            return sees.then_some(LookupResult::Event(id)).ok_or_else(none);
        }
        if let Ok(id) = text.parse()
            && let Some(user) = modules.users.find(tenant, id).await?
        {
            let may_find = self.may_find(caller, user.id).await?;
            return may_find
                .then_some(LookupResult::User(user))
                .ok_or_else(none);
        }
        Err(none())
    }

    async fn may_find(&self, caller: &Caller, customer: UserId) -> Result<bool> {
        let mut managed = HashMap::new();
        self.0.sees_customer(caller, customer, &mut managed).await
    }
}
