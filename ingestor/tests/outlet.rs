//! Outlets against a real nats-server: a shard that changes hands under load, and everything again after an outage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use tickwire_common::feed::{FeedState, FeedStatus};
use tickwire_common::row::Row;
use tickwire_common::symbol::Topic;
use tickwire_common::task::{Tasks, Verdict};
use tickwire_common::telemetry::{self, Format};
use tickwire_common::time::now_us;
use tickwire_ingestor::feeds::{Feeds, FeedsConfig, Rules, Ticks};
use tickwire_ingestor::link::Summary;
use tickwire_ingestor::outlet::{HandOver, Outlet};
use tickwire_ingestor::permit::Permit;
use tickwire_ingestor::streams::{self, Ready};
use tickwire_ingestor::venue::contract::{Orders, Update};
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::subject::{self, ALL_TICKS};
use tickwire_nats::subscribe::Subscription;
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{Bytes, Nats, Subject};
use tokio::sync::watch;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

#[derive(Debug)]
struct Always;

impl Permit for Always {
    fn is_open(&self) -> bool {
        true
    }
}

/// One process's way to a NATS of its own or of others.
struct Process {
    nats: Nats,
    ready: watch::Receiver<Ready>,
    tasks: Tasks,
    outlet: Arc<Outlet>,
}

impl Process {
    async fn new(server: &NatsServer, shards: u32, symbols: &[String]) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| drop(telemetry::init("test", Format::Text, "off", None).unwrap()));
        let nats = Nats::connect(&server.config(), "test").await.unwrap();
        let (tasks, (sender, mut ready)) = (Tasks::new(), watch::channel(Ready::default()));
        tasks.spawn("streams", streams::keep(nats.clone(), 1, sender, tasks.token()));
        soon("streams", streams::first(&mut ready)).await.unwrap();
        let ticks = Arc::new(Ticks::new(shards));
        let outlet = Arc::new(Outlet::new(&nats, ready.clone(), "binance", shards, ticks));
        assert_eq!(outlet.list(symbols.iter().map(String::as_str)).added.len(), symbols.len());
        let (running, token) = (Arc::clone(&outlet), tasks.token());
        tasks.spawn("outlet", async move {
            running.run(token.cancelled()).await;
            Ok(())
        });
        Self { nats, ready, tasks, outlet }
    }

    async fn subscribe(&self, subject: &Subject) -> Subscription {
        let subscription = self.nats.subscribe(subject).await.unwrap();
        soon("NATS", self.nats.barrier()).await.unwrap();
        subscription
    }

    fn hear(&self, update: &Update) {
        self.outlet.publish(std::slice::from_ref(update), now_us(), Instant::now());
    }

    async fn shut_down(self) -> Verdict {
        let verdict = self.tasks.run_until_shutdown(std::future::ready(()), PATIENCE).await;
        self.nats.drain().await;
        verdict
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("S{n}/USDT")).collect()
}

fn trade(symbol: u32, order: i64) -> Update {
    let fields = Row { price: order.to_string().parse().ok(), ..Row::default() };
    Update { symbol, fields, orders: Orders { price: Orders::of(order), ..Orders::NONE } }
}

fn price(row: &[u8]) -> i64 {
    serde_json::from_slice::<serde_json::Value>(row).unwrap()["price"].as_i64().unwrap()
}

