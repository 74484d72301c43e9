use proptest::prelude::*;
use tickwire_common::row::Row;
use tickwire_common::wire::frame::{Marks, push_row};

use super::*;
use crate::clients::notice::{self, Notice};

type Heads = Vec<(String, u64, u64)>;

fn scan(message: &[u8]) -> Option<(Kind, Result<Heads, Malformed>)> {
    let (kind, rows) = ticker(message)?;
    let mut heads = Heads::new();
    let result = Scanner::default().rows(rows, |row| {
        heads.push((String::from_utf8(row.name.to_vec()).unwrap(), row.v, row.skipped));
    });
    Some((kind, result.map(|()| heads)))
}

/// The same through serde.
fn parse(message: &[u8]) -> (Kind, Heads) {
    let Ok(Notice::Rows(kind, rows)) = notice::parse(message) else { panic!("not rows") };
    (kind, rows.into_iter().map(|row| (row.symbol, row.v, row.skipped)).collect())
}

fn message(open: &[u8], rows: &[Vec<u8>]) -> Vec<u8> {
    [open, &rows.join(&b','), DATA_CLOSE].concat()
}

#[test]
fn every_mark_may_stand_before_the_version() {
    let row = br#"{"v":7,"price":1.5}"#;
    let mut rows = Vec::new();
    for (venue, skipped, stale) in [(None, 0, false), (Some("binance"), 12, true), (None, 3, false)] {
        let mut out = Vec::new();
        push_row(&mut out, "BTC/USDT", &Marks { venue, skipped, stale }, row);
        rows.push(out);
    }
    let name = || "BTC/USDT".to_owned();
    let expected = vec![(name(), 7, 0), (name(), 7, 12), (name(), 7, 3)];
    assert_eq!(scan(&message(UPDATE_OPEN, &rows)), Some((Kind::Update, Ok(expected))));
    assert_eq!(scan(&message(SNAPSHOT_OPEN, &[])), Some((Kind::Snapshot, Ok(vec![]))));
}

#[test]
fn rows_without_version_or_end_are_malformed() {
    for rows in [
        r#"{"symbol":"A"}"#,
        r#"{"symbol":"A"},{"symbol":"B","v":1}"#,
        r#"{"symbol":"A","v":}"#,
        r#"{"symbol":"A","v":-1}"#,
        r#"{"symbol":"A","v":18446744073709551616}"#,
        r#"{"symbol":"A","v":1"#,
        r#"{"symbol":"A","v":1},{"x":1"#,
        r#"{"symbol":"A","skipped":x,"v":1}"#,
        r#"{"v":1}"#,
    ] {
        let text = message(UPDATE_OPEN, &[rows.as_bytes().to_vec()]);
        assert_eq!(scan(&text), Some((Kind::Update, Err(Malformed))), "{rows}");
    }
}

#[test]
fn other_messages_are_left_to_serde() {
    for text in [r#"{"channel":"heartbeat","ts":1}"#, r#"{"type":"update","channel":"ticker","data":[]}"#, ""]
    {
        assert_eq!(scan(text.as_bytes()), None, "{text}");
    }
}

fn row() -> impl Strategy<Value = Vec<u8>> {
    let venue = prop::option::of(prop_oneof![Just("binance"), Just("kucoin-futures"), Just("v")]);
    let prices = prop::collection::vec(prop::option::of(0u32..1_000_000), 3);
    let name = "[A-Za-z0-9._:/@+é币-]{1,20}";
    (name, venue, 0u32..3, any::<bool>(), any::<u64>(), prices, prop::option::of(any::<u64>())).prop_map(
        |(name, venue, skipped, stale, v, prices, ts)| {
            let price = |i: usize| prices[i].map(|price| format!("{}.{}", price / 7, price).parse().unwrap());
            let row = Row { v, price: price(0), bid: price(1), volume: price(2), ts, ..Row::default() };
            let (mut json, mut out) = (Vec::new(), Vec::new());
            row.encode(&mut json);
            push_row(&mut out, &name, &Marks { venue, skipped, stale }, &json);
            out
        },
    )
}

proptest! {
    #[test]
    fn the_scanner_reads_what_serde_reads(
        rows in prop::collection::vec(row(), 0..12),
        update in any::<bool>(),
    ) {
        let text = message(if update { UPDATE_OPEN } else { SNAPSHOT_OPEN }, &rows);
        let (kind, heads) = parse(&text);
        prop_assert_eq!(scan(&text), Some((kind, Ok(heads))));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = Scanner::default().rows(&bytes, |_| {});
    }

    #[test]
    fn damaged_rows_never_panic(
        rows in prop::collection::vec(row(), 1..4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut text = rows.join(&b',');
        let at = at.index(text.len());
        text[at] = byte;
        let _ = Scanner::default().rows(&text, |_| {});
    }
}
