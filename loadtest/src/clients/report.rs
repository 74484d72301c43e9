//! What a run comes to: the verdict with its exit status, the table for people, the JSON for programs.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::args::Plan;
use super::delivery::Loss;
use super::host::Host;
use super::latency::Percentiles;
use super::run::{Measured, Own, Sample};
use super::tally::Tally;
use super::threshold::{Figures, Judgement};
use super::units::{as_us, show_us};

/// Above this share of one core the loop itself was the bottleneck.
const OWN_CPU_PERMILLE_MAX: u64 = 950;

/// Above this the process's own lag hides what the server did, µs.
const OWN_LAG_P99_US_MAX: u64 = 100_000;

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
    config: Config,
    host: Host,
    window_us: u64,
    interrupted: bool,
    drained: bool,
    connected: u64,
    settle_us: Percentiles,
    latency_us: Percentiles,
    negative_latencies: u64,
    delivery: Loss,
    counters: Tally,
    own: Own,
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
            clients: plan.clients,
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
        let Measured { window, interrupted, drained, connected, settle_us, latency_us, .. } = measured;
        Self {
            tool: "tickwire-loadtest clients",
            version: env!("CARGO_PKG_VERSION"),
            config: Config::of(plan),
            host,
            window_us: as_us(window),
            interrupted,
            drained,
            connected,
            settle_us,
            latency_us,
            negative_latencies: measured.negative,
            delivery: measured.loss,
            counters: measured.tally,
            own: measured.own,
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
}

fn figures(measured: &Measured) -> Figures {
    Figures {
        latency: measured.latency_us,
        lost: measured.loss.lost,
        disorder: measured.tally.disorder,
        duplicates: measured.tally.duplicates,
        closed: measured.tally.closes.total(),
        errors: measured.tally.errors(),
        connected: measured.connected,
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
    (lag_us.p99 > OWN_LAG_P99_US_MAX).then(|| {
        format!("this process's own lag had a p99 of {}; give it a core of its own", show_us(lag_us.p99))
    })
}

impl fmt::Display for Report {
    /// The table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, counters, delivery, own, .. } = self;
        writeln!(f, "{} {}", self.tool, config.url)?;
        let (closes, failures) = (&counters.closes, &counters.failures);
        line(
            f,
            "clients",
            &format!(
                "{} asked, {} connected at the end{}{}",
                config.clients,
                self.connected,
                reasons(", closed: ", &closes.list()),
                reasons(", failed: ", &failures.list())
            ),
        )?;
        line(
            f,
            "symbols",
            &format!(
                "{}, {} a client, {} taken{}{}",
                config.symbols,
                config.per_client,
                counters.symbols_taken,
                reasons(", refused: ", &counters.refusals.list()),
                reasons(", errors: ", &counters.server_errors.list())
            ),
        )?;
        line(f, "settle", &percentiles(&self.settle_us))?;
        line(f, "rows", &self.rows())?;
        line(f, "latency", &percentiles(&self.latency_us))?;
        line(f, "delivery", &delivered(delivery))?;
        line(
            f,
            "order",
            &format!(
                "disorder {}, duplicates {}, without snapshot {}, not asked {}, malformed {}",
                counters.disorder,
                counters.duplicates,
                counters.without_snapshot,
                counters.rows_not_asked,
                counters.malformed
            ),
        )?;
        line(f, "own", &own_line(own))?;
        for Judgement { threshold, measured, pass } in &self.thresholds {
            line(
                f,
                "threshold",
                &format!("{threshold:<20} {measured:>12}  {}", if *pass { "pass" } else { "FAIL" }),
            )?;
        }
        line(f, "verdict", &self.verdict.to_string())
    }
}

impl Report {
    fn rows(&self) -> String {
        let Self { counters, window_us, .. } = self;
        let per_second = counters.rows.saturating_mul(1_000_000).checked_div(*window_us).unwrap_or(0);
        let mut text = format!("{} in {} ({per_second}/s)", counters.rows, show_us(*window_us));
        if let Some(ns) = self.own.cpu_us.and_then(|us| us.saturating_mul(1_000).checked_div(counters.rows)) {
            // Writing to a String does not fail.
            let _ = write!(text, ", {}.{:02} us of own CPU a row", ns / 1_000, ns % 1_000 / 10);
        }
        for (told, words) in [(self.interrupted, ", interrupted"), (!self.drained, ", not drained")] {
            text.push_str(if told { words } else { "" });
        }
        text
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    writeln!(f, "  {name:<10} {text}")
}

fn reasons(lead: &str, list: &str) -> String {
    if list.is_empty() { String::new() } else { format!("{lead}{list}") }
}

fn percentiles(of: &Percentiles) -> String {
    if of.rows == 0 {
        return "nothing measured".to_owned();
    }
    let [p50, p90, p99, p999, max] = [of.p50, of.p90, of.p99, of.p999, of.max].map(show_us);
    format!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}")
}

fn delivered(loss: &Loss) -> String {
    let Loss { published, owed, lost, skipped, clients_with_loss, worst_client, cut_short, .. } = loss;
    let mut text = format!("published {published}, owed {owed}, lost {lost}, told as skipped {skipped}");
    if *lost > 0 {
        let _ = write!(text, "; {clients_with_loss} clients with loss, worst {worst_client}");
    }
    if *skipped > 0 {
        text.push_str("; where rows were skipped, lost is a lower bound");
    }
    if *cut_short {
        text.push_str("; the log of rows was full, so only the first part was checked");
    }
    text
}

fn own_line(own: &Own) -> String {
    let cpu = own.cpu_permille.map_or("unknown".to_owned(), |cpu| format!("{}.{} %", cpu / 10, cpu % 10));
    format!("CPU {cpu} of one core, lag {}", percentiles(&own.lag_us))
}

#[cfg(test)]
mod tests;
