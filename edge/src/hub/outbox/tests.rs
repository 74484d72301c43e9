use super::*;
use proptest::prelude::*;
use tickwire_common::wire::encoding::Encoding;

/// A socket that takes so many bytes and then is full.
#[derive(Default)]
struct Pipe {
    room: usize,
    taken: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.room);
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= len;
        self.taken.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

fn offer(outbox: &mut Outbox, round: &[DueRow]) {
    for (index, row) in round.iter().enumerate() {
        outbox.due(index as u32, row, row.frame.view.0);
    }
}

#[test]
fn a_client_that_keeps_up_gets_every_row_as_it_came() {
    let (mut outbox, mut pipe) = (seated(2), Pipe { room: 10_000, ..Pipe::default() });
    let round = [row(0, 1), row(0, 2), row(1, 3), row(0, 4)];
    offer(&mut outbox, &round);
    assert_eq!(
        outbox.flush(&round, Encoding::Json, &mut Vec::new(), &mut pipe, Instant::now()).unwrap(),
        Flushed::All
    );
    assert_eq!(read(&pipe.taken), ["S0@1+0", "S0@2+0", "S1@3+0", "S0@4+0"]);
    assert!(!outbox.has_waiting());
}

#[test]
fn a_full_socket_folds_to_the_newest_row_a_symbol_and_says_how_many() {
    let (mut outbox, mut pipe) = (seated(2), Pipe::default());
    let now = Instant::now();
    let first = [row(0, 1)];
    offer(&mut outbox, &first);
    assert_eq!(
        outbox.flush(&first, Encoding::Json, &mut Vec::new(), &mut pipe, now).unwrap(),
        Flushed::Blocked
    );
    for v in 2..6 {
        let round = [row(0, v), row(1, v + 100)];
        offer(&mut outbox, &round);
        assert!(outbox.blocked_since().is_some());
    }
    pipe.room = 10_000;
    assert_eq!(outbox.flush(&[], Encoding::Json, &mut Vec::new(), &mut pipe, now).unwrap(), Flushed::All);
    // The first row was on its way when the socket filled; of the others the newest is left.
    assert_eq!(read(&pipe.taken), ["S0@1+0", "S0@5+3", "S1@105+3"]);
    assert_eq!((outbox.take_skipped(), outbox.take_skipped()), (6, 0));
    assert_eq!(outbox.blocked_since(), None);
}

#[test]
fn replies_keep_their_order_and_go_before_rows() {
    let (mut outbox, mut pipe) = (seated(1), Pipe { room: 10_000, ..Pipe::default() });
    let round = [row(0, 1), row(0, 2)];
    offer(&mut outbox, &round);
    outbox.control(crate::ws::frame::text(b"first"), CONTROL_BYTES_MAX).unwrap();
    outbox.control(crate::ws::frame::text(b"second"), CONTROL_BYTES_MAX).unwrap();
    outbox.flush(&round, Encoding::Json, &mut Vec::new(), &mut pipe, Instant::now()).unwrap();
    assert_eq!(read(&pipe.taken), ["first", "second", "S0@1+0", "S0@2+0"]);
}

#[test]
fn who_asks_without_reading_overflows() {
    let mut outbox = Outbox::default();
    let reply = crate::ws::frame::text(&[b'x'; 100]);
    let fits = (0..).take_while(|_| outbox.control(reply.clone(), 1_000).is_ok()).count();
    assert_eq!(fits, 1_000 / reply.len());
}

#[test]
fn a_left_seat_gets_nothing_more() {
    let (mut outbox, mut pipe) = (seated(2), Pipe { room: 10_000, ..Pipe::default() });
    let round = [row(0, 1), row(1, 2)];
    offer(&mut outbox, &round);
    assert_eq!(outbox.leave_slot(0).map(|slot| slot.view), Some(ViewId(0)));
    outbox.flush(&round, Encoding::Json, &mut Vec::new(), &mut pipe, Instant::now()).unwrap();
    assert_eq!(read(&pipe.taken), ["S1@2+0"]);
    assert_eq!((outbox.len(), outbox.slot_of(ViewId(0)), outbox.slot_of(ViewId(1))), (1, None, Some(1)));
}

proptest! {
    /// Whatever the socket takes and when: per symbol `v` grows, the last row arrives, and rows read plus rows told as
    /// skipped are all rows there were.
    #[test]
    fn nothing_is_lost_untold(rounds in prop::collection::vec(
        (prop::collection::vec(0u32..3, 0..6), 0usize..900), 1..30)) {
        let (mut outbox, mut pipe) = (seated(3), Pipe::default());
        let (mut v, mut scratch, mut offered) = (0u64, Vec::new(), [0u64; 3]);
        for (views, room) in rounds {
            let round: Vec<DueRow> = views.iter().map(|view| { v += 1; row(*view, v) }).collect();
            views.iter().for_each(|view| offered[*view as usize] += 1);
            offer(&mut outbox, &round);
            pipe.room += room;
            outbox.flush(&round, Encoding::Json, &mut scratch, &mut pipe, Instant::now()).unwrap();
        }
        pipe.room = usize::MAX;
        prop_assert_eq!(outbox.flush(&[], Encoding::Json, &mut scratch, &mut pipe, Instant::now()).unwrap(), Flushed::All);
        let mut told = [0u64; 3];
        let mut last = [0u64; 3];
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
    }
}
