//! A recording, read whole before anything opens: which venues, what they list, which frame belongs on which stream.

mod file;
mod player;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use self::file::{FileError, Line, Writer, for_each_line};
pub(crate) use self::player::{Player, Progress};
use super::catalogue::Catalogue;
use super::digits::read_fixed;
use super::faults::Faults;
use super::frame::Frame;
use super::hub::ChannelId;
use super::venue::Venue;
use super::{binance, kucoin};

/// Frames that one recording may hold: at 300 bytes each, 1.5 GB.
const MAX_FRAMES: usize = 5_000_000;

/// How a recording is played.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The file.
    pub path: PathBuf,
    /// How fast.
    pub speed: Speed,
    /// One time, then silence; else over and over, with the same ids again.
    pub once: bool,
    /// Begins when so many streams are subscribed to (1: at the first).
    pub start_after: usize,
}

/// Speed of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// `units / 10^scale` times as fast as recorded.
    Times {
        /// Digits without the point.
        units: u64,
        /// Digits after the point.
        scale: u8,
    },
    /// As fast as the readers take it.
    Max,
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match read_fixed(text) {
            _ if text == "max" => Ok(Self::Max),
            Some((units, scale)) if units > 0 && scale <= 6 => Ok(Self::Times { units, scale }),
            _ => Err("a factor such as 1, 2.5 or 0.1, or max".to_owned()),
        }
    }
}

/// A recorded frame and where it belongs.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) stream: String,
    pub(crate) symbol: Option<String>,
    pub(crate) frame: Frame,
}

/// What a venue adds to the reading of recordings.
struct Reader {
    id: &'static str,
    route: fn(&str) -> Option<Routed>,
    split: fn(&str) -> (String, String),
}

const READERS: [Reader; 2] = [
    Reader { id: binance::ID, route: binance::route, split: binance::split_symbol },
    Reader { id: kucoin::ID, route: kucoin::route, split: kucoin::split_symbol },
];

/// A recording.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) entries: Vec<Entry>,
    /// Lines that are no market data: acks, welcomes, binary frames of a venue that has none.
    pub(crate) unrouted: u64,
    venues: BTreeMap<&'static str, Found>,
}

/// One frame of a recording.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Time received, in microseconds.
    pub(crate) t: u64,
    pub(crate) venue: &'static str,
    pub(crate) channel: ChannelId,
    pub(crate) frame: Frame,
}

/// What was found of one venue.
#[derive(Debug, Default)]
struct Found {
    streams: Vec<String>,
    channels: HashMap<String, ChannelId>,
    symbols: Vec<String>,
    known: HashSet<String>,
    answers: HashMap<String, String>,
}

impl Recording {
    /// Reads a file whole.
    ///
    /// # Errors
    /// When it cannot be read, a line has not the format, a venue is not simulated, or it is too long.
    pub(crate) fn read(path: &Path) -> Result<Self, FileError> {
        let mut recording = Self::default();
        for_each_line(path, |number, text| {
            if text.is_empty() {
                return Ok(());
            }
            let line = serde_json::from_str(text).map_err(|error| FileError::line(path, number, error))?;
            recording.add(line).map_err(|reason| FileError::line(path, number, reason))
        })?;
        Ok(recording)
    }

    fn add(&mut self, line: Line) -> Result<(), String> {
        let reader = READERS.iter().find(|reader| reader.id == line.venue);
        let reader = reader.ok_or_else(|| format!("venue {:?} is not simulated", line.venue))?;
        let found = self.venues.entry(reader.id).or_default();
        match (line.rest, line.text, line.binary) {
            (Some(path), Some(body), None) => {
                listed(&body).into_iter().for_each(|symbol| found.list(symbol));
                found.answers.insert(path, body);
            }
            (None, Some(text), None) => match (reader.route)(&text) {
                Some(routed) if self.entries.len() < MAX_FRAMES => {
                    let (channel, frame) = found.enter(routed);
                    self.entries.push(Entry { t: line.t, venue: reader.id, channel, frame });
                }
                Some(_) => return Err(format!("more than {MAX_FRAMES} frames")),
                None => self.unrouted += 1,
            },
            (None, None, Some(_)) => self.unrouted += 1,
            _ => return Err("wants either text or binary, and rest only with text".to_owned()),
        }
        Ok(())
    }

    /// The venue as far as the recording knows it; one that does not occur lists nothing.
    pub(crate) fn venue(&mut self, id: &str, faults: Faults) -> Venue {
        let found = self.venues.remove(id).unwrap_or_default();
        let split =
            READERS.iter().find(|reader| reader.id == id).map_or(kucoin::split_symbol as _, |one| one.split);
        Venue::recorded(Catalogue::recorded(found.symbols, split), found.streams, found.answers, faults)
    }
}

impl Found {
    fn list(&mut self, symbol: String) {
        if self.known.insert(symbol.clone()) {
            self.symbols.push(symbol);
        }
    }

    fn enter(&mut self, routed: Routed) -> (ChannelId, Frame) {
        if let Some(symbol) = routed.symbol {
            self.list(symbol);
        }
        let next = self.streams.len();
        let channel = *self.channels.entry(routed.stream.clone()).or_insert(next);
        if channel == next {
            self.streams.push(routed.stream);
        }
        (channel, routed.frame)
    }
}

/// Symbols that a recorded catalogue lists: Binance has them in `symbols`, KuCoin in `data`.
fn listed(body: &str) -> Vec<String> {
    let Ok(Value::Object(body)) = serde_json::from_str(body) else { return Vec::new() };
    let list = body.get("symbols").or_else(|| body.get("data")).and_then(Value::as_array);
    let symbols = list.into_iter().flatten().filter_map(|one| one.get("symbol")?.as_str());
    symbols.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(venue: &str, text: &str) -> Line {
        Line { t: 1, venue: venue.to_owned(), text: Some(text.to_owned()), ..Line::default() }
    }

    #[test]
    fn frames_answers_and_symbols_are_sorted_by_venue() {
        let mut recording = Recording::default();
        let rest = Line {
            rest: Some("/api/v1/symbols".to_owned()),
            ..text("kucoin", r#"{"data":[{"symbol":"A-B"}]}"#)
        };
        let push = r#"{"type":"message","topic":"/market/ticker:C-D","subject":"trade.ticker","data":{}}"#;
        for line in
            [rest, text("kucoin", push), text("kucoin", push), text("kucoin", r#"{"id":"1","type":"ack"}"#)]
        {
            recording.add(line).unwrap();
        }
        assert_eq!((recording.entries.len(), recording.unrouted), (2, 1));
        let venue = recording.venue("kucoin", Faults::default());
        let symbols: Vec<&str> =
            venue.catalogue.instruments().iter().map(|one| one.symbol.as_str()).collect();
        assert_eq!(symbols, ["A-B", "C-D"]);
        assert_eq!(venue.channels.len(), 1);
        assert!(venue.answer("/api/v1/symbols", Some("market=BTC")).is_some());
        assert!(recording.venue("binance", Faults::default()).catalogue.instruments().is_empty());
    }

    #[test]
    fn a_line_that_cannot_be_played_is_refused() {
        let mut recording = Recording::default();
        assert!(recording.add(text("nasdaq", "{}")).unwrap_err().contains("not simulated"));
        let both = Line { binary: Some(String::new()), ..text("binance", "{}") };
        assert!(recording.add(both).is_err());
    }

    #[test]
    fn speeds() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("2.5".parse(), Ok(Speed::Times { units: 25, scale: 1 }));
        assert!("0".parse::<Speed>().is_err() && "fast".parse::<Speed>().is_err());
    }
}
