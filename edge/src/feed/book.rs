//! The feed's books, without NATS and without clock: topics, views, seats, answers that wait. Events go in by method;
//! rows and answers collect in the order in which they must reach the workers, until [`Book::send`].

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::AbortHandle;
use slab::Slab;
use tickwire_common::row;
use tickwire_common::symbol::{Symbol, Topic};

use super::health::{Changes, Health};
use super::meters::Meters;
use super::pick::Patience;
use super::topic::{Phase, TopicId, TopicState};
use super::view::ViewState;
use crate::hub::Hub;
use crate::hub::client::Answer;
use crate::hub::outbox::DueRow;
use crate::hub::row::ViewId;
use answers::Waiting;

mod answers;
mod leaving;
mod moves;

/// A topic's snapshot is read a second time so long after its join: the last-value stream gets a conflated copy, up to a
/// quarter of a second behind the ticks, so a tick just before the join may be in neither.
const SECOND_LOOK: Duration = Duration::from_millis(600);

/// Every snapshot is read again so often: heals what a cluster, a full subscription or a leaderless stream lost.
const RESYNC: Duration = Duration::from_secs(30);

/// Topics of one edge. Above it a subscribe to a symbol that nobody has yet fails as `overloaded`.
const TOPICS_MAX: usize = 100_000;

#[derive(Debug)]
pub(super) struct Book {
    pub health: Health,
    workers: usize,
    linger: Duration,
    patience: Patience,
    topics: HashMap<TopicId, TopicState>,
    by_topic: HashMap<Topic, TopicId>,
    views: HashMap<ViewId, ViewState>,
    by_name: HashMap<Arc<str>, ViewId>,
    next_topic: u64,
    next_view: u32,
    waiting: Slab<Waiting>,
    /// Views without clients, in the order of their deadlines.
    lingering: VecDeque<(Instant, ViewId)>,
    /// New topics, to be joined by a job.
    fresh: Vec<TopicId>,
    /// Topics whose snapshot must be read again.
    doubted: BTreeSet<u64>,
    /// Topics that were joined lately or could not be read, in the order of their second look.
    second_looks: VecDeque<(Instant, TopicId)>,
    /// When every snapshot is read again; unknown before the first look at the clock.
    resync_at: Option<Instant>,
    /// When a name without venue moves next, if no feed changes before.
    choose_at: Option<Instant>,
    out: Vec<Out>,
    pub meters: Meters,
}

/// What jobs are to do.
#[derive(Debug)]
pub(super) struct Work {
    /// Topics to subscribe and join.
    pub fresh: Vec<(TopicId, Topic)>,
    /// Topics whose snapshot is to be read again.
    pub doubted: Vec<(TopicId, Topic)>,
}

/// What leaves, in order.
#[derive(Debug)]
enum Out {
    Row { worker: usize, row: DueRow },
    Answer(Answer),
}

impl Book {
    pub fn new(workers: usize, linger: Duration, patience: Patience) -> Self {
        Self {
            health: Health::default(),
            workers,
            linger,
            patience,
            topics: HashMap::new(),
            by_topic: HashMap::new(),
            views: HashMap::new(),
            by_name: HashMap::new(),
            next_topic: 0,
            next_view: 0,
            waiting: Slab::new(),
            lingering: VecDeque::new(),
            fresh: Vec::new(),
            doubted: BTreeSet::new(),
            second_looks: VecDeque::new(),
            resync_at: None,
            choose_at: None,
            out: Vec::new(),
            meters: Meters::new(),
        }
    }

    /// A row from NATS. Anyone may publish there, so it is checked.
    pub fn row(&mut self, id: TopicId, payload: &[u8]) {
        match row::check(payload) {
            Ok(v) => {
                self.meters.rows.increment(1);
                self.take(id, v, payload);
            }
            Err(error) => {
                self.meters.refused.increment(1);
                tracing::debug!(%error, "a row is refused");
            }
        }
    }

