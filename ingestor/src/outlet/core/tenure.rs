//! How a shard comes and goes without a tick missing or said twice.

use std::collections::{BTreeMap, BTreeSet};

use super::publishing::Publishing;
use super::{Core, SWEEP_MESSAGES, State};
use crate::outlet::backlog::Backlog;
use crate::outlet::hand_over::HandOver;
use crate::outlet::way::{Moment, Sink};
use crate::permit::SharedPermit;

/// How far the rows of an owner that is gone may have been ahead of its last values, microseconds: these follow within
/// a quarter of a second. New versions begin this far above, which has an effect only where the clocks disagree, for it
/// is less than a lease takes to run out; and what was kept of this time is not said tick by tick, for it may have been.
const CRASH_MARGIN_US: u64 = 1_000_000;

impl Core {
    /// The shard will be ours: what comes of it is kept from now on.
    pub(in crate::outlet) fn prepare(&mut self, shard: u32) {
        if let Some(state @ State::Idle) = self.shards.get_mut(shard as usize) {
            *state = State::Warming(Backlog::new(self.backlog_max));
        }
    }

    /// The shard is ours and nobody handed it over: goes on from the last values, by name, and from what we published
    /// ourselves before it was offered to another process.
    pub(in crate::outlet) fn carry<'a>(
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
    pub(in crate::outlet) fn take_over(
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
        *state = State::Publishing(match std::mem::take(state) {
            State::Warming(backlog) | State::Released(backlog) => Publishing::new(permit, backlog, behind),
            State::Publishing(ours) => ours.anew(permit, behind),
            State::Idle => Publishing::new(permit, Backlog::new(self.backlog_max), behind),
        });
        self.behind.insert(shard);
        self.catch_up(at, sink, SWEEP_MESSAGES);
    }

    /// Nothing more is published of the shard, and this is what the next owner has to know. Last values that NATS takes
    /// at once are written; the next owner writes them all again. Should there be none, [`Core::carry`] goes on.
    pub(in crate::outlet) fn release(&mut self, shard: u32, at: Moment, sink: &impl Sink) -> HandOver {
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
    pub(in crate::outlet) fn stop(&mut self, shard: u32, at: Moment, sink: &impl Sink) {
        drop(self.release(shard, at, sink));
        let Some(state) = self.shards.get_mut(shard as usize) else { return };
        *state = State::Idle;
        for entry in self.registry.of_shard(shard) {
            self.way.silence(entry.number);
            self.way.rows.forget_orders(entry.number);
        }
    }
}
