//! The conflated copy, driven by a real clock into a real stream.

use std::time::Instant;

use tickwire_common::symbol::Topic;
use tickwire_nats::last_value::LastValues;
use tickwire_nats::publish::Publisher;
use tickwire_nats::setup::{LAST_STREAM, ensure_last_stream};
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::{Bytes, Subject, subject};
use tokio::time::timeout;

use crate::{PATIENCE, connect, server};

const SYMBOLS: u32 = 50;
const TICKS: u32 = 200;

#[tokio::test]
async fn few_writes_and_the_newest_row_in_the_stream() {
    let server = server().await;
    let nats = connect(&server.config()).await;
    ensure_last_stream(&nats, 1).await.unwrap();
    let topics: Vec<Topic> =
        (0..SYMBOLS).map(|n| Topic::new("binance", &format!("S{n}/USDT")).unwrap()).collect();
    let subjects: Vec<Subject> = topics.iter().map(|t| subject::last(&t.venue, t.symbol.as_str())).collect();
    let (publisher, mut values) = (Publisher::new(&nats), LastValues::new(SYMBOLS));
    let (started, mut writes) = (Instant::now(), 0);
    let mut write_due = |values: &mut LastValues| {
        let now = Instant::now();
        while let Some((symbol, row)) = values.pop_due(now) {
            writes += 1;
            if publisher.try_publish(&subjects[symbol as usize], row).is_err() {
                values.put_back(symbol, now);
            }
        }
    };
    for tick in 0..TICKS {
        for symbol in 0..SYMBOLS {
            assert!(values.offer(symbol, Bytes::from(format!("{{\"v\":{tick}}}")), Instant::now()));
        }
        write_due(&mut values);
        tokio::task::yield_now().await;
    }
    let newest = Some(Bytes::from(format!("{{\"v\":{}}}", TICKS - 1)));
    let snapshots = Snapshots::new(&nats);
    let settled = async {
        while snapshots.get(&topics).await.unwrap().iter().any(|row| *row != newest) {
            write_due(&mut values);
        }
    };
    timeout(PATIENCE, settled).await.expect("the newest rows are stored");
    let quarters = u32::try_from(started.elapsed().as_millis() / 250).unwrap() + 1;
    assert!(writes <= SYMBOLS * (quarters + 1), "{writes} writes in {quarters} quarters of a second");

    let info = server.monitor("/jsz?streams=1&accounts=1").await.unwrap();
    let stream = info.pointer("/account_details/0/stream_detail/0").unwrap();
    assert_eq!(stream.get("name").and_then(|name| name.as_str()), Some(LAST_STREAM));
    assert_eq!(stream.pointer("/state/messages").and_then(|n| n.as_u64()), Some(u64::from(SYMBOLS)));
}
