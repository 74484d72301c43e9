//! A whole fleet as real processes, broken in every way that it must survive, with clients and a watcher beside it.
//!
//! `cargo run --release -p tickwire-loadtest --example chaos -- --help`; `make chaos` calls it. One nats-server, simulated
//! exchanges that enforce the venues' limits, several ingestors and edges. After each disturbance the market is brought to
//! rest, and the newest row of every symbol, as published, as stored and as shown to clients, must be the exchange's own.
//! The table goes to standard output, progress to standard error. Linux only: processes are stopped by signals and read
//! from /proc.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tickwire_common::task::shutdown_signal;

use crate::args::Args;
use crate::process::Scratch;
use crate::report::Report;

mod args;
mod crowd;
mod events;
mod fleet;
mod http;
mod process;
mod proxy;
mod report;
mod run;
mod watcher;

/// Exit status of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

// Programs that are started end with the thread that started them: there must be only this one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    // reqwest wants a TLS provider even for plain HTTP.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let stop = shutdown_signal().context("listen for signals")?;
    let scratch = Scratch::new(args.keep)?;
    if args.keep {
        eprintln!("logs are in {}", scratch.path().display());
    }
    let mut report = Report::new(&args);
    let interrupted = tokio::select! {
        done = run::run(&args, scratch.path(), &mut report) => { done?; false }
        () = stop => true,
    };
    writeln!(std::io::stdout(), "{report}")?;
    if let Some(path) = &args.json {
        std::fs::write(path, report.json()?).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(match report.passed() {
        _ if interrupted => ExitCode::from(INTERRUPTED),
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
