//! NATS goes away and comes back: clients stay, are told, and miss nothing that is still known.

use tickwire_common::feed::FeedState;

use crate::support::client::Client;
use crate::support::edge::Edge;
use crate::support::eventually;
use crate::support::market::Market;
use crate::support::proxy::Proxy;

const A: &str = "binance:A";
const B: &str = "binance:B";

#[tokio::test]
async fn rows_that_changed_during_a_cut_are_delivered_after_it() {
    let market = Market::open().await;
    market.feed("binance", FeedState::Live).await;
    let wire = Proxy::to(&market.url()).await;
    let edge = Edge::open(&wire.url(), &[]).await;
    let mut client = Client::subscribed(&edge, &[A, B]).await;
    client.feed("binance", "live").await;
    market.tick(A, 1).await;
    assert_eq!(client.row().await.v, 1);

    wire.cut();
    let feed = client.feed("binance", "stale").await;
    assert_eq!(feed["reason"], "the edge has lost NATS");
    assert_eq!(edge.admin("/readyz").await.status, 503);
    // Who comes now is served as far as can be: a seat, the newest row known, and that it is stale.
    let mut guest = Client::subscribed(&edge, &[A, "binance:C"]).await;
    let row = guest.row().await;
    assert_eq!((row.v, row.snapshot, row.stale), (1, true, true));
    market.tick(A, 2).await;
    for (name, v) in [(A, 3), (B, 4), ("binance:C", 5)] {
        market.last(name, v).await;
    }

    wire.mend();
    client.feed("binance", "live").await;
    let mut rows = [client.row().await, client.row().await];
    rows.sort_by(|a, b| a.symbol.cmp(&b.symbol));
    assert_eq!(rows.map(|row| (row.symbol, row.v)), [(A.to_owned(), 3), (B.to_owned(), 4)]);
    let mut rows = [guest.row().await, guest.row().await];
    rows.sort_by(|a, b| a.symbol.cmp(&b.symbol));
    assert_eq!(rows.map(|row| (row.symbol, row.v)), [(A.to_owned(), 3), ("binance:C".to_owned(), 5)]);
    edge.serves().await;
    market.tick(A, 6).await;
    let row = client.row().await;
    assert_eq!((row.v, row.stale), (6, false));
}

#[tokio::test]
async fn clients_outlive_a_restart_of_nats() {
    let mut market = Market::open().await;
    market.feed("binance", FeedState::Live).await;
    market.list("binance", &[("A", "AA")]).await;
    let edge = Edge::start(&market.url(), &["--edge.linger_seconds", "0"]).await;
    edge.serves().await;
    let mut client = Client::subscribed(&edge, &[A, "A"]).await;
    client.feed("binance", "live").await;
    market.tick(A, 1).await;
    assert_eq!([client.row().await.v, client.row().await.v], [1, 1]);

    market.server.stop();
    client.feed("binance", "stale").await;
    eventually("the edge is not ready", async || edge.admin("/readyz").await.status == 503).await;
    market.server.restart().await.unwrap();
    client.feed("binance", "live").await;
    edge.serves().await;
    // What was in memory is gone; the publisher makes it anew, as ingestors do.
    eventually("the publisher is back", async || market.nats.is_connected()).await;
    market.set_up().await;
    market.tick(A, 2).await;
    assert_eq!([client.row().await.v, client.row().await.v], [2, 2]);
    assert_eq!(market.subscriptions(A).await, 1);
    market.last(A, 3).await;
    let mut late = Client::subscribed(&edge, &["AA"]).await;
    assert_eq!(late.row().await.v, 2, "the newest live row is known without asking the store");
    drop((client, late));
    eventually("the topic is left", async || market.subscriptions(A).await == 0).await;
}

#[tokio::test]
async fn an_edge_that_finds_no_nats_waits_for_it_and_says_so_once() {
    let market = Market::open().await;
    market.last(A, 1).await;
    let wire = Proxy::to(&market.url()).await;
    wire.cut();
    let edge = Edge::start(&wire.url(), &["--edge.open_symbols", "true"]).await;
    let ready = edge.admin("/readyz").await;
    assert!(ready.status == 503 && ready.body.contains("NATS is not connected"), "{ready:?}");
    assert_eq!(edge.admin("/livez").await.status, 200);
    let mut client = Client::subscribed(&edge, &[A]).await;
    assert_eq!(edge.get(&format!("/v1/prices?symbols={A}")).await.status, 503);
    eventually("it has tried more than once", async || wire.refused() > 3).await;
    assert_eq!(edge.log().matches("NATS unreachable").count(), 1, "{}", edge.log());
    assert!(!edge.log().contains("ERROR"), "{}", edge.log());

    wire.mend();
    edge.serves().await;
    assert_eq!(client.row().await.v, 1);
    market.tick(A, 2).await;
    assert_eq!(client.row().await.v, 2);
}

#[tokio::test]
async fn a_silent_ingestor_is_down_and_its_rows_are_marked() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::subscribed(&edge, &[A]).await;
    market.feed_once("binance", FeedState::Live).await;
    client.feed("binance", "live").await;
    market.tick(A, 1).await;
    assert!(!client.row().await.stale);
    let feed = client.feed("binance", "down").await;
    assert_eq!(feed["reason"], "no word from its ingestor");
    market.tick(A, 2).await;
    assert!(client.row().await.stale);
    market.feed_once("binance", FeedState::Live).await;
    client.feed("binance", "live").await;
    let row = Client::subscribed(&edge, &[A]).await.row().await;
    assert_eq!((row.v, row.stale), (2, false));
}
