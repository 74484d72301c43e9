//! What a client is told without asking, and the order of a subscribe: reply, snapshot, updates.

use serde_json::json;
use tickwire_common::feed::FeedState;

use crate::support::client::{Client, rows};
use crate::support::edge::Edge;
use crate::support::market::Market;

const BTC: &str = "binance:BTC/USDT";
const ETH: &str = "binance:ETH/USDT";

#[tokio::test]
async fn the_first_message_announces_the_limits_and_the_next_the_feeds() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.label", "SIMULATED", "--edge.memory_max_mb", "0"]).await;
    let mut early = Client::connect(&edge).await;
    market.feed("binance", FeedState::Live).await;
    early.feed("binance", "live").await;

    let mut client = Client::connect(&edge).await;
    let hello = client.next().await;
    assert_eq!((&hello["channel"], &hello["type"]), (&json!("status"), &json!("update")));
    let data = &hello["data"][0];
    for (field, value) in [
        ("event", json!("connected")),
        ("system", json!("online")),
        ("api_version", json!("1")),
        ("heartbeat_ms", json!(10_000)),
        ("label", json!("SIMULATED")),
    ] {
        assert_eq!(data[field], value, "{field} in {hello}");
    }
    assert!(data["connection_id"].is_string(), "{hello}");
    let limits = json!({"symbols": 2000, "symbols_per_request": 2000, "msgs_per_s": 10, "msgs_burst": 40,
        "message_bytes": 131_072, "handshake_ms": 10_000, "connections": 50_000});
    assert_eq!(data["limits"], limits);
    let feeds = client.next().await;
    assert_eq!((&feeds["channel"], &feeds["type"]), (&json!("feed_status"), &json!("snapshot")));
    let feed = json!({"feed": "binance", "state": "live", "since": 1, "last_tick": 1_763_627_520_119_u64,
        "symbols": 1, "reason": null});
    assert_eq!(feeds["data"], json!([feed]));
}

#[tokio::test]
async fn connection_ids_differ() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(Client::connect(&edge).await.next().await["data"][0]["connection_id"].to_string());
    }
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
}

#[tokio::test]
async fn reply_then_snapshot_then_updates_with_growing_versions() {
    let market = Market::open().await;
    market.last(BTC, 5).await;
    market.last(ETH, 7).await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::connect(&edge).await;
    client.next().await;
    client.say(json!({"method": "subscribe", "params": {"symbol": [BTC, ETH]}, "req_id": 7})).await;
    let reply = client.next().await;
    assert_eq!(
        (&reply["method"], &reply["req_id"], &reply["success"]),
        (&json!("subscribe"), &json!(7), &json!(true))
    );
    let result = json!({"channel": "ticker", "subscribed": [BTC, ETH], "failed": [], "total": 2});
    assert_eq!(reply["result"], result);
    assert!(reply["time_in"].as_u64() <= reply["time_out"].as_u64() && reply["time_in"].is_u64(), "{reply}");
    let snapshot = client.next().await;
    let row = |symbol: &str, v: u64| json!({"symbol": symbol, "v": v, "price": v as f64 + 0.25, "ts": 1_763_627_520_119_u64});
    assert_eq!(
        snapshot,
        json!({"channel": "ticker", "type": "snapshot", "data": [row(BTC, 5), row(ETH, 7)]})
    );
    // Old, equal and garbled rows stay away; then the stream goes on.
    for v in [4, 5, 6, 6, 3] {
        market.tick(BTC, v).await;
    }
    for payload in
        ["", "{}", "{\"v\":8", "{\"v\":8}\n", "{\"v\":8,\"price\":NaN}", "{\"v\":8,\"x\":\"\u{7}\"}"]
    {
        market.tick_bytes(BTC, payload.into()).await;
    }
    market.tick(BTC, 9).await;
    market.tick(ETH, 8).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let message = client.next().await;
        assert_eq!(
            (&message["channel"], &message["type"]),
            (&json!("ticker"), &json!("update")),
            "{message}"
        );
        seen.extend(rows(&message).into_iter().map(|row| (row.symbol, row.v)));
    }
    let of = |symbol: &str| -> Vec<u64> {
        seen.iter().filter(|(name, _)| name == symbol).map(|(_, v)| *v).collect()
    };
    assert_eq!((of(BTC), of(ETH)), (vec![6, 9], vec![8]));
    assert!(edge.metric("tickwire_edge_refused_rows_total", "").await >= 6.0);
    assert_eq!(edge.metric("tickwire_edge_duplicate_rows_total", "").await, 4.0);
}

#[tokio::test]
async fn digits_pass_untouched_and_unknown_fields_too() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::subscribed(&edge, &["bench:X"]).await;
    let own = r#""price":0.1000000000000000055511151231257827,"bid":1e-7,"own":[1,{}]}"#;
    market.tick_bytes("bench:X", format!(r#"{{"v":1,{own}"#).into()).await;
    let expected =
        format!(r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"bench:X","v":1,{own}]}}"#);
    assert_eq!(client.text_but_heartbeats().await, Ok(expected));
}

#[tokio::test]
async fn heartbeats_come_to_everyone() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.heartbeat_seconds", "5"]).await;
    let (mut one, mut other) = (Client::connect(&edge).await, Client::connect(&edge).await);
    for client in [&mut one, &mut other] {
        let hello = client.next().await;
        assert_eq!(hello["data"][0]["heartbeat_ms"], 5_000);
        let beat: serde_json::Value = serde_json::from_str(&client.text().await.unwrap()).unwrap();
        assert_eq!(beat["channel"], "heartbeat");
        assert!(beat["ts"].as_u64() > Some(1_700_000_000_000), "{beat}");
    }
}
