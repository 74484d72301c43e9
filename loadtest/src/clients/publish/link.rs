//! The connection to NATS, on a thread and a runtime of its own: sets up stream, bucket and catalogue, reads the store
//! when asked, and cleans up in the end.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tickwire_common::row::read_v;
use tickwire_common::symbol::Topic;
use tickwire_common::task::shutdown_signal;
use tickwire_nats::catalogue::{Catalogue, Instrument};
use tickwire_nats::publish::Publisher;
use tickwire_nats::setup::{CATALOGUE_BUCKET, ensure_bucket, ensure_last_stream};
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::{Nats, NatsConfig};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::desk::{Ask, Word};
use super::{NatsPlan, Offer, VENUE, number, symbol_name};
use crate::clients::store::Stored;

/// What permissions at NATS are given to: those of an ingestor and of an edge.
const ROLE: &str = "loadtest";

/// How long the set-up may take: a server that begins and a stream that chooses its leader.
const SETUP_MAX: Duration = Duration::from_secs(10);

/// How soon what failed is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// How long the store may take to have what was published.
const READ_MAX: Duration = Duration::from_secs(2);

/// How often it is looked at meanwhile.
const READ_AGAIN: Duration = Duration::from_millis(20);

/// How long taking the catalogue away may take.
const CLEAN_MAX: Duration = Duration::from_secs(3);

/// The thread's ends of its channels.
pub(super) struct Ends {
    /// Told once, when everything is set up.
    pub(super) ready: SyncSender<Publisher>,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) stored: SyncSender<Stored>,
    pub(super) pace: SyncSender<Word>,
}

/// What the thread works on.
pub(super) struct Link {
    config: NatsConfig,
    offer: Option<Offer>,
    /// By place of the name; an alias without a venue has no topic.
    topics: Vec<Option<Topic>>,
    /// Likewise, of made-up symbols.
    numbers: Vec<Option<u32>>,
}

impl Link {
    /// For this plan and these names.
    ///
    /// # Errors
    /// If the environment has changed since the plan was checked.
    pub(super) fn new(plan: &NatsPlan, names: &[String]) -> anyhow::Result<Self> {
        let config = plan.config().map_err(|why| anyhow!("--nats: {why}"))?;
        let topics = names.iter().map(|name| name.parse().ok()).collect();
        let numbers = names.iter().map(|name| number(name)).collect();
        Ok(Self { config, offer: plan.offer, topics, numbers })
    }

