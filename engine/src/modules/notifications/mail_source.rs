//! What the mails of some batches are made of, read once for all of them, and who still wants one.
//!
//! Called by the worker's use cases, which ask for the next mails of a group of batches. Calls the repositories of
//! whatever a mail tells of, and the kinds for what is their own.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    NotificationsModule,
    delivery::{BatchGroup, ClaimedBatch},
    kinds::{self, Kind, KindParts},
};
use crate::{
    error::{Error, Result},
    modules::repositories::CountedMail,
    ports::{Links, TicketCodes},
    settings::Settings,
    types::{
        Announcement, Booking, BookingId, DeliveryRecord, DeliveryState, Event, EventDetails,
        EventId, EventStatus, Hold, HoldStatus, NotificationId, NotificationKind,
        NotificationStatus, PluginQuarantine, StoredNotification, Tenant, TenantId, User, UserId,
    },
};

/// How old a source may be when a mail is marked as going out. A booking that is cancelled meanwhile still gets
/// its mail; this cannot be distinguished from a mail that was sent just before.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// The ports that the links and codes in mails come from, if there are any.
#[derive(Clone)]
pub(crate) struct MailPorts {
    pub(crate) links: Option<Arc<dyn Links>>,
    pub(crate) ticket_codes: Option<Arc<dyn TicketCodes>>,
}

/// Everything that the mails of some batches of one notification, or of one kind about one event, are made of.
pub(crate) struct MailSource {
    read_at: Instant,
    pub(super) kind: NotificationKind,
    pub(super) tenant: Tenant,
    /// The event, for kinds that are about one.
    pub(super) event: Option<Event>,
    /// The event with neutral texts, if neither its organizer nor all of the customers have confirmed their addresses.
    neutral_event: Option<Event>,
    pub(super) notification: Option<StoredNotification>,
    /// Whether mails that need consent are only for confirmed addresses.
    require_email_verification: bool,
    /// Customers who unsubscribed from this kind.
    unsubscribed: HashSet<UserId>,
    pub(super) users: HashMap<UserId, User>,
    pub(super) bookings: HashMap<UserId, Vec<Booking>>,
    pub(super) parts: KindParts,
    pub(super) ports: MailPorts,
    pub(super) settings: Arc<Settings>,
}

