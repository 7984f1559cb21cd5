//! The catalogue of built-in policies: native policies that every tenant has without an upload, each with a configuration.
//!
//! A policy is a pure function of a question and its configuration, under a version of its rules. Rules that decide otherwise than
//! before are a new version beside the old one, so that an active one stays what it is and recorded decisions can be made again.
//! Nothing here reads or writes: what a policy counts it claims, and the booking's transaction takes it.
//!
//! Called by the plugins module when one is activated, and by the policy check and trials of app_modules.

mod access_codes;
mod code_rules;
mod customer_maximum;
mod early_bird;
mod group_discount;
mod members_only;
mod minimum_age;
mod prices;
mod promo_codes;
#[cfg(test)]
mod samples;
mod schema;
#[cfg(test)]
mod schema_check;
mod values;

use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::Value;

use schema::Described;

use crate::{
    error::{Error, ErrorCode, Result},
    ports::{
        BuiltInBooking, BuiltInRequest, Decision, HookFailure, PluginAnswer, PluginOutcome,
        judge_request,
    },
    types::{ActivePlugin, CataloguePolicy, PluginHash, PluginName},
};

/// A built-in policy: its configuration, and what it decides.
trait Policy: DeserializeOwned + Described {
    /// Its name behind `boxoffice.`.
    const NAME: &str;
    /// The version of its rules.
    const RULES: u32;
    /// What it is called.
    const TITLE: &str;
    /// What it does.
    const DESCRIPTION: &str;
    /// A configuration, as JSON.
    const EXAMPLE: &str;

    /// Checks what the values of the configuration alone cannot say.
    ///
    /// # Errors
    /// `field-invalid` at the field within the configuration.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Whether it must see who the customer is.
    fn needs_identity(&self) -> bool {
        false
    }

    /// Decides about a booking.
    ///
    /// # Errors
    /// A sentence, if the question cannot be read.
    fn decide(&self, asked: &BuiltInBooking) -> Result<Decision, String>;
}

/// Why a policy says no.
struct Refusal {
    code: &'static str,
    reason: String,
}

impl Refusal {
    fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }

    /// The decision that says so.
    fn decision(self) -> Decision {
        Decision::Reject {
            code: self.code.to_owned(),
            reason: self.reason,
        }
    }
}

/// A built-in policy under one version of its rules.
pub(crate) struct BuiltIn {
    policy: &'static str,
    rules: u32,
    title: &'static str,
    description: &'static str,
    example: &'static str,
    schema: fn() -> Value,
    /// Checks a configuration. Returns whether the policy must see who the customer is.
    check: fn(&str) -> Result<bool>,
    decide: fn(&str, &BuiltInBooking) -> Result<Decision, String>,
}

/// Every policy, each with every version of its rules, the newest first.
static CATALOGUE: [BuiltIn; 7] = [
    BuiltIn::of::<access_codes::AccessCodes>(),
    BuiltIn::of::<early_bird::EarlyBird>(),
    BuiltIn::of::<group_discount::GroupDiscount>(),
    BuiltIn::of::<members_only::MembersOnly>(),
    BuiltIn::of::<minimum_age::MinimumAge>(),
    BuiltIn::of::<customer_maximum::CustomerMaximum>(),
    BuiltIn::of::<promo_codes::PromoCodes>(),
];

/// All policies, by name: what tenants see of them.
pub(crate) fn list() -> Vec<CataloguePolicy> {
    let told = |own: &BuiltIn| CataloguePolicy {
        name: PluginName::of_built_in(own.policy),
        title: own.title,
        description: own.description,
        rules: own.rules,
        version: own.version(),
        config_schema: (own.schema)(),
        example: serde_json::from_str(own.example).unwrap_or_default(),
    };
    CATALOGUE.iter().map(told).collect()
}

/// The version of each policy, in the order of the catalogue: a digest, which every decision looks for.
static VERSIONS: LazyLock<Vec<PluginHash>> =
    LazyLock::new(|| CATALOGUE.iter().map(BuiltIn::version).collect());

/// The policy with this version of its rules.
pub(crate) fn of_version(version: PluginHash) -> Option<&'static BuiltIn> {
    let place = VERSIONS.iter().position(|own| *own == version)?;
    CATALOGUE.get(place)
}

