use super::*;
use crate::clients::publish::Offer;
use proptest::prelude::*;
use tickwire_common::row::read_v;

const BEGUN_US: u64 = 1_763_627_520_000_000;

fn pacer(rate: u64, symbols: u32) -> (Pacer, Instant) {
    let begun = Instant::now();
    (Pacer::new(Offer { rate, symbols }, 1, begun, BEGUN_US).unwrap(), begun)
}

/// Takes everything.
#[derive(Default)]
struct Sink {
    ticks: Vec<(u32, u64)>,
    last: Vec<(u32, u64)>,
    feeds: Vec<FeedStatus>,
}

impl Sink {
    fn take(&mut self, kind: Kind, payload: &Bytes) {
        match kind {
            Kind::Tick(symbol) => self.ticks.push((symbol, read_v(payload).unwrap())),
            Kind::Last(symbol) => self.last.push((symbol, read_v(payload).unwrap())),
            Kind::Feed => self.feeds.push(serde_json::from_slice(payload).unwrap()),
        }
    }
}

/// Steps whenever the pacer asks for it, until `end`.
fn run(pacer: &mut Pacer, sink: &mut Sink, from: Instant, end: Instant) {
    let (mut now, mut steps) = (from, 0);
    while now <= end {
        let next = pacer.step(now, |kind, payload| {
            sink.take(kind, &payload);
            Ok(())
        });
        // Where more was due than a batch holds, it wants to come again at once.
        now = next.max(now);
        steps += 1;
        assert!(steps < 100_000, "it lets time pass");
    }
}

#[test]
fn two_seconds_of_rows() {
    let (mut pacer, begun) = pacer(100, 4);
    let mut sink = Sink::default();
    run(&mut pacer, &mut sink, begun, begun + Duration::from_secs(2));
    assert_eq!(sink.ticks.len(), 200);
    assert_eq!(sink.ticks[..2], [(0, BEGUN_US + 10_000), (1, BEGUN_US + 20_000)]);
    // The first values, and then one every 250 ms.
    assert_eq!(sink.last[..4], [0, 1, 2, 3].map(|symbol| (symbol, BEGUN_US)));
    let written = sink.last.iter().filter(|(symbol, _)| *symbol == 0).count();
    assert!((8..=9).contains(&written), "{written}");
    let states: Vec<FeedState> = sink.feeds.iter().map(|status| status.state).collect();
    assert_eq!((states.as_slice(), sink.feeds[0].symbols), ([FeedState::Live; 2].as_slice(), 4));
}

#[test]
fn a_stall_is_caught_up_with_rows_as_old_as_they_are() {
    let (mut pacer, begun) = pacer(1_000, 2);
    pacer.open(begun);
    let late = begun + Duration::from_millis(500);
    let mut sink = Sink::default();
    pacer.step(late, |kind, payload| {
        sink.take(kind, &payload);
        Ok(())
    });
    assert_eq!((sink.ticks.len(), sink.ticks[0].1), (500, BEGUN_US + 1_000));
    pacer.shut(late);
    let published = pacer.published();
    assert_eq!((published.offered, published.published), (500, 500));
    // 3 significant digits.
    assert!((498_000..=500_000).contains(&published.lag_us.max), "{published:?}");
    assert!((249_000..=251_000).contains(&published.lag_us.p50), "{published:?}");
}

#[test]
fn what_is_refused_stays_due() {
    let (mut pacer, begun) = pacer(1_000, 1);
    pacer.open(begun);
    let now = begun + Duration::from_millis(10);
    let next = pacer.step(now, |_, _| Err(PublishError::Disconnected));
    assert_eq!((next, pacer.published().refused), (now + RETRY, 1));
    let mut room = 4;
    pacer.step(now, |_, _| {
        room -= 1;
        if room < 0 { Err(PublishError::Full) } else { Ok(()) }
    });
    // The feed's state and three rows.
    assert_eq!(pacer.published().published, 3);
    let mut sink = Sink::default();
    pacer.step(now, |kind, payload| {
        sink.take(kind, &payload);
        Ok(())
    });
    assert_eq!(sink.ticks.first(), Some(&(0, BEGUN_US + 4_000)));
    assert_eq!((pacer.published().published, sink.last.as_slice()), (10, &[(0, BEGUN_US + 10_000)][..]));
}

#[test]
fn the_end_leaves_the_newest_row_in_the_store() {
    let (mut pacer, begun) = pacer(1_000, 3);
    let mut sink = Sink::default();
    let end = begun + Duration::from_millis(777);
    run(&mut pacer, &mut sink, begun, end);
    pacer.shut(end);
    assert!(pacer.is_over() && !pacer.is_written());
    let written = end + Duration::from_millis(300);
    run(&mut pacer, &mut sink, end, written);
    assert!(pacer.is_written() && sink.ticks.len() == 777);
    let tape = pacer.tape();
    assert_eq!([0, 1, 2].map(|symbol| tape.count(symbol, 0, u64::MAX)), [259; 3]);
    assert_eq!(tape.count(0, BEGUN_US + 1_000, BEGUN_US + 7_000), 2);
    for symbol in 0..3 {
        let newest = sink.ticks.iter().rfind(|(other, _)| *other == symbol).unwrap();
        assert_eq!(sink.last.iter().rfind(|(other, _)| *other == symbol), Some(newest));
        assert_eq!(pacer.versions()[symbol as usize], newest.1);
    }
}

#[test]
fn a_server_that_lost_everything_gets_everything_again() {
    let (mut pacer, begun) = pacer(1, 3);
    let mut sink = Sink::default();
    run(&mut pacer, &mut sink, begun, begun + Duration::from_millis(300));
    pacer.refresh(begun + Duration::from_millis(300));
    let mut again = Sink::default();
    run(&mut pacer, &mut again, begun + Duration::from_millis(300), begun + Duration::from_millis(310));
    assert_eq!((again.last, again.feeds.len()), (sink.last, 1));
}

proptest! {
    /// Whenever it runs and whatever is refused, every row goes out once, in order, with the version it was due at.
    #[test]
    fn every_row_goes_out_once_and_versions_grow(
        rate in 1..5_000u64,
        symbols in 1..20u32,
        pauses in prop::collection::vec((0..200u64, 0..400usize), 1..40),
    ) {
        let (mut pacer, begun) = pacer(rate, symbols);
        pacer.open(begun);
        let (mut now, mut sink) = (begun, Sink::default());
        for (pause, room) in pauses {
            now += Duration::from_millis(pause);
            let mut room = room;
            pacer.step(now, |kind, payload| {
                room = room.checked_sub(1).ok_or(PublishError::Full)?;
                sink.take(kind, &payload);
                Ok(())
            });
        }
        pacer.shut(now);
        run(&mut pacer, &mut sink, now, now + Duration::from_millis(300));
        let schedule = Schedule::new(rate, symbols);
        let elapsed = as_us(now - begun);
        prop_assert_eq!(sink.ticks.len() as u64, schedule.due_by(elapsed));
        for ((symbol, v), k) in sink.ticks.iter().zip(1..) {
            let due = schedule.row(k);
            prop_assert_eq!((*symbol, *v), (due.symbol, BEGUN_US + due.at_us));
        }
        let published = pacer.published();
        prop_assert_eq!((published.offered, published.published), (published.offered, published.offered));
        prop_assert!(pacer.is_over() && pacer.is_written());
    }
}
