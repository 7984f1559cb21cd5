//! The rules of the policy check: what policies see of a booking or a cancellation, how their prices and messages are
//! applied, and what each outcome means. The same for native policies of the platform and for plugins of the tenant.
//!
//! No failure of a policy is ever a yes. Called by the policy check of app_modules, which asks in order. Pure.

mod record;
mod requests;
mod views;

pub(crate) use record::DecisionDraft;
pub(in crate::modules) use views::pseudonym;

use std::time::Duration;

use jiff::Timestamp;

use views::{event_view, line_views, list_prices, unit_prices};

use super::{
    orders::not_published,
    requests::{PolicyDecision, PolicyInput, RequestedBooking},
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{
        BookingView, CancellationView, CustomerView, Decision, HookFailure, LineView, PluginAnswer,
        PluginRequest, RequestAttendee, RequestCustomer, WhenNotLoaded,
    },
    types::{
        Booking, BookingDetails, BookingLine, Claim, Event, EventStatus, PluginSet, SalesChannel,
        TenantId, User,
    },
};

/// Most texts of policies that a booking keeps: as many as two policies may give. Further ones are left out.
const MESSAGES_KEPT_MAX: usize = 20;

/// Outcome of a policy that did not fail.
pub(crate) enum PolicyOutcome {
    Answered(Decision),
    /// It could not be loaded, and its tenant chose to go on without it.
    Skipped(String),
}

/// A booking while the policies are asked about it, one after the other.
pub(crate) struct BookingCheck<'a> {
    /// What the next policy sees: prices as the one before left them.
    pub(crate) view: BookingView,
    /// What plugins saw and said.
    pub(crate) record: DecisionDraft<'a>,
    event_version: u64,
    revision: i64,
    messages: Vec<String>,
    claims: Vec<Claim>,
}

impl BookingCheck<'_> {
    /// # Errors
    /// `event-not-published` for a draft: its policies are not asked, and nothing of it is told. `field-invalid` for lines
    /// that the event does not sell.
    pub(crate) fn new(
        tenant: &TenantId,
        request: &RequestedBooking,
        event: &Event,
        input: &PolicyInput,
        now: Timestamp,
    ) -> Result<Self> {
        if event.status == EventStatus::Draft {
            return Err(not_published());
        }
        Ok(Self {
            view: BookingView {
                tenant: tenant.clone(),
                lines: match (&request.payment, &input.offered) {
                    // At the price that was paid.
                    (Some(paid), _) => line_views(&paid.order.lines),
                    (None, Some(hold)) => line_views(&hold.lines),
                    (None, None) => list_prices(&event.ticket_types, &request.lines)?,
                },
                customer: CustomerView {
                    pseudonym: pseudonym(tenant, request.customer),
                    tickets_in_event: input.tickets_in_event,
                },
                event: event_view(event),
                channel: request
                    .sale
                    .as_ref()
                    .map_or(SalesChannel::Own, |sale| sale.channel),
                seller: request.sale.as_ref().and_then(|sale| sale.seller),
                details: details_seen(request, input),
                now,
            },
            record: DecisionDraft::new(request.policy_version),
            event_version: input.event_version,
            revision: input.revision,
            messages: Vec::new(),
            claims: Vec::new(),
        })
    }

    /// Applies a policy's outcome to prices and messages.
    ///
    /// # Errors
    /// `policy-rejected`: a no ends the request.
    pub(crate) fn apply(&mut self, outcome: PolicyOutcome) -> Result<()> {
        let Some(Adjustment {
            prices,
            messages,
            claims,
        }) = accepted(outcome)?
        else {
            return Ok(());
        };
        if claims.len() + self.claims.len() > Claim::PER_BOOKING_MAX {
            return Err(unavailable(HookFailure::Failed(
                "the policies together make more than 32 claims".to_owned(),
            )));
        }
        self.claims.extend(claims);
        let lines: &mut [LineView] = &mut self.view.lines;
        for (line, price) in lines.iter_mut().zip(prices) {
            line.unit_price_minor = price;
        }
        let room = MESSAGES_KEPT_MAX.saturating_sub(self.messages.len());
        self.messages.extend(messages.into_iter().take(room));
        Ok(())
    }

    /// What the first plugin is asked about a booking of this event.
    pub(crate) fn question(&self, event: &Event) -> PluginRequest {
        let questions = &event.details.questions;
        PluginRequest::ValidateBooking(requests::booking_request(&self.view, questions))
    }

    /// The prices as the policy before left them, in a question about this booking.
    pub(crate) fn show_prices(&self, question: &mut PluginRequest) {
        if let PluginRequest::ValidateBooking(asked) = question {
            for (line, seen) in asked.lines.iter_mut().zip(&self.view.lines) {
                line.unit_price_minor = seen.unit_price_minor;
            }
        }
    }

    /// What all policies together decided.
    pub(crate) fn decision(self) -> PolicyDecision {
        PolicyDecision {
            event_version: self.event_version,
            revision: self.revision,
            tickets_in_event: self.view.customer.tickets_in_event,
            unit_prices_minor: unit_prices(&self.view.lines),
            messages: self.messages,
            claims: self.claims,
            record: self.record.text(),
        }
    }
}

