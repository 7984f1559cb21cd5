//! The policy check that every booking passes: which policies are asked, in which order, and again if what they saw has
//! changed. What their answers mean is the rule of `modules/bookings/policy_check`.
//!
//! Called by the use cases of bookings and holds. Calls the plugins, bookings and events modules and the policy ports.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::{
        BeforeCancelling, BeforePolicies, BookingIntent, CancelDecision, Placement, PolicyDecision,
        RequestedBooking, RequestedCancellation,
        policy_check::{
            BookingCheck, PolicyOutcome, accepted, cancellation_question, cancellation_view,
            depends_on_set, native_outcome, show_identity,
        },
    },
    ports::{CancellationView, Decision, HookFailure, judge_booking, judge_cancellation},
    types::{Booking, Event, EventId, PluginSet, TenantId},
};

/// Longest time for a native policy; plugins have limits of their own.
const NATIVE_TIME_MAX: Duration = Duration::from_secs(5);
/// How often policies are asked about one request before it is given up: what they see may change each time.
const DECISIONS_MAX: u32 = 3;

/// The result of the policy check of a booking.
enum PolicyCheck {
    Decided(PolicyDecision),
    /// The same request was answered before.
    Recorded(Placement),
}

impl EngineContext {
    /// Asks the policies, then writes the guarded transaction, and again if what the policies saw has changed. A confirmation
    /// keeps the decision that its hold was made with; an offer's hold was made without one, and is decided about now.
    ///
    /// # Errors
    /// Those of the policies and of the transaction; `conflict-try-again`.
    pub(in crate::app_modules) async fn check_policies(
        &self,
        tenant: &TenantId,
        mut request: RequestedBooking,
    ) -> Result<Placement> {
        let modules = &self.modules;
        request.receipts = self.receipt_rule(tenant).await?;
        if let Err(refusal) = self.compare_details(tenant, &mut request, false).await {
            return self.answered_before(tenant, &request, refusal).await;
        }
        let mut set = modules.plugins.set(tenant).await?;
        // A confirmation that turns out to be of an offer has spent one try on that, and so have details that must be compared again.
        let is_confirmation = matches!(request.intent, BookingIntent::Confirm(_));
        for _ in 0..=DECISIONS_MAX + u32::from(is_confirmation) {
            request.policy_version = set.version;
            request.decision = None;
            let mut arrival = None;
            let is_decided_here = !matches!(request.intent, BookingIntent::Confirm(_));
            if is_decided_here && self.has_policies(&set, request.event) {
                arrival = Some(modules.bookings.announce(tenant, request.event));
                match self.ask_about_booking(tenant, &request, &set).await {
                    Ok(PolicyCheck::Recorded(placement)) => return Ok(placement),
                    Ok(PolicyCheck::Decided(decision)) => request.decision = Some(decision),
                    Err(refusal) => match self.newer_set(tenant, &set, &refusal).await {
                        Some(newer) => {
                            set = newer;
                            continue;
                        }
                        None => return Err(self.rejected(tenant, &request, refusal).await),
                    },
                }
            }
            match modules
                .bookings
                .place_announced(tenant, request.clone(), arrival)
                .await?
            {
                Placement::PolicyStale => set = modules.plugins.fresh_set(tenant).await?,
                Placement::DetailsStale => {
                    self.compare_details(tenant, &mut request, true).await?;
                }
                Placement::Offered(hold) => request.intent = BookingIntent::AcceptOffer(hold.id),
                placement => return Ok(placement),
            }
        }
        Err(kept_changing())
    }

    /// The answer that a request with a key got before its details were refused, because the event has changed since.
    async fn answered_before(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
        refusal: Error,
    ) -> Result<Placement> {
        if request.idempotency.is_none() {
            return Err(refusal);
        }
        match self.modules.bookings.before_policies(tenant, request).await {
            Ok(BeforePolicies::Answered(placement)) => Ok(placement),
            Err(error) if error.code() == ErrorCode::IdempotencyKeyReused => Err(error),
            Ok(BeforePolicies::Open(_)) | Err(_) => Err(refusal),
        }
    }

