//! A market with a lagging last-value store, a link that is cut and mended, jobs that take their time, workers that read
//! their inboxes when they like, and clients that come and go.

use std::collections::{BTreeMap, VecDeque};

use tickwire_common::feed::FeedState;
use tickwire_nats::catalogue::{CatalogueChange, Instrument};

use super::super::*;
use super::{PATIENCE, Step};
use crate::feed::health::tests::status;
use crate::feed::names::Names;
use crate::hub::ask::{AnswerForm, SubscribeAsk};
use crate::hub::client::ClientId;
use crate::hub::inbox::{Inbox, Letter};

pub const WORKERS: usize = 2;
pub const CLIENTS: usize = 6;
const LINGER: Duration = Duration::from_secs(1);

/// A turn of the world's clock; the store is never further behind than this.
const STEP: Duration = Duration::from_millis(300);

/// The topics of the world.
pub const TOPICS: [&str; 4] = ["a:X", "b:X", "a:Y", "c:X"];

/// Its venues; the last is preferred, and lists its symbol or not.
pub const VENUES: [&str; 3] = ["a", "b", "c"];

/// Names that clients use, with the topic of those that only one venue can serve.
pub const NAMES: [(&str, Option<usize>); 5] =
    [("a:X", Some(0)), ("b:X", Some(1)), ("X", None), ("XA", Some(0)), ("Y", Some(2))];

/// A subscription at the client library: active whenever the link is up, with rows that wait to be read.
struct Subscription {
    id: TopicId,
    topic: usize,
    queue: VecDeque<u64>,
    /// Given to the book once the job is back.
    stop: Option<AbortHandle>,
}

/// A job on its way: its topics, whether it subscribes first, and what it read.
struct Job {
    topics: Vec<(TopicId, usize)>,
    subscribes: bool,
    read: Option<Result<Vec<Option<u64>>, ()>>,
}

#[derive(Default)]
struct Seat {
    name: usize,
    /// Whether every row is wanted, also the newest one of before.
    snapshot: bool,
    /// Versions received.
    log: Vec<u64>,
    /// Versions published while seated: none of them may be missing.
    owed: Vec<u64>,
}

#[derive(Default)]
struct Client {
    generation: u32,
    busy: bool,
    seats: BTreeMap<ViewId, Seat>,
}

pub struct World {
    book: Book,
    hub: Hub,
    inboxes: Vec<Arc<Inbox>>,
    _polls: Vec<mio::Poll>,
    names: Names,
    now: Instant,
    connected: bool,
    v: u64,
    newest: [u64; TOPICS.len()],
    stored: [u64; TOPICS.len()],
    subscriptions: Vec<Subscription>,
    jobs: VecDeque<Job>,
    clients: Vec<Client>,
}

fn row_of(v: u64) -> Vec<u8> {
    format!("{{\"v\":{v}}}").into_bytes()
}

fn topic_index(topic: &Topic) -> usize {
    TOPICS.iter().position(|name| *name == topic.to_string()).unwrap()
}

fn names() -> Names {
    let mut names = Names::new(vec!["c".into(), "a".into()], false);
    for (venue, instruments) in [("a", &[("X", "XA"), ("Y", "YA")][..]), ("b", &[("X", "XB")])] {
        let instruments = instruments.iter().map(|(symbol, alias)| Instrument {
            venue: venue.into(),
            symbol: (*symbol).into(),
            aliases: vec![(*alias).into()],
            price_increment: None,
        });
        names.apply(&CatalogueChange { venue: venue.into(), instruments: instruments.collect() });
    }
    names
}

