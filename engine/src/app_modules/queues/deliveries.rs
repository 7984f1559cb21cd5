//! Delivering a block: who still wants the mail, its words, handing it over, and writing down what happened.
//!
//! Called by `queues`. Calls the notifications, users, events, tenants and mails modules and the mailer port.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};

use super::Queues;
use crate::{
    Error, Result,
    modules::{ClaimOutcome, ClaimedBlock, MailContext, compose, still_wanted},
    ports::{MailOutcome, Settlement},
    types::{
        Announcement, Booking, DeliveryState, Entry, Event, EventDetails, NotificationId,
        NotificationKind, StoredNotification, Tenant, TenantId, User, UserId,
    },
};

/// How long the outcome of a mail may wait for others to be written with it. A worker that dies meanwhile leaves a
/// mail `unknown` that was sent, so it is kept far below what a send takes.
const SETTLE_WITHIN: Duration = Duration::from_millis(5);

/// Everything that the mails of one block are made of.
struct Scene {
    tenant: Tenant,
    event: Event,
    notification: Option<StoredNotification>,
    announcement: Option<Announcement>,
    /// Customers who do without mails of this kind.
    unsubscribed: HashSet<UserId>,
    users: HashMap<UserId, User>,
    bookings: HashMap<UserId, Vec<Booking>>,
    /// What older versions of the event said, as far as this block needs them.
    versions: HashMap<u64, EventDetails>,
}

impl Queues {
    pub(super) async fn deliver(
        &self,
        tenant: &TenantId,
        notification: NotificationId,
        number: u32,
        stopping: impl Fn() -> bool + Send,
    ) -> Result<Settlement> {
        let mailer = self.0.mailer.as_ref();
        let notifications = &self.0.modules.notifications;
        let claim = notifications
            .claim(
                tenant,
                notification,
                number,
                &self.0.holder,
                mailer.is_idempotent(),
            )
            .await?;
        let mut claimed = match claim {
            ClaimOutcome::Claimed(claimed) => *claimed,
            ClaimOutcome::Nothing => return Ok(Settlement::Done),
            ClaimOutcome::Held => {
                return Ok(Settlement::Release(
                    self.0.surroundings.settings.delivery_lease,
                ));
            }
        };
        let scene = match self.scene(&claimed).await {
            Ok(scene) => scene,
            Err(error) => {
                // Given back as it is: an error of ours is not one of the deaths that poison is known by.
                self.write_down(&mut claimed, &mut Vec::new(), &[], true)
                    .await?;
                return Err(error);
            }
        };
        self.set_aside_unwanted(&mut claimed, &scene);
        self.send_all(&mut claimed, &scene, stopping).await?;
        Ok(Settlement::Done)
    }

    /// Sends what a block owes now. No more mails are marked `sending` than the mailer sends at once, in all blocks
    /// together; a slow mail holds up its own slot and no other.
    async fn send_all(
        &self,
        claimed: &mut ClaimedBlock,
        scene: &Scene,
        stopping: impl Fn() -> bool,
    ) -> Result<()> {
        let slots = &self.0.sending;
        // Bulk mails leave one slot to the others: a confirmation never waits for a whole block of them.
        let bulk = !claimed.block.kind.is_transactional();
        let acquire = || async {
            let bulk = if bulk {
                Some(self.0.sending_bulk.acquire().await?)
            } else {
                None
            };
            Ok::<_, tokio::sync::AcquireError>((bulk, slots.acquire().await?))
        };
        let try_acquire = || {
            let bulk = if bulk {
                Some(self.0.sending_bulk.try_acquire().ok()?)
            } else {
                None
            };
            Some((bulk, slots.try_acquire().ok()?))
        };
        // After a worker died over this block, one at a time: the mail at fault is then found alone.
        let most = if claimed.careful {
            1
        } else {
            self.0.mailer.concurrency().max(1)
        };
        let sign_of_life = self.0.surroundings.settings.delivery_lease / 3;
        let mut permits = Vec::new();
        let mut sending = FuturesUnordered::new();
        let mut outcomes: Vec<(usize, MailOutcome)> = Vec::new();
        loop {
            let now = self.0.surroundings.now();
            let wants_more = !stopping() && !claimed.next(now, 1).is_empty();
            if wants_more && permits.is_empty() {
                match tokio::time::timeout(sign_of_life, acquire()).await {
                    Ok(permit) => permits.push(permit.map_err(Error::internal)?),
                    Err(_) => {
                        if !self.write_down(claimed, &mut outcomes, &[], false).await? {
                            return Ok(());
                        }
                        continue;
                    }
                }
            }
            while wants_more && permits.len() < most {
                let Some(permit) = try_acquire() else {
                    break;
                };
                permits.push(permit);
            }
            let free = permits.len().saturating_sub(sending.len());
            let next = if wants_more {
                claimed.next(now, free)
            } else {
                Vec::new()
            };
            // The outcomes of the last mails and the marks of the next ones go into one write.
            let last = next.is_empty() && sending.is_empty();
            let ours = self.write_down(claimed, &mut outcomes, &next, last).await?;
            if !ours || last {
                return Ok(());
            }
            permits.truncate(sending.len() + next.len());
            for index in next {
                let letter = Letter::of(claimed, index);
                sending.push(async move { (letter.index, self.send_one(scene, &letter).await) });
            }
            // A mail that takes long must not make the block look abandoned: the next write is a sign of life.
            match tokio::time::timeout(sign_of_life, sending.next()).await {
                Ok(outcome) => outcomes.extend(outcome),
                Err(_) => continue,
            }
            // What ends at about the same time is written together.
            while let Ok(Some(outcome)) = tokio::time::timeout(SETTLE_WITHIN, sending.next()).await
            {
                outcomes.push(outcome);
            }
        }
    }

