//! A crowd of clients: connects, subscribes, checks and times every row, and says whether that was good enough. Speaks
//! the client protocol of docs/WIRE.md over its own framing, because 10,000 clients have to fit on one core beside what
//! they measure; goal: 2 us of CPU a received row.
//!
//! In the order of a run: the plan (`args`, `mix`, `choice`, `symbols`, `target`, `threshold`), the loop (`run`,
//! `phase`, `pool`, `timers`, `peer`, `socket`, `interrupt`), one client (`client`, `handshake`, `frame`, `scan`,
//! `array`, `notice`), what is checked (`bench`, `delivery`, `latency`, `pulse`, `class`, `tally`), what the run has at
//! NATS where that is asked for (`backstage`, `publish`, `store`), and what comes out (`report`).

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context;

mod args;
mod choice;
mod host;
mod mistakes;
mod mix;
mod symbols;
mod target;
mod threshold;
mod units;

mod interrupt;
mod peer;
mod phase;
mod pool;
mod run;
mod socket;
mod timers;

mod array;
mod client;
mod frame;
mod handshake;
mod notice;
mod scan;

mod bench;
mod class;
mod delivery;
mod latency;
mod pulse;
mod tally;

mod backstage;
mod publish;
mod store;

mod report;

pub use args::ClientsArgs;
use host::Host;
use report::Report;

/// Exit status of wrong usage, the same as clap's.
const WRONG_USAGE: u8 = 2;

/// Runs the clients; the table goes to stdout, progress to stderr. The exit code is 0 if the run passed, 1 if it
/// failed, 2 for wrong usage, 98 if this process was the bottleneck, 99 if a threshold was not held.
///
/// # Errors
/// If the loop cannot run at all, NATS is not there where it is asked for, or a report cannot be written.
pub fn run(args: ClientsArgs) -> anyhow::Result<ExitCode> {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(WRONG_USAGE.into());
        }
    };
    let measured = run::run(&plan)?;
    let report = Report::new(&plan, measured, Host::read());
    write!(std::io::stdout().lock(), "{report}").context("stdout")?;
    if let Some(path) = &plan.json {
        fs::write(path, report.json()?).with_context(|| format!("--json {}", path.display()))?;
    }
    if let Some(path) = &plan.report {
        fs::write(path, report.html()).with_context(|| format!("--report {}", path.display()))?;
    }
    Ok(report.verdict.exit_status().into())
}
