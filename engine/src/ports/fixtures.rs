//! Fixtures of plugins: a call, and the expected result. The files that authors write for `boxoffice plugin run`
//! also run at activation.
//!
//! Called by the activation of plugins and by hosts. Pure.

use serde_json::{Map, Value};

use super::{PluginAnswer, PluginOutcome, PluginRequest};

/// A call, and the expected result.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginFixture {
    /// The request.
    pub request: PluginRequest,
    /// The configuration of the call; `None` leaves it to the caller.
    pub config: Option<Map<String, Value>>,
    /// Fields and values that the answer must have, or how the call must fail; `None` accepts any answer.
    pub expected: Option<Value>,
}

impl PluginFixture {
    /// Reads a fixture: an object with `export` and `request`, and `config` and `expected` if they are given.
    ///
    /// # Errors
    /// A sentence that begins with the path of the invalid field.
    pub fn read(fixture: Value) -> Result<Self, String> {
        let Value::Object(mut fields) = fixture else {
            return Err("expected a JSON object".to_owned());
        };
        let config = match fields.remove("config") {
            None => None,
            Some(Value::Object(config)) => Some(config),
            Some(_) => return Err("config: expected a JSON object".to_owned()),
        };
        let expected = fields.remove("expected");
        let unknown = |key: &&String| *key != "export" && *key != "request";
        if let Some(unknown) = fields.keys().find(unknown) {
            return Err(format!(
                "{unknown}: this field is not known; a fixture has export, request, config and expected"
            ));
        }
        let request = serde_path_to_error::deserialize(Value::Object(fields))
            .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
        Ok(Self {
            request,
            config,
            expected,
        })
    }

    /// Returns whether the result is as expected: the answer has every expected field with the same value, or
    /// the call failed as `{"failure": "text"}` expects it, with this text in the failure or in a line of the log. Without
    /// an expectation every answer is accepted.
    pub fn is_met_by(&self, outcome: &PluginOutcome) -> bool {
        match (&self.expected, &outcome.answer) {
            (None, answer) => answer.is_ok(),
            (Some(expected), Ok(answer)) => is_within(expected, answer),
            (Some(expected), Err(failure)) => {
                let Some(part) = expected["failure"].as_str() else {
                    return false;
                };
                let said = outcome.logs.iter().any(|line| line.message.contains(part));
                said || failure.to_string().contains(part)
            }
        }
    }
}

fn is_within(expected: &Value, answer: &PluginAnswer) -> bool {
    let answer = serde_json::to_value(answer).unwrap_or_default();
    match (expected, &answer) {
        (Value::Object(expected), Value::Object(answer)) => expected
            .iter()
            .all(|(name, value)| answer.get(name) == Some(value)),
        _ => *expected == answer,
    }
}
