//! The link comes up, goes and comes back; everybody is told once.

use tickwire_common::symbol::Topic;
use tickwire_nats::publish::Publisher;
use tickwire_nats::setup::ensure_last_stream;
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::{Bytes, LinkError, LinkState, Nats, Subject, subject};
use tokio::time::{Instant, timeout};

use crate::{PATIENCE, connect, down, next, server, up};

#[tokio::test]
async fn connects_to_a_server_that_starts_later() {
    let mut server = server().await;
    server.stop();
    let nats = Nats::connect(&server.config(), "test").await.unwrap();
    assert_eq!(*nats.state().borrow(), LinkState { connected: false, epoch: 0 });
    assert_eq!(nats.barrier().await, Err(LinkError::Disconnected));
    let mut early = nats.subscribe(&Subject::from("a")).await.unwrap();
    server.restart().await.unwrap();
    assert_eq!(up(&nats).await, LinkState { connected: true, epoch: 1 });
    Publisher::new(&nats).try_publish(&Subject::from("a"), Bytes::from_static(b"1")).unwrap();
    assert_eq!(next(&mut early).await.payload, "1");
}

#[tokio::test]
async fn subscriptions_are_active_again_when_the_epoch_grows() {
    let mut server = server().await;
    let nats = connect(&server.config()).await;
    let subject = Subject::from("md.tick.x.A");
    let mut subscription = nats.subscribe(&subject).await.unwrap();
    for epoch in 2..4 {
        server.stop();
        down(&nats).await;
        server.restart().await.unwrap();
        assert_eq!(up(&nats).await.epoch, epoch);
        assert_eq!(server.subscriptions_of(subject.as_str()).await.unwrap(), 1);
        Publisher::new(&nats).try_publish(&subject, Bytes::from(epoch.to_string())).unwrap();
        assert_eq!(next(&mut subscription).await.payload, epoch.to_string());
    }
}

#[tokio::test]
async fn a_barrier_proves_that_subscriptions_are_registered() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    // Somebody who listens to everything answers no request; a barrier must not depend on that.
    let _all = nats.subscribe(&Subject::from(">")).await.unwrap();
    let _one = nats.subscribe(&Subject::from("one")).await.unwrap();
    nats.barrier().await.unwrap();
    assert_eq!(server.subscriptions_of("one").await.unwrap(), 1);
}

#[tokio::test]
async fn drain_delivers_what_is_queued_and_closes() {
    let server = server().await;
    let (nats, other) = (connect(&server.config()).await, connect(&server.config()).await);
    let subject = Subject::from("last.words");
    let mut subscription = other.subscribe(&subject).await.unwrap();
    other.barrier().await.unwrap();
    let publisher = Publisher::new(&nats);
    for n in 0..1_000 {
        publisher.try_publish(&subject, Bytes::from(n.to_string())).unwrap();
    }
    timeout(PATIENCE, nats.drain()).await.expect("ends");
    for n in 0..1_000 {
        assert_eq!(next(&mut subscription).await.payload, n.to_string());
    }
    assert!(!nats.is_connected());
    assert!(publisher.try_publish(&subject, Bytes::new()).is_err());
    assert_eq!(nats.barrier().await, Err(LinkError::Closed));
}

#[tokio::test]
async fn drain_ends_while_nats_is_away() {
    let mut server = server().await;
    let nats = connect(&server.config()).await;
    server.stop();
    down(&nats).await;
    let started = Instant::now();
    timeout(PATIENCE, nats.drain()).await.expect("ends");
    assert!(started.elapsed().as_secs() < 10);
}

/// Five outages in a row, of any length: what was kept in memory is back soon after the server is.
#[tokio::test]
async fn what_a_server_without_disk_lost_is_refilled_when_it_is_back() {
    let mut server = server().await;
    let nats = connect(&server.config()).await;
    let topic = Topic::new("binance", "BTC/USDT").unwrap();
    let (publisher, snapshots) = (Publisher::new(&nats), Snapshots::new(&nats));
    let row = subject::last(&topic.venue, topic.symbol.as_str());
    for round in 0..5 {
        server.stop();
        down(&nats).await;
        std::fs::remove_dir_all(server.folder().join("store")).ok();
        server.restart().await.unwrap();
        let back = Instant::now();
        up(&nats).await;
        ensure_last_stream(&nats, 1).await.unwrap();
        let value = Bytes::from(format!("{{\"v\":{round}}}"));
        publisher.publish(&row, value.clone()).await.unwrap();
        let refilled = async {
            while snapshots.get(std::slice::from_ref(&topic)).await.unwrap() != [Some(value.clone())] {}
        };
        timeout(PATIENCE, refilled).await.expect("refilled");
        // Far above what it takes, for a loaded machine; the figures say how long it takes.
        assert!(back.elapsed().as_secs() < 10, "{:?}", back.elapsed());
    }
}
