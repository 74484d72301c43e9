//! The driver and the outlet against a real nats-server and a WebSocket server of this test's own, which plays Binance
//! frame by frame.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tickwire_common::feed::{FeedState, FeedStatus};
use tickwire_common::row::Row;
use tickwire_common::symbol::Topic;
use tickwire_common::task::{Tasks, Verdict};
use tickwire_common::telemetry::{self, Format};
use tickwire_common::time::now_us;
use tickwire_ingestor::feed::Feed;
use tickwire_ingestor::link::Gate;
use tickwire_ingestor::link::fixed::Link;
use tickwire_ingestor::plan;
use tickwire_ingestor::publish::Outlet;
use tickwire_ingestor::rest::Rest;
use tickwire_ingestor::streams::{self, Ready};
use tickwire_ingestor::venue::contract::{Instrument, Orders, Update};
use tickwire_ingestor::venue::find;
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::subscribe::Subscription;
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{Bytes, Nats, Subject, subject};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async};

const PATIENCE: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<TcpStream>;

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

fn instruments() -> Vec<Instrument> {
    vec![Instrument::spot("BTC", "USDT", "BTCUSDT", None).unwrap()]
}

fn trade(id: u64, price: &str) -> Message {
    let data = json!({"e": "trade", "E": 5, "s": "BTCUSDT", "t": id, "p": price});
    Message::text(json!({"stream": "btcusdt@trade", "data": data}).to_string())
}

/// NATS with streams, and what runs on it.
struct World {
    server: NatsServer,
    nats: Nats,
    ready: watch::Receiver<Ready>,
    tasks: Tasks,
    outlet: Arc<Outlet>,
}

impl World {
    async fn new(before: &[Option<Bytes>]) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| drop(telemetry::init("test", Format::Text, "off", None).unwrap()));
        let server = NatsServer::start().await.unwrap();
        let nats = Nats::connect(&server.config(), "test").await.unwrap();
        let (tasks, (sender, mut ready)) = (Tasks::new(), watch::channel(Ready::default()));
        tasks.spawn("streams", streams::keep(nats.clone(), 1, sender, tasks.token()));
        soon("streams", streams::first(&mut ready)).await.unwrap();
        let outlet = Arc::new(Outlet::new(&nats, ready.clone(), "binance", &instruments(), before));
        let (running, token) = (Arc::clone(&outlet), tasks.token());
        tasks.spawn("outlet", async move {
            running.run(token.cancelled()).await;
            Ok(())
        });
        Self { server, nats, ready, tasks, outlet }
    }

    async fn subscribe(&self, subject: Subject) -> Subscription {
        let subscription = self.nats.subscribe(&subject).await.unwrap();
        soon("NATS", self.nats.barrier()).await.unwrap();
        subscription
    }

    /// A venue of this test's own, and a link to it.
    async fn link(&self) -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let venue = find("binance").unwrap();
        let feed = Arc::new(Feed::new("binance", 0));
        let link = Link {
            venue,
            name: "binance/0".to_owned(),
            symbols: plan::sockets(&instruments(), venue.facts()).remove(0),
            ws_url: Some(format!("ws://{}", listener.local_addr().unwrap())),
            rest: Rest::new("http://127.0.0.1:1").unwrap(),
            gate: Arc::new(Gate::new(venue.facts().connects)),
            outlet: Arc::clone(&self.outlet),
            reporter: feed.socket(),
        };
        self.tasks.spawn("link", link.run(self.tasks.token()));
        let (nats, token) = (self.nats.clone(), self.tasks.token());
        self.tasks.spawn("feed", async move {
            feed.run(&nats, token).await;
            Ok(())
        });
        listener
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
    let world = World::new(&[None]).await;
    let mut ticks = world.subscribe(subject::tick("binance", "BTC/USDT")).await;
    let mut feed = world.subscribe(subject::feed("binance", "0")).await;
    let listener = world.link().await;

    let mut socket = accept(&listener).await;
    subscribed(&mut socket).await;
    socket.send(trade(7, "100.50")).await.unwrap();
    let first = next_row(&mut ticks).await;
    assert_eq!((&first["price"], &first["ts"]), (&json!(100.5), &json!(5)));
    feed_becomes(&mut feed, FeedState::Live).await;

    drop(socket);
    let stale = feed_becomes(&mut feed, FeedState::Stale).await;
    assert!(stale.reason.unwrap().starts_with("1 of 1 sockets away"));

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
    let world = World::new(&[None]).await;
    let listener = world.link().await;
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
    let world = World::new(&[None]).await;
    let mut ticks = world.subscribe(subject::tick("binance", "BTC/USDT")).await;
    let listener = world.link().await;
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
    assert!(matches!(heard(&mut socket).await, Message::Close(Some(_))));
    let mut socket = accept(&listener).await;
    subscribed(&mut socket).await;
    socket.send(trade(2, "2")).await.unwrap();
    assert_eq!(next_row(&mut ticks).await["price"], json!(2));
    world.shut_down_with(&mut socket).await;
}

fn bid(text: &str) -> Update {
    let fields = Row { bid: text.parse().ok(), ..Row::default() };
    let orders = Orders { quote: Orders::WEAK, ..Orders::NONE };
    Update { symbol: 0, fields, orders }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_go_on_from_the_last_value_and_it_follows() {
    let ahead = now_us() + 3_600_000_000;
    let before = Bytes::from(format!(r#"{{"v":{ahead},"price":5.5}}"#));
    let world = World::new(&[Some(before)]).await;
    let mut ticks = world.subscribe(subject::tick("binance", "BTC/USDT")).await;
    let mut last = world.subscribe(subject::last("binance", "BTC/USDT")).await;
    for text in ["1", "2", "3"] {
        world.outlet.publish(&[bid(text)], now_us(), Instant::now());
    }
    for n in 1..=3 {
        assert_eq!(next_row(&mut ticks).await, json!({"v": ahead + n, "price": 5.5, "bid": n}));
    }
    let mut row = next_row(&mut last).await;
    while row["bid"] != json!(3) {
        row = next_row(&mut last).await;
    }
    assert_eq!(row["v"], json!(ahead + 3));
    assert_eq!(world.shut_down().await.status(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nats_is_away_the_newest_row_is_kept() {
    let mut world = World::new(&[None]).await;
    world.outlet.publish(&[bid("1")], now_us(), Instant::now());
    world.server.stop();
    let mut link = world.nats.state();
    soon("the outage", link.wait_for(|state| !state.connected)).await.unwrap();
    for text in ["2", "3", "4"] {
        world.outlet.publish(&[bid(text)], now_us(), Instant::now());
    }
    let mut ticks = world.nats.subscribe(&subject::tick("binance", "BTC/USDT")).await.unwrap();
    soon("the restart", world.server.restart()).await.unwrap();
    assert_eq!(next_row(&mut ticks).await["bid"], json!(4), "and nothing older");

    // The stream was in memory and is there again, with the row in it.
    soon("the stream", world.ready.wait_for(|ready| ready.epoch >= 2)).await.unwrap();
    let snapshots = Snapshots::new(&world.nats);
    let topic = Topic::new("binance", "BTC/USDT").unwrap();
    let stored = soon("the last value", async {
        loop {
            if let Ok([Some(row)]) = snapshots.get(std::slice::from_ref(&topic)).await.as_deref() {
                break serde_json::from_slice::<Value>(row).unwrap();
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(stored.await["bid"], json!(4));
    assert_eq!(world.shut_down().await.status(), 0);
}
