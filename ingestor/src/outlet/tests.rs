use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tickwire_common::row::{Row, read_v};
use tickwire_nats::publish::PublishError;
use tickwire_nats::{Bytes, Subject, subject};

use super::core::SWEEP_MESSAGES;
use super::way::Sink;
use super::*;
use crate::permit::testing::open;
use crate::rows::Rows;
use crate::venue::contract::Orders;

mod hand_over;

/// A NATS for tests: what it took, and how it answers the next messages (then it takes them).
#[derive(Debug, Default)]
struct Nothing {
    sent: RefCell<Vec<(String, Bytes)>>,
    answers: RefCell<Vec<Option<PublishError>>>,
}

impl Sink for Nothing {
    fn send(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        if let Some(Some(refusal)) = self.answers.borrow_mut().pop() {
            return Err(refusal);
        }
        self.sent.borrow_mut().push((subject.to_string(), payload));
        Ok(())
    }
}

impl Nothing {
    fn of(&self, what: &str) -> Vec<(String, Bytes)> {
        let sent = self.sent.borrow();
        sent.iter().filter(|(subject, _)| subject.starts_with(what)).cloned().collect()
    }

    fn ticks(&self) -> Vec<(String, Bytes)> {
        self.of("md.tick.")
    }
}

/// One process.
struct Process {
    core: Core,
    sink: Nothing,
    clock_us: u64,
    start: Instant,
    since_ms: u64,
}

const NAMES: [&str; 3] = ["A/USDT", "B/USDT", "C/USDT"];

impl Process {
    fn new(clock_us: u64, backlog_max: usize) -> Self {
        let mut core = Core::new("binance", 1, backlog_max);
        let start = Instant::now();
        core.list(NAMES, start);
        Self { core, sink: Nothing::default(), clock_us, start, since_ms: 0 }
    }

    fn at(&mut self) -> Moment {
        self.clock_us += 7;
        Moment { now_us: self.clock_us, now: self.start + Duration::from_millis(self.since_ms) }
    }

    fn hear(&mut self, updates: &[Update]) {
        let at = self.at();
        self.core.publish(updates, at, &self.sink, |shard| assert_eq!(shard, 0));
    }

    fn sweep(&mut self) {
        self.since_ms += 300;
        let at = self.at();
        self.core.sweep(at, &self.sink);
    }

    fn carry(&mut self, rows: &[(&str, &str)], permit: SharedPermit) {
        let at = self.at();
        let rows = rows.iter().map(|(name, row)| (*name, row.as_bytes()));
        self.core.carry(0, rows, permit, at, &self.sink);
    }

    fn take_over(&mut self, left: &HandOver, permit: SharedPermit) {
        let at = self.at();
        self.core.take_over(0, left, permit, at, &self.sink);
    }

    /// The ticks since the last call.
    fn taken(&mut self) -> Vec<(String, Bytes)> {
        let ticks = self.sink.ticks();
        self.sink.sent.borrow_mut().clear();
        ticks
    }

    fn stop(&mut self) {
        let at = self.at();
        self.core.stop(0, at, &self.sink);
    }

    /// As it goes over NATS.
    fn release(&mut self) -> HandOver {
        let at = self.at();
        let (bytes, cut) = self.core.release(0, at, &self.sink).encode();
        assert_eq!(cut, 0);
        HandOver::decode(&bytes, 0).unwrap()
    }
}

/// A venue's stream: each message has a value and an order that no other has.
fn stream(kinds: &[(u32, u8)]) -> Vec<Update> {
    let message = |(n, (symbol, kind)): (i64, &(u32, u8))| {
        let value = format!("{n}.5").parse().ok();
        let ts = Some(1_000 + n.unsigned_abs());
        let order = Orders::of(n);
        let (fields, orders) = match kind {
            0 => (Row { price: value, ts, ..Row::default() }, Orders { price: order, ..Orders::NONE }),
            1 => (Row { bid: value, ask: value, ..Row::default() }, Orders { quote: order, ..Orders::NONE }),
            _ => (
                Row { price: value, bid: value, ask: value, volume: value, ts, ..Row::default() },
                Orders { price: Orders::WEAK, quote: Orders::WEAK, stats: order },
            ),
        };
        Update { symbol: *symbol, fields, orders }
    };
    (1i64..).zip(kinds).map(message).collect()
}

/// What the stream says, as subjects and rows without their versions.
fn told(stream: &[Update]) -> Vec<(String, String)> {
    let mut rows = Rows::new(NAMES.len());
    let tell = |update: &Update| {
        let row = without_version(rows.apply(update, 1)?);
        Some((subject::tick("binance", NAMES[update.symbol as usize]).to_string(), row))
    };
    stream.iter().filter_map(tell).collect()
}

fn without_version(row: &[u8]) -> String {
    let text = std::str::from_utf8(row).unwrap();
    text.split_once(',').map_or("", |(_, fields)| fields).to_owned()
}

fn without_versions(ticks: &[(String, Bytes)]) -> Vec<(String, String)> {
    ticks.iter().map(|(subject, row)| (subject.clone(), without_version(row))).collect()
}

