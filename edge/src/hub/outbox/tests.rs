use super::flow::WRITE_BYTES;
use super::*;
use proptest::prelude::*;
use tickwire_common::wire::encoding::Encoding;

/// A socket that takes so many bytes and then is full.
#[derive(Default)]
struct Pipe {
    room: usize,
    taken: Vec<u8>,
}

impl Pipe {
    fn take(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.room);
        self.room -= len;
        self.taken.extend_from_slice(&bytes[..len]);
        len
    }
}

fn row(view: u32, v: u64) -> DueRow {
    let text = format!("{{\"v\":{v}}}");
    let frame = RowFrame::new(ViewId(view), format!("S{view}").into(), None, false, v, text.into());
    DueRow { frame: Arc::new(frame), folded: 0 }
}

/// What a client reads: (view, v, skipped) of each row, and other text as it is.
fn read(bytes: &[u8]) -> Vec<String> {
    let mut rest = bytes;
    let mut seen = Vec::new();
    while let [0x81, len, tail @ ..] = rest {
        let (payload, tail) = match usize::from(*len) {
            126 => tail[2..].split_at(usize::from(u16::from_be_bytes([tail[0], tail[1]]))),
            len => tail.split_at(len),
        };
        seen.push(match serde_json::from_slice::<serde_json::Value>(payload) {
            Ok(message) => {
                let row = &message["data"][0];
                format!(
                    "{}@{}+{}",
                    row["symbol"].as_str().unwrap(),
                    row["v"],
                    row["skipped"].as_u64().unwrap_or(0)
                )
            }
            Err(_) => String::from_utf8(payload.to_vec()).unwrap(),
        });
        rest = tail;
    }
    assert!(rest.is_empty(), "a cut frame at the end");
    seen
}

fn seated(views: u32) -> Outbox {
    let mut outbox = Outbox::default();
    for view in 0..views {
        assert_eq!(outbox.take_slot(ViewId(view), 0), view);
    }
    outbox
}

/// Offers rows whose views are slots of the same number.
fn offer(outbox: &mut Outbox, rows: &[DueRow], now: Instant) -> (Round, Vec<Due>) {
    let mut round = Round::default();
    let mut offered = Vec::new();
    for row in rows {
        let number = round.push(row.clone());
        offered.push(outbox.due(number, &round, row.frame.view.0, now));
    }
    (round, offered)
}

/// One serving after the other, until all is written or the socket is full.
fn serve(outbox: &mut Outbox, round: &Round, pipe: &mut Pipe, now: Instant) -> Wrote {
    let mut buffer = Vec::new();
    loop {
        let bytes = match outbox.next(round, Encoding::Json, &mut buffer) {
            Next::Nothing => &[],
            Next::Row(number) => round.get(number).unwrap().frame.bytes(Encoding::Json),
            Next::Gathered(_) => &buffer[..],
        };
        match outbox.wrote(bytes, pipe.take(bytes), round, now) {
            Wrote::More | Wrote::Rest => {}
            done => return done,
        }
    }
}

fn wide() -> Pipe {
    Pipe { room: usize::MAX, ..Pipe::default() }
}

fn grid(now: Instant) -> Grid {
    Grid::new(now, 0)
}

#[test]
fn who_waits_for_nothing_is_small() {
    // Of the 1.5 KiB that an idle client may cost, and 24 more a symbol with its place in the table.
    assert!(size_of::<Slot>() <= 24 && size_of::<Outbox>() <= 256, "{}", size_of::<Outbox>());
}

#[test]
fn a_client_that_keeps_up_gets_every_row_as_it_came() {
    let (mut outbox, mut pipe, now) = (seated(2), wide(), Instant::now());
    let (round, _) = offer(&mut outbox, &[row(0, 1), row(0, 2), row(1, 3), row(0, 4)], now);
    assert_eq!(serve(&mut outbox, &round, &mut pipe, now), Wrote::All);
    assert_eq!(read(&pipe.taken), ["S0@1+0", "S0@2+0", "S1@3+0", "S0@4+0"]);
    assert!(!outbox.has_waiting());
}

#[test]
fn a_lone_row_needs_no_copy() {
    let (mut outbox, now) = (seated(1), Instant::now());
    let (round, _) = offer(&mut outbox, &[row(0, 1)], now);
    let mut buffer = vec![7];
    assert_eq!(outbox.next(&round, Encoding::Json, &mut buffer), Next::Row(0));
    assert!(buffer.is_empty());
}

