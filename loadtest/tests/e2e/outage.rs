//! What fails and comes back: exchange sockets, the ingestor, NATS. Clients are told, stay connected, and never see a
//! `v` go back (every [`Client`](crate::client::Client) checks that by itself).

use tickwire_common::row::read_v;
use tickwire_common::symbol::Topic;
use tickwire_nats::testing::NatsServer;

use crate::client::Client;
use crate::http;
use crate::process::{Program, Scratch};
use crate::stack::{Setup, Stack, edge_words, ingestor_words, last_values};

const BINANCE: &str = "binance:BTC/USDT";
const KUCOIN: &str = "kucoin:BTC/USDT";

/// A stack, and a client that sees prices of both venues move.
async fn stack(faults: &str) -> (Stack, Client) {
    let exchange = format!("--symbols 2 --rate 10 {faults}");
    let setup = Setup { exchange: &exchange, symbols: "BTC/USDT,ETH/USDT", ..Setup::default() };
    let stack = Stack::start(setup).await;
    let mut client = stack.client().await;
    client.subscribe(&[BINANCE, KUCOIN]).await;
    client.feed("binance", "live").await;
    client.feed("kucoin", "live").await;
    moves(&mut client).await;
    (stack, client)
}

/// Prices of both venues go on.
async fn moves(client: &mut Client) {
    for topic in [BINANCE, KUCOIN] {
        let first = client.row_of(topic).await;
        assert!(client.row_of(topic).await.v > first.v);
    }
}

#[tokio::test]
async fn exchange_sockets_cut() {
    let (stack, mut client) = stack("").await;
    let cut = http::post(&stack.exchange.admin("/control/cut?venue=binance")).await;
    assert_eq!(cut["cut"], 1);
    client.feed("binance", "stale").await;
    assert_eq!(client.feeds["kucoin"], "live", "the other venue has nothing to do with it");
    client.feed("binance", "live").await;
    moves(&mut client).await;
    http::post(&stack.exchange.admin("/control/cut")).await;
    client.feed("kucoin", "stale").await;
    client.feed("kucoin", "live").await;
    client.feed("binance", "live").await;
    moves(&mut client).await;
    stack.kept_the_limits().await;
    let metrics = stack.ingestor.admin("/metrics");
    assert_eq!(http::counter(&metrics, "tickwire_ingest_reconnects_total").await, 3);
}

/// Binance announces its daily cut, KuCoin just cuts. Every socket is replaced before that, and no client hears of it.
#[tokio::test]
async fn daily_cut_of_the_venues() {
    let lifetime = ["binance", "kucoin"].map(|venue| format!("--venues.{venue}.socket_lifetime_seconds 10"));
    let setup = Setup {
        exchange: "--symbols 2 --rate 10 --lifetime 10",
        symbols: "BTC/USDT,ETH/USDT",
        ingestor: &lifetime.join(" "),
        ..Setup::default()
    };
    let stack = Stack::start(setup).await;
    let mut client = stack.client().await;
    client.subscribe(&[BINANCE, KUCOIN]).await;
    client.feed("binance", "live").await;
    client.feed("kucoin", "live").await;
    let metrics = stack.ingestor.admin("/metrics");
    // Two of each venue: the sockets that came second live as long as the first.
    while http::counter(&metrics, "tickwire_ingest_rotations_total").await < 4 {
        moves(&mut client).await;
        assert!(client.feeds.values().all(|state| state == "live"), "{:?}", client.feeds);
    }
    assert_eq!(http::counter(&metrics, "tickwire_ingest_reconnects_total").await, 0);
    stack.kept_the_limits().await;
}

/// As in an upgrade: it says goodbye, so that nobody has to wait for its silence.
#[tokio::test]
async fn ingestor_restarted() {
    let (mut stack, mut client) = stack("").await;
    stack.ingestor.signal("TERM").await;
    assert_eq!(stack.ingestor.ended().await, 0);
    client.feed("binance", "down").await;
    client.feed("kucoin", "down").await;
    stack.restart_ingestor().await;
    client.feed("binance", "live").await;
    client.feed("kucoin", "live").await;
    moves(&mut client).await;
}

#[tokio::test]
async fn ingestor_killed() {
    let (mut stack, mut client) = stack("").await;
    stack.ingestor.kill().await;
    client.feed("binance", "down").await;
    client.feed("kucoin", "down").await;
    stack.restart_ingestor().await;
    client.feed("binance", "live").await;
    client.feed("kucoin", "live").await;
    moves(&mut client).await;
    stack.kept_the_limits().await;
}

#[tokio::test]
async fn nats_killed() {
    let (mut stack, mut client) = stack("").await;
    let before = client.newest[BINANCE];
    stack.nats.stop();
    client.feed("binance", "stale").await;
    client.feed("kucoin", "stale").await;
    for program in [&stack.edge, &stack.ingestor] {
        assert_eq!(http::get(&program.admin("/readyz")).await.0, 503);
        assert_eq!(http::get(&program.admin("/livez")).await.0, 200);
    }
    stack.nats.restart().await.unwrap();
    client.feed("binance", "live").await;
    client.feed("kucoin", "live").await;
    moves(&mut client).await;
    for program in [&stack.edge, &stack.ingestor] {
        let ready = program.admin("/readyz");
        http::until("ready again", async || http::get(&ready).await.0 == 200).await;
    }
    let nats = stack.nats().await;
    let topics: Vec<Topic> = ["binance:BTC/USDT", "binance:ETH/USDT", "kucoin:BTC/USDT", "kucoin:ETH/USDT"]
        .map(|topic| topic.parse().unwrap())
        .to_vec();
    http::until("every last value is stored again", async || {
        let stored = last_values(&nats, &topics).await;
        stored.len() == topics.len() && stored.values().all(|row| read_v(row).unwrap() > before)
    })
    .await;
}

#[tokio::test]
async fn nats_away_at_the_start() {
    let scratch = Scratch::new();
    let mut nats = NatsServer::start().await.unwrap();
    nats.stop();
    let mut exchange =
        Program::spawn("tickwire-loadtest", "exchange --listen 127.0.0.1:0 --symbols 2", &scratch);
    exchange.ready().await;
    let words = ingestor_words(&nats, &exchange.admin(""), "BTC/USDT");
    let mut ingestor = Program::spawn("tickwire-ingestor", &words, &scratch);
    let mut edge = Program::spawn("tickwire-edge", &edge_words(&nats, ""), &scratch);
    edge.ready().await;
    let (status, why) = http::get(&edge.admin("/readyz")).await;
    assert_eq!(status, 503);
    assert!(why.contains("NATS is not connected"), "{why}");
    http::until("the ingestor misses NATS", async || ingestor.log().contains("NATS unreachable")).await;
    assert!(!ingestor.said_ready(), "not ready without NATS");
    nats.restart().await.unwrap();
    ingestor.ready().await;
    let ready = edge.admin("/readyz");
    http::until("the edge is ready", async || http::get(&ready).await.0 == 200).await;
    for program in [&edge, &ingestor] {
        assert_eq!(program.log().matches("NATS unreachable").count(), 1, "said once");
    }
}
