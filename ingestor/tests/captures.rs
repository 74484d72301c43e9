//! Whole recordings through the codecs: every frame is decoded or is of a known other kind. Runs over the folder named
//! by TICKWIRE_TEST_CAPTURES (with `binance/` and `kucoin/` in it) and prints the counts; without it there is nothing
//! to read and nothing is claimed.
//!
//! `TICKWIRE_TEST_CAPTURES=<folder> cargo test -p tickwire-ingestor --test captures -- --nocapture`

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tickwire_ingestor::venue::{binance, kucoin};

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

fn count(path: &Path, decode: Decode) -> BTreeMap<String, usize> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let reader: Box<dyn Read> = if path.extension().is_some_and(|ext| ext == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut counts = BTreeMap::new();
    for line in BufReader::new(reader).lines().map(Result::unwrap) {
        if let Some(frame) = received(&line) {
            *counts.entry(decode(frame.as_bytes())).or_default() += 1;
        }
    }
    counts
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
