//! Sets of two thousand symbols in one message.

use serde_json::json;
use tickwire_common::row::ROW_BYTES_MAX;

use crate::support::client::{Client, rows};
use crate::support::edge::Edge;
use crate::support::eventually;
use crate::support::market::Market;

const SYMBOLS: u64 = 2_000;

#[tokio::test]
async fn two_thousand_symbols_come_and_go_in_one_message() {
    let market = Market::open().await;
    let names: Vec<String> = (0..SYMBOLS).map(|n| format!("bench:a-rather-long-name/S{n}")).collect();
    for (v, name) in (1..).zip(&names) {
        market.write_last(name, v).await;
    }
    market.last("bench:end", 1).await;
    let edge = Edge::open(&market.url(), &["--edge.linger_seconds", "0"]).await;
    let mut client = Client::connect(&edge).await;
    let subscribe = json!({"method": "subscribe", "params": {"symbol": names}});
    // New, then held already, then new again after all were left.
    for round in 0..3 {
        let reply = client.ask(subscribe.clone()).await;
        let result = json!({"channel": "ticker", "subscribed": names, "failed": [], "total": SYMBOLS});
        assert_eq!(reply["result"], result, "round {round}");
        let snapshot = rows(&client.next_of("ticker").await);
        let told: Vec<(&str, u64, bool)> =
            snapshot.iter().map(|row| (&*row.symbol, row.v, row.snapshot)).collect();
        let newest: Vec<_> = names.iter().zip(1..).map(|(name, v)| (&**name, v, true)).collect();
        assert_eq!(told, newest, "round {round}");
        if round == 1 {
            let unsubscribe = json!({"method": "unsubscribe", "params": {"symbol": names}});
            let reply = client.ask(unsubscribe).await;
            let result = json!({"channel": "ticker", "unsubscribed": names, "failed": [], "total": 0});
            assert_eq!(reply["result"], result);
            for name in [&names[0], &names[1_999]] {
                eventually("the topic is left", async || market.subscriptions(name).await == 0).await;
            }
        }
    }
    // And they are live.
    for (v, name) in (SYMBOLS + 1..).zip(&names) {
        market.tick(name, v).await;
    }
    let updates = client.rows_until(2 * SYMBOLS).await;
    assert_eq!(updates.len() as u64 + updates.iter().map(|row| row.skipped).sum::<u64>(), SYMBOLS);
}

/// Rows as large as they may be, with the longest names that fit into a request, and quotes around every number.
#[tokio::test]
async fn the_largest_snapshot_of_one_request_is_sent() {
    let market = Market::open().await;
    let names: Vec<String> = (0..SYMBOLS).map(|n| format!("bench:{}{n:04}", "N".repeat(50))).collect();
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::choosing(&edge, "tickwire.v1.json", "numbers=string").await;
    let subscribe = json!({"method": "subscribe", "params": {"symbol": names}});
    assert_eq!(client.ask(subscribe.clone()).await["result"]["total"], SYMBOLS);
    let prices = r#","low":0"#.repeat(100);
    for (v, name) in (1..).zip(&names) {
        let row = format!(r#"{{"v":{v}{prices},"x":""#);
        let row = format!("{row}{}\"}}", "x".repeat(ROW_BYTES_MAX - row.len() - 2));
        market.tick_bytes(name, row.into()).await;
    }
    client.rows_until(SYMBOLS).await;
    assert_eq!(client.ask(subscribe).await["success"], true);
    let snapshot = rows(&client.next_of("ticker").await);
    assert_eq!(snapshot.len() as u64, SYMBOLS);
    assert!(snapshot.iter().all(|row| row.snapshot));
}