    /// What the policies decide about a request now; `None` if nobody is to be asked. For quotes.
    ///
    /// # Errors
    /// Those of the policies.
    pub(super) async fn decision_of(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
    ) -> Result<Option<PolicyDecision>> {
        let plugins = &self.modules.plugins;
        let mut set = plugins.set(tenant).await?;
        for _ in 0..DECISIONS_MAX {
            if !self.has_policies(&set, request.event) {
                return Ok(None);
            }
            match self.ask_about_booking(tenant, request, &set).await {
                Ok(PolicyCheck::Decided(decision)) => return Ok(Some(decision)),
                Ok(PolicyCheck::Recorded(_)) => break,
                Err(refusal) => match self.newer_set(tenant, &set, &refusal).await {
                    Some(newer) => set = newer,
                    None => return Err(refusal),
                },
            }
        }
        Err(kept_changing())
    }

    /// Cancels if the policies accept. Their input must not be stale when the cancellation is written.
    ///
    /// # Errors
    /// As `check_policies`.
    pub(super) async fn cancel_by_customer(
        &self,
        tenant: &TenantId,
        request: RequestedCancellation,
    ) -> Result<Booking> {
        let (modules, event) = (&self.modules, request.booking.event());
        let mut set = modules.plugins.set(tenant).await?;
        for _ in 0..DECISIONS_MAX {
            let mut decision = CancelDecision {
                policy_version: set.version,
                seen: None,
            };
            if self.has_policies(&set, event) {
                let before = modules.bookings.before_cancelling(tenant, &request);
                let (booking, lines, tickets) = match before.await? {
                    BeforeCancelling::Answered(booking) => return Ok(booking),
                    BeforeCancelling::Open {
                        booking,
                        lines,
                        tickets_in_event,
                    } => (booking, lines, tickets_in_event),
                };
                let event = modules.events.find(tenant, event).await?;
                let event = event.ok_or_else(|| Error::not_found("event", booking.event))?;
                let (what, now) = ((&booking, lines.as_slice()), self.context.now());
                let view = cancellation_view(tenant, what, &event, tickets, now);
                let asked = self.ask_about_cancellation(&view, (&booking, &event), &set);
                if let Err(refusal) = asked.await {
                    let newer = self.newer_set(tenant, &set, &refusal).await;
                    set = newer.ok_or(refusal)?;
                    continue;
                }
                decision.seen = Some((event.version, tickets));
            }
            let cancelled = modules.bookings.cancel(tenant, &request, Some(decision));
            match cancelled.await? {
                Some(booking) => return Ok(booking),
                None => set = modules.plugins.fresh_set(tenant).await?,
            }
        }
        Err(kept_changing())
    }

    /// Whether anybody is to be asked about an event's bookings.
    fn has_policies(&self, set: &PluginSet, event: EventId) -> bool {
        !self.policies.is_empty() || set.policies_of(event).next().is_some()
    }

    /// Asks every policy about a booking, in order. Each sees the prices after the one before. The first rejection ends it.
    async fn ask_about_booking(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
        set: &PluginSet,
    ) -> Result<PolicyCheck> {
        let modules = &self.modules;
        let before = modules.bookings.before_policies(tenant, request);
        let input = match before.await? {
            BeforePolicies::Answered(placement) => return Ok(PolicyCheck::Recorded(placement)),
            BeforePolicies::Open(input) => input,
        };
        let events = &modules.events;
        let event = events.at_version(tenant, request.event, input.event_version);
        let event = event.await?;
        let event = event.ok_or_else(|| Error::not_found("event", request.event))?;
        let now = self.context.now();
        let mut check = BookingCheck::new(tenant, request, &event, &input, now)?;
        for policy in &self.policies {
            let answer = native(policy.validate_booking(&check.view)).await;
            let judged = |decision| judge_booking(&check.view, decision);
            let outcome = native_outcome(answer, judged, policy.when_not_loaded())?;
            check.apply(outcome)?;
        }
        self.ask_plugins(tenant, (request, &event), set, &mut check)
            .await?;
        Ok(PolicyCheck::Decided(check.decision()))
    }

