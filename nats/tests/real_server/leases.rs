//! Leases: written by compare-and-set, read in one go, on every server version the same.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tickwire_nats::leases::{CasError, Entry, Expect, Hints, Leases};
use tickwire_nats::setup::{LEASES_BUCKET, ensure_bucket};
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{ApiError, Bytes, LinkError, Nats};
use tokio::time::timeout;

use crate::{PATIENCE, connect, down, server, up};

async fn with_bucket(server: &NatsServer) -> (Nats, Leases) {
    let nats = connect(&server.config()).await;
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
    let leases = Leases::new(&nats);
    (nats, leases)
}

fn text(value: &str) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

#[tokio::test]
async fn only_who_knows_the_newest_revision_writes() {
    let server = server().await;
    let (_nats, leases) = with_bucket(&server).await;
    assert_eq!(leases.read_all().await.unwrap(), []);
    let first = leases.put("shard.binance.0", text("a"), Expect::Absent).await.unwrap();
    let again = leases.put("shard.binance.0", text("b"), Expect::Absent).await;
    assert_eq!(again, Err(CasError::Conflict));
    let second = leases.put("shard.binance.0", text("c"), Expect::Revision(first)).await.unwrap();
    assert!(second > first);
    let late = leases.put("shard.binance.0", text("d"), Expect::Revision(first)).await;
    assert_eq!(late, Err(CasError::Conflict));
    let other = leases.put("shard.binance.1", text("e"), Expect::Revision(second)).await;
    assert_eq!(other, Err(CasError::Conflict), "a revision belongs to its key");
    let member = leases.put("member.x", text("{}"), Expect::Absent).await.unwrap();
    assert!(member > second, "revisions grow over all keys");
    let entry = |key: &str, revision, value| Entry { key: key.to_owned(), revision, value: text(value) };
    let expected = [entry("member.x", member, "{}"), entry("shard.binance.0", second, "c")];
    assert_eq!(leases.read_all().await.unwrap(), expected);
    assert_eq!(leases.put("no key", text(""), Expect::Absent).await, Err(CasError::Key("no key".to_owned())));
}

#[tokio::test]
async fn of_many_who_want_a_lease_one_gets_it() {
    let server = server().await;
    let (_nats, leases) = with_bucket(&server).await;
    let mut known = Expect::Absent;
    for round in 0..20 {
        let attempts =
            (0..16).map(|n| leases.put("catalogue.kucoin", Bytes::from(format!("{round}.{n}")), known));
        let outcomes = join_all(attempts).await;
        let won: Vec<u64> = outcomes.iter().filter_map(|outcome| outcome.clone().ok()).collect();
        let lost = outcomes.iter().filter(|outcome| **outcome == Err(CasError::Conflict)).count();
        assert_eq!((won.len(), lost), (1, 15), "{outcomes:?}");
        known = Expect::Revision(won[0]);
    }
}

/// As `nats kv del` and `nats kv purge` do it.
#[tokio::test]
async fn a_deleted_key_is_gone_and_may_be_taken() {
    let server = server().await;
    let (_nats, leases) = with_bucket(&server).await;
    let library = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let bucket = library.get_key_value(LEASES_BUCKET).await.unwrap();
    for purge in [false, true] {
        let revision = leases.put("member.a", text("1"), Expect::Absent).await.unwrap();
        leases.put("member.b", text("2"), Expect::Absent).await.ok();
        match purge {
            true => bucket.purge("member.a").await.unwrap(),
            false => bucket.delete("member.a").await.unwrap(),
        }
        let keys: Vec<String> = leases.read_all().await.unwrap().into_iter().map(|entry| entry.key).collect();
        assert_eq!(keys, ["member.b"]);
        let late = leases.put("member.a", text("3"), Expect::Revision(revision)).await;
        assert_eq!(late, Err(CasError::Conflict), "who was deleted may not go on");
        let (a, b) = tokio::join!(
            leases.put("member.a", text("4"), Expect::Absent),
            leases.put("member.a", text("5"), Expect::Absent),
        );
        assert_eq!(a.is_ok() as u8 + b.is_ok() as u8, 1, "{a:?} {b:?}");
        bucket.delete("member.a").await.unwrap();
    }
}

