//! Faults on request: what goes wrong on every socket, and when.

use std::time::Duration;

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

/// Faults of every socket; none by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Drop the connection so long after it opened, without a word.
    pub cut_after: Option<Duration>,
    /// The venue's forced 24 h cut, made to come after so long: notice first (where the venue gives one), then the cut.
    pub lifetime: Option<Duration>,
    /// Fall silent so long after opening: no data, no pings, no answers; the connection stays.
    pub stall_after: Option<Duration>,
    /// Add one garbage frame after every so many data frames.
    pub garbage_every: Option<u32>,
}

/// The notice of a forced cut comes when this part of the lifetime has passed.
const NOTICE_AT_PERCENT: u32 = 90;

/// What happens to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Notice,
    Stall,
    Cut,
}

/// The faults of one socket in the order of their times.
#[derive(Debug)]
pub(crate) struct Schedule {
    ahead: Vec<(Instant, Fault)>,
}

impl Schedule {
    pub(crate) fn new(faults: &Faults, opened: Instant) -> Self {
        let notice = faults.lifetime.map(|life| life * NOTICE_AT_PERCENT / 100);
        let planned = [
            (faults.cut_after, Fault::Cut),
            (faults.lifetime, Fault::Cut),
            (notice, Fault::Notice),
            (faults.stall_after, Fault::Stall),
        ];
        let mut ahead: Vec<(Instant, Fault)> =
            planned.into_iter().filter_map(|(after, fault)| Some((opened + after?, fault))).collect();
        ahead.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Self { ahead }
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.ahead.last().map(|(at, _)| *at)
    }

    pub(crate) fn due(&mut self, now: Instant) -> Option<Fault> {
        if self.next_at()? > now {
            return None;
        }
        self.ahead.pop().map(|(_, fault)| fault)
    }
}

/// Puts garbage between the data frames of one socket.
#[derive(Debug)]
pub(crate) struct Garbage {
    every: Option<u32>,
    since: u32,
    made: usize,
}

impl Garbage {
    pub(crate) fn new(faults: &Faults) -> Self {
        Self { every: faults.garbage_every.filter(|n| *n > 0), since: 0, made: 0 }
    }

    /// Called for each data frame; the garbage that follows it, if any.
    pub(crate) fn after(&mut self, frame: &Message) -> Option<Message> {
        self.since += 1;
        if self.since < self.every? {
            return None;
        }
        self.since = 0;
        self.made += 1;
        Some(spoil(frame, self.made))
    }
}

/// Kinds in turn: a frame torn in the middle, no JSON at all, JSON of the wrong shape, bytes that are not text.
fn spoil(frame: &Message, turn: usize) -> Message {
    match turn % 4 {
        0 => Message::binary(vec![0xff, 0x00, 0xc3, 0x28]),
        1 => {
            let text = frame.to_text().unwrap_or_default();
            Message::text(text.chars().take(text.chars().count() / 2).collect::<String>())
        }
        2 => Message::text("<html><body>502 Bad Gateway</body></html>"),
        _ => Message::text(r#"{"stream":7,"data":[null,{"p":"NaN"}],"topic":{},"type":"message"}"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_the_order_of_their_times() {
        let second = Duration::from_secs(1);
        let faults = Faults { lifetime: Some(10 * second), stall_after: Some(second), ..Faults::default() };
        let opened = Instant::now();
        let mut schedule = Schedule::new(&faults, opened);
        assert_eq!(schedule.due(opened), None);
        let late = opened + 20 * second;
        let order: Vec<Fault> = std::iter::from_fn(|| schedule.due(late)).collect();
        assert_eq!(order, [Fault::Stall, Fault::Notice, Fault::Cut]);
    }

    #[test]
    fn garbage_is_added_and_replaces_nothing() {
        let mut garbage = Garbage::new(&Faults { garbage_every: Some(3), ..Faults::default() });
        let frame = Message::text("0123456789");
        let made: Vec<Option<Message>> = (0..6).map(|_| garbage.after(&frame)).collect();
        assert_eq!(made.iter().flatten().count(), 2);
        assert_eq!(made.get(2), Some(&Some(Message::text("01234"))));
    }
}
