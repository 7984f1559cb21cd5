//! What plugins cost, in this process: calls beside bare ones of the same components, bookings with and without
//! policies, memory, and the way from an upload to use.
//!
//! Needs the components that the test command builds (`guests/` in its cache) and, to compile as hosts do, the program
//! `boxoffice`. Everything that is compared is measured in turns, in one run.

mod active;
mod bare;
mod bookings;
mod calls;
mod carried;
mod guard;
mod native;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use boxoffice_engine::ports::PluginRequest;
use boxoffice_host::plugin_host::{Compiler, PluginHost, PluginHostSettings};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

#[derive(Args)]
pub(crate) struct PluginsArguments {
    /// Folder with the examples as components, NAME.wasm: `guests` in the cache of the test command.
    #[arg(long)]
    components: PathBuf,
    /// Folder with a folder NAME/fixtures for each of them: `plugins` of the source.
    #[arg(long)]
    fixtures: PathBuf,
    /// The program `boxoffice`, which compiles in a process of its own; without it, compiled in this one.
    #[arg(long)]
    program: Option<PathBuf>,
    /// What is measured; everything unless named.
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Calls of each kind that are timed one by one, in ten turns.
    #[arg(long, default_value_t = 2_000)]
    calls: usize,
    /// How long rates are measured in each turn.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Turns that each kind of booking has.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Bookings under way at a time.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Plugins for the figures of memory, ten for each tenant.
    #[arg(long, default_value_t = 1_000)]
    plugins: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Memory of many loaded plugins. First, while this process has touched little.
    Memory,
    /// Calls of every example: as shipped, bare, and native.
    Calls,
    /// Bookings with no, one and three policies, a JavaScript one, and a native one.
    Bookings,
    /// Bookings that carry answers and metadata, claim of counters or get receipts, and quotes. Needs no component.
    Carried,
    /// What the guard of decisions costs the transaction that writes bookings.
    Guard,
    /// From an upload to a booking that was decided.
    Activation,
}

pub(crate) async fn run(mut arguments: PluginsArguments) -> anyhow::Result<Value> {
    if arguments.parts.is_empty() {
        arguments.parts = Part::value_variants().to_vec();
    }
    let mut report = json!({ "mode": "plugins" });
    for part in Part::value_variants() {
        if !arguments.parts.contains(part) {
            continue;
        }
        let (name, figures) = match part {
            Part::Memory => ("memory", active::memory(&arguments).await?),
            Part::Calls => ("calls", calls::run(&arguments).await?),
            Part::Bookings => ("bookings", bookings::run(&arguments).await?),
            Part::Carried => ("carried", carried::run(&arguments).await?),
            Part::Guard => ("guard", guard::run(&arguments).await?),
            Part::Activation => ("activation", active::activation(&arguments).await?),
        };
        eprintln!("{name}: {figures:#}");
        report[name] = figures;
    }
    Ok(report)
}

impl PluginsArguments {
    /// A host as it is shipped, but for the size of uploads and for limits that a busy machine or one tenant with all
    /// the load would reach: they cost the same wherever they stand.
    fn host(&self) -> anyhow::Result<PluginHost> {
        let compiler = match &self.program {
            Some(path) => Compiler::Program {
                path: std::path::absolute(path)?,
                arguments: vec!["plugin-compile".to_owned()],
            },
            None => Compiler::InProcess,
        };
        let mut settings = PluginHostSettings::new(compiler);
        // Python is larger than what hosts take by default.
        settings.upload_bytes_max = 32 * 1024 * 1024;
        settings.tenant_fuel_per_second = u64::MAX / 4;
        settings.policy.time = Duration::from_secs(5);
        settings.template.time = Duration::from_secs(5);
        settings.wait_max = Duration::from_secs(60);
        PluginHost::new(settings).map_err(anyhow::Error::msg)
    }

    /// Every component in the folder, with one of its fixtures.
    fn examples(&self) -> anyhow::Result<Vec<Example>> {
        let mut examples = Vec::new();
        for entry in std::fs::read_dir(&self.components).context("--components")? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "wasm")
            {
                examples.push(Example::read(&path, &self.fixtures)?);
            }
        }
        ensure!(!examples.is_empty(), "--components: there is no NAME.wasm");
        examples.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(examples)
    }

    fn example(&self, name: &str) -> anyhow::Result<Example> {
        Example::read(
            &self.components.join(format!("{name}.wasm")),
            &self.fixtures,
        )
    }
}

/// A component, and a question to ask it.
struct Example {
    name: String,
    bytes: Arc<[u8]>,
    fixture: String,
    request: PluginRequest,
    config: String,
}

impl Example {
    /// Reads a component and the one of its fixtures that has it do most: to adjust prices rather than to accept, and to
    /// accept rather than to reject.
    fn read(component: &Path, fixtures: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(component).with_context(|| format!("{}", component.display()))?;
        let name = component.file_stem().and_then(|name| name.to_str());
        let name = name.context("a component's name is text")?.to_owned();
        let folder = fixtures.join(&name).join("fixtures");
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let text = std::fs::read_to_string(&path)?;
            let mut fields: Map<String, Value> =
                serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
            let expected = fields.remove("expected").unwrap_or_default();
            let rank = match expected["decision"].as_str() {
                Some("adjust") => 0,
                Some("accept") => 1,
                _ => 2,
            };
            let fixture = path.file_stem().unwrap_or_default().to_string_lossy();
            found.push((rank, fixture.into_owned(), fields));
        }
        found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let Some((_, fixture, mut fields)) = found.into_iter().next() else {
            bail!("{} is empty", folder.display());
        };
        let config = fields.remove("config").unwrap_or_else(|| json!({}));
        Ok(Self {
            bytes: bytes.into(),
            fixture,
            request: serde_json::from_value(Value::Object(fields))?,
            config: config.to_string(),
            name,
        })
    }

    /// The same component with another hash: it ends with a custom section that holds a number.
    fn numbered(&self, number: u32) -> Vec<u8> {
        // Section 0, its size, the length of its name, its name, its content.
        let mut section = vec![0, 8, 3, b'n', b'r', b'.'];
        section.extend(number.to_le_bytes());
        [&self.bytes[..], &section].concat()
    }
}

/// Median and 99th percentile of what calls took.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn percentile_micros(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let index = ((sorted.len() as f64 - 1.0) * part).round() as usize;
        sorted
            .get(index)
            .map_or(f64::NAN, |time| time.as_nanos() as f64 / 1_000.0)
    }

    fn median_micros(&self) -> f64 {
        self.percentile_micros(0.5)
    }

    fn report(&self) -> Value {
        json!({
            "medianMicros": rounded(self.median_micros()),
            "p99Micros": rounded(self.percentile_micros(0.99)),
        })
    }
}

/// Three significant places are more than these figures have.
fn rounded(figure: f64) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return figure;
    }
    let scale = 10_f64.powf(2.0 - figure.abs().log10().floor());
    (figure * scale).round() / scale
}
