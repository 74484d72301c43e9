//! Snapshots by batch where the server has it (2.11 and newer), else by single requests: the same answers.

use tickwire_common::symbol::Topic;
use tickwire_nats::publish::Publisher;
use tickwire_nats::setup::ensure_last_stream;
use tickwire_nats::snapshot::{SnapshotError, Snapshots};
use tickwire_nats::{Bytes, LinkError, Nats, subject};
use tokio::time::{Instant, timeout};

use crate::{PATIENCE, connect, down, server};

fn topic(n: usize) -> Topic {
    Topic::new("binance", &format!("S{n}/USDT")).unwrap()
}

fn topics(range: std::ops::Range<usize>) -> Vec<Topic> {
    range.map(topic).collect()
}

async fn write(nats: &Nats, topic: &Topic, row: Bytes) {
    let subject = subject::last(&topic.venue, topic.symbol.as_str());
    Publisher::new(nats).publish(&subject, row).await.unwrap();
}

/// The stream stores a moment after the server took a message.
async fn stored(snapshots: &Snapshots, topic: &Topic, row: &Bytes) {
    let written =
        async { while snapshots.get(std::slice::from_ref(topic)).await.unwrap() != [Some(row.clone())] {} };
    timeout(PATIENCE, written).await.expect("stored in time");
}

#[tokio::test]
async fn thousands_of_rows_in_their_order_with_gaps_and_repeats() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    ensure_last_stream(&nats, 1).await.unwrap();
    let snapshots = Snapshots::new(&nats);
    for n in 0..2_500 {
        for version in 0..2 {
            write(&nats, &topic(n), Bytes::from(format!("{{\"v\":{n}{version}}}"))).await;
        }
    }
    stored(&snapshots, &topic(2_499), &Bytes::from_static(b"{\"v\":24991}")).await;
    let mut asked = topics(0..3_000);
    asked.push(topic(7));
    let rows = snapshots.get(&asked).await.unwrap();
    assert_eq!(rows.len(), 3_001);
    for (n, row) in rows.iter().take(3_000).enumerate() {
        let expected = (n < 2_500).then(|| Bytes::from(format!("{{\"v\":{n}1}}")));
        assert_eq!(row, &expected, "row {n}");
    }
    assert_eq!(rows.last(), Some(&Some(Bytes::from_static(b"{\"v\":71}"))));
    assert_eq!(snapshots.get(&[]).await.unwrap(), []);
}

/// Four megabytes: the server ends a batch after one.
#[tokio::test]
async fn a_batch_that_the_server_cuts_short_is_asked_on() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    ensure_last_stream(&nats, 1).await.unwrap();
    let snapshots = Snapshots::new(&nats);
    let row = Bytes::from(vec![b'x'; 20_000]);
    for n in 0..200 {
        write(&nats, &topic(n), row.clone()).await;
    }
    stored(&snapshots, &topic(199), &row).await;
    let rows = snapshots.get(&topics(0..200)).await.unwrap();
    assert!(rows.iter().all(|got| got.as_ref() == Some(&row)), "{}", rows.iter().flatten().count());
}

#[tokio::test]
async fn without_a_stream_there_is_nothing_and_it_takes_no_longer_than_one_timeout() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    let started = Instant::now();
    assert_eq!(Snapshots::new(&nats).get(&topics(0..500)).await.unwrap(), vec![None; 500]);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[tokio::test]
async fn without_nats_it_is_an_error() {
    let mut server = server().await;
    let nats = connect(&server.config()).await;
    let snapshots = Snapshots::new(&nats);
    server.stop();
    down(&nats).await;
    for count in [1, 10] {
        let answer = timeout(PATIENCE, snapshots.get(&topics(0..count))).await.expect("an answer");
        assert_eq!(answer, Err(SnapshotError(LinkError::Disconnected)));
    }
}
