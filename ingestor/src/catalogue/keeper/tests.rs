//! Against a real nats-server and a REST interface that misbehaves on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tickwire_common::task::Tasks;
use tickwire_nats::setup::CATALOGUE_BUCKET;
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{Bytes, Subject};

use super::*;
use crate::catalogue::follow::{Follower, List};
use crate::catalogue::testing::{Exchange, Says, binance, soon};
use crate::config::Symbols;
use crate::streams;

/// A keeper and a follower of one venue.
struct World {
    server: NatsServer,
    nats: Nats,
    tasks: Tasks,
    list: watch::Receiver<Arc<List>>,
    ready: watch::Receiver<Ready>,
}

impl World {
    async fn new() -> Self {
        let server = NatsServer::start().await.unwrap();
        let nats = Nats::connect(&server.config(), "test").await.unwrap();
        let tasks = Tasks::new();
        let (sender, ready) = watch::channel(Ready::default());
        tasks.spawn("streams", streams::keep(nats.clone(), 1, sender, tasks.token()));
        soon("streams", streams::first(&mut ready.clone())).await.unwrap();
        let follower = Follower::new([("binance", 4)]);
        let list = follower.list("binance").unwrap();
        tasks.spawn("follow", follower.run(nats.clone(), tasks.token()));
        Self { server, nats, tasks, list, ready }
    }

    /// Starts a keeper; it ends with the token.
    fn keep(&self, config: VenueConfig, rest: Rest) -> CancellationToken {
        self.spawn(self.keeper(config, rest))
    }

    fn keeper(&self, config: VenueConfig, rest: Rest) -> Keeper {
        Keeper::new(config, rest, self.nats.clone(), self.ready.clone())
    }

    fn spawn(&self, keeper: Keeper) -> CancellationToken {
        let token = self.tasks.token().child_token();
        self.tasks.spawner().spawn_job("keeper", keeper.run(token.clone()));
        token
    }