impl MailSource {
    pub(crate) fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < FRESH_FOR
    }

    /// Whether it is paused.
    pub(crate) fn is_paused(&self) -> bool {
        let notification = self.notification.as_ref();
        notification.is_some_and(|notification| notification.is_paused)
    }

    /// Whether the notification has recipients that are not listed yet.
    pub(crate) fn has_unlisted_recipients(&self) -> bool {
        let notification = self.notification.as_ref();
        notification.is_some_and(|notification| {
            matches!(
                notification.status,
                NotificationStatus::Scheduled | NotificationStatus::FanningOut
            )
        })
    }

    /// The hold of an offer, if it is still active.
    pub(super) fn offer(&self, delivery: &DeliveryRecord) -> Option<&Hold> {
        let hold = self.parts.offers.get(&delivery.booking?)?;
        let stands = hold.status == HoldStatus::Held && self.status() == EventStatus::Published;
        stands.then_some(hold)
    }

    /// The event with the texts that a recipient may see: texts of an unconfirmed organizer are sent to confirmed
    /// addresses only.
    pub(super) fn event_for(&self, recipient: &User) -> Option<&Event> {
        let neutral = self.neutral_event.as_ref();
        let neutral = neutral.filter(|_| !recipient.email_verified);
        neutral.or(self.event.as_ref())
    }

    /// An older version of the event with the texts that a recipient may see.
    pub(super) fn previous_for(&self, recipient: &User) -> Option<Cow<'_, EventDetails>> {
        let known = self.known_version(recipient.id)?;
        let previous = self.parts.versions.get(&known)?;
        let is_neutral = self.neutral_event.is_some() && !recipient.email_verified;
        Some(match is_neutral {
            true => Cow::Owned(previous.in_neutral_words()),
            false => Cow::Borrowed(previous),
        })
    }

    /// The bookings that a delivery's mail tells of.
    pub(super) fn wanted_bookings<'a>(
        &'a self,
        delivery: &'a DeliveryRecord,
    ) -> impl Iterator<Item = &'a Booking> {
        let bookings = self.bookings.get(&delivery.customer).into_iter().flatten();
        bookings.filter(|booking| {
            delivery.booking.is_none_or(|own| own == booking.id)
                && self.rules().still_wanted(booking, self.status())
        })
    }

    pub(super) fn has_wanted_booking(&self, delivery: &DeliveryRecord) -> bool {
        self.wanted_bookings(delivery).next().is_some()
    }

    pub(super) fn is_confirmed(&self, customer: UserId) -> bool {
        let user = self.users.get(&customer);
        user.is_some_and(|user| user.email_verified)
    }

    /// The version of the event that a customer knows: the one they booked, or the one before this change.
    pub(super) fn known_version(&self, customer: UserId) -> Option<u64> {
        let notification = self.notification.as_ref()?;
        let oldest = self
            .bookings
            .get(&customer)?
            .iter()
            .map(|booking| booking.event_version)
            .min()?;
        Some(oldest.max(notification.from_version))
    }

    pub(super) fn rules(&self) -> &'static dyn Kind {
        kinds::of(self.kind)
    }

    /// The event's status; `Published` for kinds without an event.
    fn status(&self) -> EventStatus {
        let event = self.event.as_ref();
        event.map_or(EventStatus::Published, |event| event.status)
    }

    fn is_cancelled(&self) -> bool {
        let notification = self.notification.as_ref();
        notification.is_some_and(|one| one.status == NotificationStatus::Cancelled)
    }

    /// The customer, if the address is known not to be confirmed.
    pub(super) fn unconfirmed(&self, customer: UserId) -> Option<&User> {
        let user = self.users.get(&customer);
        user.filter(|user| !user.email_verified)
    }

    /// The final state of a delivery that is not sent, and why; `None` if it shall be sent.
    fn ending(
        &self,
        notification: NotificationId,
        delivery: &DeliveryRecord,
        now: Timestamp,
    ) -> Option<(DeliveryState, &'static str)> {
        let (rules, customer) = (self.rules(), delivery.customer);
        let suppressed = |reason| Some((DeliveryState::Suppressed, reason));
        if self.is_cancelled() {
            suppressed("the notification was cancelled before it was sent")
        } else if let Some(reason) = rules.overtaken(self, notification, now) {
            suppressed(reason)
        } else if self.unsubscribed.contains(&customer) {
            suppressed("the customer has unsubscribed from mails of this kind")
        } else if rules.needs_consent()
            && self.require_email_verification
            && self.unconfirmed(customer).is_some()
        {
            suppressed(
                "the customer has not confirmed the address, and announcements and reminders go to confirmed ones only",
            )
        } else if let Some(reason) = rules.unwanted(self, delivery) {
            suppressed(reason)
        } else if !self.users.contains_key(&customer) {
            Some((DeliveryState::Dead, "the customer's account is gone"))
        } else {
            None
        }
    }

    /// Ends the deliveries of a batch that are no longer wanted or impossible.
    fn end_unwanted(&self, claimed: &mut ClaimedBatch, now: Timestamp) {
        let notification = claimed.batch.notification;
        for index in claimed.unsent() {
            let delivery = &claimed.batch.deliveries[index];
            if let Some((state, reason)) = self.ending(notification, delivery, now) {
                claimed.end_unsent(index, state, reason, now);
            }
        }
    }
}

/// Reads what the mails of one kind are made of, for the customers whose deliveries are not finished.
pub(super) struct SourceReader<'a> {
    pub(super) module: &'a NotificationsModule,
    pub(super) tenant: &'a TenantId,
    notification: NotificationId,
    kind: NotificationKind,
    event: Option<EventId>,
    pub(super) batches: Vec<&'a ClaimedBatch>,
    pub(super) customers: Vec<UserId>,
}

