//! Plain HTTP: the page, the catalogue, last prices, probes and metrics.

use serde_json::json;
use tickwire_common::feed::FeedState;

use crate::support::client::Client;
use crate::support::edge::Edge;
use crate::support::eventually;
use crate::support::market::Market;

#[tokio::test]
async fn the_page_shows_the_label_as_text() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.label", "SIMULATED <b>&\""]).await;
    let page = edge.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    assert!(page.body.contains(">SIMULATED &lt;b&gt;&amp;&quot;<"), "{}", page.body);
    assert!(!page.body.contains("{{"), "{}", page.body);
    assert_eq!(edge.get("/nothing").await.status, 404);
}

#[tokio::test]
async fn symbols_are_the_catalogue() {
    let market = Market::open().await;
    market.list("kucoin", &[("BTC/USDT", "BTC-USDT")]).await;
    market.list("binance", &[("ETH/USDT", "ETHUSDT"), ("BTC/USDT", "BTCUSDT")]).await;
    let edge = Edge::start(&market.url(), &[]).await;
    edge.knows(3).await;
    let answer = edge.get("/v1/symbols").await;
    assert!(answer.head.contains("application/json") && answer.head.contains("no-store"), "{}", answer.head);
    let entry =
        |venue: &str, name: &str| json!({"symbol": format!("{venue}:{name}"), "venue": venue, "name": name});
    let expected = [entry("binance", "ETH/USDT"), entry("binance", "BTC/USDT"), entry("kucoin", "BTC/USDT")];
    assert_eq!(answer.json(), json!({"data": expected}));
}

#[tokio::test]
async fn prices_are_found_or_missing() {
    let market = Market::open().await;
    market.list("binance", &[("BTC/USDT", "BTCUSDT"), ("ETH/USDT", "ETHUSDT")]).await;
    market.last("binance:BTC/USDT", 5).await;
    let edge = Edge::start(&market.url(), &[]).await;
    edge.knows(2).await;
    let answer =
        edge.get("/v1/prices?symbols=BTC/USDT,binance:BTC%2FUSDT,ETH/USDT,DOGE,binance:BTCUSDT").await;
    let row = |name: &str| json!({"symbol": name, "v": 5, "price": 5.25, "ts": 1_763_627_520_119_u64});
    let mut bare = row("BTC/USDT");
    bare["venue"] = json!("binance");
    let data = json!([bare, row("binance:BTC/USDT"), row("binance:BTCUSDT")]);
    assert_eq!((answer.status, &answer.json()["data"]), (200, &data));
    assert_eq!(answer.json()["missing"], json!(["DOGE", "ETH/USDT"]));
    market.last("binance:BTC/USDT", 6).await;
    eventually("the cache lets go of the old price", async || {
        edge.get("/v1/prices?symbols=BTC/USDT").await.json()["data"][0]["v"] == 6
    })
    .await;
}

#[tokio::test]
async fn prices_are_as_good_as_their_feeds() {
    let market = Market::open().await;
    market.list("binance", &[("BTC/USDT", "BTCUSDT")]).await;
    market.list("kucoin", &[("BTC/USDT", "BTC-USDT")]).await;
    market.last("binance:BTC/USDT", 5).await;
    market.last("kucoin:BTC/USDT", 4).await;
    market.feed("binance", FeedState::Live).await;
    market.feed("kucoin", FeedState::Live).await;
    let edge = Edge::start(&market.url(), &[]).await;
    edge.knows(2).await;
    let prices = async || {
        let answer = edge.get("/v1/prices?symbols=BTC/USDT,binance:BTC/USDT").await.json();
        let told = |n: usize| {
            let row = &answer["data"][n];
            (row["venue"].as_str().map(str::to_owned), row["v"].as_u64(), row["stale"].as_bool())
        };
        [told(0), told(1)]
    };
    let bare = |venue: &str, v, stale| (Some(venue.to_owned()), Some(v), stale);
    eventually("all is live", async || prices().await == [bare("binance", 5, None), (None, Some(5), None)])
        .await;
    market.feed("binance", FeedState::Stale).await;
    let moved = [bare("kucoin", 4, None), (None, Some(5), Some(true))];
    eventually("a bare name moves to the live venue", async || prices().await == moved).await;
    market.feed("kucoin", FeedState::Down).await;
    let nobody = [bare("binance", 5, Some(true)), (None, Some(5), Some(true))];
    eventually("nobody is live", async || prices().await == nobody).await;
}

#[tokio::test]
async fn snapshots_are_counted_by_where_they_come_from() {
    let market = Market::open().await;
    market.last("bench:A", 5).await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut first = Client::subscribed(&edge, &["bench:A", "bench:B"]).await;
    assert_eq!(first.row().await.v, 5);
    let mut second = Client::subscribed(&edge, &["bench:A"]).await;
    assert_eq!(second.row().await.v, 5);
    for (source, count) in [("store", 1.0), ("memory", 1.0), ("none", 1.0)] {
        assert_eq!(edge.metric("tickwire_edge_snapshots_total", source).await, count, "{source}");
    }
}

#[tokio::test]
async fn a_prices_request_names_some_symbols_but_not_too_many() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("bench:S{n}")).collect();
        format!("/v1/prices?symbols={}", names.join(","))
    };
    for (path, status) in [
        ("/v1/prices".to_owned(), 400),
        ("/v1/prices?symbols=".to_owned(), 400),
        ("/v1/prices?symbols=,,".to_owned(), 400),
        (many(501), 400),
        (many(500), 200),
        ("/v1/prices?symbols=%ff".to_owned(), 200),
        ("/v1/prices?symbols=%22%7D".to_owned(), 200),
    ] {
        let answer = edge.get(&path).await;
        assert_eq!(answer.status, status, "{} {}", &path[..path.len().min(60)], answer.body);
    }
    assert_eq!(edge.get("/v1/prices?symbols=%22%7D").await.json(), json!({"data": [], "missing": ["\"}"]}));
}

#[tokio::test]
async fn a_stream_needs_an_upgrade() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let answer = edge.get("/v1/stream").await;
    assert_eq!(answer.status, 426);
    assert!(answer.head.contains("upgrade: websocket"), "{}", answer.head);
    // The echo is for conformance suites and stays shut unless it is asked for.
    assert_eq!(edge.get("/debug/echo").await.status, 404);
}

#[tokio::test]
async fn probes_and_metrics() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.workers", "2"]).await;
    assert_eq!((edge.admin("/livez").await.status, edge.admin("/readyz").await.status), (200, 200));
    let clients = [Client::connect(&edge).await, Client::connect(&edge).await, Client::connect(&edge).await];
    eventually("connections are counted", async || {
        edge.metric("tickwire_edge_connections", "").await == clients.len() as f64
    })
    .await;
    // Round robin: no worker has them all.
    assert_eq!(edge.metric("tickwire_edge_connections", "worker=\"1\"").await, 1.0);
    drop(clients);
    eventually("and taken off", async || edge.metric("tickwire_edge_connections", "").await == 0.0).await;
}
