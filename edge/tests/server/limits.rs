//! Limits of the edge: they are announced, the newest is refused with a clear close, and nobody else is touched.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::client::{Client, error_code};
use crate::support::edge::Edge;
use crate::support::http::get;
use crate::support::market::Market;
use crate::support::raw::{Raw, upgrade};
use crate::support::{eventually, in_time};

const A: &str = "bench:A";

/// What a refused client hears before its close: code and whether to come back; and the close code.
async fn farewell(raw: &mut Raw) -> (Value, Option<u16>) {
    let text = raw.text_with("error").await;
    let reply: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(reply["success"], false, "{reply}");
    assert!(reply["error"]["message"].as_str().is_some_and(|words| words.contains(' ')), "{reply}");
    let error = json!({"code": reply["error"]["code"], "retry": reply["error"]["retry"]});
    (error, raw.close_code().await)
}

async fn is_welcome(mut raw: Raw) -> bool {
    let (_, payload) = raw.frame().await.unwrap();
    String::from_utf8(payload).unwrap().contains("connected")
}

#[tokio::test]
async fn every_limit_can_be_set_and_is_announced() {
    let market = Market::open().await;
    let settings = [
        "--edge.symbols_max=3",
        "--edge.symbols_per_request_max=2",
        "--edge.messages_per_second_max=1",
        "--edge.messages_burst_max=6",
        "--edge.message_bytes_max=1024",
        "--edge.handshake_seconds=7",
        "--edge.connections_max=50",
        "--edge.connections_per_address_max=40",
        "--edge.memory_max_mb=4096",
    ];
    let edge = Edge::open(&market.url(), &settings).await;
    let mut client = Client::connect(&edge).await;
    let announced = json!({"symbols": 3, "symbols_per_request": 2, "msgs_per_s": 1, "msgs_burst": 6,
        "message_bytes": 1024, "handshake_ms": 7_000, "connections": 50, "connections_per_address": 40,
        "memory_bytes": 4_294_967_296_u64});
    assert_eq!(client.next().await["data"][0]["limits"], announced);
    for (names, code) in [
        (&[A, "bench:B", "bench:C"][..], Some("symbol_limit")),
        (&[A, "bench:B"], None),
        (&["bench:C", "bench:D"], Some("symbol_limit")),
        (&["bench:C"], None),
        (&["bench:D"], Some("symbol_limit")),
    ] {
        assert_eq!(error_code(&client.subscribe(names).await).as_deref(), code, "{names:?}");
    }
    client.ask(json!({"method": "ping"})).await;
    assert_eq!(error_code(&client.ask(json!({"method": "ping"})).await).as_deref(), Some("rate_limited"));
    client.say("x".repeat(1_025)).await;
    let (close, errors) = client.end().await;
    assert_eq!((close, errors.last().map(String::as_str)), (Some(1009), Some("message_too_big")));
}

#[tokio::test]
async fn above_the_total_the_newest_is_told_and_closed() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.connections_max", "2"]).await;
    let (one, mut two) = (Client::subscribed(&edge, &[A]).await, Client::subscribed(&edge, &[A]).await);
    let mut third = Raw::connect(&edge).await;
    let overloaded = json!({"code": "overloaded", "retry": true});
    assert_eq!(farewell(&mut third).await, (overloaded, Some(1013)));
    assert_eq!(third.frame().await, None, "and then it is closed");
    assert_eq!(edge.metric("tickwire_edge_refused_connections_total", "total").await, 1.0);
    drop(one);
    eventually("a place is free", async || is_welcome(Raw::connect(&edge).await).await).await;
    market.tick(A, 1).await;
    assert_eq!(two.row().await.v, 1);
}

