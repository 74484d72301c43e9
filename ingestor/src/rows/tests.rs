use proptest::prelude::*;
use tickwire_common::row::read_v;

use super::group::RESTART_US;
use super::*;
use crate::venue::binance::session::BinanceSession;
use crate::venue::contract::{Carried, Frame, Out, Session};
use crate::venue::kucoin::session::KucoinSession;

const BINANCE_2024: &str = include_str!("../venue/binance/fixtures/btcusdt-20240808.jsonl");
const BINANCE_SHAPES: &str = include_str!("../venue/binance/fixtures/shapes-20261006.jsonl");
const KUCOIN_TICKERS: &str = include_str!("../venue/kucoin/fixtures/nine-symbols-20210425.jsonl");
const KUCOIN_SNAPSHOTS: &str = include_str!("../venue/kucoin/fixtures/snapshots-20231121.jsonl");

fn quote(bid: &str, order: i64) -> Update {
    let fields = Row { bid: bid.parse().ok(), ..Row::default() };
    Update { symbol: 0, fields, orders: Orders { quote: order, ..Orders::NONE } }
}

fn price(price: &str, order: i64, ts: u64) -> Update {
    let fields = Row { price: price.parse().ok(), ts: Some(ts), ..Row::default() };
    Update { symbol: 0, fields, orders: Orders { price: order, ..Orders::NONE } }
}

/// Like a 24 h ticker: a weak quote beside statistics.
fn stats(bid: &str, volume: &str, order: i64) -> Update {
    let fields = Row { bid: bid.parse().ok(), volume: volume.parse().ok(), ..Row::default() };
    Update { symbol: 0, fields, orders: Orders { quote: Orders::WEAK, stats: order, ..Orders::NONE } }
}

fn text(row: Option<&[u8]>) -> String {
    String::from_utf8(row.unwrap_or_default().to_vec()).unwrap()
}

