//! Reads the parts of a source of mails.
//!
//! Called by the next mails of a group of batches, and by the kinds for what is their own. Calls the repositories of whatever
//! a mail tells of.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::tz::TimeZone;

use super::{
    NotificationsModule,
    delivery::ClaimedBatch,
    mail::context::MailLogo,
    mail_source::{MailSource, OtherAddress},
};
use crate::{
    error::{Error, Result},
    locked::Locked as _,
    modules::users::accounts::stamp,
    types::{
        Announcement, BookingId, BookingReceipt, Event, EventDetails, EventId, Hold,
        NotificationId, NotificationKind, PluginQuarantine, ReceiptId, StoredNotification, Tenant,
        TenantId, UserId,
    },
};

/// Reads what the mails of one kind are made of, for the customers whose deliveries are not finished.
pub(super) struct SourceReader<'a> {
    pub(super) module: &'a NotificationsModule,
    pub(super) tenant: &'a TenantId,
    pub(super) notification: NotificationId,
    pub(super) kind: NotificationKind,
    event: Option<EventId>,
    pub(super) batches: Vec<&'a ClaimedBatch>,
    pub(super) customers: Vec<UserId>,
}

impl<'a> SourceReader<'a> {
    pub(super) fn new(
        module: &'a NotificationsModule,
        tenant: &'a TenantId,
        batches: Vec<&'a ClaimedBatch>,
    ) -> Result<Self> {
        let first = batches.first();
        let first = first.ok_or_else(|| Error::internal("a source is about some batch"))?;
        let deliveries = batches.iter().flat_map(|one| &one.batch.deliveries);
        let open: HashSet<UserId> = deliveries
            .filter(|delivery| !delivery.state.is_final())
            .map(|delivery| delivery.customer)
            .collect();
        Ok(Self {
            module,
            tenant,
            notification: first.batch.notification,
            kind: first.batch.kind,
            event: first.batch.event,
            customers: open.into_iter().collect(),
            batches,
        })
    }

    pub(super) async fn event(&self) -> Result<Option<Event>> {
        let Some(event) = self.event else {
            return Ok(None);
        };
        let found = self.module.events.find(self.tenant, event).await?;
        let (event, inventory) =
            found.ok_or_else(|| Error::internal("the event of a delivery is gone"))?;
        Ok(Some(event.with(inventory)))
    }

    pub(super) async fn neutral_event(&self, source: &MailSource) -> Result<Option<Event>> {
        let mut users = source.users.values();
        let (true, Some(event)) = (users.any(|user| !user.email_verified), &source.event) else {
            return Ok(None);
        };
        let organizer = event.organizer.as_slice();
        let organizer = self.module.users.find_many(self.tenant, organizer).await?;
        let is_unconfirmed = organizer.first().is_some_and(|user| !user.email_verified);
        Ok(is_unconfirmed.then(|| event.in_neutral_words()))
    }

    pub(super) async fn notification(&self) -> Result<Option<StoredNotification>> {
        match self.kind.is_transactional() {
            true => Ok(None),
            false => self.module.stored(self.tenant, self.notification).await,
        }
    }

    pub(super) async fn unsubscribed(&self) -> Result<HashSet<UserId>> {
        if !self.kind.needs_consent() {
            return Ok(HashSet::new());
        }
        let subscriptions = &self.module.subscriptions;
        let found = subscriptions.find_many(self.tenant, self.kind, &self.customers);
        Ok(found.await?.into_iter().map(|one| one.customer).collect())
    }

    pub(super) async fn announcement(&self) -> Result<Option<Announcement>> {
        let announcements = &self.module.announcements;
        announcements.find(self.tenant, self.notification).await
    }

    pub(super) async fn quarantine(&self) -> Result<Option<PluginQuarantine>> {
        let plugins = &self.module.plugins;
        plugins
            .find_quarantine(self.tenant, self.notification)
            .await
    }

    /// Where the mail goes, if not to the account's address.
    pub(super) async fn other_address(&self, is_confirmed: bool) -> Result<Option<OtherAddress>> {
        // Such a mail has one recipient.
        let Some(user) = self.customers.first() else {
            return Ok(None);
        };
        let users = &self.module.users;
        let found = users.mail_address(self.tenant, *user, self.notification);
        Ok(found.await?.map(|email| OtherAddress {
            email,
            is_confirmed,
        }))
    }