async fn stored(nats: &Nats, symbols: &[String]) -> Vec<Option<Bytes>> {
    let topics: Vec<_> = symbols.iter().map(|name| Topic::new("binance", name).unwrap()).collect();
    Snapshots::new(nats).get(&topics).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_changes_hands_under_load_without_a_tick_missed_or_said_twice() {
    let (server, symbols) = (NatsServer::start().await.unwrap(), names(1));
    let old = Process::new(&server, 1, &symbols).await;
    let new = Process::new(&server, 1, &symbols).await;
    let mut ticks = old.subscribe(&Subject::from(ALL_TICKS)).await;
    old.outlet.carry(0, [], Arc::new(Always));
    // The new process is now ahead and now behind of the old one.
    let lead = |n: i64| (n / 50) % 7 - 3;
    let (mut heard_new, mut handed) = (100i64, false);
    for n in 0..2_000 {
        old.hear(&trade(0, n));
        if n == 100 {
            new.outlet.prepare(0);
        }
        while heard_new < n + lead(n) {
            new.hear(&trade(0, heard_new));
            heard_new += 1;
        }
        if n >= 1_000 && !handed {
            handed = true;
            let (bytes, _) = old.outlet.release(0).encode();
            // All that the old process said is on its way before the new one says anything, as the answer would be.
            soon("NATS", old.nats.barrier()).await.unwrap();
            new.outlet.take_over(0, &HandOver::decode(&bytes, 0).unwrap(), Arc::new(Always));
        }
        // Nothing is conflated: that there is room in the queue is not what is tested.
        if n % 250 == 0 {
            soon("NATS", old.nats.barrier()).await.unwrap();
            soon("NATS", new.nats.barrier()).await.unwrap();
        }
    }
    (heard_new..2_000).for_each(|n| new.hear(&trade(0, n)));
    let mut newest = 0;
    for n in 0..2_000 {
        let row = soon("a tick", ticks.next()).await.unwrap().payload;
        assert_eq!(price(&row), n);
        let v = tickwire_common::row::read_v(&row).unwrap();
        assert!(v > newest);
        newest = v;
    }
    old.outlet.stop(0);
    assert_eq!((old.shut_down().await.status(), new.shut_down().await.status()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_every_last_value_is_there_again_with_the_newest_row() {
    let (mut server, symbols) = (NatsServer::start().await.unwrap(), names(3_000));
    let mut process = Process::new(&server, 16, &symbols).await;
    (0..16).for_each(|shard| process.outlet.carry(shard, [], Arc::new(Always)));
    let numbers: Vec<u32> = symbols.iter().map(|name| process.outlet.number(name).unwrap()).collect();
    numbers.iter().for_each(|number| process.hear(&trade(*number, 1)));
    server.stop();
    let mut link = process.nats.state();
    soon("the outage", link.wait_for(|state| !state.connected)).await.unwrap();
    for order in 2..5 {
        numbers.iter().for_each(|number| process.hear(&trade(*number, order)));
    }
    soon("the restart", server.restart()).await.unwrap();
    soon("the stream", process.ready.wait_for(|ready| ready.epoch >= 2)).await.unwrap();
    let back = Instant::now();
    let rows = soon("the last values", async {
        loop {
            let rows = stored(&process.nats, &symbols).await;
            if rows.len() == symbols.len() && rows.iter().all(Option::is_some) {
                break rows;
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(rows.await.iter().flatten().all(|row| price(row) == 4));
    println!("3,000 last values were there {:?} after the stream", back.elapsed());
    assert_eq!(process.shut_down().await.status(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_told_by_its_owner_and_is_down_when_it_ends() {
    let server = NatsServer::start().await.unwrap();
    let process = Process::new(&server, 4, &names(1)).await;
    let mut heard = process.subscribe(&subject::feed("binance", "2")).await;
    let rules = Rules { stale_after_ms: 30_000, shut: None };
    let config = FeedsConfig { venue: "binance", shards: 4, demand: false, rules };
    let feeds = Arc::new(Feeds::new(config, Arc::new(Ticks::new(4))));
    let (running, nats, token) = (Arc::clone(&feeds), process.nats.clone(), process.tasks.token());
    process.tasks.spawn("feeds", async move {
        running.run(&nats, token).await;
        Ok(())
    });
    feeds.sockets(2, Summary { live: 1, ..Summary::default() });
    feeds.own(2, Arc::new(Always));
    let next = soon("a status", heard.next()).await.unwrap();
    let status: FeedStatus = serde_json::from_slice(&next.payload).unwrap();
    assert_eq!((status.state, status.symbols, status.shards), (FeedState::Live, 1, 4));
    let verdict = process.tasks.run_until_shutdown(std::future::ready(()), PATIENCE).await;
    assert_eq!(verdict.status(), 0, "{verdict:?}");
    let mut last = status;
    while last.state != FeedState::Down {
        let next = soon("the end", heard.next()).await.unwrap();
        last = serde_json::from_slice(&next.payload).unwrap();
    }
    assert_eq!(last.reason.as_deref(), Some("the ingestor is shutting down"));
}