#[test]
fn a_full_socket_folds_to_the_newest_row_a_symbol_and_says_how_many() {
    let (mut outbox, mut pipe, now) = (seated(2), Pipe::default(), Instant::now());
    let (round, _) = offer(&mut outbox, &[row(0, 1)], now);
    assert_eq!(serve(&mut outbox, &round, &mut pipe, now), Wrote::Blocked);
    for v in 2..6 {
        let (_, offered) = offer(&mut outbox, &[row(0, v), row(1, v + 100)], now);
        assert_eq!(offered, [Due::Waits; 2]);
    }
    assert_eq!((outbox.behind_since(), outbox.stalled_since()), (Some(now), Some(now)));
    pipe.room = usize::MAX;
    let later = now + Duration::from_secs(2);
    assert_eq!(serve(&mut outbox, &Round::default(), &mut pipe, later), Wrote::All);
    // The first row was on its way when the socket filled; of the others the newest is left.
    assert_eq!(read(&pipe.taken), ["S0@1+0", "S0@5+3", "S1@105+3"]);
    assert_eq!((outbox.take_skipped(), outbox.take_skipped()), (6, 0));
    assert_eq!((outbox.behind_since(), outbox.lag(later)), (None, Duration::from_secs(2)));
}

#[test]
fn a_client_that_takes_a_little_is_behind_but_not_stalled() {
    let (mut outbox, mut pipe, now) = (seated(1), Pipe::default(), Instant::now());
    let (round, _) = offer(&mut outbox, &[row(0, 1)], now);
    serve(&mut outbox, &round, &mut pipe, now);
    let later = now + Duration::from_secs(20);
    pipe.room = 5;
    assert_eq!(serve(&mut outbox, &round, &mut pipe, later), Wrote::Blocked);
    assert_eq!((outbox.behind_since(), outbox.stalled_since()), (Some(now), Some(later)));
    assert_eq!(outbox.lag(later), Duration::from_secs(20));
}

#[test]
fn replies_keep_their_order_and_go_before_rows() {
    let (mut outbox, mut pipe, now) = (seated(1), wide(), Instant::now());
    let (round, _) = offer(&mut outbox, &[row(0, 1), row(0, 2)], now);
    outbox.control(crate::ws::frame::text(b"first"), CONTROL_BYTES_MAX).unwrap();
    outbox.control(crate::ws::frame::text(b"second"), CONTROL_BYTES_MAX).unwrap();
    serve(&mut outbox, &round, &mut pipe, now);
    assert_eq!(read(&pipe.taken), ["first", "second", "S0@1+0", "S0@2+0"]);
}

#[test]
fn a_long_reply_lets_others_go_first_and_rows_wait_behind_it() {
    let (mut outbox, now) = (seated(1), Instant::now());
    let long = "x".repeat(3 * WRITE_BYTES);
    outbox.control(long.clone().into(), CONTROL_BYTES_MAX).unwrap();
    let (round, _) = offer(&mut outbox, &[row(0, 1), row(0, 2)], now);
    let (mut buffer, mut seen) = (Vec::new(), Vec::new());
    for wrote in [Wrote::Rest, Wrote::Rest, Wrote::Rest, Wrote::All] {
        outbox.next(&round, Encoding::Json, &mut buffer);
        seen.extend_from_slice(&buffer);
        assert_eq!(outbox.wrote(&buffer, buffer.len(), &round, now), wrote);
    }
    assert_eq!(read(&seen[long.len()..]), ["S0@2+1"]);
    assert_eq!(outbox.take_skipped(), 0, "it is not the client that is slow");
    assert_eq!(offer(&mut outbox, &[row(0, 3)], now).1, [Due::Now]);
}

#[test]
fn who_asks_without_reading_overflows() {
    let mut outbox = Outbox::default();
    let reply = crate::ws::frame::text(&[b'x'; 100]);
    let fits = (0..).take_while(|_| outbox.control(reply.clone(), 1_000).is_ok()).count();
    assert_eq!(fits, 1_000 / reply.len());
}

#[test]
fn rows_above_the_bound_are_folded() {
    let (mut outbox, mut pipe, now) = (seated(2), wide(), Instant::now());
    let rows: Vec<DueRow> = (0..=DUE_MAX as u64).map(|v| row(v as u32 % 2, v)).collect();
    let (round, _) = offer(&mut outbox, &rows, now);
    serve(&mut outbox, &round, &mut pipe, now);
    let half = DUE_MAX as u64 / 2;
    assert_eq!(
        read(&pipe.taken),
        [format!("S0@{DUE_MAX}+{half}"), format!("S1@{}+{}", DUE_MAX - 1, half - 1)]
    );
    assert_eq!((outbox.take_uncounted() as usize, outbox.take_skipped()), (DUE_MAX - 1, 0));
}

