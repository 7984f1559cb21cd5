//! What the mails of some blocks are made of, read once for all of them, and who still wants one.
//!
//! Called by the delivery of blocks. Calls the notifications, users, events, plugins and tenants modules.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::MailJobs;
use crate::{
    error::{Error, Result},
    modules::{ClaimedBatch, still_wanted},
    types::{
        Announcement, Booking, BookingId, DeliveryState, Entry, Event, EventDetails, EventId,
        EventStatus, Hold, HoldStatus, NotificationId, NotificationKind, NotificationStatus,
        PluginQuarantine, StoredNotification, Tenant, TenantId, User, UserId,
    },
};

/// How old a sight may be when a mail is marked as going out. A booking that is cancelled meanwhile gets its mail all
/// the same; a moment like this cannot be told from one in which the mail had just left.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// Everything that the mails of some blocks of one notification, or of one kind about one event, are made of.
pub(super) struct MailSource {
    read_at: Instant,
    pub(super) tenant: Tenant,
    /// The tenant's own words, or the platform's; none for the built-in ones.
    pub(super) words: Option<super::tenant_templates::TenantTemplates>,
    /// What the mails are about, for kinds that are about an event.
    pub(super) event: Option<Event>,
    /// The event without its organizer's words, if neither they nor all of the customers have confirmed their addresses.
    neutral_event: Option<Event>,
    pub(super) notification: Option<StoredNotification>,
    pub(super) announcement: Option<Announcement>,
    pub(super) quarantine: Option<PluginQuarantine>,
    /// Whether mails that need consent are for those only who have confirmed their address.
    require_email_verification: bool,
    /// Customers who do without mails of this kind.
    unsubscribed: HashSet<UserId>,
    pub(super) users: HashMap<UserId, User>,
    pub(super) bookings: HashMap<UserId, Vec<Booking>>,
    /// The holds that are offered to customers of a waiting list.
    offers: HashMap<BookingId, Hold>,
    /// Customers without a booking whom a called-off event concerns, because they wait for its tickets.
    waiting: BTreeSet<UserId>,
    /// Customers to whom a cancellation left tickets of the event.
    pub(super) with_tickets_left: HashSet<UserId>,
    /// What older versions of the event said, as far as these blocks need them.
    pub(super) versions: HashMap<u64, EventDetails>,
}

/// What blocks have in common that share a scene: bulk blocks their notification, others what they tell of which event.
#[derive(PartialEq, Eq)]
pub(super) enum Common {
    Notification(NotificationId),
    Event(EventId, NotificationKind),
}

impl Common {
    pub(super) fn of(claimed: &ClaimedBatch) -> Self {
        let block = &claimed.block;
        match block.event {
            Some(event) if block.kind.is_transactional() => Self::Event(event, block.kind),
            _ => Self::Notification(block.notification),
        }
    }
}

impl MailSource {
    pub(super) fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < FRESH_FOR
    }

    /// The hold that a delivery offers, as long as it stands.
    pub(super) fn offer(&self, entry: &Entry) -> Option<&Hold> {
        let hold = self.offers.get(&entry.booking?)?;
        let stands = hold.status == HoldStatus::Held && self.status() == EventStatus::Published;
        stands.then_some(hold)
    }

    /// The event in the words that a recipient may see: those of an organizer without a confirmed address go to confirmed
    /// addresses only.
    pub(super) fn event_for(&self, recipient: &User) -> Option<&Event> {
        let neutral = self.neutral_event.as_ref();
        let neutral = neutral.filter(|_| !recipient.email_verified);
        neutral.or(self.event.as_ref())
    }

    /// An older version of the event in the words that a recipient may see.
    pub(super) fn previous_for(&self, recipient: &User) -> Option<Cow<'_, EventDetails>> {
        let known = self.known_version(recipient.id)?;
        let previous = self.versions.get(&known)?;
        let is_neutral = self.neutral_event.is_some() && !recipient.email_verified;
        Some(match is_neutral {
            true => Cow::Owned(previous.in_neutral_words()),
            false => Cow::Borrowed(previous),
        })
    }

    /// Whether a mail to a customer counts against what an unconfirmed address gets in a day: those that the customer
    /// brings about, and all about events of organizers who are unconfirmed, too.
    fn is_counted(&self, kind: NotificationKind, customer: UserId) -> bool {
        let by_customer = matches!(
            kind,
            NotificationKind::BookingConfirmed
                | NotificationKind::BookingCancelled
                | NotificationKind::WaitingListOffer
                | NotificationKind::EmailVerification
        );
        let user = self.users.get(&customer);
        user.is_some_and(|user| !user.email_verified)
            && (by_customer || self.neutral_event.is_some())
    }

    /// Whether the event still takes place; nothing is cancelled of what is about none.
    pub(super) fn status(&self) -> EventStatus {
        let event = self.event.as_ref();
        event.map_or(EventStatus::Published, |event| event.status)
    }

    /// Whether nothing of it goes out for now.
    pub(super) fn is_paused(&self) -> bool {
        let notification = self.notification.as_ref();
        notification.is_some_and(|notification| notification.is_paused)
    }

    fn is_cancelled(&self) -> bool {
        let notification = self.notification.as_ref();
        notification.is_some_and(|one| one.status == NotificationStatus::Cancelled)
    }

    fn is_verified(&self, customer: UserId) -> bool {
        let user = self.users.get(&customer);
        user.is_some_and(|user| user.email_verified)
    }

    /// Whether a mail needs the consent of a customer who has not confirmed the address.
    fn does_without_unverified(&self, kind: NotificationKind, customer: UserId) -> bool {
        let user = self.users.get(&customer);
        kind.needs_consent()
            && self.require_email_verification
            && user.is_some_and(|user| !user.email_verified)
    }

    /// Why a reminder comes too late for everybody, if it does.
    fn overtaken(&self, claimed: &ClaimedBatch, now: Timestamp) -> Option<&'static str> {
        if claimed.block.kind != NotificationKind::EventReminder {
            return None;
        }
        let event = self.event.as_ref()?;
        let newest = event.reminder.map(|reminder| reminder.notification);
        if newest != Some(claimed.block.notification) {
            Some("the event was moved, and another reminder follows")
        } else if event.details.starts_at <= now {
            Some("the event had begun before it was sent")
        } else {
            None
        }
    }

    /// The version of the event that a customer last heard of: the one they booked, or the one before this change.
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
}

