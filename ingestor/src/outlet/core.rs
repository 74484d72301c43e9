//! What an outlet decides: which shard's updates are dropped, kept or published. Pure: time and the sink come from
//! outside. How a shard comes and goes without a tick missing or said twice is in `tenure`, what goes out later in
//! `sweep`.

mod publishing;
mod sweep;
mod tenure;

use std::collections::BTreeSet;
use std::time::Instant;

use super::backlog::Backlog;
use super::registry::{Changes, Registry, SYMBOLS_MAX};
use super::way::{Moment, Sink, Way};
use crate::venue::contract::Update;
use publishing::Publishing;
pub(super) use sweep::SWEEP_MESSAGES;

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
