//! The policy check of every booking: which policies are called, in which order, and what their answers
//! and failures mean. The same for native policies of the platform and for plugins of the tenant.
//!
//! Called by the use cases of bookings, plugins and mails. Calls the plugins, bookings, events and users modules and the policy ports.

mod plugins;
mod views;

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;

use views::{event_view, line_views, list_prices, pseudonym, unit_prices};

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::{Placement, PolicyDecision, RequestedBooking, not_published},
    ports::{
        BookingView, CancellationView, CustomerView, Decision, HookFailure, LineView, PluginAnswer,
        PluginRequest, WhenNotLoaded, judge,
    },
    types::{Booking, BookingLine, DecisionRecord, Event, EventStatus, PluginSet, TenantId},
};

/// Time limit of a native policy; plugins have their own limits.
const NATIVE_TIME_MAX: Duration = Duration::from_secs(5);
/// Most texts of policies that a booking keeps: as many as two policies may give. Further ones are left out.
const MESSAGES_KEPT_MAX: usize = 20;

/// The result of the policy check of a booking.
pub(crate) enum PolicyCheck {
    Decided(PolicyDecision),
    /// The same request was answered before.
    Recorded(Placement),
}

/// The outcome of a policy that did not reject.
enum PolicyOutcome {
    Answered(Decision),
    /// It could not be loaded, and its tenant chose to continue without it.
    Skipped,
}

impl EngineContext {
    /// Asks every policy about a booking, in order. Each sees the prices after the one before. The first rejection ends it.
    pub(crate) async fn ask_about_booking(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
        set: &PluginSet,
    ) -> Result<PolicyCheck> {
        let modules = &self.modules;
        let seen = modules.bookings.before_policies(tenant, request).await?;
        if let Some(placement) = seen.recorded {
            return Ok(PolicyCheck::Recorded(placement));
        }
        let tickets_in_event = seen.tickets_in_event;
        let none = || Error::not_found("event", request.event);
        let event_version = seen.event_version.ok_or_else(none)?;
        let event = modules
            .events
            .at_version(tenant, request.event, event_version)
            .await?;
        let event = event.ok_or_else(none)?;
        // A draft cannot be booked: its policies are not called, and its existence is not revealed.
        if event.status == EventStatus::Draft {
            return Err(not_published());
        }
        let mut view = BookingView {
            tenant: tenant.clone(),
            lines: match &seen.offered {
                Some(hold) => line_views(&hold.lines),
                None => list_prices(&event.ticket_types, request)?,
            },
            customer: CustomerView {
                pseudonym: pseudonym(tenant, request.customer),
                tickets_in_event,
            },
            event: event_view(&event),
            now: self.context.now(),
        };
        let mut messages = Vec::new();
        for policy in &self.policies {
            let asked = native(policy.validate_booking(&view)).await;
            let question = || PluginRequest::ValidateBooking((&view).into());
            let turn = native_turn(asked, question, policy.when_not_loaded())?;
            apply(&mut view.lines, &mut messages, turn)?;
        }
        let mut record = DecisionRecord {
            policy_version: set.version,
            steps: Vec::new(),
        };
        for plugin in set.policies_of(request.event) {
            let mut question = crate::ports::BookingRequest::from(&view);
            self.attach_identity(tenant, plugin, request.customer, &mut question.customer)
                .await?;
            let question = PluginRequest::ValidateBooking(question);
            let turn = self
                .ask_plugin(tenant, plugin, request.customer, &question, &mut record)
                .await?;
            if let PolicyOutcome::Answered(Decision::Reject { .. }) = &turn {
                modules.plugins.sample_refusal(tenant, record.clone());
            }
            apply(&mut view.lines, &mut messages, turn)?;
        }
        Ok(PolicyCheck::Decided(PolicyDecision {
            event_version,
            tickets_in_event,
            unit_prices_minor: unit_prices(&view.lines),
            messages,
            record: (!record.steps.is_empty()).then_some(record),
        }))
    }

