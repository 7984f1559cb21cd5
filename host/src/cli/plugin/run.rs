//! `boxoffice plugin run`: one call, as a host makes it, on a fixture.
//!
//! Called by the plugin commands. Calls the plugin host.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use boxoffice_engine::{
    PluginLimits,
    ports::{PluginAnswer, PluginCall, PluginLogLine, PluginRequest, PluginRuntime as _},
};
use clap::Args;
use serde_json::{Map, Value, json};

use super::Local;
use crate::cli::print;

/// `boxoffice plugin run`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RunArgs {
    /// The component.
    file: PathBuf,
    /// The fixture: which call, its request, and what is expected of it; `plugins/README.md` describes it.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// A file with the configuration, a JSON object, in place of the fixture's.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Largest component; a host's own limit is `plugins.upload_bytes_max` in its configuration.
    #[arg(long, value_name = "BYTES")]
    upload_bytes_max: Option<usize>,
    /// Longest call, for machines that are busy or slow. Without it what hosts allow by default: 50 for a policy, 250 for a
    /// template.
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    time_ms: Option<u64>,
}

/// Prints the answer and what it cost. A failure or an answer that the fixture does not expect is an error.
pub(super) async fn run(args: RunArgs) -> anyhow::Result<()> {
    let mut fixture = Fixture::read(&args.input)?;
    if let Some(path) = &args.config {
        fixture.config = read_object(path)?;
    }
    let local = Local::load(
        &args.file,
        args.upload_bytes_max,
        args.time_ms.map(Duration::from_millis),
    )
    .await?;
    let call = PluginCall {
        plugin: local.plugin.clone(),
        config: Value::Object(fixture.config).to_string().into(),
        limits: PluginLimits::default(),
        urgent: true,
    };
    let outcome = local.host.call(&call, &fixture.request).await;
    let mut printed = match &outcome.answer {
        Ok(answer) => json!({ "answer": answer }),
        Err(failure) => json!({ "failure": failure.to_string() }),
    };
    let as_expected = match (&fixture.expected, &outcome.answer) {
        (Some(expected), Ok(answer)) => Some(is_within(expected, answer)?),
        (Some(expected), Err(failure)) => Some(is_expected_failure(
            expected,
            &failure.to_string(),
            &outcome.logs,
        )),
        (None, _) => None,
    };
    if let Some(as_expected) = as_expected {
        printed["asExpected"] = as_expected.into();
    }
    printed["fuel"] = outcome.usage.fuel.into();
    printed["microseconds"] = outcome.usage.microseconds.into();
    printed["memoryBytes"] = outcome.usage.memory_bytes.into();
    printed["logs"] = json!(outcome.logs);
    print(&serde_json::to_string_pretty(&printed)?)?;
    if outcome.answer.is_err() && as_expected != Some(true) {
        bail!("the call failed");
    }
    if as_expected == Some(false) {
        bail!(
            "the answer is not as the fixture expects: {}",
            fixture.expected.unwrap_or_default()
        );
    }
    Ok(())
}

/// A call to make.
struct Fixture {
    request: PluginRequest,
    config: Map<String, Value>,
    expected: Option<Value>,
}

impl Fixture {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let mut fields = read_object(path)?;
        let config = match fields.remove("config") {
            None => Map::new(),
            Some(Value::Object(config)) => config,
            Some(_) => bail!("{}: config: expected a JSON object", path.display()),
        };
        let expected = fields.remove("expected");
        if let Some(unknown) = fields
            .keys()
            .find(|key| *key != "export" && *key != "request")
        {
            bail!(
                "{}: {unknown}: this field is not known; a fixture has export, request, config and expected",
                path.display()
            );
        }
        let request = serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
            anyhow::anyhow!("{}: {}: {}", path.display(), error.path(), error.inner())
        })?;
        Ok(Self {
            request,
            config,
            expected,
        })
    }
}

/// Reads a file that holds a JSON object.
///
/// # Errors
/// What is wrong, after the file's name.
pub(super) fn read_object(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    match serde_json::from_str(&text).with_context(|| path.display().to_string())? {
        Value::Object(object) => Ok(object),
        _ => bail!("{}: expected a JSON object", path.display()),
    }
}

/// Whether a call failed as `{"failure": "text"}` expects it: the text is in the failure, or in a line of the log.
fn is_expected_failure(expected: &Value, failure: &str, logs: &[PluginLogLine]) -> bool {
    let Some(part) = expected["failure"].as_str() else {
        return false;
    };
    let said = logs.iter().map(|line| line.message.as_str());
    std::iter::once(failure)
        .chain(said)
        .any(|text| text.contains(part))
}

/// Whether every field that is expected is in the answer with the same value.
fn is_within(expected: &Value, answer: &PluginAnswer) -> anyhow::Result<bool> {
    let answer = serde_json::to_value(answer)?;
    Ok(match (expected, &answer) {
        (Value::Object(expected), Value::Object(answer)) => expected
            .iter()
            .all(|(name, value)| answer.get(name) == Some(value)),
        _ => *expected == answer,
    })
}
