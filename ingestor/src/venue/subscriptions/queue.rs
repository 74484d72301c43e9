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

/// What one message asks for.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) units: Vec<Unit>,
    /// Whether they are to come; else they are to go.
    pub(super) coming: bool,
    /// It was sent before, and not answered.
    pub(super) again: bool,
    /// More may be put in: it is not a part of one that was refused.
    open: bool,
    bytes: usize,
}

impl Batch {
    /// A part of a batch that was refused, or one that is asked again.
    pub(super) fn fixed(units: Vec<Unit>, coming: bool, again: bool) -> Self {
        Self { units, coming, again, open: false, bytes: 0 }
    }

    fn takes(&self, unit: Unit, bytes: usize, shape: &Shape) -> bool {
        self.open
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
    pub(super) fn push(&mut self, unit: Unit, name_bytes: usize, coming: bool, shape: &Shape) {
        let bytes = name_bytes + shape.topic_bytes.get(unit.topic).copied().unwrap_or_default();
        let lane = if coming { &mut self.coming } else { &mut self.going };
        if let Some(batch) = lane.iter_mut().rev().find(|batch| batch.takes(unit, bytes, shape)) {
            batch.units.push(unit);
            batch.bytes += bytes;
        } else {
            lane.push_back(Batch { units: vec![unit], coming, again: false, open: true, bytes });
        }
    }

    /// Puts a batch at the end of its lane, or at the front if it is asked again.
    pub(super) fn put(&mut self, batch: Batch) {
        let lane = if batch.coming { &mut self.coming } else { &mut self.going };
        match (batch.units.is_empty(), batch.again) {
            (true, _) => {}
            (false, true) => lane.push_front(batch),
            (false, false) => lane.push_back(batch),
        }
    }

    /// Drops what is no longer to be sent. Batches that are asked again stay whole: the venue may have taken them.
    pub(super) fn retain(&mut self, keep: impl Fn(Unit, bool) -> bool) {
        for lane in [&mut self.coming, &mut self.going] {
            for batch in lane.iter_mut().filter(|batch| !batch.again) {
                batch.units.retain(|unit| keep(*unit, batch.coming));
            }
            lane.retain(|batch| !batch.units.is_empty());
        }
    }
}
