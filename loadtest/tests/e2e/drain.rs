//! SIGTERM: the edge sends its clients away politely, the ingestor leaves its newest rows behind, both end with 0.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use tickwire_common::symbol::Topic;
use tickwire_nats::subject::parse_tick;
use tickwire_nats::subscribe::Subscription;
use tickwire_nats::{Bytes, Nats};

use crate::client::Client;
use crate::stack::{Setup, Stack, last_values};

const CLIENTS: usize = 20;

/// The newest row of each topic, of everything that was published until now.
async fn newest(listener: Nats, mut ticks: Subscription) -> BTreeMap<Topic, Bytes> {
    let mut newest = BTreeMap::new();
    // Whatever was published is on its way to us before the answer to this.
    listener.barrier().await.unwrap();
    listener.drain().await;
    while let Some(message) = ticks.next().await {
        let (venue, symbol) = parse_tick(message.subject.as_str()).unwrap();
        newest.insert(Topic::new(&venue, &symbol).unwrap(), message.payload);
    }
    newest
}

#[tokio::test]
async fn sigterm_loses_no_client_and_no_row() {
    let setup = Setup {
        exchange: "--symbols 5 --rate 20",
        symbols: "all",
        edge: "--edge.drain_spread_seconds 1",
        ..Setup::default()
    };
    let mut stack = Stack::start(setup).await;
    let (nats, listener) = (stack.nats().await, stack.nats().await);
    let ticks = stack.ticks(&listener).await;
    let mut clients = join_all((0..CLIENTS).map(async |_| {
        let mut client = stack.client().await;
        client.subscribe(&["binance:BTC/USDT", "kucoin:ETH/USDT"]).await;
        client.row().await;
        client
    }))
    .await;

    stack.edge.signal("TERM").await;
    let ends = join_all(clients.iter_mut().map(Client::end)).await;
    assert_eq!(ends, [(true, Some(1012)); CLIENTS]);
    assert_eq!(stack.edge.ended().await, 0);

    stack.ingestor.signal("TERM").await;
    assert_eq!(stack.ingestor.ended().await, 0);
    let newest = newest(listener, ticks).await;
    assert_eq!(newest.len(), 10, "five symbols at each of two venues");
    let topics: Vec<Topic> = newest.keys().cloned().collect();
    assert_eq!(last_values(&nats, &topics).await, newest);

    stack.exchange.signal("TERM").await;
    assert_eq!(stack.exchange.ended().await, 0);
}
