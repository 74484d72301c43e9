//! The edge's settings: keys, defaults, reasons; what they are read into.

use std::net::SocketAddr;
use std::time::Duration;

use tickwire_common::config::{DRAIN, Setting, Settings, admin, log};
use tickwire_common::symbol::check_venue;
use tickwire_common::telemetry::Format;
use tickwire_nats::NatsConfig;
use tickwire_nats::config::{LOG_FILTER, SETTINGS};

use crate::feed::Patience;
use crate::hub::config::HubConfig;

mod limits;

pub use limits::Guards;

/// Levels of the settings that belong to the ingestor.
pub const FOREIGN: &[&str] = &["venues", "ingestor"];

const EDGE: [Setting; 14] = [
    Setting::new("edge.listen", "0.0.0.0:8080", "Address for clients, as host:port; port 0 takes a free one"),
    Setting::new("edge.workers", "0", "Worker threads; 0 is one a core"),
    Setting::new(
        "edge.io_uring",
        "auto",
        "Write to many clients in one system call: auto (where the kernel allows it), on or off",
    ),
    Setting::new(
        "edge.open_symbols",
        "false",
        "Let clients ask for any well-formed venue:symbol, in the catalogue or not",
    ),
    Setting::new(
        "edge.venue_order",
        "binance,kucoin",
        "Venues in order of preference for bare symbols like BTC/USDT",
    ),
    Setting::new(
        "edge.venue_leave_seconds",
        "3",
        "Seconds a venue may be not live before a bare symbol goes to the next; at once if it is down",
    ),
    Setting::new(
        "edge.venue_return_seconds",
        "30",
        "Seconds a better venue must have been live without a break before a bare symbol comes back",
    ),
    Setting::new("edge.linger_seconds", "30", "Seconds a symbol without clients stays subscribed"),
    Setting::new("edge.heartbeat_seconds", "10", "Seconds between heartbeats to every client, 5 to 60"),
    // Well under the 60 s after which common proxies cut a silent connection.
    Setting::new(
        "edge.ping_seconds",
        "25",
        "Seconds of silence after which a client is pinged; two unanswered end it",
    ),
    Setting::new(
        "edge.stall_seconds",
        "30",
        "Seconds a client may take nothing before it is closed with 4000",
    ),
    Setting::new("edge.label", "", "A word shown on the page and told to clients, like SIMULATED"),
    Setting::new("edge.echo", "false", "Open /debug/echo, for conformance suites"),
    Setting::new("edge.drain_spread_seconds", "5", "Seconds over which clients are sent away on SIGTERM"),
];

/// Everything the edge must know before it opens a socket.
#[derive(Debug, Clone)]
pub struct Config {
    /// The connection to NATS.
    pub nats: NatsConfig,
    /// For clients.
    pub listen: SocketAddr,
    /// For probes and metrics.
    pub admin_listen: SocketAddr,
    /// What guards the doors.
    pub guards: Guards,
    /// Whether symbols need no catalogue.
    pub open_symbols: bool,
    /// For bare symbols.
    pub venue_order: Vec<String>,
    /// When bare symbols move.
    pub patience: Patience,
    /// How long a topic without clients stays subscribed.
    pub linger: Duration,
    /// Whether `/debug/echo` is open.
    pub echo: bool,
    /// The workers' part.
    pub hub: HubConfig,
    /// Over which time clients are sent away.
    pub drain_spread: Duration,
    /// Until when everything must have ended.
    pub drain_grace: Duration,
    /// Look of a log line.
    pub log_format: Format,
    /// What is logged.
    pub log_filter: String,
}

/// The table of all settings.
pub fn settings() -> Vec<Setting> {
    [&EDGE[..], &limits::LIMITS, &admin("0.0.0.0:9090"), SETTINGS, &DRAIN, &log(LOG_FILTER)].concat()
}

