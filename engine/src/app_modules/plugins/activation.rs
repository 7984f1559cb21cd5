//! The trial of a version before its activation: its author's fixtures, and a harmless request to each of its exports.
//! A failure is shown to the owner instead of to customers.
//!
//! Called by the activation of plugins. Calls the plugin runtime port.

use jiff::SignedDuration;

use super::Plugins;
use crate::{
    error::{Error, ErrorCode, Result},
    modules::{mail_sample, policy_check::unavailable},
    ports::{
        BookingRequest, CallPriority, CancellationRequest, HookFailure, PluginAnswer, PluginCall,
        PluginFixture, PluginOutcome, PluginRequest, RenderRequest, RequestCustomer,
        RequestDetails, RequestEvent, RequestLine, RequestMoment, RequestTicketType,
    },
    types::{
        ActivatePlugin, ActivePlugin, Metadata, NotificationKind, PluginHash, PluginLimits,
        SalesChannel, TenantId,
    },
};

/// The version on trial, and the parameters of its calls.
pub(super) struct Trial<'a> {
    version: PluginHash,
    decides: bool,
    words: bool,
    config: &'a str,
    limits: PluginLimits,
    fixtures: &'a [serde_json::Value],
}

impl<'a> Trial<'a> {
    /// The trial that an activation asks for; `None` if it changes nothing that could fail.
    pub(super) fn of(
        command: &'a ActivatePlugin,
        version: Option<&crate::types::PluginVersion>,
        present: Option<&'a ActivePlugin>,
    ) -> Option<Self> {
        if command.skip_trial || command.enabled == Some(false) {
            return None;
        }
        let (hash, decides, words) = match (version, present) {
            (Some(new), _) => (new.hash, new.facts.decides, new.facts.words),
            (None, Some(own)) if command.config.is_some() || !command.fixtures.is_empty() => {
                (own.version, own.decides, own.words)
            }
            (None, _) => return None,
        };
        let config = command.config.as_deref();
        Some(Self {
            version: hash,
            decides,
            // Templates apply to the whole tenant only.
            words: words && command.event.is_none(),
            config: config
                .or(present.map(|own| own.config.as_str()))
                .unwrap_or("{}"),
            limits: command
                .limits
                .or(present.map(|own| own.limits))
                .unwrap_or_default(),
            fixtures: &command.fixtures,
        })
    }
}

impl Plugins {
    /// Tries a version. Returns the mails that it failed to write; they get the built-in text.
    ///
    /// # Errors
    /// `plugin-trial-failed` if a fixture or a policy's export fails; `field-invalid` for an invalid fixture;
    /// `policy-busy`, `policy-unavailable`.
    pub(super) async fn try_out(
        &self,
        tenant: &TenantId,
        trial: &Trial<'_>,
    ) -> Result<Vec<String>> {
        if trial.fixtures.len() > ActivatePlugin::FIXTURES_MAX {
            return Err(Error::field(
                "fixtures",
                format!("At most {} fixtures.", ActivatePlugin::FIXTURES_MAX),
            ));
        }
        // All are read before any is run.
        let mut fixtures = Vec::new();
        for (index, fixture) in trial.fixtures.iter().enumerate() {
            let fixture = PluginFixture::read(fixture.clone())
                .map_err(|fault| Error::field(format!("fixtures[{index}]"), fault))?;
            fixtures.push(fixture);
        }
        for (index, fixture) in fixtures.iter().enumerate() {
            self.try_fixture(tenant, trial, index, fixture).await?;
        }
        if trial.decides {
            for request in self.harmless_requests() {
                self.try_policy(tenant, trial, &request).await?;
            }
        }
        let mut warnings = Vec::new();
        if trial.words {
            for kind in NotificationKind::ALL
                .iter()
                .filter(|kind| kind.has_templates())
            {
                let request = PluginRequest::Render(RenderRequest {
                    kind: kind.as_str().to_owned(),
                    locale: "en".to_owned(),
                    data: mail_sample(*kind),
                });
                if let Err(reason) = self.try_call(tenant, trial, &request, trial.config).await? {
                    warnings.push(format!(
                        "render of {kind}: {reason}. The built-in words stand in for it."
                    ));
                }
            }
        }
        Ok(warnings)
    }