impl MailJobs {
    /// Reads the scene of some blocks that have theirs in common.
    pub(super) async fn scene(
        &self,
        tenant: &TenantId,
        blocks: &[&ClaimedBatch],
    ) -> Result<MailSource> {
        let (modules, read_at) = (&self.0.modules, Instant::now());
        let block = match blocks.first() {
            Some(first) => &first.block,
            None => return Err(Error::internal("a scene is about at least one block")),
        };
        let entries = blocks.iter().flat_map(|claimed| &claimed.block.entries);
        let open: HashSet<UserId> = entries
            .filter(|entry| !entry.state.is_final())
            .map(|entry| entry.customer)
            .collect();
        let customers: Vec<UserId> = open.into_iter().collect();
        let notification = async {
            match block.kind.is_transactional() {
                true => Ok(None),
                false => {
                    modules
                        .notifications
                        .stored(tenant, block.notification)
                        .await
                }
            }
        };
        let announcement = async {
            match block.kind {
                NotificationKind::EventAnnouncement => {
                    modules.announcements.find(tenant, block.notification).await
                }
                _ => Ok(None),
            }
        };
        let quarantine = async {
            match block.kind {
                NotificationKind::PluginQuarantined => {
                    modules.plugins.quarantine(tenant, block.notification).await
                }
                _ => Ok(None),
            }
        };
        let with_tickets_left = async {
            match (block.kind, block.event) {
                (NotificationKind::BookingCancelled, Some(event)) => {
                    let notifications = &modules.notifications;
                    notifications
                        .with_active_bookings(tenant, event, &customers)
                        .await
                }
                _ => Ok(HashSet::new()),
            }
        };
        let offers = async {
            match (block.kind, block.event) {
                (NotificationKind::WaitingListOffer, Some(event)) => {
                    let notifications = &modules.notifications;
                    notifications.offers_of(tenant, event, blocks).await
                }
                _ => Ok(HashMap::new()),
            }
        };
        let event = async {
            match block.event {
                Some(event) => {
                    let found = modules.events.find(tenant, event).await?;
                    let gone = || Error::internal("the event of a delivery is gone");
                    found.map(Some).ok_or_else(gone)
                }
                None => Ok(None),
            }
        };
        let subscriptions = &modules.subscriptions;
        let (
            of_tenant,
            event,
            users,
            bookings,
            notification,
            announcement,
            quarantine,
            unsubscribed,
            with_tickets_left,
            offers,
        ) = tokio::try_join!(
            modules.tenants.get(tenant),
            event,
            modules.users.find_many(tenant, &customers),
            modules.notifications.bookings_of(tenant, blocks),
            notification,
            announcement,
            quarantine,
            subscriptions.unsubscribed(tenant, block.kind, &customers),
            with_tickets_left,
            offers,
        )?;
        let mut scene = MailSource {
            words: match block.kind.has_templates() {
                true => super::tenant_templates::TenantTemplates::of(&self.0, tenant).await,
                false => None,
            },
            read_at,
            // Without links nobody could confirm.
            require_email_verification: of_tenant.settings.bulk_to_verified_only
                && self.0.links.is_some(),
            tenant: of_tenant,
            event,
            neutral_event: None,
            notification,
            announcement,
            quarantine,
            unsubscribed,
            users: users.into_iter().map(|user| (user.id, user)).collect(),
            bookings,
            with_tickets_left,
            offers,
            waiting: BTreeSet::new(),
            versions: HashMap::new(),
        };
        scene.neutral_event = self.neutral_event(tenant, &scene).await?;
        if let (NotificationKind::EventCancelled, Some(event)) = (block.kind, block.event) {
            let others = customers.iter().copied();
            let others: Vec<UserId> = others
                .filter(|customer| scene.bookings.get(customer).is_none_or(Vec::is_empty))
                .collect();
            if !others.is_empty() {
                let notifications = &modules.notifications;
                scene.waiting = notifications.waiting_among(tenant, event, &others).await?;
            }
        }
        if let (NotificationKind::EventUpdated, Some(event)) = (block.kind, block.event) {
            let versions: HashSet<u64> = customers
                .iter()
                .filter_map(|customer| scene.known_version(*customer))
                .collect();
            for version in versions {
                let details = modules.events.find_version(tenant, event, version);
                if let Some(details) = details.await? {
                    scene.versions.insert(version, details);
                }
            }
        }
        Ok(scene)
    }

