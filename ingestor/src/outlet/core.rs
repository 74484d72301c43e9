//! What an outlet decides: which shard's updates are dropped, kept or published, and how a shard comes and goes without
//! a tick missing or said twice. Pure: time and the sink come from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use tickwire_nats::{Bytes, Subject};

use super::backlog::Backlog;
use super::hand_over::HandOver;
use super::permit::{Permit, SharedPermit};
use super::registry::{Changes, Entry, Registry, SYMBOLS_MAX};
use super::way::{Fate, Moment, Sink, Way};
use crate::venue::contract::Update;

/// Messages of one sweep, so that a sweep never holds the sockets' tasks up: 50,000 a second.
pub(super) const SWEEP_MESSAGES: usize = 1_000;

/// How far the rows of an owner that is gone may have been ahead of its last values, microseconds: these follow within
/// a quarter of a second. New versions begin this far above, which has an effect only where the clocks disagree, for it
/// is less than a lease takes to run out; and what was kept of this time is not said tick by tick, for it may have been.
const CRASH_MARGIN_US: u64 = 1_000_000;

/// How far a shard is ours.
#[derive(Debug, Default)]
enum State {
    /// Not ours.
    #[default]
    Idle,
    /// About to be.
    Warming(Backlog),
    /// Ours.
    Publishing(Publishing),
    /// Offered to another process; what came since, should it stay ours.
    Released(Backlog),
}

#[derive(Debug)]
struct Publishing {
    permit: SharedPermit,
    /// What came before it was ours, and all that came since until that is gone.
    backlog: Backlog,
    /// The row for which there was no room; what follows it must wait, or it would be conflated.
    stuck: Option<u32>,
    /// Symbols whose backlog may have been published by the owner that is gone, up to this time of the venue.
    behind: BTreeMap<u32, u64>,
}

/// How many symbols and updates there are, for gauges.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Levels {
    pub(super) warming_shards: u32,
    pub(super) publishing_shards: u32,
    pub(super) released_shards: u32,
    pub(super) waiting_updates: usize,
    pub(super) unsent_rows: usize,
}

#[derive(Debug)]
pub(super) struct Core {
    backlog_max: usize,
    registry: Registry,
    shards: Vec<State>,
    /// Shards of ours with a backlog.
    behind: BTreeSet<u32>,
    pub(super) way: Way,
}

impl Core {
    /// Nothing listed and nothing ours; `backlog_max` updates of a shard wait for it to be ours.
    pub(super) fn new(venue: &'static str, shards: u32, backlog_max: usize) -> Self {
        let registry = Registry::new(venue, shards, SYMBOLS_MAX);
        let shards = (0..registry.shards()).map(|_| State::Idle).collect();
        Self { backlog_max, registry, shards, behind: BTreeSet::new(), way: Way::new() }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Makes these the venue's symbols.
    pub(super) fn list<'a>(&mut self, names: impl IntoIterator<Item = &'a str>, now: Instant) -> Changes {
        let changes = self.registry.list(names, now);
        for symbol in &changes.removed {
            self.way.silence(symbol.number);
            self.way.rows.forget_orders(symbol.number);
        }
        changes.reused.iter().for_each(|number| self.way.rows.forget(*number));
        self.way.rows.grow(self.registry.len());
        changes
    }

    /// Takes updates; `note` hears of each that belongs to a shard which is ours or about to be.
    pub(super) fn publish(
        &mut self,
        updates: &[Update],
        at: Moment,
        sink: &impl Sink,
        mut note: impl FnMut(u32),
    ) {
        for update in updates {
            let Some(entry) = self.registry.get(update.symbol) else {
                self.way.tally.idle += 1;
                continue;
            };
            match self.shards.get_mut(entry.shard as usize) {
                None | Some(State::Idle) => {
                    self.way.tally.idle += 1;
                    continue;
                }
                Some(State::Publishing(ours)) if ours.is_live() => {
                    self.way.tell(update, entry, &*ours.permit, at, sink);
                }
                Some(
                    State::Publishing(Publishing { backlog, .. })
                    | State::Warming(backlog)
                    | State::Released(backlog),
                ) => self.way.tally.merged += u64::from(backlog.push(update.clone())),
            }
            note(entry.shard);
        }
        self.catch_up(at, sink, SWEEP_MESSAGES);
    }