#[test]
fn a_left_seat_gets_nothing_more() {
    let (mut outbox, mut pipe, now) = (seated(2), wide(), Instant::now());
    let (round, _) = offer(&mut outbox, &[row(0, 1), row(1, 2)], now);
    assert_eq!(outbox.leave_slot(0).map(|slot| slot.view), Some(ViewId(0)));
    serve(&mut outbox, &round, &mut pipe, now);
    assert_eq!(read(&pipe.taken), ["S1@2+0"]);
    assert_eq!((outbox.len(), outbox.slot_of(ViewId(0)), outbox.slot_of(ViewId(1))), (1, None, Some(1)));
}

#[test]
fn a_throttled_symbol_goes_out_at_its_moment_and_the_newest_wins() {
    let (mut outbox, mut pipe, now) = (seated(2), wide(), Instant::now());
    outbox.set_throttle(0, 100, grid(now), now);
    let (round, offered) = offer(&mut outbox, &[row(0, 1), row(1, 2), row(0, 3), row(0, 4)], now);
    assert_eq!(offered, [Due::Later, Due::Now, Due::Waits, Due::Waits]);
    serve(&mut outbox, &round, &mut pipe, now);
    assert_eq!(read(&pipe.taken), ["S1@2+0"]);
    let moment = outbox.alarm().and_then(|(at, _)| at).unwrap();
    assert_eq!(moment, now + Duration::from_millis(100));
    outbox.ring_alarm(moment);
    serve(&mut outbox, &round, &mut pipe, moment);
    assert_eq!(read(&pipe.taken), ["S1@2+0", "S0@4+2"]);
    assert_eq!((outbox.take_uncounted(), outbox.take_skipped()), (2, 0), "nobody is slow");
    assert_eq!(outbox.alarm().map(|(at, _)| at), Some(None));
}

#[test]
fn a_throttle_that_ends_lets_go_what_waits_before_newer_rows() {
    let (mut outbox, mut pipe, now) = (seated(1), wide(), Instant::now());
    outbox.set_throttle(0, 1_000, grid(now), now);
    offer(&mut outbox, &[row(0, 1)], now);
    outbox.set_throttle(0, 0, grid(now), now);
    let (round, _) = offer(&mut outbox, &[row(0, 2)], now);
    serve(&mut outbox, &round, &mut pipe, now);
    assert_eq!(read(&pipe.taken), ["S0@2+1"]);
    let (round, offered) = offer(&mut outbox, &[row(0, 3)], now);
    serve(&mut outbox, &round, &mut pipe, now);
    assert_eq!((offered, read(&pipe.taken).pop()), (vec![Due::Now], Some("S0@3+0".to_owned())));
}

/// One step of a client's life.
#[derive(Debug, Clone)]
enum Step {
    /// Rows of these views.
    Rows(Vec<u32>),
    /// The socket has so much more room.
    Room(usize),
    Throttle(u32, u16),
    /// So many milliseconds pass.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(0u32..3, 0..6).prop_map(Step::Rows),
        2 => (0usize..900).prop_map(Step::Room),
        1 => (0u32..3, prop::sample::select(vec![0u16, 100, 250])).prop_map(|(view, ms)| Step::Throttle(view, ms)),
        1 => (0u64..150).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever the socket takes and when, and whatever is throttled: per symbol `v` grows, the last row arrives, and
    /// rows read plus rows told as skipped are all rows there were.
    #[test]
    fn nothing_is_lost_untold(steps in prop::collection::vec(step(), 1..60)) {
        let (mut outbox, mut pipe, begun) = (seated(3), Pipe::default(), Instant::now());
        let (mut now, mut v, mut offered) = (begun, 0u64, [0u64; 3]);
        for step in steps {
            let mut rows = Vec::new();
            match step {
                Step::Rows(views) => for view in views {
                    v += 1;
                    offered[view as usize] += 1;
                    rows.push(row(view, v));
                },
                Step::Room(room) => pipe.room += room,
                Step::Throttle(view, ms) => outbox.set_throttle(view, ms, grid(begun), now),
                Step::Wait(ms) => now += Duration::from_millis(ms),
            }
            let (round, _) = offer(&mut outbox, &rows, now);
            outbox.ring_alarm(now);
            serve(&mut outbox, &round, &mut pipe, now);
        }
        pipe.room = usize::MAX;
        outbox.ring_alarm(now + Duration::from_secs(1));
        prop_assert_eq!(serve(&mut outbox, &Round::default(), &mut pipe, now), Wrote::All);
        let (mut told, mut last) = ([0u64; 3], [0u64; 3]);
        for seen in read(&pipe.taken) {
            let (view, rest) = seen[1..].split_once('@').unwrap();
            let (v, skipped) = rest.split_once('+').unwrap();
            let view: usize = view.parse().unwrap();
            let v: u64 = v.parse().unwrap();
            prop_assert!(v > last[view]);
            last[view] = v;
            told[view] += 1 + skipped.parse::<u64>().unwrap();
        }
        prop_assert_eq!(told, offered);
        prop_assert_eq!(outbox.behind_since(), None);
    }
}
