//! The command line of `clients`, and the plan that it makes. Everything is read and checked before a socket opens.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::choice::Choice;
use super::class::Class;
use super::handshake::Encoding;
use super::host;
use super::mistakes::Mistakes;
use super::mix::Mix;
use super::phase::Timetable;
use super::publish::{NatsArgs, NatsPlan};
use super::symbols::SymbolSource;
use super::target::Target;
use super::threshold::Threshold;
use super::units::{parse_bytes, parse_duration};

/// Files beside the sockets: standard streams, poll, report, library handles.
const OTHER_FILES: u64 = 64;

/// Most symbols over all clients: 640 MB of slots.
const SLOTS_MAX: usize = 20_000_000;

/// Simulated clients against an edge: they connect, subscribe, and check and time every row.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Classes of --mix: steady clients read at once, and latency, age, loss and closes are of them alone; slow ones read
--slow-rate bytes a second; stalled ones never read after their subscribe; flapping ones leave after a while (with a
close frame, plainly or with a reset) and come back with `since`.

Thresholds: p50, p90, p99, p999, max of the latency, age_p50, age_p90, age_p99, age_p999, age_max of the price that a
client held when a newer one came, gap_p99, gap_max of the longest time without a row (a duration, at most); lost,
disorder, duplicates, went_back, unseen, behind_store, closed, errors (a count, at most); connected, rows (a count, at least).

Exit status: 0 passed, 1 the run failed (nobody connected, nothing measured), 2 wrong usage, 98 not valid (this process
was the bottleneck), 99 a threshold was not held.")]
pub struct ClientsArgs {
    /// Where to connect
    #[arg(long, default_value = "ws://127.0.0.1:8080/v1/stream")]
    url: String,
    /// How many clients
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// Shares of the classes of clients, as percent or counts, like steady=90,slow=5,stalled=3,flapping=2
    #[arg(long, default_value = "steady=100")]
    mix: String,
    /// Bytes that a slow client reads in a second
    #[arg(long, default_value = "4KiB")]
    slow_rate: String,
    /// Mean time that a flapping client stays
    #[arg(long, default_value = "5s")]
    flap_stay: String,
    /// Steady clients that lose their connection come back with a jittered back-off and `since`
    #[arg(long)]
    reconnect: bool,
    /// NAME[,NAME..], `all` that the server lists, or @FILE with one a line
    #[arg(long, required_unless_present = "publish")]
    symbols: Option<SymbolSource>,
    #[command(flatten)]
    nats: NatsArgs,
    /// How many of the symbols each client takes [default: all]
    #[arg(long)]
    per_client: Option<usize>,
    /// How they are chosen: uniform, or zipf[:EXPONENT] where the first named is the most popular
    #[arg(long, default_value = "uniform")]
    choice: String,
    /// How rows come: json or array
    #[arg(long, default_value = "json")]
    encoding: String,
    /// How numbers in rows come: number or string
    #[arg(long, default_value = "number")]
    numbers: String,
    /// Over which time the clients connect; 0s is as fast as they can
    #[arg(long, default_value = "10s")]
    ramp: String,
    /// How long to wait after the ramp before measuring
    #[arg(long, default_value = "2s")]
    warmup: String,
    /// How long to measure
    #[arg(long, default_value = "60s")]
    duration: String,
    /// Addresses to connect from, in turn; one serves about 28,000 connections
    #[arg(long, value_delimiter = ',')]
    source_addresses: Vec<String>,
    /// Writes everything that was measured to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Writes a report for people to this file: HTML that needs nothing else
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Same seed, same choice of symbols and same coming and going
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What must hold, like p99=50ms or lost=0; may be repeated
    #[arg(long = "threshold", value_name = "NAME=VALUE")]
    thresholds: Vec<String>,
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
    /// The class of each client.
    pub(crate) classes: Vec<Class>,
    pub(crate) habits: Habits,
    pub(crate) per_client: usize,
    pub(crate) choice: Choice,
    pub(crate) encoding: Encoding,
    pub(crate) ramp: Duration,
    pub(crate) timetable: Timetable,
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    /// What the run has to do with NATS itself.
    pub(crate) nats: Option<NatsPlan>,
    pub(crate) seed: u64,
    pub(crate) thresholds: Vec<Threshold>,
    pub(crate) quiet: bool,
}