/// More keys than one batch may match (1,024), and values of which a batch holds a part (1 MiB).
#[tokio::test]
async fn any_number_of_leases_is_read_whole() {
    let server = server().await;
    let (_nats, leases) = with_bucket(&server).await;
    for (count, bytes) in [(100_u32, 20_000_usize), (1_500, 100)] {
        let keys: Vec<String> = (0..count).map(|n| format!("shard.of-{bytes}.{n}")).collect();
        let value = Bytes::from(vec![b'x'; bytes]);
        let writes = join_all(keys.iter().map(|key| leases.put(key, value.clone(), Expect::Absent))).await;
        let read = leases.read_all().await.unwrap();
        let mut revisions = BTreeSet::new();
        for (key, write) in keys.iter().zip(writes) {
            let at = read.binary_search_by(|entry| entry.key.cmp(key)).expect("every key, in order");
            assert_eq!((read[at].revision, read[at].value.len()), (write.unwrap(), bytes));
            revisions.insert(read[at].revision);
        }
        assert_eq!(revisions.len(), keys.len());
    }
}

#[tokio::test]
async fn a_lost_bucket_is_not_an_empty_one() {
    let mut server = server().await;
    let nats = connect(&server.config()).await;
    let leases = Leases::new(&nats);
    assert_eq!(leases.read_all().await, Err(ApiError::NotFound));
    assert_eq!(leases.put("member.a", text("1"), Expect::Absent).await, Err(CasError::Missing));
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
    assert_eq!(leases.read_all().await, Ok(Vec::new()));
    let revision = leases.put("member.a", text("1"), Expect::Absent).await.unwrap();

    server.stop();
    down(&nats).await;
    assert_eq!(leases.read_all().await, Err(ApiError::Link(LinkError::Disconnected)));
    let cut = leases.put("member.a", text("2"), Expect::Revision(revision)).await;
    assert_eq!(cut, Err(CasError::Link(LinkError::Disconnected)));
    std::fs::remove_dir_all(server.folder().join("store")).unwrap();
    server.restart().await.unwrap();
    up(&nats).await;
    assert_eq!(leases.read_all().await, Err(ApiError::NotFound));
    let late = leases.put("member.a", text("3"), Expect::Revision(revision)).await;
    assert_eq!(late, Err(CasError::Missing));
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
    let late = leases.put("member.a", text("3"), Expect::Revision(revision)).await;
    assert_eq!(late, Err(CasError::Conflict));
    leases.put("member.a", text("4"), Expect::Absent).await.unwrap();
}

async fn hinted(hints: &mut Hints) {
    timeout(PATIENCE, hints.next()).await.expect("a hint in time").expect("open");
}

#[tokio::test]
async fn a_change_is_a_hint_and_a_renewal_is_none() {
    let server = server().await;
    let (nats, leases) = with_bucket(&server).await;
    let mut hints = leases.hint().await.unwrap();
    nats.barrier().await.unwrap();
    let mut revision = leases.put("shard.x.0", text("a"), Expect::Absent).await.unwrap();
    hinted(&mut hints).await;
    for _ in 0..3 {
        revision = leases.put("shard.x.0", text("a"), Expect::Revision(revision)).await.unwrap();
    }
    // The acknowledgement of a write comes after the write itself on the same connection.
    nats.barrier().await.unwrap();
    assert!(hints.next().now_or_never().is_none());
    leases.put("shard.x.0", text("b"), Expect::Revision(revision)).await.unwrap();
    leases.put("shard.x.1", text("b"), Expect::Absent).await.unwrap();
    hinted(&mut hints).await;
    nats.drain().await;
    while timeout(PATIENCE, hints.next()).await.expect("ends").is_some() {}
}
