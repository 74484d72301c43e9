//! Figures of the client side, measured on request:
//! `cargo test --release -p tickwire-nats --test figures -- --ignored --nocapture`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tickwire_common::symbol::Topic;
use tickwire_nats::leases::{Expect, Leases};
use tickwire_nats::publish::{PublishError, Publisher};
use tickwire_nats::setup::{LEASES_BUCKET, ensure_bucket, ensure_last_stream};
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{Bytes, Nats, Subject, subject};

const ROWS: u64 = 1_000_000;
const SYMBOLS: usize = 5_000;

async fn connect(server: &NatsServer) -> Nats {
    let nats = Nats::connect(&server.config(), "figures").await.unwrap();
    nats.connected().await.unwrap();
    nats
}

#[ignore = "a measurement"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_a_second_to_the_server() {
    let server = NatsServer::start().await.unwrap();
    let publisher = Publisher::new(&connect(&server).await);
    let subjects: Vec<Subject> = (0..500).map(|n| subject::tick("binance", &format!("S{n}/USDT"))).collect();
    let row = Bytes::from(vec![b'7'; 200]);
    let (started, mut full) = (Instant::now(), 0_u64);
    for subject in subjects.iter().cycle().take(ROWS as usize) {
        while publisher.try_publish(subject, row.clone()) == Err(PublishError::Full) {
            full += 1;
            tokio::task::yield_now().await;
        }
    }
    publisher.flush().await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    println!("{:.0} rows/s of 200 bytes, found the queue full {full} times", ROWS as f64 / seconds);
}

#[ignore = "a measurement"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_five_thousand() {
    let server = NatsServer::start().await.unwrap();
    let nats = connect(&server).await;
    ensure_last_stream(&nats, 1).await.unwrap();
    let topics: Vec<Topic> =
        (0..SYMBOLS).map(|n| Topic::new("binance", &format!("S{n}/USDT")).unwrap()).collect();
    let publisher = Publisher::new(&nats);
    for topic in &topics {
        let subject = subject::last(&topic.venue, topic.symbol.as_str());
        publisher.publish(&subject, Bytes::from(vec![b'7'; 200])).await.unwrap();
    }
    let snapshots = Snapshots::new(&nats);
    while snapshots.get(&topics).await.unwrap().iter().any(Option::is_none) {}
    let mut milliseconds: Vec<f64> = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        snapshots.get(&topics).await.unwrap();
        milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
    }
    milliseconds.sort_by(f64::total_cmp);
    println!(
        "a snapshot of {SYMBOLS} rows: median {:.1} ms, worst {:.1} ms of 20",
        milliseconds[10], milliseconds[19]
    );
}

#[ignore = "a measurement"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_servers_return_to_its_refilled_stream() {
    let mut server = NatsServer::start().await.unwrap();
    let nats = connect(&server).await;
    let mut milliseconds: Vec<(f64, f64)> = Vec::new();
    for _ in 0..20 {
        server.stop();
        nats.state().wait_for(|state| !state.connected).await.unwrap();
        // So long that the waits between attempts have reached their ceiling.
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.restart().await.unwrap();
        let started = Instant::now();
        nats.connected().await.unwrap();
        let up = started.elapsed().as_secs_f64() * 1e3;
        ensure_last_stream(&nats, 1).await.unwrap();
        milliseconds.push((up, started.elapsed().as_secs_f64() * 1e3));
    }
    milliseconds.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!(
        "link up, stream made after the server answers: median {:.0?} ms, worst {:.0?} ms of 20",
        milliseconds[10], milliseconds[19]
    );
}

/// As in production: every write reaches the disk before it is acknowledged (an option of 2.10 and newer).
#[ignore = "a measurement"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_leases_read_and_renewed() {
    let folder = NatsServer::new_folder().unwrap();
    let durable = "jetstream { store_dir: \"$FOLDER/store\", sync_interval: always }";
    let server = match NatsServer::start_in(folder, durable, &[]).await {
        Ok(server) => server,
        Err(_) => NatsServer::start().await.unwrap(),
    };
    let nats = connect(&server).await;
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
    let leases = Leases::new(&nats);
    let value = Bytes::from(vec![b'7'; 200]);
    let keys: Vec<String> = (0..100).map(|n| format!("shard.binance.{n}")).collect();
    let mut revisions = vec![Expect::Absent; keys.len()];
    let (mut reads, mut renewals) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let started = Instant::now();
        let puts = keys.iter().zip(&revisions).map(|(key, known)| leases.put(key, value.clone(), *known));
        let done = join_all(puts).await;
        renewals.push(started.elapsed().as_secs_f64() * 1e3);
        revisions = done.into_iter().map(|revision| Expect::Revision(revision.unwrap())).collect();
        let started = Instant::now();
        assert_eq!(leases.read_all().await.unwrap().len(), keys.len());
        reads.push(started.elapsed().as_secs_f64() * 1e3);
    }
    for (what, mut all) in [("renewing", renewals), ("reading", reads)] {
        all.sort_by(f64::total_cmp);
        println!("{what} 100 leases: median {:.1} ms, worst {:.1} ms of 20", all[10], all[19]);
    }
}
