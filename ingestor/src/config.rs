//! The ingestor's settings: what it carries, where NATS is, where probes are answered. Read whole before anything
//! opens.

mod selection;
mod venue;

use std::net::SocketAddr;
use std::time::Duration;

use tickwire_common::config::{DRAIN, Setting, Settings, admin, log};
use tickwire_common::telemetry::Format;
use tickwire_nats::NatsConfig;
use tickwire_nats::config::{LOG_FILTER, SETTINGS as NATS};

pub use selection::{Filter, Selection, Symbols};
pub use venue::VenueConfig;

/// The port below is the edge's plus one, so that both run on one machine.
const ADMIN: [Setting; 1] = admin("0.0.0.0:9091");

const LOG: [Setting; 2] = log(LOG_FILTER);

/// What several processes share.
const BUDGET: &[Setting] = &[Setting::new(
    "budget.address",
    "shared",
    "Processes of one value share the venues' limits of connects: name each way out to the internet differently, like the \
     node (letters, digits, _, - and .)",
)];

/// Longest name of an address, in bytes: it is a token of a NATS subject.
const ADDRESS_BYTES_MAX: usize = 64;

/// Every table of the ingestor.
pub const TABLES: &[&[Setting]] = &[selection::SETTINGS, venue::SETTINGS, BUDGET, NATS, &ADMIN, &LOG, &DRAIN];

/// All of it.
pub struct Config {
    /// The venues that run.
    pub venues: Vec<VenueConfig>,
    /// Whose budget this process spends; one token of a NATS subject.
    pub budget_address: String,
    /// Where NATS is.
    pub nats: NatsConfig,
    /// Where probes and metrics are answered.
    pub admin_listen: SocketAddr,
    /// How the process logs.
    pub log_format: Format,
    /// What it logs.
    pub log_filter: String,
    /// Time to end in.
    pub grace: Duration,
}

impl Config {
    /// Reads the settings; mistakes are collected in them.
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let venues = venue::read_all(settings);
        let budget_address = settings.get_with("budget.address", read_address);
        let nats = NatsConfig::from_settings(settings);
        let admin_listen = settings.get("admin.listen");
        let log_format = settings.get("log.format");
        let log_filter = settings.get("log.filter");
        let grace = settings.get("drain.grace_seconds").map(Duration::from_secs);
        Some(Self {
            venues: venues?,
            budget_address: budget_address?,
            nats: nats?,
            admin_listen: admin_listen?,
            log_format: log_format?,
            log_filter: log_filter?,
            grace: grace?,
        })
    }
}

fn read_address(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if text.len() > ADDRESS_BYTES_MAX || !text.bytes().all(legal) {
        return Err(format!("is not a name of at most {ADDRESS_BYTES_MAX} letters, digits, _, - and ."));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