impl World {
    pub fn new() -> Self {
        let polls: Vec<mio::Poll> = (0..WORKERS).map(|_| mio::Poll::new().unwrap()).collect();
        let waker = |poll: &mio::Poll| mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let inboxes: Vec<Arc<Inbox>> = polls.iter().map(|poll| Inbox::new(waker(poll))).collect();
        Self {
            book: Book::new(WORKERS, LINGER, PATIENCE),
            hub: Hub::with_inboxes(inboxes.clone()),
            inboxes,
            _polls: polls,
            names: names(),
            now: Instant::now(),
            connected: true,
            v: 0,
            newest: [0; TOPICS.len()],
            stored: [0; TOPICS.len()],
            subscriptions: Vec::new(),
            jobs: VecDeque::new(),
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
        }
    }

    /// One step, then what the feed does after every event.
    pub fn take(&mut self, step: &Step) {
        match *step {
            Step::Subscribe { client, names, snapshot } => self.subscribe(client, names, snapshot),
            Step::Unsubscribe { client, name } => self.unsubscribe(client, name),
            Step::Reconnect { client } => self.reconnect(client),
            Step::Publish { topic } => self.publish(topic),
            Step::Store { topic } => self.stored[topic] = self.newest[topic],
            Step::Job { job } => self.job(job),
            Step::Row { subscription } => self.row(subscription),
            Step::Deliver { worker } => self.deliver(worker),
            Step::Feed { venue, state } => self.feed(venue, state),
            Step::List { listed } => self.list(listed),
            Step::Link { up } => self.link(up),
            Step::Clock => self.clock(),
        }
        let Work { fresh, doubted } = self.book.take_work(self.connected);
        for (work, subscribes) in [(fresh, true), (doubted, false)] {
            let topics: Vec<_> = work.iter().map(|(id, topic)| (*id, topic_index(topic))).collect();
            if !topics.is_empty() {
                self.jobs.push_back(Job { topics, subscribes, read: None });
            }
        }
        self.book.send(&self.hub);
    }

    fn id(&self, client: usize) -> ClientId {
        let key = u32::try_from(client).unwrap();
        let worker = u16::try_from(client % WORKERS).unwrap();
        ClientId { worker, key, generation: self.clients[client].generation }
    }

    fn subscribe(&mut self, client: usize, names: u8, snapshot: bool) {
        if self.clients[client].busy {
            return;
        }
        self.clients[client].busy = true;
        let names = NAMES.iter().enumerate().filter(|(bit, _)| names & (1 << bit) != 0);
        let names = names.map(|(_, (name, _))| (*name).to_owned()).chain(["nobody".to_owned()]).collect();
        let form = AnswerForm { req_id: None, time_in: 0, snapshot, since: 0, throttle_ms: 0 };
        self.book.subscribe(SubscribeAsk { client: self.id(client), names, form }, &self.names);
    }

    fn unsubscribe(&mut self, client: usize, name: usize) {
        let seats = &mut self.clients[client].seats;
        let view = seats.iter().find(|(_, seat)| seat.name == name).map(|(view, _)| *view);
        if let Some(view) = view {
            seats.remove(&view);
            self.release(client, &[view]);
        }
    }

    fn reconnect(&mut self, client: usize) {
        let seats = std::mem::take(&mut self.clients[client].seats);
        self.release(client, &seats.into_keys().collect::<Vec<_>>());
        self.clients[client].generation += 1;
        self.clients[client].busy = false;
    }

    fn release(&mut self, client: usize, views: &[ViewId]) {
        self.book.release(u16::try_from(client % WORKERS).unwrap(), views, self.now);
    }

    fn publish(&mut self, topic: usize) {
        self.v += 1;
        self.newest[topic] = self.v;
        if !self.connected {
            return;
        }
        let alive = |stop: &Option<AbortHandle>| !stop.as_ref().is_some_and(AbortHandle::is_aborted);
        for subscription in self.subscriptions.iter_mut().filter(|s| s.topic == topic && alive(&s.stop)) {
            subscription.queue.push_back(self.v);
        }
        let seats = self.clients.iter_mut().flat_map(|client| client.seats.values_mut());
        seats.filter(|seat| NAMES[seat.name].1 == Some(topic)).for_each(|seat| seat.owed.push(self.v));
    }

