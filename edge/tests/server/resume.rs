//! Coming back: with `since` at any edge, and to an edge that was killed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::client::{Client, rows};
use crate::support::edge::Edge;
use crate::support::market::Market;

const SYMBOLS: usize = 200;

fn names() -> Vec<String> {
    (0..SYMBOLS).map(|n| format!("bench:S{n}")).collect()
}

/// Subscribes and reads up to the pong behind it: the rows of the snapshot, by name.
async fn snapshot(client: &mut Client, params: Value) -> BTreeMap<String, u64> {
    client.say(json!({"method": "subscribe", "params": params})).await;
    client.say(json!({"method": "ping"})).await;
    let (mut found, mut messages) = (BTreeMap::new(), 0);
    loop {
        let message = client.next().await;
        if message["method"] == "pong" {
            return found;
        }
        let rows = rows(&message);
        messages += usize::from(!rows.is_empty());
        assert!(messages <= 1, "one snapshot a subscribe");
        for row in rows {
            assert!(row.snapshot, "{row:?}");
            assert_eq!(found.insert(row.symbol, row.v), None, "no symbol twice");
        }
    }
}

#[tokio::test]
async fn since_brings_what_has_changed_at_another_edge() {
    let market = Market::open().await;
    let (names, mut newest) = (names(), BTreeMap::new());
    for (v, name) in (1_000..).zip(&names) {
        market.write_last(name, v).await;
        newest.insert(name.clone(), v);
    }
    market.last("bench:end", 1).await;
    let (first, second) = (Edge::open(&market.url(), &[]).await, Edge::open(&market.url(), &[]).await);
    let mut client = Client::connect(&first).await;
    let seen = snapshot(&mut client, json!({"symbol": names})).await;
    assert_eq!(seen, newest);
    let since = *seen.values().max().unwrap();
    drop(client);

    let changed: BTreeMap<String, u64> = names.iter().cloned().zip(since + 1..).step_by(7).collect();
    for (name, v) in &changed {
        market.tick(name, *v).await;
        market.write_last(name, *v).await;
    }
    market.last("bench:end", 2).await;
    let mut client = Client::connect(&second).await;
    let resumed = snapshot(&mut client, json!({"symbol": names, "since": since})).await;
    assert_eq!(resumed, changed);
    // The same at the edge where the topics are still carried.
    let mut client = Client::connect(&first).await;
    assert_eq!(snapshot(&mut client, json!({"symbol": names, "since": since})).await, changed);
    // Nothing has changed since.
    let since = changed.values().max();
    assert_eq!(snapshot(&mut client, json!({"symbol": names, "since": since})).await, BTreeMap::new());
}

#[tokio::test]
async fn an_edge_that_was_killed_has_every_last_price_when_it_is_back() {
    let market = Market::open().await;
    let (names, mut newest) = (names(), BTreeMap::new());
    let mut edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::connect(&edge).await;
    snapshot(&mut client, json!({"symbol": names})).await;
    for (v, name) in (1..).zip(&names) {
        market.tick(name, v).await;
        market.write_last(name, v).await;
        newest.insert(name.clone(), v);
    }
    client.rows_until(SYMBOLS as u64).await;
    edge.signal("KILL").await;
    edge.exit().await;
    // While it is away the market goes on.
    for (v, name) in (1_000..).zip(names.iter().step_by(3)) {
        market.tick(name, v).await;
        market.write_last(name, v).await;
        newest.insert(name.clone(), v);
    }
    market.last("bench:end", 1).await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::connect(&edge).await;
    assert_eq!(snapshot(&mut client, json!({"symbol": names})).await, newest);
}
