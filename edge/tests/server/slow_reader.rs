//! Clients that do not read: what waits for them is bounded and folded, nobody else notices, and everything that was
//! skipped is told.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::client::{Client, Row, rows};
use crate::support::edge::Edge;
use crate::support::eventually;
use crate::support::market::Market;
use crate::support::ways::ways;

const SYMBOLS: usize = 40;

/// Bytes of filling in a row: large, so that a queue would show in the edge's memory.
const FILLING: usize = 1_900;

/// One worker, and a good client on it that must get every row of every round.
struct Scene {
    market: Market,
    edge: Edge,
    witness: Client,
    names: Vec<String>,
    v: u64,
}

impl Scene {
    async fn open(way: &str, settings: &[&str]) -> Self {
        let market = Market::open().await;
        let fixed = ["--edge.workers", "1", "--edge.io_uring", way];
        let edge = Edge::open(&market.url(), &[&fixed, settings].concat()).await;
        let names: Vec<String> = (0..SYMBOLS).map(|n| format!("bench:S{n}")).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let witness = Client::subscribed(&edge, &all).await;
        Self { market, edge, witness, names, v: 0 }
    }

    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// A client with all the symbols that reads nothing from now on.
    async fn sleeper(&self) -> Client {
        let mut client = Client::narrow(&self.edge).await;
        assert_eq!(client.subscribe(&self.names()).await["success"], true);
        client
    }

    /// Publishes a row of every symbol and waits until the witness has read them all.
    async fn round(&mut self) {
        self.v += 1;
        let payload = format!(r#"{{"v":{},"price":1.5,"x":"{}"}}"#, self.v, "x".repeat(FILLING));
        for name in &self.names {
            self.market.tick_bytes(name, payload.clone().into()).await;
        }
        for _ in 0..SYMBOLS {
            let row = self.witness.row().await;
            assert_eq!((row.v, row.skipped), (self.v, 0), "{}", row.symbol);
        }
    }

    async fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.round().await;
        }
    }

    /// Rounds until the edge cannot write to those who sleep: more bytes than all buffers on the way hold.
    async fn rounds_until_blocked(&mut self) {
        self.rounds(10).await;
        assert!(self.edge.metric("tickwire_edge_blocked_writes_total", "").await > 0.0);
    }
}

/// What a client read of one symbol.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    last: u64,
    received: u64,
    skipped: u64,
}

fn count(tallies: &mut BTreeMap<String, Tally>, rows: Vec<Row>) {
    for row in rows {
        let tally = tallies.entry(row.symbol).or_default();
        assert!(row.v > tally.last, "versions grow");
        tally.last = row.v;
        tally.received += 1;
        tally.skipped += row.skipped;
    }
}

#[tokio::test]
async fn a_slow_reader_gets_the_newest_row_of_each_symbol_and_the_count_of_the_others() {
    for way in ways() {
        wake_a_sleeper(Scene::open(way, &[]).await).await;
    }
}

async fn wake_a_sleeper(mut scene: Scene) {
    const ROUNDS: usize = 400;
    let mut slow = scene.sleeper().await;
    scene.rounds_until_blocked().await;
    let before = scene.edge.memory_kib();
    scene.rounds(ROUNDS).await;
    if let (Some(before), Some(after)) = (before, scene.edge.memory_kib()) {
        let published_kib = (ROUNDS * SYMBOLS * FILLING / 1_024) as u64;
        assert!(published_kib > 29_000);
        assert!(
            after < before + 6_000,
            "{before} KiB became {after} KiB, with {published_kib} KiB published"
        );
    }

    let (mut tallies, mut told) = (BTreeMap::new(), 0);
    let all_read = |tallies: &BTreeMap<String, Tally>| {
        tallies.len() == SYMBOLS && tallies.values().all(|tally| tally.last == scene.v)
    };
    let skipped =
        |tallies: &BTreeMap<String, Tally>| tallies.values().map(|tally| tally.skipped).sum::<u64>();
    // The last word on what was skipped comes after the last row.
    while !all_read(&tallies) || told != skipped(&tallies) {
        let message = slow.next().await;
        count(&mut tallies, rows(&message));
        if message["data"][0]["event"] == "slow_reader" {
            told += message["data"][0]["skipped"].as_u64().unwrap();
            assert!(message["data"][0]["lag_ms"].is_u64(), "{message}");
        }
    }
    for (symbol, tally) in &tallies {
        assert_eq!(tally.received + tally.skipped, scene.v, "{symbol}: {tally:?}");
        assert!(tally.skipped >= ROUNDS as u64 - 1, "{symbol}: {tally:?}");
    }
    assert_eq!(scene.edge.metric("tickwire_edge_skipped_rows_total", "").await, told as f64);

    // And from then on it is a client like any other.
    scene.round().await;
    for _ in 0..SYMBOLS {
        let row = slow.row().await;
        assert_eq!((row.v, row.skipped), (scene.v, 0));
    }
}

