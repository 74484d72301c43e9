//! The table, from made-up figures.

use super::*;
use crate::server::{Places, all};

fn servers() -> Vec<Server> {
    all(&Places { programs: "/nowhere".into(), peers: Some("/nowhere".into()), nats_server: "n".into() })
}

fn place(servers: &[Server], id: &str) -> usize {
    servers.iter().position(|server| server.id == id).unwrap()
}

fn many(cpu_us: f64, p99_us: f64) -> Figures {
    Figures {
        offered: Some(199_990.0),
        delivered: Some(199_800.0),
        complete: Some(1.0),
        cpu_us: Some(cpu_us),
        p50_us: Some(5_123.0),
        p99_us: Some(p99_us),
        max_us: Some(140_000.0),
        peak_kib: Some(51_200.0),
        ..Figures::default()
    }
}

#[test]
fn lines_of_a_case() {
    let servers = servers();
    let mut results = Results::new();
    let ours = Runs { figures: vec![many(4.0, 60_000.0), many(4.4, 65_000.0)], failures: Vec::new() };
    let theirs = Runs { figures: vec![many(4.9, 130_000.0)], failures: vec!["did\nnot | listen".into()] };
    results.insert((Case::Many, place(&servers, "tickwire")), ours);
    results.insert((Case::Many, place(&servers, "bun")), theirs);
    let table = table(&servers, &results);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(
        lines[2],
        "| many | Tickwire | 200k | 200k | 4.20 (4.00..4.40) | 5.12 | 62.5 (60.0..65.0) | 140 |  | 50.0 |  | \
         every row ✓; p99 <= 70 ms ✓; CPU <= Bun ✓ |"
    );
    assert_eq!(
        lines[3],
        "| many | Bun (uWebSockets) | 200k | 200k | 4.90 | 5.12 | 130 | 140 |  | 50.0 |  | \
         **FAILED 1 of 2**: did not   listen; CPU 0.86x, p99 0.48x |"
    );
}

#[test]
fn every_line_has_all_cells() {
    let servers = servers();
    let runs = Runs { figures: vec![Figures::default()], failures: Vec::new() };
    let results: Results = Case::ALL.into_iter().map(|case| ((case, 0), runs.clone())).collect();
    let table = table(&servers, &results);
    assert_eq!(table.lines().count(), 2 + Case::ALL.len());
    assert!(table.lines().all(|line| line.matches('|').count() == HEAD.len() + 1), "{table}");
}

#[test]
fn missed_goals_and_idle_clients() {
    let servers = servers();
    let idle = |kib| Figures { kib_per_client: Some(kib), peak_kib: Some(30_000.0), ..Figures::default() };
    let run = |kib| Runs { figures: vec![idle(kib)], failures: Vec::new() };
    let results = Results::from([
        ((Case::MemoryOne, place(&servers, "tickwire")), run(1.6)),
        ((Case::MemoryOne, place(&servers, "node")), run(6.4)),
    ]);
    let table = table(&servers, &results);
    assert!(table.contains("| 1.60 | 29.3 |  | <= 1.5 KiB ✗ MISSED |"), "{table}");
    assert!(table.contains("| 6.40 | 29.3 |  | memory 0.25x |"), "{table}");
}

#[test]
fn numbers() {
    assert_eq!([0.0, 0.1234, 12.34, 1234.5].map(short), ["0", "0.12", "12.3", "1234"]);
    assert_eq!([999.4, 12_345.0, 3_198_000.0].map(large), ["999", "12k", "3.20M"]);
}
