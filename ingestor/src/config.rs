//! The ingestor's settings: what it carries, where NATS is, where probes are answered. Read whole before anything
//! opens.

use std::net::SocketAddr;
use std::time::Duration;

use tickwire_common::config::{DRAIN, Setting, Settings, admin, log};
use tickwire_common::telemetry::Format;
use tickwire_nats::NatsConfig;
use tickwire_nats::config::{LOG_FILTER, SETTINGS as NATS};
use url::Url;

use crate::venue::contract::Venue;
use crate::venue::{self, REGISTRY};

/// The settings of a venue; the venue runs when it is named.
const VENUES: &[Setting] = &[
    Setting::new(
        "venues.*.symbols",
        "",
        "What to carry of a venue: symbols like BTC/USDT or the venue's own keys, comma-separated, or all",
    ),
    Setting::new(
        "venues.*.ws_url",
        "",
        "WebSocket origin with optional path prefix, instead of the venue's own",
    ),
    Setting::new(
        "venues.*.rest_url",
        "",
        "REST origin with optional path prefix, instead of the venue's own",
    ),
];

/// The port below is the edge's plus one, so that both run on one machine.
const ADMIN: [Setting; 1] = admin("0.0.0.0:9091");

const LOG: [Setting; 2] = log(LOG_FILTER);

/// Every table of the ingestor.
pub const TABLES: &[&[Setting]] = &[VENUES, NATS, &ADMIN, &LOG, &DRAIN];

/// What a venue is to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Symbols {
    /// Everything that trades.
    All,
    /// These canonical symbols or venue keys.
    Listed(Vec<String>),
}

/// One venue that runs.
#[derive(Clone)]
pub struct VenueConfig {
    /// The venue.
    pub venue: &'static dyn Venue,
    /// What to carry.
    pub symbols: Symbols,
    /// WebSocket origin instead of the venue's own.
    pub ws_url: Option<String>,
    /// REST origin.
    pub rest_url: String,
}

/// All of it.
pub struct Config {
    /// The venues that run.
    pub venues: Vec<VenueConfig>,
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
        let venues = read_venues(settings);
        let nats = NatsConfig::from_settings(settings);
        let admin_listen = settings.get("admin.listen");
        let log_format = settings.get("log.format");
        let log_filter = settings.get("log.filter");
        let grace = settings.get("drain.grace_seconds").map(Duration::from_secs);
        Some(Self {
            venues: venues?,
            nats: nats?,
            admin_listen: admin_listen?,
            log_format: log_format?,
            log_filter: log_filter?,
            grace: grace?,
        })
    }
}

fn read_venues(settings: &mut Settings) -> Option<Vec<VenueConfig>> {
    let names = settings.names_under("venues");
    let read: Vec<_> = names.iter().map(|name| read_venue(settings, name)).collect();
    // Each venue is read, so that all mistakes are told at once.
    read.into_iter().collect()
}

fn read_venue(settings: &mut Settings, name: &str) -> Option<VenueConfig> {
    let key = |setting: &str| format!("venues.{name}.{setting}");
    let Some(venue) = venue::find(name) else {
        let known: Vec<&str> = REGISTRY.iter().map(|venue| venue.id()).collect();
        settings.mistake(&key("symbols"), &format!("names no venue; the venues are {}", known.join(", ")));
        return None;
    };
    let symbols = settings.get_with(&key("symbols"), read_symbols);
    let ws_url = settings.get_optional_with(&key("ws_url"), |text| read_origin(text, ["ws", "wss"]));
    let rest_url = settings.get_optional_with(&key("rest_url"), |text| read_origin(text, ["http", "https"]));
    let rest_url = rest_url.unwrap_or_else(|| venue.facts().rest_url.to_owned());
    Some(VenueConfig { venue, symbols: symbols?, ws_url, rest_url })
}

fn read_symbols(text: &str) -> Result<Symbols, String> {
    match text {
        "all" => return Ok(Symbols::All),
        "demand" => return Err("is not possible yet: list the symbols, or say all".to_owned()),
        _ => {}
    }
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err("has an empty name between its commas".to_owned());
    }
    Ok(Symbols::Listed(names))
}

fn read_origin(text: &str, schemes: [&str; 2]) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("is not an address: {error}"))?;
    if !schemes.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("is not an address that begins with {}:// or {}://", schemes[0], schemes[1]));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query; the official paths are added to it".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests;