    async fn neutral_event(&self, tenant: &TenantId, scene: &MailSource) -> Result<Option<Event>> {
        let mut users = scene.users.values();
        let (true, Some(event)) = (users.any(|user| !user.email_verified), &scene.event) else {
            return Ok(None);
        };
        let organizer = event.organizer.as_slice();
        let organizer = self.0.modules.users.find_many(tenant, organizer).await?;
        let is_unconfirmed = organizer.first().is_some_and(|user| !user.email_verified);
        Ok(is_unconfirmed.then(|| event.in_neutral_words()))
    }

    /// Ends the deliveries to unconfirmed addresses that got as many mails of the kind as they may in a day. What is counted
    /// once is let through at every further try.
    pub(super) async fn end_excess(
        &self,
        claimed: &mut ClaimedBatch,
        scene: &MailSource,
    ) -> Result<()> {
        let modules = &self.0.modules;
        let kind = claimed.block.kind;
        for index in 0..claimed.block.entries.len() {
            let entry = &claimed.block.entries[index];
            let is_open = !entry.state.is_final() && entry.state != DeliveryState::Sending;
            if !is_open || !scene.is_counted(kind, entry.customer) {
                continue;
            }
            let Some(user) = scene.users.get(&entry.customer) else {
                continue;
            };
            let key = claimed.delivery_key(index);
            if !modules
                .users
                .count_mail(user, kind, key, claimed.block.created_at)
                .await?
            {
                let reason = "the address is not confirmed, and got as many mails of this kind today as such addresses get";
                let notifications = &modules.notifications;
                notifications.end_unsent(claimed, index, DeliveryState::Suppressed, reason);
            }
        }
        Ok(())
    }

    /// Ends the deliveries of a batch that nobody wants any more, or nobody can get.
    pub(super) fn end_unwanted(&self, claimed: &mut ClaimedBatch, scene: &MailSource) {
        let now = self.0.context.now();
        for index in 0..claimed.block.entries.len() {
            let entry = &claimed.block.entries[index];
            if entry.state.is_final() || entry.state == DeliveryState::Sending {
                continue;
            }
            if let Some((state, reason)) = ending(claimed, entry, scene, now) {
                let notifications = &self.0.modules.notifications;
                notifications.end_unsent(claimed, index, state, reason);
            }
        }
    }
}

/// The state that a delivery ends in unsent, and why; `None` if it is to be sent.
fn ending(
    claimed: &ClaimedBatch,
    entry: &Entry,
    scene: &MailSource,
    now: Timestamp,
) -> Option<(DeliveryState, &'static str)> {
    let kind = claimed.block.kind;
    let wanted = |booking: &Booking| {
        entry.booking.is_none_or(|own| own == booking.id)
            && still_wanted(kind, booking, scene.status())
    };
    let bookings = scene.bookings.get(&entry.customer);
    let suppressed = |reason| Some((DeliveryState::Suppressed, reason));
    if scene.is_cancelled() {
        suppressed("the notification was cancelled before it was sent")
    } else if let Some(reason) = scene.overtaken(claimed, now) {
        suppressed(reason)
    } else if scene.unsubscribed.contains(&entry.customer) {
        suppressed("the customer has unsubscribed from mails of this kind")
    } else if scene.does_without_unverified(kind, entry.customer) {
        suppressed(
            "the customer has not confirmed the address, and announcements and reminders go to confirmed ones only",
        )
    } else if kind == NotificationKind::EmailVerification && scene.is_verified(entry.customer) {
        suppressed("the address was confirmed before it was sent")
    } else if kind == NotificationKind::WaitingListOffer {
        match scene.offer(entry) {
            Some(_) => None,
            None => suppressed("the offer had ended before it was sent"),
        }
    } else if kind.is_about_event()
        && !bookings.is_some_and(|bookings| bookings.iter().any(wanted))
        && !scene.waiting.contains(&entry.customer)
    {
        suppressed("its bookings were cancelled before it was sent")
    } else if !scene.users.contains_key(&entry.customer) {
        Some((DeliveryState::Dead, "the customer's account is gone"))
    } else {
        None
    }
}
