//! `boxoffice plugin run`: one call with a fixture, like on a host.
//!
//! Called by the plugin commands. Calls the plugin host.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use boxoffice_engine::{
    PluginLimits,
    ports::{CallPriority, PluginCall, PluginFixture, PluginRuntime as _},
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
    /// The fixture: call, request, and expected result; `plugins/README.md` describes it.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// A file with the configuration, a JSON object, in place of the fixture's.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Largest component; a host's own limit is `plugins.upload_bytes_max` in its configuration.
    #[arg(long, value_name = "BYTES")]
    upload_bytes_max: Option<usize>,
    /// Time limit in milliseconds, for busy or slow machines [default: as on hosts, 50 for a policy, 250 for a
    /// template].
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    time_ms: Option<u64>,
}

/// Prints the answer and its cost. A failure or an answer that the fixture does not expect is an error.
pub(super) async fn run(args: RunArgs) -> anyhow::Result<()> {
    let file = args.input.display();
    let fixture = PluginFixture::read(Value::Object(read_object(&args.input)?))
        .map_err(|fault| anyhow::anyhow!("{file}: {fault}"))?;
    let config = match &args.config {
        Some(path) => read_object(path)?,
        None => fixture.config.clone().unwrap_or_default(),
    };
    let local = Local::load(
        &args.file,
        args.upload_bytes_max,
        args.time_ms.map(Duration::from_millis),
    )
    .await?;
    let call = PluginCall {
        plugin: local.plugin.clone(),
        config: Value::Object(config).to_string().into(),
        limits: PluginLimits::default(),
        priority: CallPriority::Request,
    };
    // Checked by the same function as on a host.
    let outcome = local
        .host
        .call(&call, &fixture.request)
        .await
        .judged(&fixture.request);
    let mut printed = match &outcome.answer {
        Ok(answer) => json!({ "answer": answer }),
        Err(failure) => failure.as_answer(),
    };
    let as_expected = fixture
        .expected
        .is_some()
        .then(|| fixture.is_met_by(&outcome));
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

/// Reads a file with a JSON object.
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
