//! How many frames a second one core turns into rows: session, codec, merge, version and JSON, in memory.
//!
//! `cargo run --release -p tickwire-ingestor --example codec_speed` prints, for each venue, the median of eleven rounds
//! over the recorded best-bid-and-ask frames, their sequence numbers counted on so that each is news.

use std::hint::black_box;
use std::time::Instant;

use tickwire_ingestor::rows::Rows;
use tickwire_ingestor::venue::contract::{Carried, Endpoint, Frame, Out};
use tickwire_ingestor::venue::find;

const FRAMES: usize = 200_000;
const ROUNDS: usize = 11;

/// Venue, its recorded frames, what marks the measured ones, the key before their sequence number, their symbols.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: [Case; 2] = [
    (
        "binance",
        include_str!("../src/venue/binance/fixtures/btcusdt-20240808.jsonl"),
        "@bookTicker",
        "\"u\":",
        &["BTCUSDT"],
    ),
    (
        "kucoin",
        include_str!("../src/venue/kucoin/fixtures/nine-symbols-20210425.jsonl"),
        "/market/ticker:",
        "\"sequence\":\"",
        &[
            "ANKR-BTC",
            "SNX-BTC",
            "FET-BTC",
            "BCHSV-USDT",
            "EQZ-BTC",
            "NRG-BTC",
            "CAPP-BTC",
            "DAPPT-BTC",
            "COV-BTC",
        ],
    ),
];

fn main() -> anyhow::Result<()> {
    for case in CASES {
        let (venue, _, mark, ..) = case;
        let frames = frames(case);
        let bytes: usize = frames.iter().map(String::len).sum();
        let mut rounds = (0..ROUNDS).map(|_| round(case, &frames)).collect::<anyhow::Result<Vec<f64>>>()?;
        rounds.sort_by(f64::total_cmp);
        let rate = rounds.get(ROUNDS / 2).copied().unwrap_or_default();
        let mean = bytes / FRAMES;
        write(&format!("{venue} {mark} {rate:.0} frames/s ({:.0} ns a frame of {mean} bytes)", 1e9 / rate))?;
    }
    Ok(())
}

/// The recorded frames again and again, each with a sequence number of its own.
fn frames((_, recorded, mark, key, _): Case) -> Vec<String> {
    let recorded: Vec<&str> = recorded.lines().filter(|frame| frame.contains(mark)).collect();
    (0..FRAMES)
        .zip(recorded.iter().cycle())
        .filter_map(|(number, frame)| {
            let (before, after) = frame.split_once(key)?;
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let first: usize = after.get(..digits)?.parse().ok()?;
            let base = first - first % 1_000_000;
            Some(format!("{before}{key}{}{}", base + number, after.get(digits..)?))
        })
        .collect()
}

/// Frames a second.
fn round((venue, .., keys): Case, frames: &[String]) -> anyhow::Result<f64> {
    let venue = find(venue).ok_or_else(|| anyhow::anyhow!("no venue {venue}"))?;
    let symbols = (0..).zip(keys).map(|(index, key)| Carried { index, key: (*key).to_owned() });
    let endpoint = Endpoint { url: String::new(), heartbeat: None };
    let mut session = venue.session(&endpoint);
    let (mut rows, mut out, mut count) = (Rows::new(keys.len()), Out::default(), 0);
    session.subscribe(symbols.collect(), 0, &mut out);
    let started = Instant::now();
    for (now, frame) in (0..).zip(frames) {
        session.frame(Frame::Text(frame.as_bytes()), now, &mut out);
        for update in out.updates.drain(..) {
            count += usize::from(black_box(rows.apply(&update, 1_763_627_520_000_000 + now)).is_some());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    anyhow::ensure!(
        count == frames.len(),
        "{count} rows of {} frames: {:?}",
        frames.len(),
        out.events.first()
    );
    Ok(count as f64 / seconds)
}

fn write(line: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}")
}
