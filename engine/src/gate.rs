//! The gate that every door into a booking passes: which policies are asked, in which order, and what their answers
//! and failures mean. The same for native policies of the platform and for plugins of the tenant.
//!
//! Called by the use cases of bookings, plugins and mails. Calls the plugins, bookings, events and users modules and the policy ports.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use sha2::{Digest as _, Sha256};

use crate::{
    Error, ErrorCode, Result,
    engine::Inner,
    modules::{Placement, PluginLogEntry, PolicyDecision, RequestedBooking, not_published},
    ports::{
        BookingView, CancellationView, CustomerView, Decision, EventView, HookFailure, LineView,
        PluginAnswer, PluginCall, PluginOutcome, PluginRef, PluginRequest, PluginRuntime,
        RequestCustomer, TicketTypeView, WhenNotLoaded,
    },
    types::{
        ActivePlugin, Booking, BookingLine, DecisionRecord, DecisionStep, Event, EventStatus,
        PluginSet, TenantId, TicketType, UserId,
    },
};

/// A policy may raise a price to this many times the list price; anything above is taken for its mistake.
const PRICE_FACTOR_MAX: u64 = 10;
/// Longest time for a native policy; plugins have their own bound.
const NATIVE_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a request waits while a plugin is brought to this host. What takes longer refuses the request.
const LOADING_WAIT_MAX: Duration = Duration::from_secs(10);
/// Largest request that is kept with a decision.
const KEPT_REQUEST_BYTES_MAX: usize = 16 * 1024;

/// What came of asking the policies about a booking.
pub(crate) enum Asked {
    Decided(PolicyDecision),
    /// The same request was answered before.
    Recorded(Placement),
}

/// How a policy's turn ended that did not refuse.
enum Turn {
    Answered(Decision),
    /// It could not be loaded, and its tenant would rather go on without it.
    Skipped,
}

