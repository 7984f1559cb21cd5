//! The search of delivery administration: finds what a text names, by key.
//!
//! Called by hosts and platforms. Calls the notifications, users and events modules.

use std::collections::HashMap;

use super::{DeliveryAdmin, require_viewer};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::events_of,
    types::{
        BookingNumber, Caller, Delivery, DeliveryId, EmailAddress, EventId, FailedFilter,
        NotificationHead, NotificationId, ReplyCode, Scope, TenantId, User, WithCustomer,
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
    Delivery(Box<WithCustomer<Delivery>>),
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
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        require_viewer(caller)?;
        let text = text.trim();
        let tenant = caller.tenant()?;
        // `<TENANT.NOTIFICATION.BATCH-INDEX@DOMAIN>`
        let bare = text.trim_matches(['<', '>']);
        let of_mail = bare
            .split_once('@')
            .and_then(|(key, _)| key.strip_prefix(&format!("{tenant}.")));
        if let Ok(id) = of_mail.unwrap_or(bare).parse::<DeliveryId>() {
            let found = self.delivery(caller, id).await?;
            return Ok(LookupResult::Delivery(Box::new(found)));
        }
        let found = match (ReplyCode::parse("text", text), text.parse()) {
            (Ok(code), _) => self.find_failed(caller, tenant, code).await?,
            (_, Ok(number)) => self.find_customer_of(caller, tenant, number).await?,
            _ if text.contains('@') => self.find_address(caller, tenant, text).await?,
            _ => self.find_id(caller, tenant, text).await?,
        };
        found.ok_or_else(|| {
            Error::new(
                ErrorCode::NotFound,
                "Nothing here has this address, booking number, id, Message-ID or reply code.",
            )
        })
    }

    async fn find_failed(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        code: ReplyCode,
    ) -> Result<Option<LookupResult>> {
        let delivery_admin = &self.0.modules.delivery_admin;
        let (batches, _) = delivery_admin.failed_batches(tenant, None, None).await?;
        let visible = self.visible(caller, tenant, &events_of(&batches)).await?;
        let filter = FailedFilter {
            code: Some(code.clone()),
            ..FailedFilter::default()
        };
        let batches = batches.iter().filter(|batch| visible[&batch.event]);
        let deliveries = batches.flat_map(|batch| &batch.deliveries);
        let matching = deliveries
            .filter(|delivery| filter.matches(delivery.state, delivery.reason.as_deref()));
        let count = matching.count() as u64;
        Ok((count > 0).then_some(LookupResult::Failed { code, count }))
    }

    async fn find_customer_of(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        number: BookingNumber,
    ) -> Result<Option<LookupResult>> {
        let modules = &self.0.modules;
        let booking = modules.bookings.with_number(tenant, number).await?;
        let Some(booking) = booking else {
            return Ok(None);
        };
        if !self.sees(caller, tenant, Some(booking.event())).await? {
            return Ok(None);
        }
        let found = modules.users.find(tenant, booking.customer()).await?;
        self.if_visible(caller, found).await
    }

    async fn find_address(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        text: &str,
    ) -> Result<Option<LookupResult>> {
        let email = EmailAddress::parse("text", text)?;
        let found = self.0.modules.users.find_by_email(tenant, &email).await?;
        self.if_visible(caller, found).await
    }

    /// What an id names: a notification, an event or a customer. Ids do not say which.
    async fn find_id(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        text: &str,
    ) -> Result<Option<LookupResult>> {
        let modules = &self.0.modules;
        if let Ok(id) = text.parse::<NotificationId>()
            && let Some(head) = modules.notifications.head_of(tenant, id).await?
        {
            let sees = self.sees(caller, tenant, Some(head.event)).await?;
            return Ok(sees.then_some(LookupResult::Notification(head)));
        }
        if let Ok(id) = text.parse::<EventId>()
            && modules.events.find(tenant, id).await?.is_some()
        {
            let sees = self.sees(caller, tenant, Some(id)).await?;
            return Ok(sees.then_some(LookupResult::Event(id)));
        }
        match text.parse() {
            Ok(id) => {
                let found = modules.users.find(tenant, id).await?;
                self.if_visible(caller, found).await
            }
            Err(_) => Ok(None),
        }
    }

    /// A customer, if the caller may find them.
    async fn if_visible(
        &self,
        caller: &Caller,
        found: Option<User>,
    ) -> Result<Option<LookupResult>> {
        let Some(user) = found else {
            return Ok(None);
        };
        let mut managed = HashMap::new();
        let may_find = self.0.sees_customer(caller, user.id, &mut managed).await?;
        Ok(may_find.then_some(LookupResult::User(user)))
    }
}
