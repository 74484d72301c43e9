//! Tickwire beside other fan-out servers, in one run and one table: each server alone on a core, its load on another,
//! all servers in turn within a round, so that all see the same machine.
//!
//! `cargo run --release -p tickwire-loadtest --example fan_out -- --help`; `make bench PEERS=DIR` calls it. The table goes
//! to standard output, every single run into a JSON file, progress to standard error. Nothing of the peers is in this
//! project: they and their load generator `fanbench`, which knows no server, lie in a folder that is named.
//! Linux only: cores are given with taskset, and figures of servers are read from /proc.

use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use serde::Serialize;
use tickwire_common::task::shutdown_signal;

use crate::args::{Args, Plan};
use crate::case::Case;
use crate::figures::Figures;
use crate::table::{Results, table};

mod args;
mod case;
mod fanbench;
mod figures;
mod goal;
mod last_values;
mod own;
mod process;
mod run;
mod server;
mod speech;
mod table;
mod watch;

/// Exit status of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// One run, as the JSON file has it.
#[derive(Debug, Serialize)]
struct Record {
    round: u32,
    case: Case,
    server: &'static str,
    took_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<Figures>,
}

// Programs that are started end with the thread that started them: there must be only this one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let plan = Args::parse().plan()?;
    for line in plan.announcement() {
        eprintln!("{line}");
    }
    let stop = shutdown_signal().context("listen for signals")?;
    let mut records = Vec::new();
    let interrupted = tokio::select! {
        measured = measure(&plan, &mut records) => { measured?; false }
        () = stop => true,
    };
    write_records(&plan, &records)?;
    let table = table(&plan.servers, &results(&plan, &records));
    writeln!(std::io::stdout(), "{}\n\n{table}", plan.caption())?;
    Ok(exit_code(&plan, &records, interrupted))
}

/// A peer may fail; Tickwire may not.
fn exit_code(plan: &Plan, records: &[Record], interrupted: bool) -> ExitCode {
    let ours = |record: &Record| {
        plan.servers.iter().any(|server| server.id == record.server && server.is_tickwire())
    };
    match records.iter().any(|record| record.failure.is_some() && ours(record)) {
        _ if interrupted => ExitCode::from(INTERRUPTED),
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// All runs, servers in turn within a case, cases in turn within a round. A run that fails is a record, not an error.
async fn measure(plan: &Plan, records: &mut Vec<Record>) -> anyhow::Result<()> {
    let runs = plan.runs();
    let total = runs.len();
    for (number, (round, case, index)) in runs.into_iter().enumerate() {
        let Some(server) = plan.servers.get(index) else { continue };
        let begun = Instant::now();
        let outcome = plan.bench.run(server, case).await;
        let took_s = begun.elapsed().as_secs_f64();
        let (said, figures, failure) = match outcome {
            Ok(figures) => (said(&figures), Some(figures), None),
            Err(error) => (format!("FAILED: {error:#}"), None, Some(format!("{error:#}"))),
        };
        eprintln!(
            "[{:>3}/{total}] round {round} {} {}: {said} ({took_s:.0} s)",
            number + 1,
            case.title(),
            server.id
        );
        records.push(Record { round, case, server: server.id, took_s, failure, figures });
        write_records(plan, records)?;
    }
    Ok(())
}

/// A run in a few words.
fn said(figures: &Figures) -> String {
    let part =
        |name: &str, value: Option<f64>, unit: &str| value.map(|value| format!("{name} {value:.2}{unit}"));
    let parts = [
        part("rows/s", figures.delivered, ""),
        part("CPU", figures.cpu_us, " µs"),
        part("p99", figures.p99_us.map(|us| us / 1_000.0), " ms"),
        part("memory", figures.kib_per_client, " KiB a client"),
        part("connect", figures.connect_s, " s"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn write_records(plan: &Plan, records: &[Record]) -> anyhow::Result<()> {
    let file = serde_json::json!({"conditions": plan.caption(), "runs": records});
    let text = serde_json::to_string_pretty(&file)? + "\n";
    if let Some(folder) = plan.json.parent() {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    fs::write(&plan.json, text).with_context(|| format!("write {}", plan.json.display()))
}

fn results(plan: &Plan, records: &[Record]) -> Results {
    let mut results = Results::new();
    for record in records {
        let Some(index) = plan.servers.iter().position(|server| server.id == record.server) else { continue };
        let runs = results.entry((record.case, index)).or_default();
        runs.figures.extend(record.figures.clone());
        runs.failures.extend(record.failure.clone());
    }
    results
}
