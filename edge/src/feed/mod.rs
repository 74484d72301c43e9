//! The feed: which topics are subscribed, their newest rows, and how a client's subscribe becomes a seat without hole or
//! duplicate. One task; everything it knows is its own. Rows and answers leave it in the order in which they must reach
//! the clients.
//!
//! Knows no socket and no client: it counts seats by worker.

mod book;
mod choice;
mod demand;
mod health;
mod job;
mod meters;
mod names;
mod news;
mod pick;
mod stand;
mod standing;
mod topic;
mod view;

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{Abortable, FuturesUnordered, SelectAll};
use futures_util::{FutureExt as _, StreamExt as _};
use tickwire_common::symbol::Topic;
use tickwire_nats::catalogue::{Catalogue, CatalogueChange, CatalogueWatch};
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::subject::ALL_FEEDS;
use tickwire_nats::subscribe::{Message, Subscription};
use tickwire_nats::want::Wants;
use tickwire_nats::{Bytes, Nats};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use health::{Feeds, VenueFeed};
pub use names::{Found, Names};
pub use pick::Patience;
pub use standing::Standing;

use crate::hub::Hub;
use crate::hub::ask::Ask;
use book::Book;
use demand::Demand;
use job::{JOB_TOPICS_MAX, Primed, Rows};
use topic::TopicId;

/// How often clocks are looked at: lingering views, silent feeds, snapshots to be read again.
const TICK: Duration = Duration::from_millis(500);

/// How long subscribes wait for the first catalogue after NATS was reached; then names are judged without one.
const CATALOGUE_PATIENCE: Duration = Duration::from_secs(3);

/// Rows and asks taken in before what they caused is sent on.
const BATCH_MAX: usize = 1_024;

/// Batches of rows taken in before a snapshot is; with more waiting, some rows are skipped for newer ones.
const CATCH_UP_BATCHES_MAX: usize = 64;

/// What the feed is started with.
#[derive(Debug)]
pub struct FeedConfig {
    /// How long a topic without clients stays subscribed.
    pub linger: Duration,
    /// When names without venue move.
    pub patience: Patience,
}

/// See the module.
#[derive(Debug)]
pub struct Feed {
    nats: Nats,
    snapshots: Snapshots,
    hub: Hub,
    asks: mpsc::Receiver<Ask>,
    names: Arc<RwLock<Names>>,
    standing: Standing,
    book: Book,
    demand: Demand,
    wants: Wants,
    rows: SelectAll<Abortable<Rows>>,
    jobs: FuturesUnordered<BoxFuture<'static, Primed>>,
    /// Links seen; when it grows, rows may have been missed.
    epoch: u64,
    /// Messages that full subscriptions dropped; likewise.
    dropped: u64,
    /// Until when asks are left waiting if there is no catalogue to judge them by.
    patient_until: Instant,
}

/// What wakes the feed.
enum Event {
    Ask(Ask),
    Row(TopicId, Bytes),
    Primed(Primed),
    Catalogue(Vec<CatalogueChange>),
    FeedStates(Vec<Message>),
    Link,
    Tick,
    Stop,
}

/// Where the feed's news comes from.
struct Sources {
    catalogue: CatalogueWatch,
    feed_states: Subscription,
    link: tokio::sync::watch::Receiver<tickwire_nats::LinkState>,
    tick: tokio::time::Interval,
    token: CancellationToken,
}

impl Feed {
    /// A feed that serves `asks` and fills `names`.
    pub fn new(
        nats: &Nats,
        hub: Hub,
        asks: mpsc::Receiver<Ask>,
        names: Arc<RwLock<Names>>,
        config: &FeedConfig,
    ) -> Self {
        let book = Book::new(hub.workers(), config.linger, config.patience);
        Self {
            nats: nats.clone(),
            snapshots: Snapshots::new(nats),
            hub,
            asks,
            names,
            standing: Standing::default(),
            book,
            demand: Demand::default(),
            wants: Wants::new(nats),
            rows: SelectAll::new(),
            jobs: FuturesUnordered::new(),
            epoch: 0,
            dropped: 0,
            patient_until: Instant::now() + CATALOGUE_PATIENCE,
        }
    }

    /// What it knows of venues, kept up to date.
    pub fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Runs until `token` is cancelled.
    ///
    /// # Errors
    /// When the connection to NATS is closed for good.
    pub async fn run(mut self, token: CancellationToken) -> anyhow::Result<()> {
        let mut sources = Sources {
            catalogue: Catalogue::new(&self.nats).watch().await?,
            feed_states: self.nats.subscribe(&ALL_FEEDS.into()).await?,
            link: self.nats.state(),
            tick: tokio::time::interval(TICK),
            token,
        };
        loop {
            match self.next(&mut sources).await {
                Some(Event::Stop) | None => return Ok(()),
                Some(event) => self.handle(event),
            }
            self.handle_ready();
            self.start_jobs();
            self.send();
        }
    }

