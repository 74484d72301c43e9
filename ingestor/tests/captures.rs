//! Whole recordings through the codecs: every frame is decoded or is of a known other kind; and through two sessions at
//! once, as when a socket is replaced: the rows are those of one. Runs over the folder named by TICKWIRE_TEST_CAPTURES
//! (with `binance/` and `kucoin/` in it) and prints the counts; without it there is nothing to read and nothing is
//! claimed.
//!
//! `TICKWIRE_TEST_CAPTURES=<folder> cargo test -p tickwire-ingestor --test captures -- --nocapture`

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tickwire_common::row::Row;
use tickwire_ingestor::rows::Rows;
use tickwire_ingestor::venue::contract::{Carried, Endpoint, Frame, Out, Update};
use tickwire_ingestor::venue::{binance, find, kucoin};

type Decode = fn(&[u8]) -> String;

const FILES: [(&str, Decode); 8] = [
    ("binance/cryptofeed-BINANCE.ws.1.0", of_binance),
    ("binance/cryptofeed-BINANCE.ws.1.0@cca7f121de-20210914", of_binance),
    ("binance/hftbacktest-spot-btcusdt_20240808.gz", of_binance),
    ("binance/hftbacktest-spot-btcusdt_20230405.dat.gz", of_binance),
    ("binance/gocryptotrader-20261006-wsSpot.jsonl", of_binance),
    ("kucoin/cryptofeed-KUCOIN.ws.1.0", of_kucoin),
    ("kucoin/gocryptotrader-wsMarketSnapshot.json", of_kucoin),
    ("kucoin/kucoin.net-subscriptions/Spot-Snapshot.txt", of_kucoin),
];

fn of_binance(frame: &[u8]) -> String {
    use binance::codec::{Message, decode};
    match decode(frame) {
        Ok(Message::Trade(..)) => "trade".to_owned(),
        Ok(Message::Book(..)) => "book_ticker".to_owned(),
        Ok(Message::Ticker(..)) => "ticker".to_owned(),
        Ok(Message::Reply(_)) => "reply".to_owned(),
        Ok(Message::Shutdown) => "shutdown".to_owned(),
        Ok(Message::Other(kind)) => format!("other: {kind}"),
        Err(malformed) => format!("UNREADABLE: {}", malformed.as_str()),
    }
}

fn of_kucoin(frame: &[u8]) -> String {
    use kucoin::codec::{Message, decode};
    match decode(frame) {
        Ok(Message::Ticker(..)) => "ticker".to_owned(),
        Ok(Message::Snapshot(..)) => "snapshot".to_owned(),
        Ok(Message::Welcome) => "welcome".to_owned(),
        Ok(Message::Ack(_)) => "ack".to_owned(),
        Ok(Message::Pong) => "pong".to_owned(),
        Ok(Message::Refused(_)) => "refused".to_owned(),
        Ok(Message::Other(kind)) => format!("other: {kind}"),
        Err(malformed) => format!("UNREADABLE: {}", malformed.as_str()),
    }
}

/// The frame that was received, without what the recorder wrote before it; `None` for a line of another kind.
fn received(line: &str) -> Option<&str> {
    let frame = line.get(line.find('{')?..)?;
    // Frames that the recorder sent: `<- ` of cryptofeed, `> ` of Kucoin.Net (whose acknowledgements begin with `< `).
    (!line.contains(" <- ") && !line.starts_with("> ")).then_some(frame)
}

/// Frames that were received, in order.
fn frames(path: &Path) -> impl Iterator<Item = String> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let reader: Box<dyn Read> = if path.extension().is_some_and(|ext| ext == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    BufReader::new(reader).lines().filter_map(|line| received(&line.unwrap()).map(str::to_owned))
}

fn count(path: &Path, decode: Decode) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for frame in frames(path) {
        *counts.entry(decode(frame.as_bytes())).or_default() += 1;
    }
    counts
}

/// The venue's key of the symbol that a frame tells of.
fn key(frame: &[u8]) -> Option<String> {
    let name = match binance::codec::decode(frame) {
        Ok(
            binance::codec::Message::Trade(name, _)
            | binance::codec::Message::Book(name, _)
            | binance::codec::Message::Ticker(name, _),
        ) => name,
        _ => match kucoin::codec::decode(frame) {
            Ok(kucoin::codec::Message::Ticker(name, _) | kucoin::codec::Message::Snapshot(name, _)) => name,
            _ => return None,
        },
    };
    Some(String::from_utf8(name.to_vec()).unwrap())
}

/// What a session of the venue makes of the beginning of a recording.
fn updates(venue: &str, path: &Path) -> Vec<Update> {
    let frames: Vec<String> = frames(path).take(60_000).collect();
    let keys: BTreeSet<String> = frames.iter().filter_map(|frame| key(frame.as_bytes())).collect();
    let carried = (0..).zip(keys).map(|(index, key)| Carried { index, key }).collect();
    let endpoint = Endpoint { url: String::new(), heartbeat: None };
    let (mut session, mut out) = (find(venue).unwrap().session(&endpoint), Out::default());
    session.subscribe(carried, 0, &mut out);
    frames.iter().for_each(|frame| session.frame(Frame::Text(frame.as_bytes()), 1, &mut out));
    out.updates
}

/// The rows that come of updates. All of them come within a second.
fn rows<'a>(updates: impl IntoIterator<Item = &'a Update>) -> Vec<(u32, Row)> {
    let (mut rows, mut told) = (Rows::new(1_000), Vec::new());
    for update in updates {
        if rows.apply(update, 1).is_some() {
            told.push((update.symbol, Row { v: 0, ..rows.get(update.symbol).unwrap().clone() }));
        }
    }
    told
}

#[test]
fn two_sockets_tell_what_one_would() {
    let Some(folder) = std::env::var_os("TICKWIRE_TEST_CAPTURES") else { return };
    for (name, _) in FILES {
        let venue = name.split('/').next().unwrap_or_default();
        let updates = updates(venue, &Path::new(&folder).join(name));
        let expected = rows(&updates);
        println!("{name}: {} updates, {} rows", updates.len(), expected.len());
        for seed in 0..3 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut one, mut other) = (updates.iter(), updates.iter());
            let mut lead = rng.usize(1..2_000);
            let both = std::iter::from_fn(|| {
                // One of them is ahead, for a while.
                lead = lead.checked_sub(1).unwrap_or_else(|| {
                    std::mem::swap(&mut one, &mut other);
                    rng.usize(1..2_000)
                });
                one.next().or_else(|| other.next())
            });
            assert!(rows(both) == expected, "{name}, seed {seed}");
        }
    }
}

#[test]
fn every_recorded_frame_is_understood() {
    let Some(folder) = std::env::var_os("TICKWIRE_TEST_CAPTURES") else {
        println!("TICKWIRE_TEST_CAPTURES is not set: no recording was read");
        return;
    };
    for (name, decode) in FILES {
        let counts = count(&Path::new(&folder).join(name), decode);
        println!("{name}: {} frames", counts.values().sum::<usize>());
        counts.iter().for_each(|(kind, count)| println!("    {count:>6} {kind}"));
        assert!(!counts.is_empty(), "{name} has no frame");
        let strange = |kind: &&String| kind.starts_with("UNREADABLE") || kind.contains("unknown");
        assert_eq!(counts.keys().find(strange), None, "{name}");
    }
}
