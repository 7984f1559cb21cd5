//! Sending the mails of one batch through the mailer: permits, rates, pauses and signs of life. What is sent, and what
//! becomes of it, the notifications module decides.
//!
//! Called by the delivery of batches. Calls the notifications module and the mailer port.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::{
    sync::{OwnedMutexGuard, SemaphorePermit},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{MailJobs, PAUSED_LOOK, tenant_templates::TenantTemplates};
use crate::{
    error::{Error, Result},
    modules::{AfterWrite, ClaimedBatch, MailSource, PendingMail},
    ports::{Lane, MailOutcome, Settlement, Templates},
};

/// How long the outcome of a mail may wait for others to be written with it. If the worker dies meanwhile, a sent
/// mail becomes `unknown`, so this is far shorter than a send.
const SETTLE_WITHIN: Duration = Duration::from_millis(5);

/// What the mails of a batch are made of.
#[derive(Clone)]
pub(super) struct BatchContent {
    pub(super) source: Arc<MailSource>,
    /// The tenant's or the platform's templates; `None` for the built-in ones.
    pub(super) templates: Option<Arc<TenantTemplates>>,
}

/// The permit to send one mail.
struct Permit<'a> {
    _bulk: Option<SemaphorePermit<'a>>,
    _slot: SemaphorePermit<'a>,
}

/// A batch that is being sent.
struct BatchSender<'a> {
    jobs: &'a MailJobs,
    claimed: ClaimedBatch,
    content: BatchContent,
    lane: Lane,
    /// The tenant's right to take connections, until nothing more is to be sent.
    tenant_lock: Option<OwnedMutexGuard<()>>,
    /// For the mails that are being sent, and for those that are chosen next.
    permits: Vec<Permit<'a>>,
    sending: FuturesUnordered<BoxFuture<'a, (usize, MailOutcome)>>,
    /// Outcomes that are not recorded yet.
    outcomes: Vec<(usize, MailOutcome)>,
}

/// The deliveries that are sent next, by index, and how the batch is left meanwhile.
struct NextStep {
    deliveries: Vec<usize>,
    then: AfterWrite,
    /// How the task ends if the batch is handed back.
    handed_back: Settlement,
}

impl MailJobs {
    /// Sends what is due of a batch. No more mails are marked `sending` than the mailer sends at once, in all batches
    /// together. A slow mail only blocks its own slot.
    pub(super) async fn send_batch(
        &self,
        mut claimed: ClaimedBatch,
        content: BatchContent,
        stop: &CancellationToken,
    ) -> Result<Settlement> {
        let lane = claimed.lane();
        // Not claimed yet: other workers can take a waiting batch.
        let tenant_lock = tokio::select! {
            lock = self.0.tenant_locks.lock(&claimed.tenant, lane) => lock,
            () = stop.cancelled() => return Ok(Settlement::Release(Duration::ZERO)),
        };
        let notifications = &self.0.modules.notifications;
        notifications
            .end_excess(&mut claimed, &content.source)
            .await?;
        let mut sender = BatchSender {
            jobs: self,
            claimed,
            content,
            lane,
            tenant_lock: Some(tenant_lock),
            permits: Vec::new(),
            sending: FuturesUnordered::new(),
            outcomes: Vec::new(),
        };
        loop {
            if let Some(settlement) = sender.step(stop).await? {
                return Ok(settlement);
            }
        }
    }

    /// Waits for a permit to send one more mail.
    async fn permit(&self, lane: Lane) -> Result<Permit<'_>> {
        let bulk = match lane {
            // Bulk mails leave one slot to the others: a confirmation never waits for a whole batch of them.
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

    /// Sends a mail, with a span in the trace of the causing request, if that is recorded.
    async fn send_traced(
        &self,
        mail: &PendingMail,
        templates: Option<&dyn Templates>,
    ) -> MailOutcome {
        let traces = self.0.context.traces.as_ref();
        let Some((traces, parent)) = traces.zip(mail.trace()) else {
            return self.send(mail, templates).await;
        };
        if mail.is_first() {
            // The time in the outbox, in the queue, and at the worker.
            traces.waited(parent, "queue", mail.written_at, self.0.context.now());
        }
        let span = tracing::info_span!(
            "deliver",
            kind = mail.kind().as_str(),
            attempt = mail.attempt(),
            outcome = tracing::field::Empty
        );
        traces.go_on(&span, parent);
        let outcome = self.send(mail, templates).instrument(span.clone()).await;
        span.record("outcome", outcome.as_str());
        outcome
    }

    async fn send(&self, mail: &PendingMail, templates: Option<&dyn Templates>) -> MailOutcome {
        let composed = match mail.compose(templates).await {
            Ok(composed) => composed,
            Err(outcome) => return outcome,
        };
        let counters = &self.0.context.counters;
        if mail.is_first() {
            let waited = self.0.context.now().duration_since(mail.written_at);
            let waited = Duration::try_from(waited).unwrap_or_default();
            counters.waited(mail.lane(), waited);
        }
        let begun = Instant::now();
        let outcome = self.0.mailer.send(&composed.mail).await;
        let outcome = outcome.without(&composed.mail.to);
        counters.mail(mail.lane(), &outcome, begun.elapsed());
        tracing::debug!(message_id = composed.message_id, ?outcome, "mail sent");
        outcome
    }
}

impl BatchSender<'_> {
    /// Records what was sent, sends what is due, and waits for an outcome. Returns what becomes of the batch's task once
    /// nothing more is to be done here.
    async fn step(&mut self, stop: &CancellationToken) -> Result<Option<Settlement>> {
        let now = self.jobs.0.context.now();
        if !stop.is_cancelled() && self.claimed.has_due(now) && self.permits.is_empty() {
            match timeout(self.sign_of_life(), self.jobs.permit(self.lane)).await {
                Ok(permit) => self.permits.push(permit?),
                // Not claimed yet: no heartbeat is needed.
                Err(_) if !self.claimed.is_written => return Ok(None),
                Err(_) => {
                    let is_ours = self.record(&[], AfterWrite::Keep, now).await?;
                    return Ok((!is_ours).then_some(Settlement::Done));
                }
            }
        }
        if !self.content.source.is_fresh() && self.claimed.has_due(now) {
            self.refresh().await;
        }
        let next = self.next_step(now, stop);
        let is_untouched = !self.claimed.is_written && self.outcomes.is_empty();
        if next.then == AfterWrite::Release && is_untouched {
            return Ok(Some(next.handed_back));
        }
        let was_written = self.claimed.is_written;
        if !self.record(&next.deliveries, next.then, now).await? {
            return Ok(Some(match was_written {
                // The worker that took it over does the rest.
                true => Settlement::Done,
                false => self.jobs.look_after_lease(),
            }));
        }
        match next.then {
            AfterWrite::Keep => {}
            AfterWrite::Release => return Ok(Some(next.handed_back)),
            AfterWrite::Finish => return Ok(Some(Settlement::Done)),
        }
        self.send(next.deliveries);
        self.collect_outcomes().await;
        Ok(None)
    }