    /// Names each recipient's address and password, for the link that replaces the password.
    pub(super) async fn password_stamps(&self) -> Result<HashMap<UserId, String>> {
        let mut stamps = HashMap::new();
        for customer in &self.customers {
            let found = self.module.users.with_password(self.tenant, *customer);
            if let Some((user, hash)) = found.await? {
                stamps.insert(*customer, stamp(&user.email, hash.as_deref()));
            }
        }
        Ok(stamps)
    }

    /// The tenant's uploaded logo, ready for mails.
    pub(super) async fn logo(&self, tenant: &Tenant) -> Result<Option<Arc<MailLogo>>> {
        let Some(facts) = &tenant.logo else {
            return Ok(None);
        };
        let key = (tenant.id.clone(), facts.sha256.clone());
        let logos = &self.module.logos;
        if let Some(known) = logos.locked().get(&key) {
            return Ok(Some(known.clone()));
        }
        // Between the two reads the owner may have removed it.
        let Some(bytes) = self.module.tenants.logo(&tenant.id, facts).await? else {
            return Ok(None);
        };
        let logo = Arc::new(MailLogo::new(&bytes, facts)?);
        logos.locked().insert(key, logo.clone());
        Ok(Some(logo))
    }

    /// The receipts and credit notes of the source's bookings, by the notification of their mails.
    pub(super) async fn receipts(
        &self,
        source: &MailSource,
    ) -> Result<HashMap<(NotificationId, BookingId), BookingReceipt>> {
        let bookings = source.bookings.values().flatten();
        let ids = bookings.flat_map(|booking| {
            // The end of its event comes after its own cancellations, and may not be written to it yet.
            let last = u32::try_from(booking.cancellations.len() + 1).unwrap_or(u32::MAX);
            (0..=last).map(move |index| ReceiptId {
                booking: booking.id,
                index,
            })
        });
        let found = self.module.receipts.find_many(self.tenant, ids);
        let year = self.module.context.now().to_zoned(TimeZone::UTC).year();
        let receipts = found.await?.into_values().filter_map(|receipt| {
            let key = (receipt.notification?, receipt.id.booking);
            Some((key, receipt.as_shown_in(year)))
        });
        Ok(receipts.collect())
    }

    /// The newest request of an account for another address.
    pub(super) async fn newest_email_change(&self, user: UserId) -> Result<Option<NotificationId>> {
        let users = &self.module.users;
        users.newest_email_change(self.tenant, user).await
    }

    /// The holds that the deliveries offer.
    pub(super) async fn offers(&self) -> Result<HashMap<BookingId, Hold>> {
        match self.event {
            Some(event) => {
                self.module
                    .offers_of(self.tenant, event, &self.batches)
                    .await
            }
            None => Ok(HashMap::new()),
        }
    }

    /// The customers who have a booking of the event that stands.
    pub(super) async fn with_active_bookings(&self) -> Result<HashSet<UserId>> {
        let bookings = &self.module.bookings;
        match self.event {
            Some(event) => {
                bookings
                    .with_active(self.tenant, event, &self.customers)
                    .await
            }
            None => Ok(HashSet::new()),
        }
    }

    /// Those of some customers who wait for tickets of the event or are offered some.
    pub(super) async fn waiting_among(&self, customers: &[UserId]) -> Result<BTreeSet<UserId>> {
        let waitlist = &self.module.waitlist;
        match self.event {
            Some(event) if !customers.is_empty() => {
                waitlist.those_of(self.tenant, event, customers).await
            }
            _ => Ok(BTreeSet::new()),
        }
    }

    /// What some versions of the event said.
    pub(super) async fn versions(
        &self,
        versions: HashSet<u64>,
    ) -> Result<HashMap<u64, EventDetails>> {
        let mut found = HashMap::with_capacity(versions.len());
        let Some(event) = self.event else {
            return Ok(found);
        };
        for version in versions {
            let details = self
                .module
                .events
                .find_version(self.tenant, event, version)
                .await?;
            if let Some(details) = details {
                found.insert(version, details);
            }
        }
        Ok(found)
    }
}
