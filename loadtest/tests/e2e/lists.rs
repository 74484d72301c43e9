//! Lists of symbols that others write: a file, and keys in NATS. What is added ticks, what is removed leaves, and nobody
//! restarts anything.

use std::path::Path;

use tickwire_nats::publish::Publisher;
use tickwire_nats::setup::{WATCH_BUCKET, ensure_bucket};
use tickwire_nats::subject::Subject;
use tickwire_nats::{Bytes, Nats};

use crate::http;
use crate::process::Scratch;
use crate::stack::{Setup, Stack};

/// Waits until the edge lists exactly these symbols of a venue.
async fn listed(stack: &Stack, venue: &str, symbols: &[&str]) {
    let url = format!("{}/v1/symbols", stack.edge.urls[0]);
    http::until(&format!("{venue} lists {symbols:?}"), async || {
        let answer = http::json(&url).await;
        let all = answer["data"].as_array().unwrap();
        let of_venue = all.iter().filter(|one| one["venue"] == venue);
        let mut names: Vec<&str> = of_venue.map(|one| one["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names == symbols
    })
    .await;
}

/// A new client gets rows of this topic that move.
async fn ticks(stack: &Stack, topic: &str) {
    let mut client = stack.client().await;
    client.subscribe(&[topic]).await;
    let first = client.row_of(topic).await;
    assert!(client.row_of(topic).await.v > first.v);
}

/// Waits until the venue has so many streams to deliver: what left is given up.
async fn carried(stack: &Stack, venue: &str, streams: u64) {
    http::until("what left is unsubscribed", async || {
        stack.stats().await["venues"][venue]["streams"] == streams
    })
    .await;
}

/// As editors and orchestrators do: a new file that takes the old one's name.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

#[tokio::test]
async fn a_file_that_is_replaced_is_followed() {
    let scratch = Scratch::new();
    let file = scratch.file("symbols.txt");
    replace(&file, "# ours\nETH/USDT\n");
    let setup = Setup {
        exchange: "--symbols 4 --rate 10",
        symbols: "BTC/USDT",
        ingestor: &format!("--venues.binance.symbols_file {}", file.display()),
        ..Setup::default()
    };
    let stack = Stack::start(setup).await;
    listed(&stack, "binance", &["BTC/USDT", "ETH/USDT"]).await;
    listed(&stack, "kucoin", &["BTC/USDT"]).await;
    let mut client = stack.client().await;
    client.subscribe(&["binance:BTC/USDT", "binance:ETH/USDT"]).await;
    client.row_of("binance:ETH/USDT").await;

    replace(&file, "SOLUSDT # by the venue's own key\nNOPE/USDT\n");
    listed(&stack, "binance", &["BTC/USDT", "SOL/USDT"]).await;
    ticks(&stack, "binance:SOL/USDT").await;
    client.row_of("binance:BTC/USDT").await;
    carried(&stack, "binance", 2 * 3).await;
    let stats = stack.stats().await;
    assert_eq!(stats["venues"]["binance"]["sockets_opened"], 1, "the socket stayed: {stats}");
    stack.kept_the_limits().await;
}

/// Writes one application's list.
async fn put(nats: &Nats, key: &str, value: &'static str) {
    let subject = Subject::from(format!("$KV.{WATCH_BUCKET}.{key}"));
    let publisher = Publisher::new(nats);
    publisher.publish(&subject, Bytes::from_static(value.as_bytes())).await.unwrap();
    publisher.flush().await.unwrap();
}

/// Also when the ingestor that kept the list is gone.
#[tokio::test]
async fn the_lists_of_several_applications_are_one() {
    let setup = Setup {
        exchange: "--symbols 4 --rate 10",
        symbols: "BTC/USDT",
        ingestor: "--venues.kucoin.symbols_key app",
        ..Setup::default()
    };
    let mut stack = Stack::start(setup).await;
    let _second = stack.another_ingestor().await;
    let nats = stack.nats().await;
    ensure_bucket(&nats, WATCH_BUCKET, 1).await.unwrap();
    put(&nats, "app.alice", r#"["ETH/USDT","BTC/USDT"]"#).await;
    put(&nats, "app.bob", "# bob's\nSOL/USDT\nETH/USDT\n").await;
    put(&nats, "apple", "XRP/USDT").await;
    listed(&stack, "kucoin", &["BTC/USDT", "ETH/USDT", "SOL/USDT"]).await;
    ticks(&stack, "kucoin:ETH/USDT").await;
    ticks(&stack, "kucoin:SOL/USDT").await;
    stack.ingestor.kill().await;
    put(&nats, "app.alice", "[]").await;
    put(&nats, "app.bob", "SOL/USDT").await;
    listed(&stack, "kucoin", &["BTC/USDT", "SOL/USDT"]).await;
    ticks(&stack, "kucoin:SOL/USDT").await;
    carried(&stack, "kucoin", 2 * 2).await;
    stack.kept_the_limits().await;
}
