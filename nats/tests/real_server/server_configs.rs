//! The configurations in `nats/server`: they load, and their permissions are exactly enough.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tickwire_common::symbol::{Symbol, Topic};
use tickwire_nats::budget::{Budget, BudgetError};
use tickwire_nats::catalogue::{Catalogue, Instrument};
use tickwire_nats::leases::{Expect, Leases};
use tickwire_nats::peers::Peers;
use tickwire_nats::publish::Publisher;
use tickwire_nats::setup::{
    CATALOGUE_BUCKET, LEASES_BUCKET, WATCH_BUCKET, ensure_bucket, ensure_last_stream,
};
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::subject::{self, ALL_FEEDS};
use tickwire_nats::testing::{NatsServer, binary};
use tickwire_nats::want::Wants;
use tickwire_nats::watch_lists::WatchLists;
use tickwire_nats::{Bytes, Nats, NatsConfig, Subject};
use tokio::time::timeout;

use crate::{PATIENCE, next, up};

const PRODUCTION: &[(&str, &str)] = &[
    ("TICKWIRE_NATS_NAME", "nats-0"),
    ("TICKWIRE_NATS_STORE", "store"),
    ("TICKWIRE_NATS_INGESTOR_PASSWORD", "i-secret"),
    ("TICKWIRE_NATS_EDGE_PASSWORD", "e-secret"),
    ("TICKWIRE_NATS_SETUP_PASSWORD", "s-secret"),
    ("TICKWIRE_NATS_SYS_PASSWORD", "y-secret"),
];

fn conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("server").join(name)
}

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).display().to_string()
}

/// Options of the production configuration came with 2.11: an older server names the first one and does not start.
async fn is_refused_as_too_old() -> bool {
    let version = Command::new(binary().unwrap()).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let old = ["v2.9.", "v2.10."].iter().any(|old| version.contains(old));
    if old {
        let error = NatsServer::start_from(&conf("production.conf"), PRODUCTION).await.unwrap_err();
        assert!(error.to_string().contains("unknown field"), "{error}");
    }
    old
}

#[tokio::test]
async fn development_serves_without_a_password() {
    let server = NatsServer::start_from(&conf("dev.conf"), &[]).await.unwrap();
    let nats = crate::connect(&server.config()).await;
    ensure_last_stream(&nats, 1).await.unwrap();
    ensure_bucket(&nats, LEASES_BUCKET, 1).await.unwrap();
    assert!(server.folder().join(".run/nats/jetstream").is_dir());
}

