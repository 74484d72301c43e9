//! Members of a fleet on a real nats-server, each with a connection of its own and a runtime that does what it is told
//! at once: one that vanishes is replaced, one that is drained hands over, and NATS may lose the bucket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tickwire_common::task::{Spawner, Tasks};
use tickwire_ingestor::fleet::{Fleet, Handle, MemberConfig, Name, Order, Part, Post, Reason, Times};
use tickwire_ingestor::streams::Ready;
use tickwire_nats::setup::{LEASES_BUCKET, ensure_bucket};
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{Bytes, Nats};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
const SHARDS: u32 = 8;
/// Its shards and its catalogue.
const POSTS: usize = SHARDS as usize + 1;

/// A member, and what it was told.
struct Process {
    handle: Handle,
    orders: mpsc::Receiver<Order>,
    holds: BTreeSet<Post>,
    /// Ends it in order.
    drain: CancellationToken,
    /// Ends it as a crash does: nothing is released.
    crash: CancellationToken,
}

impl Process {
    async fn start(id: &str, server: &NatsServer, spawner: &Spawner) -> Self {
        let nats = Nats::connect(&server.config(), "ingestor").await.unwrap();
        let venues = BTreeMap::from([(Name::from("toy"), SHARDS)]);
        let config = MemberConfig { id: id.into(), venues, times: Times::default(), pulls_max: 4 };
        let (ensured, ready) = watch::channel(Ready::default());
        spawner.spawn_job(format!("ensure-{id}"), ensure(nats.clone(), ensured));
        let fleet = Fleet::new(config, &nats, ready);
        let handle = fleet.handle();
        let (told, orders) = mpsc::channel(1_000);
        let (drain, crash) = (CancellationToken::new(), CancellationToken::new());
        let run =
            fleet.run(move |order| told.try_send(order).unwrap(), drain.clone(), Duration::from_secs(10));
        let crashed = crash.clone();
        spawner.spawn_job(format!("fleet-{id}"), async move {
            crashed.run_until_cancelled(run).await;
            Ok(())
        });
        Self { handle, orders, holds: BTreeSet::new(), drain, crash }
    }

    /// Does the next order; `None` when the member has ended.
    async fn next(&mut self) -> Option<Order> {
        let order = timeout(PATIENCE, self.orders.recv()).await.expect("an order")?;
        let post = order.post().clone();
        match &order {
            Order::Prepare { turn, .. } => self.handle.warm(post, *turn).await,
            Order::Carry { .. } | Order::Publish { .. } => drop(self.holds.insert(post)),
            Order::Release { turn, .. } => {
                let rows = if post.part == Part::Catalogue { Bytes::new() } else { rows(&post) };
                self.handle.released(post, *turn, rows).await;
            }
            Order::Stop { .. } => drop(self.holds.remove(&post)),
        }
        Some(order)
    }

    /// Does orders until it holds so many posts; gives them.
    async fn until(&mut self, posts: usize) -> Vec<Order> {
        let mut orders = Vec::new();
        while self.holds.len() != posts {
            orders.push(self.next().await.expect("the member runs"));
        }
        orders
    }

    fn is_open(&self, post: &Post) -> bool {
        self.handle.fence(post).unwrap().is_open(self.handle.clock().now())
    }
}

/// What a runtime exports; here, the name of the shard.
fn rows(post: &Post) -> Bytes {
    Bytes::from(post.to_string())
}

/// As `streams::keep` does for a whole process.
async fn ensure(nats: Nats, ready: watch::Sender<Ready>) -> anyhow::Result<()> {
    let mut state = nats.state();
    loop {
        let done = ready.borrow().epoch;
        let up = state.wait_for(|state| state.connected && state.epoch > done).await.map(|state| state.epoch);
        let Ok(epoch) = up else { return Ok(()) };
        if ensure_bucket(&nats, LEASES_BUCKET, 1).await.is_ok() {
            ready.send_replace(Ready { epoch, problem: None });
        }
    }
}

