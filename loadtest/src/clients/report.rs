//! What a run comes to: the verdict with its exit status, the JSON for programs, and for people the table (`table`) and
//! the page (`html`).

use std::fmt;

use serde::Serialize;
use tickwire_common::time::now_us;

use super::args::Plan;
use super::class::Classes;
use super::delivery::Loss;
use super::host::Host;
use super::latency::Percentiles;
use super::publish::Published;
use super::run::{Measured, Own, Sample};
use super::store::Comparison;
use super::tally::Tally;
use super::threshold::{Figures, Judgement};
use super::units::{as_us, show_us};

mod command;
mod html;
mod table;

/// Grows when a member of the JSON changes its meaning or goes; new members do not count.
const FORMAT: u32 = 2;

/// Above this share of one core the loop itself was the bottleneck.
const OWN_CPU_PERMILLE_MAX: u64 = 950;

/// Above this the process's own lag hides what the server did, µs.
const OWN_LAG_P99_US_MAX: u64 = 100_000;

/// Above this the rows were late before the server had them, µs.
const PUBLISH_LAG_P99_US_MAX: u64 = 100_000;

/// Below this share of what the schedule held, another load was offered than the one asked for.
const PUBLISHED_PERMILLE_MIN: u64 = 990;

/// How the run came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result", content = "why")]
pub(crate) enum Verdict {
    /// All thresholds were held.
    Pass,
    /// There is nothing to judge.
    Failed(String),
    /// The figures are of this process, not of the server.
    Invalid(String),
    /// At least one threshold was not held.
    ThresholdFailed,
}

impl Verdict {
    /// The exit status, as load testers use them.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Failed(_) => 1,
            Self::Invalid(_) => 98,
            Self::ThresholdFailed => 99,
        }
    }
}

impl Verdict {
    /// In one or two words.
    fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Failed(_) => "failed",
            Self::Invalid(_) => "not valid",
            Self::ThresholdFailed => "threshold not held",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::Invalid(why) => write!(f, "not valid: {why}"),
            Self::ThresholdFailed => f.write_str("a threshold was not held"),
        }
    }
}

/// The whole of a run, as it is written to `--json`. Times are in the unit that their name ends with.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    tool: &'static str,
    version: &'static str,
    format: u32,
    /// When the run was over, Unix µs.
    finished_us: u64,
    /// What was typed, without secrets.
    command: String,
    config: Config,
    host: Host,
    window_us: u64,
    interrupted: bool,
    drained: bool,
    connected: u64,
    received: u64,
    settle_us: Percentiles,
    latency_us: Percentiles,
    negative_latencies: u64,
    age_us: Percentiles,
    gap_us: Percentiles,
    delivery: Loss,
    classes: Classes,
    counters: Tally,
    own: Own,
    /// `null` without `--publish`.
    publisher: Option<Published>,
    /// `null` without `--nats` and `--publish`.
    store: Option<Comparison>,
    thresholds: Vec<Judgement>,
    pub(crate) verdict: Verdict,
    series: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Config {
    url: String,
    clients: usize,
    symbols: usize,
    per_client: usize,
    ramp_us: u64,
    warmup_us: u64,
    duration_us: u64,
    source_addresses: Vec<String>,
    seed: u64,
}

impl Config {
    fn of(plan: &Plan) -> Self {
        Self {
            url: plan.target.to_string(),
            clients: plan.classes.len(),
            symbols: plan.names.len(),
            per_client: plan.per_client,
            ramp_us: as_us(plan.ramp),
            warmup_us: as_us(plan.timetable.warmup),
            duration_us: as_us(plan.timetable.duration),
            source_addresses: plan.sources.iter().map(ToString::to_string).collect(),
            seed: plan.seed,
        }
    }
}

