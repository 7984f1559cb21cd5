//! Delivering blocks: claiming them, handing their mails over, and writing down what happened.
//!
//! Called by `queues`. Calls the notifications and mails modules and the mailer port.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::SemaphorePermit, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    MailJobs, PAUSE,
    mail_source::{Common, MailSource},
};
use crate::{
    error::{Error, Result},
    modules::{
        AfterWrite, BatchAvailability, BlockTask, ClaimedBatch, MailContext, MailTicket, compose,
        still_wanted,
    },
    ports::{Lane, MailOutcome, Settlement, Templates},
    types::{
        Booking, Entry, Event, NotificationId, NotificationKind, NotificationStatus, TenantId,
        TicketStatus,
    },
};

/// How long the outcome of a mail may wait for others to be written with it. A worker that dies meanwhile leaves a
/// mail `unknown` that was sent, so it is kept far below what a send takes.
const SETTLE_WITHIN: Duration = Duration::from_millis(5);
/// After the delivery of so many parts of a window a fan-out may go on: often enough that workers don't wait for it, and
/// that the last ones of a window find it open; seldom enough that looking costs little beside eight blocks of mails.
const WINDOW_PARTS: u32 = 8;

/// When blocks of a paused notification or lane are looked at again: within seconds of being resumed, for one read of each group.
const PAUSED_LOOK: Duration = Duration::from_secs(3);

/// A block on its way, with the place of its task.
struct OnItsWay {
    index: usize,
    number: u32,
    work: JoinHandle<Result<Settlement>>,
}

impl MailJobs {
    /// Delivers blocks of one tenant, and answers what becomes of each task, in their order. What they have in common
    /// is read once. Each is sent by a task of its own, so that a panic on one ends that task and nothing else; the
    /// ledger counts it.
    pub(super) async fn deliver(
        &self,
        tenant: &TenantId,
        tasks: &[BlockTask],
        stop: &CancellationToken,
    ) -> Vec<Settlement> {
        let mut settlements = vec![Settlement::Done; tasks.len()];
        if tasks.is_empty() {
            return settlements;
        }
        let idempotent = self.0.mailer.is_idempotent();
        let notifications = &self.0.modules.notifications;
        let sights = notifications
            .sights(tenant, tasks, &self.0.holder, idempotent)
            .await;
        let sights = match sights {
            Ok(sights) => sights,
            Err(error) => {
                tracing::warn!(error = ?error, "reading delivery batches failed, will retry");
                settlements.fill(Settlement::Release(PAUSE));
                return settlements;
            }
        };
        let mut groups: Vec<(Common, Vec<(usize, ClaimedBatch)>)> = Vec::new();
        for (index, sight) in sights.into_iter().enumerate() {
            match sight {
                BatchAvailability::Open(claimed) => {
                    let common = Common::of(&claimed);
                    match groups.iter_mut().find(|(known, _)| *known == common) {
                        Some((_, group)) => group.push((index, *claimed)),
                        None => groups.push((common, vec![(index, *claimed)])),
                    }
                }
                BatchAvailability::Nothing => {}
                BatchAvailability::Held => settlements[index] = self.look_after_lease(),
            }
        }
        for (_, group) in groups {
            for (index, settlement) in self.deliver_group(tenant, group, stop).await {
                settlements[index] = settlement;
            }
        }
        settlements
    }

    /// When to look again at a block that another worker has.
    fn look_after_lease(&self) -> Settlement {
        Settlement::Release(self.0.context.settings.worker.delivery_lease)
    }

