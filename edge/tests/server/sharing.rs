//! What many clients share: one subscription a topic, left when nobody wants it any more.

use crate::support::client::Client;
use crate::support::edge::Edge;
use crate::support::eventually;
use crate::support::market::Market;
use crate::support::ways::ways;

const A: &str = "bench:A";
const CLIENTS: usize = 200;

#[tokio::test]
async fn two_hundred_clients_are_one_subscription() {
    for way in ways() {
        share(way).await;
    }
}

async fn share(way: &str) {
    let market = Market::open().await;
    let settings = ["--edge.workers", "3", "--edge.linger_seconds", "1", "--edge.io_uring", way];
    let edge = Edge::open(&market.url(), &settings).await;
    let written = if way == "on" { "io_uring" } else { "plain" };
    assert_eq!(edge.metric("tickwire_edge_write_way", written).await, 3.0);
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        clients.push(Client::subscribed(&edge, &[A]).await);
    }
    assert_eq!(market.subscriptions(A).await, 1);
    for v in 1..=3 {
        market.tick(A, v).await;
    }
    for client in &mut clients {
        assert_eq!(client.rows_until(3).await.len(), 3);
    }
    eventually("all are counted", async || {
        edge.metric("tickwire_edge_connections", "").await == CLIENTS as f64
            && edge.metric("tickwire_edge_subscriptions", "").await == CLIENTS as f64
    })
    .await;

    // Some say goodbye, some unsubscribe, some just go.
    let mut last = clients.pop().unwrap();
    for (number, mut client) in clients.into_iter().enumerate() {
        match number % 3 {
            0 => client.close().await,
            1 => drop(client.ask(serde_json::json!({"method": "unsubscribe"})).await),
            _ => drop(client),
        }
    }
    eventually("one is left", async || edge.metric("tickwire_edge_subscriptions", "").await == 1.0).await;
    market.tick(A, 4).await;
    assert_eq!(last.row().await.v, 4);
    assert_eq!(market.subscriptions(A).await, 1);
    drop(last);
    eventually("the topic is left", async || market.subscriptions(A).await == 0).await;
    eventually("nothing is held", async || {
        edge.metric("tickwire_edge_topics", "").await == 0.0
            && edge.metric("tickwire_edge_connections", "").await == 0.0
    })
    .await;
}

#[tokio::test]
async fn who_comes_back_during_the_linger_finds_the_subscription() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.linger_seconds", "600"]).await;
    let mut client = Client::subscribed(&edge, &[A]).await;
    market.tick(A, 1).await;
    assert_eq!(client.row().await.v, 1);
    drop(client);
    eventually("nobody is left", async || edge.metric("tickwire_edge_subscriptions", "").await == 0.0).await;
    // Still subscribed: this row is in no store, and the next client gets it all the same.
    assert_eq!(market.subscriptions(A).await, 1);
    market.tick(A, 2).await;
    eventually("the row is in", async || edge.metric("tickwire_edge_rows_total", "").await == 2.0).await;
    let mut client = Client::subscribed(&edge, &[A]).await;
    let row = client.row().await;
    assert_eq!((row.v, row.snapshot), (2, true));
}