/// How classes behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Habits {
    /// Bytes a second, at least 1.
    pub(crate) slow_rate: u64,
    /// Mean stay of a flapping client.
    pub(crate) flap_stay: Duration,
    /// Steady clients come back.
    pub(crate) reconnect: bool,
}

impl ClientsArgs {
    /// Checks what the flags mean, alone and together, and asks the server for its symbols if that is wanted.
    ///
    /// # Errors
    /// Everything that is to be changed, at once.
    pub(crate) fn plan(self) -> anyhow::Result<Plan> {
        let mut mistakes = Mistakes::default();
        let plan = self.read(&mut mistakes);
        mistakes.finish()?;
        plan.ok_or_else(|| anyhow::anyhow!("a flag is wrong"))
    }

    /// The plan, unless there are mistakes.
    fn read(self, mistakes: &mut Mistakes) -> Option<Plan> {
        let (habits, timetable) = (self.habits(mistakes), self.timetable(mistakes));
        let ramp = mistakes.take("--ramp", parse_duration(&self.ramp));
        let encoding = mistakes.take("--encoding", self.encoding.parse());
        let choice = mistakes.take("--choice", self.choice.parse());
        let classes = self.classes(mistakes);
        let thresholds =
            self.thresholds.iter().map(|text| mistakes.take("--threshold", text.parse::<Threshold>()));
        let thresholds: Option<Vec<Threshold>> = thresholds.collect::<Vec<_>>().into_iter().collect();
        let server = self.server(mistakes);
        let sources = self.sources(server.as_ref().map(|(_, address)| *address), mistakes);
        let names = self.names(server.as_ref(), mistakes);
        let per_client = names.as_ref().map_or(self.per_client, |names| {
            mistakes.take("--per-client", per_client(self.per_client, self.clients, names.len()))
        });
        let nats = self.nats.plan(mistakes);
        for (flag, path) in [("--json", &self.json), ("--report", &self.report)] {
            mistakes.take(flag, path.as_deref().map_or(Ok(()), check_folder));
        }
        mistakes.ensure(nats.is_some() || !thresholds.iter().flatten().any(Threshold::needs_store), || {
            "--threshold behind_store: say where the store is, like --nats nats://127.0.0.1:4222".to_owned()
        });
        let publishes = self.nats.names().is_some();
        mistakes.ensure(publishes || !thresholds.iter().flatten().any(Threshold::needs_publisher), || {
            "--threshold unseen: only beside --publish".to_owned()
        });
        let (target, address) = server?;
        Some(Plan {
            target,
            address,
            names: names?,
            classes: classes?,
            habits: habits?,
            per_client: per_client?,
            choice: choice?,
            encoding: encoding?,
            ramp: ramp?,
            timetable: timetable?,
            sources: sources?,
            json: self.json,
            report: self.report,
            nats,
            seed: self.seed,
            thresholds: thresholds?,
            quiet: self.quiet,
        })
    }

    /// Where to connect, with what the address says of numbers.
    fn server(&self, mistakes: &mut Mistakes) -> Option<(Target, SocketAddr)> {
        let string = match self.numbers.as_str() {
            "number" => Some(false),
            "string" => Some(true),
            other => mistakes.take("--numbers", Err(format!("{other:?} is neither number nor string"))),
        };
        let target: Target = mistakes.take("--url", self.url.parse())?;
        let address = mistakes.take("--url", target.resolve())?;
        let target = if string? { target.with_query("numbers=string") } else { target };
        Some((target, address))
    }

    fn names(&self, server: Option<&(Target, SocketAddr)>, mistakes: &mut Mistakes) -> Option<Vec<String>> {
        let Some(source) = &self.symbols else { return self.nats.names() };
        mistakes.ensure(*source != SymbolSource::All || self.nats.names().is_none(), || {
            "--symbols all: leave it out beside --publish, whose symbols are not listed before it begins"
                .to_owned()
        });
        if *source == SymbolSource::All && server.is_none() {
            return None;
        }
        let listed =
            || server.map_or_else(|| Ok(Vec::new()), |(target, address)| target.fetch_symbols(*address));
        mistakes.take("--symbols", source.names(listed))
    }

    fn classes(&self, mistakes: &mut Mistakes) -> Option<Vec<Class>> {
        let limits = check_open_files(self.clients, host::open_files_limit());
        let limits = mistakes.take("--clients", limits);
        let mix: Mix = mistakes.take("--mix", self.mix.parse())?;
        limits?;
        mistakes.take("--mix", mix.deal(self.clients))
    }