impl<'a> SourceReader<'a> {
    fn new(
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

    async fn read(&self) -> Result<MailSource> {
        let (module, tenant, read_at) = (self.module, self.tenant, Instant::now());
        let rules = kinds::of(self.kind);
        let (of_tenant, event, users, bookings, notification, unsubscribed, parts) = tokio::try_join!(
            module.tenants.find(tenant),
            self.event(),
            module.users.find_many(tenant, &self.customers),
            module.bookings_of(tenant, self.kind, &self.batches),
            self.notification(),
            self.unsubscribed(),
            rules.parts(self),
        )?;
        let of_tenant = of_tenant.ok_or_else(|| Error::not_found("tenant", tenant))?;
        let mut source = MailSource {
            read_at,
            kind: self.kind,
            // Without links nobody could confirm.
            require_email_verification: of_tenant.settings.bulk_to_verified_only
                && module.ports.links.is_some(),
            tenant: of_tenant,
            event,
            neutral_event: None,
            notification,
            unsubscribed,
            users: users.into_iter().map(|user| (user.id, user)).collect(),
            bookings,
            parts,
            ports: module.ports.clone(),
            settings: module.context.settings.clone(),
        };
        let mut parts = std::mem::take(&mut source.parts);
        (source.neutral_event, ()) = tokio::try_join!(
            self.neutral_event(&source),
            rules.add_parts(self, &source, &mut parts)
        )?;
        source.parts = parts;
        Ok(source)
    }

    async fn event(&self) -> Result<Option<Event>> {
        let Some(event) = self.event else {
            return Ok(None);
        };
        let found = self.module.events.find(self.tenant, event).await?;
        let (event, inventory) =
            found.ok_or_else(|| Error::internal("the event of a delivery is gone"))?;
        Ok(Some(event.with(inventory)))
    }

    async fn neutral_event(&self, source: &MailSource) -> Result<Option<Event>> {
        let mut users = source.users.values();
        let (true, Some(event)) = (users.any(|user| !user.email_verified), &source.event) else {
            return Ok(None);
        };
        let organizer = event.organizer.as_slice();
        let organizer = self.module.users.find_many(self.tenant, organizer).await?;
        let is_unconfirmed = organizer.first().is_some_and(|user| !user.email_verified);
        Ok(is_unconfirmed.then(|| event.in_neutral_words()))
    }

    async fn notification(&self) -> Result<Option<StoredNotification>> {
        match self.kind.is_transactional() {
            true => Ok(None),
            false => self.module.stored(self.tenant, self.notification).await,
        }
    }

    async fn unsubscribed(&self) -> Result<HashSet<UserId>> {
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

impl NotificationsModule {
    /// Reads everything that the next mails of a group of batches are made of, and ends the deliveries that nobody wants any
    /// more.
    pub(crate) async fn next_mails(
        &self,
        tenant: &TenantId,
        group: &mut BatchGroup,
    ) -> Result<MailSource> {
        let batches = group.batches.iter().map(|(_, claimed)| claimed).collect();
        let source = SourceReader::new(self, tenant, batches)?.read().await?;
        if !source.is_paused() {
            let now = self.context.now();
            for (_, claimed) in &mut group.batches {
                source.end_unwanted(claimed, now);
            }
        }
        Ok(source)
    }

    /// The same again for one batch, once its source is no longer fresh. A store that is away for a moment leaves the
    /// source as it was.
    pub(crate) async fn refreshed_source(
        &self,
        claimed: &mut ClaimedBatch,
        known: Arc<MailSource>,
    ) -> Arc<MailSource> {
        let tenant = claimed.tenant.clone();
        let read = async {
            SourceReader::new(self, &tenant, vec![claimed])?
                .read()
                .await
        };
        let source = match read.await {
            Ok(source) => Arc::new(source),
            Err(error) => {
                tracing::warn!(error = ?error, "reading mail content again failed");
                known
            }
        };
        source.end_unwanted(claimed, self.context.now());
        source
    }

    /// Ends the deliveries to unconfirmed addresses that got as many mails of the kind as they may in a day: those that the
    /// customer brings about, and all about events of organizers who are unconfirmed, too. What is counted once is let
    /// through at every further try.
    pub(crate) async fn end_excess(
        &self,
        claimed: &mut ClaimedBatch,
        source: &MailSource,
    ) -> Result<()> {
        if !source.rules().is_caused_by_reader() && source.neutral_event.is_none() {
            return Ok(());
        }
        let day = claimed.batch.created_at.as_second().div_euclid(24 * 3600);
        let most = self.context.settings.limits.unconfirmed_mails_per_day;
        for index in claimed.unsent() {
            let customer = claimed.batch.deliveries[index].customer;
            let Some(user) = source.unconfirmed(customer) else {
                continue;
            };
            let mail = CountedMail {
                kind: source.kind,
                key: &claimed.delivery_key(index),
                day,
                most,
                is_told_later: source.rules().is_about_event(),
            };
            if !self.users.count_mail(user, &mail).await? {
                let reason = "the address is not confirmed, and got as many mails of this kind today as such addresses get";
                claimed.end_unsent(index, DeliveryState::Suppressed, reason, self.context.now());
            }
        }
        Ok(())
    }
}
