//! What the venues' tests share: a session under simulated time, recorded frames, and hostile bytes.

use std::collections::BTreeMap;

use serde_json::json;
use serde_json::value::RawValue;
use tickwire_common::row::Row;

use super::contract::{Carried, Event, Frame, Micros, Out, Reason, SECOND, Session};
use crate::rows::Rows;

/// Symbols `0..keys.len()` with these keys.
pub(crate) fn carried(keys: &[&str]) -> Vec<Carried> {
    (0..).zip(keys).map(|(index, key)| Carried { index, key: (*key).to_owned() }).collect()
}

/// A session and everything it did so far.
pub(crate) struct Sim {
    session: Box<dyn Session>,
    pub(crate) now: Micros,
    /// Frames the session sent, with the time.
    pub(crate) sent: Vec<(Micros, serde_json::Value)>,
    pub(crate) events: Vec<Event>,
    pub(crate) rows: Rows,
    /// Updates that were news.
    pub(crate) updates: usize,
}

impl Sim {
    /// A session on a socket that has just been opened, asked for these symbols.
    pub(crate) fn open(session: impl Session + 'static, keys: &[&str]) -> Self {
        let rows = Rows::new(keys.len());
        let mut sim =
            Self { session: Box::new(session), now: 7, sent: vec![], events: vec![], rows, updates: 0 };
        sim.call(|session, now, out| session.opened(now, out));
        sim.subscribe(carried(keys));
        sim
    }

    pub(crate) fn subscribe(&mut self, symbols: Vec<Carried>) {
        let most = symbols.iter().map(|symbol| symbol.index + 1).max().unwrap_or_default();
        self.rows.grow(most);
        self.call(|session, now, out| session.subscribe(symbols, now, out));
    }

    pub(crate) fn unsubscribe(&mut self, symbols: &[u32]) {
        self.call(|session, now, out| session.unsubscribe(symbols, now, out));
    }

    fn call(&mut self, step: impl FnOnce(&mut dyn Session, Micros, &mut Out)) {
        let mut out = Out::default();
        step(&mut *self.session, self.now, &mut out);
        let parsed = |text: &String| serde_json::from_str(text).unwrap();
        self.sent.extend(out.send.iter().map(|text| (self.now, parsed(text))));
        self.events.extend(out.events);
        for update in out.updates {
            self.updates += usize::from(self.rows.apply(&update, self.now).is_some());
        }
    }

    /// Updates that said nothing new, since it was last asked.
    pub(crate) fn superseded(&mut self) -> u64 {
        let counts = self.rows.take_counts();
        assert_eq!(counts.foreign, 0, "an update of a symbol that nobody asked for");
        counts.superseded
    }

    pub(crate) fn text(&mut self, frame: &str) {
        self.frame(Frame::Text(frame.as_bytes()));
    }

    pub(crate) fn frame(&mut self, frame: Frame<'_>) {
        self.call(|session, now, out| session.frame(frame, now, out));
    }

    pub(crate) fn next_deadline(&self) -> Option<Micros> {
        self.session.next_deadline()
    }

    /// Lets time pass, with every deadline on the way, until the session gives up.
    pub(crate) fn pass(&mut self, time: Micros) {
        let end = self.now + time;
        while let Some(at) = self.session.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.call(|session, now, out| session.deadline(now, out));
            if self.reconnect().is_some() {
                return;
            }
        }
        self.now = end;
    }

    /// Why the session wants another connection.
    pub(crate) fn reconnect(&self) -> Option<Reason> {
        self.events
            .iter()
            .find_map(|event| if let Event::Reconnect(reason) = event { Some(*reason) } else { None })
    }

    /// What was told besides first news.
    pub(crate) fn told(&self) -> Vec<Event> {
        self.events.iter().filter(|event| !matches!(event, Event::Live { .. })).cloned().collect()
    }

    /// Symbols that the venue has taken, in the order it did.
    pub(crate) fn acked(&self) -> Vec<u32> {
        let acked =
            |event: &Event| if let Event::Acked { symbols } = event { symbols.clone() } else { vec![] };
        self.events.iter().flat_map(acked).collect()
    }

    /// Symbols that were found quiet.
    pub(crate) fn quiet(&self) -> Vec<u32> {
        let quiet = |event: &Event| if let Event::Quiet { symbol } = event { Some(*symbol) } else { None };
        self.events.iter().filter_map(quiet).collect()
    }

    /// Symbols that the venue refused.
    pub(crate) fn rejected(&self) -> Vec<u32> {
        let rejected =
            |event: &Event| if let Event::Rejected { symbol, .. } = event { Some(*symbol) } else { None };
        self.events.iter().filter_map(rejected).collect()
    }

    pub(crate) fn row(&self, symbol: u32) -> Row {
        self.rows.get(symbol).cloned().unwrap_or_default()
    }

    /// Messages sent in the busiest window of this length, `extra` counted as sent too.
    pub(crate) fn busiest(&self, window: Micros, extra: &[Micros]) -> usize {
        let mut times: Vec<Micros> =
            self.sent.iter().map(|(at, _)| *at).chain(extra.iter().copied()).collect();
        times.sort_unstable();
        let within = |from: &Micros| times.iter().filter(|at| (*from..*from + window).contains(at)).count();
        times.iter().map(within).max().unwrap_or_default()
    }
}

/// The same frame with the members of every object in another order and one more in each. The venues promise neither.
/// Digits stay as they are.
pub(crate) fn scrambled(frame: &str) -> String {
    let Ok(members) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(frame) else {
        return frame.to_owned();
    };
    // By name: `data` comes before `stream`, `T` before `p`.
    let mut texts: Vec<String> =
        members.iter().map(|(key, value)| format!("{}:{}", json!(key), scrambled(value.get()))).collect();
    texts.push(r#""a_new_one": [{"data": {"u": null}}]"#.to_owned());
    format!("{{ {} }}", texts.join(" , "))
}

/// Feeds a session bytes that no venue sends: noise, and recorded frames with damage. It must neither panic nor ask for
/// a reconnect that was not in the frames.
pub(crate) fn survive_noise(sim: &mut Sim, recorded: &str) {
    let mut rng = fastrand::Rng::with_seed(20_261_120);
    let frames: Vec<&str> = recorded.lines().collect();
    for round in 0..20_000 {
        let mut bytes = if round % 4 == 0 {
            (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect()
        } else {
            frames[rng.usize(..frames.len())].as_bytes().to_vec()
        };
        for _ in 0..rng.usize(0..4).min(bytes.len()) {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        if rng.bool() {
            bytes.truncate(rng.usize(..=bytes.len()));
        }
        sim.frame(Frame::Text(&bytes));
        sim.now += SECOND / 1_000;
    }
}