    async fn try_fixture(
        &self,
        tenant: &TenantId,
        trial: &Trial<'_>,
        index: usize,
        fixture: &PluginFixture,
    ) -> Result<()> {
        let own = fixture.config.as_ref();
        let own = own.map(|config| serde_json::Value::Object(config.clone()).to_string());
        let config = own.as_deref().unwrap_or(trial.config);
        let export = fixture.request.export().as_str();
        let refuse = |what: String| {
            let detail = format!("Fixture {index}, {export}: {what}.");
            Err(trial_failed(&detail).at_field(format!("fixtures[{index}]")))
        };
        let outcome = self.make(tenant, trial, &fixture.request, config).await?;
        match &outcome.answer {
            _ if fixture.is_met_by(&outcome) => Ok(()),
            Ok(answer) => refuse(format!(
                "it answered {}",
                serde_json::to_string(answer).map_err(Error::internal)?
            )),
            Err(failure) => refuse(failure.to_string()),
        }
    }

    async fn try_policy(
        &self,
        tenant: &TenantId,
        trial: &Trial<'_>,
        request: &PluginRequest,
    ) -> Result<()> {
        // Any answer is accepted, also a rejection of this customer.
        match self.try_call(tenant, trial, request, trial.config).await? {
            Ok(_) => Ok(()),
            Err(reason) => {
                let export = request.export().as_str();
                let detail = format!("{export} was tried and failed: {reason}.");
                Err(trial_failed(&detail).at_field("version"))
            }
        }
    }

    /// Makes one call of a trial. Returns its valid answer, or the failure.
    async fn try_call(
        &self,
        tenant: &TenantId,
        trial: &Trial<'_>,
        request: &PluginRequest,
        config: &str,
    ) -> Result<Result<PluginAnswer, String>> {
        let outcome = self.make(tenant, trial, request, config).await?;
        Ok(outcome.answer.map_err(|failure| failure.to_string()))
    }

    /// Makes one call of a trial. A failure that is not the plugin's is an error.
    async fn make(
        &self,
        tenant: &TenantId,
        trial: &Trial<'_>,
        request: &PluginRequest,
        config: &str,
    ) -> Result<PluginOutcome> {
        let (runtime, plugin) = self.loaded(tenant, trial.version).await?;
        let call = PluginCall {
            plugin,
            config: config.into(),
            limits: trial.limits,
            priority: CallPriority::Background,
        };
        let outcome = runtime.call(&call, request).await.judged(request);
        match outcome.answer {
            Err(failure @ (HookFailure::Busy(_) | HookFailure::NotLoaded(_))) => {
                Err(unavailable(failure))
            }
            _ => Ok(outcome),
        }
    }

    /// A typical booking and a typical cancellation.
    fn harmless_requests(&self) -> [PluginRequest; 2] {
        let now = self.0.context.now();
        let days = |days: i64| {
            let moment = now.checked_add(SignedDuration::from_hours(24 * days));
            moment.unwrap_or(now)
        };
        let event = RequestEvent {
            id: "event-of-a-trial".to_owned(),
            version: 1,
            title: "A trial".to_owned(),
            starts_at: days(30).to_string(),
            ends_at: None,
            time_zone: "UTC".to_owned(),
            location: None,
            currency: "EUR".to_owned(),
            ticket_types: vec![RequestTicketType {
                id: "general".to_owned(),
                name: "General".to_owned(),
                price_minor: 1_000,
                metadata: Metadata::default(),
            }],
            reference: None,
            metadata: Metadata::default(),
        };
        let lines = vec![RequestLine {
            ticket_type: "general".to_owned(),
            quantity: 1,
            unit_price_minor: 1_000,
        }];
        let customer = |tickets_in_event: u32| RequestCustomer {
            pseudonym: "customer-of-a-trial".to_owned(),
            tickets_in_event,
            email: None,
            name: None,
        };
        let moment = RequestMoment::at(now, "UTC");
        [
            PluginRequest::ValidateBooking(BookingRequest {
                event: event.clone(),
                lines: lines.clone(),
                customer: customer(0),
                channel: SalesChannel::Own.as_str().to_owned(),
                seller: None,
                details: RequestDetails::default(),
                now: moment.clone(),
            }),
            PluginRequest::ValidateCancellation(CancellationRequest {
                event,
                booking: "booking-of-a-trial".to_owned(),
                booked_at: days(-1).to_string(),
                lines,
                customer: customer(1),
                details: RequestDetails::default(),
                now: moment,
            }),
        ]
    }
}

fn trial_failed(detail: &str) -> Error {
    Error::new(
        ErrorCode::PluginTrialFailed,
        format!(
            "{detail} Customers would get this failure. Fix the plugin or its configuration, or activate it anyway \
            with `skipTrial`."
        ),
    )
}
