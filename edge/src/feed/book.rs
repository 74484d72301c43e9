//! The feed's books, without NATS and without clock: topics, views, seats, answers that wait. Events go in by method;
//! rows and answers collect in the order in which they must reach the workers, until [`Book::send`].

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::AbortHandle;
use slab::Slab;
use tickwire_common::row;
use tickwire_common::symbol::Topic;
use tickwire_common::wire::error::ErrorCode;
use tickwire_common::wire::frame::Failed;

use super::health::Health;
use super::meters::Meters;
use super::names::{Found, Names};
use super::topic::{AnswerKey, Phase, TopicId, TopicState};
use super::view::ViewState;
use crate::hub::Hub;
use crate::hub::ask::SubscribeAsk;
use crate::hub::client::{Answer, Grant};
use crate::hub::outbox::DueRow;
use crate::hub::row::ViewId;

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
    out: Vec<Out>,
    meters: Meters,
}

/// An answer that waits for its topics.
#[derive(Debug)]
struct Waiting {
    ask: SubscribeAsk,
    views: Vec<ViewId>,
    failed: Vec<Failed>,
    missing: usize,
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
    pub fn new(workers: usize, linger: Duration) -> Self {
        Self {
            health: Health::default(),
            workers,
            linger,
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
            out: Vec::new(),
            meters: Meters::new(),
        }
    }