impl Report {
    /// Judges a run.
    pub(crate) fn new(plan: &Plan, measured: Measured, host: Host) -> Self {
        let figures = figures(&measured);
        let thresholds: Vec<Judgement> =
            plan.thresholds.iter().map(|threshold| threshold.judge(&figures)).collect();
        let verdict = verdict(&measured, &thresholds);
        let Measured { window, interrupted, drained, connected, received, settle_us, latency_us, .. } =
            measured;
        Self {
            tool: "tickwire-loadtest clients",
            version: env!("CARGO_PKG_VERSION"),
            format: FORMAT,
            finished_us: now_us(),
            command: command::shown(std::env::args()),
            config: Config::of(plan),
            host,
            window_us: as_us(window),
            interrupted,
            drained,
            connected,
            received,
            settle_us,
            latency_us,
            negative_latencies: measured.negative,
            age_us: measured.age_us,
            gap_us: measured.gap_us,
            delivery: measured.loss,
            classes: measured.classes,
            counters: measured.tally,
            own: measured.own,
            publisher: measured.published,
            store: measured.store,
            thresholds,
            verdict,
            series: measured.series,
        }
    }

    /// The JSON of everything.
    ///
    /// # Errors
    /// Never: all keys are strings.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// The page of everything.
    pub(crate) fn html(&self) -> String {
        html::Page(self).to_string()
    }
}

fn figures(measured: &Measured) -> Figures {
    Figures {
        latency: measured.latency_us,
        age: measured.age_us,
        gap: measured.gap_us,
        lost: measured.loss.lost,
        disorder: measured.tally.disorder,
        duplicates: measured.tally.duplicates,
        went_back: measured.classes.went_back(),
        unseen: measured.published.as_ref().map(|published| published.unseen),
        behind_store: measured.store.as_ref().and_then(Comparison::behind),
        closed: measured.tally.closes.total(),
        errors: measured.tally.errors(),
        connected: measured.classes.steady().connected,
        rows: measured.tally.rows,
    }
}

fn verdict(measured: &Measured, thresholds: &[Judgement]) -> Verdict {
    if let Some(why) = failure(measured) {
        return Verdict::Failed(why.to_owned());
    }
    if let Some(why) = bottleneck(measured) {
        return Verdict::Invalid(why);
    }
    if thresholds.iter().all(|threshold| threshold.pass) { Verdict::Pass } else { Verdict::ThresholdFailed }
}

fn failure(measured: &Measured) -> Option<&'static str> {
    let Measured { tally, window, .. } = measured;
    let nobody = measured.series.iter().all(|second| second.connected == 0);
    match () {
        () if window.is_zero() && measured.interrupted => Some("interrupted before anything was measured"),
        () if nobody => Some("no client connected and subscribed"),
        () if window.is_zero() || measured.connected == 0 => {
            Some("every connection ended before the window did")
        }
        () if tally.symbols_taken == 0 => Some("the server took none of the symbols"),
        () => None,
    }
}

fn bottleneck(measured: &Measured) -> Option<String> {
    let Own { cpu_permille, lag_us, .. } = measured.own;
    if let Some(cpu) = cpu_permille.filter(|cpu| *cpu > OWN_CPU_PERMILLE_MAX) {
        return Some(format!(
            "this process used {}.{} % of its core; use fewer clients, or more processes",
            cpu / 10,
            cpu % 10
        ));
    }
    if lag_us.p99 > OWN_LAG_P99_US_MAX {
        let lag = show_us(lag_us.p99);
        return Some(format!("this process's own lag had a p99 of {lag}; give it a core of its own"));
    }
    measured.published.as_ref().and_then(fell_behind)
}

/// Whether publishing could not keep the pace.
fn fell_behind(of: &Published) -> Option<String> {
    let Published { offered, published, lag_us, .. } = of;
    if *published < offered.saturating_mul(PUBLISHED_PERMILLE_MIN) / 1_000 {
        return Some(format!("only {published} of {offered} rows could be published in time"));
    }
    (lag_us.p99 > PUBLISH_LAG_P99_US_MAX)
        .then(|| format!("publishing lagged behind its schedule by a p99 of {}", show_us(lag_us.p99)))
}

#[cfg(test)]
mod tests;