impl Inner {
    /// Asks every policy about a booking, in order; each sees prices as the one before left them, and the first no stops.
    pub(crate) async fn ask_about_booking(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
        set: &PluginSet,
    ) -> Result<Asked> {
        let modules = &self.modules;
        let seen = modules.bookings.before_policies(tenant, request).await?;
        if let Some(placement) = seen.recorded {
            return Ok(Asked::Recorded(placement));
        }
        let tickets_in_event = seen.tickets_in_event;
        let none = || Error::not_found("event", request.event);
        let event_version = seen.event_version.ok_or_else(none)?;
        let event = modules
            .events
            .at_version(tenant, request.event, event_version)
            .await?;
        let event = event.ok_or_else(none)?;
        // Nobody books a draft: its policies are not asked, and nothing of it is told.
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
            now: self.surroundings.now(),
        };
        let list_prices = unit_prices(&view.lines);
        for policy in &self.policies {
            let asked = native(policy.validate_booking(&view)).await;
            let turn = native_turn(asked, policy.when_not_loaded())?;
            apply(&mut view.lines, &list_prices, turn).map_err(refused)?;
        }
        let mut record = DecisionRecord {
            policy_version: set.version,
            steps: Vec::new(),
        };
        for plugin in set.policies_of(request.event) {
            let mut question = crate::ports::BookingRequest::from(&view);
            self.introduce(tenant, plugin, request.customer, &mut question.customer)
                .await?;
            let question = PluginRequest::ValidateBooking(question);
            let turn = self
                .ask_plugin(tenant, plugin, request.customer, &question, &mut record)
                .await?;
            if let Turn::Answered(Decision::Reject { .. }) = &turn {
                modules.plugins.sample_refusal(tenant, record.clone());
            }
            if let Err(refusal) = apply(&mut view.lines, &list_prices, turn) {
                if let Refusal::Failed(reason) = &refusal {
                    self.failed(tenant, plugin, request.customer, reason).await;
                }
                return Err(refused(refusal));
            }
        }
        Ok(Asked::Decided(PolicyDecision {
            event_version,
            tickets_in_event,
            unit_prices_minor: unit_prices(&view.lines),
            record: (!record.steps.is_empty()).then_some(record),
        }))
    }

    /// Asks every policy about a customer's cancellation of some lines of a booking; the first no stops.
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
            now: self.surroundings.now(),
        };
        for policy in &self.policies {
            let asked = native(policy.validate_cancellation(&view)).await;
            let turn = native_turn(asked, policy.when_not_loaded())?;
            apply(&mut [], &[], turn).map_err(refused)?;
        }
        let mut record = DecisionRecord {
            policy_version: set.version,
            steps: Vec::new(),
        };
        for plugin in set.policies_of(event.id) {
            let mut question = crate::ports::CancellationRequest::from(&view);
            self.introduce(tenant, plugin, booking.customer, &mut question.customer)
                .await?;
            let question = PluginRequest::ValidateCancellation(question);
            let turn = self
                .ask_plugin(tenant, plugin, booking.customer, &question, &mut record)
                .await?;
            apply(&mut [], &[], turn).map_err(refused)?;
        }
        Ok(())
    }

    /// Sees to it that a plugin can be called on this host; answers what calls it.
    pub(crate) async fn ensure_loaded(
        &self,
        tenant: &TenantId,
        hash: crate::types::PluginHash,
    ) -> Result<(&dyn PluginRuntime, PluginRef), HookFailure> {
        let not_loaded = |reason: String| HookFailure::NotLoaded(reason);
        let runtime = self
            .plugins
            .as_deref()
            .ok_or_else(|| not_loaded("this host runs no plugins".to_owned()))?;
        let plugin = PluginRef {
            tenant: tenant.clone(),
            hash,
        };
        if runtime.is_loaded(&plugin) {
            return Ok((runtime, plugin));
        }
        let loading = async {
            let modules = &self.modules;
            let version = modules.plugins.find(tenant, hash).await?;
            let version = version.ok_or_else(|| Error::not_found("plugin version", hash))?;
            let bytes: Arc<[u8]> = modules.plugins.bytes(tenant, &version).await?.into();
            runtime.load(&plugin, bytes).await.map_err(Error::internal)
        };
        match tokio::time::timeout(LOADING_WAIT_MAX, loading).await {
            Ok(Ok(())) => Ok((runtime, plugin)),
            Ok(Err(error)) => Err(not_loaded(format!("it could not be loaded: {error}"))),
            Err(_) => Err(not_loaded("it is still being loaded".to_owned())),
        }
    }

    /// Adds e-mail address and name where the owner allowed the plugin to see them.
    async fn introduce(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        customer: UserId,
        shown: &mut RequestCustomer,
    ) -> Result<()> {
        if plugin.sees_identity
            && let Some(user) = self.modules.users.find(tenant, customer).await?
        {
            shown.email = Some(user.email.as_str().to_owned());
            shown.name = Some(user.name.as_str().to_owned());
        }
        Ok(())
    }

    /// Asks one plugin and notes what it said. A failure is a refusal already.
    async fn ask_plugin(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        customer: UserId,
        question: &PluginRequest,
        record: &mut DecisionRecord,
    ) -> Result<Turn> {
        if plugin.quarantined.is_some() {
            return Err(unavailable(HookFailure::Failed(format!(
                "the plugin {} is in quarantine",
                plugin.name
            ))));
        }
        let outcome = match self.ensure_loaded(tenant, plugin.version).await {
            Ok((runtime, loaded)) => {
                let call = PluginCall {
                    plugin: loaded,
                    config: plugin.config.as_str().into(),
                    limits: plugin.limits,
                    urgent: true,
                };
                runtime.call(&call, question).await
            }
            Err(failure) => not_asked(failure),
        };
        self.note(tenant, plugin, &outcome);
        record.steps.push(step(plugin, question, &outcome));
        match outcome.answer {
            Ok(PluginAnswer::Decided(decision)) => Ok(Turn::Answered(decision)),
            Ok(_) => {
                let reason = "it answered something else than a decision";
                self.failed(tenant, plugin, customer, reason).await;
                Err(unavailable(HookFailure::Failed(reason.to_owned())))
            }
            Err(HookFailure::NotLoaded(reason))
                if plugin.when_not_loaded == WhenNotLoaded::Skip =>
            {
                tracing::warn!(%tenant, plugin = %plugin.name, reason, "a policy was skipped, as its tenant chose");
                Ok(Turn::Skipped)
            }
            Err(failure) => {
                if let HookFailure::Failed(reason) = &failure {
                    self.failed(tenant, plugin, customer, reason).await;
                }
                Err(unavailable(failure))
            }
        }
    }

    /// Counts a call and keeps what it said and how it failed for the tenant's eyes.
    pub(crate) fn note(&self, tenant: &TenantId, plugin: &ActivePlugin, outcome: &PluginOutcome) {
        let plugins = &self.modules.plugins;
        plugins.count(tenant, &plugin.name, outcome);
        let failure = outcome.answer.as_ref().err().map(ToString::to_string);
        if failure.is_none() && outcome.logs.is_empty() {
            return;
        }
        let entry = PluginLogEntry {
            at: self.surroundings.now(),
            version: plugin.version,
            failure,
            lines: outcome.logs.clone(),
        };
        plugins.note_log(tenant, &plugin.name, &entry);
    }

    async fn failed(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        customer: UserId,
        reason: &str,
    ) {
        let plugins = &self.modules.plugins;
        match plugins.note_failure(tenant, plugin, customer, reason).await {
            Ok(true) => {
                tracing::warn!(%tenant, plugin = %plugin.name, reason, "a plugin failed for several customers and is in quarantine");
            }
            Ok(false) => {}
            // The next failure tries again.
            Err(error) => tracing::warn!(%tenant, %error, "a quarantine could not be written"),
        }
    }
}

/// Why a policy's answer ends the request.
enum Refusal {
    Rejected { code: String, reason: String },
    Failed(String),
}