    /// Counts the client's seats, and answers once every topic is joined.
    pub fn subscribe(&mut self, ask: SubscribeAsk, names: &Names) {
        let (mut views, mut failed, mut topics) = (Vec::new(), Vec::new(), BTreeSet::new());
        for name in &ask.names {
            match self.view(name, names) {
                Ok(id) => {
                    if let Some(view) = self.views.get_mut(&id) {
                        view.sit(ask.client.worker);
                        topics.insert(view.topic.0);
                    }
                    views.push(id);
                }
                Err(code) => failed.push(Failed::new(name.clone(), code)),
            }
        }
        let key = self.waiting.insert(Waiting { ask, views, failed, missing: 0 });
        let missing = topics.into_iter().filter(|id| self.wait_for(TopicId(*id), key)).count();
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.missing = missing;
        }
        self.answer_if_complete(key);
    }

    fn wait_for(&mut self, id: TopicId, key: AnswerKey) -> bool {
        match self.topics.get_mut(&id).map(|topic| &mut topic.phase) {
            Some(Phase::Priming(waiters)) => {
                waiters.push(key);
                true
            }
            _ => false,
        }
    }

    /// The view of a name, made if it is new.
    fn view(&mut self, name: &str, names: &Names) -> Result<ViewId, ErrorCode> {
        if let Some(id) = self.by_name.get(name) {
            return Ok(*id);
        }
        let found = names.resolve(name)?;
        let candidates = match &found {
            Found::Exact(topic) => std::slice::from_ref(topic),
            Found::AnyOf(topics) => topics,
        };
        let topic = ViewState::choice(candidates, None, &self.health).ok_or(ErrorCode::UnknownSymbol)?;
        if self.topics.len() >= TOPICS_MAX && !self.by_topic.contains_key(&topic) {
            return Err(ErrorCode::Overloaded);
        }
        let id = ViewId(self.next_view);
        self.next_view = self.next_view.wrapping_add(1);
        let topic = self.topic(topic, id);
        let view = ViewState::new(id, name, found, topic, self.workers);
        self.by_name.insert(Arc::clone(&view.name), id);
        self.views.insert(id, view);
        Ok(id)
    }

    /// The topic's id, with this view on it; a new topic is to be joined.
    fn topic(&mut self, topic: Topic, view: ViewId) -> TopicId {
        if let Some(id) = self.by_topic.get(&topic) {
            if let Some(state) = self.topics.get_mut(id) {
                state.views.push(view);
            }
            return *id;
        }
        let id = TopicId(self.next_topic);
        self.next_topic += 1;
        self.by_topic.insert(topic.clone(), id);
        self.topics.insert(id, TopicState::new(topic, view));
        self.fresh.push(id);
        id
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
            self.show(view);
        }
    }

    /// Sends the newest row of a view's topic, if it is newer than what the view has shown.
    fn show(&mut self, id: ViewId) {
        let Some(view) = self.views.get_mut(&id) else { return };
        let Some(topic) = self.topics.get(&view.topic) else { return };
        if topic.last.as_ref().is_none_or(|(v, _)| *v <= view.shown_v()) || view.workers().next().is_none() {
            return;
        }
        let Some(frame) = view.frame(topic, &self.health) else { return };
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

    fn answer_if_complete(&mut self, key: AnswerKey) {
        if self.waiting.get(key).is_none_or(|waiting| waiting.missing > 0) {
            return;
        }
        let Some(waiting) = self.waiting.try_remove(key) else { return };
        let grants = waiting.views.iter().filter_map(|id| self.grant(*id)).collect();
        let SubscribeAsk { client, form, .. } = waiting.ask;
        self.out.push(Out::Answer(Answer { client, form, grants, failed: waiting.failed }));
    }

    fn grant(&mut self, id: ViewId) -> Option<Grant> {
        let view = self.views.get_mut(&id)?;
        let last = self.topics.get(&view.topic).and_then(|topic| view.frame(topic, &self.health));
        Some(Grant { name: Arc::clone(&view.name), view: id, last })
    }

    /// Clients of a worker have left views, one entry a client.
    pub fn release(&mut self, worker: u16, views: &[ViewId], now: Instant) {
        for id in views {
            let Some(view) = self.views.get_mut(id) else { continue };
            if view.rise(worker, now) && !std::mem::replace(&mut view.lingers, true) {
                self.lingering.push_back((now + self.linger, *id));
            }
        }
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
        while let Some((_, id)) = self.lingering.front().copied().filter(|(due, _)| *due <= now) {
            self.lingering.pop_front();
            self.let_go(id, now);
        }
        self.meters.topics.set(self.topics.len() as f64);
    }

    /// A view's linger is over, unless somebody came back; who came back and left lingers anew.
    fn let_go(&mut self, id: ViewId, now: Instant) {
        let Some(view) = self.views.get_mut(&id) else { return };
        match view.idle_since.map(|since| since + self.linger) {
            Some(due) if due <= now => self.drop_view(id),
            Some(due) => self.lingering.push_back((due, id)),
            None => view.lingers = false,
        }
    }

    fn drop_view(&mut self, id: ViewId) {
        if let Some(view) = self.views.remove(&id) {
            self.by_name.remove(&view.name);
            self.detach(view.topic, id);
        }
    }

    fn detach(&mut self, topic: TopicId, view: ViewId) {
        let Some(state) = self.topics.get_mut(&topic) else { return };
        state.views.retain(|id| *id != view);
        self.drop_topic_if_left(topic);
    }

    /// A topic that is being joined stays until the job is back: answers may wait for it.
    fn drop_topic_if_left(&mut self, id: TopicId) {
        if let Some(state) = self.topics.get(&id)
            && state.views.is_empty()
            && state.is_live()
        {
            self.by_topic.remove(&state.topic);
            self.doubted.remove(&id.0);
            self.topics.remove(&id);
        }
    }

    /// The catalogue has changed: a name without venue may be served by others now.
    pub fn find_again(&mut self, names: &Names) {
        for view in self.views.values_mut().filter(|view| view.tells_venue) {
            if let Ok(Found::AnyOf(candidates)) = names.resolve(&view.name) {
                view.candidates = candidates;
            }
        }
        self.choose_again();
    }

    /// Feeds have changed: names without venue go to the first live one.
    pub fn choose_again(&mut self) {
        let bare = self.views.values().filter(|view| view.tells_venue);
        let moves: Vec<(ViewId, Topic)> = bare
            .filter_map(|view| {
                let current = self.topics.get(&view.topic).map(|state| &state.topic)?;
                let choice = ViewState::choice(&view.candidates, Some(current), &self.health)?;
                (choice != *current).then_some((view.id, choice))
            })
            .collect();
        for (id, choice) in moves {
            tracing::info!(venue = &*choice.venue, symbol = %choice.symbol, "a bare name moves");
            let topic = self.topic(choice, id);
            if let Some(view) = self.views.get_mut(&id) {
                let before = std::mem::replace(&mut view.topic, topic);
                self.detach(before, id);
            }
            self.show(id);
        }
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
        let named = |id: TopicId| self.topics.get(&id).map(|state| (id, state.topic.clone()));
        Work {
            fresh: fresh.into_iter().filter_map(named).collect(),
            doubted: doubted.into_iter().filter_map(|id| named(TopicId(id))).collect(),
        }
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