/// Notes the version of the rules that a use decides by, and checks it.
///
/// # Errors
/// Those of [`check_activation`].
pub(crate) fn settle(plugin: &mut ActivePlugin) -> Result<()> {
    let rules = of_version(plugin.version).map(|own| own.rules);
    plugin.rules = rules.or(plugin.rules);
    check_activation(plugin)
}

/// The policy that a name uses, with a version of its rules, or with the newest.
pub(crate) fn of_name(name: &PluginName, version: Option<PluginHash>) -> Option<&'static BuiltIn> {
    let policy = name.built_in()?;
    let mut own = CATALOGUE.iter().filter(|own| own.policy == policy);
    own.find(|own| version.is_none_or(|version| own.version() == version))
}

/// Checks an activation of a built-in policy: its configuration, and what it may see. Does nothing for an uploaded plugin.
///
/// # Errors
/// `field-invalid` or `unknown-field` at the field; `not-found` for rules that this program does not have.
fn check_activation(plugin: &ActivePlugin) -> Result<()> {
    if plugin.name.built_in().is_none() {
        return Ok(());
    }
    let own = match of_name(&plugin.name, Some(plugin.version)) {
        Some(own) => own,
        // An older program may still switch off what a newer one activated.
        None if !plugin.enabled => return Ok(()),
        None => return Err(Error::not_found("version of this policy", plugin.version)),
    };
    let needs_identity = own.check(&plugin.config)?;
    match (needs_identity, plugin.sees_identity) {
        (true, false) => Err(Error::field(
            "seesIdentity",
            "This configuration looks at e-mail addresses or external ids: set seesIdentity to true.",
        )),
        (false, true) => Err(Error::field(
            "seesIdentity",
            "This configuration does not look at who the customer is: set seesIdentity to false.",
        )),
        _ => Ok(()),
    }
}

/// What an active policy decides. Its answer is judged as a plugin's is.
pub(crate) fn outcome(
    version: PluginHash,
    config: &str,
    request: &BuiltInRequest,
) -> PluginOutcome {
    let answer = match of_version(version) {
        Some(own) => own.answer(config, request),
        None => Err(HookFailure::NotLoaded(
            "this host's program does not have these rules".to_owned(),
        )),
    };
    answer.into()
}

/// What the keys of an activation's counters begin with: no two activations of a tenant have the same.
pub(crate) fn counters_of(plugin: &ActivePlugin) -> String {
    match plugin.event {
        Some(event) => format!("{}@{event}", plugin.name),
        None => plugin.name.to_string(),
    }
}

impl BuiltIn {
    const fn of<P: Policy>() -> Self {
        Self {
            policy: P::NAME,
            rules: P::RULES,
            title: P::TITLE,
            description: P::DESCRIPTION,
            example: P::EXAMPLE,
            schema: schema::<P>,
            check: check::<P>,
            decide: decide::<P>,
        }
    }

    /// The id of this version: it names the policy and its rules.
    pub(crate) fn version(&self) -> PluginHash {
        PluginHash::of(format!("boxoffice.{} rules {}", self.policy, self.rules).as_bytes())
    }

    /// A configuration that it takes.
    pub(crate) fn example(&self) -> &'static str {
        self.example
    }

    /// Its name without a label.
    pub(crate) fn name(&self) -> PluginName {
        PluginName::of_built_in(self.policy)
    }

    /// Checks a configuration. Returns whether the policy must see who the customer is.
    ///
    /// # Errors
    /// `field-invalid` or `unknown-field` at the field.
    pub(crate) fn check(&self, config: &str) -> Result<bool> {
        (self.check)(config)
    }

    fn answer(&self, config: &str, request: &BuiltInRequest) -> Result<PluginAnswer, HookFailure> {
        let BuiltInRequest::ValidateBooking(asked) = request;
        let decision = (self.decide)(config, asked);
        let decision =
            decision.and_then(|decision| judge_request(&asked.lines, &asked.event, decision));
        decision
            .map(PluginAnswer::Decided)
            .map_err(HookFailure::Failed)
    }
}

