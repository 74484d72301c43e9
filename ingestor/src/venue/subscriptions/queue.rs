//! Requests that wait to be sent: what comes before what goes. A symbol's topic is in one of them at most.

use std::collections::VecDeque;

use super::Shape;
use super::table::Place;

/// One topic of one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) place: Place,
    pub(super) topic: usize,
}

/// What is asked for the topics of one message.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    /// Whether they are to come; else they are to go.
    pub(super) coming: bool,
    /// For topics that the venue had granted and left silent, and no others.
    pub(super) again: bool,
    /// It was sent before and not answered, so the venue may have done it.
    pub(super) unsure: bool,
}

/// One message.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) units: Vec<Unit>,
    pub(super) ask: Ask,
    /// That was the last time it was sent.
    pub(super) unanswered: bool,
    /// More may be put in: it is not a part of one that was refused.
    open: bool,
    bytes: usize,
}

impl Batch {
    /// What was refused, or a part of it.
    pub(super) fn refused(units: Vec<Unit>, ask: Ask) -> Self {
        Self { units, ask, ..Self::default() }
    }

    /// What was not answered.
    pub(super) fn unanswered(self) -> Self {
        let ask = Ask { unsure: true, ..self.ask };
        Self { units: self.units, ask, unanswered: true, ..Self::default() }
    }

    fn takes(&self, unit: Unit, bytes: usize, ask: Ask, shape: &Shape) -> bool {
        self.open
            && self.ask == ask
            && self.units.len() < shape.units_per_request
            && self.bytes + bytes <= shape.request_bytes
            && (shape.mixed || self.units.first().is_none_or(|first| first.topic == unit.topic))
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) coming: VecDeque<Batch>,
    pub(super) going: VecDeque<Batch>,
}

impl Queue {
    /// Adds one topic of a symbol whose name has `name_bytes`.
    pub(super) fn push(&mut self, unit: Unit, name_bytes: usize, ask: Ask, shape: &Shape) {
        let bytes = name_bytes + shape.topic_bytes.get(unit.topic).copied().unwrap_or_default();
        let lane = if ask.coming { &mut self.coming } else { &mut self.going };
        if let Some(batch) = lane.iter_mut().rev().find(|batch| batch.takes(unit, bytes, ask, shape)) {
            batch.units.push(unit);
            batch.bytes += bytes;
        } else {
            lane.push_back(Batch { units: vec![unit], ask, open: true, bytes, ..Batch::default() });
        }
    }

    /// Puts a batch at the end of its lane, or at the front if it was not answered.
    pub(super) fn put(&mut self, batch: Batch) {
        let lane = if batch.ask.coming { &mut self.coming } else { &mut self.going };
        match (batch.units.is_empty(), batch.unanswered) {
            (true, _) => {}
            (false, true) => lane.push_front(batch),
            (false, false) => lane.push_back(batch),
        }
    }

    /// Drops what is no longer to be sent. What the venue may have done already is asked for to the end.
    pub(super) fn retain(&mut self, keep: impl Fn(Unit, bool) -> bool) {
        for lane in [&mut self.coming, &mut self.going] {
            for batch in lane.iter_mut().filter(|batch| !batch.ask.unsure) {
                batch.units.retain(|unit| keep(*unit, batch.ask.coming));
            }
            lane.retain(|batch| !batch.units.is_empty());
        }
    }
}