    /// Waits until the follower knows exactly these.
    async fn lists(&mut self, bases: &[&str]) {
        let expected: Vec<String> = bases.iter().map(|base| format!("{base}/USDT")).collect();
        let mut seen = Vec::new();
        let wait = async {
            loop {
                seen = self.list.borrow_and_update().iter().map(|listed| listed.symbol.to_string()).collect();
                if seen == expected {
                    return;
                }
                self.list.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(crate::catalogue::testing::PATIENCE, wait).await.is_err() {
            panic!("{seen:?} instead of {expected:?}");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

#[tokio::test]
async fn listings_come_delistings_go_and_failures_change_nothing() {
    let mut world = World::new().await;
    let exchange = Exchange::start(&["A", "B", "C"]).await;
    world.keep(binance(Symbols::All, &exchange.url), exchange.rest());
    world.lists(&["A", "B", "C"]).await;
    exchange.lists(&["A", "C", "D"]);
    world.lists(&["A", "C", "D"]).await;
    for refusal in ["500 Internal Server Error\r\n", "200 OK\r\ncontent-type: text/html\r\nx: "] {
        exchange.refuses(refusal);
        exchange.asked_more(2).await;
        assert!(!world.list.has_changed().unwrap(), "{refusal}");
    }
    exchange.lists(&["A", "C", "D", "E"]);
    world.lists(&["A", "C", "D", "E"]).await;
}

#[tokio::test]
async fn half_an_answer_is_asked_for_again() {
    let mut world = World::new().await;
    let exchange = Exchange::start(&["A", "B", "C", "D", "E"]).await;
    // Slow enough that the test sees each question.
    let config = VenueConfig { refresh: Duration::from_secs(1), ..binance(Symbols::All, &exchange.url) };
    world.keep(config, exchange.rest());
    world.lists(&["A", "B", "C", "D", "E"]).await;
    exchange.lists(&["A"]);
    exchange.asked_more(1).await;
    exchange.lists(&["A", "B", "C", "D", "E", "F"]);
    world.list.changed().await.unwrap();
    world.lists(&["A", "B", "C", "D", "E", "F"]).await;
    exchange.lists(&["B"]);
    world.lists(&["B"]).await;
}

#[tokio::test]
async fn a_venue_that_wants_peace_is_left_in_peace() {
    let mut world = World::new().await;
    let exchange = Exchange::start(&["A"]).await;
    let wish = |names: &[&str]| Symbols::Listed(names.iter().map(|name| (*name).to_owned()).collect());
    world.keep(binance(wish(&["A/USDT"]), &exchange.url), exchange.rest());
    world.lists(&["A"]).await;
    exchange.refuses("429 Too Many Requests\r\nretry-after: 2\r\n");
    exchange.asked_more(1).await;
    let refused = exchange.asked().len();
    exchange.lists(&["A"]);
    exchange.asked_more(1).await;
    let asked = exchange.asked();
    let gap = asked[refused].0 - asked[refused - 1].0;
    assert!(gap >= Duration::from_millis(1_900), "{gap:?}");
    assert!(!world.list.has_changed().unwrap());
}

#[tokio::test]
async fn the_largest_are_found_by_a_second_question() {
    let mut world = World::new().await;
    let exchange = Exchange::start(&[]).await;
    let listed = [("A", 5), ("B", 50), ("C", 500), ("D", 40)].map(|(base, volume)| (base.to_owned(), volume));
    exchange.say(Says { refusal: None, listed: listed.into() });
    let mut config = binance(Symbols::All, &exchange.url);
    config.selection.filter.top = std::num::NonZeroUsize::new(2);
    world.keep(config, exchange.rest());
    world.lists(&["B", "C"]).await;
    assert!(exchange.asked().iter().any(|(_, path)| path == "/api/v3/ticker/24hr?type=MINI"));
}

#[tokio::test]
async fn lists_of_others_are_taken_at_once() {
    let mut world = World::new().await;
    let exchange = Exchange::start(&["A", "B", "C"]).await;
    let folder = NatsServer::new_folder().unwrap();
    let path = folder.join("symbols");
    std::fs::write(&path, "A/USDT\n").unwrap();
    let mut config = binance(Symbols::Listed(Vec::new()), &exchange.url);
    config.refresh = Duration::from_secs(3_600);
    config.selection.file = Some(path.clone());
    config.selection.key = Some("app.lists".to_owned());
    tickwire_nats::setup::ensure_bucket(&world.nats, tickwire_nats::setup::WATCH_BUCKET, 1).await.unwrap();
    world.keep(config, exchange.rest());
    world.lists(&["A"]).await;
    std::fs::write(folder.join("new"), "B/USDT # renamed into place\n").unwrap();
    std::fs::rename(folder.join("new"), &path).unwrap();
    // While the key was never heard of, nothing is taken away.
    world.lists(&["A", "B"]).await;
    put(&world.nats, "app.lists.one", r#"["C/USDT", "C/USDT"]"#).await;
    world.lists(&["B", "C"]).await;
    put(&world.nats, "app.lists.two", "AUSDT\n").await;
    world.lists(&["A", "B", "C"]).await;
    assert_eq!(exchange.asked().len(), 1);
    std::fs::remove_dir_all(folder).unwrap();
}

async fn put(nats: &Nats, key: &str, value: &str) {
    let subject = Subject::from(format!("$KV.md_watch.{key}"));
    let publisher = tickwire_nats::publish::Publisher::new(nats);
    publisher.try_publish(&subject, Bytes::copy_from_slice(value.as_bytes())).unwrap();
    nats.barrier().await.unwrap();
}

#[tokio::test]
async fn a_lost_bucket_is_filled_again_and_nobody_is_cut_off() {
    let mut world = World::new().await;
    let exchange = Exchange::start(&["A", "B"]).await;
    let config = VenueConfig { refresh: Duration::from_secs(3_600), ..binance(Symbols::All, &exchange.url) };
    world.keep(config, exchange.rest());
    world.lists(&["A", "B"]).await;
    let mut writes = world.nats.subscribe(&Subject::from(format!("$KV.{CATALOGUE_BUCKET}.>"))).await.unwrap();
    world.server.stop();
    let mut state = world.nats.state();
    soon("the loss", state.wait_for(|state| !state.connected)).await.unwrap();
    std::fs::remove_dir_all(world.server.folder().join("store")).unwrap();
    world.server.restart().await.unwrap();
    let written = soon("the catalogue again", writes.next()).await.unwrap();
    assert_eq!(written.subject.as_str(), "$KV.md_catalogue.binance.0");
    let there = Catalogue::new(&world.nats).list("binance").await.unwrap();
    assert_eq!(there.len(), 2);
    assert!(!world.list.has_changed().unwrap(), "the follower never saw it empty");
}

#[tokio::test]
async fn another_keeper_goes_on_with_the_places_it_finds() {
    let mut world = World::new().await;
    let exchange = Exchange::start(&["A", "B", "C"]).await;
    let config = binance(Symbols::All, &exchange.url);
    let first = world.keep(config.clone(), exchange.rest());
    world.lists(&["A", "B", "C"]).await;
    exchange.lists(&["0", "A", "C"]);
    world.lists(&["0", "A", "C"]).await;
    first.cancel();
    world.keep(config, exchange.rest());
    exchange.lists(&["0", "1", "A", "C"]);
    world.lists(&["0", "1", "A", "C"]).await;
    let there = Catalogue::new(&world.nats).list("binance").await.unwrap();
    let symbols: Vec<&str> = there.iter().map(|entry| entry.symbol.as_str()).collect();
    assert_eq!(symbols, ["A/USDT", "0/USDT", "C/USDT", "1/USDT"]);
}

#[tokio::test]
async fn what_others_wrote_is_put_right_but_never_without_the_right_to() {
    let mut world = World::new().await;
    let exchange = Exchange::start(&["A", "B"]).await;
    let may_write = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&may_write);
    let keeper = world
        .keeper(binance(Symbols::All, &exchange.url), exchange.rest())
        .guarded(move || asked.load(Ordering::Relaxed));
    world.spawn(keeper);
    exchange.asked_more(3).await;
    let catalogue = Catalogue::new(&world.nats);
    assert_eq!(catalogue.list("binance").await, Ok(Vec::new()));
    may_write.store(true, Ordering::Relaxed);
    world.lists(&["A", "B"]).await;
    may_write.store(false, Ordering::Relaxed);
    catalogue.put("binance", &catalogue.list("binance").await.unwrap()[..1]).await.unwrap();
    world.lists(&["A"]).await;
    may_write.store(true, Ordering::Relaxed);
    world.lists(&["A", "B"]).await;
}
