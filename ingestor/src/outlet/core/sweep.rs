//! What goes out later than it came: backlogs, rows that NATS did not take, and last values.

use std::time::Instant;

use tickwire_nats::{Bytes, Subject};

use super::{Core, State};
use crate::outlet::registry::{Entry, Registry};
use crate::outlet::way::{Fate, Moment, Sink};
use crate::permit::Permit;

/// Messages of one sweep, so that a sweep never holds the sockets' tasks up: 50,000 a second.
pub(in crate::outlet) const SWEEP_MESSAGES: usize = 1_000;

impl Core {
    /// Publishes what waited for shards to be ours, up to `room` messages; gives what is left of it.
    pub(super) fn catch_up(&mut self, at: Moment, sink: &impl Sink, mut room: usize) -> usize {
        let Self { registry, shards, behind, way, .. } = self;
        behind.retain(|shard| match shards.get_mut(*shard as usize) {
            Some(State::Publishing(ours)) => {
                room = ours.catch_up(registry, way, at, sink, room);
                !ours.is_live()
            }
            _ => false,
        });
        room
    }

    /// One round over what waits: backlogs, rows that did not go out, then last values that are due.
    pub(in crate::outlet) fn sweep(&mut self, at: Moment, sink: &impl Sink) {
        let room = self.catch_up(at, sink, SWEEP_MESSAGES);
        if self.sweep_rows(sink, room) {
            self.sweep_last_values(at.now, sink);
        }
    }

    /// Whether NATS took them all.
    fn sweep_rows(&mut self, sink: &impl Sink, mut room: usize) -> bool {
        let Self { registry, shards, way, .. } = self;
        for number in way.unsent.iter().copied().collect::<Vec<_>>() {
            let Some((entry, permit)) = owned(registry, shards, number) else {
                way.unsent.remove(&number);
                continue;
            };
            // A closed permit is no reason for the other shards to wait.
            if !permit.is_open() {
                continue;
            }
            let Some(left) = room.checked_sub(1) else { return false };
            room = left;
            if matches!(way.retry(entry, permit, sink), Fate::Kept | Fate::NoRoom) {
                return false;
            }
        }
        true
    }

    fn sweep_last_values(&mut self, now: Instant, sink: &impl Sink) {
        let Self { registry, shards, way, .. } = self;
        for _ in 0..SWEEP_MESSAGES {
            let Some((number, row)) = way.last.pop_due(now) else { return };
            let Some((entry, permit)) = owned(registry, shards, number) else { continue };
            if !way.write_last(row, entry, permit, now, sink) && permit.is_open() {
                return;
            }
        }
    }

    /// NATS was away: rows on their way may be lost, and the last values with them. How many go out again.
    pub(in crate::outlet) fn all_again(&mut self, now: Instant) -> usize {
        let Self { registry, way, .. } = self;
        way.last.refresh_all(now);
        way.unsent.extend((0..registry.len()).filter(|number| way.last.row(*number).is_some()));
        way.unsent.len()
    }

    /// A last value that has to be written before the end; call until `None`.
    pub(in crate::outlet) fn pop_last(&mut self, now: Instant) -> Option<(Subject, Bytes)> {
        loop {
            let (number, row) = self.way.last.pop_due(now)?;
            let owned = owned(&self.registry, &self.shards, number);
            if let Some((entry, _)) = owned.filter(|(_, permit)| permit.is_open()) {
                return Some((entry.last.clone(), row));
            }
        }
    }
}

/// The symbol of a number, and the permit to publish it; `None` where its shard is not ours.
fn owned<'a>(
    registry: &'a Registry,
    shards: &'a [State],
    number: u32,
) -> Option<(&'a Entry, &'a dyn Permit)> {
    let entry = registry.get(number)?;
    match shards.get(entry.shard as usize)? {
        State::Publishing(ours) => Some((entry, &*ours.permit)),
        State::Idle | State::Warming(_) | State::Released(_) => None,
    }
}
