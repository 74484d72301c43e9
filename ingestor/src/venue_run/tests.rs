//! One venue against a real nats-server and an exchange's socket: what the fleet says, step by step.

mod market;

use serde_json::{Value, json};
use tickwire_common::row::{Row, read_v};
use tickwire_common::symbol::Topic;
use tickwire_common::task::Tasks;
use tickwire_common::time::now_us;
use tickwire_nats::catalogue::Instrument as Entry;
use tickwire_nats::publish::Publisher;
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::subject;
use tickwire_nats::subscribe::Subscription;
use tickwire_nats::testing::NatsServer;
use tokio::sync::oneshot;

use super::*;
use crate::catalogue::Keeper;
use crate::catalogue::testing::{Exchange, binance, soon};
use crate::config::Symbols;
use crate::feeds::{FeedsConfig, Rules, Ticks};
use crate::fleet::handle::Told;
use crate::fleet::{Name, Part, Reason};
use crate::link::Gate;
use crate::outlet::HandOver;
use crate::pool::{PoolConfig, SHRINK_AFTER};
use crate::streams::{self, Ready};
use crate::venue::contract::{Orders, Update};
use crate::venue::find;
use market::Market;

/// All symbols are of the only shard.
const SHARD: u32 = 0;

/// A version that no clock gives for an hour.
fn ahead() -> u64 {
    now_us() + 3_600_000_000
}

fn post() -> Post {
    Post::shard("binance", SHARD)
}

/// One venue that does nothing by itself, and all that it has to do with.
struct World {
    run: VenueRun,
    told: mpsc::Receiver<Told>,
    list: watch::Sender<Arc<List>>,
    market: Market,
    exchange: Exchange,
    tasks: Running,
    _server: NatsServer,
}

/// Ends with the test.
struct Running(Tasks);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.token().cancel();
    }
}

impl World {
    /// A venue that lists these bases against USDT; with `on_demand`, it carries what is wanted of them.
    async fn new(bases: &[&str], on_demand: bool) -> Self {
        let exchange = Exchange::start(bases).await;
        let (server, tasks) = (NatsServer::start().await.unwrap(), Tasks::new());
        let nats = Nats::connect(&server.config(), "test").await.unwrap();
        let (sender, ready) = watch::channel(Ready::default());
        tasks.spawn("streams", streams::keep(nats.clone(), 1, sender, tasks.token()));
        soon("streams", streams::first(&mut ready.clone())).await.unwrap();
        let (fleet, told) = Handle::alone(Post::all_of(&Name::from("binance"), 1));
        let (list, lists) = watch::channel(Arc::new(listing(bases)));
        let market = Market::open(&tasks).await;
        let ticks = Arc::new(Ticks::new(1));
        let outlet = Arc::new(Outlet::new(&nats, ready.clone(), "binance", 1, Arc::clone(&ticks)));
        let (sweeping, token) = (Arc::clone(&outlet), tasks.token());
        tasks.spawn("outlet", async move {
            sweeping.run(token.cancelled()).await;
            Ok(())
        });
        let keeper = Keeper::new(binance(Symbols::All, &exchange.url), exchange.rest(), nats.clone(), ready);
        let rules = Rules { stale_after_ms: 30_000, shut: None };
        let feeds = FeedsConfig { venue: "binance", shards: 1, demand: on_demand, rules };
        let parts = Parts {
            id: "binance",
            pool: pool(&market, &exchange, Arc::clone(&outlet), &tasks),
            nats,
            outlet,
            feeds: Arc::new(Feeds::new(feeds, ticks)),
            demand: on_demand.then(|| Arc::new(Demand::new("binance", 1, Duration::ZERO))),
            list: lists,
            keeping: Keeping::new("binance", keeper, tasks.spawner()),
            fleet,
        };
        let mut run = VenueRun::new(parts);
        run.listed().await;
        let tasks = Running(tasks);
        let mut world = Self { run, told, list, market, exchange, tasks, _server: server };
        assert!(
            matches!(world.told.try_recv(), Ok(Told::Weights(posts)) if posts == [(post(), bases.len() as u64)])
        );
        world
    }

