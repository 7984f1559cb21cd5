//! Delivering a block: who still wants the mail, its words, handing it over, and writing down what happened.
//!
//! Called by `queues`. Calls the notifications, users, events, tenants and mails modules and the mailer port.

use std::collections::HashMap;

use futures::{StreamExt as _, stream::FuturesUnordered};

use super::queues::Queues;
use crate::{
    Error, Result,
    modules::{ClaimOutcome, ClaimedBlock, MailContext, compose, still_wanted},
    ports::{MailOutcome, Settlement},
    types::{
        Booking, DeliveryState, Event, EventDetails, NotificationId, NotificationKind,
        StoredNotification, Tenant, TenantId, User, UserId,
    },
};

/// Everything that the mails of one block are made of.
struct Scene {
    tenant: Tenant,
    event: Event,
    notification: Option<StoredNotification>,
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
        let scene = self.scene(&claimed).await?;
        self.set_aside_unwanted(&mut claimed, &scene);
        let mut outcomes: Vec<(usize, MailOutcome)> = Vec::new();
        loop {
            let next = if stopping() {
                Vec::new()
            } else {
                claimed.next(self.0.surroundings.now(), mailer.concurrency())
            };
            // The outcomes of the last mails and the marks of the next ones go into one write.
            if !notifications.settle(&mut claimed, &outcomes, &next).await? || next.is_empty() {
                return Ok(Settlement::Done);
            }
            outcomes = self.send(&claimed, &scene, &next).await;
        }
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
        let mut scene = Scene {
            tenant,
            event,
            notification,
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
            if !bookings.is_some_and(|bookings| bookings.iter().any(wanted)) {
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

    /// Sends some deliveries at the same time; they are marked as `sending` already.
    async fn send(
        &self,
        claimed: &ClaimedBlock,
        scene: &Scene,
        indexes: &[usize],
    ) -> Vec<(usize, MailOutcome)> {
        let sends: FuturesUnordered<_> = indexes
            .iter()
            .map(|index| async move { (*index, self.send_one(claimed, scene, *index).await) })
            .collect();
        sends.collect().await
    }

    async fn send_one(&self, claimed: &ClaimedBlock, scene: &Scene, index: usize) -> MailOutcome {
        let entry = &claimed.block.entries[index];
        let refused = |reply: String| MailOutcome::Refused { reply };
        let Some(recipient) = scene.users.get(&entry.customer) else {
            return refused("the customer's account is gone".to_owned());
        };
        let kind = claimed.block.kind;
        let bookings: Vec<Booking> = scene
            .bookings
            .get(&entry.customer)
            .into_iter()
            .flatten()
            .filter(|booking| entry.booking.is_none_or(|own| own == booking.id))
            .filter(|booking| still_wanted(kind, booking, scene.event.status))
            .cloned()
            .collect();
        let previous = scene
            .known_version(entry.customer)
            .and_then(|version| scene.versions.get(&version));
        let context = MailContext {
            kind,
            notification: claimed.block.notification,
            tenant: &scene.tenant,
            event: &scene.event,
            previous,
            recipient,
            bookings: &bookings,
            mail_from: &self.0.surroundings.settings.mail_from,
            delivery_key: &claimed.delivery_key(index),
            // The same moment at every attempt, so that a mail sent twice is the same mail.
            now: claimed.block.created_at,
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

impl Scene {
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
