//! The catalogue written by one process and followed by another.

use tickwire_nats::catalogue::{CHUNK_MAX, Catalogue, CatalogueChange, CatalogueWatch, Instrument};
use tickwire_nats::setup::{CATALOGUE_BUCKET, ensure_bucket};
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{ApiError, Nats, Subject};
use tokio::time::timeout;

use crate::{PATIENCE, connect, down, server, up};

fn instruments(venue: &str, count: usize) -> Vec<Instrument> {
    let instrument = |n| Instrument {
        venue: venue.to_owned(),
        symbol: format!("S{n:04}/USDT"),
        aliases: vec![format!("S{n:04}USDT")],
        price_increment: (n % 2 == 0).then(|| "0.01".to_owned()),
    };
    (0..count).map(instrument).collect()
}

async fn with_bucket(server: &NatsServer) -> (Nats, Catalogue) {
    let nats = connect(&server.config()).await;
    ensure_bucket(&nats, CATALOGUE_BUCKET, 1).await.unwrap();
    let catalogue = Catalogue::new(&nats);
    (nats, catalogue)
}

/// Follows until the venue is as expected: a big catalogue may come in several steps.
async fn until(watch: &mut CatalogueWatch, venue: &str, expected: &[Instrument]) {
    let seen = async {
        loop {
            let CatalogueChange { venue: changed, mut instruments } = watch.next().await.expect("open");
            instruments.sort_by(|a, b| a.symbol.cmp(&b.symbol));
            if changed == venue && instruments == expected {
                return;
            }
        }
    };
    timeout(PATIENCE, seen).await.expect("changes in time");
}

#[tokio::test]
async fn what_is_there_then_every_change() {
    let server = server().await;
    let (_writer_link, writer) = with_bucket(&server).await;
    let (_reader_link, reader) = with_bucket(&server).await;
    let (many, few) = (instruments("binance", 2 * CHUNK_MAX + 1), instruments("binance", 3));
    writer.put("binance", &many).await.unwrap();
    let mut watch = reader.watch().await.unwrap();
    until(&mut watch, "binance", &many).await;
    let other = instruments("kucoin", 2);
    writer.put("kucoin", &other).await.unwrap();
    until(&mut watch, "kucoin", &other).await;
    writer.put("binance", &few).await.unwrap();
    until(&mut watch, "binance", &few).await;
    writer.put("binance", &[]).await.unwrap();
    until(&mut watch, "binance", &[]).await;
    writer.put("binance", &many).await.unwrap();
    until(&mut watch, "binance", &many).await;
}

#[tokio::test]
async fn only_changed_chunks_are_written() {
    let server = server().await;
    let (nats, catalogue) = with_bucket(&server).await;
    let mut list = instruments("binance", 2 * CHUNK_MAX);
    catalogue.put("binance", &list).await.unwrap();
    let mut writes = nats.subscribe(&Subject::from("$KV.md_catalogue.>")).await.unwrap();
    nats.barrier().await.unwrap();
    catalogue.put("binance", &list).await.unwrap();
    list[CHUNK_MAX].price_increment = Some("0.5".to_owned());
    catalogue.put("binance", &list).await.unwrap();
    assert_eq!(crate::next(&mut writes).await.subject.as_str(), "$KV.md_catalogue.binance.1");
    catalogue.put("binance", &list[..1]).await.unwrap();
    assert_eq!(crate::next(&mut writes).await.subject.as_str(), "$KV.md_catalogue.binance.0");
    let deleted = crate::next(&mut writes).await;
    assert_eq!((deleted.subject.as_str(), deleted.payload.len()), ("$KV.md_catalogue.binance.1", 0));
}

#[tokio::test]
async fn a_watch_begins_before_the_bucket_and_survives_its_loss() {
    let mut server = server().await;
    let reader_link = connect(&server.config()).await;
    let mut watch = Catalogue::new(&reader_link).watch().await.unwrap();
    let (writer_link, writer) = with_bucket(&server).await;
    let first = instruments("binance", 2);
    writer.put("binance", &first).await.unwrap();
    until(&mut watch, "binance", &first).await;

    // Everything is lost, and written anew before the reader is told.
    server.stop();
    down(&writer_link).await;
    std::fs::remove_dir_all(server.folder().join("store")).unwrap();
    server.restart().await.unwrap();
    up(&writer_link).await;
    ensure_bucket(&writer_link, CATALOGUE_BUCKET, 1).await.unwrap();
    let second = instruments("binance", 1);
    writer.put("binance", &second).await.unwrap();
    until(&mut watch, "binance", &second).await;
}

/// Readers keep what nobody removed, so the writer that comes after the loss must say where its list ends.
#[tokio::test]
async fn a_list_that_is_shorter_after_a_loss_ends_where_it_ends() {
    let mut server = server().await;
    let (reader_link, reader) = with_bucket(&server).await;
    let (writer_link, writer) = with_bucket(&server).await;
    let long = instruments("binance", 2 * CHUNK_MAX + 1);
    writer.put("binance", &long).await.unwrap();
    let mut watch = reader.watch().await.unwrap();
    until(&mut watch, "binance", &long).await;
    assert_eq!(reader.list("binance").await.unwrap(), long);
    server.stop();
    down(&writer_link).await;
    down(&reader_link).await;
    std::fs::remove_dir_all(server.folder().join("store")).unwrap();
    server.restart().await.unwrap();
    up(&writer_link).await;
    up(&reader_link).await;
    assert_eq!(reader.list("binance").await, Err(ApiError::NotFound));
    ensure_bucket(&writer_link, CATALOGUE_BUCKET, 1).await.unwrap();
    assert_eq!(reader.list("binance").await, Ok(Vec::new()));
    let short = instruments("binance", CHUNK_MAX + 1);
    writer.put("binance", &short).await.unwrap();
    until(&mut watch, "binance", &short).await;
    assert_eq!(reader.list("binance").await.unwrap(), short);
    assert_eq!(reader.list("kucoin").await, Ok(Vec::new()));
}