    async fn lists(&mut self, list: List) {
        self.list.send_replace(Arc::new(list));
        self.run.listed().await;
        assert!(matches!(self.told.try_recv(), Ok(Told::Weights(_))));
    }

    async fn carry(&mut self, epoch: u64) {
        self.run.order(Order::Carry { post: post(), epoch }).await;
    }

    /// Reads what there is to read; gives what was asked for.
    async fn read(&mut self) -> Vec<Symbol> {
        let mut asked = Vec::new();
        while let Some(reading) = soon("last values", self.run.readings.next()).await {
            asked.extend(reading.asked.iter().cloned());
            self.run.read(reading).await;
        }
        asked
    }

    /// Somebody published this version of a symbol.
    async fn published(&self, base: &str, v: u64) {
        let nats = &self.run.parts.nats;
        let row = Bytes::from(format!(r#"{{"v":{v},"price":1}}"#));
        Publisher::new(nats).publish(&subject::last("binance", &usdt(base)), row).await.unwrap();
        let topic = [Topic::new("binance", &usdt(base)).unwrap()];
        let stored = async {
            while Snapshots::new(nats).get(&topic).await.unwrap() == [None] {
                tokio::task::yield_now().await;
            }
        };
        soon("a stored row", stored).await;
    }

    async fn ticks(&self, base: &str) -> Subscription {
        let nats = &self.run.parts.nats;
        let ticks = nats.subscribe(&subject::tick("binance", &usdt(base))).await.unwrap();
        soon("NATS", nats.barrier()).await.unwrap();
        ticks
    }

    /// A socket brings a price that is its place in the venue's order, too.
    fn hear(&self, base: &str, nth: i64) {
        let symbol = self.run.parts.outlet.number(&usdt(base)).unwrap();
        let fields = Row { price: nth.to_string().parse().ok(), ..Row::default() };
        let update = Update { symbol, fields, orders: Orders { price: nth, ..Orders::NONE } };
        self.run.parts.outlet.publish(&[update], now_us(), std::time::Instant::now());
    }

    fn has_told(&mut self) -> bool {
        self.told.try_recv().is_ok()
    }
}

fn pool(market: &Market, exchange: &Exchange, outlet: Arc<Outlet>, tasks: &Tasks) -> Pool {
    let venue = find("binance").unwrap();
    let config = PoolConfig {
        venue,
        ws_url: Some(market.url.clone()),
        rest: exchange.rest(),
        symbols_per_socket: 300,
        lifetime: Duration::from_micros(venue.facts().lifetime),
        shrink_after: SHRINK_AFTER,
        gate: Arc::new(Gate::new(venue.facts().connects)),
    };
    Pool::start(config, outlet, &tasks.spawner(), tasks.token())
}

fn usdt(base: &str) -> String {
    format!("{base}/USDT")
}

/// These bases, with keys as Binance has them.
fn listing(bases: &[&str]) -> List {
    let entries: Vec<Entry> = bases.iter().map(|base| entry(base, base)).collect();
    List::new(1, &entries)
}

fn entry(base: &str, key: &str) -> Entry {
    Entry {
        venue: "binance".to_owned(),
        symbol: usdt(base),
        aliases: vec![format!("{key}USDT")],
        price_increment: None,
    }
}

/// The next tick: its version and its price.
async fn next_tick(ticks: &mut Subscription) -> (u64, String) {
    let message = soon("a tick", ticks.next()).await.unwrap();
    let row: Value = serde_json::from_slice(&message.payload).unwrap();
    (row["v"].as_u64().unwrap(), row["price"].to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_shard_is_subscribed_and_told_to_be_warm_once() {
    let mut world = World::new(&["BTC", "ETH"], false).await;
    world.run.order(Order::Prepare { post: post(), turn: 7 }).await;
    world.run.look().await;
    assert!(!world.has_told(), "it only just asked");
    let mut news = world.run.parts.pool.view().changed();
    let warm = async {
        loop {
            world.run.look().await;
            match world.told.try_recv() {
                Ok(told) => break told,
                Err(_) => news.changed().await.unwrap(),
            }
        }
    };
    let told = soon("warmth", warm).await;
    assert!(matches!(told, Told::Warm { post, turn: 7 } if post == self::post()));
    world.market.carries(&["BTC", "ETH"]).await;
    world.run.look().await;
    assert!(!world.has_told());
    assert_eq!(world.run.readings.len(), 0, "it is not ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_out_before_the_last_values_are_read() {
    let mut world = World::new(&["BTC"], false).await;
    let v = ahead();
    world.published("BTC", v).await;
    let mut ticks = world.ticks("BTC").await;
    world.carry(1).await;
    world.hear("BTC", 100);
    assert_eq!(world.read().await, [Symbol::new("BTC/USDT").unwrap()]);
    world.hear("BTC", 101);
    assert!(next_tick(&mut ticks).await.0 > v);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_for_the_last_values() {
    let mut world = World::new(&["BTC"], false).await;
    let v = ahead();
    world.published("BTC", v).await;
    world.carry(1).await;
    world.run.order(Order::Release { post: post(), turn: 9 }).await;
    assert!(!world.has_told(), "what it would hand over lies below what was published");
    world.read().await;
    let Ok(Told::Released { turn: 9, rows, .. }) = world.told.try_recv() else { panic!("not released") };
    let left = HandOver::decode(&rows, SHARD).unwrap();
    let [btc] = &left.symbols[..] else { panic!("{left:?}") };
    assert!(btc.symbol == "BTC/USDT" && read_v(btc.row()) >= Some(v));
    assert!(matches!(world.run.held.stage(SHARD), Some(Stage::Released)));
    world.market.carries(&["BTC"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_undoes_everything_at_any_time() {
    let mut world = World::new(&["BTC"], false).await;
    let mut ticks = world.ticks("BTC").await;
    for epoch in 1..=2 {
        world.carry(epoch).await;
        if epoch == 2 {
            world.read().await;
            world.hear("BTC", 100);
            while next_tick(&mut ticks).await.1 != "100" {}
        }
        world.market.carries(&["BTC"]).await;
        world.run.order(Order::Stop { post: post(), reason: Reason::Lost }).await;
        world.market.carries(&[]).await;
        world.read().await;
        assert_eq!(world.run.held.shards(), [0; 0], "nor does a late reading bring it back");
    }
    world.hear("BTC", 101);
    world.carry(3).await;
    world.read().await;
    world.hear("BTC", 102);
    loop {
        let (_, price) = next_tick(&mut ticks).await;
        assert_ne!(price, "101", "said while it was not ours");
        if price == "102" {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_list_reads_the_last_values_of_what_is_new() {
    let mut world = World::new(&["BTC"], false).await;
    let v = ahead();
    world.published("ETH", v).await;
    world.carry(1).await;
    world.read().await;
    world.lists(listing(&["BTC", "ETH"])).await;
    assert_eq!(world.read().await, [Symbol::new("ETH/USDT").unwrap()]);
    let mut ticks = world.ticks("ETH").await;
    world.hear("ETH", 100);
    assert!(next_tick(&mut ticks).await.0 > v);
    world.market.carries(&["BTC", "ETH"]).await;
    world.lists(listing(&["ETH"])).await;
    world.market.carries(&["ETH"]).await;
    assert_eq!(world.run.readings.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbol_that_the_venue_calls_otherwise_is_subscribed_anew() {
    let mut world = World::new(&["BTC"], false).await;
    let mut ticks = world.ticks("BTC").await;
    world.carry(1).await;
    world.read().await;
    let (before, _) = next_tick(&mut ticks).await;
    world.lists(List::new(1, &[entry("BTC", "XBT")])).await;
    world.market.carries(&["XBT"]).await;
    assert!(next_tick(&mut ticks).await.0 > before, "whatever the order of the other key was");
    assert_eq!(world.run.readings.len(), 0, "its last value is ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_while_last_values_are_read_is_read_before_anything_goes_out() {
    let mut world = World::new(&[], false).await;
    let v = ahead();
    world.published("BTC", v).await;
    let mut ticks = world.ticks("BTC").await;
    // As at a start: the shard is ours before its symbols are known.
    world.carry(1).await;
    world.lists(listing(&["BTC"])).await;
    world.hear("BTC", 100);
    world.read().await;
    world.hear("BTC", 101);
    assert!(next_tick(&mut ticks).await.0 > v);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_is_gone_on_from_and_one_that_cannot_be_read_is_like_none() {
    let mut world = World::new(&["BTC", "ETH"], true).await;
    let v = ahead();
    let mut ticks = world.ticks("BTC").await;
    world.run.parts.demand.iter().for_each(|demand| demand.import(&[usdt("BTC")]));
    world.run.order(Order::Prepare { post: post(), turn: 1 }).await;
    world.market.carries(&["BTC"]).await;
    let orders = json!(Orders { price: 99, ..Orders::NONE });
    let btc = format!(r#"{{"symbol":"BTC/USDT","row":{{"v":{v},"price":99}},"orders":{orders}}}"#);
    let rows = Bytes::from(format!(r#"{{"shard":{SHARD},"symbols":[{btc}],"wants":["ETH/USDT"]}}"#));
    world.run.order(Order::Publish { post: post(), epoch: 2, rows }).await;
    world.hear("BTC", 98);
    world.hear("BTC", 100);
    let (first, price) = next_tick(&mut ticks).await;
    assert!(first > v && price == "100", "{first} {price}");
    world.market.carries(&["BTC", "ETH"]).await;
    assert!(matches!(world.run.held.stage(SHARD), Some(Stage::Carried { epoch: 2, .. })));
    assert_eq!(
        world.read().await,
        [Symbol::new(&usdt("ETH")).unwrap()],
        "of which the hand-over says nothing"
    );

    world.run.order(Order::Stop { post: post(), reason: Reason::HandedOver }).await;
    let rows = Bytes::from_static(b"nothing");
    world.run.order(Order::Publish { post: post(), epoch: 3, rows }).await;
    assert!(matches!(world.run.held.stage(SHARD), Some(Stage::Reading { epoch: 3, .. })));
    assert_eq!(world.read().await.len(), 2);
    assert!(matches!(world.run.held.stage(SHARD), Some(Stage::Carried { epoch: 3, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wanted_comes_and_goes() {
    let mut world = World::new(&["BTC", "ETH"], true).await;
    let demand = world.run.parts.demand.clone().unwrap();
    let want = |names: &[&str]| demand.import(&names.iter().map(|name| usdt(name)).collect::<Vec<_>>());
    want(&["BTC", "NOPE"]);
    world.carry(1).await;
    world.market.carries(&["BTC"]).await;
    // From here on by itself.
    let (orders, queue) = mpsc::channel(1);
    let (run, (alive, end)) = (world.run, oneshot::channel::<()>());
    world.tasks.0.spawner().spawn_job("venue", async move {
        let _alive = alive;
        run.run(queue).await
    });
    want(&["ETH"]);
    world.market.carries(&["BTC", "ETH"]).await;
    demand.expire(std::time::Instant::now() + Duration::from_secs(60));
    world.market.carries(&[]).await;
    drop(orders);
    assert!(soon("the end", end).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_kept_while_it_is_ours() {
    let mut world = World::new(&["BTC"], false).await;
    let post = || Post { venue: Name::from("binance"), part: Part::Catalogue };
    world.run.order(Order::Carry { post: post(), epoch: 1 }).await;
    world.exchange.asked_more(1).await;
    world.run.order(Order::Release { post: post(), turn: 4 }).await;
    assert!(matches!(world.told.try_recv(), Ok(Told::Released { turn: 4, rows, .. }) if rows.is_empty()));
    world.run.order(Order::Stop { post: post(), reason: Reason::Lost }).await;
    world.run.order(Order::Carry { post: post(), epoch: 2 }).await;
    world.exchange.asked_more(1).await;
}