/// Applies a policy's answer to the prices, unless it cannot be meant.
fn apply(lines: &mut [LineView], list_prices: &[u32], turn: Turn) -> Result<(), Refusal> {
    let decision = match turn {
        Turn::Answered(decision) => decision,
        Turn::Skipped => return Ok(()),
    };
    let unit_prices_minor = match decision {
        Decision::Accept => return Ok(()),
        Decision::Reject { code, reason } => return Err(Refusal::Rejected { code, reason }),
        Decision::Adjust {
            unit_prices_minor, ..
        } => unit_prices_minor,
    };
    if lines.is_empty() || unit_prices_minor.len() != lines.len() {
        return Err(Refusal::Failed(format!(
            "it answered {} prices for {} lines",
            unit_prices_minor.len(),
            lines.len()
        )));
    }
    for (price, list_price) in unit_prices_minor.iter().zip(list_prices) {
        if u64::from(*price) > u64::from(*list_price) * PRICE_FACTOR_MAX {
            return Err(Refusal::Failed(format!(
                "a price of {price} is more than ten times the list price {list_price}"
            )));
        }
    }
    for (line, price) in lines.iter_mut().zip(unit_prices_minor) {
        line.unit_price_minor = price;
    }
    Ok(())
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Rejected { code, reason } => {
            Error::new(ErrorCode::PolicyRejected, reason).policy_code(code)
        }
        Refusal::Failed(reason) => unavailable(HookFailure::Failed(reason)),
    }
}

/// Waits for a native policy. One that panics or hangs has failed; it takes nothing else down.
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

fn native_turn(asked: Result<Decision, HookFailure>, when: WhenNotLoaded) -> Result<Turn> {
    match asked {
        Ok(decision) => Ok(Turn::Answered(decision)),
        Err(HookFailure::NotLoaded(_)) if when == WhenNotLoaded::Skip => Ok(Turn::Skipped),
        Err(failure) => Err(unavailable(failure)),
    }
}

/// What a failure means to the one who books: never a yes.
pub(crate) fn unavailable(failure: HookFailure) -> Error {
    let error = match &failure {
        HookFailure::InputTooLarge(_) => Error::new(
            ErrorCode::PolicyInputTooLarge,
            "This request is larger than what the organizer's policy may be asked.",
        ),
        HookFailure::Busy(_) => Error::new(
            ErrorCode::PolicyBusy,
            "Too many requests wait for the organizer's policies; try again in a moment.",
        )
        .retry_after(Duration::from_secs(1)),
        HookFailure::Failed(_) | HookFailure::NotLoaded(_) => Error::new(
            ErrorCode::PolicyUnavailable,
            "The organizer's policy gave no usable answer, so that nothing was booked; try again later.",
        )
        .retry_after(Duration::from_secs(10)),
    };
    error.caused_by(failure)
}

fn not_asked(failure: HookFailure) -> PluginOutcome {
    PluginOutcome {
        answer: Err(failure),
        usage: Default::default(),
        logs: Vec::new(),
    }
}

fn step(plugin: &ActivePlugin, question: &PluginRequest, outcome: &PluginOutcome) -> DecisionStep {
    let request = serde_json::to_value(question)
        .ok()
        .filter(|request| request.to_string().len() <= KEPT_REQUEST_BYTES_MAX);
    let answer = match &outcome.answer {
        Ok(answer) => serde_json::to_value(answer).unwrap_or_default(),
        Err(failure) => serde_json::json!({ "failure": failure.to_string() }),
    };
    DecisionStep {
        plugin: plugin.name.to_string(),
        version: plugin.version,
        config: plugin.config.clone(),
        request,
        answer,
    }
}

/// A name for the customer that is the same within the tenant and says nothing outside it.
fn pseudonym(tenant: &TenantId, customer: UserId) -> String {
    let digest = Sha256::digest(format!("{tenant}/{customer}").as_bytes());
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn event_view(event: &Event) -> EventView {
    EventView {
        id: event.id,
        version: event.version,
        title: event.details.title.to_string(),
        starts_at: event.details.starts_at,
        ends_at: event.details.ends_at,
        time_zone: event.details.time_zone.clone(),
        location: event.details.location.as_ref().map(ToString::to_string),
        currency: event.currency.clone(),
        ticket_types: event
            .ticket_types
            .iter()
            .map(|kind| TicketTypeView {
                id: kind.id.to_string(),
                name: kind.name.to_string(),
                price_minor: kind.price_minor,
            })
            .collect(),
    }
}

fn line_views(lines: &[BookingLine]) -> Vec<LineView> {
    let line = |line: &BookingLine| LineView {
        ticket_type: line.ticket_type.to_string(),
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
    };
    lines.iter().map(line).collect()
}

fn unit_prices(lines: &[LineView]) -> Vec<u32> {
    lines.iter().map(|line| line.unit_price_minor).collect()
}

fn list_prices(types: &[TicketType], request: &RequestedBooking) -> Result<Vec<LineView>> {
    let line = |(index, line): (usize, &crate::types::BookLine)| {
        let kind = line.ticket_type_of(index, types)?;
        Ok(LineView {
            ticket_type: kind.id.to_string(),
            quantity: line.quantity,
            unit_price_minor: kind.price_minor,
        })
    };
    request.lines.iter().enumerate().map(line).collect()
}