#[tokio::test]
async fn production_loads_with_tls_and_cluster_too() {
    if is_refused_as_too_old().await {
        return;
    }
    let folder = NatsServer::new_folder().unwrap();
    for name in ["tls.conf", "cluster.conf"] {
        fs::copy(conf(name), folder.join(name)).unwrap();
    }
    let text = fs::read_to_string(conf("production.conf")).unwrap();
    let whole = text.replace("# include ./", "include ./");
    assert_eq!(whole.matches("\ninclude ./").count(), 2);
    fs::write(folder.join("production.conf"), whole).unwrap();
    let output =
        Command::new(binary().unwrap())
            .args(["-t", "-c", "production.conf"])
            .current_dir(&folder)
            .envs(PRODUCTION.iter().copied())
            .env("TICKWIRE_NATS_TLS_CERT", fixture("server.pem"))
            .env("TICKWIRE_NATS_TLS_KEY", fixture("server.key"))
            .env("TICKWIRE_NATS_ROUTE_PASSWORD", "r-secret")
            .envs(["1", "2", "3"].map(|n| {
                (format!("TICKWIRE_NATS_ROUTE_{n}"), format!("nats://route:r-secret@nats-{n}:6222"))
            }))
            .output()
            .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn log_in(server: &NatsServer, role: &str, password: &str) -> Nats {
    let config =
        NatsConfig { user: Some(role.to_owned()), password: Some(password.to_owned()), ..server.config() };
    let nats = Nats::connect(&config, role).await.unwrap();
    up(&nats).await;
    nats
}

#[tokio::test]
async fn production_permits_each_role_what_it_does_and_no_more() {
    if is_refused_as_too_old().await {
        return;
    }
    let server = NatsServer::start_from(&conf("production.conf"), PRODUCTION).await.unwrap();
    let ingestor = log_in(&server, "ingestor", "i-secret").await;
    let edge = log_in(&server, "edge", "e-secret").await;

    ingestor_does_its_work(&ingestor, &edge).await;
    edge_does_its_work(&edge, &ingestor).await;
    fleet_does_its_work(&ingestor, &log_in(&server, "ingestor", "i-secret").await).await;
    people_keep_watch_lists(&log_in(&server, "setup", "s-secret").await, &ingestor).await;
    assert!(!server.log().contains("Violation"), "{}", server.log());

    for forged in [
        "md.tick.binance.BTC=2FUSDT",
        "$KV.md_leases.shard.binance.0",
        "md.fleet.a",
        "md.budget.kucoin.shared",
    ] {
        Publisher::new(&edge).publish(&Subject::from(forged), Bytes::from_static(b"{}")).await.unwrap();
        edge.barrier().await.unwrap();
        let told = format!("Publish Violation - Subject \"{forged}\"");
        assert!(server.log().contains(&told), "{told}: {}", server.log());
    }
    for spied in ["_INBOX_ingestor.>", "md.fleet.*"] {
        let _spy = edge.subscribe(&Subject::from(spied)).await.unwrap();
        edge.barrier().await.unwrap();
        let told = format!("Subscription Violation - Subject \"{spied}\"");
        assert!(server.log().contains(&told), "{told}: {}", server.log());
    }
}

async fn ingestor_does_its_work(ingestor: &Nats, edge: &Nats) {
    ensure_last_stream(ingestor, 1).await.unwrap();
    ensure_bucket(ingestor, CATALOGUE_BUCKET, 1).await.unwrap();
    ensure_bucket(ingestor, LEASES_BUCKET, 1).await.unwrap();
    let instrument = Instrument {
        venue: "binance".to_owned(),
        symbol: "BTC/USDT".to_owned(),
        aliases: vec!["BTCUSDT".to_owned()],
        price_increment: None,
    };
    let catalogue = Catalogue::new(ingestor);
    catalogue.put("binance", &[instrument]).await.unwrap();
    let mut ticks = edge.subscribe(&subject::tick("binance", "BTC/USDT")).await.unwrap();
    let mut feeds = edge.subscribe(&Subject::from(ALL_FEEDS)).await.unwrap();
    edge.barrier().await.unwrap();
    let publisher = Publisher::new(ingestor);
    for subject in [
        subject::tick("binance", "BTC/USDT"),
        subject::last("binance", "BTC/USDT"),
        subject::last("binance", "ETH/USDT"),
        subject::feed("binance", "0"),
    ] {
        publisher.publish(&subject, Bytes::from_static(b"{\"v\":1}")).await.unwrap();
    }
    next(&mut ticks).await;
    next(&mut feeds).await;
}

async fn edge_does_its_work(edge: &Nats, ingestor: &Nats) {
    let topics = ["BTC/USDT", "ETH/USDT"].map(|symbol| Topic::new("binance", symbol).unwrap());
    for reader in [edge, ingestor] {
        let snapshots = Snapshots::new(reader);
        let stored = async {
            while snapshots.get(&topics).await.unwrap().iter().any(Option::is_none) {}
            while snapshots.get(&topics[..1]).await.unwrap().iter().any(Option::is_none) {}
        };
        timeout(PATIENCE, stored).await.expect("both forms are answered");
    }
    let mut watch = Catalogue::new(edge).watch().await.unwrap();
    let change = timeout(PATIENCE, watch.next()).await.expect("in time").unwrap();
    assert_eq!(change.instruments.len(), 1);
    let mut heard = Wants::new(ingestor).listen("binance").await.unwrap();
    ingestor.barrier().await.unwrap();
    let wanted = [Symbol::new("BTC/USDT").unwrap()];
    Wants::new(edge).say("binance", &wanted).await.unwrap();
    assert_eq!(timeout(PATIENCE, heard.next()).await.expect("in time").unwrap(), wanted);
}

async fn fleet_does_its_work(a: &Nats, b: &Nats) {
    let leases = Leases::new(a);
    let mut hints = leases.hint().await.unwrap();
    a.barrier().await.unwrap();
    let revision = leases.put("shard.binance.0", Bytes::from_static(b"a"), Expect::Absent).await.unwrap();
    timeout(PATIENCE, hints.next()).await.expect("a hint in time").unwrap();
    Leases::new(b)
        .put("shard.binance.0", Bytes::from_static(b"b"), Expect::Revision(revision))
        .await
        .unwrap();
    assert_eq!(leases.read_all().await.unwrap().len(), 1);

    let mut asked = Peers::new(b).listen("b").await.unwrap();
    b.barrier().await.unwrap();
    let peers = Peers::new(a);
    let answering = async {
        let question = asked.next().await.unwrap();
        question.reply.answer(question.payload).await.unwrap();
    };
    let (answer, ()) = tokio::join!(peers.ask("b", Bytes::from_static(b"release"), PATIENCE), answering);
    assert_eq!(answer.unwrap(), "release");

    for venue in ["binance", "kucoin"] {
        let budget = Budget::ensure(a, venue, 1, Duration::from_secs(300), 1).await.unwrap();
        let same = Budget::ensure(b, venue, 1, Duration::from_secs(300), 1).await.unwrap();
        assert_eq!(budget.take("10.0.0.1").await, Ok(()));
        assert_eq!(same.take("10.0.0.1").await, Err(BudgetError::Spent));
    }
    let mut watch = Catalogue::new(b).watch().await.unwrap();
    let change = timeout(PATIENCE, watch.next()).await.expect("in time").unwrap();
    assert_eq!(change.venue, "binance");
}

async fn people_keep_watch_lists(setup: &Nats, ingestor: &Nats) {
    ensure_bucket(ingestor, WATCH_BUCKET, 1).await.unwrap();
    let put = Subject::from(format!("$KV.{WATCH_BUCKET}.kucoin.ours"));
    Publisher::new(setup).publish(&put, Bytes::from_static(b"BTC/USDT")).await.unwrap();
    setup.barrier().await.unwrap();
    let mut lists = WatchLists::new(ingestor).watch("kucoin").await.unwrap();
    let union = timeout(PATIENCE, lists.next()).await.expect("in time").unwrap();
    assert_eq!(union.names.into_iter().collect::<Vec<_>>(), ["BTC/USDT"]);
}
