//! SIGTERM and what keeps an edge from starting.

use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::client::{Client, Heard, rows};
use crate::support::edge::{Edge, command};
use crate::support::http::{get, narrow};
use crate::support::in_time;
use crate::support::market::Market;
use crate::support::proxy::Proxy;
use crate::support::raw::Raw;

const A: &str = "bench:A";

#[tokio::test]
async fn clients_are_told_when_to_come_back_and_then_closed() {
    let market = Market::open().await;
    let settings = ["--edge.drain_spread_seconds", "2", "--drain.grace_seconds", "20"];
    let mut edge = Edge::open(&market.url(), &settings).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::subscribed(&edge, &[A]).await);
    }
    edge.terminate().await;
    let message = clients[0].next_of("status").await;
    let ready = edge.admin("/readyz").await;
    assert!(ready.status == 503 && ready.body.contains("draining"), "{ready:?}");
    assert_eq!(edge.admin("/livez").await.status, 200);
    assert!(get(edge.address, "/").await.is_err(), "nobody new is let in");

    let mut waits = vec![wait(&message)];
    for client in &mut clients[1..] {
        waits.push(wait(&client.next_of("status").await));
    }
    assert!(waits.iter().all(|wait| *wait <= 2_000), "{waits:?}");
    assert!(
        waits.iter().any(|wait| *wait != waits[0]),
        "everyone at once is what a spread avoids: {waits:?}"
    );
    for client in &mut clients {
        assert_eq!(client.end().await.0, Some(1012));
    }
    assert_eq!(edge.exit().await.code(), Some(0), "{}", edge.log());
    assert!(!edge.log().contains("WARN") && !edge.log().contains("ERROR"), "{}", edge.log());
}

/// Reads a `going_away`.
fn wait(message: &serde_json::Value) -> u64 {
    assert_eq!(message["data"][0]["event"], "going_away", "{message}");
    message["data"][0]["reconnect_after_ms"].as_u64().unwrap()
}

#[tokio::test]
async fn prices_go_on_until_the_close() {
    let market = Market::open().await;
    let settings = ["--edge.drain_spread_seconds", "1", "--drain.grace_seconds", "20"];
    let mut edge = Edge::open(&market.url(), &settings).await;
    let (mut one, mut other) = (Client::subscribed(&edge, &[A]).await, Client::subscribed(&edge, &[A]).await);
    edge.terminate().await;
    let (mut v, mut last) = (0, 0);
    // Whichever is closed first; the rows until then have no gap.
    let code = loop {
        v += 1;
        market.tick(A, v).await;
        match one.hear().await {
            Heard::Message(message) => rows(&message).iter().for_each(|row| {
                assert_eq!(row.v, last + 1);
                last = row.v;
            }),
            Heard::End(code) => break code,
        }
    };
    assert_eq!(code, Some(1012));
    assert!(last > 0);
    assert_eq!(other.end().await.0, Some(1012));
    assert_eq!(edge.exit().await.code(), Some(0), "{}", edge.log());
}

#[tokio::test]
async fn nobody_holds_the_end_up() {
    let market = Market::open().await;
    let settings = ["--edge.drain_spread_seconds", "0", "--drain.grace_seconds", "10"];
    let mut edge = Edge::open(&market.url(), &settings).await;
    // One does not answer the close, one does not read, one is in the middle of a request.
    let mut silent = Raw::connect(&edge).await;
    let _sleeper = Client::narrow(&edge).await;
    let mut plain = tokio::net::TcpStream::connect(edge.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    edge.terminate().await;
    edge.terminate().await;
    assert_eq!(silent.close_code().await, Some(1012));
    assert_eq!(edge.exit().await.code(), Some(0), "{}", edge.log());
}

#[tokio::test]
async fn an_answer_under_way_is_finished() {
    const SYMBOLS: usize = 8_000;
    let market = Market::open().await;
    market.list_many("binance", SYMBOLS).await;
    let mut edge = Edge::start(&market.url(), &["--edge.drain_spread_seconds", "0"]).await;
    edge.knows(SYMBOLS).await;
    // Its buffer holds a small part of the answer, the rest is still with the edge.
    let mut reader = narrow(&edge).await;
    reader.write_all(b"GET /v1/symbols HTTP/1.1\r\nHost: edge\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 12];
    in_time("the answer begins", reader.read_exact(&mut answer)).await.unwrap();
    let mut idle = tokio::net::TcpStream::connect(edge.address).await.unwrap();
    edge.terminate().await;
    in_time("an idle socket is closed", idle.read_to_end(&mut Vec::new())).await.unwrap();
    in_time("the answer ends", reader.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["data"].as_array().unwrap().len(), SYMBOLS);
    assert_eq!(edge.exit().await.code(), Some(0), "{}", edge.log());
}

#[tokio::test]
async fn an_edge_without_nats_ends_as_well() {
    let market = Market::open().await;
    let wire = Proxy::to(&market.url()).await;
    wire.cut();
    let mut edge = Edge::start(&wire.url(), &["--edge.drain_spread_seconds", "0"]).await;
    let mut client = Client::connect(&edge).await;
    edge.terminate().await;
    assert_eq!(client.end().await.0, Some(1012));
    assert_eq!(edge.exit().await.code(), Some(0), "{}", edge.log());
}

/// Runs the program to its end; gives status, stdout and stderr.
async fn run(settings: &[&str]) -> (Option<i32>, String, String) {
    let output = command(settings).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = in_time("the edge ends", output).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_every_mistake() {
    let settings = [
        "--edge.listen=nowhere",
        "--edge.workers=-1",
        "--edge.heartbeat_seconds=1",
        "--edge.echo=perhaps",
        "--edge.linger_seconds=x",
        "--nats.url=http://127.0.0.1",
        "--log.format=xml",
        "--edge.nothing=1",
    ];
    let (status, stdout, stderr) = run(&settings).await;
    assert_eq!((status, stdout.as_str()), (Some(2), ""), "{stderr}");
    for setting in settings {
        let key = setting.trim_start_matches("--").split('=').next().unwrap();
        assert!(stderr.contains(key), "{key} is missing in:\n{stderr}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_told_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for setting in ["--edge.listen", "--admin.listen"] {
        let mut settings = ["--edge.listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0"];
        let at = settings.iter().position(|other| *other == setting).unwrap();
        settings[at + 1] = &address;
        let (status, stdout, stderr) = run(&settings).await;
        assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
        let key = setting.trim_start_matches("--");
        assert!(stderr.contains(key) && stderr.contains(&address), "{stderr}");
    }
}
