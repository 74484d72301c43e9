//! Publishing never waits where it must not, and says why it refused.

use tickwire_nats::connect::COMMAND_CAPACITY;
use tickwire_nats::publish::{PublishError, Publisher};
use tickwire_nats::{Bytes, Subject};

use crate::{connect, down, next, server};

/// One thread only: nothing takes from the queue while we publish without a pause.
#[tokio::test(flavor = "current_thread")]
async fn fills_the_queue_in_one_go_and_then_refuses() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    let publisher = Publisher::new(&nats);
    let subject = Subject::from("md.tick.x.A");
    let mut subscription = nats.subscribe(&subject).await.unwrap();
    nats.barrier().await.unwrap();
    let mut taken = 0;
    let refused = loop {
        match publisher.try_publish(&subject, Bytes::from(taken.to_string())) {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, PublishError::Full);
    // Far beyond the 128 of tokio's budget; the barrier's own unsubscribe may still be queued.
    assert!(taken >= COMMAND_CAPACITY - 1, "{taken}");
    publisher.flush().await.unwrap();
    for n in 0..taken {
        assert_eq!(next(&mut subscription).await.payload, n.to_string());
    }
}

#[tokio::test]
async fn refuses_at_once_while_nats_is_away_and_queues_nothing() {
    let mut server = server().await;
    let nats = connect(&server.config()).await;
    let publisher = Publisher::new(&nats);
    let subject = Subject::from("md.tick.x.A");
    let mut subscription = nats.subscribe(&subject).await.unwrap();
    server.stop();
    down(&nats).await;
    for _ in 0..2 * COMMAND_CAPACITY {
        let refused = publisher.try_publish(&subject, Bytes::from_static(b"stale"));
        assert_eq!(refused, Err(PublishError::Disconnected));
    }
    assert_eq!(publisher.publish(&subject, Bytes::new()).await, Err(PublishError::Disconnected));
    server.restart().await.unwrap();
    crate::up(&nats).await;
    publisher.publish(&subject, Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(next(&mut subscription).await.payload, "new", "nothing stale came first");
}

#[tokio::test]
async fn refuses_what_the_server_would_not_take() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    let bytes = 1024 * 1024 + 1;
    let refused = Publisher::new(&nats).try_publish(&Subject::from("a"), Bytes::from(vec![0; bytes]));
    assert_eq!(refused, Err(PublishError::TooLarge { bytes }));
}
