//! Figures of the client side, measured on request:
//! `cargo test --release -p tickwire-nats --test figures -- --ignored --nocapture`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

use std::time::{Duration, Instant};

use tickwire_common::symbol::Topic;
use tickwire_nats::publish::{PublishError, Publisher};
use tickwire_nats::setup::ensure_last_stream;
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