/// Reads the configuration; mistakes stay with `settings`.
pub fn read(settings: &mut Settings) -> Option<Config> {
    let nats = NatsConfig::from_settings(settings);
    let listen = settings.get("edge.listen");
    let admin_listen = settings.get("admin.listen");
    let workers = settings.get_with("edge.workers", |text| number(text, 0, 256));
    let guards = limits::guards(settings);
    let limits = limits::limits(settings);
    let io_uring = settings.get_with("edge.io_uring", str::parse);
    let open_symbols = settings.get("edge.open_symbols");
    let venue_order = settings.get_optional_with("edge.venue_order", venues);
    // Not 0: two venues that take turns would make a name go to and fro all the time.
    let leave = seconds(settings, "edge.venue_leave_seconds", 1, 600);
    let back = seconds(settings, "edge.venue_return_seconds", 1, 3_600);
    let linger = seconds(settings, "edge.linger_seconds", 0, 3_600);
    let heartbeat = seconds(settings, "edge.heartbeat_seconds", 5, 60);
    let ping = seconds(settings, "edge.ping_seconds", 1, 600);
    let stall = seconds(settings, "edge.stall_seconds", 1, 600);
    let label = settings.get_optional::<String>("edge.label");
    let echo = settings.get("edge.echo");
    let drain_spread = seconds(settings, "edge.drain_spread_seconds", 0, 600);
    let drain_grace = seconds(settings, "drain.grace_seconds", 1, 3_600);
    let log_format = settings.get("log.format");
    let log_filter = settings.get("log.filter");
    if drain_spread >= drain_grace && drain_spread.is_some() && drain_grace.is_some() {
        settings.mistake("edge.drain_spread_seconds", "must be below drain.grace_seconds");
    }
    let hub = HubConfig {
        workers: match workers? {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            workers => workers,
        },
        io_uring: io_uring?,
        limits: limits?,
        heartbeat: heartbeat?,
        ping: ping?,
        stall: stall?,
        label,
    };
    Some(Config {
        nats: nats?,
        listen: listen?,
        admin_listen: admin_listen?,
        guards: guards?,
        open_symbols: open_symbols?,
        venue_order: venue_order.unwrap_or_default(),
        patience: Patience { leave: leave?, back: back? },
        linger: linger?,
        echo: echo?,
        hub,
        drain_spread: drain_spread?,
        drain_grace: drain_grace?,
        log_format: log_format?,
        log_filter: log_filter?,
    })
}

fn seconds(settings: &mut Settings, key: &str, least: u64, most: u64) -> Option<Duration> {
    settings.get_with(key, |text| number(text, least, most)).map(Duration::from_secs)
}

fn number<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: Copy + std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match text.parse::<T>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("is not a whole number from {least} to {most}")),
    }
}

fn venues(text: &str) -> Result<Vec<String>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| {
            check_venue(name).map(|()| name.to_owned()).map_err(|error| format!("has {name:?}: {error}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_common::config::Outcome;
    use tickwire_common::wire::limits::Limits;

    fn build(args: &[&str]) -> Outcome<Config> {
        let args = args.iter().map(|arg| (*arg).into());
        Settings::read("tickwire-edge", "test", &settings(), FOREIGN, args, std::iter::empty()).build(read)
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let Outcome::Run(config) = build(&[]) else { panic!("refused") };
        assert_eq!((config.listen.port(), config.admin_listen.port()), (8080, 9090));
        assert_eq!(config.venue_order, ["binance", "kucoin"]);
        assert!(config.hub.workers >= 1 && !config.open_symbols && !config.echo);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let args = [
            "--edge.workers",
            "many",
            "--edge.io_uring",
            "maybe",
            "--edge.listen",
            "here",
            "--edge.venue_order",
            "Bin ance",
            "--nats.url",
            "::",
            "--edge.trusted_proxies",
            "10.0.0.0/8,nowhere",
            "--edge.symbols_max",
            "0",
        ];
        let Outcome::Refuse(mistakes) = build(&args) else { panic!("accepted") };
        let text = mistakes.to_string();
        for key in [
            "edge.workers",
            "edge.io_uring",
            "edge.listen",
            "edge.venue_order",
            "nats.url",
            "edge.trusted_proxies",
            "edge.symbols_max",
        ] {
            assert!(text.contains(key), "{key} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_mistake_in_a_limit_is_told_once() {
        let keys = limits::LIMITS.iter().map(|setting| setting.key);
        let keys: Vec<&str> = keys.filter(|key| *key != "edge.trusted_proxies").collect();
        let args: Vec<String> = keys.iter().map(|key| format!("--{key}=-1")).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let Outcome::Refuse(mistakes) = build(&args) else { panic!("accepted") };
        let text = mistakes.to_string();
        for key in keys {
            assert_eq!(text.matches(&format!("{key} = ")).count(), 1, "{key} in:\n{text}");
        }
    }

    #[test]
    fn without_settings_limits_are_the_announced_defaults() {
        let Outcome::Run(config) = build(&["--edge.memory_max_mb=0"]) else { panic!("refused") };
        assert_eq!(config.hub.limits, Limits::default());
        assert_eq!(config.guards.handshakes_max, 10_000);
    }

    #[test]
    fn a_drain_must_fit_its_grace() {
        let Outcome::Refuse(mistakes) =
            build(&["--edge.drain_spread_seconds=30", "--drain.grace_seconds=10"])
        else {
            panic!("accepted")
        };
        assert!(mistakes.to_string().contains("drain.grace_seconds"));
    }
}
