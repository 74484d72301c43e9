//! Snapshot and live rows are one stream: whoever joins, and whenever, misses nothing after the first row and sees
//! nothing twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::edge::Edge;
use crate::support::in_time;
use crate::support::market::Market;

const A: &str = "bench:A";

#[tokio::test]
async fn a_late_joiner_gets_the_last_value() {
    let market = Market::open().await;
    market.last(A, 41).await;
    let edge = Edge::open(&market.url(), &[]).await;
    for _ in 0..2 {
        let mut client = Client::subscribed(&edge, &[A]).await;
        let row = client.row().await;
        assert_eq!((row.v, row.snapshot, row.skipped, row.stale), (41, true, 0, false));
    }
    // A row that came live is the newest, whatever the store says.
    let mut first = Client::subscribed(&edge, &[A]).await;
    market.tick(A, 42).await;
    assert_eq!(first.rows_until(42).await.len(), 2);
    assert_eq!(Client::subscribed(&edge, &[A]).await.row().await.v, 42);
}

/// The last-value copy runs behind the ticks: a row published just before the join is in neither at that moment.
#[tokio::test]
async fn a_last_value_that_comes_late_is_seen_by_a_second_look() {
    let market = Market::open().await;
    market.last(A, 1).await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::subscribed(&edge, &[A]).await;
    assert_eq!(client.row().await.v, 1);
    market.last(A, 2).await;
    let row = client.row().await;
    assert_eq!((row.v, row.snapshot), (2, false));
}

#[tokio::test]
async fn without_stream_and_row_a_subscribe_still_works() {
    let server = tickwire_nats::testing::NatsServer::start().await.unwrap();
    let edge = Edge::open(&server.url(), &[]).await;
    let mut client = Client::subscribed(&edge, &[A]).await;
    let nats = tickwire_nats::Nats::connect(&server.config(), "test").await.unwrap();
    in_time("NATS connects", nats.connected()).await.unwrap();
    let subject = tickwire_nats::subject::tick("bench", "A");
    let publisher = tickwire_nats::publish::Publisher::new(&nats);
    publisher.publish(&subject, crate::support::market::row(7)).await.unwrap();
    assert_eq!(client.row().await.v, 7);
}

/// A publisher that never stops, clients that come at any moment, each to all the forms of a name.
#[tokio::test]
async fn whoever_joins_misses_nothing_and_sees_nothing_twice() {
    const CLIENTS: usize = 40;
    const READ: usize = 300;
    let market = Arc::new(Market::open().await);
    market.list("bench", &[("A", "alias")]).await;
    let edge = Arc::new(Edge::start(&market.url(), &["--edge.linger_seconds", "0"]).await);
    edge.knows(1).await;
    let (done, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut publisher = JoinSet::new();
    publisher.spawn(publish(Arc::clone(&market), Arc::clone(&done), Arc::clone(&newest)));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let name = [A, "bench:alias", "A", "alias"][number % 4];
        clients.spawn(join(Arc::clone(&edge), name, Arc::clone(&newest), (number * 37) as u64, READ));
    }
    while let Some(rows) = in_time("every client", clients.join_next()).await {
        let rows = rows.unwrap();
        let gap = rows.windows(2).find(|pair| pair[1] != pair[0] + 1);
        assert_eq!(gap, None, "versions are published one by one");
        assert_eq!(rows.len(), READ);
    }
    done.store(true, Ordering::Relaxed);
    in_time("the publisher", publisher.join_all()).await;
}

/// Publishes every version as row and as last value, as fast as the server takes them.
async fn publish(market: Arc<Market>, done: Arc<AtomicBool>, newest: Arc<AtomicU64>) {
    for v in 1.. {
        market.write_last(A, v).await;
        market.tick(A, v).await;
        newest.store(v, Ordering::Relaxed);
        if v % 4 == 0 {
            // A round trip: the server has it all, and no subscription overflows.
            market.nats.barrier().await.unwrap();
        }
        if done.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Joins once `start` is published, reads so many rows; gives their versions.
async fn join(edge: Arc<Edge>, name: &str, newest: Arc<AtomicU64>, start: u64, read: usize) -> Vec<u64> {
    while newest.load(Ordering::Relaxed) < start {
        tokio::task::yield_now().await;
    }
    let mut client = Client::subscribed(&edge, &[name]).await;
    let mut versions = Vec::with_capacity(read);
    while versions.len() < read {
        let row = client.row().await;
        assert_eq!((row.symbol.as_str(), row.skipped), (name, 0));
        versions.push(row.v);
    }
    versions
}
