//! A recording goes through everything and arrives digit for digit; who comes after its end gets the last rows.

use std::collections::BTreeMap;

use tickwire_common::symbol::Topic;
use tickwire_nats::subject::parse_tick;
use tickwire_nats::subscribe::Subscription;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;

use crate::client::{Client, Fields, fields, take_number};
use crate::process::Scratch;
use crate::recording::Recording;
use crate::stack::{Setup, Stack, last_values};
use crate::{PATIENCE, http};

/// A stack whose exchange plays the recording one time, when `streams` are subscribed to.
async fn stack(recording: &Recording, streams: usize, faults: &str) -> Stack {
    let path = recording.path.display();
    let exchange = format!("--replay {path} --once --speed 4 --start-after {streams} {faults}");
    Stack::start(Setup { exchange: &exchange, symbols: "all", ..Setup::default() }).await
}

/// Every row on NATS, until each topic has as many as are expected: each equals the expected one, and `v` grows.
async fn check_published(ticks: &mut Subscription, recording: &Recording) {
    let mut seen: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for _ in 0..recording.frames {
        let message =
            timeout(PATIENCE, ticks.next()).await.expect("a tick in time").expect("an open subscription");
        let (venue, symbol) = parse_tick(message.subject.as_str()).unwrap();
        let topic = format!("{venue}:{symbol}");
        let mut row = fields(std::str::from_utf8(&message.payload).unwrap());
        let v = take_number(&mut row, "v").unwrap();
        let (at, before) = seen.entry(topic.clone()).or_default();
        assert!(v > *before, "{topic}: v {v} after {before}");
        assert_eq!(Some(&row), recording.rows[&topic].get(*at), "{topic}, row {at}");
        (*at, *before) = (*at + 1, v);
    }
}

/// Every row at a client, until each topic has reached its last: each equals the one at its place, folded ones counted.
async fn check_received(client: &mut Client, recording: &Recording) {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    while recording.rows.iter().any(|(topic, rows)| places.get(topic) != Some(&rows.len())) {
        let row = client.row().await;
        let place = places.entry(row.symbol.clone()).or_default();
        let at = *place + usize::try_from(row.skipped).unwrap();
        assert_eq!(Some(&row.fields), recording.rows[&row.symbol].get(at), "{}, row {at}", row.symbol);
        *place = at + 1;
    }
}

#[tokio::test]
async fn every_row_of_a_recording_arrives_digit_for_digit() {
    let scratch = Scratch::new();
    let recording = Recording::write(&scratch);
    // One stream more than the ingestor asks for: it begins when we ask for that one, after the client is there.
    let stack = stack(&recording, recording.streams + 1, "").await;
    let nats = stack.nats().await;
    let mut ticks = stack.ticks(&nats).await;
    let mut client = stack.client().await;
    client.subscribe(&recording.topics()).await;
    let start = format!("{}/binance/ws/btcusdt@aggTrade", stack.exchange.urls[0].replace("http://", "ws://"));
    let (_open, _) = connect_async(start).await.unwrap();
    tokio::join!(check_published(&mut ticks, &recording), check_received(&mut client, &recording));
    stack.replayed().await;
    stack.kept_the_limits().await;
}

/// Waits until the stored rows are the newest ones of the recording.
async fn stored(stack: &Stack, recording: &Recording) {
    let nats = stack.nats().await;
    let topics: Vec<Topic> = recording.rows.keys().map(|topic| topic.parse().unwrap()).collect();
    http::until("the last values are stored", async || {
        let stored = last_values(&nats, &topics).await;
        recording.rows.iter().all(|(topic, rows)| {
            let row = stored.get(&topic.parse().unwrap()).map(|row| {
                let mut row = fields(std::str::from_utf8(row).unwrap());
                row.remove("v");
                row
            });
            row.as_ref() == rows.last()
        })
    })
    .await;
}

/// What a client that comes now gets for its subscription, before anything else.
async fn snapshots(stack: &Stack, recording: &Recording) -> BTreeMap<String, Fields> {
    let mut client = stack.client().await;
    client.subscribe(&recording.topics()).await;
    let mut rows = BTreeMap::new();
    for _ in 0..recording.rows.len() {
        let row = client.row().await;
        assert!(row.is_snapshot, "{row:?}");
        rows.insert(row.symbol, row.fields);
    }
    rows
}

#[tokio::test]
async fn who_comes_when_the_feed_is_silent_gets_the_last_rows() {
    let scratch = Scratch::new();
    let recording = Recording::write(&scratch);
    let stack = stack(&recording, recording.streams, "").await;
    stack.replayed().await;
    stored(&stack, &recording).await;
    let last: BTreeMap<String, Fields> =
        recording.rows.iter().map(|(topic, rows)| (topic.clone(), rows.last().unwrap().clone())).collect();
    assert_eq!(snapshots(&stack, &recording).await, last, "out of the stored last values");
    assert_eq!(snapshots(&stack, &recording).await, last, "out of the edge's own");
}

#[tokio::test]
async fn garbage_between_the_frames_is_counted_and_changes_nothing() {
    let scratch = Scratch::new();
    let recording = Recording::write(&scratch);
    let stack = stack(&recording, recording.streams, "--garbage 7").await;
    stack.replayed().await;
    stored(&stack, &recording).await;
    let stats = stack.stats().await;
    let sent: u64 =
        ["binance", "kucoin"].map(|id| stats["venues"][id]["garbage_sent"].as_u64().unwrap()).iter().sum();
    assert!(sent >= recording.frames / 7 - 2, "{stats}");
    let metrics = stack.ingestor.admin("/metrics");
    http::until("all of it is counted", async || {
        http::counter(&metrics, "tickwire_ingest_decode_errors_total").await == sent
    })
    .await;
    assert_eq!(http::counter(&metrics, "tickwire_ingest_rows_total").await, recording.frames);
    assert_eq!(http::counter(&metrics, "tickwire_ingest_reconnects_total").await, 0);
}
