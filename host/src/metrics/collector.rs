//! The engine's counters and state at one time, as families of metrics.
//!
//! Made for one scrape by `metrics`.

use std::fmt;

use boxoffice_engine::{
    Counts, DURATION_BOUNDS_MILLISECONDS, DeliveryOverview, DurationCounts, PluginCounters,
    SystemHealth,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeCounterValue},
    metrics::MetricType,
};

/// The engine's counters and state at one time.
#[derive(Debug)]
pub(super) struct EngineCollector {
    pub(super) counts: Counts,
    pub(super) plugins: Vec<PluginSample>,
    pub(super) health: Option<SystemHealth>,
    pub(super) overview: Option<DeliveryOverview>,
}

/// The counters of a plugin, or of several under one label.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PluginSample {
    tenant: String,
    plugin: String,
    pub(super) answered: u64,
    failed: u64,
    too_large: u64,
    busy: u64,
    not_loaded: u64,
    fuel: u64,
    microseconds: u64,
    microseconds_max: u64,
    /// Exports in quarantine, and when each is tried again, as Unix time.
    quarantined: Vec<(&'static str, f64)>,
}

impl PluginSample {
    pub(super) fn of(tenant: &str, plugin: &str, counters: &PluginCounters) -> Self {
        Self {
            tenant: tenant.to_owned(),
            plugin: plugin.to_owned(),
            answered: counters.answered,
            failed: counters.failed,
            too_large: counters.too_large,
            busy: counters.busy,
            not_loaded: counters.not_loaded,
            fuel: counters.fuel,
            microseconds: counters.microseconds,
            microseconds_max: counters.microseconds_max,
            quarantined: counters
                .quarantined
                .iter()
                .map(|(export, next_try_at)| (export.as_str(), next_try_at.as_second() as f64))
                .collect(),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            answered: self.answered + other.answered,
            failed: self.failed + other.failed,
            too_large: self.too_large + other.too_large,
            busy: self.busy + other.busy,
            not_loaded: self.not_loaded + other.not_loaded,
            fuel: self.fuel.saturating_add(other.fuel),
            microseconds: self.microseconds.saturating_add(other.microseconds),
            microseconds_max: self.microseconds_max.max(other.microseconds_max),
            ..self
        }
    }

    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.tenant, &self.plugin) == (&other.tenant, &other.plugin)
    }

    fn labels(&self) -> Vec<Label<'_>> {
        vec![
            ("tenant", self.tenant.as_str()),
            ("plugin", self.plugin.as_str()),
        ]
    }
}

impl Collector for EngineCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut out = Out(encoder);
        encode_lanes(&mut out, &self.counts)?;
        encode_store(&mut out, &self.counts)?;
        out.gauges(
            "overview_ok",
            "Whether lanes and workers could be read just now",
            vec![(Vec::new(), f64::from(u8::from(self.overview.is_some())))],
        )?;
        encode_plugins(&mut out, &self.plugins)?;
        if let Some(health) = &self.health {
            encode_health(&mut out, health)?;
        }
        match &self.overview {
            Some(overview) => encode_overview(&mut out, overview),
            None => Ok(()),
        }
    }
}

fn encode_lanes(out: &mut Out<'_>, counts: &Counts) -> Result<(), fmt::Error> {
    let mails = counts.lanes.iter().flat_map(|lane| {
        [
            ("sent", lane.mails.sent),
            ("refused", lane.mails.refused),
            ("deferred", lane.mails.deferred),
            ("unknown", lane.mails.unknown),
        ]
        .map(|(outcome, count)| {
            (
                vec![("lane", lane.lane.as_str()), ("outcome", outcome)],
                count,
            )
        })
    });
    out.counters(
        "mails",
        "Mails handed over by this process, by outcome",
        mails.collect(),
    )?;
    let sending = counts.lanes.iter();
    let sending = sending.map(|lane| (vec![("lane", lane.lane.as_str())], &lane.sending));
    out.histograms(
        "mail_seconds",
        "How long handing a mail over took",
        sending.collect(),
    )?;
    let waiting = counts.lanes.iter();
    let waiting = waiting.map(|lane| (vec![("lane", lane.lane.as_str())], &lane.waiting));
    out.histograms(
        "mail_wait_seconds",
        "How long mails waited, from being listed to their first attempt",
        waiting.collect(),
    )?;
    let fetched = counts.lanes.iter();
    let fetched = fetched.map(|lane| (vec![("lane", lane.lane.as_str())], lane.fetched));
    out.counters(
        "tasks_fetched",
        "Tasks fetched from the queue",
        fetched.collect(),
    )
}

