//! From an exchange's socket to NATS: pool, link, outlet and feeds against a real nats-server and a WebSocket server of
//! this test's own, which plays Binance frame by frame.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Once};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tickwire_common::feed::{FeedState, FeedStatus};
use tickwire_common::task::{Tasks, Verdict};
use tickwire_common::telemetry::{self, Format};
use tickwire_ingestor::feeds::{Feeds, FeedsConfig, Rules, Ticks};
use tickwire_ingestor::link::Gate;
use tickwire_ingestor::outlet::Outlet;
use tickwire_ingestor::permit::Permit;
use tickwire_ingestor::pool::{Pool, PoolConfig, SHRINK_AFTER};
use tickwire_ingestor::rest::Rest;
use tickwire_ingestor::streams::{self, Ready};
use tickwire_ingestor::venue::contract::Carried;
use tickwire_ingestor::venue::find;
use tickwire_nats::subscribe::Subscription;
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{Nats, Subject, subject};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async};

const PATIENCE: Duration = Duration::from_secs(20);

/// The only symbol, and its number.
const BTC: (&str, u32) = ("BTC/USDT", 0);

type Socket = WebSocketStream<TcpStream>;

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

fn trade(id: u64, price: &str) -> Message {
    let data = json!({"e": "trade", "E": 5, "s": "BTCUSDT", "t": id, "p": price});
    Message::text(json!({"stream": "btcusdt@trade", "data": data}).to_string())
}

#[derive(Debug)]
struct Always;

impl Permit for Always {
    fn is_open(&self) -> bool {
        true
    }
}

/// NATS with streams, a venue of this test's own, and what runs between them.
struct World {
    nats: Nats,
    tasks: Tasks,
    outlet: Arc<Outlet>,
    ticks: Arc<Ticks>,
    _server: NatsServer,
}

impl World {
    async fn new() -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| drop(telemetry::init("test", Format::Text, "off", None).unwrap()));
        let server = NatsServer::start().await.unwrap();
        let nats = Nats::connect(&server.config(), "test").await.unwrap();
        let (tasks, (sender, mut ready)) = (Tasks::new(), watch::channel(Ready::default()));
        tasks.spawn("streams", streams::keep(nats.clone(), 1, sender, tasks.token()));
        soon("streams", streams::first(&mut ready)).await.unwrap();
        let ticks = Arc::new(Ticks::new(1));
        let outlet = Arc::new(Outlet::new(&nats, ready, "binance", 1, Arc::clone(&ticks)));
        assert_eq!(outlet.list([BTC.0]).added[0].number, BTC.1);
        outlet.carry(0, [], Arc::new(Always));
        let (running, token) = (Arc::clone(&outlet), tasks.token());
        tasks.spawn("outlet", async move {
            running.run(token.cancelled()).await;
            Ok(())
        });
        Self { nats, tasks, outlet, ticks, _server: server }
    }

    async fn subscribe(&self, subject: Subject) -> Subscription {
        let subscription = self.nats.subscribe(&subject).await.unwrap();
        soon("NATS", self.nats.barrier()).await.unwrap();
        subscription
    }

    /// A venue of this test's own, and a pool that carries the symbol.
    async fn carry(&self) -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let facts = find("binance").unwrap().facts();
        let config = PoolConfig {
            venue: find("binance").unwrap(),
            ws_url: Some(format!("ws://{}", listener.local_addr().unwrap())),
            rest: Rest::new("http://127.0.0.1:1").unwrap(),
            symbols_per_socket: facts.symbols_per_socket,
            lifetime: Duration::from_micros(facts.lifetime),
            shrink_after: SHRINK_AFTER,
            gate: Arc::new(Gate::new(facts.connects)),
        };
        let pool = Pool::start(config, self.outlet.clone(), &self.tasks.spawner(), self.tasks.token());
        pool.want(vec![Carried { index: BTC.1, key: "BTCUSDT".to_owned() }]).await;
        self.speak(pool);
        listener
    }

    /// Says in the feed how the pool carries the symbol.
    fn speak(&self, pool: Pool) {
        let rules = Rules { stale_after_ms: 30_000, shut: None };
        let config = FeedsConfig { venue: "binance", shards: 1, demand: false, rules };
        let feeds = Arc::new(Feeds::new(config, Arc::clone(&self.ticks)));
        feeds.own(0, Arc::new(Always));
        let (speaking, nats, token) = (Arc::clone(&feeds), self.nats.clone(), self.tasks.token());
        self.tasks.spawn("feeds", async move {
            speaking.run(&nats, token).await;
            Ok(())
        });
        let token = self.tasks.token();
        self.tasks.spawn("report", async move {
            let mut changed = pool.view().changed();
            let reporting = async {
                while changed.changed().await.is_ok() {
                    feeds.sockets(0, pool.view().summary(&[BTC.1]));
                }
            };
            token.run_until_cancelled(reporting).await;
            Ok(())
        });
    }

    /// Shuts down and sees the socket closed in order.
    async fn shut_down_with(self, socket: &mut Socket) {
        let (verdict, goodbye) = tokio::join!(self.shut_down(), heard(socket));
        let Message::Close(Some(close)) = goodbye else { panic!("{goodbye:?} instead of a close frame") };
        assert_eq!(close.code, CloseCode::Normal);
        assert_eq!(verdict.status(), 0, "{verdict:?}");
    }

    async fn shut_down(self) -> Verdict {
        let verdict = self.tasks.run_until_shutdown(std::future::ready(()), PATIENCE).await;
        self.nats.drain().await;
        verdict
    }
}

