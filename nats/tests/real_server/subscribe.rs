//! Subscriptions begin and end on the server, and lose the newest when nobody reads.

use metrics_exporter_prometheus::PrometheusBuilder;
use tickwire_nats::connect::SUBSCRIPTION_CAPACITY;
use tickwire_nats::publish::Publisher;
use tickwire_nats::{Bytes, Nats, Subject, subject};

use crate::{connect, next, server};

async fn publish(nats: &Nats, subject: &Subject, count: usize) {
    let publisher = Publisher::new(nats);
    for n in 0..count {
        publisher.publish(subject, Bytes::from(n.to_string())).await.unwrap();
    }
    publisher.flush().await.unwrap();
}

#[tokio::test]
async fn leaving_reaches_the_server() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    let subject = subject::tick("binance", "BTC/USDT");
    let left = nats.subscribe(&subject).await.unwrap();
    let dropped = nats.subscribe(&subject).await.unwrap();
    nats.barrier().await.unwrap();
    assert_eq!(server.subscriptions_of(subject.as_str()).await.unwrap(), 2);
    left.unsubscribe().await;
    drop(dropped);
    nats.barrier().await.unwrap();
    assert_eq!(server.subscriptions_of(subject.as_str()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_wildcard_gives_the_names_back() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    let mut all = nats.subscribe(&subject::ticks_of("dhan")).await.unwrap();
    publish(&nats, &subject::tick("dhan", "NSE_EQ:1333"), 1).await;
    let message = next(&mut all).await;
    let names = subject::parse_tick(message.subject.as_str());
    assert_eq!(names, Some(("dhan".to_owned(), "NSE_EQ:1333".to_owned())));
}

#[tokio::test]
async fn a_reader_that_is_behind_loses_the_newest_and_it_is_counted() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let server = server().await;
    let nats = connect(&server.config()).await;
    let subject = Subject::from("flood");
    let mut subscription = nats.subscribe(&subject).await.unwrap();
    publish(&nats, &subject, SUBSCRIPTION_CAPACITY + 100).await;
    for n in 0..SUBSCRIPTION_CAPACITY {
        assert_eq!(next(&mut subscription).await.payload, n.to_string());
    }
    publish(&nats, &subject, 1).await;
    assert_eq!(next(&mut subscription).await.payload, "0", "the hundred are gone");
    let text = metrics.render();
    assert!(text.contains("tickwire_nats_dropped_messages_total 100"), "{text}");
}
