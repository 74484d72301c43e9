//! Clients that mean harm, or whose network does: each is ended by a limit, and all the while a client that behaves
//! gets every row and a new one is let in.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::interval;

use crate::support::client::Client;
use crate::support::edge::Edge;
use crate::support::http::narrow;
use crate::support::market::Market;
use crate::support::raw::{Raw, masked};
use crate::support::scene::{A, Scene};
use crate::support::{eventually, in_time};

const B: &str = "bench:B";

fn ask(method: &str, name: &str) -> Vec<u8> {
    masked(0x81, json!({"method": method, "params": {"symbol": name}}).to_string().as_bytes())
}

impl Scene {
    /// Until this has happened the witness gets row after row, none of them folded, and somebody new is let in.
    async fn goes_on_while<T>(&mut self, what: &str, event: impl AsyncFnOnce(&Market, &Edge) -> T) -> T {
        let Self { market, edge, witness, v } = self;
        let rows = async {
            let mut pace = interval(Duration::from_millis(10));
            loop {
                pace.tick().await;
                *v += 1;
                market.tick(A, *v).await;
                let row = witness.row().await;
                assert_eq!((row.v, row.skipped), (*v, 0), "while {what}");
            }
        };
        let newcomer = async {
            let mut client = Client::subscribed(edge, &[A]).await;
            client.row().await
        };
        tokio::select! {
            (happened, _) = in_time(what, async { tokio::join!(event(market, edge), newcomer) }) => happened,
            () = rows => unreachable!("rows go on for ever"),
        }
    }
}

/// Sends a byte now and then, for ever; gives what it heard until it was cut.
async fn trickle(edge: &Edge, bytes: &'static [u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(edge.address).await.unwrap();
    let (mut bytes, mut pace) = (bytes.iter().cycle(), interval(Duration::from_millis(50)));
    let mut heard = [0; 512];
    loop {
        tokio::select! {
            read = socket.read(&mut heard) => return heard[..read.unwrap_or(0)].to_vec(),
            _ = pace.tick() => {
                let byte = bytes.next().map_or(&[][..], std::slice::from_ref);
                // An error is found by the read too.
                let _ = socket.write_all(byte).await;
            }
        }
    }
}

#[tokio::test]
async fn who_trickles_a_request_is_cut_at_the_deadline() {
    const EACH: usize = 40;
    let mut scene = Scene::open(&["--edge.handshake_seconds", "2"]).await;
    let heard = scene
        .goes_on_while("slow requests come in", async |_, edge| {
            let of = |bytes: &'static [u8]| join_all((0..EACH).map(move |_| trickle(edge, bytes)));
            // No byte at all, a method that never ends, one header after the other.
            let (silent, endless, headers) =
                tokio::join!(of(b""), of(b"G"), of(b"GET / HTTP/1.1\r\nx: y\r\nz:"));
            [silent, endless, headers].concat()
        })
        .await;
    assert!(heard.iter().all(Vec::is_empty), "nobody is answered: {heard:?}");
    let cut = scene.edge.metric("tickwire_edge_handshake_timeouts_total", "").await;
    assert_eq!(cut, (3 * EACH) as f64);
}

