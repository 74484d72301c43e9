//! An independent reading of the recorded cuts: what each frame makes of its symbol's row, by the documented rules and
//! as text from end to end. Shares no code with ingestor or exchange.
//!
//! The cuts hold no statistics, so recorded frames of other days stand behind them; the named changes to those are in
//! [`STATISTICS`].

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::json;
use serde_json::value::RawValue;

use crate::client::Fields;
use crate::process::Scratch;

const CUTS: [&str; 2] = ["binance-spot-20240808.jsonl.gz", "kucoin-spot-20210425.jsonl.gz"];

const SHAPES: &str = "binance/fixtures/shapes-20261006.jsonl";
const SNAPSHOTS: &str = "kucoin/fixtures/snapshots-20231121.jsonl";

/// A recorded frame that is put behind the cuts.
struct Added {
    venue: &'static str,
    /// Below `ingestor/src/venue`.
    file: &'static str,
    /// By which the line is found.
    words: &'static str,
    /// Text and what it is replaced by.
    changes: &'static [(&'static str, &'static str)],
}

/// KuCoin's were recorded on the topic of a whole market, which becomes the topic of the symbol, as it comes to who
/// asks for a symbol; one symbol is renamed to one that has prices already.
const STATISTICS: [Added; 5] = [
    Added { venue: "binance", file: SHAPES, words: "btcusdt@trade", changes: &[] },
    Added { venue: "binance", file: SHAPES, words: "btcusdt@ticker", changes: &[] },
    Added {
        venue: "kucoin",
        file: SNAPSHOTS,
        words: r#""symbol":"TRX-BTC""#,
        changes: &[("snapshot:BTC", "snapshot:TRX-BTC")],
    },
    Added {
        venue: "kucoin",
        file: SNAPSHOTS,
        words: r#""symbol":"BTC-USDT""#,
        changes: &[("snapshot:BTC", "snapshot:BTC-USDT")],
    },
    Added {
        venue: "kucoin",
        file: SNAPSHOTS,
        words: r#""symbol":"ETH-BTC""#,
        changes: &[("snapshot:BTC", "snapshot:SNX-BTC"), (r#""symbol":"ETH-BTC""#, r#""symbol":"SNX-BTC""#)],
    },
];

type Members = BTreeMap<String, Box<RawValue>>;

/// The cuts as one replay file, and what it must come to.
pub struct Recording {
    /// The file.
    pub path: PathBuf,
    /// Every row of each topic, in order.
    pub rows: BTreeMap<String, Vec<Fields>>,
    /// Streams that an ingestor subscribes to.
    pub streams: usize,
    /// Frames on these streams.
    pub frames: u64,
}

impl Recording {
    /// Writes the replay file into `scratch` and reads it by its own rules.
    pub fn write(scratch: &Scratch) -> Self {
        let lines: Vec<String> = CUTS.iter().flat_map(|name| cut(name)).chain(statistics()).collect();
        let path = scratch.file("cuts.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let mut reading = Reading::default();
        lines.iter().for_each(|line| reading.line(line));
        let streams =
            reading.symbols.keys().map(|topic| if topic.starts_with("binance") { 3 } else { 2 }).sum();
        let rows: BTreeMap<_, _> =
            reading.symbols.into_iter().map(|(topic, read)| (topic, read.rows)).collect();
        let frames = rows.values().map(|rows| rows.len() as u64).sum();
        Self { path, rows, streams, frames }
    }

    pub fn topics(&self) -> Vec<&str> {
        self.rows.keys().map(String::as_str).collect()
    }
}

fn cut(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn statistics() -> impl Iterator<Item = String> {
    STATISTICS.into_iter().map(|Added { venue, file, words, changes }| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ingestor/src/venue").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let frame = text.lines().find(|line| line.contains(words)).unwrap();
        let frame = changes.iter().fold(frame.to_owned(), |frame, (from, to)| frame.replace(from, to));
        json!({"t": 0, "venue": venue, "text": frame}).to_string()
    })
}

/// What was read of one symbol.
#[derive(Default)]
struct Symbol {
    now: Fields,
    rows: Vec<Fields>,
    /// Last id of each stream: in these cuts they only grow, so no frame is to be left out.
    ids: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
struct Reading {
    symbols: BTreeMap<String, Symbol>,
}

impl Reading {
    fn line(&mut self, line: &str) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let Ok(frame) = serde_json::from_str::<Members>(line["text"].as_str().unwrap()) else { return };
        match line["venue"].as_str().unwrap() {
            "binance" => self.binance(&frame),
            _ => self.kucoin(&frame),
        }
    }

    fn binance(&mut self, frame: &Members) {
        let Some(stream) = frame.get("stream").map(|stream| text(stream)) else { return };
        let data = members(&frame["data"]);
        let (key, kind) = stream.split_once('@').unwrap();
        let topic = format!("binance:{}/USDT", key.strip_suffix("usdt").unwrap().to_uppercase());
        let symbol = self.symbols.entry(topic).or_default();
        match kind {
            "trade" => {
                symbol.grows("trade", &data["t"]);
                symbol.take(&data, &[("price", "p")]);
                symbol.time(&data["E"]);
            }
            "bookTicker" => {
                symbol.grows("book", &data["u"]);
                symbol.take(&data, &[("bid", "b"), ("ask", "a")]);
            }
            "ticker" => {
                // It tells of the very trade that came before it, and of a book older than the last bookTicker.
                assert_eq!(symbol.ids["trade"], text(&data["L"]).parse::<u64>().unwrap());
                assert!(symbol.ids.contains_key("book"));
                let fields = [
                    ("price", "c"),
                    ("change", "p"),
                    ("percent_change", "P"),
                    ("volume", "v"),
                    ("high", "h"),
                    ("low", "l"),
                ];
                symbol.take(&data, &fields);
                symbol.time(&data["E"]);
            }
            _ => return,
        }
        symbol.rows.push(symbol.now.clone());
    }

    fn kucoin(&mut self, frame: &Members) {
        let Some(topic) = frame.get("topic").map(|topic| text(topic)) else { return };
        let (path, key) = topic.split_once(':').unwrap();
        let symbol = || format!("kucoin:{}", key.replace('-', "/"));
        match path {
            "/market/ticker" => {
                let data = members(&frame["data"]);
                let symbol = self.symbols.entry(symbol()).or_default();
                symbol.grows("ticker", &data["sequence"]);
                symbol.take(&data, &[("price", "price"), ("bid", "bestBid"), ("ask", "bestAsk")]);
                symbol.time(&data["time"]);
                symbol.rows.push(symbol.now.clone());
            }
            "/market/snapshot" => {
                let data = members(&members(&frame["data"])["data"]);
                let symbol = self.symbols.entry(symbol()).or_default();
                if !symbol.ids.contains_key("ticker") {
                    symbol.take(&data, &[("price", "lastTradedPrice"), ("bid", "buy"), ("ask", "sell")]);
                }
                symbol.take(
                    &data,
                    &[("change", "changePrice"), ("volume", "vol"), ("high", "high"), ("low", "low")],
                );
                symbol.now.insert("percent_change".to_owned(), percent(&text(&data["changeRate"])));
                symbol.time(&data["datetime"]);
                symbol.rows.push(symbol.now.clone());
            }
            _ => {}
        }
    }
}

impl Symbol {
    fn take(&mut self, data: &Members, fields: &[(&str, &str)]) {
        for (field, member) in fields {
            self.now.insert((*field).to_owned(), digits(&text(&data[*member])));
        }
    }

    /// The event time never goes back.
    fn time(&mut self, time: &RawValue) {
        let time = text(time);
        if self.now.get("ts").is_none_or(|known| number(known) <= number(&time)) {
            self.now.insert("ts".to_owned(), time);
        }
    }

    fn grows(&mut self, stream: &'static str, id: &RawValue) {
        let id = number(&text(id));
        let before = self.ids.insert(stream, id);
        assert!(before.is_none_or(|before| id > before), "{stream} {id} after {before:?}");
    }
}

fn members(value: &RawValue) -> Members {
    serde_json::from_str(value.get()).unwrap()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

/// A text or a number as its characters.
fn text(value: &RawValue) -> String {
    value.get().trim_matches('"').to_owned()
}

/// Cuts trailing zeros after the point.
fn digits(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    }
}

/// Moves the point two places to the right.
fn percent(fraction: &str) -> String {
    let (sign, fraction) = fraction.split_at(usize::from(fraction.starts_with('-')));
    let (whole, places) = fraction.split_once('.').unwrap_or((fraction, ""));
    let places = format!("{places:0<2}");
    let (moved, rest) = places.split_at(2);
    let whole = format!("{whole}{moved}");
    let whole = whole.trim_start_matches('0');
    let text = digits(&format!("{}.{rest}", if whole.is_empty() { "0" } else { whole }));
    if text == "0" { text } else { format!("{sign}{text}") }
}

#[test]
fn a_fraction_becomes_percent_as_text() {
    for (fraction, wanted) in [
        ("0.0000", "0"),
        ("-0.0084", "-0.84"),
        ("0.0046", "0.46"),
        ("0.1", "10"),
        ("-1", "-100"),
        ("1.23456", "123.456"),
    ] {
        assert_eq!(percent(fraction), wanted);
    }
}
