//! Trials of a version: on a given request, and on recorded decisions. Without any effect, under the server's limits,
//! and with a lower priority than real requests.
//!
//! Called by hosts and platforms. Calls the plugins module and the plugin runtime port.

use serde_json::Value;

use super::{Plugins, audit, require_object};
use crate::{
    error::{Error, Result},
    modules::catalogue,
    ports::{
        BuiltInRequest, CallPriority, HookFailure, PluginAnswer, PluginCall, PluginOutcome,
        PluginRef, PluginRequest, PluginRuntime,
    },
    types::{Caller, DecisionStep, PluginHash, PluginLimits, PluginName, Scope, TenantId},
};

/// Most decisions of one replay, and as many sampled refusals.
const REPLAY_MAX: u32 = 200;

/// The result of a replay.
#[derive(Debug, Clone)]
pub struct ReplayReport {
    /// Decisions that were replayed.
    pub replayed: usize,
    /// Decisions whose request was not kept, or in which this plugin did not take part.
    pub not_replayable: usize,
    /// Those that would differ.
    pub differing: Vec<ReplayDifference>,
}

/// A decision that would differ.
#[derive(Debug, Clone)]
pub struct ReplayDifference {
    /// The request.
    pub request: Value,
    /// The answer at that time.
    pub then: Value,
    /// The answer of this version.
    pub now: Value,
}

impl Plugins {
    /// Calls a ready version, without any effect.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `plugin-not-ready`, `plugins-off`, `field-invalid` for a configuration that is no object.
    pub async fn dry_run(
        &self,
        caller: &Caller,
        hash: PluginHash,
        request: PluginRequest,
        config: Option<String>,
    ) -> Result<PluginOutcome> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        let config = config.unwrap_or_else(|| "{}".to_owned());
        require_object(&config)?;
        let (runtime, plugin) = self.loaded(&tenant, hash).await?;
        audit(caller, &tenant, "dry-run", &hash, "");
        let call = PluginCall {
            plugin,
            config: config.into(),
            limits: PluginLimits::default(),
            priority: CallPriority::Background,
        };
        Ok(runtime.call(&call, &request).await.judged(&request))
    }

    /// Calls a version with the requests of the last `last` decisions and of the recorded refusals, and
    /// lists the answers that differ. With a configuration, uses that instead of the recorded one. A version of a built-in policy
    /// decides what the policy decided under any label.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `plugin-not-ready`, `plugins-off`, `field-invalid`.
    pub async fn replay(
        &self,
        caller: &Caller,
        hash: PluginHash,
        last: u32,
        config: Option<String>,
    ) -> Result<ReplayReport> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        if !(1..=REPLAY_MAX).contains(&last) {
            return Err(Error::field(
                "last",
                format!("A replay repeats 1 to {REPLAY_MAX} decisions."),
            ));
        }
        if let Some(config) = &config {
            require_object(config)?;
        }
        let called = self.called(&tenant, hash, config.as_deref()).await?;
        audit(caller, &tenant, "replay", &hash, "");
        let (decisions, refusals) = self.0.modules.plugins.recorded(&tenant, last).await?;
        let mut report = ReplayReport {
            replayed: 0,
            not_replayable: 0,
            differing: Vec::new(),
        };
        for record in decisions.iter().chain(&refusals) {
            let before = report.replayed;
            for step in record.steps.iter().filter(|step| called.took_part(step)) {
                let config = config.as_ref().unwrap_or(&step.config);
                let Some(answer) = called.again(hash, step, config).await else {
                    continue;
                };
                let now = match answer {
                    Ok(answer) => serde_json::to_value(answer).map_err(Error::internal)?,
                    Err(failure) => failure.as_answer(),
                };
                report.replayed += 1;
                if now != step.answer {
                    report.differing.push(ReplayDifference {
                        request: step.request.clone().unwrap_or_default(),
                        then: step.answer.clone(),
                        now,
                    });
                }
            }
            report.not_replayable += usize::from(report.replayed == before);
        }
        Ok(report)
    }

    /// What a replay of this version calls.
    async fn called(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
        config: Option<&str>,
    ) -> Result<Called<'_>> {
        if let Some(own) = catalogue::of_version(hash) {
            if let Some(config) = config {
                own.check(config)?;
            }
            return Ok(Called::BuiltIn(own.name()));
        }
        let version = self.find(tenant, hash).await?;
        let (runtime, plugin) = self.loaded(tenant, hash).await?;
        Ok(Called::Plugin(version.name, runtime, plugin))
    }
}

/// What a replay calls.
enum Called<'a> {
    Plugin(PluginName, &'a dyn PluginRuntime, PluginRef),
    /// A built-in policy, by its name without a label.
    BuiltIn(PluginName),
}

impl Called<'_> {
    /// Whether it took part in a decision with this step: a built-in policy under any label.
    fn took_part(&self, step: &DecisionStep) -> bool {
        match self {
            Self::Plugin(name, ..) => step.plugin == name.as_str(),
            Self::BuiltIn(name) => {
                let label = step.plugin.strip_prefix(name.as_str());
                label.is_some_and(|label| label.is_empty() || label.starts_with('.'))
            }
        }
    }

    /// Its answer to a step's request now; `None` if that was not kept.
    async fn again(
        &self,
        hash: PluginHash,
        step: &DecisionStep,
        config: &str,
    ) -> Option<Result<PluginAnswer, HookFailure>> {
        let request = step.request.clone()?;
        match self {
            Self::BuiltIn(_) => {
                let request: BuiltInRequest = serde_json::from_value(request).ok()?;
                Some(catalogue::outcome(hash, config, &request).answer)
            }
            Self::Plugin(_, runtime, plugin) => {
                let question: PluginRequest = serde_json::from_value(request).ok()?;
                let call = PluginCall {
                    plugin: plugin.clone(),
                    config: config.into(),
                    limits: PluginLimits::default(),
                    priority: CallPriority::Background,
                };
                let outcome = runtime.call(&call, &question).await.judged(&question);
                Some(outcome.answer)
            }
        }
    }
}