    /// Writes outcomes and marks, and forgets the outcomes. Answers whether the block is still ours.
    async fn write_down(
        &self,
        claimed: &mut ClaimedBlock,
        outcomes: &mut Vec<(usize, MailOutcome)>,
        sending: &[usize],
        last: bool,
    ) -> Result<bool> {
        let notifications = &self.0.modules.notifications;
        let ours = notifications
            .settle(claimed, outcomes, sending, last)
            .await?;
        outcomes.clear();
        Ok(ours)
    }

    async fn scene(&self, claimed: &ClaimedBlock) -> Result<Scene> {
        let modules = &self.0.modules;
        let block = &claimed.block;
        let tenant = modules.tenants.get(&claimed.tenant).await?;
        let event = modules.events.find(&claimed.tenant, block.event).await?;
        let event = event.ok_or_else(|| Error::internal("the event of a delivery is gone"))?;
        let open: Vec<usize> = (0..block.entries.len())
            .filter(|index| !block.entries[*index].state.is_final())
            .collect();
        let customers: Vec<UserId> = open
            .iter()
            .map(|index| block.entries[*index].customer)
            .collect();
        let users = modules.users.find_many(&claimed.tenant, &customers).await?;
        let bookings = modules.notifications.bookings_of(claimed, &open).await?;
        let notification = if block.kind.is_transactional() {
            None
        } else {
            modules
                .notifications
                .stored(&claimed.tenant, block.notification)
                .await?
        };
        let announcement = match block.kind {
            NotificationKind::EventAnnouncement => {
                modules
                    .announcements
                    .find(&claimed.tenant, block.notification)
                    .await?
            }
            _ => None,
        };
        let unsubscribed = modules
            .subscriptions
            .unsubscribed(&claimed.tenant, block.kind, &customers)
            .await?;
        let mut scene = Scene {
            tenant,
            event,
            notification,
            announcement,
            unsubscribed,
            users: users.into_iter().map(|user| (user.id, user)).collect(),
            bookings,
            versions: HashMap::new(),
        };
        if block.kind == NotificationKind::EventUpdated {
            for customer in customers {
                if let Some(version) = scene.known_version(customer)
                    && !scene.versions.contains_key(&version)
                    && let Some(details) = modules
                        .events
                        .find_version(&claimed.tenant, block.event, version)
                        .await?
                {
                    scene.versions.insert(version, details);
                }
            }
        }
        Ok(scene)
    }

