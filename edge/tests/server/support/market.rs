//! The other side of the edge: a real nats-server with streams, catalogue, rows and feed states, as ingestors make them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tickwire_common::decimal::Decimal;
use tickwire_common::feed::{FeedState, FeedStatus};
use tickwire_common::row::Row;
use tickwire_common::symbol::Topic;
use tickwire_nats::catalogue::{Catalogue, Instrument};
use tickwire_nats::publish::Publisher;
use tickwire_nats::setup::{CATALOGUE_BUCKET, ensure_bucket, ensure_last_stream};
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{Bytes, Nats, subject};
use tokio::task::JoinSet;

use super::{eventually, in_time};

/// How often feed states are repeated; well below the silence after which a feed counts as down.
const BEAT: Duration = Duration::from_millis(500);

/// What is said of feeds, by venue and shard.
type Feeds = BTreeMap<(String, u32), FeedStatus>;

/// See the module.
pub struct Market {
    /// The nats-server.
    pub server: NatsServer,
    /// A connection to it.
    pub nats: Nats,
    publisher: Publisher,
    feeds: Arc<Mutex<Feeds>>,
    _beats: JoinSet<()>,
}

/// A row with a price that tells its version.
pub fn row(v: u64) -> Bytes {
    let price = Decimal::parse(format!("{v}.25").as_bytes()).ok();
    let mut out = Vec::new();
    Row { v, price, ts: Some(1_763_627_520_119), ..Row::default() }.encode(&mut out);
    out.into()
}

/// What an owner says of a shard, since long ago.
pub fn word(state: FeedState, shards: u32) -> FeedStatus {
    FeedStatus {
        state,
        since: 1,
        last_tick: Some(1_763_627_520_119),
        symbols: 1,
        reason: None,
        shards,
        demand: false,
    }
}

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

impl Market {
    /// A server with the stream of last values and an empty catalogue.
    pub async fn open() -> Self {
        let server = NatsServer::start().await.unwrap();
        let nats = Nats::connect(&server.config(), "test").await.unwrap();
        in_time("NATS connects", nats.connected()).await.unwrap();
        let (publisher, feeds) = (Publisher::new(&nats), Arc::default());
        let mut beats = JoinSet::new();
        beats.spawn(beat(publisher.clone(), Arc::clone(&feeds)));
        let market = Self { server, nats, publisher, feeds, _beats: beats };
        market.set_up().await;
        market
    }

    /// Makes the stream and the bucket, also again after a restart.
    pub async fn set_up(&self) {
        ensure_last_stream(&self.nats, 1).await.unwrap();
        ensure_bucket(&self.nats, CATALOGUE_BUCKET, 1).await.unwrap();
    }

    /// The address of NATS.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Puts a venue's instruments into the catalogue, as (symbol, alias).
    pub async fn list(&self, venue: &str, instruments: &[(&str, &str)]) {
        let instruments: Vec<Instrument> = instruments
            .iter()
            .map(|(symbol, alias)| Instrument {
                venue: venue.into(),
                symbol: (*symbol).into(),
                aliases: vec![(*alias).into()],
                price_increment: None,
            })
            .collect();
        Catalogue::new(&self.nats).put(venue, &instruments).await.unwrap();
    }

    /// Puts so many made-up instruments into the catalogue.
    pub async fn list_many(&self, venue: &str, count: usize) {
        let names: Vec<(String, String)> =
            (0..count).map(|n| (format!("S{n}/X"), format!("S{n}X"))).collect();
        let names: Vec<(&str, &str)> = names.iter().map(|(name, alias)| (&**name, &**alias)).collect();
        self.list(venue, &names).await;
    }

    /// Publishes a row to those who are subscribed.
    pub async fn tick(&self, name: &str, v: u64) {
        self.tick_bytes(name, row(v)).await;
    }

    /// Publishes any payload where rows go.
    pub async fn tick_bytes(&self, name: &str, payload: Bytes) {
        let topic = topic(name);
        let subject = subject::tick(&topic.venue, topic.symbol.as_str());
        self.publisher.publish(&subject, payload).await.unwrap();
    }

    /// Writes a row to the last values, without waiting for it.
    pub async fn write_last(&self, name: &str, v: u64) {
        let topic = topic(name);
        let subject = subject::last(&topic.venue, topic.symbol.as_str());
        self.publisher.publish(&subject, row(v)).await.unwrap();
    }

    /// Writes a row to the last values and waits until it is stored.
    pub async fn last(&self, name: &str, v: u64) {
        self.write_last(name, v).await;
        let (topic, snapshots, wanted) = (topic(name), Snapshots::new(&self.nats), [Some(row(v))]);
        eventually("the last value is stored", async || {
            snapshots.get(std::slice::from_ref(&topic)).await.unwrap() == wanted
        })
        .await;
    }

    /// Says the state of a venue's feed, now and from time to time, as an ingestor does.
    pub async fn feed(&self, venue: &str, state: FeedState) {
        self.shard(venue, 0, word(state, 1)).await;
    }

    /// The same of one shard, in any words.
    pub async fn shard(&self, venue: &str, shard: u32, status: FeedStatus) {
        self.feeds.lock().unwrap().insert((venue.to_owned(), shard), status);
        say(&self.publisher, &self.feeds).await;
    }

    /// Says the state of a venue's feed one time and never again, as an ingestor that dies.
    pub async fn feed_once(&self, venue: &str, state: FeedState) {
        self.feed(venue, state).await;
        self.hush(venue, 0);
    }

    /// Nobody speaks for a shard any more.
    pub fn hush(&self, venue: &str, shard: u32) {
        self.feeds.lock().unwrap().remove(&(venue.to_owned(), shard));
    }

    /// Says something of a shard one time, beside what is said of it again and again.
    pub async fn interject(&self, venue: &str, shard: u32, status: FeedStatus) {
        say_one(&self.publisher, venue, shard, &status).await;
    }

    /// How many subscriptions the server has for a topic's rows.
    pub async fn subscriptions(&self, name: &str) -> usize {
        let topic = topic(name);
        let subject = subject::tick(&topic.venue, topic.symbol.as_str());
        self.server.subscriptions_of(subject.as_str()).await.unwrap()
    }
}

async fn beat(publisher: Publisher, feeds: Arc<Mutex<Feeds>>) {
    let mut beats = tokio::time::interval(BEAT);
    loop {
        beats.tick().await;
        say(&publisher, &feeds).await;
    }
}

async fn say(publisher: &Publisher, feeds: &Mutex<Feeds>) {
    let feeds = feeds.lock().unwrap().clone();
    for ((venue, shard), status) in feeds {
        say_one(publisher, &venue, shard, &status).await;
    }
}

async fn say_one(publisher: &Publisher, venue: &str, shard: u32, status: &FeedStatus) {
    let payload = serde_json::to_vec(status).unwrap();
    // Lost while NATS is away; the next beat says it again.
    let _ = publisher.publish(&subject::feed(venue, &shard.to_string()), payload.into()).await;
}