fn all_posts() -> BTreeSet<Post> {
    Post::all_of(&"toy".into(), SHARDS).collect()
}

fn shards(posts: &BTreeSet<Post>) -> usize {
    posts.iter().filter(|post| post.part != Part::Catalogue).count()
}

/// Orders that give posts with a hand-over, each with the rows of its own shard.
fn handed_over(orders: &[Order]) -> usize {
    let of_its_own =
        |order: &&Order| matches!(order, Order::Publish { post, rows: given, .. } if *given == rows(post));
    orders.iter().filter(of_its_own).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_vanishes_is_replaced() {
    let server = NatsServer::start().await.unwrap();
    let tasks = Tasks::new();
    let mut one = Process::start("one", &server, &tasks.spawner()).await;
    one.until(POSTS).await;
    let mut two = Process::start("two", &server, &tasks.spawner()).await;
    // Both work at once: the newcomer asks, the owner answers.
    let ((), of_two) = tokio::join!(async { drop(one.until(POSTS - 4).await) }, two.until(4));
    assert_eq!(handed_over(&of_two), shards(&two.holds), "{of_two:?}");
    assert!(
        one.holds.is_disjoint(&two.holds)
            && two.holds.iter().all(|post| two.is_open(post) && !one.is_open(post))
    );

    let lost = one.holds.clone();
    one.crash.cancel();
    let since = Instant::now();
    let taken = two.until(POSTS).await;
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert_eq!(taken.iter().filter(|order| matches!(order, Order::Carry { .. })).count(), lost.len());
    assert_eq!(two.holds, all_posts());
    println!("taken over after {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_member_hands_everything_over() {
    let server = NatsServer::start().await.unwrap();
    let tasks = Tasks::new();
    let mut one = Process::start("one", &server, &tasks.spawner()).await;
    one.until(POSTS).await;
    let mut two = Process::start("two", &server, &tasks.spawner()).await;
    tokio::join!(async { drop(one.until(POSTS - 4).await) }, two.until(4));

    let left = shards(&one.holds);
    one.drain.cancel();
    let since = Instant::now();
    let ended = async {
        let mut reasons = Vec::new();
        while let Some(order) = one.next().await {
            if let Order::Stop { reason, .. } = order {
                reasons.push(reason);
            }
        }
        reasons
    };
    let (reasons, given) = tokio::join!(ended, two.until(POSTS));
    assert!(reasons.iter().all(|reason| *reason == Reason::HandedOver), "{reasons:?}");
    assert_eq!(
        (reasons.len(), handed_over(&given)),
        (POSTS - 4, left),
        "all, and the shards with their rows"
    );
    println!("handed over after {:?}", since.elapsed());

    // The last one frees everything, so that the next begins at once.
    two.drain.cancel();
    while two.next().await.is_some() {}
    let mut three = Process::start("three", &server, &tasks.spawner()).await;
    let since = Instant::now();
    three.until(POSTS).await;
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_lost_is_filled_again_by_its_owners() {
    let mut server = NatsServer::start().await.unwrap();
    let tasks = Tasks::new();
    let mut one = Process::start("one", &server, &tasks.spawner()).await;
    one.until(POSTS).await;
    server.stop();
    std::fs::remove_dir_all(server.folder().join("store")).unwrap();
    let post = Post::shard("toy", 0);
    until("the fence is closed", || !one.is_open(&post)).await;
    server.restart().await.unwrap();
    let since = Instant::now();
    until("the fence is open again", || all_posts().iter().all(|post| one.is_open(post))).await;
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    assert!(one.orders.try_recv().is_err(), "nothing changed for the runtime");
    println!("open again after {:?}", since.elapsed());
}

/// A fence tells nobody when it moves, so it is looked at.
async fn until(what: &str, reached: impl Fn() -> bool) {
    let looking = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}