    fn set_aside_unwanted(&self, claimed: &mut ClaimedBlock, scene: &Scene) {
        let now = self.0.surroundings.now();
        for index in 0..claimed.block.entries.len() {
            let entry = &claimed.block.entries[index];
            if entry.state.is_final() {
                continue;
            }
            let kind = claimed.block.kind;
            let wanted = |booking: &Booking| {
                entry.booking.is_none_or(|own| own == booking.id)
                    && still_wanted(kind, booking, scene.event.status)
            };
            let bookings = scene.bookings.get(&entry.customer);
            if let Some(reason) = scene.overtaken(claimed, now) {
                let state = DeliveryState::Suppressed;
                let notifications = &self.0.modules.notifications;
                notifications.set_aside(claimed, index, state, reason);
            } else if scene.unsubscribed.contains(&entry.customer) {
                let reason = "the customer has unsubscribed from mails of this kind";
                let state = DeliveryState::Suppressed;
                let notifications = &self.0.modules.notifications;
                notifications.set_aside(claimed, index, state, reason);
            } else if !bookings.is_some_and(|bookings| bookings.iter().any(wanted)) {
                let reason = "its bookings were cancelled before it was sent";
                self.0.modules.notifications.set_aside(
                    claimed,
                    index,
                    DeliveryState::Suppressed,
                    reason,
                );
            } else if !scene.users.contains_key(&entry.customer) {
                let reason = "the customer's account is gone";
                self.0
                    .modules
                    .notifications
                    .set_aside(claimed, index, DeliveryState::Dead, reason);
            }
        }
    }

    async fn send_one(&self, scene: &Scene, letter: &Letter) -> MailOutcome {
        let entry = &letter.entry;
        let refused = |reply: String| MailOutcome::Refused { reply };
        let Some(recipient) = scene.users.get(&entry.customer) else {
            return refused("the customer's account is gone".to_owned());
        };
        let bookings: Vec<Booking> = scene
            .bookings
            .get(&entry.customer)
            .into_iter()
            .flatten()
            .filter(|booking| entry.booking.is_none_or(|own| own == booking.id))
            .filter(|booking| still_wanted(letter.kind, booking, scene.event.status))
            .cloned()
            .collect();
        let known = scene.known_version(entry.customer);
        let unsubscribe_url = self
            .0
            .links
            .as_ref()
            .filter(|_| !letter.kind.is_transactional())
            .map(|links| links.unsubscribe(&scene.tenant.id, entry.customer, letter.kind));
        let context = MailContext {
            kind: letter.kind,
            notification: letter.notification,
            tenant: &scene.tenant,
            event: &scene.event,
            previous: known.and_then(|version| scene.versions.get(&version)),
            announcement: scene.announcement.as_ref(),
            unsubscribe_url: unsubscribe_url.as_deref(),
            recipient,
            bookings: &bookings,
            mail_from: &self.0.surroundings.settings.mail_from,
            delivery_key: &letter.delivery_key,
            // The same moment at every attempt, so that a mail sent twice is the same mail.
            now: letter.written_at,
        };
        match compose(self.0.templates.as_deref(), &context).await {
            Ok(composed) => {
                let outcome = self.0.mailer.send(&composed.mail).await;
                tracing::debug!(
                    message_id = composed.message_id,
                    ?outcome,
                    "mail handed over"
                );
                outcome
            }
            Err(error) => refused(format!(
                "the mail could not be composed: {}",
                error.detail()
            )),
        }
    }
}

/// One delivery on its way out, apart from its block, which is written meanwhile.
struct Letter {
    index: usize,
    entry: Entry,
    delivery_key: String,
    kind: NotificationKind,
    notification: NotificationId,
    written_at: jiff::Timestamp,
}

impl Letter {
    fn of(claimed: &ClaimedBlock, index: usize) -> Self {
        Self {
            index,
            entry: claimed.block.entries[index].clone(),
            delivery_key: claimed.delivery_key(index),
            kind: claimed.block.kind,
            notification: claimed.block.notification,
            written_at: claimed.block.created_at,
        }
    }
}

impl Scene {
    /// Why a reminder comes too late for everybody, if it does.
    fn overtaken(&self, claimed: &ClaimedBlock, now: jiff::Timestamp) -> Option<&'static str> {
        if claimed.block.kind != NotificationKind::EventReminder {
            return None;
        }
        let newest = self.event.reminder.map(|reminder| reminder.notification);
        if newest != Some(claimed.block.notification) {
            Some("the event was moved, and another reminder follows")
        } else if self.event.details.starts_at <= now {
            Some("the event had begun before it was sent")
        } else {
            None
        }
    }

    /// The version of the event that a customer last heard of: the one they booked, or the one before this change.
    fn known_version(&self, customer: UserId) -> Option<u64> {
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