    async fn deliver_group(
        &self,
        tenant: &TenantId,
        group: Vec<(usize, ClaimedBatch)>,
        stop: &CancellationToken,
    ) -> Vec<(usize, Settlement)> {
        let blocks: Vec<&ClaimedBatch> = group.iter().map(|(_, claimed)| claimed).collect();
        let scene = match self.scene(tenant, &blocks).await {
            Ok(scene) => Arc::new(scene),
            Err(error) => {
                // They stay as they are: an error of ours is not one of the deaths that poison is known by.
                tracing::warn!(error = ?error, "loading mail content failed, will retry");
                let again = |(index, _)| (index, Settlement::Release(PAUSE));
                return group.into_iter().map(again).collect();
            }
        };
        let is_stopped = group
            .first()
            .is_some_and(|(_, claimed)| self.is_lane_paused(Lane::of(claimed.block.kind)));
        if scene.is_paused() || is_stopped {
            let later = |(index, _)| (index, Settlement::Release(PAUSED_LOOK));
            return group.into_iter().map(later).collect();
        }
        let mut on_their_way = Vec::with_capacity(group.len());
        for (index, claimed) in group {
            let (queues, scene, stop) = (self.clone(), scene.clone(), stop.clone());
            on_their_way.push(OnItsWay {
                index,
                number: claimed.block.number,
                work: tokio::spawn(async move { queues.send_block(claimed, scene, &stop).await }),
            });
        }
        let mut settlements = Vec::with_capacity(on_their_way.len());
        let window = self.0.context.settings.delivery.bulk_window_batches;
        let (every, mut list_on) = ((window / WINDOW_PARTS).clamp(1, 8), false);
        for OnItsWay {
            index,
            number,
            work,
        } in on_their_way
        {
            let settlement = match work.await {
                Ok(Ok(settlement)) => settlement,
                Ok(Err(error)) => {
                    tracing::warn!(error = ?error, "a delivery batch failed, will retry");
                    Settlement::Release(PAUSE)
                }
                Err(error) => {
                    tracing::error!(error = ?error, "delivering a batch panicked");
                    Settlement::Release(PAUSE)
                }
            };
            list_on |= number % every == every - 1;
            settlements.push((index, settlement));
        }
        let unlisted = scene.notification.as_ref().filter(|notification| {
            matches!(
                notification.status,
                NotificationStatus::Scheduled | NotificationStatus::FanningOut
            )
        });
        let goes_on = list_on && !stop.is_cancelled() && !self.is_lane_paused(Lane::Bulk);
        if let Some(notification) = unlisted.filter(|_| goes_on) {
            // Should this fail, or this worker die, the relay finds the fan-out unfinished.
            if let Err(error) = self.fan_out(tenant, notification.id, None, stop).await {
                tracing::warn!(error = ?error, "a fan-out failed; the relay will publish it again");
            }
        }
        settlements
    }

    /// Sends what a block owes now. No more mails are marked `sending` than the mailer sends at once, in all blocks
    /// together; a slow mail holds up its own slot and no other.
    async fn send_block(
        &self,
        mut claimed: ClaimedBatch,
        mut scene: Arc<MailSource>,
        stop: &CancellationToken,
    ) -> Result<Settlement> {
        let lane = Lane::of(claimed.block.kind);
        // Not claimed yet: whatever waits for its turn can be had by others.
        let turn = tokio::select! {
            turn = self.0.turns.take(&claimed.tenant, lane) => turn,
            () = stop.cancelled() => return Ok(Settlement::Release(Duration::ZERO)),
        };
        let mut turn = Some(turn);
        // After a worker died over this block, one at a time: the mail at fault is then found alone.
        let most = if claimed.careful {
            1
        } else {
            self.0.mailer.concurrency().max(1)
        };
        let notifications = &self.0.modules.notifications;
        let sign_of_life = self.0.context.settings.worker.delivery_lease / 3;
        let mut permits: Vec<Permit<'_>> = Vec::new();
        let mut sending = FuturesUnordered::new();
        let mut outcomes: Vec<(usize, MailOutcome)> = Vec::new();
        self.end_unwanted(&mut claimed, &scene);
        self.end_excess(&mut claimed, &scene).await?;
        loop {
            let now = self.0.context.now();
            let wants_more = |claimed: &ClaimedBatch| !claimed.next(now, 1).is_empty();
            if !stop.is_cancelled() && wants_more(&claimed) && permits.is_empty() {
                match timeout(sign_of_life, self.permit(lane)).await {
                    Ok(permit) => permits.push(permit?),
                    // Not yet claimed: nobody waits for a sign of life.
                    Err(_) if !claimed.is_written => continue,
                    Err(_) => {
                        let alive =
                            notifications.settle(&mut claimed, &outcomes, &[], AfterWrite::Keep);
                        outcomes.clear();
                        if !alive.await? {
                            return Ok(Settlement::Done);
                        }
                        continue;
                    }
                }
            }
            if !scene.is_fresh() && wants_more(&claimed) {
                scene = self.looked_anew(&claimed, scene).await;
                self.end_unwanted(&mut claimed, &scene);
            }
            let is_paused = scene.is_paused() || self.is_lane_paused(lane);
            let goes_on = !stop.is_cancelled() && !is_paused && wants_more(&claimed);
            while goes_on && permits.len() < most {
                let Some(permit) = self.permit_at_once(lane) else {
                    break;
                };
                permits.push(permit);
            }
            let free = permits.len().saturating_sub(sending.len());
            let due = match goes_on {
                true => claimed.next(now, free),
                false => Vec::new(),
            };
            let taken = self.0.buckets.take(&claimed.tenant, lane, due.len());
            let next: Vec<usize> = due.into_iter().take(taken.tokens).collect();
            let then = match next.is_empty() && sending.is_empty() {
                false => AfterWrite::Keep,
                true if wants_more(&claimed) => AfterWrite::Release,
                true => AfterWrite::Finish,
            };
            // At once to another worker if this one stops; later if there are no tokens.
            let handed_back = Ok(Settlement::Release(match is_paused {
                true => PAUSED_LOOK,
                false => taken.wait,
            }));
            if then == AfterWrite::Release && !claimed.is_written {
                return handed_back;
            }
            // The outcomes of the last mails and the marks of the next ones go into one write; and once it is in
            // line, others may have the slots of the last ones: their marks come behind it.
            let was_written = claimed.is_written;
            let written = notifications.settle(&mut claimed, &outcomes, &next, then);
            outcomes.clear();
            permits.truncate(sending.len() + next.len());
            if claimed.next(now, 1).is_empty() {
                drop(turn.take());
            }
            if !written.await? {
                return Ok(match was_written {
                    // Whoever took it does the rest.
                    true => Settlement::Done,
                    false => self.look_after_lease(),
                });
            }
            match then {
                AfterWrite::Keep => {}
                AfterWrite::Release => return handed_back,
                AfterWrite::Finish => return Ok(Settlement::Done),
            }
            for index in next {
                let letter = PendingMail::of(&claimed, index);
                let scene = scene.clone();
                sending.push(async move { (letter.index, self.send_one(&scene, &letter).await) });
            }
            // A mail that takes long must not make the block look abandoned: the next write is a sign of life.
            match timeout(sign_of_life, sending.next()).await {
                Ok(outcome) => outcomes.extend(outcome),
                Err(_) => continue,
            }
            // What ends at about the same time is written together.
            while let Ok(Some(outcome)) = timeout(SETTLE_WITHIN, sending.next()).await {
                outcomes.push(outcome);
            }
        }
    }