    /// Reads again what the mails are made of.
    async fn refresh(&mut self) {
        let notifications = &self.jobs.0.modules.notifications;
        let known = self.content.source.clone();
        self.content.source = notifications
            .refreshed_source(&mut self.claimed, known)
            .await;
        let (tenant, kind) = (&self.claimed.tenant, self.claimed.batch.kind);
        self.content.templates = self.jobs.templates(tenant, kind).await;
    }

    /// How long the batch may stay unwritten before it looks abandoned to others.
    fn sign_of_life(&self) -> Duration {
        self.jobs.0.context.settings.worker.delivery_lease / 3
    }

    /// Chooses what is sent next: as much as there are permits and tokens for.
    fn next_step(&mut self, now: Timestamp, stop: &CancellationToken) -> NextStep {
        let has_due = self.claimed.has_due(now);
        let is_paused = self.content.source.is_paused() || self.jobs.is_lane_paused(self.lane);
        let goes_on = !stop.is_cancelled() && !is_paused && has_due;
        // After a worker died over this batch, one at a time: the mail at fault is then found alone.
        let most = match self.claimed.careful {
            true => 1,
            false => self.jobs.0.mailer.concurrency().max(1),
        };
        while goes_on && self.permits.len() < most {
            let Some(permit) = self.jobs.permit_at_once(self.lane) else {
                break;
            };
            self.permits.push(permit);
        }
        let free = self.permits.len().saturating_sub(self.sending.len());
        let mut deliveries = match goes_on {
            true => self.claimed.next(now, free),
            false => Vec::new(),
        };
        let buckets = &self.jobs.0.buckets;
        let taken = buckets.take(&self.claimed.tenant, self.lane, deliveries.len());
        deliveries.truncate(taken.tokens);
        let then = match deliveries.is_empty() && self.sending.is_empty() {
            false => AfterWrite::Keep,
            true if has_due => AfterWrite::Release,
            true => AfterWrite::Finish,
        };
        NextStep {
            deliveries,
            then,
            // At once to another worker if this one stops; later if there are no tokens.
            handed_back: Settlement::Release(match is_paused {
                true => PAUSED_LOOK,
                false => taken.wait,
            }),
        }
    }

    /// Records the outcomes of the last mails and marks the next ones where they need a mark, in one write. Once it is in line, others may have
    /// the permits of the last ones: their marks come behind it. Returns whether the batch was still ours.
    async fn record(&mut self, next: &[usize], then: AfterWrite, now: Timestamp) -> Result<bool> {
        let notifications = &self.jobs.0.modules.notifications;
        let is_unmarked = self.outcomes.is_empty()
            && then == AfterWrite::Keep
            && notifications.send_unmarked(&mut self.claimed, next);
        let written = (!is_unmarked)
            .then(|| notifications.record(&mut self.claimed, &self.outcomes, next, then));
        self.outcomes.clear();
        self.permits.truncate(self.sending.len() + next.len());
        if !self.claimed.has_due(now) {
            drop(self.tenant_lock.take());
        }
        match written {
            Some(written) => written.await,
            None => Ok(true),
        }
    }

    fn send(&mut self, deliveries: Vec<usize>) {
        for index in deliveries {
            let mail = PendingMail::of(&self.content.source, &self.claimed, index);
            let (jobs, templates) = (self.jobs, self.content.templates.clone());
            let work = async move {
                let templates = templates.as_deref().map(|own| own as &dyn Templates);
                (index, jobs.send_traced(&mail, templates).await)
            };
            self.sending.push(work.boxed());
        }
    }

    /// Waits for an outcome, and for those that come at about the same time: they are written together. A mail that takes
    /// long must not make the batch look abandoned, so the wait ends for a sign of life.
    async fn collect_outcomes(&mut self) {
        match timeout(self.sign_of_life(), self.sending.next()).await {
            Ok(outcome) => self.outcomes.extend(outcome),
            Err(_) => return,
        }
        while let Ok(Some(outcome)) = timeout(SETTLE_WITHIN, self.sending.next()).await {
            self.outcomes.push(outcome);
        }
    }
}