    /// The shard will be ours: what comes of it is kept from now on.
    pub(super) fn prepare(&mut self, shard: u32) {
        if let Some(state @ State::Idle) = self.shards.get_mut(shard as usize) {
            *state = State::Warming(Backlog::new(self.backlog_max));
        }
    }

    /// The shard is ours and nobody handed it over: goes on from the last values, by name, and from what we published
    /// ourselves before it was offered to another process.
    pub(super) fn carry<'a>(
        &mut self,
        shard: u32,
        rows: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        permit: SharedPermit,
        at: Moment,
        sink: &impl Sink,
    ) {
        let mut behind = BTreeMap::new();
        let mut ours: BTreeSet<u32> = BTreeSet::new();
        for (name, row) in rows {
            let Some(entry) = self.registry.in_shard(shard, name) else { continue };
            ours.insert(entry.number);
            let way = &mut self.way;
            if let Some(ts) = way.go_on_from(row, entry, CRASH_MARGIN_US) {
                behind.insert(entry.number, ts.saturating_add(CRASH_MARGIN_US / 1_000));
            }
        }
        if let Some(State::Released(_) | State::Publishing(_)) = self.shards.get(shard as usize) {
            ours.extend(self.registry.of_shard(shard).map(|entry| entry.number));
        }
        for entry in ours.iter().filter_map(|number| self.registry.get(*number)) {
            self.way.offer_own(entry, at.now);
        }
        self.enter(shard, permit, behind, at, sink);
    }

    /// The shard is ours, and this is what its owner left: goes on exactly from there.
    pub(super) fn take_over(
        &mut self,
        shard: u32,
        left: &HandOver,
        permit: SharedPermit,
        at: Moment,
        sink: &impl Sink,
    ) {
        for handed in &left.symbols {
            let Some(entry) = self.registry.in_shard(shard, &handed.symbol) else { continue };
            self.way.import(handed, entry, at.now);
            if handed.unsent {
                self.way.retry(entry, &*permit, sink);
            }
        }
        self.enter(shard, permit, BTreeMap::new(), at, sink);
    }

    fn enter(
        &mut self,
        shard: u32,
        permit: SharedPermit,
        behind: BTreeMap<u32, u64>,
        at: Moment,
        sink: &impl Sink,
    ) {
        let Some(state) = self.shards.get_mut(shard as usize) else { return };
        let backlog = match std::mem::take(state) {
            State::Warming(backlog) | State::Released(backlog) => backlog,
            State::Publishing(before) => before.backlog,
            State::Idle => Backlog::new(self.backlog_max),
        };
        *state = State::Publishing(Publishing { permit, backlog, stuck: None, behind });
        self.behind.insert(shard);
        self.catch_up(at, sink, SWEEP_MESSAGES);
    }

    /// Publishes what waited for shards to be ours, up to `room` messages; gives what is left of it.
    fn catch_up(&mut self, at: Moment, sink: &impl Sink, mut room: usize) -> usize {
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
    pub(super) fn sweep(&mut self, at: Moment, sink: &impl Sink) {
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
    pub(super) fn all_again(&mut self, now: Instant) -> usize {
        let Self { registry, way, .. } = self;
        way.last.refresh_all(now);
        way.unsent.extend((0..registry.len()).filter(|number| way.last.row(*number).is_some()));
        way.unsent.len()
    }

    /// Nothing more is published of the shard, and this is what the next owner has to know. Last values that NATS takes
    /// at once are written; the next owner writes them all again. Should there be none, [`Core::carry`] goes on.
    pub(super) fn release(&mut self, shard: u32, at: Moment, sink: &impl Sink) -> HandOver {
        let mut left = HandOver { shard, ..HandOver::default() };
        let Self { registry, shards, way, .. } = self;
        let Some(state @ State::Publishing(_)) = shards.get_mut(shard as usize) else { return left };
        let released = State::Released(Backlog::new(self.backlog_max));
        if let State::Publishing(mut ours) = std::mem::replace(state, released) {
            ours.hurry(registry, way, at, sink);
            for entry in registry.of_shard(shard) {
                left.symbols.extend(way.export(entry));
                if let Some(row) = way.last.row(entry.number).cloned() {
                    way.write_last(row, entry, &*ours.permit, at.now, sink);
                }
                way.silence(entry.number);
            }
        }
        left
    }

    /// The shard is not ours, nor about to be. Versions stay known, should it come back; the venue's order does not.
    pub(super) fn stop(&mut self, shard: u32, at: Moment, sink: &impl Sink) {
        drop(self.release(shard, at, sink));
        let Some(state) = self.shards.get_mut(shard as usize) else { return };
        *state = State::Idle;
        for entry in self.registry.of_shard(shard) {
            self.way.silence(entry.number);
            self.way.rows.forget_orders(entry.number);
        }
    }

    /// A last value that has to be written before the end; call until `None`.
    pub(super) fn pop_last(&mut self, now: Instant) -> Option<(Subject, Bytes)> {
        loop {
            let (number, row) = self.way.last.pop_due(now)?;
            let owned = owned(&self.registry, &self.shards, number);
            if let Some((entry, _)) = owned.filter(|(_, permit)| permit.is_open()) {
                return Some((entry.last.clone(), row));
            }
        }
    }

    pub(super) fn levels(&self) -> Levels {
        let mut levels = Levels { unsent_rows: self.way.unsent.len(), ..Levels::default() };
        for state in &self.shards {
            let (shards, backlog) = match state {
                State::Idle => continue,
                State::Warming(backlog) => (&mut levels.warming_shards, backlog),
                State::Publishing(ours) => (&mut levels.publishing_shards, &ours.backlog),
                State::Released(backlog) => (&mut levels.released_shards, backlog),
            };
            *shards += 1;
            levels.waiting_updates += backlog.len();
        }
        levels
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

impl Publishing {
    /// Whether nothing waits any more that would have to go first.
    fn is_live(&self) -> bool {
        self.backlog.is_empty() && self.stuck.is_none()
    }

    /// Publishes what waits, up to `room` messages; gives what is left of it.
    fn catch_up(
        &mut self,
        registry: &Registry,
        way: &mut Way,
        at: Moment,
        sink: &impl Sink,
        mut room: usize,
    ) -> usize {
        if let Some(symbol) = self.stuck.take()
            && let Some(entry) = registry.get(symbol)
            && way.retry(entry, &*self.permit, sink) == Fate::NoRoom
        {
            self.stuck = Some(symbol);
        }
        while self.stuck.is_none()
            && room > 0
            && let Some(update) = self.backlog.pop()
        {
            room -= 1;
            let Some(entry) = registry.get(update.symbol) else { continue };
            if self.is_old(&update) {
                way.keep(&update, entry, at);
            } else if way.tell(&update, entry, &*self.permit, at, sink) == Fate::NoRoom {
                self.stuck = Some(update.symbol);
            }
        }
        if self.backlog.is_empty() {
            self.behind.clear();
        }
        room
    }

    /// Publishes all that waits, now. Without room it goes out as one row a symbol, which the next owner may have to do.
    fn hurry(&mut self, registry: &Registry, way: &mut Way, at: Moment, sink: &impl Sink) {
        while !self.backlog.is_empty() {
            self.stuck = None;
            self.catch_up(registry, way, at, sink, usize::MAX);
        }
    }

    /// Whether the owner that is gone may have published it. From the first update on that is newer by the venue's time,
    /// all are.
    fn is_old(&mut self, update: &Update) -> bool {
        let Some(known) = self.behind.get(&update.symbol) else { return false };
        let old = update.fields.ts.is_none_or(|ts| ts <= *known);
        if !old {
            self.behind.remove(&update.symbol);
        }
        old
    }
}