    /// One step further in a job: subscribe, read, come back.
    fn job(&mut self, job: usize) {
        let Some(job_now) = self.jobs.get_mut(job) else { return };
        if std::mem::take(&mut job_now.subscribes) {
            let made = job_now.topics.iter().map(|(id, topic)| Subscription {
                id: *id,
                topic: *topic,
                queue: VecDeque::new(),
                stop: None,
            });
            self.subscriptions.extend(made);
        } else if job_now.read.is_none() {
            let row = |topic: usize| Some(self.stored[topic]).filter(|v| *v > 0);
            let rows = job_now.topics.iter().map(|(_, topic)| row(*topic)).collect();
            job_now.read = Some(if self.connected { Ok(rows) } else { Err(()) });
        } else if let Some(done) = self.jobs.remove(job) {
            self.primed(done);
        }
    }

    /// A job is back. The feed takes in what its subscriptions hold before, as it came before.
    fn primed(&mut self, job: Job) {
        self.read_all();
        for (id, _) in &job.topics {
            let new = |s: &&mut Subscription| s.id == *id && s.stop.is_none();
            if let Some(subscription) = self.subscriptions.iter_mut().find(new) {
                let (stop, _) = AbortHandle::new_pair();
                subscription.stop = Some(stop.clone());
                if !self.book.attach(*id, stop.clone()) {
                    stop.abort();
                }
            }
        }
        let failed = job.read == Some(Err(()));
        let rows = job.read.unwrap().unwrap_or_else(|()| vec![None; job.topics.len()]);
        for ((id, _), v) in job.topics.iter().zip(rows) {
            self.book.primed(*id, v.map(row_of).as_deref(), failed, self.now);
        }
        self.subscriptions.retain(|s| !s.stop.as_ref().is_some_and(AbortHandle::is_aborted));
    }

    /// The feed reads a row of a subscription that it has.
    fn row(&mut self, subscription: usize) {
        let Some(subscription) = self.subscriptions.get_mut(subscription) else { return };
        if subscription.stop.as_ref().is_some_and(|stop| !stop.is_aborted())
            && let Some(v) = subscription.queue.pop_front()
        {
            self.book.row(subscription.id, &row_of(v));
        }
    }

    fn read_all(&mut self) {
        for subscription in 0..self.subscriptions.len() {
            (0..self.subscriptions[subscription].queue.len()).for_each(|_| self.row(subscription));
        }
    }

    fn deliver(&mut self, worker: usize) {
        let mut letters = Vec::new();
        self.inboxes[worker].take(&mut letters);
        for letter in letters {
            match letter {
                Letter::Row(row) => self.show(worker, &row),
                Letter::Answer(answer) => self.answer(*answer),
                other => panic!("the book sends no {other:?}"),
            }
        }
    }

