//! Rows at most every so many milliseconds, for those who ask: the newest wins, what was folded is told, and nobody is
//! called slow for it.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::client::{Client, Row};
use crate::support::edge::Edge;
use crate::support::eventually;
use crate::support::market::Market;
use crate::support::ways::ways;

const A: &str = "bench:A";
const B: &str = "bench:B";

fn subscribe(name: &str, throttle_ms: u64) -> Value {
    json!({"method": "subscribe", "params": {"symbol": name, "throttle_ms": throttle_ms}, "req_id": 1})
}

async fn one_worker(market: &Market, way: &str) -> Edge {
    Edge::open(&market.url(), &["--edge.workers", "1", "--edge.io_uring", way]).await
}

/// How many rows there were, for one who got these.
fn told(rows: &[Row]) -> u64 {
    assert!(rows.windows(2).all(|pair| pair[0].v < pair[1].v), "versions grow: {rows:?}");
    rows.iter().map(|row| 1 + row.skipped).sum()
}

#[tokio::test]
async fn one_symbol_is_throttled_and_another_is_not() {
    const ROWS: u64 = 50;
    const EVERY_MS: u64 = 400;
    for way in ways() {
        let market = Market::open().await;
        let edge = one_worker(&market, way).await;
        let mut client = Client::subscribed(&edge, &[B]).await;
        assert_eq!(client.ask(subscribe(A, EVERY_MS)).await["success"], true);
        let begun = Instant::now();
        for v in 1..=ROWS {
            market.tick(A, v).await;
            market.tick(B, v).await;
        }
        let (mut throttled, mut others) = (Vec::new(), Vec::new());
        while throttled.last().is_none_or(|row: &Row| row.v < ROWS) || others.len() < ROWS as usize {
            let row = client.row().await;
            if row.symbol == A { throttled.push(row) } else { others.push(row) }
        }
        let moments = begun.elapsed().as_millis() as u64 / EVERY_MS + 1;
        assert!(throttled.len() as u64 <= moments, "{} rows in {moments} moments", throttled.len());
        assert_eq!((told(&throttled), told(&others)), (ROWS, ROWS));
        assert!(others.iter().all(|row| row.skipped == 0));
        assert_eq!(edge.metric("tickwire_edge_slow_reader_events_total", "").await, 0.0);
    }
}

#[tokio::test]
async fn the_snapshot_does_not_wait_and_a_later_subscribe_changes_the_throttle() {
    let market = Market::open().await;
    market.last(A, 1).await;
    let edge = one_worker(&market, "auto").await;
    let mut witness = Client::subscribed(&edge, &[A]).await;
    let mut client = Client::connect(&edge).await;
    assert_eq!(client.ask(subscribe(A, 10_000)).await["success"], true);
    assert!(client.row().await.snapshot);
    for v in 2..=5 {
        market.tick(A, v).await;
    }
    witness.rows_until(5).await;
    let again = json!({"method": "subscribe", "params": {"symbol": A, "snapshot": false}});
    assert_eq!(client.ask(again).await["success"], true);
    assert_eq!(told(&client.rows_until(5).await), 4);
    market.tick(A, 6).await;
    assert_eq!(client.row().await.v, 6);
    market.tick(A, 7).await;
    let row = client.row().await;
    assert_eq!((row.v, row.skipped), (7, 0));
}

#[tokio::test]
async fn a_throttle_out_of_range_is_refused_with_the_range() {
    let market = Market::open().await;
    let edge = one_worker(&market, "auto").await;
    let mut client = Client::connect(&edge).await;
    for throttle_ms in [1, 99, 10_001] {
        let reply = client.ask(subscribe(A, throttle_ms)).await;
        assert_eq!(reply["error"]["code"], "bad_request", "{reply}");
        assert!(
            reply["error"]["message"].as_str().is_some_and(|text| text.contains("100 to 10000")),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn who_leaves_while_rows_wait_leaves_nothing_behind() {
    let market = Market::open().await;
    let edge = one_worker(&market, "auto").await;
    let mut witness = Client::subscribed(&edge, &[A, B]).await;
    let mut leaver = Client::connect(&edge).await;
    assert_eq!(leaver.ask(subscribe(A, 100)).await["success"], true);
    let mut unsubscriber = Client::connect(&edge).await;
    assert_eq!(unsubscriber.ask(subscribe(A, 200)).await["success"], true);
    market.tick(A, 1).await;
    witness.rows_until(1).await;
    drop(leaver);
    unsubscriber.ask(json!({"method": "unsubscribe"})).await;
    eventually("the seats are free", async || edge.metric("tickwire_edge_subscriptions", "").await == 2.0)
        .await;
    for v in 2..=40 {
        market.tick(B, v).await;
        assert_eq!(witness.row().await.v, v);
    }
}
