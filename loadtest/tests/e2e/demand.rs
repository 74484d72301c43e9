//! Venues whose symbols are carried while a client wants them: ticks soon after the first client came, nothing of what
//! nobody wants, and another ingestor where the one that carries a symbol dies.

use std::time::{Duration, Instant};

use tickwire_common::time::now_us;

use crate::client::Client;
use crate::http;
use crate::process::Program;
use crate::stack::{Setup, Stack, stream_url};

const KEPT: &str = "binance:BTC/USDT";
const LEFT: &str = "binance:SOL/USDT";

/// Streams of one symbol at Binance.
const STREAMS: u64 = 3;

/// The goals are 1 s to the first tick, and 5 s over a dead ingestor; a machine full of tests is given far more.
const FIRST_TICK: Duration = Duration::from_secs(10);
const TAKE_OVER: Duration = Duration::from_secs(30);

/// A symbol is dropped as soon as its want has expired, with as little lingering as the settings allow.
const EDGE: &str = "--edge.linger_seconds 0";

/// Two ingestors that share the venues.
async fn stack() -> (Stack, Program) {
    let setup = Setup {
        exchange: "--symbols 6 --rate 10",
        symbols: "demand",
        ingestor: "--venues.binance.linger_seconds 1 --venues.kucoin.linger_seconds 1",
        edge: EDGE,
    };
    let stack = Stack::start(setup).await;
    let second = stack.another_ingestor().await;
    stack.shared_with(&second).await;
    (stack, second)
}

/// What the exchange counts of a venue.
async fn count(stack: &Stack, venue: &str, what: &str) -> u64 {
    stack.stats().await["venues"][venue][what].as_u64().unwrap()
}

/// Subscribes, and waits for the first row; how long that took.
async fn first_tick(client: &mut Client, topic: &str) -> Duration {
    let asked = Instant::now();
    client.subscribe(&[topic]).await;
    client.row_of(topic).await;
    asked.elapsed()
}

/// Waits until one of two ingestors says that it carries a symbol, and the other none; whether it is the first.
async fn is_first(stack: &Stack, second: &Program) -> bool {
    let of = async |one: &Program| http::counter(&one.admin("/metrics"), "tickwire_ingest_topics").await;
    let mut both = [0, 0];
    http::until("one of them carries the symbol", async || {
        both = [of(&stack.ingestor).await, of(second).await];
        both == [STREAMS, 0] || both == [0, STREAMS]
    })
    .await;
    both[0] > 0
}

#[tokio::test]
async fn what_clients_want_is_carried_and_nothing_else() {
    let (stack, _second) = stack().await;
    assert_eq!(count(&stack, "binance", "streams").await, 0, "nobody wants anything");
    let mut first = stack.client().await;
    for topic in [KEPT, LEFT] {
        let taken = first_tick(&mut first, topic).await;
        println!("first tick of {topic} after {taken:?}");
        assert!(taken < FIRST_TICK, "{taken:?}");
    }
    http::until("both symbols are carried", async || {
        count(&stack, "binance", "streams").await == 2 * STREAMS
    })
    .await;

    let edge = stack.another_edge(EDGE).await;
    let mut second = Client::connect(&stream_url(&edge)).await;
    second.subscribe(&[KEPT]).await;
    second.row_of(KEPT).await;
    drop(first);
    let left = Instant::now();
    http::until("what nobody wants is dropped", async || {
        count(&stack, "binance", "streams").await == STREAMS
    })
    .await;
    println!("dropped {:?} after the last client had gone", left.elapsed());
    let seen = now_us();
    while second.row_of(KEPT).await.v < seen {}
    assert_eq!(count(&stack, "binance", "streams_unsubscribed").await, STREAMS, "the other was kept");
    assert_eq!(count(&stack, "binance", "streams_subscribed").await, 2 * STREAMS);
    assert_eq!(count(&stack, "kucoin", "streams_subscribed").await, 0, "nobody wanted anything of it");
    assert_eq!(stack.stats().await["venues"]["binance"]["violations"], serde_json::json!({}));
}

#[tokio::test]
async fn another_ingestor_carries_on_what_is_wanted() {
    let (mut stack, mut second) = stack().await;
    let mut client = stack.client().await;
    first_tick(&mut client, KEPT).await;
    let carrier = if is_first(&stack, &second).await { &mut stack.ingestor } else { &mut second };
    carrier.kill().await;
    let (dead, since) = (now_us(), Instant::now());
    // Rows that the dead one published are on their way still; `v` is the time at which a tick came.
    while client.row_of(KEPT).await.v <= dead {}
    println!("carried on by the other after {:?}", since.elapsed());
    assert!(since.elapsed() < TAKE_OVER, "{:?}", since.elapsed());
    client.row_of(KEPT).await;
    http::until("only the other carries it", async || count(&stack, "binance", "streams").await == STREAMS)
        .await;
}