#[test]
fn a_row_carries_all_that_is_known() {
    let mut rows = Rows::new(1);
    rows.apply(&price("5", 1, 9), 100).unwrap();
    assert_eq!(text(rows.apply(&quote("4.50", 1), 200)), r#"{"v":200,"price":5,"bid":4.5,"ts":9}"#);
}

#[test]
fn each_group_goes_by_its_own_order() {
    let mut rows = Rows::new(1);
    assert!(rows.apply(&price("5", 7, 90), 100).is_some());
    assert!(rows.apply(&price("6", 7, 91), 101).is_none(), "the same place");
    assert!(rows.apply(&price("6", 6, 91), 102).is_none(), "an earlier place");
    assert!(rows.apply(&quote("4", 2), 103).is_some());
    let both = Update { orders: Orders { price: 7, quote: 3, ..Orders::NONE }, ..price("8", 0, 80) };
    let both = Update { fields: Row { bid: "4.5".parse().ok(), ..both.fields }, ..both };
    assert_eq!(text(rows.apply(&both, 104)), r#"{"v":104,"price":5,"bid":4.5,"ts":90}"#);
    let counts = Counts { applied: 3, superseded: 2, foreign: 0, restarts: 0 };
    assert_eq!((rows.take_counts(), rows.take_counts()), (counts, Counts::default()));
}

#[test]
fn weak_news_count_only_while_nothing_better_is_known() {
    let mut rows = Rows::new(1);
    assert_eq!(text(rows.apply(&stats("1", "10", 1), 1)), r#"{"v":1,"bid":1,"volume":10}"#);
    assert_eq!(text(rows.apply(&stats("2", "20", 2), 2)), r#"{"v":2,"bid":2,"volume":20}"#);
    assert!(rows.apply(&stats("1", "10", 1), 3).is_none(), "another socket, later");
    rows.apply(&quote("3", 5), 4).unwrap();
    assert_eq!(text(rows.apply(&stats("2.5", "30", 3), 5)), r#"{"v":5,"bid":3,"volume":30}"#);
    rows.forget_orders(0);
    assert_eq!(text(rows.apply(&stats("2.75", "5", 1), 6)), r#"{"v":6,"bid":2.75,"volume":5}"#);
}

#[test]
fn an_order_that_begins_anew_is_believed_after_ten_seconds() {
    let mut rows = Rows::new(1);
    rows.apply(&price("1", 1_000, 1), 1).unwrap();
    for second in 1..10 {
        assert!(rows.apply(&price("2", second, 2), second as u64 * 1_000_000).is_none());
        // What another group does is no news of this one.
        assert!(rows.apply(&quote("1", second), second as u64 * 1_000_000).is_some());
    }
    assert!(rows.apply(&price("2", 11, 2), 11_000_000).is_some());
    assert!(rows.apply(&price("3", 12, 3), 11_000_001).is_some(), "and goes on from there");
    assert_eq!(rows.take_counts().restarts, 1);
}

#[test]
fn an_order_that_is_still_told_has_not_begun_anew() {
    let mut rows = Rows::new(1);
    rows.apply(&price("1", 1_000, 1), 1).unwrap();
    for second in 1..60 {
        let order = if second % 9 == 0 { 1_000 } else { second };
        assert!(rows.apply(&price("2", order, 2), second as u64 * 1_000_000).is_none());
    }
    assert_eq!(rows.take_counts().restarts, 0);
}

#[test]
fn a_new_owner_goes_on_from_the_last_row() {
    let mut rows = Rows::new(3);
    rows.go_on_from(0, br#"{"v":900,"price":5.5,"bid":4,"ts":9}"#);
    assert_eq!(text(rows.apply(&quote("4.50", 1), 200)), r#"{"v":901,"price":5.5,"bid":4.5,"ts":9}"#);
    rows.go_on_from(0, br#"{"v":900,"price":5.25}"#);
    assert_eq!(rows.get(0).unwrap().price, "5.5".parse().ok(), "older than ours");
    for foreign in [&br#"{"v":900,"price":"x"}"#[..], b"{\"v\":900,", b"garbage", b""] {
        rows.go_on_from(1, foreign);
    }
    assert_eq!(rows.get(1), Some(&Row { v: 900, ..Row::default() }));
}

#[test]
fn a_hand_over_goes_on_group_by_group() {
    let mut old = Rows::new(1);
    old.apply(&price("5.10", 7, 90), 1_000).unwrap();
    let row = text(old.apply(&quote("4.1234567890123456789", 3), 1_001));
    let mut new = Rows::new(1);
    new.apply(&quote("4.2", 4), 5).unwrap();
    new.import(0, row.as_bytes(), old.orders(0).unwrap());
    assert_eq!(new.orders(0), Some(Orders { price: 7, quote: 4, stats: Orders::SILENT }));
    assert!(new.apply(&price("5.00", 7, 90), 6).is_none(), "told by the old owner");
    assert_eq!(text(new.apply(&price("5.2", 8, 91), 6)), r#"{"v":1002,"price":5.2,"bid":4.2,"ts":91}"#);
    let mut fresh = Rows::new(1);
    fresh.import(0, row.as_bytes(), old.orders(0).unwrap());
    assert_eq!(fresh.get(0), old.get(0), "digit by digit");
    let orders = serde_json::to_string(&Orders::NONE).unwrap();
    assert_eq!(serde_json::from_str::<Orders>(&orders).unwrap(), Orders::NONE);
}

#[test]
fn symbols_of_others_are_refused_and_a_number_that_is_given_anew_is_blank() {
    let mut rows = Rows::new(0);
    assert_eq!(rows.apply(&quote("1", 1), 1), None);
    assert_eq!(rows.take_counts(), Counts { foreign: 1, ..Counts::default() });
    rows.grow(2);
    rows.apply(&quote("1", 9), 100).unwrap();
    rows.forget(0);
    assert_eq!((rows.get(0), rows.orders(0)), (Some(&Row::default()), Some(Orders::NONE)));
    rows.grow(1);
    assert!(rows.get(1).is_some(), "it never shrinks");
    assert_eq!((rows.orders(2), rows.get(2)), (None, None));
}

/// The updates that a venue's session makes of recorded frames.
fn updates(mut session: impl Session, keys: &[&str], frames: &str) -> Vec<Update> {
    let mut out = Out::default();
    let carried = |(index, key): (u32, &&str)| Carried { index, key: (*key).to_owned() };
    session.opened(0, &mut out);
    session.subscribe((0..).zip(keys).map(carried).collect(), 0, &mut out);
    frames.lines().for_each(|frame| session.frame(Frame::Text(frame.as_bytes()), 1, &mut out));
    out.updates
}

fn recordings() -> Vec<Vec<Update>> {
    let kucoin =
        ["EQZ-BTC", "ANKR-BTC", "SNX-BTC", "FET-BTC", "BCHSV-USDT", "NRG-BTC", "CAPP-BTC", "COV-BTC"];
    // One symbol's tickers and snapshots together, though they were recorded apart.
    let both = [KUCOIN_SNAPSHOTS, &KUCOIN_TICKERS.replace("SNX-BTC", "BTC-USDT"), KUCOIN_SNAPSHOTS].concat();
    vec![
        updates(BinanceSession::new(), &["BTCUSDT"], BINANCE_2024),
        updates(
            BinanceSession::new(),
            &["BTCUSDT"],
            &[BINANCE_SHAPES, BINANCE_2024, BINANCE_SHAPES].concat(),
        ),
        updates(KucoinSession::new(None), &kucoin, KUCOIN_TICKERS),
        updates(KucoinSession::new(None), &["BTC-USDT", "ETH-BTC"], &both),
    ]
}

/// The rows that come of updates, each with its symbol.
fn told<'a>(rows: &mut Rows, updates: impl IntoIterator<Item = &'a Update>) -> Vec<(u32, Row)> {
    let mut told = Vec::new();
    for (now_us, update) in (1..).zip(updates) {
        if rows.apply(update, now_us).is_some() {
            told.push((update.symbol, Row { v: 0, ..rows.get(update.symbol).unwrap().clone() }));
        }
    }
    told
}

/// Two sockets that bring the same, one of them each time, each in its own order.
fn interleaved<'a>(updates: &'a [Update], turns: &[bool]) -> Vec<&'a Update> {
    let (mut first, mut second) = (updates.iter(), updates.iter());
    let mut both: Vec<&Update> = turns
        .iter()
        .cycle()
        .take(turns.len().max(1) * updates.len())
        .filter_map(|turn| if *turn { first.next() } else { second.next() })
        .collect();
    both.extend(first.chain(second));
    both
}

fn any_update() -> impl Strategy<Value = Update> {
    let order = prop_oneof![Just(Orders::SILENT), Just(Orders::WEAK), 1..40i64];
    let digits = prop::option::of((1..99u32).prop_map(|n| n.to_string().parse().unwrap()));
    (
        0..2u32,
        order.clone(),
        order.clone(),
        order,
        digits.clone(),
        digits.clone(),
        digits,
        prop::option::of(1..90u64),
    )
        .prop_map(|(symbol, price, quote, stats, one, two, three, ts)| Update {
            symbol,
            fields: Row { price: one, bid: two, volume: three, ts, ..Row::default() },
            orders: Orders { price, quote, stats },
        })
        // Weak news alone has nothing to be told apart by.
        .prop_filter("some order", |update| {
            let Orders { price, quote, stats } = update.orders;
            price.max(quote).max(stats) > Orders::WEAK
        })
}

proptest! {
    #[test]
    fn versions_grow_whatever_the_clock_does(before: u64, clock in prop::collection::vec(any::<u64>(), 1..20)) {
        let before = before >> 1;
        let mut rows = Rows::new(1);
        rows.go_on_from(0, format!(r#"{{"v":{before}}}"#).as_bytes());
        let mut last = before;
        for (order, now_us) in (1..).zip(clock.into_iter().map(|now| now >> 1)) {
            let v = read_v(rows.apply(&quote("1", order), now_us).unwrap()).unwrap();
            prop_assert!(v > last && v >= now_us);
            last = v;
        }
    }

    #[test]
    fn two_sockets_tell_what_one_would(turns in prop::collection::vec(any::<bool>(), 1..40), case in 0usize..4) {
        let updates = &recordings()[case];
        let expected = told(&mut Rows::new(8), updates);
        prop_assert!(!expected.is_empty());
        prop_assert_eq!(told(&mut Rows::new(8), interleaved(updates, &turns)), expected);
    }

    #[test]
    fn two_sockets_tell_what_one_would_of_anything(
        updates in prop::collection::vec(any_update(), 1..60),
        turns in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let expected = told(&mut Rows::new(2), &updates);
        prop_assert_eq!(told(&mut Rows::new(2), interleaved(&updates, &turns)), expected);
    }

    #[test]
    fn nothing_goes_back_however_sockets_come_and_go(
        updates in prop::collection::vec(any_update(), 1..60),
        sockets in prop::collection::vec((any::<prop::sample::Index>(), 1..60usize), 1..6),
        turns in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let mut sockets: Vec<_> =
            sockets.iter().map(|(from, len)| updates[from.index(updates.len())..].iter().take(*len)).collect();
        let (mut rows, mut last) = (Rows::new(2), [Orders::NONE; 2]);
        let mut ts = [None; 2];
        for turn in turns {
            let at = usize::from(turn) % sockets.len();
            let Some(update) = sockets[at].next() else { continue };
            rows.apply(update, 1);
            let symbol = update.symbol as usize;
            let (now, before) = (rows.orders(update.symbol).unwrap(), last[symbol]);
            prop_assert!(now.price >= before.price && now.quote >= before.quote && now.stats >= before.stats);
            prop_assert!(rows.get(update.symbol).unwrap().ts >= ts[symbol]);
            (last[symbol], ts[symbol]) = (now, rows.get(update.symbol).unwrap().ts);
        }
    }

    #[test]
    fn what_another_process_sends_never_panics(row in prop::collection::vec(any::<u8>(), 0..60), price: i64, quote: i64, now: u64) {
        let mut rows = Rows::new(1);
        rows.import(0, &row, Orders { price, quote, stats: i64::MAX });
        rows.import(0, &[br#"{"v":18446744073709551615,"#, &row[..]].concat(), Orders { price: quote, quote: price, stats: 0 });
        let update = super::tests::price("1", price.saturating_add(1), now);
        rows.apply(&update, now);
        rows.apply(&update, now.saturating_add(RESTART_US));
        prop_assert!(rows.orders(0).is_some());
    }
}