#[tokio::test]
async fn who_stays_slow_is_told_meanwhile() {
    for way in ways() {
        let mut scene = Scene::open(way, &[]).await;
        let mut slow = scene.sleeper().await;
        scene.rounds_until_blocked().await;
        eventually("it is behind for a while", async || {
            scene.edge.metric("tickwire_edge_slow_clients", "").await == 1.0
        })
        .await;
        let mut event = Value::Null;
        while event["event"] != "slow_reader" {
            // More and more waits, whatever it reads.
            scene.round().await;
            event = slow.next().await["data"][0].take();
        }
        assert!(event["skipped"].as_u64() > Some(0) && event["lag_ms"].as_u64() >= Some(1_000), "{event}");
        scene.round().await;
        assert_eq!(scene.edge.metric("tickwire_edge_slow_clients", "").await, 1.0);
        assert_eq!(scene.edge.metric("tickwire_edge_slow_reader_events_total", "").await, 1.0);
    }
}

#[tokio::test]
async fn who_takes_nothing_at_all_is_closed() {
    for way in ways() {
        let_sleepers_go(Scene::open(way, &["--edge.stall_seconds", "1"]).await).await;
    }
}

async fn let_sleepers_go(mut scene: Scene) {
    let (mut reads_late, reads_never) = (scene.sleeper().await, scene.sleeper().await);
    scene.rounds_until_blocked().await;
    scene.rounds(20).await;
    eventually("both are given up", async || {
        scene.edge.metric("tickwire_edge_closes_total", "slow_reader").await == 2.0
    })
    .await;
    assert_eq!(reads_late.end().await.0, Some(4000));
    // The other never hears it; its place is free all the same.
    eventually("only the witness is left", async || {
        scene.edge.metric("tickwire_edge_connections", "").await == 1.0
            && scene.edge.metric("tickwire_edge_subscriptions", "").await == SYMBOLS as f64
    })
    .await;
    drop(reads_never);
    scene.rounds(3).await;
}

#[tokio::test]
async fn who_asks_without_reading_the_answers_is_closed() {
    let mut scene = Scene::open("auto", &["--edge.messages_burst_max", "100"]).await;
    let mut client = Client::narrow(&scene.edge).await;
    let long = |n: usize| format!("bench:{}{n}", "L".repeat(55));
    for chunk in 0..4 {
        let names: Vec<String> = (chunk * 500..chunk * 500 + 500).map(long).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(client.subscribe(&names).await["success"], true);
    }
    for _ in 0..60 {
        client.say(json!({"method": "list"})).await;
    }
    eventually("the client is given up", async || {
        scene.edge.metric("tickwire_edge_closes_total", "slow_reader").await == 1.0
    })
    .await;
    assert_eq!(client.end().await.0, Some(4000));
    scene.rounds(3).await;
}

#[tokio::test]
async fn asking_again_loses_no_row_that_waits_and_doubles_none() {
    for snapshot in [true, false] {
        let mut scene = Scene::open("auto", &[]).await;
        let mut slow = scene.sleeper().await;
        assert_eq!(slow.subscribe(&["bench:quiet"]).await["success"], true);
        scene.rounds_until_blocked().await;
        scene.market.tick("bench:quiet", 7).await;
        scene.round().await;
        let params = json!({"symbol": "bench:quiet", "snapshot": snapshot});
        slow.say(json!({"method": "subscribe", "params": params})).await;
        slow.say(json!({"method": "list"})).await;
        eventually("both requests are read", async || {
            scene.edge.metric("tickwire_edge_client_messages_total", "").await >= 5.0
        })
        .await;
        let mut seen = Vec::new();
        let mut newest = BTreeMap::new();
        while newest.len() < SYMBOLS || newest.values().any(|v| *v != scene.v) || seen.is_empty() {
            for row in rows(&slow.next().await) {
                if row.symbol == "bench:quiet" {
                    seen.push(row.v);
                } else {
                    newest.insert(row.symbol, row.v);
                }
            }
        }
        assert_eq!(seen, [7], "snapshot {snapshot}");
    }
}