    fn show(&mut self, worker: usize, row: &DueRow) {
        for client in self.clients.iter_mut().skip(worker).step_by(WORKERS) {
            if let Some(seat) = client.seats.get_mut(&row.frame.view) {
                seat.see(row.frame.v);
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        let client = answer.client.key as usize;
        if self.id(client) != answer.client {
            return self.release(client, &answer.grants.iter().map(|grant| grant.view).collect::<Vec<_>>());
        }
        self.clients[client].busy = false;
        assert!(answer.failed.iter().all(|failed| failed.symbol == "nobody") && answer.failed.len() == 1);
        for grant in answer.grants {
            let name = NAMES.iter().position(|(name, _)| *name == &*grant.name).unwrap();
            let known = self.clients[client].seats.contains_key(&grant.view);
            let seat = self.clients[client].seats.entry(grant.view).or_default();
            (seat.name, seat.snapshot) = (name, seat.snapshot || answer.form.snapshot);
            let last = grant.last.filter(|_| answer.form.snapshot).map(|row| row.v);
            match last {
                // A snapshot may repeat the newest row, and nothing older.
                Some(v) if seat.log.last() == Some(&v) => {}
                Some(v) => seat.see(v),
                None => {}
            }
            if known {
                self.release(client, &[grant.view]);
            }
        }
    }

    /// The last venue lists its symbol, or does not any more.
    fn list(&mut self, listed: bool) {
        let symbol =
            Instrument { venue: "c".into(), symbol: "X".into(), aliases: Vec::new(), price_increment: None };
        let instruments = if listed { vec![symbol] } else { Vec::new() };
        self.names.apply(&CatalogueChange { venue: "c".into(), instruments });
        self.book.find_again(&self.names, self.now);
    }

    fn feed(&mut self, venue: usize, state: FeedState) {
        self.book.health.hear(VENUES[venue], "0", status(state, 1), self.now, 0);
        self.look_at_feeds();
    }

    fn look_at_feeds(&mut self) {
        self.book.look_at_feeds(self.now, 0);
    }

    fn link(&mut self, up: bool) {
        if up != std::mem::replace(&mut self.connected, up) {
            self.book.health.link(up, self.now, 0);
            if up {
                self.book.doubt_all(self.now);
            }
            self.look_at_feeds();
        }
    }

    fn clock(&mut self) {
        self.now += STEP;
        self.stored = self.newest;
        self.book.tidy(self.now);
        self.look_at_feeds();
    }

    /// Lets everything on its way arrive, and a second look be taken.
    pub fn settle(&mut self) {
        self.take(&Step::Link { up: true });
        for _ in 0..4 {
            self.take(&Step::Clock);
            while !self.jobs.is_empty() {
                self.take(&Step::Job { job: 0 });
            }
            self.read_all();
            (0..WORKERS).for_each(|worker| self.take(&Step::Deliver { worker }));
        }
    }

    /// What must be true once everything has arrived.
    pub fn check(&self) {
        for client in &self.clients {
            assert!(!client.busy, "an answer is missing");
            for (view, seat) in &client.seats {
                let state = &self.book.views[view];
                let newest = self.newest[topic_index(&self.book.topics[&state.topic].place.topic)];
                let name = NAMES[seat.name].0;
                let missing = seat.owed.iter().find(|v| !seat.log.contains(v));
                assert_eq!(missing, None, "{name} missed a row: {:?}", seat.log);
                if seat.snapshot && newest > 0 {
                    let (shown, told) = state.shown().unwrap();
                    assert_eq!(shown, (state.topic, newest), "{name} ends with an old row: {:?}", seat.log);
                    assert_eq!(seat.log.last(), Some(&told), "{name} has not seen it: {:?}", seat.log);
                    // Only a name that has moved tells other versions than its venue.
                    assert!(told == newest || NAMES[seat.name].1.is_none() && told > newest);
                }
            }
        }
    }

    /// Everyone leaves: nothing may be left behind.
    pub fn check_empty(&mut self) {
        (0..CLIENTS).for_each(|client| self.take(&Step::Reconnect { client }));
        self.settle();
        let book = &self.book;
        assert!(book.views.is_empty() && book.by_name.is_empty(), "views are left: {:?}", book.views);
        assert!(book.topics.is_empty() && book.by_topic.is_empty(), "topics are left: {:?}", book.topics);
        assert!(book.waiting.is_empty() && book.doubted.is_empty() && book.lingering.is_empty());
        let stopped = |s: &Subscription| s.stop.as_ref().is_some_and(AbortHandle::is_aborted);
        assert!(self.subscriptions.iter().all(stopped), "a subscription is left");
    }
}

impl Seat {
    fn see(&mut self, v: u64) {
        let last = self.log.last().copied().unwrap_or(0);
        assert!(v > last, "{}: {v} after {:?}", NAMES[self.name].0, self.log);
        self.log.push(v);
    }
}