fn assert_versions_grow(ticks: &[(String, Bytes)]) {
    let mut newest: HashMap<&str, u64> = HashMap::new();
    for (subject, row) in ticks {
        let v = read_v(row).unwrap();
        assert!(newest.insert(subject, v).is_none_or(|before| v > before), "{subject} {row:?}");
    }
}

fn newest(ticks: &[(String, String)]) -> HashMap<&str, &str> {
    ticks.iter().map(|(subject, row)| (subject.as_str(), row.as_str())).collect()
}

fn kinds() -> impl Strategy<Value = Vec<(u32, u8)>> {
    prop::collection::vec((0u32..3, 0u8..3), 1..150)
}

/// Places in a stream: joined, released, reached.
fn places(length: usize, (a, b, c): (usize, usize, usize)) -> (usize, usize, usize) {
    let released = b % (length + 1);
    let joined = a % (released + 1);
    (joined, released, joined + c % (length - joined + 1))
}

proptest! {
    #[test]
    fn a_shard_without_taker_goes_on_without_a_gap(kinds in kinds(), at: (usize, usize, usize)) {
        let stream = stream(&kinds);
        let (released, carried, _) = places(stream.len(), (at.0, at.1, 0));
        let mut process = Process::new(1, 1_000);
        process.carry(&[], open());
        process.hear(&stream[..released]);
        process.release();
        process.hear(&stream[released..carried]);
        process.carry(&[], open());
        process.hear(&stream[carried..]);
        prop_assert_eq!(without_versions(&process.sink.ticks()), told(&stream));
        assert_versions_grow(&process.sink.ticks());
    }

    #[test]
    fn what_nats_refuses_goes_out_later_as_the_newest_row(
        kinds in kinds(), answers in prop::collection::vec(0u8..4, 0..300), handed: bool,
    ) {
        let refusal = |answer| match answer {
            0 => Some(PublishError::Full),
            1 => Some(PublishError::Disconnected),
            _ => None,
        };
        let stream = stream(&kinds);
        let mut process = Process::new(1, 50);
        *process.sink.answers.borrow_mut() = answers.into_iter().map(refusal).collect();
        process.core.prepare(0);
        let (before, after) = stream.split_at(if handed { stream.len() / 2 } else { 0 });
        process.hear(before);
        process.take_over(&HandOver::default(), open());
        for updates in after.chunks(5) {
            process.hear(updates);
            process.sweep();
        }
        process.sink.answers.borrow_mut().clear();
        process.core.all_again(process.start);
        (0..3).for_each(|_| process.sweep());
        let (ticks, all) = (process.sink.ticks(), told(&stream));
        let found = without_versions(&ticks);
        prop_assert_eq!(newest(&found), newest(&all));
        prop_assert_eq!(process.core.levels(), super::core::Levels { publishing_shards: 1, ..Default::default() });
        let by_name = |sent: Vec<(String, Bytes)>| -> HashMap<String, Bytes> {
            sent.into_iter().map(|(subject, row)| (subject.replace("last", "tick"), row)).collect()
        };
        prop_assert_eq!(by_name(process.sink.of("md.last.")), by_name(ticks));
    }
}