    /// The whole life of the thread.
    pub(super) fn run(self, ends: Ends) -> anyhow::Result<()> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.work(ends))
    }

    async fn work(self, ends: Ends) -> anyhow::Result<()> {
        let interrupt = shutdown_signal().context("listen for signals")?;
        let nats = Nats::connect(&self.config, ROLE).await?;
        let mut interrupt = std::pin::pin!(interrupt);
        let set_up = tokio::select! {
            set_up = self.set_up(&nats) => set_up,
            () = &mut interrupt => Err(anyhow!("interrupted before the first client began")),
        };
        if set_up.is_ok() {
            self.serve(&nats, ends, interrupt).await;
        }
        let cleaned = self.clean(&nats).await;
        nats.drain().await;
        // The connection's own task ends once nobody holds it, and must get its turn before the runtime goes.
        drop(nats);
        yield_now().await;
        set_up.and(cleaned)
    }

    async fn set_up(&self, nats: &Nats) -> anyhow::Result<()> {
        let urls = self.config.urls.join(", ");
        let mut last = anyhow!("cannot reach NATS");
        let all = async {
            nats.connected().await?;
            while let Err(error) = self.ensure(nats).await {
                last = error;
                sleep(RETRY).await;
            }
            Ok(())
        };
        match timeout(SETUP_MAX, all).await {
            Ok(done) => done,
            Err(_late) => {
                Err(last.context(format!("--nats {urls}: not ready within {} s", SETUP_MAX.as_secs())))
            }
        }
    }

    /// Stream, bucket and catalogue, where rows are to be published; safe to repeat.
    async fn ensure(&self, nats: &Nats) -> anyhow::Result<()> {
        let Some(offer) = self.offer else { return Ok(()) };
        ensure_last_stream(nats, self.config.replicas).await?;
        ensure_bucket(nats, CATALOGUE_BUCKET, self.config.replicas).await?;
        Catalogue::new(nats).put(VENUE, &instruments(offer)).await.context("write the catalogue")
    }

    async fn clean(&self, nats: &Nats) -> anyhow::Result<()> {
        if self.offer.is_none() || !nats.is_connected() {
            return Ok(());
        }
        let catalogue = Catalogue::new(nats);
        let done = timeout(CLEAN_MAX, catalogue.put(VENUE, &[])).await;
        done.context("timed out").and_then(|put| Ok(put?)).context("cannot take the catalogue entry away")
    }

    /// Answers until nobody can ask any more.
    async fn serve(&self, nats: &Nats, ends: Ends, interrupt: std::pin::Pin<&mut impl Future<Output = ()>>) {
        let Ends { ready, mut asks, stored, pace } = ends;
        let mut state = nats.state();
        let mut epoch = state.borrow_and_update().epoch;
        if ready.send(Publisher::new(nats)).is_err() {
            return;
        }
        let mut underway = false;
        let mut interrupt = interrupt;
        loop {
            tokio::select! {
                ask = asks.recv() => match ask {
                    None => return,
                    Some(Ask::Underway) => underway = true,
                    // There is room for the one answer of a run.
                    Some(Ask::Read(expected)) => drop(stored.try_send(self.read(nats, expected).await)),
                },
                () = &mut interrupt, if !underway => return,
                changed = state.changed() => {
                    let now = *state.borrow_and_update();
                    if changed.is_err() {
                        return;
                    }
                    if now.connected && now.epoch != epoch {
                        epoch = now.epoch;
                        self.set_up_again(nats, &pace).await;
                    }
                }
            }
        }
    }

    async fn set_up_again(&self, nats: &Nats, pace: &SyncSender<Word>) {
        if let Err(error) = self.set_up(nats).await {
            tracing::warn!("{error:#}");
        }
        // If it is full, the same word waits there already.
        let _ = pace.try_send(Word::Refresh);
    }

    /// Reads the store until it has come as far as what was published, or [`READ_MAX`] has passed.
    async fn read(&self, nats: &Nats, published: Option<Vec<u64>>) -> Stored {
        let snapshots = Snapshots::new(nats);
        let topics: Vec<Topic> = self.topics.iter().flatten().cloned().collect();
        let expected = published.map(|versions| self.by_name(&versions));
        let give_up = Instant::now() + READ_MAX;
        loop {
            let (rows, error) = match snapshots.get(&topics).await {
                Ok(rows) => (rows, None),
                Err(error) => (vec![None; topics.len()], Some(error.to_string())),
            };
            let mut rows = rows.into_iter().map(|row| row.and_then(|row| read_v(&row)));
            let versions = self.topics.iter().map(|topic| topic.as_ref().and_then(|_| rows.next().flatten()));
            let stored = Stored { versions: versions.collect(), published: expected.clone(), error };
            if stored.is_complete() || Instant::now() >= give_up {
                return stored;
            }
            sleep(READ_AGAIN).await;
        }
    }

    /// What was published, by place of the name; symbols of others have nothing.
    fn by_name(&self, versions: &[u64]) -> Vec<Option<u64>> {
        self.numbers.iter().map(|number| versions.get(number.as_ref().copied()? as usize).copied()).collect()
    }
}

fn instruments(offer: Offer) -> Vec<Instrument> {
    let of = |symbol| Instrument {
        venue: VENUE.to_owned(),
        symbol: symbol_name(symbol),
        aliases: Vec::new(),
        price_increment: Some("0.01".to_owned()),
    };
    (0..offer.symbols).map(of).collect()
}