fn encode_store(out: &mut Out<'_>, counts: &Counts) -> Result<(), fmt::Error> {
    for (name, help, count) in [
        (
            "recipients_listed",
            "Recipients that fan-outs listed",
            counts.recipients_listed,
        ),
        (
            "store_scripts",
            "Scripts run on the store",
            counts.store_scripts,
        ),
        (
            "store_commits",
            "Commits that those scripts asked for; each waits for the disk",
            counts.store_commits,
        ),
        ("store_reads", "Scripts that only read", counts.store_reads),
        (
            "store_conflicts",
            "Transactions that met somebody else's write",
            counts.store_conflicts,
        ),
        (
            "store_retries",
            "Conflicts after which a step was tried again",
            counts.store_retries,
        ),
        (
            "store_lost",
            "Scripts whose answer was lost",
            counts.store_lost,
        ),
    ] {
        out.counters(name, help, vec![(Vec::new(), count)])?;
    }
    Ok(())
}

/// The outcomes of a plugin's calls, as labels, with their numbers.
type Outcome = (&'static str, fn(&PluginSample) -> u64);

fn encode_plugins(out: &mut Out<'_>, plugins: &[PluginSample]) -> Result<(), fmt::Error> {
    let outcomes: [Outcome; 5] = [
        ("answered", |one| one.answered),
        ("failed", |one| one.failed),
        ("input-too-large", |one| one.too_large),
        ("busy", |one| one.busy),
        ("not-loaded", |one| one.not_loaded),
    ];
    let calls = plugins.iter().flat_map(|one| {
        outcomes.map(|(outcome, count)| {
            let mut labels = one.labels();
            labels.push(("outcome", outcome));
            (labels, count(one))
        })
    });
    out.counters(
        "plugin_calls",
        "Calls of plugins by this process, by what came of them",
        calls.collect(),
    )?;
    let fuel = plugins.iter().map(|one| (one.labels(), one.fuel));
    out.counters("plugin_fuel", "Fuel that plugins used", fuel.collect())?;
    let time = plugins.iter();
    let time = time.map(|one| (one.labels(), one.microseconds as f64 / 1e6));
    out.counters(
        "plugin_seconds",
        "Time that plugins spent on threads",
        time.collect(),
    )?;
    let longest = plugins.iter();
    let longest = longest.map(|one| (one.labels(), one.microseconds_max as f64 / 1e6));
    out.gauges(
        "plugin_seconds_max",
        "Longest call of a plugin since it was counted",
        longest.collect(),
    )?;
    let quarantined = plugins.iter().flat_map(|one| {
        one.quarantined.iter().map(|(export, next_try_at)| {
            let mut labels = one.labels();
            labels.push(("export", *export));
            (labels, *next_try_at)
        })
    });
    out.gauges(
        "plugin_next_try_timestamp_seconds",
        "When an export of a plugin that is in quarantine is tried again, as this process saw it last",
        quarantined.collect(),
    )
}

fn encode_health(out: &mut Out<'_>, health: &SystemHealth) -> Result<(), fmt::Error> {
    let parts = [("database", health.database), ("queue", health.queue)];
    let each = |value: fn(&boxoffice_engine::PartHealth) -> f64| {
        let parts = parts.iter();
        parts
            .map(|(name, part)| (vec![("part", *name)], value(part)))
            .collect::<Vec<_>>()
    };
    out.gauges(
        "part_answers",
        "Whether database and queue answered this process just now, within two seconds",
        each(|part| f64::from(u8::from(part.answers))),
    )?;
    out.gauges(
        "part_answer_seconds",
        "How long database and queue took to answer this process",
        each(|part| part.took.as_secs_f64()),
    )
}

fn encode_overview(out: &mut Out<'_>, overview: &DeliveryOverview) -> Result<(), fmt::Error> {
    encode_queues(out, overview)?;
    let paused = boxoffice_engine::Lane::ALL.map(|lane| {
        let is_paused = overview.paused_lanes.iter().any(|pause| pause.lane == lane);
        (
            vec![("lane", lane.as_str())],
            f64::from(u8::from(is_paused)),
        )
    });
    out.gauges(
        "lane_paused",
        "Whether an operator has stopped the lane",
        paused.to_vec(),
    )?;
    let alive = overview.workers.iter().filter(|worker| worker.is_alive);
    out.gauges(
        "workers_alive",
        "Worker processes that showed a sign of life a moment ago",
        vec![(Vec::new(), alive.count() as f64)],
    )?;
    out.gauges(
        "deliveries_failed",
        "Deliveries that are dead or unknown, at most 500 batches counted",
        vec![
            (vec![("state", "dead")], overview.dead as f64),
            (vec![("state", "unknown")], overview.unknown as f64),
        ],
    )
}

fn encode_queues(out: &mut Out<'_>, overview: &DeliveryOverview) -> Result<(), fmt::Error> {
    let lanes = overview.lanes.as_deref().unwrap_or_default();
    let gauge = |value: &dyn Fn(&boxoffice_engine::LaneStatus) -> Option<f64>| {
        let known = lanes.iter().filter_map(|lane| Some((lane, value(lane)?)));
        known
            .map(|(lane, value)| (vec![("lane", lane.lane.as_str())], value))
            .collect::<Vec<_>>()
    };
    let number = |value: u64| value as f64;
    out.gauges(
        "queue_waiting",
        "Tasks that no worker has fetched",
        gauge(&|lane| lane.waiting.map(number)),
    )?;
    out.gauges(
        "queue_in_flight",
        "Tasks that a worker has",
        gauge(&|lane| lane.in_flight.map(number)),
    )?;
    out.gauges(
        "outbox_entries",
        "Pieces of work in the outbox, at most a thousand counted",
        gauge(&|lane| Some(number(lane.outbox_entries))),
    )?;
    out.gauges(
        "outbox_oldest_seconds",
        "How long the oldest due entry of the outbox has waited; 0 if none does",
        gauge(&|lane| {
            let waits = lane
                .oldest_at
                .map(|oldest| overview.at.duration_since(oldest));
            Some(waits.map_or(0.0, |waits| waits.as_secs_f64().max(0.0)))
        }),
    )
}

type Label<'a> = (&'static str, &'a str);

/// Writes families with known values.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counters<V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        values: Vec<(Vec<Label<'_>>, V)>,
    ) -> Result<(), fmt::Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            let labels = labels.as_slice();
            if labels.is_empty() {
                metric.encode_counter::<[Label<'_>; 0], V, f64>(&value, None)?;
            } else {
                let mut one = metric.encode_family(&labels)?;
                one.encode_counter::<[Label<'_>; 0], V, f64>(&value, None)?;
            }
        }
        Ok(())
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        values: Vec<(Vec<Label<'_>>, f64)>,
    ) -> Result<(), fmt::Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            let labels = labels.as_slice();
            if labels.is_empty() {
                metric.encode_gauge(&value)?;
            } else {
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        values: Vec<(Vec<Label<'_>>, &DurationCounts)>,
    ) -> Result<(), fmt::Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, durations) in values {
            let bounds = DURATION_BOUNDS_MILLISECONDS.iter();
            let bounds = bounds.map(|bound| *bound as f64 / 1e3).chain([f64::MAX]);
            let classes: Vec<(f64, u64)> = bounds.zip(durations.classes.iter().copied()).collect();
            let count = durations.classes.iter().sum();
            let sum = durations.sum_microseconds as f64 / 1e6;
            let labels = labels.as_slice();
            let mut one = metric.encode_family(&labels)?;
            one.encode_histogram::<[Label<'_>; 0]>(sum, count, &classes, None)?;
        }
        Ok(())
    }
}