    /// Reads a block's scene anew; a store that is away for a moment leaves it as it was.
    async fn looked_anew(&self, claimed: &ClaimedBatch, scene: Arc<MailSource>) -> Arc<MailSource> {
        match self.scene(&claimed.tenant, &[claimed]).await {
            Ok(scene) => Arc::new(scene),
            Err(error) => {
                tracing::warn!(error = ?error, "reading mail content again failed");
                scene
            }
        }
    }

    /// Waits for the right to have one more mail on the wire.
    async fn permit(&self, lane: Lane) -> Result<Permit<'_>> {
        let bulk = match lane {
            // Bulk mails leave one slot to the others: a confirmation never waits for a whole block of them.
            Lane::Bulk => Some(self.0.sending_bulk.acquire().await),
            Lane::Transactional => None,
        };
        Ok(Permit {
            _bulk: bulk.transpose().map_err(Error::internal)?,
            _slot: self.0.sending.acquire().await.map_err(Error::internal)?,
        })
    }

    fn permit_at_once(&self, lane: Lane) -> Option<Permit<'_>> {
        let bulk = match lane {
            Lane::Bulk => Some(self.0.sending_bulk.try_acquire().ok()?),
            Lane::Transactional => None,
        };
        Some(Permit {
            _bulk: bulk,
            _slot: self.0.sending.try_acquire().ok()?,
        })
    }

    /// The tickets whose codes a mail shows: the first ones of what it confirms.
    fn tickets_of(
        &self,
        scene: &MailSource,
        event: Option<&Event>,
        kind: NotificationKind,
        bookings: &[Booking],
    ) -> Vec<MailTicket> {
        let (Some(codes), NotificationKind::BookingConfirmed) = (&self.0.ticket_codes, kind) else {
            return Vec::new();
        };
        let tickets = bookings.iter().flat_map(|booking| {
            (1..=booking.numbers()).filter_map(|number| booking.ticket(number))
        });
        let admitting = tickets.filter(|ticket| ticket.status != TicketStatus::Cancelled);
        let shown = admitting.take(MailContext::TICKETS_MAX).map(|ticket| {
            let mut types = event.iter().flat_map(|event| &event.ticket_types);
            let known = types.find(|kind| kind.id == ticket.ticket_type);
            MailTicket {
                number: ticket.id.number,
                name: known
                    .map_or(ticket.ticket_type.as_str(), |kind| kind.name.as_str())
                    .to_owned(),
                code: codes.code(&scene.tenant.id, ticket.id),
            }
        });
        shown.collect()
    }

    /// Sends a mail, and tells of it in the trace of the request that caused it, if that is recorded.
    async fn send_one(&self, scene: &MailSource, letter: &PendingMail) -> MailOutcome {
        let traces = self.0.context.traces.as_ref();
        let Some((traces, parent)) = traces.zip(letter.entry.trace.as_ref()) else {
            return self.send(scene, letter).await;
        };
        if letter.is_first() {
            // In the outbox, in the queue, and for its turn at a worker.
            traces.waited(parent, "queue", letter.written_at, self.0.context.now());
        }
        let span = tracing::info_span!(
            "deliver",
            kind = letter.kind.as_str(),
            attempt = letter.entry.attempts + 1,
            outcome = tracing::field::Empty
        );
        traces.go_on(&span, parent);
        let outcome = self.send(scene, letter).instrument(span.clone()).await;
        span.record("outcome", outcome.as_str());
        outcome
    }

    async fn send(&self, scene: &MailSource, letter: &PendingMail) -> MailOutcome {
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
            .filter(|booking| still_wanted(letter.kind, booking, scene.status()))
            .cloned()
            .collect();
        let event = scene.event_for(recipient);
        let previous = scene.previous_for(recipient);
        let unsubscribe_url = self
            .0
            .links
            .as_ref()
            .filter(|_| letter.kind.needs_consent())
            .map(|links| links.unsubscribe(&scene.tenant.id, entry.customer, letter.kind));
        let verify_url = self
            .0
            .links
            .as_ref()
            .filter(|_| letter.kind == NotificationKind::EmailVerification)
            .map(|links| links.verify(&scene.tenant.id, entry.customer, &recipient.email));
        if letter.kind == NotificationKind::EmailVerification && verify_url.is_none() {
            let reply = "this worker makes no links: give it `public_url` and keys".to_owned();
            return MailOutcome::Deferred { reply };
        }
        let tickets = self.tickets_of(scene, event, letter.kind, &bookings);
        let context = MailContext {
            kind: letter.kind,
            notification: letter.notification,
            tenant: &scene.tenant,
            event,
            previous: previous.as_deref(),
            announcement: scene.announcement.as_ref(),
            quarantine: scene.quarantine.as_ref(),
            unsubscribe_url: unsubscribe_url.as_deref(),
            verify_url: verify_url.as_deref(),
            recipient,
            bookings: &bookings,
            offer: scene.offer(entry),
            keeps_entry: scene.with_tickets_left.contains(&entry.customer),
            tickets: &tickets,
            mail_from: &self.0.context.settings.delivery.mail_from,
            delivery_key: &letter.delivery_key,
            // The same moment at every attempt, so that a mail sent twice is the same mail.
            now: letter.written_at,
        };
        let words = scene.words.as_ref().map(|words| words as &dyn Templates);
        match compose(words, &context).await {
            Ok(composed) => {
                let counters = &self.0.context.counters;
                if letter.is_first() {
                    let waited = self.0.context.now().duration_since(letter.written_at);
                    let waited = Duration::try_from(waited).unwrap_or_default();
                    counters.waited(Lane::of(letter.kind), waited);
                }
                let begun = Instant::now();
                let outcome = self.0.mailer.send(&composed.mail).await;
                counters.mail(Lane::of(letter.kind), &outcome, begun.elapsed());
                tracing::debug!(message_id = composed.message_id, ?outcome, "mail sent");
                outcome
            }
            Err(error) => refused(format!(
                "the mail could not be composed: {}",
                error.detail()
            )),
        }
    }
}

/// The right to have one mail on the wire.
struct Permit<'a> {
    _bulk: Option<SemaphorePermit<'a>>,
    _slot: SemaphorePermit<'a>,
}

/// One delivery on its way out, apart from its block, which is written meanwhile.
struct PendingMail {
    index: usize,
    entry: Entry,
    delivery_key: String,
    kind: NotificationKind,
    notification: NotificationId,
    written_at: jiff::Timestamp,
}

impl PendingMail {
    fn of(claimed: &ClaimedBatch, index: usize) -> Self {
        Self {
            index,
            entry: claimed.block.entries[index].clone(),
            delivery_key: claimed.delivery_key(index),
            kind: claimed.block.kind,
            notification: claimed.block.notification,
            written_at: claimed.block.created_at,
        }
    }

    /// Whether nobody has tried to send it before.
    fn is_first(&self) -> bool {
        self.entry.at.is_none() && self.entry.attempts == 0 && self.entry.lost == 0
    }
}