    /// Asks every policy about a customer's cancellation of lines of a booking. The first rejection ends it.
    pub(crate) async fn ask_about_cancellation(
        &self,
        tenant: &TenantId,
        (booking, lines): (&Booking, &[BookingLine]),
        event: &Event,
        tickets_in_event: u32,
        set: &PluginSet,
    ) -> Result<()> {
        let view = CancellationView {
            tenant: tenant.clone(),
            event: event_view(event),
            booking: booking.id,
            booked_at: booking.created_at,
            lines: line_views(lines),
            customer: CustomerView {
                pseudonym: pseudonym(tenant, booking.customer),
                tickets_in_event,
            },
            now: self.context.now(),
        };
        for policy in &self.policies {
            let asked = native(policy.validate_cancellation(&view)).await;
            let question = || PluginRequest::ValidateCancellation((&view).into());
            let turn = native_turn(asked, question, policy.when_not_loaded())?;
            apply(&mut [], &mut Vec::new(), turn)?;
        }
        let mut record = DecisionRecord {
            policy_version: set.version,
            steps: Vec::new(),
        };
        for plugin in set.policies_of(event.id) {
            let mut question = crate::ports::CancellationRequest::from(&view);
            self.attach_identity(tenant, plugin, booking.customer, &mut question.customer)
                .await?;
            let question = PluginRequest::ValidateCancellation(question);
            let turn = self
                .ask_plugin(tenant, plugin, booking.customer, &question, &mut record)
                .await?;
            apply(&mut [], &mut Vec::new(), turn)?;
        }
        Ok(())
    }
}

/// Applies a policy's valid answer to prices and texts. A rejection ends the request.
fn apply(lines: &mut [LineView], messages: &mut Vec<String>, turn: PolicyOutcome) -> Result<()> {
    match turn {
        PolicyOutcome::Skipped | PolicyOutcome::Answered(Decision::Accept) => Ok(()),
        PolicyOutcome::Answered(Decision::Reject { code, reason }) => {
            Err(Error::new(ErrorCode::PolicyRejected, reason).policy_code(code))
        }
        PolicyOutcome::Answered(Decision::Adjust {
            unit_prices_minor,
            messages: own,
        }) => {
            for (line, price) in lines.iter_mut().zip(unit_prices_minor) {
                line.unit_price_minor = price;
            }
            let room = MESSAGES_KEPT_MAX.saturating_sub(messages.len());
            messages.extend(own.into_iter().take(room));
            Ok(())
        }
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

/// A native policy's answer, checked like a plugin's.
fn native_turn(
    asked: Result<Decision, HookFailure>,
    question: impl FnOnce() -> PluginRequest,
    when: WhenNotLoaded,
) -> Result<PolicyOutcome> {
    let failed = |reason: String| unavailable(HookFailure::Failed(reason));
    match asked {
        Ok(Decision::Accept) => Ok(PolicyOutcome::Answered(Decision::Accept)),
        Ok(decision) => match judge(&question(), PluginAnswer::Decided(decision)) {
            Ok(PluginAnswer::Decided(decision)) => Ok(PolicyOutcome::Answered(decision)),
            Ok(_) => Err(failed(
                "it answered something else than a decision".to_owned(),
            )),
            Err(reason) => Err(failed(reason)),
        },
        Err(HookFailure::NotLoaded(_)) if when == WhenNotLoaded::Skip => Ok(PolicyOutcome::Skipped),
        Err(failure) => Err(unavailable(failure)),
    }
}

/// The error for a failed policy, which never counts as acceptance.
pub(crate) fn unavailable(failure: HookFailure) -> Error {
    let error = match &failure {
        HookFailure::InputTooLarge(_) => Error::new(
            ErrorCode::PolicyInputTooLarge,
            "This request is too large for the organizer's policy.",
        ),
        HookFailure::Busy(_) => Error::new(
            ErrorCode::PolicyBusy,
            "The organizer's policies could not run in time; try again in a moment.",
        )
        .retry_after(Duration::from_secs(1)),
        HookFailure::Failed(_) | HookFailure::NotLoaded(_) => Error::new(
            ErrorCode::PolicyUnavailable,
            "The organizer's policy gave no valid answer. Nothing was booked; try again later.",
        )
        .retry_after(Duration::from_secs(10)),
    };
    error.caused_by(failure)
}
