//! `tickwire-loadtest clients` as the load generator: where there is no peers' folder, and for clients of different
//! kinds. It publishes its own rows, and its latencies are those of the steady clients.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::case::Case;
use crate::figures::Figures;
use crate::process::Launch;
use crate::server::{Places, Ports};
use crate::watch::{Sample, cpu_between};

/// How long clients without rows are watched.
const IDLE_SECONDS: u32 = 2;

/// Seconds under load before the measured ones.
const WARMUP_SECONDS: u32 = 2;

/// The same for `fair`.
const FAIR_WARMUP_SECONDS: u32 = 10;

/// What a slow client reads in a second: less than half of what the clients of this mix are sent.
const SLOW_RATE: &str = "1KiB";

/// What is read of the report.
#[derive(Debug, Deserialize)]
struct Report {
    verdict: Verdict,
    /// Unix µs.
    finished_us: u64,
    window_us: f64,
    connected: f64,
    received: f64,
    settle_us: Percentiles,
    latency_us: Percentiles,
    age_us: Percentiles,
    delivery: Delivery,
    counters: Counters,
    series: Vec<Second>,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    result: String,
    why: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Percentiles {
    rows: u64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

#[derive(Debug, Deserialize)]
struct Delivery {
    owed: f64,
    lost: f64,
    skipped: f64,
}

#[derive(Debug, Deserialize)]
struct Counters {
    closes: std::collections::BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
struct Second {
    /// Since the run began.
    at_ms: u64,
    length_us: u64,
    phase: String,
}

/// The load test for one run; what it measures goes to `report`.
pub(crate) fn launch(
    places: &Places,
    case: Case,
    clients: u32,
    ports: &Ports,
    seconds: u32,
    report: &Path,
) -> Launch {
    let load = case.load(clients);
    let [steady, slow, stalled] = case.mix(clients);
    let names: Vec<String> = (0..load.symbols).map(|number| format!("bench:S{number}")).collect();
    let ramp_ms = u64::from(load.clients) * 1_000 / u64::from(load.connect_rate);
    // Stalled clients are stalled once their buffers are full; until then they cost what others do.
    let warmup = if case.word() == "fair" { FAIR_WARMUP_SECONDS } else { WARMUP_SECONDS };
    let measured = if case.is_idle() { IDLE_SECONDS } else { seconds };
    let mut args = vec![
        "clients".to_owned(),
        "--quiet".to_owned(),
        format!("--url=ws://127.0.0.1:{}/v1/stream", ports.clients),
        format!("--clients={}", load.clients),
        format!("--symbols={}", names.join(",")),
        format!("--per-client={}", load.per_client),
        format!("--ramp={ramp_ms}ms"),
        format!("--warmup={warmup}s"),
        format!("--duration={measured}s"),
        format!("--json={}", report.display()),
    ];
    if slow + stalled > 0 {
        args.push(format!("--mix=steady={steady},slow={slow},stalled={stalled}"));
        args.push(format!("--slow-rate={SLOW_RATE}"));
    }
    if load.rate > 0 {
        args.push(format!("--publish={}", load.rate));
        args.push(format!("--publish-symbols={}", load.symbols));
        args.push(format!("--nats=nats://127.0.0.1:{}", ports.nats));
    }
    Launch::new(places.programs.join("tickwire-loadtest"), args)
}

/// Reads its report, and what the server used meanwhile off the looks at it.
///
/// # Errors
/// If it has nothing to report, or if clients are missing.
pub(crate) fn read(report: &str, clients: u32, samples: &[Sample]) -> anyhow::Result<Figures> {
    let report: Report = serde_json::from_str(report).context("read the report of tickwire-loadtest")?;
    let Verdict { result, why } = report.verdict;
    let why = why.unwrap_or_default();
    ensure!(result != "failed", "tickwire-loadtest: {why}");
    let note = (result == "invalid").then(|| format!("not valid: {why}"));
    let connected = report.connected;
    if connected < f64::from(clients) {
        bail!("{connected} of {clients} clients connected");
    }
    let seconds = report.window_us / 1e6;
    let kib = |sample: Option<&Sample>| sample.map(|sample| sample.rss_kib as f64);
    let grown = kib(samples.last()).zip(kib(samples.first())).map(|(last, first)| last - first);
    let mut figures = Figures {
        clients: Some(connected),
        connect_s: Some(report.settle_us.max / 1e6),
        kib_per_client: grown.map(|kib| kib / connected.max(1.0)),
        closed: Some(report.counters.closes.values().sum()),
        note,
        ..Figures::default()
    };
    if report.latency_us.rows > 0 {
        let Delivery { owed, lost, skipped } = report.delivery;
        figures.offered = Some(owed / seconds);
        figures.delivered = Some(report.received / seconds);
        figures.complete = Some(1.0 - (lost + skipped) / owed.max(1.0));
        figures.cpu_us = cpu_ms(report.finished_us, &report.series, samples)
            .map(|ms| ms * 1_000.0 / report.received.max(1.0));
        let latency = report.latency_us;
        figures.p50_us = Some(latency.p50);
        figures.p90_us = Some(latency.p90);
        figures.p99_us = Some(latency.p99);
        figures.p999_us = Some(latency.p999);
        figures.max_us = Some(latency.max);
        figures.age_max_us = Some(report.age_us.max);
    }
    Ok(figures)
}

/// CPU time of the server while it was measured, ms.
fn cpu_ms(finished_us: u64, series: &[Second], samples: &[Sample]) -> Option<f64> {
    let begun_ms = (finished_us / 1_000).checked_sub(series.last()?.at_ms)?;
    let mut measured = series.iter().filter(|second| second.phase == "measure");
    let first = measured.next()?;
    let from_ms = first.at_ms.saturating_sub(first.length_us / 1_000);
    let to_ms = measured.next_back().unwrap_or(first).at_ms;
    cpu_between(samples, begun_ms + from_ms, begun_ms + to_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn report() -> Value {
        let latency = json!({"rows": 10, "p50": 100, "p90": 200, "p99": 300, "p999": 400, "max": 500});
        json!({
            "verdict": {"result": "pass"},
            "finished_us": 1_003_500_000,
            "window_us": 2_000_000,
            "connected": 100,
            "received": 20_000,
            "settle_us": {"rows": 100, "p50": 1, "p90": 1, "p99": 1, "p999": 1, "max": 1_500_000},
            "latency_us": latency,
            "age_us": latency,
            "delivery": {"published": 1, "owed": 20_000, "got": 19_980, "skipped": 15, "lost": 5},
            "counters": {"closes": {"4000": 2, "1006": 1}, "reads": 5},
            "series": [
                {"at_ms": 1_000, "length_us": 1_000_000, "phase": "warm_up"},
                {"at_ms": 2_000, "length_us": 1_000_000, "phase": "measure"},
                {"at_ms": 3_000, "length_us": 1_000_000, "phase": "measure"},
                {"at_ms": 3_500, "length_us": 500_000, "phase": "drain"},
            ],
        })
    }

    fn samples() -> Vec<Sample> {
        (0..=4)
            .map(|i| Sample { at_ms: 1_000_000 + i * 1_000, rss_kib: 1_000 + i * 50, cpu_ms: i * 100 })
            .collect()
    }

    #[test]
    fn a_report() {
        let figures = read(&report().to_string(), 100, &samples()).unwrap();
        assert_eq!((figures.offered, figures.delivered), (Some(10_000.0), Some(10_000.0)));
        assert_eq!((figures.complete, figures.closed), (Some(0.999), Some(3.0)));
        assert_eq!((figures.cpu_us, figures.p99_us), (Some(10.0), Some(300.0)));
        assert_eq!((figures.kib_per_client, figures.connect_s), (Some(2.0), Some(1.5)));
    }

    #[test]
    fn a_busy_load_generator_is_noted() {
        let mut report = report();
        report["verdict"] = json!({"result": "invalid", "why": "busy"});
        let figures = read(&report.to_string(), 100, &samples()).unwrap();
        assert_eq!((figures.note.as_deref(), figures.p99_us), (Some("not valid: busy"), Some(300.0)));
    }

    #[test]
    fn a_report_that_is_none() {
        let with = |key: &str, value: Value| {
            let mut report = report();
            report[key] = value;
            format!("{:#}", read(&report.to_string(), 100, &samples()).unwrap_err())
        };
        let nobody = with("verdict", json!({"result": "failed", "why": "no client"}));
        assert!(nobody.contains("no client"), "{nobody}");
        assert!(with("connected", json!(99)).contains("99 of 100"));
        assert!(with("series", json!(null)).contains("read the report"));
    }

    #[test]
    fn rows_are_published_only_where_the_case_has_some() {
        let places = Places { programs: "/p".into(), peers: None, nats_server: "/n".into() };
        let ports = Ports { nats: 1, clients: 2, publish: 1, admin: Some(3) };
        let words = |case| {
            let launch = launch(&places, case, 10_000, &ports, 10, Path::new("/r"));
            let words: Vec<String> =
                launch.args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            words
        };
        let mixed = words(Case::FairMixed);
        assert!(mixed.contains(&"--mix=steady=9000,slow=500,stalled=500".to_owned()), "{mixed:?}");
        assert!(
            mixed.contains(&"--publish=1000".to_owned())
                && mixed.contains(&"--publish-symbols=500".to_owned())
        );
        assert!(words(Case::MemoryOne).iter().all(|word| !word.starts_with("--publish")));
    }
}