async fn accept(listener: &TcpListener) -> Socket {
    let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
    accept_async(stream).await.unwrap()
}

/// The next frame of the client.
async fn heard(socket: &mut Socket) -> Message {
    soon("a frame", socket.next()).await.unwrap().unwrap()
}

/// Takes the SUBSCRIBE and acknowledges it.
async fn subscribed(socket: &mut Socket) {
    let request: Value = serde_json::from_str(heard(socket).await.to_text().unwrap()).unwrap();
    assert_eq!(request["params"], json!(["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@ticker"]));
    let ack = json!({"result": null, "id": request["id"]});
    socket.send(Message::text(ack.to_string())).await.unwrap();
}

async fn next_row(subscription: &mut Subscription) -> Value {
    let message = soon("a row", subscription.next()).await.unwrap();
    serde_json::from_slice(&message.payload).unwrap()
}

async fn feed_becomes(feed: &mut Subscription, state: FeedState) -> FeedStatus {
    loop {
        let message = soon(state.as_str(), feed.next()).await.unwrap();
        let status: FeedStatus = serde_json::from_slice(&message.payload).unwrap();
        if status.state == state {
            return status;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_socket_is_told_and_comes_back() {
    let world = World::new().await;
    let mut ticks = world.subscribe(subject::tick("binance", "BTC/USDT")).await;
    let mut feed = world.subscribe(subject::feed("binance", "0")).await;
    let listener = world.carry().await;

    let mut socket = accept(&listener).await;
    subscribed(&mut socket).await;
    socket.send(trade(7, "100.50")).await.unwrap();
    let first = next_row(&mut ticks).await;
    assert_eq!((&first["price"], &first["ts"]), (&json!(100.5), &json!(5)));
    feed_becomes(&mut feed, FeedState::Live).await;

    drop(socket);
    let stale = feed_becomes(&mut feed, FeedState::Stale).await;
    assert!(stale.reason.is_some());

    let mut socket = accept(&listener).await;
    subscribed(&mut socket).await;
    // A new connection may start over with its ids.
    socket.send(trade(1, "99")).await.unwrap();
    let second = next_row(&mut ticks).await;
    assert_eq!(second["price"], json!(99));
    assert!(second["v"].as_u64() > first["v"].as_u64());
    let live = feed_becomes(&mut feed, FeedState::Live).await;
    assert!(live.since >= stale.since && live.reason.is_none());

    world.shut_down_with(&mut socket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered_at_once_with_its_payload() {
    let world = World::new().await;
    let listener = world.carry().await;
    let mut socket = accept(&listener).await;
    subscribed(&mut socket).await;
    for payload in ["1791284980615", ""] {
        socket.send(Message::Ping(payload.into())).await.unwrap();
        // Nothing else is on its way that the pong could wait for.
        assert_eq!(heard(&mut socket).await, Message::Pong(payload.into()));
    }
    world.shut_down_with(&mut socket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_a_venues_goodbye_do_not_stop_the_prices() {
    let world = World::new().await;
    let mut ticks = world.subscribe(subject::tick("binance", "BTC/USDT")).await;
    let listener = world.carry().await;
    let mut socket = accept(&listener).await;
    subscribed(&mut socket).await;
    for garbage in [
        Message::text("{"),
        Message::text("{\"stream\":\"btcusdt@trade\",\"data\":{}}"),
        Message::binary("x"),
    ] {
        socket.send(garbage).await.unwrap();
    }
    socket.send(trade(1, "1.10")).await.unwrap();
    assert_eq!(next_row(&mut ticks).await["price"], json!(1.1));
    socket.send(Message::text(r#"{"e":"serverShutdown","E":1}"#)).await.unwrap();
    let mut next = accept(&listener).await;
    subscribed(&mut next).await;
    // Until the new one brings data, the old one is not left; after that it is of no more use.
    socket.send(trade(2, "2")).await.unwrap();
    assert_eq!(next_row(&mut ticks).await["price"], json!(2));
    next.send(trade(2, "2")).await.unwrap();
    next.send(trade(3, "3")).await.unwrap();
    assert_eq!(next_row(&mut ticks).await["price"], json!(3), "each once");
    assert!(matches!(heard(&mut socket).await, Message::Close(Some(_))));
    world.shut_down_with(&mut next).await;
}
