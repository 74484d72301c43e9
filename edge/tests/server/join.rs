//! Snapshot and live rows are one stream: whoever joins, and whenever, misses nothing after the first row and sees
//! nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::client::Client;
use crate::support::edge::Edge;
use crate::support::in_time;
use crate::support::market::Market;

const A: &str = "bench:A";

/// Longer than a topic's snapshot waits to be read a second time, with the turn of the clock that sees to it.
const SECOND_LOOK: Duration = Duration::from_millis(1_200);

/// Rows that wait in the edge's subscription; it holds more.
const WAITING: u64 = 12_000;

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

/// A snapshot that is read again is newer than rows that wait to be read: they must go before it, or they are missed.
#[tokio::test]
async fn rows_that_wait_are_not_overtaken_by_a_second_look() {
    const TOPICS: [&str; 4] = ["bench:A", "bench:B", "bench:C", "bench:D"];
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.workers", "1"]).await;
    let mut client = Client::subscribed(&edge, &TOPICS).await;
    let joined = Instant::now();
    edge.signal("STOP").await;
    // Time itself is awaited here: when the edge wakes, the second look is due.
    tokio::time::sleep_until(joined + SECOND_LOOK).await;
    for v in 1..=WAITING {
        for topic in TOPICS {
            market.tick(topic, v).await;
            market.write_last(topic, v).await;
        }
    }
    market.nats.barrier().await.unwrap();
    edge.signal("CONT").await;
    let mut last = BTreeMap::from(TOPICS.map(|topic| (topic.to_owned(), 0)));
    while last.values().any(|v| *v < WAITING) {
        let row = client.row().await;
        let before = last.insert(row.symbol, row.v);
        assert_eq!(before, Some(row.v - 1 - row.skipped), "every row comes, or is told as skipped");
    }
}

/// A publisher that never stops, clients that come at any moment, by all the forms of a name; and one that reads
/// everything, also while snapshots are read again.
#[tokio::test]
async fn whoever_joins_misses_nothing_and_sees_nothing_twice() {
    const CLIENTS: u64 = 40;
    /// Rows between two joins.
    const APART: u64 = 2_000;
    let market = Market::open().await;
    market.list("bench", &[("A", "alias")]).await;
    let edge = Edge::start(&market.url(), &["--edge.linger_seconds", "0"]).await;
    edge.knows(1).await;
    let edge = Arc::new(edge);
    let newest = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let name = [A, "bench:alias", "A", "alias"][number as usize % 4];
        clients.spawn(join(Arc::clone(&edge), name, Arc::clone(&newest), number * APART));
    }
    let mut witness = Client::subscribed(&edge, &[A]).await;
    let mut last = 0;
    while !clients.is_empty() {
        for v in last + 1..=last + BURST {
            market.write_last(A, v).await;
            market.tick(A, v).await;
            newest.store(v, Ordering::Relaxed);
        }
        for row in witness.rows_until(last + BURST).await {
            assert_eq!((row.v, row.skipped), (last + 1, 0), "versions are published one by one");
            last = row.v;
        }
        while let Some(done) = clients.try_join_next() {
            done.unwrap();
        }
    }
    assert!(last > (CLIENTS - 1) * APART);
}

/// Rows published before the witness must have read them.
const BURST: u64 = 200;

/// Joins once `start` is published, and reads for a while.
async fn join(edge: Arc<Edge>, name: &str, newest: Arc<AtomicU64>, start: u64) {
    while newest.load(Ordering::Relaxed) < start {
        tokio::task::yield_now().await;
    }
    let mut client = Client::subscribed(&edge, &[name]).await;
    let mut last = client.row().await.v;
    for _ in 0..2 * BURST {
        let row = client.row().await;
        assert_eq!((row.symbol.as_str(), row.v, row.skipped), (name, last + 1, 0));
        last = row.v;
    }
}
