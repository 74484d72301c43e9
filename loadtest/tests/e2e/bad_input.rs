//! Wrong configurations end with status 2 and one message that names every mistake, before any socket opens.

use std::time::Instant;

use futures_util::FutureExt;
use tickwire_nats::testing::{NatsServer, free_port};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::client::Client;
use crate::http;
use crate::process::{Program, Scratch, command};
use crate::stack::{edge_words, stream_url};

/// Runs a program that must refuse its arguments; what it said on stderr.
async fn refused(program: &str, words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let output = timeout(PATIENCE, command(program, &words).output()).await.expect("it ends").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "nothing is ready");
    said
}

async fn check(program: &str, words: &str, mistakes: &[&str]) {
    let nats = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let words = format!("--nats.url nats://{} {words}", nats.local_addr().unwrap());
    let said = refused(program, &words).await;
    for mistake in mistakes {
        assert!(said.contains(mistake), "{mistake} is missing in:\n{said}");
    }
    assert_eq!(said.lines().count(), mistakes.len(), "{said}");
    assert!(nats.accept().now_or_never().is_none(), "no socket is opened");
}

#[tokio::test]
async fn the_ingestor_names_every_mistake() {
    let words = "--venues.nyse.symbols all --venues.binance.symbols BTC/USDT,,X --venues.kucoin.symbols all \
                 --venues.kucoin.rest_url ftp://x --admin.listen nowhere --nats.replicas 9 --log.format xml --venue x";
    let mistakes = [
        "venues.nyse.symbols",
        "venues.binance.symbols",
        "venues.kucoin.rest_url",
        "admin.listen",
        "nats.replicas",
        "log.format",
        "unknown setting venue",
    ];
    check("tickwire-ingestor", words, &mistakes).await;
}

/// Limits that are above the venues' own.
#[tokio::test]
async fn the_ingestor_stays_below_the_venues_limits() {
    let words = "--venues.binance.symbols all --venues.binance.topics_per_socket 1025 \
                 --venues.kucoin.symbols all --venues.kucoin.topics_per_socket 301 \
                 --venues.kucoin.socket_lifetime_seconds 86401";
    let mistakes = [
        "venues.binance.topics_per_socket",
        "venues.kucoin.topics_per_socket",
        "venues.kucoin.socket_lifetime_seconds",
    ];
    check("tickwire-ingestor", words, &mistakes).await;
}

/// What only the venues can tell: both are asked, and all that is wrong is told at once.
#[tokio::test]
async fn the_ingestor_names_what_the_venues_do_not_trade() {
    let scratch = Scratch::new();
    let mut exchange = Program::spawn("tickwire-loadtest", "exchange --listen 127.0.0.1:0", &scratch);
    exchange.ready().await;
    let words = format!(
        "--admin.listen 127.0.0.1:0 --venues.binance.rest_url {0}/binance --venues.kucoin.rest_url {0}/kucoin \
         --venues.binance.symbols all --venues.binance.match ^NOTHING --venues.binance.quote USDT,USDX \
         --venues.kucoin.symbols BTC/USDT,ethusdt,NOPE/USDT",
        exchange.admin("")
    );
    let mistakes = [
        "tickwire-ingestor: wrong configuration",
        "venues.binance.match matches nothing that binance trades now",
        "venues.binance.quote: USDX matches nothing that binance trades now",
        "venues.kucoin.symbols: ethusdt (did you mean ETH/USDT?), NOPE/USDT: not traded at kucoin now",
    ];
    check("tickwire-ingestor", &words, &mistakes).await;
}

/// Neither its REST interface nor its sockets are there.
#[tokio::test]
async fn a_venue_that_is_wholly_down_stops_no_other() {
    let scratch = Scratch::new();
    let nats = NatsServer::start().await.unwrap();
    let mut exchange = Program::spawn("tickwire-loadtest", "exchange --listen 127.0.0.1:0", &scratch);
    let mut edge = Program::spawn("tickwire-edge", &edge_words(&nats, ""), &scratch);
    exchange.ready().await;
    edge.ready().await;
    let words = format!(
        "--nats.url {} --admin.listen 127.0.0.1:0 --venues.binance.symbols BTC/USDT \
         --venues.binance.rest_url http://127.0.0.1:{1} --venues.binance.ws_url ws://127.0.0.1:{1} \
         --venues.kucoin.symbols all --venues.kucoin.rest_url {2}/kucoin",
        nats.url(),
        free_port().unwrap(),
        exchange.admin("")
    );
    let started = Instant::now();
    let mut ingestor = Program::spawn("tickwire-ingestor", &words, &scratch);
    ingestor.ready().await;
    let symbols = format!("{}/v1/symbols", edge.urls[0]);
    http::until("the other venue is listed", async || http::get(&symbols).await.1.contains("kucoin:")).await;
    let mut client = Client::connect(&stream_url(&edge)).await;
    client.subscribe(&["kucoin:BTC/USDT"]).await;
    let first = client.row_of("kucoin:BTC/USDT").await;
    assert!(client.row_of("kucoin:BTC/USDT").await.v > first.v);
    println!("prices of the other venue {:?} after the start", started.elapsed());
    client.feed("kucoin", "live").await;
    client.feed_any("binance", &["connecting", "down"]).await;
    client.row_of("kucoin:BTC/USDT").await;
}

#[tokio::test]
async fn the_edge_names_every_mistake() {
    let words = "--edge.listen here --edge.workers many --edge.venue_order Bin!ance --edge.linger_seconds -1 \
                 --drain.grace_seconds 0 --edge.colour red";
    let mistakes = [
        "edge.listen",
        "edge.workers",
        "edge.venue_order",
        "edge.linger_seconds",
        "drain.grace_seconds",
        "unknown setting edge.colour",
    ];
    check("tickwire-edge", words, &mistakes).await;
}

#[tokio::test]
async fn the_loadtest_refuses_what_it_cannot_do() {
    assert!(refused("tickwire-loadtest", "exchange --rate fast").await.contains("--rate"));
    assert!(refused("tickwire-loadtest", "clients --symbols X --threshold p98=1s").await.contains("p99"));
}