#[test]
fn a_closed_permit_holds_everything_back_and_the_newest_row_goes_out_when_it_opens() {
    let mut process = Process::new(1, 10);
    let permit = open();
    process.carry(&[("A/USDT", r#"{"v":5,"price":1}"#)], permit.clone());
    permit.0.store(false, Ordering::Relaxed);
    let stream = stream(&[(0, 0), (0, 0), (1, 0)]);
    process.hear(&stream);
    process.core.all_again(process.start);
    process.sweep();
    assert_eq!(process.sink.sent.borrow().len(), 0);
    assert_eq!((process.core.way.tally.fenced, process.core.way.tally.conflated), (3, 1));
    permit.0.store(true, Ordering::Relaxed);
    process.sweep();
    assert_eq!(without_versions(&process.sink.ticks()), told(&stream)[1..]);
    assert_eq!(process.sink.of("md.last.").len(), 2);
    permit.0.store(false, Ordering::Relaxed);
    assert!(process.core.pop_last(process.start + Duration::from_secs(999)).is_none());
}

#[test]
fn a_released_shard_says_nothing_more_and_leaves_its_last_values() {
    let mut process = Process::new(1, 10);
    process.carry(&[], open());
    let stream = stream(&[(0, 0), (1, 0), (0, 0)]);
    process.hear(&stream[..2]);
    process.sink.answers.borrow_mut().push(Some(PublishError::Disconnected));
    process.hear(&stream[2..]);
    *process.sink.answers.borrow_mut() = vec![None, None, None];
    let left = process.release();
    let unsent: Vec<_> = left.symbols.iter().map(|handed| (handed.symbol.as_str(), handed.unsent)).collect();
    assert_eq!(unsent, [("A/USDT", true), ("B/USDT", false)]);
    assert_eq!(process.sink.of("md.last.").len(), 2);
    process.stop();
    let sent = process.sink.sent.borrow().len();
    process.hear(&stream);
    process.core.all_again(process.start);
    process.sweep();
    assert_eq!(process.sink.sent.borrow().len(), sent);

    // The next owner sends what could not be sent, once.
    let mut next = Process::new(1, 10);
    next.core.prepare(0);
    next.hear(&stream[2..]);
    next.take_over(&left, open());
    assert_eq!(without_versions(&next.sink.ticks()), told(&stream)[2..]);
}

#[test]
fn after_a_crash_it_goes_on_above_the_last_values_and_does_not_go_back_in_time() {
    let mut process = Process::new(1, 10);
    process.core.prepare(0);
    // The venue's times are 1001 to 1004; the quote of the third message has none. The owner may have got to 1002.
    let stream = stream(&[(0, 0), (0, 0), (0, 1), (0, 0)]);
    process.hear(&stream);
    process.carry(&[("A/USDT", r#"{"v":900,"price":7,"ts":2}"#), ("B/USDT", "[]"), ("?", "")], open());
    let ticks = process.sink.ticks();
    assert_eq!(without_versions(&ticks), [told(&stream)[3].clone()]);
    assert!(read_v(&ticks[0].1).unwrap() > 900 + 1_000_000);

    // Only old news: one row, which is all that is known.
    let mut process = Process::new(1, 10);
    process.core.prepare(0);
    process.hear(&stream);
    process.carry(&[("A/USDT", r#"{"v":900,"price":9,"ts":2000}"#)], open());
    process.sweep();
    assert_eq!(process.sink.ticks().len(), 1);
}

#[test]
fn last_values_that_come_later_take_nothing_from_what_was_known_to_be_old() {
    let mut process = Process::new(1, 10);
    process.core.prepare(0);
    process.hear(&stream(&[(1, 0), (0, 0), (0, 0)]));
    process.sink.answers.borrow_mut().push(Some(PublishError::Full));
    process.carry(&[("A/USDT", r#"{"v":900,"price":9,"ts":2000}"#)], open());
    assert_eq!(process.sink.ticks().len(), 0, "all waits for room");
    // Of a symbol that is listed meanwhile.
    process.carry(&[("C/USDT", r#"{"v":900,"price":9,"ts":2000}"#)], open());
    process.sweep();
    let a = process.sink.of("md.tick.binance.A");
    assert_eq!((process.sink.ticks().len(), a.len()), (2, 1), "{a:?}");
}

#[test]
fn three_thousand_symbols_are_all_published_again_well_within_a_second() {
    let mut core = Core::new("binance", 16, 10);
    let names: Vec<String> = (0..3_000).map(|n| format!("S{n}/USDT")).collect();
    let (sink, start) = (Nothing::default(), Instant::now());
    let at = Moment { now_us: 1, now: start };
    core.list(names.iter().map(String::as_str), start);
    (0..16).for_each(|shard| core.carry(shard, [], open(), at, &sink));
    let updates: Vec<Update> = (0..3_000).flat_map(|symbol| stream(&[(symbol, 0)])).collect();
    core.publish(&updates, at, &sink, |_| ());
    (0..4).for_each(|_| core.sweep(at, &sink));
    sink.sent.borrow_mut().clear();
    assert_eq!(core.all_again(start), 3_000);
    let sweeps = 2 * 3_000 / SWEEP_MESSAGES + 1;
    (0..sweeps).for_each(|_| core.sweep(at, &sink));
    assert_eq!((sink.ticks().len(), sink.of("md.last.").len()), (3_000, 3_000));
    assert!(SWEEP * u32::try_from(sweeps).unwrap() < Duration::from_millis(500));
}

#[test]
fn symbols_that_left_are_published_no_more_and_their_numbers_move_nobody() {
    let mut process = Process::new(1, 10);
    process.carry(&[], open());
    let stream = stream(&[(0, 0), (1, 0), (0, 0)]);
    process.hear(&stream[..2]);
    let changes = process.core.list(["B/USDT", "D/USDT"], process.start);
    assert_eq!(changes.added.iter().map(|symbol| symbol.number).collect::<Vec<_>>(), [3]);
    process.sink.sent.borrow_mut().clear();
    process.hear(&stream[2..]);
    process.core.all_again(process.start);
    (0..2).for_each(|_| process.sweep());
    let subjects: Vec<String> =
        process.sink.sent.borrow().iter().map(|(subject, _)| subject.clone()).collect();
    assert_eq!(subjects, ["md.tick.binance.B=2FUSDT", "md.last.binance.B=2FUSDT"]);
    assert_eq!(process.core.way.tally.idle, 1);
}

#[test]
fn updates_of_shards_that_are_not_ours_are_dropped() {
    let mut process = Process::new(1, 10);
    process.hear(&stream(&[(0, 0), (99, 0)]));
    assert_eq!(process.core.way.tally.idle, 2);
    process.core.prepare(7);
    let at = process.at();
    process.core.stop(7, at, &process.sink);
    assert_eq!(process.core.release(7, at, &process.sink).shard, 7);
    assert_eq!(process.core.levels(), super::core::Levels::default());
}
