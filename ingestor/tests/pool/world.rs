//! A market, a pool, and a tape between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tickwire_common::task::Tasks;
use tickwire_common::telemetry::{self, Format};
use tickwire_ingestor::link::{Budget, Gate, Sink, Taken};
use tickwire_ingestor::pool::{Pool, PoolConfig};
use tickwire_ingestor::rest::Rest;
use tickwire_ingestor::venue::contract::{Carried, SECOND, Update};
use tickwire_ingestor::venue::facts::Rate;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::market::{Floor, Market};
use crate::toy::Toy;

const PATIENCE: Duration = Duration::from_secs(20);

/// Writes down what arrives.
#[derive(Debug, Default)]
pub struct Tape {
    reel: Mutex<Reel>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Reel {
    /// Places in the venue's order, by symbol, in the order of their arrival.
    heard: BTreeMap<u32, Vec<i64>>,
    links: BTreeSet<u32>,
    forgotten: Vec<u32>,
}

impl Sink for Tape {
    fn updates(&self, link: u32, updates: &[Update], _now_us: u64, _now: Instant) {
        let mut reel = self.reel.lock().unwrap();
        reel.links.insert(link);
        for update in updates {
            reel.heard.entry(update.symbol).or_default().push(update.orders.price);
        }
        drop(reel);
        self.changed.send_replace(());
    }

    fn forget_orders(&self, symbols: &[u32]) {
        self.reel.lock().unwrap().forgotten.extend(symbols);
    }
}

impl Tape {
    /// Every news from the first to the last is there, be it by one socket or by two.
    pub fn assert_no_gap(&self, symbol: u32) {
        let reel = self.reel.lock().unwrap();
        let heard: BTreeSet<i64> = reel.heard[&symbol].iter().copied().collect();
        let (first, last) = (*heard.first().unwrap(), *heard.last().unwrap());
        let missed: Vec<i64> = (first..=last).filter(|nth| !heard.contains(nth)).collect();
        assert!(missed.is_empty(), "symbol {symbol} missed {missed:?} of {first} to {last}");
    }

    /// Symbols that were told to be carried by nobody, since the last time this was asked.
    pub fn take_forgotten(&self) -> Vec<u32> {
        let mut forgotten = std::mem::take(&mut self.reel.lock().unwrap().forgotten);
        forgotten.sort_unstable();
        forgotten
    }

    /// Sockets that ever brought something.
    pub fn links(&self) -> usize {
        self.reel.lock().unwrap().links.len()
    }

    /// Waits until so many more news of a symbol have come.
    pub async fn more(&self, symbol: u32, count: usize) {
        let heard = || self.reel.lock().unwrap().heard.get(&symbol).map_or(0, Vec::len);
        let mut changed = self.changed.subscribe();
        let enough = heard() + count;
        while heard() < enough {
            changed.changed().await.unwrap();
        }
    }
}

/// Gives always, and writes down when.
#[derive(Debug, Default)]
pub struct Takes(Mutex<Vec<Instant>>);

impl Budget for Takes {
    fn take(&self) -> BoxFuture<'_, Taken> {
        self.0.lock().unwrap().push(Instant::now());
        Box::pin(std::future::ready(Taken::Yes))
    }
}

impl Takes {
    pub fn times(&self) -> Vec<Instant> {
        self.0.lock().unwrap().clone()
    }
}

/// What a scene is about.
pub struct Setup {
    pub symbols_per_socket: usize,
    pub topics_max: usize,
    pub lifetime: Duration,
    pub shrink_after: Duration,
    pub connects: Rate,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            symbols_per_socket: 4,
            topics_max: 100,
            lifetime: Duration::from_secs(3_600),
            shrink_after: Duration::from_secs(3_600),
            connects: Rate { count: 1_000, per: SECOND },
        }
    }
}

pub struct World {
    pub market: Market,
    pub pool: Pool,
    pub tape: Arc<Tape>,
    pub takes: Arc<Takes>,
    tasks: Tasks,
}

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

impl World {
    pub async fn new(setup: Setup) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| drop(telemetry::init("test", Format::Text, "off", None).unwrap()));
        let (tasks, tape, takes) = (Tasks::new(), Arc::<Tape>::default(), Arc::<Takes>::default());
        let (market, url) = Market::open(&tasks, setup.topics_max).await;
        let budget: Arc<dyn Budget> = takes.clone();
        let gate = Gate::new(setup.connects).sharing(budget, watch::channel(1).1);
        let config = PoolConfig {
            venue: &Toy,
            ws_url: Some(url),
            rest: Rest::new("http://127.0.0.1:1").unwrap(),
            symbols_per_socket: setup.symbols_per_socket,
            lifetime: setup.lifetime,
            shrink_after: setup.shrink_after,
            gate: Arc::new(gate),
        };
        let pool = Pool::start(config, tape.clone(), &tasks.spawner(), tasks.token());
        Self { market, pool, tape, takes, tasks }
    }

    /// Wants these symbols and waits until they are warm. Symbol n has the key `Sn`.
    pub async fn carry(&self, symbols: std::ops::Range<u32>) {
        let carried = symbols.clone().map(|index| Carried { index, key: format!("S{index}") });
        self.pool.want(carried.collect()).await;
        self.warm(&symbols.collect::<Vec<_>>()).await;
    }

    pub async fn warm(&self, symbols: &[u32]) {
        let mut changed = self.pool.view().changed();
        soon("warm symbols", async {
            while !self.pool.view().warm(symbols) {
                // Time alone may make one warm.
                let _again = timeout(Duration::from_millis(100), changed.changed()).await;
            }
        })
        .await;
    }

    pub async fn until(&self, what: &str, looks: impl Fn(&Floor) -> bool) {
        soon(what, self.market.until(looks)).await;
    }

    /// Shuts down in order: every socket says goodbye.
    pub async fn end(self) {
        let Self { market, pool, tasks, .. } = self;
        let verdict = tasks.run_until_shutdown(std::future::ready(()), PATIENCE).await;
        assert_eq!(verdict.status(), 0, "{verdict:?}");
        soon("the end of the pool", pool.closed()).await;
        assert!(market.notes().iter().any(|note| matches!(note, crate::market::Note::Closed(_))));
    }
}