    async fn next(&mut self, sources: &mut Sources) -> Option<Event> {
        let listening = self.is_listening();
        tokio::select! {
            () = sources.token.cancelled() => Some(Event::Stop),
            ask = self.asks.recv(), if listening => ask.map(Event::Ask),
            Some((id, row)) = self.rows.next(), if !self.rows.is_empty() => Some(Event::Row(id, row)),
            Some(primed) = self.jobs.next(), if !self.jobs.is_empty() => Some(Event::Primed(primed)),
            change = sources.catalogue.next() => change.map(|change| all_changes(change, &mut sources.catalogue)),
            state = sources.feed_states.next() => state.map(|state| all_states(state, &mut sources.feed_states)),
            changed = sources.link.changed() => changed.ok().map(|()| Event::Link),
            _ = sources.tick.tick() => Some(Event::Tick),
        }
    }

    /// Whether asks are taken in. At the start they wait a moment for the catalogue, in their bounded queue.
    fn is_listening(&self) -> bool {
        read(&self.names).is_loaded() || Instant::now() >= self.patient_until
    }

    /// Takes in what is there already, so that many rows leave as one batch.
    fn handle_ready(&mut self) {
        self.take_rows();
        let asks = if self.is_listening() { BATCH_MAX } else { 0 };
        for _ in 0..asks {
            match self.asks.try_recv() {
                Ok(ask) => self.ask(ask),
                Err(_) => break,
            }
        }
    }

    /// Takes in rows that are there already; gives whether there may be more.
    fn take_rows(&mut self) -> bool {
        for _ in 0..BATCH_MAX {
            // Without tokio's budget, which would say that nothing is there after 128 rows.
            match tokio::task::unconstrained(self.rows.next()).now_or_never() {
                Some(Some((id, row))) => self.book.row(id, &row),
                _ => return false,
            }
        }
        true
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ask(ask) => self.ask(ask),
            Event::Row(id, row) => self.book.row(id, &row),
            Event::Primed(primed) => self.primed(primed),
            Event::Catalogue(changes) => self.catalogue(&changes),
            Event::FeedStates(messages) => self.feed_states(&messages),
            Event::Link => self.link(),
            Event::Tick => self.tick(),
            Event::Stop => {}
        }
    }

    fn catalogue(&mut self, changes: &[CatalogueChange]) {
        for change in changes {
            tracing::info!(venue = change.venue, symbols = change.instruments.len(), "catalogue");
            write(&self.names).apply(change);
        }
        self.book.find_again(&read(&self.names), Instant::now());
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Subscribe(ask) => {
                self.book.subscribe(*ask, &read(&self.names));
            }
            Ask::Release { worker, views } => self.book.release(worker, &views, Instant::now()),
        }
    }

    fn primed(&mut self, primed: Primed) {
        // Rows that came before the snapshot go before it; behind it they would count as old and be missed.
        for _ in 0..CATCH_UP_BATCHES_MAX {
            let more = self.take_rows();
            self.send();
            if !more {
                break;
            }
        }
        for (id, stop, stream) in primed.streams {
            if self.book.attach(id, stop) {
                self.rows.push(stream);
            }
        }
        let now = Instant::now();
        for (id, row) in primed.topics {
            self.book.primed(id, row.as_deref(), primed.failed, now);
        }
    }

    fn tick(&mut self) {
        let dropped = self.nats.dropped_messages();
        if std::mem::replace(&mut self.dropped, dropped) != dropped {
            tracing::warn!(dropped, "rows were dropped before they were read, reading every snapshot again");
            self.book.doubt_all(Instant::now());
        }
        self.book.tidy(Instant::now());
        self.book.meters.asks.set(self.asks.len() as f64);
        self.book.meters.jobs.set(self.jobs.len() as f64);
        self.look_at_feeds();
        self.book.meters.shards(self.book.health.feeds());
    }

    fn start_jobs(&mut self) {
        let work = self.book.take_work(self.nats.is_connected());
        self.want(&work.fresh);
        let (nats, snapshots) = (&self.nats, &self.snapshots);
        for topics in in_jobs(&work.fresh) {
            self.jobs.push(job::join(nats.clone(), snapshots.clone(), topics).boxed());
        }
        for topics in in_jobs(&work.doubted) {
            self.jobs.push(job::read(nats.clone(), snapshots.clone(), topics).boxed());
        }
    }

    fn send(&mut self) {
        self.book.send(&self.hub);
    }
}

fn in_jobs(topics: &[(TopicId, Topic)]) -> impl Iterator<Item = Vec<(TopicId, Topic)>> + '_ {
    topics.chunks(JOB_TOPICS_MAX).map(<[_]>::to_vec)
}

/// Venues that are there together are taken in together, so that no name is judged by half a catalogue.
fn all_changes(first: CatalogueChange, watch: &mut CatalogueWatch) -> Event {
    let mut changes = vec![first];
    while let Some(Some(change)) = watch.next().now_or_never() {
        changes.push(change);
    }
    Event::Catalogue(changes)
}

/// All shards of an ingestor speak at the same time, and everything is judged once for them.
fn all_states(first: Message, feed_states: &mut Subscription) -> Event {
    let mut states = vec![first];
    while states.len() < BATCH_MAX
        && let Some(Some(state)) = feed_states.next().now_or_never()
    {
        states.push(state);
    }
    Event::FeedStates(states)
}

fn read(names: &RwLock<Names>) -> std::sync::RwLockReadGuard<'_, Names> {
    names.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write(names: &RwLock<Names>) -> std::sync::RwLockWriteGuard<'_, Names> {
    names.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}
