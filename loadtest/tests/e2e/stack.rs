//! Everything of one test: nats-server, simulated exchange, ingestor and edge, each a process.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tickwire_common::symbol::Topic;
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::subject::ALL_TICKS;
use tickwire_nats::subscribe::Subscription;
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{Bytes, Nats};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::client::Client;
use crate::http;
use crate::process::{Program, Scratch};

/// What differs between stacks: arguments of the programs.
#[derive(Default)]
pub struct Setup<'a> {
    pub exchange: &'a str,
    /// `venues.*.symbols` of both venues.
    pub symbols: &'a str,
    pub ingestor: &'a str,
    pub edge: &'a str,
}

pub struct Stack {
    pub edge: Program,
    pub ingestor: Program,
    pub exchange: Program,
    pub nats: NatsServer,
    ingestor_words: String,
    pub scratch: Scratch,
}

/// Shards of both venues together.
const ALL_SHARDS: u64 = 32;
/// More than any process would have by chance, fewer than half.
const GOOD_PART: u64 = 12;

/// Where clients of this edge connect.
pub fn stream_url(edge: &Program) -> String {
    format!("{}/v1/stream", edge.urls[0].replace("http://", "ws://"))
}

/// Arguments of the ingestor: both venues, at this exchange.
pub fn ingestor_words(nats: &NatsServer, exchange: &str, symbols: &str) -> String {
    let sockets = exchange.replace("http://", "ws://");
    format!(
        "--nats.url {} --admin.listen 127.0.0.1:0 \
         --venues.binance.symbols {symbols} --venues.binance.ws_url {sockets}/binance \
         --venues.binance.rest_url {exchange}/binance \
         --venues.kucoin.symbols {symbols} --venues.kucoin.rest_url {exchange}/kucoin",
        nats.url()
    )
}

/// Arguments of the edge.
pub fn edge_words(nats: &NatsServer, more: &str) -> String {
    format!("--nats.url {} --edge.listen 127.0.0.1:0 --admin.listen 127.0.0.1:0 {more}", nats.url())
}

impl Stack {
    /// Starts all of it and waits until the edge knows the instruments of both venues.
    pub async fn start(setup: Setup<'_>) -> Self {
        let scratch = Scratch::new();
        let nats = NatsServer::start().await.unwrap();
        let words = format!("exchange --listen 127.0.0.1:0 {}", setup.exchange);
        let mut exchange = Program::spawn("tickwire-loadtest", &words, &scratch);
        exchange.ready().await;
        let words = ingestor_words(&nats, &exchange.admin(""), setup.symbols);
        let ingestor_words = format!("{words} {}", setup.ingestor);
        let mut ingestor = Program::spawn("tickwire-ingestor", &ingestor_words, &scratch);
        let mut edge = Program::spawn("tickwire-edge", &edge_words(&nats, setup.edge), &scratch);
        ingestor.ready().await;
        edge.ready().await;
        let stack = Self { edge, ingestor, exchange, nats, ingestor_words, scratch };
        stack.knows_both_venues().await;
        stack
    }

    async fn knows_both_venues(&self) {
        let symbols = format!("{}/v1/symbols", self.edge.urls[0]);
        http::until("the edge knows both venues", async || {
            let (_, body) = http::get(&symbols).await;
            body.contains("binance:") && body.contains("kucoin:")
        })
        .await;
    }

    /// Starts an ingestor again, after the other has ended.
    pub async fn restart_ingestor(&mut self) {
        self.ingestor = Program::spawn("tickwire-ingestor", &self.ingestor_words, &self.scratch);
        self.ingestor.ready().await;
    }

    /// Starts one more ingestor, equal to the first.
    pub async fn another_ingestor(&self) -> Program {
        let mut ingestor = Program::spawn("tickwire-ingestor", &self.ingestor_words, &self.scratch);
        ingestor.ready().await;
        ingestor
    }

    /// Starts one more edge.
    pub async fn another_edge(&self, more: &str) -> Program {
        let mut edge = Program::spawn("tickwire-edge", &edge_words(&self.nats, more), &self.scratch);
        edge.ready().await;
        edge
    }

    /// Waits until a second ingestor carries a good part of all shards.
    pub async fn shared_with(&self, second: &Program) {
        let shards = async |ingestor: &Program| {
            http::counter(&ingestor.admin("/metrics"), "tickwire_lease_shards").await
        };
        http::until("both ingestors carry shards", async || {
            let both = [shards(&self.ingestor).await, shards(second).await];
            both.iter().all(|held| *held >= GOOD_PART) && both.iter().sum::<u64>() == ALL_SHARDS
        })
        .await;
    }

    pub fn stream_url(&self) -> String {
        stream_url(&self.edge)
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.stream_url()).await
    }

    /// The exchange's own counters.
    pub async fn stats(&self) -> Value {
        http::json(&self.exchange.admin("/stats")).await
    }

    /// No limit of a venue was broken.
    pub async fn kept_the_limits(&self) {
        let stats = self.stats().await;
        for venue in ["binance", "kucoin"] {
            assert_eq!(stats["venues"][venue]["violations"], json!({}), "{stats}");
            assert_ne!(stats["venues"][venue]["sockets_opened"], 0, "{stats}");
        }
    }

    /// Waits until a replay is over.
    pub async fn replayed(&self) {
        http::until("the replay is over", async || self.stats().await["replay"]["done"] == true).await;
    }

    /// A connection of the test's own.
    pub async fn nats(&self) -> Nats {
        let nats = Nats::connect(&self.nats.config(), "test").await.unwrap();
        timeout(PATIENCE, nats.connected()).await.expect("connects in time").unwrap();
        nats
    }

    /// Hears every tick that is published from now on.
    pub async fn ticks(&self, nats: &Nats) -> Subscription {
        let ticks = nats.subscribe(&ALL_TICKS.into()).await.unwrap();
        nats.barrier().await.unwrap();
        ticks
    }
}

/// The stored last rows.
pub async fn last_values(nats: &Nats, topics: &[Topic]) -> BTreeMap<Topic, Bytes> {
    let rows = Snapshots::new(nats).get(topics).await.unwrap();
    topics.iter().cloned().zip(rows).filter_map(|(topic, row)| Some((topic, row?))).collect()
}