#[tokio::test]
async fn who_keeps_a_socket_for_nothing_is_cut_too() {
    let mut scene = Scene::open(&["--edge.handshake_seconds", "1"]).await;
    let answer = scene
        .goes_on_while("a connection idles after its answer", async |_, edge| {
            let mut socket = TcpStream::connect(edge.address).await.unwrap();
            socket.write_all(b"GET /v1/symbols HTTP/1.1\r\nHost: edge\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            answer
        })
        .await;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"), "{answer}");
    assert_eq!(scene.edge.metric("tickwire_edge_handshake_timeouts_total", "").await, 0.0);
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let mut scene = Scene::open(&[]).await;
    let answer = scene
        .goes_on_while("a body is announced", async |_, edge| {
            let mut socket = TcpStream::connect(edge.address).await.unwrap();
            let head = b"GET /v1/symbols HTTP/1.1\r\nHost: edge\r\nContent-Length: 1000000000\r\n\r\nx";
            socket.write_all(head).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            answer
        })
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_peer_that_vanished_is_found_out_and_its_seats_are_free() {
    let mut scene = Scene::open(&["--edge.ping_seconds=1", "--edge.linger_seconds=0"]).await;
    scene
        .goes_on_while("a socket is half open", async |market, edge| {
            let mut gone = Raw::connect(edge).await;
            gone.write(&ask("subscribe", B)).await;
            gone.text_with("subscribed").await;
            assert_eq!(market.subscriptions(B).await, 1);
            // From here on it neither reads nor answers; its kernel does, as long as it has room.
            eventually("it is given up", async || {
                edge.metric("tickwire_edge_closes_total", "heartbeat_timeout").await == 1.0
            })
            .await;
            eventually("its subscription ends", async || market.subscriptions(B).await == 0).await;
            assert_eq!(gone.close_code().await, Some(4001));
            assert_eq!(gone.frame().await, None, "and it is forgotten");
        })
        .await;
    assert_eq!(scene.edge.metric("tickwire_edge_closes_total", "heartbeat_timeout").await, 1.0);
}

#[tokio::test]
async fn half_a_message_is_waited_for_no_longer_than_silence() {
    let mut scene = Scene::open(&["--edge.ping_seconds=1"]).await;
    scene
        .goes_on_while("half a message stands there", async |_, edge| {
            let request = ask("subscribe", B);
            let mut half = Raw::connect(edge).await;
            half.write(&request[..request.len() / 2]).await;
            assert_eq!(half.close_code().await, Some(4001));
        })
        .await;
}

#[tokio::test]
async fn a_message_in_pieces_may_take_its_time_while_pings_are_answered() {
    let mut scene = Scene::open(&["--edge.ping_seconds=1"]).await;
    scene
        .goes_on_while("fragments are far between", async |_, edge| {
            let mut slow = Raw::connect(edge).await;
            slow.write(&masked(0x01, br#"{"method":"pi"#)).await;
            for _ in 0..4 {
                while slow.frame().await.unwrap().0 != 0x89 {}
                slow.write(&masked(0x8A, b"")).await;
            }
            slow.write(&masked(0x80, br#"ng"}"#)).await;
            assert!(slow.text_with("pong").await.contains("true"));
        })
        .await;
}

#[tokio::test]
async fn a_flood_of_pings_is_refused_and_then_ended() {
    let mut scene = Scene::open(&[]).await;
    scene
        .goes_on_while("pings rain", async |_, edge| {
            let mut flood = Raw::connect(edge).await;
            flood.flood(&masked(0x89, b"x").repeat(100)).await;
            let mut calm = Client::connect(edge).await;
            assert_eq!(calm.ask(json!({"method": "ping"})).await["method"], "pong");
        })
        .await;
    assert_eq!(scene.edge.metric("tickwire_edge_closes_total", "abuse").await, 1.0);
}

#[tokio::test]
async fn a_flood_of_subscribes_is_refused_and_then_ended() {
    let mut scene = Scene::open(&[]).await;
    let codes = scene
        .goes_on_while("subscribes rain", async |_, edge| {
            let mut flood = Client::connect(edge).await;
            for turn in 0..200 {
                let method = if turn % 2 == 0 { "subscribe" } else { "unsubscribe" };
                flood.say(json!({"method": method, "params": {"symbol": B}})).await;
            }
            flood.end().await
        })
        .await;
    assert_eq!(codes.0, Some(4504));
    assert!(codes.1.iter().all(|code| code == "rate_limited" || code == "not_subscribed"), "{codes:?}");
    eventually("its seat is free", async || {
        scene.edge.metric("tickwire_edge_subscriptions", "").await == 1.0
    })
    .await;
}

#[tokio::test]
async fn whoever_may_subscribe_and_leave_without_end_costs_one_subscription_a_symbol() {
    const SYMBOLS: usize = 50;
    let settings = ["--edge.messages_per_second_max=1000000", "--edge.messages_burst_max=1000000"];
    let mut scene = Scene::open(&settings).await;
    scene
        .goes_on_while("somebody comes and goes", async |market, edge| {
            let mut restless = Client::connect(edge).await;
            for turn in 0..40 * SYMBOLS {
                let name = format!("bench:R{}", turn % SYMBOLS);
                for method in ["subscribe", "unsubscribe"] {
                    let reply = restless.ask(json!({"method": method, "params": {"symbol": name}})).await;
                    assert_eq!(reply["success"], true, "{reply}");
                }
            }
            assert_eq!(market.subscriptions("bench:R0").await, 1, "it lingers, for one who comes back");
            eventually("topics are counted", async || {
                edge.metric("tickwire_edge_topics", "").await == (SYMBOLS + 1) as f64
            })
            .await;
        })
        .await;
    assert_eq!(scene.edge.metric("tickwire_edge_lingering_views", "").await, SYMBOLS as f64);
}

#[tokio::test]
async fn everyone_back_at_once_gets_everything_again() {
    const CLIENTS: usize = 600;
    const SYMBOLS: usize = 20;
    const EACH: usize = 5;
    let mut scene = Scene::open(&[]).await;
    let name = |n: usize| format!("bench:S{}", n % SYMBOLS);
    for n in 0..SYMBOLS {
        scene.market.last(&name(n), 7).await;
    }
    let come = async |edge: &Edge, n: usize| {
        let names: Vec<String> = (n..n + EACH).map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut client = Client::subscribed(edge, &names).await;
        for _ in 0..EACH {
            let row = client.row().await;
            assert_eq!((row.v, row.snapshot), (7, true));
        }
        client
    };
    let clients = join_all((0..CLIENTS).map(|n| come(&scene.edge, n))).await;
    let counted = scene.edge.metric("tickwire_edge_snapshots_total", "store").await;
    drop(clients);
    scene
        .goes_on_while("everyone comes back", async |market, edge| {
            let all_back = join_all((0..CLIENTS).map(|n| come(edge, n)));
            let shared = async {
                loop {
                    for n in 0..SYMBOLS {
                        assert_eq!(market.subscriptions(&name(n)).await, 1);
                    }
                }
            };
            tokio::select! {
                clients = all_back => assert_eq!(clients.len(), CLIENTS),
                () = shared => unreachable!("it looks for ever"),
            }
        })
        .await;
    let store = scene.edge.metric("tickwire_edge_snapshots_total", "store").await;
    assert_eq!(store, counted, "those who come back are served from memory");
}

/// Linux ends a connection that takes nothing; it costs the edge one bounded place until then.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let mut scene = Scene::open(&["--edge.stall_seconds", "1"]).await;
    scene.market.list_many("binance", 20_000).await;
    scene.edge.knows(20_000).await;
    scene
        .goes_on_while("an answer is not read", async |_, edge| {
            let mut socket = narrow(edge).await;
            socket.write_all(b"GET /v1/symbols HTTP/1.1\r\nHost: edge\r\n\r\n").await.unwrap();
            let mut first = [0; 12];
            socket.read_exact(&mut first).await.unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            eventually("the answer is given up", async || {
                edge.metric("tickwire_edge_http_connections", "").await == 0.0
            })
            .await;
        })
        .await;
}