/// What the booking is to carry: what the request gives, or what the offer that it accepts has.
fn details_seen(request: &RequestedBooking, input: &PolicyInput) -> BookingDetails {
    let offered = input.offered.as_ref();
    let offered = offered.filter(|_| request.details.of_hold.is_none());
    let offered = offered.and_then(|hold| hold.details.as_deref());
    let details = request.details.checked.as_deref().or(offered);
    details.cloned().unwrap_or_default()
}

/// What policies see of a customer's cancellation of some lines of a booking.
pub(crate) fn cancellation_view(
    tenant: &TenantId,
    (booking, lines): (&Booking, &[BookingLine]),
    event: &Event,
    tickets_in_event: u32,
    now: Timestamp,
) -> CancellationView {
    CancellationView {
        tenant: tenant.clone(),
        event: event_view(event),
        booking: booking.id,
        booked_at: booking.created_at,
        lines: line_views(lines),
        customer: CustomerView {
            pseudonym: pseudonym(tenant, booking.customer),
            tickets_in_event,
        },
        details: booking.details.as_deref().cloned().unwrap_or_default(),
        now,
    }
}

/// What a plugin is asked about the cancellation of a view.
pub(crate) fn cancellation_question(
    view: &CancellationView,
    booking: &Booking,
    event: &Event,
) -> PluginRequest {
    let questions = &event.details.questions;
    let request = requests::cancellation_request(view, booking, questions);
    PluginRequest::ValidateCancellation(request)
}

/// Shows a plugin who the customer and the attendees are; `None` takes out what the plugin before may have seen.
pub(crate) fn show_identity(
    question: &mut PluginRequest,
    identity: Option<(&User, &BookingDetails)>,
) {
    let (customer, attendees): (&mut RequestCustomer, &mut [RequestAttendee]) = match question {
        PluginRequest::ValidateBooking(asked) => {
            (&mut asked.customer, &mut asked.details.attendees)
        }
        PluginRequest::ValidateCancellation(asked) => {
            (&mut asked.customer, &mut asked.details.attendees)
        }
        PluginRequest::Render(_) => return,
    };
    customer.email = identity.map(|(user, _)| user.email.as_str().to_owned());
    customer.name = identity.map(|(user, _)| user.name.as_str().to_owned());
    let holders = identity.map(|(_, details)| &details.ticket_holders);
    requests::name_attendees(attendees, holders);
}

/// What a policy changes of a booking that it accepts.
pub(crate) struct Adjustment {
    /// Price of one ticket for each line, in minor units.
    prices: Vec<u32>,
    messages: Vec<String>,
    claims: Vec<Claim>,
}

/// Turns a no into a refusal. Returns the prices and messages of a policy that adjusts them.
///
/// # Errors
/// `policy-rejected`.
pub(crate) fn accepted(outcome: PolicyOutcome) -> Result<Option<Adjustment>> {
    match outcome {
        PolicyOutcome::Skipped(_) | PolicyOutcome::Answered(Decision::Accept) => Ok(None),
        PolicyOutcome::Answered(Decision::Reject { code, reason }) => {
            Err(Error::new(ErrorCode::PolicyRejected, reason).policy_code(code))
        }
        PolicyOutcome::Answered(Decision::Adjust {
            unit_prices_minor: prices,
            messages,
            claims,
        }) => Ok(Some(Adjustment {
            prices,
            messages,
            claims,
        })),
    }
}

/// The outcome of a native policy, judged as a plugin's answer is.
///
/// # Errors
/// `policy-busy`, `policy-input-too-large`, `policy-unavailable`.
pub(crate) fn native_outcome(
    answer: Result<Decision, HookFailure>,
    judge: impl FnOnce(Decision) -> Result<Decision, String>,
    when: WhenNotLoaded,
) -> Result<PolicyOutcome> {
    let judged = answer.and_then(|decision| judge(decision).map_err(HookFailure::Failed));
    outcome_of(judged.map(PluginAnswer::Decided), when)
}

/// The outcome of a judged answer.
///
/// # Errors
/// As [`native_outcome`].
pub(crate) fn outcome_of(
    answer: Result<PluginAnswer, HookFailure>,
    when: WhenNotLoaded,
) -> Result<PolicyOutcome> {
    match answer {
        Ok(PluginAnswer::Decided(decision)) => Ok(PolicyOutcome::Answered(decision)),
        Ok(_) => Err(unavailable(HookFailure::Failed(
            "it answered something else than a decision".to_owned(),
        ))),
        Err(HookFailure::NotLoaded(reason)) if when == WhenNotLoaded::Skip => {
            Ok(PolicyOutcome::Skipped(reason))
        }
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

/// Whether a refusal may be outdated once another set of plugins is in use. Without plugins in the set it was the
/// platform's own policy that refused.
pub(crate) fn depends_on_set(refusal: &Error, set: &PluginSet) -> bool {
    let is_a_policys = matches!(
        refusal.code(),
        ErrorCode::PolicyRejected | ErrorCode::PolicyUnavailable
    );
    is_a_policys && !set.plugins.is_empty()
}
