//! The settings of one venue besides what it carries: addresses, shards, times, and limits, none of which goes above
//! the venue's own.

use std::ops::RangeInclusive;
use std::time::Duration;

use tickwire_common::config::{Setting, Settings};
use tickwire_common::shard::SHARDS_MAX;
use url::Url;

use super::selection::{self, Selection};
use crate::venue::contract::{SECOND, Venue};
use crate::venue::{self, REGISTRY};

/// A venue runs when any of its settings is given.
pub(super) const SETTINGS: &[Setting] = &[
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
    Setting::new(
        "venues.*.shards",
        "16",
        "Parts in which processes share the venue, 1 to 1024: the same in all processes, and several times as many as \
         processes",
    ),
    Setting::new(
        "venues.*.refresh_seconds",
        "300",
        "Seconds between two looks at what the venue lists, 30 to 86400",
    ),
    Setting::new(
        "venues.*.topics_per_socket",
        "",
        "Topics (streams) on one socket, at most the venue's own limit; without it the venue's limit less a margin",
    ),
    Setting::new(
        "venues.*.socket_lifetime_seconds",
        "",
        "Seconds after which the venue cuts a socket, so that it is replaced before: 10 or more, at most the venue's own \
         time, which holds without it",
    ),
    Setting::new(
        "venues.*.linger_seconds",
        "30",
        "Seconds that a symbol is carried after no edge wants it any more, where symbols is demand; 0 to 86400",
    ),
    Setting::new(
        "venues.*.stale_after_seconds",
        "30",
        "Seconds without any tick after which a shard of the venue is stale, 1 to 86400",
    ),
];

const DAY: u64 = 86_400;

/// Shorter lives of sockets would spend the venue's connects on nothing else.
const LIFETIME_MIN_SECONDS: u64 = 10;

/// One venue that runs.
#[derive(Clone)]
pub struct VenueConfig {
    /// The venue.
    pub venue: &'static dyn Venue,
    /// What to carry.
    pub selection: Selection,
    /// WebSocket origin instead of the venue's own.
    pub ws_url: Option<String>,
    /// REST origin.
    pub rest_url: String,
    /// Into how many shards its symbols are parted.
    pub shards: u32,
    /// Time between two looks at what the venue lists.
    pub refresh: Duration,
    /// Symbols on one socket.
    pub symbols_per_socket: usize,
    /// After how long the venue cuts a socket.
    pub socket_lifetime: Duration,
    /// How long a symbol is carried on after its last client.
    pub linger: Duration,
    /// How long a shard may be silent before it is stale.
    pub stale_after: Duration,
}

/// Every venue that is named. Each is read, so that all mistakes are told at once.
pub(super) fn read_all(settings: &mut Settings) -> Option<Vec<VenueConfig>> {
    let names = settings.names_under("venues");
    let read: Vec<_> = names.iter().map(|name| read_one(settings, name)).collect();
    read.into_iter().collect()
}

fn read_one(settings: &mut Settings, name: &str) -> Option<VenueConfig> {
    let key = |setting: &str| format!("venues.{name}.{setting}");
    let Some(venue) = venue::find(name) else {
        let known: Vec<&str> = REGISTRY.iter().map(|venue| venue.id()).collect();
        settings.mistake(&key("symbols"), &format!("names no venue; the venues are {}", known.join(", ")));
        return None;
    };
    let facts = venue.facts();
    let seconds = |range: RangeInclusive<u64>| move |text: &str| read_seconds(text, &range);
    let selection = selection::read(settings, venue);
    let ws_url = settings.get_optional_with(&key("ws_url"), |text| read_origin(text, ["ws", "wss"]));
    let rest_url = settings.get_optional_with(&key("rest_url"), |text| read_origin(text, ["http", "https"]));
    let shards = settings.get_with(&key("shards"), |text| read_number(text, &(1..=SHARDS_MAX.into())));
    let refresh = settings.get_with(&key("refresh_seconds"), seconds(30..=DAY));
    let topics = settings.get_optional_with(&key("topics_per_socket"), |text| read_topics(text, venue));
    let lifetime =
        settings.get_optional_with(&key("socket_lifetime_seconds"), |text| read_lifetime(text, venue));
    let linger = settings.get_with(&key("linger_seconds"), seconds(0..=DAY));
    let stale_after = settings.get_with(&key("stale_after_seconds"), seconds(1..=DAY));
    Some(VenueConfig {
        venue,
        selection: selection?,
        ws_url,
        rest_url: rest_url.unwrap_or_else(|| facts.rest_url.to_owned()),
        shards: u32::try_from(shards?).ok()?,
        refresh: refresh?,
        symbols_per_socket: topics.unwrap_or(facts.symbols_per_socket),
        socket_lifetime: lifetime.unwrap_or(Duration::from_micros(facts.lifetime)),
        linger: linger?,
        stale_after: stale_after?,
    })
}

/// Symbols that so many topics are enough for.
fn read_topics(text: &str, venue: &dyn Venue) -> Result<usize, String> {
    let facts = venue.facts();
    let topics: usize = text.parse().map_err(|_| "is not a whole number".to_owned())?;
    if topics > facts.topics_per_socket_max {
        let (id, max) = (venue.id(), facts.topics_per_socket_max);
        return Err(format!(
            "is above the limit of {id}, which allows {max} topics a socket: write {max} or less"
        ));
    }
    if topics < facts.topics_per_symbol {
        let (id, few) = (venue.id(), facts.topics_per_symbol);
        return Err(format!("is not enough for one symbol: {id} needs {few} topics for each"));
    }
    Ok(topics / facts.topics_per_symbol.max(1))
}

fn read_lifetime(text: &str, venue: &dyn Venue) -> Result<Duration, String> {
    let max = venue.facts().lifetime / SECOND;
    let seconds: u64 = text.parse().map_err(|_| "is not a whole number of seconds".to_owned())?;
    if seconds > max {
        let id = venue.id();
        return Err(format!(
            "is above the limit of {id}, which cuts sockets after {max} s: write {max} or less"
        ));
    }
    if seconds < LIFETIME_MIN_SECONDS {
        return Err(format!("is below {LIFETIME_MIN_SECONDS}"));
    }
    Ok(Duration::from_secs(seconds))
}

fn read_seconds(text: &str, range: &RangeInclusive<u64>) -> Result<Duration, String> {
    read_number(text, range).map(Duration::from_secs)
}

fn read_number(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let number = text.parse().map_err(|_| "is not a whole number".to_owned())?;
    if range.contains(&number) {
        return Ok(number);
    }
    Err(format!("is not within {} to {}", range.start(), range.end()))
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
