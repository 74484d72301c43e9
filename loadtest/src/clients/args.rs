//! The command line of `clients`, and the plan that it makes. Everything is read and checked before a socket opens.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::host;
use super::phase::Timetable;
use super::symbols::SymbolSource;
use super::target::Target;
use super::threshold::Threshold;
use super::units::parse_duration;

/// Files beside the sockets: standard streams, poll, report, library handles.
const OTHER_FILES: u64 = 64;

/// Most symbols over all clients: 640 MB of slots.
const SLOTS_MAX: usize = 20_000_000;

/// Simulated clients against an edge: they connect, subscribe, and check and time every row.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Thresholds: p50, p90, p99, p999, max (a duration, at most); lost, disorder, duplicates, closed, errors (a count, at
most); connected, rows (a count, at least).

Exit status: 0 passed, 1 the run failed (nobody connected, nothing measured), 2 wrong usage, 98 not valid (this process
was the bottleneck), 99 a threshold was not held.")]
pub struct ClientsArgs {
    /// Where to connect
    #[arg(long, default_value = "ws://127.0.0.1:8080/v1/stream")]
    url: Target,
    /// How many clients
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// NAME[,NAME..], `all` that the server lists, or @FILE with one a line
    #[arg(long)]
    symbols: SymbolSource,
    /// How many of the symbols each client takes, chosen at random [default: all]
    #[arg(long)]
    per_client: Option<usize>,
    /// Over which time the clients connect; 0s is as fast as they can
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    ramp: Duration,
    /// How long to wait after the ramp before measuring
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    warmup: Duration,
    /// How long to measure
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    duration: Duration,
    /// Addresses to connect from, in turn; one serves about 28,000 connections
    #[arg(long, value_delimiter = ',')]
    source_addresses: Vec<IpAddr>,
    /// Writes everything that was measured to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Same seed, same choice of symbols
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What must hold, like p99=50ms or lost=0; may be repeated
    #[arg(long = "threshold", value_name = "NAME=VALUE")]
    thresholds: Vec<Threshold>,
    /// No progress lines
    #[arg(long)]
    quiet: bool,
}

/// What is to be run, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) address: SocketAddr,
    pub(crate) names: Vec<String>,
    pub(crate) clients: usize,
    pub(crate) per_client: usize,
    pub(crate) ramp: Duration,
    pub(crate) timetable: Timetable,
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) seed: u64,
    pub(crate) thresholds: Vec<Threshold>,
    pub(crate) quiet: bool,
}

impl ClientsArgs {
    /// Checks what the flags mean together, and asks the server for its symbols if that is wanted.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub(crate) fn plan(self) -> anyhow::Result<Plan> {
        ensure!(self.clients > 0, "--clients: at least 1");
        ensure!(!self.duration.is_zero(), "--duration: longer than 0");
        check_open_files(self.clients, host::open_files_limit())?;
        let address = self.url.resolve().context("--url")?;
        check_sources(&self.source_addresses, address)?;
        let names = self.symbols.names(&self.url, address)?;
        let per_client = per_client(self.per_client, self.clients, names.len())?;
        Ok(Plan {
            target: self.url,
            address,
            names,
            clients: self.clients,
            per_client,
            ramp: self.ramp,
            timetable: Timetable { warmup: self.warmup, duration: self.duration },
            sources: self.source_addresses,
            json: self.json,
            seed: self.seed,
            thresholds: self.thresholds,
            quiet: self.quiet,
        })
    }
}

fn check_open_files(clients: usize, limit: Option<u64>) -> anyhow::Result<()> {
    let needed = (clients as u64).saturating_add(OTHER_FILES);
    match limit {
        Some(limit) if limit < needed => {
            let enough = needed.max(20_000);
            bail!("--clients {clients}: this shell allows {limit} open files; say `ulimit -n {enough}` first")
        }
        _ => Ok(()),
    }
}

fn check_sources(sources: &[IpAddr], target: SocketAddr) -> anyhow::Result<()> {
    if let Some(other) = sources.iter().find(|source| source.is_ipv4() != target.is_ipv4()) {
        bail!("--source-addresses: {other} cannot connect to {target}, which is of the other IP version");
    }
    let different = sources.iter().collect::<HashSet<_>>().len();
    ensure!(different == sources.len(), "--source-addresses: an address stands there twice");
    Ok(())
}

fn per_client(asked: Option<usize>, clients: usize, symbols: usize) -> anyhow::Result<usize> {
    let per_client = asked.unwrap_or(symbols);
    ensure!(per_client > 0, "--per-client: at least 1");
    ensure!(per_client <= symbols, "--per-client {per_client}: there are only {symbols} symbols");
    let slots = per_client.saturating_mul(clients);
    ensure!(
        slots <= SLOTS_MAX,
        "{clients} clients with {per_client} symbols each are over {SLOTS_MAX} in all; say --per-client N"
    );
    Ok(per_client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        clients: ClientsArgs,
    }

    fn plan(line: &str) -> Result<Plan, String> {
        let words = ["clients"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty()));
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.clients.plan().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_whole_line() {
        let plan = plan(
            "--url ws://127.0.0.1:8080/v1/stream --clients 100 --symbols binance:BTC/USDT,ETH/USDT --per-client 1 \
             --ramp 1s --duration 5s --source-addresses 127.0.0.1,127.0.0.2 --threshold p99=50ms --threshold lost=0",
        )
        .unwrap();
        assert_eq!((plan.clients, plan.per_client, plan.names.len()), (100, 1, 2));
        assert_eq!((plan.sources.len(), plan.thresholds.len(), plan.seed), (2, 2, 1));
        assert_eq!(plan.timetable.duration, Duration::from_secs(5));
    }

    #[test]
    fn wrong_lines_say_what_to_change() {
        for (line, word) in [
            ("", "--symbols"),
            ("--symbols A --clients 0", "at least 1"),
            ("--symbols A --duration 0s", "longer than 0"),
            ("--symbols A --per-client 2", "only 1 symbols"),
            ("--symbols A --per-client 0", "at least 1"),
            ("--symbols , ", "at least one"),
            ("--symbols @/nowhere/at-all", "/nowhere/at-all"),
            ("--symbols A --url wss://h/", "not supported yet"),
            ("--symbols A --ramp fast", "250us"),
            ("--symbols A --threshold p98=1s", "p50, p90"),
            ("--symbols A --source-addresses ::1", "other IP version"),
            ("--symbols A --source-addresses 127.0.0.1,127.0.0.1", "twice"),
        ] {
            let message = plan(line).unwrap_err();
            assert!(message.contains(word), "{line}: {message}");
        }
    }

    #[test]
    fn limits_of_the_machine_are_told_before_the_run() {
        let message = check_open_files(10_000, Some(1_024)).unwrap_err().to_string();
        assert!(message.contains("ulimit -n 20000"), "{message}");
        assert!(check_open_files(30_000, Some(20_000)).unwrap_err().to_string().contains("ulimit -n 30064"));
        assert!(check_open_files(10_000, Some(20_000)).is_ok() && check_open_files(10_000, None).is_ok());
        assert!(per_client(None, 100_000, 2_000).unwrap_err().to_string().contains("--per-client"));
    }
}
