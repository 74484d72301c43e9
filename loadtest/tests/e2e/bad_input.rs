//! Wrong configurations end with status 2 and one message that names every mistake, before any socket opens.

use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::process::command;

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