    /// Keeps a row that is newer than the newest and hands it to the topic's views.
    fn take(&mut self, id: TopicId, v: u64, payload: &[u8]) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        if !topic.take(v, payload) {
            self.meters.duplicates.increment(1);
            return;
        }
        for view in topic.views.clone() {
            self.show(view, id);
        }
    }

    /// Sends a topic's newest row to a view, if it has not shown it. A view on its way to the topic has now arrived.
    fn show(&mut self, id: ViewId, topic: TopicId) {
        let Some(mut view) = self.views.get_mut(&id) else { return };
        if view.topic != topic {
            if !self.arrive(id, topic) {
                return;
            }
            let Some(arrived) = self.views.get_mut(&id) else { return };
            view = arrived;
        }
        let Some(state) = self.topics.get(&topic) else { return };
        if !view.is_news(topic, state) || view.workers().next().is_none() {
            return;
        }
        let Some(frame) = view.frame(topic, state) else { return };
        let row = DueRow { frame, folded: 0 };
        self.out.extend(view.workers().map(|worker| Out::Row { worker, row: row.clone() }));
    }

    /// The subscription of a topic has begun; gives false if the topic is gone.
    pub fn attach(&mut self, id: TopicId, stop: AbortHandle) -> bool {
        let Some(topic) = self.topics.get_mut(&id) else { return false };
        topic.stop = Some(stop);
        true
    }

    /// The snapshot of a topic is here, or could not be had: then it is read again later, and live rows go on.
    pub fn primed(&mut self, id: TopicId, row: Option<&[u8]>, failed: bool, now: Instant) {
        if let Some(row) = row
            && let Ok(v) = row::check(row)
        {
            self.take(id, v, row);
        }
        let Some(topic) = self.topics.get_mut(&id) else { return };
        let before = std::mem::replace(&mut topic.phase, Phase::Live);
        if failed || matches!(before, Phase::Priming(_)) {
            self.second_looks.push_back((now + SECOND_LOOK, id));
        }
        if let Phase::Priming(waiters) = before {
            for key in waiters {
                if let Some(waiting) = self.waiting.get_mut(key) {
                    waiting.missing = waiting.missing.saturating_sub(1);
                }
                self.answer_if_complete(key);
            }
        }
        self.drop_topic_if_left(id);
    }

    /// Doubts snapshots whose time has come, and lets go of views that nobody has come back to.
    pub fn tidy(&mut self, now: Instant) {
        while let Some((_, id)) = self.second_looks.front().copied().filter(|(due, _)| *due <= now) {
            self.second_looks.pop_front();
            self.doubted.insert(id.0);
        }
        if *self.resync_at.get_or_insert(now + RESYNC) <= now {
            self.doubt_all(now);
            self.resync_at = Some(now + RESYNC);
        }
        self.let_go_of_idle(now);
        self.meters.topics.set(self.topics.len() as f64);
        self.meters.lingering.set(self.lingering.len() as f64);
        self.meters.waiting.set(self.waiting.len() as f64);
    }

    /// Rows may have been missed: every snapshot is to be read again, and a second time like those of a join.
    pub fn doubt_all(&mut self, now: Instant) {
        self.resync_at = Some(now + SECOND_LOOK);
        self.doubted.extend(self.topics.iter().filter(|(_, topic)| topic.is_live()).map(|(id, _)| id.0));
    }

    /// What jobs are to do; snapshots are read again only while NATS is there.
    pub fn take_work(&mut self, connected: bool) -> Work {
        let fresh = std::mem::take(&mut self.fresh);
        let doubted = if connected { std::mem::take(&mut self.doubted) } else { BTreeSet::new() };
        let named = |id: TopicId| self.topics.get(&id).map(|state| (id, state.place.topic.clone()));
        Work {
            fresh: fresh.into_iter().filter_map(named).collect(),
            doubted: doubted.into_iter().filter_map(|id| named(TopicId(id))).collect(),
        }
    }

    /// Takes in what words on feeds and the clock have changed; gives what is to be told.
    pub fn look_at_feeds(&mut self, now: Instant, now_ms: u64) -> Changes {
        let changes = self.health.changes(now, now_ms);
        if changes.stands {
            let feeds = self.health.feeds();
            for topic in self.topics.values_mut() {
                topic.is_stale = !feeds.stand(&mut topic.place).is_live();
            }
        }
        if changes.stands || self.choose_at.is_some_and(|at| at <= now) {
            self.choose_again(now);
        }
        changes
    }

    /// Every symbol of a venue that is subscribed.
    pub fn symbols_of(&self, venue: &str) -> Vec<Symbol> {
        let topics = self.by_topic.keys().filter(|topic| *topic.venue == *venue);
        topics.map(|topic| topic.symbol.clone()).collect()
    }

    /// Hands everything to the workers, in order; rows in a row go in one piece.
    pub fn send(&mut self, hub: &Hub) {
        let mut rows: Vec<Vec<DueRow>> = vec![Vec::new(); self.workers];
        for out in self.out.drain(..) {
            match out {
                Out::Row { worker, row } => {
                    rows.get_mut(worker).into_iter().for_each(|rows| rows.push(row.clone()))
                }
                Out::Answer(answer) => {
                    let worker = usize::from(answer.client.worker);
                    let before = rows.get_mut(worker).map(std::mem::take).unwrap_or_default();
                    hub.rows(worker, before);
                    hub.answer(answer);
                }
            }
        }
        for (worker, rows) in rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            hub.rows(worker, rows);
        }
    }
}

#[cfg(test)]
mod tests;