    /// Asks the policies of the tenant's set, uploaded and built-in ones, in its order.
    async fn ask_plugins<'a>(
        &self,
        tenant: &TenantId,
        (request, event): (&RequestedBooking, &Event),
        set: &'a PluginSet,
        check: &mut BookingCheck<'a>,
    ) -> Result<()> {
        let customer = request.customer;
        let (mut question, mut read) = (None, None);
        for plugin in set.policies_of(request.event) {
            let user = self.identity(tenant, plugin, customer, &mut read).await?;
            let outcome = if plugin.name.built_in().is_some() {
                self.ask_built_in(tenant, plugin, user, check)?
            } else {
                let question = question.get_or_insert_with(|| check.question(event));
                check.show_prices(question);
                show_identity(question, user.map(|user| (user, &check.view.details)));
                let record = Some(&mut check.record);
                self.ask_plugin(tenant, plugin, customer, question, record)
                    .await?
            };
            if let PolicyOutcome::Answered(Decision::Reject { .. }) = &outcome {
                let record = || check.record.text();
                self.modules.plugins.sample_refusal(tenant, record);
            }
            check.apply(outcome)?;
        }
        Ok(())
    }

    /// Asks every policy about a customer's cancellation; the first no stops. Built-in policies accept each.
    async fn ask_about_cancellation(
        &self,
        view: &CancellationView,
        (booking, event): (&Booking, &Event),
        set: &PluginSet,
    ) -> Result<()> {
        for policy in &self.policies {
            let answer = native(policy.validate_cancellation(view)).await;
            let outcome = native_outcome(answer, judge_cancellation, policy.when_not_loaded());
            accepted(outcome?)?;
        }
        let (tenant, customer) = (&view.tenant, booking.customer);
        let (mut question, mut read) = (None, None);
        let asked = set.policies_of(view.event.id);
        for plugin in asked.filter(|plugin| plugin.name.built_in().is_none()) {
            let user = self.identity(tenant, plugin, customer, &mut read).await?;
            let question =
                question.get_or_insert_with(|| cancellation_question(view, booking, event));
            show_identity(question, user.map(|user| (user, &view.details)));
            let outcome = self.ask_plugin(tenant, plugin, customer, question, None);
            accepted(outcome.await?)?;
        }
        Ok(())
    }

    /// The current plugin set, if policies rejected under another one: only a rejection under the current set counts. For an
    /// acceptance the transaction checks this. A rejection writes nothing, so a host that never sells would not notice
    /// that another host removed the policy.
    async fn newer_set(
        &self,
        tenant: &TenantId,
        seen: &PluginSet,
        refusal: &Error,
    ) -> Option<Arc<PluginSet>> {
        if !depends_on_set(refusal, seen) {
            return None;
        }
        let present = self.modules.plugins.fresh_set(tenant).await.ok()?;
        (present.version != seen.version).then_some(present)
    }

    /// A refusal of the policy check. Of an offer that a policy says no to, the tickets go to who is next.
    async fn rejected(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
        refusal: Error,
    ) -> Error {
        if let BookingIntent::AcceptOffer(hold) = request.intent
            && refusal.code() == ErrorCode::PolicyRejected
        {
            let bookings = &self.modules.bookings;
            let given_back = bookings.reject_offer(tenant, hold, refusal.detail());
            if let Err(error) = given_back.await {
                // It then ends at its time.
                tracing::warn!(%tenant, %hold, %error, "releasing a rejected offer failed");
            }
        }
        refusal
    }
}

/// Waits for a native policy. One that panics or hangs has failed, without effect on other requests.
async fn native(
    asked: impl Future<Output = Result<Decision, HookFailure>>,
) -> Result<Decision, HookFailure> {
    let caught = AssertUnwindSafe(asked).catch_unwind();
    match tokio::time::timeout(NATIVE_TIME_MAX, caught).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(HookFailure::Failed("the policy panicked".to_owned())),
        Err(_) => Err(HookFailure::Failed(
            "the policy took longer than 5 s".to_owned(),
        )),
    }
}

pub(super) fn kept_changing() -> Error {
    Error::new(
        ErrorCode::ConflictTryAgain,
        "The data for the organizer's policy kept changing; send the request again.",
    )
    .retry_after(Duration::from_secs(1))
}