/// JSON Schema 2020-12 of a policy's configuration.
fn schema<P: Policy>() -> Value {
    let mut schema = P::schema();
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = P::TITLE.into();
    schema
}

fn check<P: Policy>(config: &str) -> Result<bool> {
    let policy = read::<P>(config)?;
    policy.validate().map_err(within_config)?;
    Ok(policy.needs_identity())
}

fn decide<P: Policy>(config: &str, asked: &BuiltInBooking) -> Result<Decision, String> {
    let policy = read::<P>(config).map_err(|error| error.detail().to_owned())?;
    policy.decide(asked)
}

/// Longest piece of a configuration in an error.
const QUOTED_CHARACTERS_MAX: usize = 120;

/// Reads a configuration.
///
/// # Errors
/// `field-invalid` or `unknown-field` at the field, with what is allowed there.
fn read<P: Policy>(config: &str) -> Result<P> {
    let reader = &mut serde_json::Deserializer::from_str(config);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = error.path().to_string();
        let path: String = path.chars().take(QUOTED_CHARACTERS_MAX).collect();
        let at = |name: &str| match path.as_str() {
            "." => format!("config.{name}"),
            path => format!("config.{path}.{name}"),
        };
        // The place in the text that the parser adds says nothing: the request's JSON was another text.
        let fault = error.inner().to_string();
        let fault = fault.split(" at line ").next().unwrap_or_default();
        if let Some(name) = fault.strip_prefix("missing field `") {
            return Error::field(at(name.trim_end_matches('`')), "This field is required.");
        }
        let field = match path.as_str() {
            "." => "config".to_owned(),
            path => format!("config.{path}"),
        };
        if let Some(unknown) = fault.strip_prefix("unknown field `") {
            let (_, known) = unknown.rsplit_once("expected ").unwrap_or_default();
            let detail = format!("Unknown field. Expected {known}.");
            return Error::new(ErrorCode::UnknownField, detail).at_field(field);
        }
        let fault: String = fault.chars().take(QUOTED_CHARACTERS_MAX).collect();
        Error::field(field, format!("{fault}."))
    })
}

/// A fault of a configuration, with its place in the request.
fn within_config(error: Error) -> Error {
    let field = error.field_name().map(|field| format!("config.{field}"));
    error.at_field(field.unwrap_or_else(|| "config".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_policy_has_a_version_a_schema_and_an_example_that_it_takes() {
        let policies = list();
        assert_eq!(policies.len(), CATALOGUE.len());
        for (own, told) in CATALOGUE.iter().zip(&policies) {
            assert!(of_version(told.version).is_some_and(|found| found.policy == own.policy));
            assert!(PluginName::parse("name", told.name.as_str()).is_ok());
            own.check(own.example).expect(own.policy);
            assert!(told.example.is_object(), "{}", own.policy);
            let schema = &told.config_schema;
            assert_eq!(
                schema["$schema"],
                json!("https://json-schema.org/draft/2020-12/schema")
            );
            assert_eq!(schema["additionalProperties"], json!(false), "{schema}");
        }
        let names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn unknown_rules_are_not_loaded() {
        let request = BuiltInRequest::ValidateBooking(Box::new(samples::asked(json!({}), 1)));
        let outcome = outcome(PluginHash::of(b"other"), "{}", &request);
        assert!(matches!(outcome.answer, Err(HookFailure::NotLoaded(_))));
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_never_a_yes() {
        let request = BuiltInRequest::ValidateBooking(Box::new(samples::asked(json!({}), 1)));
        for own in &CATALOGUE {
            let answer = outcome(own.version(), r#"{"colour":"red"}"#, &request).answer;
            assert!(matches!(answer, Err(HookFailure::Failed(_))), "{answer:?}");
        }
    }

    #[test]
    fn a_fault_has_the_place_in_the_request_and_the_fix() {
        let own = of_name(&PluginName::of_built_in("promo-codes"), None).expect("the policy");
        let error = own
            .check(r#"{"codes":["A"],"discount":{"percent":0}}"#)
            .unwrap_err();
        assert_eq!(error.field_name(), Some("config.discount.percent"));
        assert!(
            error.detail().contains("use a whole number from 1 to 100"),
            "{error:?}"
        );
    }
}
