//! The settings that say what is carried of a venue: a list, everything, or what clients want; filters; and lists that
//! others write. What the venue lists is not known here, so names are not checked.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use regex::Regex;
use tickwire_common::config::{Setting, Settings};

use crate::venue::contract::{Kind, Venue};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "venues.*.symbols",
        "",
        "What to carry of a venue: symbols like BTC/USDT or the venue's own keys, comma-separated; or all; or demand, \
         which is what clients ask for",
    ),
    Setting::new(
        "venues.*.quote",
        "",
        "Filter of all and demand: only what is paid in one of these, comma-separated, like USDT,USDC",
    ),
    Setting::new(
        "venues.*.kind",
        "",
        "Filter of all and demand: only these kinds of markets, comma-separated: spot, swap (perpetuals), future (dated)",
    ),
    Setting::new(
        "venues.*.match",
        "",
        "Filter of all and demand: only symbols in which this regular expression is found, like ^(BTC|ETH)/",
    ),
    Setting::new(
        "venues.*.top",
        "",
        "Filter of all and demand: only so many, those with the largest 24 h volume in quote units",
    ),
    Setting::new(
        "venues.*.symbols_file",
        "",
        "File of symbols to carry besides, one a line, # begins a comment; read again when it changes",
    ),
    Setting::new(
        "venues.*.symbols_key",
        "",
        "Key in the NATS bucket md_watch whose values, and those of all keys below it, are lists of symbols to carry \
         besides; read again when they change",
    ),
];

/// Settings that only choose among many.
const FILTERS: [&str; 4] = ["quote", "kind", "match", "top"];

/// What a venue is to carry.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Where the symbols come from.
    pub symbols: Symbols,
    /// What of them, unless they are listed.
    pub filter: Filter,
    /// A file with more symbols.
    pub file: Option<PathBuf>,
    /// A key, and the keys below it, with more symbols.
    pub key: Option<String>,
}

/// Where the symbols of a venue come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Symbols {
    /// Everything that trades.
    All,
    /// Everything that trades is listed; what clients want is carried.
    Demand,
    /// These canonical symbols or venue keys; none where only the file or the key name any.
    Listed(Vec<String>),
}

/// Every filter that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Any of these quotes; empty means any quote.
    pub quotes: Vec<String>,
    /// Any of these kinds; empty means any kind.
    pub kinds: Vec<Kind>,
    /// Found in the canonical symbol.
    pub matching: Option<Regex>,
    /// Only so many, by 24 h volume.
    pub top: Option<NonZeroUsize>,
}

impl Filter {
    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.quotes.is_empty() && self.kinds.is_empty() && self.matching.is_none() && self.top.is_none()
    }
}

/// Reads the selection of one venue.
pub(super) fn read(settings: &mut Settings, venue: &dyn Venue) -> Option<Selection> {
    let key = |setting: &str| format!("venues.{}.{setting}", venue.id());
    let symbols = settings.get_optional_with(&key("symbols"), read_symbols);
    let filter = Filter {
        quotes: settings.get_optional_with(&key("quote"), read_names).unwrap_or_default(),
        kinds: settings.get_optional_with(&key("kind"), read_kinds).unwrap_or_default(),
        matching: settings.get_optional_with(&key("match"), read_pattern),
        top: settings.get_optional_with(&key("top"), |text| read_top(text, venue)),
    };
    let file = settings.get_optional_with(&key("symbols_file"), read_file);
    let watched = settings.get_optional_with(&key("symbols_key"), read_key);
    let is_given = |setting: &str| settings.raw(&key(setting)).is_some_and(|text| !text.is_empty());
    let lists_elsewhere = is_given("symbols_file") || is_given("symbols_key");
    if !is_given("symbols") && !lists_elsewhere {
        settings.mistake(&key("symbols"), "is required, unless symbols_file or symbols_key is given");
        return None;
    }
    let is_list = match &symbols {
        Some(symbols) => matches!(symbols, Symbols::Listed(_)),
        // What cannot be read is told already.
        None => !is_given("symbols"),
    };
    let idle: Vec<&str> = FILTERS.into_iter().filter(|filter| is_list && is_given(filter)).collect();
    for filter in idle {
        let phrase =
            "chooses nothing, because symbols is neither all nor demand; say so there, or remove this";
        settings.mistake(&key(filter), phrase);
    }
    Some(Selection { symbols: symbols.unwrap_or(Symbols::Listed(Vec::new())), filter, file, key: watched })
}

fn read_symbols(text: &str) -> Result<Symbols, String> {
    match text {
        "all" => Ok(Symbols::All),
        "demand" => Ok(Symbols::Demand),
        _ => read_names(text).map(Symbols::Listed),
    }
}

fn read_names(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err("has an empty name between its commas".to_owned());
    }
    Ok(names)
}

fn read_kinds(text: &str) -> Result<Vec<Kind>, String> {
    let names = read_names(text)?;
    let find = |name: &String| Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
    let unknown = |name: &String| format!("has the kind {name}, and the kinds are spot, swap and future");
    names.iter().map(|name| find(name).ok_or_else(|| unknown(name))).collect()
}

fn read_pattern(text: &str) -> Result<Regex, String> {
    // The library's explanation has several lines, the last of which says what is wrong.
    let why = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().trim().to_owned();
    Regex::new(text).map_err(|error| format!("is not a regular expression: {}", why(error)))
}

fn read_top(text: &str, venue: &dyn Venue) -> Result<NonZeroUsize, String> {
    if venue.turnover().is_none() {
        return Err(format!("cannot be used, because {} tells no volumes", venue.id()));
    }
    text.parse().map_err(|_| "is not a whole number above 0".to_owned())
}

fn read_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match std::fs::metadata(&path) {
        Ok(found) if found.is_file() => Ok(path),
        Ok(_) => Err("is not a file".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// Tokens of a NATS subject, of the characters that keys may have:
/// <https://docs.nats.io/nats-concepts/jetstream/key-value-store>.
fn read_key(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'=' | b'/');
    let is_token = |token: &str| !token.is_empty() && token.bytes().all(legal);
    if text.split('.').all(is_token) {
        return Ok(text.to_owned());
    }
    Err("is not a key: parts of letters, digits and _-=/, with dots between them".to_owned())
}