    fn habits(&self, mistakes: &mut Mistakes) -> Option<Habits> {
        let slow_rate = mistakes.take("--slow-rate", parse_bytes(&self.slow_rate));
        let flap_stay = mistakes.take("--flap-stay", parse_duration(&self.flap_stay));
        mistakes.ensure(slow_rate != Some(0), || {
            "--slow-rate: at least 1; stalled clients read nothing".to_owned()
        });
        mistakes.ensure(flap_stay != Some(Duration::ZERO), || "--flap-stay: longer than 0".to_owned());
        Some(Habits { slow_rate: slow_rate?, flap_stay: flap_stay?, reconnect: self.reconnect })
    }

    fn timetable(&self, mistakes: &mut Mistakes) -> Option<Timetable> {
        let warmup = mistakes.take("--warmup", parse_duration(&self.warmup));
        let duration = mistakes.take("--duration", parse_duration(&self.duration));
        mistakes.ensure(duration != Some(Duration::ZERO), || "--duration: longer than 0".to_owned());
        Some(Timetable { warmup: warmup?, duration: duration? })
    }

    fn sources(&self, target: Option<SocketAddr>, mistakes: &mut Mistakes) -> Option<Vec<IpAddr>> {
        let flag = "--source-addresses";
        let sources = self.source_addresses.iter().map(|text| {
            mistakes.take(
                flag,
                text.trim().parse::<IpAddr>().map_err(|_| format!("{text:?} is not an IP address")),
            )
        });
        let sources: Option<Vec<IpAddr>> = sources.collect::<Vec<_>>().into_iter().collect();
        let sources = sources?;
        if let Some(target) = target {
            mistakes.take(flag, check_sources(&sources, target))?;
        }
        Some(sources)
    }
}

/// A report that cannot be written is found out before the run, not after it.
fn check_folder(file: &Path) -> Result<(), String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() { Ok(()) } else { Err(format!("{}: no such folder", folder.display())) }
}

fn check_open_files(clients: usize, limit: Option<u64>) -> Result<(), String> {
    let needed = (clients as u64).saturating_add(OTHER_FILES);
    match limit {
        _ if clients == 0 => Err("at least 1".to_owned()),
        Some(limit) if limit < needed => {
            let enough = needed.max(20_000);
            Err(format!(
                "{clients} clients, but this shell allows {limit} open files; say `ulimit -n {enough}` first"
            ))
        }
        _ => Ok(()),
    }
}

fn check_sources(sources: &[IpAddr], target: SocketAddr) -> Result<(), String> {
    if let Some(other) = sources.iter().find(|source| source.is_ipv4() != target.is_ipv4()) {
        return Err(format!("{other} cannot connect to {target}, which is of the other IP version"));
    }
    let different = sources.iter().collect::<HashSet<_>>().len();
    if different == sources.len() { Ok(()) } else { Err("an address stands there twice".to_owned()) }
}

fn per_client(asked: Option<usize>, clients: usize, symbols: usize) -> Result<usize, String> {
    let per_client = asked.unwrap_or(symbols);
    let slots = per_client.saturating_mul(clients);
    match per_client {
        0 => Err("at least 1".to_owned()),
        _ if per_client > symbols => Err(format!("{per_client}, but there are only {symbols} symbols")),
        _ if slots > SLOTS_MAX => {
            Err(format!("{clients} clients with {per_client} symbols each are over {SLOTS_MAX} in all"))
        }
        _ => Ok(per_client),
    }
}

#[cfg(test)]
impl Plan {
    /// Four steady clients of one symbol at a server that is not there.
    pub(crate) fn for_tests() -> Self {
        Self {
            target: Target::for_tests(),
            address: ([127, 0, 0, 1], 1).into(),
            names: vec!["A".to_owned()],
            classes: vec![Class::Steady; 4],
            habits: Habits { slow_rate: 4_096, flap_stay: Duration::from_secs(5), reconnect: false },
            per_client: 1,
            choice: Choice::default(),
            encoding: Encoding::Json,
            ramp: Duration::ZERO,
            timetable: Timetable { warmup: Duration::ZERO, duration: Duration::from_secs(2) },
            sources: Vec::new(),
            json: None,
            report: None,
            nats: None,
            seed: 1,
            thresholds: Vec::new(),
            quiet: true,
        }
    }
}

#[cfg(test)]
mod tests;
