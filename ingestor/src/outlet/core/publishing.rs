//! A shard that is ours, and what came of it before it was: nothing overtakes that.

use std::collections::BTreeMap;

use crate::outlet::backlog::Backlog;
use crate::outlet::registry::Registry;
use crate::outlet::way::{Fate, Moment, Sink, Way};
use crate::permit::SharedPermit;
use crate::venue::contract::Update;

/// See the module.
#[derive(Debug)]
pub(super) struct Publishing {
    pub(super) permit: SharedPermit,
    /// What came before it was ours, and all that came since until that is gone.
    pub(super) backlog: Backlog,
    /// The row for which there was no room; what follows it must wait, or it would be conflated.
    stuck: Option<u32>,
    /// Symbols whose backlog may have been published by the owner that is gone, up to this time of the venue.
    behind: BTreeMap<u32, u64>,
}

impl Publishing {
    /// Ours; `backlog` waited for it.
    pub(super) fn new(permit: SharedPermit, backlog: Backlog, behind: BTreeMap<u32, u64>) -> Self {
        Self { permit, backlog, stuck: None, behind }
    }

    /// Still ours, and symbols that came since are behind as well.
    pub(super) fn anew(mut self, permit: SharedPermit, behind: BTreeMap<u32, u64>) -> Self {
        self.permit = permit;
        self.behind.extend(behind);
        self
    }

    /// Whether nothing waits any more that would have to go first.
    pub(super) fn is_live(&self) -> bool {
        self.backlog.is_empty() && self.stuck.is_none()
    }

    /// Publishes what waits, up to `room` messages; gives what is left of it.
    pub(super) fn catch_up(
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
    pub(super) fn hurry(&mut self, registry: &Registry, way: &mut Way, at: Moment, sink: &impl Sink) {
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
