//! What is asked for from outside: the wants of edges, and the watch lists of applications.

use std::collections::BTreeSet;

use tickwire_common::symbol::Symbol;
use tickwire_nats::publish::{PublishError, Publisher};
use tickwire_nats::setup::{WATCH_BUCKET, ensure_bucket};
use tickwire_nats::want::Wants;
use tickwire_nats::watch_lists::{WatchError, WatchLists, WatchedLists};
use tickwire_nats::{Bytes, Nats, Subject, subject};
use tokio::time::timeout;

use crate::{PATIENCE, connect, down, server, up};

fn symbols(count: usize) -> Vec<Symbol> {
    (0..count).map(|n| Symbol::new(&format!("S{n}/USDT")).unwrap()).collect()
}

#[tokio::test]
async fn wants_are_heard_by_their_venue_in_messages_that_fit() {
    let mut server = server().await;
    let (edge, ingestor) = (connect(&server.config()).await, connect(&server.config()).await);
    let wants = Wants::new(&edge);
    let mut heard = Wants::new(&ingestor).listen("binance").await.unwrap();
    ingestor.barrier().await.unwrap();
    let said = symbols(1_200);
    wants.say("kucoin", &said[..1]).await.unwrap();
    wants.say("binance", &[]).await.unwrap();
    // What nobody of us would say does no harm.
    let garbage = [&b"[]"[..], b"{\"symbols\":[", b"{\"symbols\":[\"A B\"]}"];
    for payload in garbage {
        let payload = Bytes::copy_from_slice(payload);
        Publisher::new(&edge).publish(&subject::want("binance"), payload).await.unwrap();
    }
    wants.say("binance", &said).await.unwrap();
    let (mut all, mut messages) = (Vec::new(), 0);
    while all.len() < said.len() {
        let next = timeout(PATIENCE, heard.next()).await.expect("in time").expect("open");
        messages += 1;
        all.extend(next);
    }
    assert_eq!((messages, all), (1 + 3, said.clone()));
    server.stop();
    down(&edge).await;
    assert_eq!(wants.say("binance", &said).await, Err(PublishError::Disconnected));
}

async fn put(nats: &Nats, key: &str, value: &str) {
    let subject = Subject::from(format!("$KV.{WATCH_BUCKET}.{key}"));
    Publisher::new(nats).publish(&subject, Bytes::copy_from_slice(value.as_bytes())).await.unwrap();
}

/// Follows until the union is as expected: several writes may come in several steps.
async fn until(lists: &mut WatchedLists, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    let seen = async { while lists.next().await.expect("open").names != expected {} };
    timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never became {expected:?}"));
}

#[tokio::test]
async fn watch_lists_below_a_prefix_are_one_list() {
    let server = server().await;
    let (ours, application) = (connect(&server.config()).await, connect(&server.config()).await);
    let mut lists = WatchLists::new(&ours).watch("kucoin").await.unwrap();
    ensure_bucket(&application, WATCH_BUCKET, 1).await.unwrap();
    put(&application, "kucoin", "BTC/USDT # the first\n").await;
    until(&mut lists, &["BTC/USDT"]).await;
    put(&application, "kucoin.users.7", r#"["ETH/USDT","BTC/USDT"]"#).await;
    put(&application, "kucoin-futures", "SOL/USDT").await;
    put(&application, "other.kucoin", "ADA/USDT").await;
    until(&mut lists, &["BTC/USDT", "ETH/USDT"]).await;
    put(&application, "kucoin.users.7", r#"["ETH/USDT""#).await;
    put(&application, "kucoin", "XRP/USDT").await;
    until(&mut lists, &["BTC/USDT", "ETH/USDT", "XRP/USDT"]).await;
    let library = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    library.get_key_value(WATCH_BUCKET).await.unwrap().delete("kucoin.users.7").await.unwrap();
    until(&mut lists, &["XRP/USDT"]).await;
    let wrong = WatchLists::new(&ours).watch("kucoin.*").await;
    assert!(matches!(wrong, Err(WatchError::Prefix(prefix)) if prefix == "kucoin.*"));
}

#[tokio::test]
async fn a_lost_bucket_takes_no_list_away() {
    let mut server = server().await;
    let nats = connect(&server.config()).await;
    ensure_bucket(&nats, WATCH_BUCKET, 1).await.unwrap();
    put(&nats, "kucoin", "BTC/USDT").await;
    let mut lists = WatchLists::new(&nats).watch("kucoin").await.unwrap();
    until(&mut lists, &["BTC/USDT"]).await;
    server.stop();
    down(&nats).await;
    std::fs::remove_dir_all(server.folder().join("store")).unwrap();
    server.restart().await.unwrap();
    up(&nats).await;
    ensure_bucket(&nats, WATCH_BUCKET, 1).await.unwrap();
    put(&nats, "kucoin.more", "ETH/USDT").await;
    until(&mut lists, &["BTC/USDT", "ETH/USDT"]).await;
}
