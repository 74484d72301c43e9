use std::time::Duration;

use super::*;
use crate::clients::class::Class;
use crate::clients::phase::Phase;

fn measured() -> Measured {
    let latency_us =
        Percentiles { rows: 100, p50: 900, p90: 1_000, p99: 12_345, p999: 20_000, max: 1_500_000 };
    let own = Own { cpu_us: Some(200_000), cpu_permille: Some(100), lag_us: latency_us };
    let second = Sample {
        at_ms: 1_000,
        length_us: 1_000_000,
        phase: Phase::Measure,
        connected: 3,
        rows: 100,
        bytes: 10_000,
        closes: 0,
        failures: 0,
        latency_us,
        age_us: latency_us,
        own_lag_us: 1,
    };
    Measured {
        window: Duration::from_secs(2),
        received: 90,
        drained: true,
        connected: 3,
        latency_us,
        tally: Tally { rows: 100, symbols_taken: 3, ..Tally::default() },
        own,
        series: vec![second],
        ..Measured::default()
    }
}

fn published() -> Published {
    let lag_us = Percentiles { rows: 1_000, p50: 70, p90: 80, p99: 900, p999: 1_000, max: 2_000 };
    Published {
        rate: 500,
        symbols: 50,
        seed: 1,
        offered: 1_000,
        published: 1_000,
        refused: 0,
        last_values: 40,
        unseen: 3,
        lag_us,
    }
}

fn judged(pass: bool) -> Judgement {
    Judgement { threshold: "lost=0".to_owned(), measured: "1".to_owned(), pass }
}

fn status(change: impl FnOnce(&mut Measured)) -> u8 {
    let mut measured = measured();
    change(&mut measured);
    verdict(&measured, &[]).exit_status()
}

#[test]
fn the_exit_status_says_how_it_came_out() {
    assert_eq!(status(|_| {}), 0);
    assert_eq!(verdict(&measured(), &[judged(true), judged(false)]).exit_status(), 99);
    assert_eq!(status(|m| m.window = Duration::ZERO), 1);
    assert_eq!(status(|m| m.connected = 0), 1);
    assert_eq!(status(|m| m.series.clear()), 1);
    assert_eq!(status(|m| m.tally.symbols_taken = 0), 1);
    assert_eq!(status(|m| m.own.cpu_permille = Some(951)), 98);
    assert_eq!(status(|m| m.own.lag_us.p99 = 100_001), 98);
    assert_eq!(status(|m| m.own.cpu_permille = None), 0);
    assert_eq!(status(|m| m.published = Some(published())), 0);
    assert_eq!(status(|m| m.published = Some(Published { published: 989, ..published() })), 98);
    let late = Percentiles { p99: 100_001, ..published().lag_us };
    assert_eq!(status(|m| m.published = Some(Published { lag_us: late, ..published() })), 98);
}

#[test]
fn an_interrupted_run_is_judged_by_what_was_measured() {
    assert_eq!(status(|m| m.interrupted = true), 0);
    let early = Measured { interrupted: true, window: Duration::ZERO, ..measured() };
    assert_eq!(verdict(&early, &[]), Verdict::Failed("interrupted before anything was measured".to_owned()));
}

pub(super) fn report() -> Report {
    let plan = Plan { thresholds: vec!["p99=50ms".parse().unwrap()], ..Plan::for_tests() };
    let mut measured = measured();
    measured.tally.failures.add("connect: connection refused");
    measured.classes.of(Class::Steady).clients = 4;
    measured.published = Some(published());
    measured.store = Some(Comparison {
        symbols: 2,
        slots: 6,
        behind_store: 1,
        clients_behind: 1,
        behind_us_max: 1_500,
        ..Comparison::default()
    });
    measured.loss =
        Loss { published: 50, owed: 150, lost: 2, clients_with_loss: 1, worst_client: 2, ..Loss::default() };
    Report::new(&plan, measured, Host::read())
}

#[test]
fn the_table_holds_every_figure() {
    let table = report().to_string();
    for line in [
        "tickwire-loadtest clients ws://127.0.0.1:1/v1/stream",
        "clients    4 asked, 3 connected at the end, failed: 1 connect: connection refused",
        "rows       100 of a window of 2.00s, 90 received in it (45/s, 2222.22us of own CPU a row)",
        "latency    p50 900us, p90 1.0ms, p99 12.3ms, p99.9 20.0ms, max 1.50s",
        "delivery   published 50, owed 150, lost 2 at 1 clients, most 2",
        "own        CPU 10.0 % of one core",
        "publisher  500 rows/s of 50 symbols: 1000 of 1000 published, 40 last values, lag p50 70us",
        "store      6 symbols at clients compared, behind 1 at 1 clients, most by 1.5ms",
        "threshold  p99=50.0ms                 12.3ms  pass",
        "verdict    pass",
    ] {
        assert!(table.contains(line), "{line}\n{table}");
    }
}

#[test]
fn the_json_reads_back() {
    let json: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
    for (pointer, value) in [
        ("/config/clients", serde_json::json!(4)),
        ("/latency_us/p99", serde_json::json!(12_345)),
        ("/format", serde_json::json!(2)),
        ("/config/seed", serde_json::json!(1)),
        ("/publisher/offered", serde_json::json!(1_000)),
        ("/publisher/seed", serde_json::json!(1)),
        ("/publisher/lag_us/p99", serde_json::json!(900)),
        ("/publisher/unseen", serde_json::json!(3)),
        ("/store/behind_store", serde_json::json!(1)),
        ("/series/0/rows", serde_json::json!(100)),
        ("/delivery/lost", serde_json::json!(2)),
        ("/counters/failures/connect: connection refused", serde_json::json!(1)),
        ("/thresholds/0/pass", serde_json::json!(true)),
        ("/verdict/result", serde_json::json!("pass")),
        ("/series/0/phase", serde_json::json!("measure")),
    ] {
        assert_eq!(json.pointer(pointer), Some(&value), "{pointer}");
    }
    assert!(json.pointer("/host/cores").is_some());
}
