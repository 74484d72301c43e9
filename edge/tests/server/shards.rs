//! The parts of a venue: each symbol stands as its own shard does, and shards move between ingestors unseen.

use std::time::Duration;

use serde_json::{Value, json};
use tickwire_common::feed::{FEED_SILENCE_MS, FeedState, FeedStatus};
use tickwire_common::shard::shard_of;

use crate::support::client::Client;
use crate::support::edge::Edge;
use crate::support::eventually;
use crate::support::market::{Market, word};

/// Longer than the silence after which a shard is down, with the turn of the edge's clock that sees it.
const SILENCE: Duration = Duration::from_millis(FEED_SILENCE_MS + 1_000);

/// A symbol of this shard.
fn symbol_of(shard: u32, shards: u32) -> String {
    (0..).map(|n| format!("S{n}")).find(|symbol| shard_of(symbol, shards) == shard).unwrap()
}

fn topic_of(shard: u32, shards: u32) -> String {
    format!("binance:{}", symbol_of(shard, shards))
}

/// All shards of a venue live.
async fn all_live(market: &Market, shards: u32) {
    for shard in 0..shards {
        market.shard("binance", shard, word(FeedState::Live, shards)).await;
    }
}

async fn feed(edge: &Edge) -> Value {
    edge.get("/v1/feeds").await.json()["data"][0].clone()
}

/// Waits so long that whatever changes in between is told, then reads it all: no feed may be among it.
async fn hears_of_no_feed(client: &mut Client, market: &Market, topic: &str, v: u64) {
    // Time itself is awaited here: something must not happen.
    tokio::time::sleep(SILENCE).await;
    market.tick(topic, v).await;
    loop {
        let message = client.next().await;
        assert_ne!(message["channel"], "feed_status", "{message}");
        if message["channel"] == "ticker" {
            assert_eq!((&message["data"][0]["v"], &message["data"][0]["stale"]), (&json!(v), &json!(null)));
            return;
        }
    }
}

#[tokio::test]
async fn rows_are_marked_by_their_own_shard() {
    let market = Market::open().await;
    all_live(&market, 4).await;
    let edge = Edge::open(&market.url(), &[]).await;
    let topics: Vec<String> = (0..4).map(|shard| topic_of(shard, 4)).collect();
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let mut client = Client::subscribed(&edge, &names).await;
    client.feed("binance", "live").await;
    let closed = FeedStatus { reason: Some("closed".into()), since: 70, ..word(FeedState::Stale, 4) };
    market.shard("binance", 2, closed).await;
    let told = client.feed("binance", "stale").await;
    let expected = json!({"feed": "binance", "state": "stale", "since": 70, "last_tick": 1_763_627_520_119_u64,
        "symbols": 4, "reason": "1 of 4 shards stale: closed"});
    assert_eq!(told, expected);
    for (shard, topic) in topics.iter().enumerate() {
        market.tick(topic, 10).await;
        let row = client.row().await;
        assert_eq!((&row.symbol, row.stale), (topic, shard == 2));
        market.last(topic, 10).await;
    }
    let prices = edge.get(&format!("/v1/prices?symbols={}", names.join(","))).await.json();
    let stale: Vec<bool> =
        prices["data"].as_array().unwrap().iter().map(|row| row["stale"] == true).collect();
    assert_eq!(stale, [false, false, true, false]);
    let shown = feed(&edge).await;
    assert_eq!((&shown["shard_count"], &shown["demand"]), (&json!(4), &json!(false)));
    let shard = json!({"shard": 2, "state": "stale", "since": 70, "symbols": 1, "reason": "closed"});
    assert_eq!((&shown["shards"][2], &shown["shards"][3]["state"]), (&shard, &json!("live")));
    let label = r#"venue="binance",state="stale""#;
    eventually("the metric says it", async || edge.metric("tickwire_edge_feed_shards", label).await == 1.0)
        .await;
    assert_eq!(edge.metric("tickwire_edge_feed_shards", "").await, 4.0);
}

#[tokio::test]
async fn one_shard_without_owner_is_down_alone() {
    let market = Market::open().await;
    all_live(&market, 2).await;
    let edge = Edge::open(&market.url(), &[]).await;
    let (kept, lost) = (topic_of(0, 2), topic_of(1, 2));
    let mut client = Client::subscribed(&edge, &[&kept, &lost]).await;
    client.feed("binance", "live").await;
    market.hush("binance", 1);
    let told = client.feed("binance", "down").await;
    assert_eq!(told["reason"], "1 of 2 shards down: no word from its ingestor");
    for (topic, stale) in [(&kept, false), (&lost, true)] {
        market.tick(topic, 10).await;
        let row = client.row().await;
        assert_eq!((&row.symbol, row.stale), (topic, stale));
    }
    market.shard("binance", 1, word(FeedState::Live, 2)).await;
    client.feed("binance", "live").await;
}

#[tokio::test]
async fn a_planned_hand_over_is_told_to_nobody() {
    let market = Market::open().await;
    all_live(&market, 4).await;
    let edge = Edge::open(&market.url(), &[]).await;
    let topic = topic_of(1, 4);
    let mut client = Client::subscribed(&edge, &[&topic]).await;
    client.feed("binance", "live").await;
    // The new owner speaks, with times of its own; the old one has a last word; then it is silent for good.
    let new = FeedStatus { since: 1_000, last_tick: None, symbols: 9, ..word(FeedState::Live, 4) };
    market.shard("binance", 1, new).await;
    market.interject("binance", 1, word(FeedState::Live, 4)).await;
    hears_of_no_feed(&mut client, &market, &topic, 10).await;
    assert_eq!(feed(&edge).await["symbols"], 12);
}

#[tokio::test]
async fn another_number_of_shards_is_told_to_nobody() {
    let market = Market::open().await;
    all_live(&market, 2).await;
    let edge = Edge::open(&market.url(), &[]).await;
    let topic = topic_of(3, 4);
    let mut client = Client::subscribed(&edge, &[&topic]).await;
    client.feed("binance", "live").await;
    all_live(&market, 4).await;
    hears_of_no_feed(&mut client, &market, &topic, 10).await;
    let shown = feed(&edge).await;
    assert_eq!((&shown["shard_count"], shown["shards"].as_array().unwrap().len()), (&json!(4), 4));
}