#[tokio::test]
async fn farewells_are_bounded_themselves() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.connections_max", "1"]).await;
    let mut held = Client::subscribed(&edge, &[A]).await;
    // None of them closes its side, so each takes a place until its time is over.
    let mut open = Vec::new();
    let answer = loop {
        let mut socket = TcpStream::connect(edge.address).await.unwrap();
        socket.write_all(upgrade().as_bytes()).await.unwrap();
        let mut head = vec![0; 1_024];
        let len = in_time("an answer", socket.read(&mut head)).await.unwrap();
        let head = String::from_utf8_lossy(&head[..len]).to_lowercase();
        if !head.starts_with("http/1.1 101") {
            break head;
        }
        open.push(socket);
        assert!(open.len() < 5_000, "every one of them is upgraded");
    };
    assert!(answer.starts_with("http/1.1 503") && answer.contains("retry-after"), "{answer}");
    market.tick(A, 1).await;
    assert_eq!(held.row().await.v, 1);
}

#[tokio::test]
async fn an_address_has_its_own_share() {
    let market = Market::open().await;
    let settings = ["--edge.connections_per_address_max=2", "--edge.trusted_proxies=127.0.0.0/8"];
    let edge = Edge::open(&market.url(), &settings).await;
    let limit = json!({"code": "connection_limit", "retry": false});
    let mut held = vec![Raw::connect_for(&edge, "198.51.100.1").await];
    held.push(Raw::connect_for(&edge, "203.0.113.5, 198.51.100.1, 127.0.0.2").await);
    let mut refused = Raw::connect_for(&edge, "198.51.100.1").await;
    assert_eq!(farewell(&mut refused).await, (limit.clone(), Some(4502)));
    assert!(is_welcome(Raw::connect_for(&edge, "198.51.100.2").await).await, "others have theirs");
    assert_eq!(edge.metric("tickwire_edge_refused_connections_total", "address").await, 1.0);
    held.pop();
    eventually("a place of the address is free", async || {
        is_welcome(Raw::connect_for(&edge, "198.51.100.1").await).await
    })
    .await;
}

#[tokio::test]
async fn who_is_no_trusted_proxy_speaks_for_nobody() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.connections_per_address_max", "1"]).await;
    let _held = Raw::connect_for(&edge, "198.51.100.1").await;
    assert_eq!(Raw::connect_for(&edge, "198.51.100.2").await.close_code().await, Some(4502));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_memory_nobody_new_comes_in_and_the_edge_says_so() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.memory_max_mb", "1"]).await;
    eventually("the memory was read", async || edge.log().contains("memory is full")).await;
    let overloaded = json!({"code": "overloaded", "retry": true});
    assert_eq!(farewell(&mut Raw::connect(&edge).await).await, (overloaded, Some(1013)));
    assert!(edge.metric("tickwire_edge_resident_memory_bytes", "").await > f64::from(1 << 20));
    assert_eq!(edge.metric("tickwire_edge_refused_connections_total", "memory").await, 1.0);
    // All edges at once without readiness would leave nobody to say it.
    assert_eq!(edge.admin("/readyz").await.status, 200);
    assert_eq!(edge.log().matches("memory is full").count(), 1, "{}", edge.log());
}

#[tokio::test]
async fn sockets_that_are_not_upgraded_are_bounded() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.handshakes_max", "3"]).await;
    let mut client = Client::subscribed(&edge, &[A]).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(TcpStream::connect(edge.address).await.unwrap());
    }
    eventually("all places are taken", async || {
        edge.metric("tickwire_edge_http_connections", "").await == 3.0
    })
    .await;
    // Its socket is closed before it was read, so the words may be lost.
    let refused = get(edge.address, "/").await;
    assert!(
        refused.as_ref().is_err() || refused.as_ref().is_ok_and(|answer| answer.status == 503),
        "{refused:?}"
    );
    assert_eq!(edge.metric("tickwire_edge_refused_connections_total", "handshakes").await, 1.0);
    market.tick(A, 1).await;
    assert_eq!(client.row().await.v, 1);
    let first = &mut waiting[0];
    first.write_all(b"GET /v1/symbols HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    in_time("those who came before are served", first.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    eventually("and make room", async || get(edge.address, "/").await.is_ok_and(|page| page.status == 200))
        .await;
}
