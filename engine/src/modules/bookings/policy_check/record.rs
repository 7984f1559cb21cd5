//! The record of a decision while policies are asked: the text that a [`DecisionRecord`] is read from.
//!
//! What a plugin was asked is written as JSON once, when it has answered. Called by the policy check. Pure.
//!
//! [`DecisionRecord`]: crate::types::DecisionRecord

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    ports::PluginOutcome,
    types::{ActivePlugin, PluginHash},
};

/// Largest request that is kept with a decision: as much as the details of a booking may have.
const KEPT_REQUEST_BYTES_MAX: usize = 64 * 1024;

/// The fields of a `DecisionRecord`.
#[derive(Serialize)]
pub(crate) struct DecisionDraft<'a> {
    policy_version: u64,
    steps: Vec<StepDraft<'a>>,
}

/// The fields of a `DecisionStep`.
#[derive(Serialize)]
struct StepDraft<'a> {
    plugin: &'a str,
    version: PluginHash,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<u32>,
    config: &'a str,
    request: Option<Box<RawValue>>,
    answer: Option<Box<RawValue>>,
}

impl<'a> DecisionDraft<'a> {
    pub(crate) fn new(policy_version: u64) -> Self {
        Self {
            policy_version,
            steps: Vec::new(),
        }
    }

    /// Adds the part of one plugin, or of one built-in policy. A very large request is left out.
    pub(crate) fn add(
        &mut self,
        plugin: &'a ActivePlugin,
        question: &impl Serialize,
        outcome: &PluginOutcome,
    ) {
        let request = to_raw_value(question).ok();
        let answer = match &outcome.answer {
            Ok(answer) => to_raw_value(answer),
            Err(failure) => to_raw_value(&failure.as_answer()),
        };
        self.steps.push(StepDraft {
            plugin: plugin.name.as_str(),
            version: plugin.version,
            rules: plugin.rules,
            config: &plugin.config,
            request: request.filter(|text| text.get().len() <= KEPT_REQUEST_BYTES_MAX),
            answer: answer.ok(),
        });
    }

    /// The record as text; `None` if no plugin was asked.
    pub(crate) fn text(&self) -> Option<Arc<str>> {
        let text = serde_json::to_string(self);
        text.ok().filter(|_| !self.steps.is_empty()).map(Arc::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        ports::{Decision, HookFailure, PluginAnswer, PluginRequest, RenderRequest},
        types::{DecisionRecord, PluginLimits, PluginName},
    };

    fn plugin() -> ActivePlugin {
        ActivePlugin {
            name: PluginName::parse("name", "two-each").expect("a name"),
            event: None,
            version: PluginHash::of(b"component"),
            rules: None,
            previous: Vec::new(),
            config: r#"{"most":2}"#.to_owned(),
            when_not_loaded: Default::default(),
            sees_identity: false,
            limits: PluginLimits::default(),
            enabled: true,
            decides: true,
            words: false,
            quarantines: Vec::new(),
        }
    }

    fn question(text: &str) -> PluginRequest {
        PluginRequest::Render(RenderRequest {
            kind: text.to_owned(),
            locale: "en".to_owned(),
            data: json!({ "a": [1, null] }),
        })
    }

    fn outcome(answer: Result<PluginAnswer, HookFailure>) -> PluginOutcome {
        answer.into()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let plugin = plugin();
        let mut draft = DecisionDraft::new(7);
        assert_eq!(draft.text(), None, "nobody was asked");
        let accept = PluginAnswer::Decided(Decision::Accept);
        draft.add(&plugin, &question("\"quoted\" 🎷"), &outcome(Ok(accept)));
        let failure = HookFailure::Failed("it trapped".to_owned());
        let large = question(&"x".repeat(KEPT_REQUEST_BYTES_MAX));
        draft.add(&plugin, &large, &outcome(Err(failure)));
        let text = draft.text().expect("a text");
        let record: DecisionRecord = serde_json::from_str(&text).expect("a record");
        assert!(!record.is_erased);
        assert_eq!(record.policy_version, 7);
        let [first, second] = &record.steps[..] else {
            panic!("two steps: {record:?}")
        };
        assert_eq!(first.plugin, "two-each");
        assert_eq!(
            (first.version, &first.config),
            (plugin.version, &plugin.config)
        );
        let asked = serde_json::to_value(question("\"quoted\" 🎷")).expect("JSON");
        assert_eq!(first.request.as_ref(), Some(&asked));
        assert_eq!(first.answer, json!({ "decision": "accept" }));
        assert_eq!(second.request, None);
        assert_eq!(second.answer, json!({ "failure": "it trapped" }));
    }
}
