//! What a client chooses at its upgrade: the subprotocol and how numbers are written.

use serde_json::{Value, json};
use tickwire_common::feed::FeedState;

use crate::support::client::Client;
use crate::support::edge::Edge;
use crate::support::market::Market;
use crate::support::raw::{answer, upgrade};

const A: &str = "bench:A";

/// The vectors that the wire's own tests read.
fn full_row() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../common/vectors/rows.json");
    let rows: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    rows["updates"][0].clone()
}

/// The text of the next message that holds rows.
async fn rows_text(client: &mut Client) -> String {
    loop {
        let text = client.text_but_heartbeats().await.unwrap();
        if text.starts_with('[') || text.contains(r#""channel":"ticker","type""#) {
            return text;
        }
    }
}

/// An upgrade request with other words in it.
fn asking(offer: &str, query: &str) -> String {
    let offered = format!("?{query} HTTP/1.1\r\nSec-WebSocket-Protocol: {offer}\r\n");
    upgrade().replacen(" HTTP/1.1\r\n", &offered, 1)
}

#[tokio::test]
async fn one_row_in_each_encoding() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let (vector, name) = (full_row(), "binance:BTC/USDT");
    let mut clients = Vec::new();
    for (offer, query, key) in [
        ("tickwire.v1.json", "numbers=number", "json"),
        ("tickwire.v1.json", "numbers=string", "json_string"),
        ("tickwire.v1.array", "", "array"),
        ("tickwire.v1.array", "numbers=string", "array_string"),
    ] {
        let mut client = Client::choosing(&edge, offer, query).await;
        let reply = client.subscribe(&[name]).await;
        let id = reply["result"]["ids"][name].as_u64();
        assert_eq!(id.is_some(), offer == "tickwire.v1.array", "{reply}");
        // The vector's row, with the number that this edge gives.
        let given = format!("[{},", id.unwrap_or_default());
        let update = vector["frames"][key].as_str().unwrap().replacen("[17,", &given, 1);
        let snapshot = update
            .replacen(r#""type":"update""#, r#""type":"snapshot""#, 1)
            .replacen(r#"["u""#, r#"["s""#, 1);
        clients.push((client, update, snapshot));
    }
    market.tick_bytes(name, vector["row"].as_str().unwrap().to_owned().into()).await;
    for (client, update, snapshot) in &mut clients {
        assert_eq!(rows_text(client).await, *update);
        client.say(json!({"method": "subscribe", "params": {"symbol": name}})).await;
        assert_eq!(rows_text(client).await, *snapshot);
    }
}

#[tokio::test]
async fn ids_are_the_same_for_all_and_columns_name_themselves() {
    let market = Market::open().await;
    market.list("bench", &[("A", "alias")]).await;
    let edge = Edge::start(&market.url(), &[]).await;
    edge.knows(1).await;
    market.feed("bench", FeedState::Stale).await;
    let mut one = Client::choosing(&edge, "tickwire.v1.array", "").await;
    one.feed("bench", "stale").await;
    let mut other = Client::choosing(&edge, "tickwire.v1.array", "numbers=string").await;
    let first = one.subscribe(&["A", A, "nobody"]).await;
    let second = other.subscribe(&[A, "A"]).await;
    assert_eq!(first["result"]["ids"], second["result"]["ids"]);
    assert_eq!(first["result"]["ids"].as_object().map(serde_json::Map::len), Some(2));
    assert_ne!(first["result"]["ids"]["A"], first["result"]["ids"][A]);
    let list = one.ask(json!({"method": "list"})).await;
    assert_eq!(list["result"]["ids"], first["result"]["ids"]);
    assert_eq!(list["result"]["cols"], first["result"]["cols"]);
    let left = one.ask(json!({"method": "unsubscribe", "params": {"symbol": A}})).await;
    assert_eq!(left["result"], json!({"channel": "ticker", "unsubscribed": [A], "failed": [], "total": 1}));

    market.tick(A, 5).await;
    let text = rows_text(&mut one).await;
    let row: Value = serde_json::from_str::<Value>(&text).unwrap()[1].clone();
    let cols = first["result"]["cols"].as_array().unwrap();
    let cell = |name: &str| cols.iter().position(|col| col == name).map(|at| &row[at]);
    for (name, value) in [
        ("id", first["result"]["ids"]["A"].clone()),
        ("v", json!(5)),
        ("skipped", json!(0)),
        ("stale", json!(1)),
        ("price", json!(5.25)),
        ("bid", json!(null)),
        ("ts", json!(1_763_627_520_119_u64)),
        ("venue", json!("bench")),
    ] {
        assert_eq!(cell(name), Some(&value), "{name} in {text}");
    }
}

#[tokio::test]
async fn the_subprotocol_that_is_answered_is_the_first_known_offer() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    for (offer, expected) in [
        ("tickwire.v1.json", Some("tickwire.v1.json")),
        ("tickwire.v1.array, tickwire.v1.json", Some("tickwire.v1.array")),
        ("tickwire.v9.json, tickwire.v1.json", Some("tickwire.v1.json")),
        ("mqtt, graphql-ws", None),
    ] {
        let head = answer(&edge, &asking(offer, "")).await;
        let answered = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert!(head.starts_with("http/1.1 101"), "{offer}: {head}");
        assert_eq!(answered, expected, "{offer}: {head}");
    }
}

#[tokio::test]
async fn numbers_that_are_none_are_refused_with_a_sentence() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    for query in ["numbers=float", "numbers=", "numbers=string&numbers=number"] {
        let answer = answer(&edge, &asking("tickwire.v1.json", query)).await;
        assert!(answer.starts_with("http/1.1 400"), "{query}: {answer}");
    }
    assert!(
        answer(&edge, &asking("tickwire.v1.json", "numbers=string&token=x"))
            .await
            .starts_with("http/1.1 101")
    );
}

/// Rows that are folded for a client carry their number in lists too.
#[tokio::test]
async fn lists_say_how_many_rows_were_folded() {
    const ROWS: u64 = 200;
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::choosing(&edge, "tickwire.v1.array", "").await;
    let subscribe = json!({"method": "subscribe", "params": {"symbol": A, "throttle_ms": 100}});
    assert_eq!(client.ask(subscribe).await["success"], true);
    for v in 1..=ROWS {
        market.tick(A, v).await;
    }
    let (mut last, mut rows, mut folded) = (0, 0, 0);
    while last < ROWS {
        let message: Value = serde_json::from_str(&rows_text(&mut client).await).unwrap();
        let row = &message[1];
        (last, rows, folded) = (row[1].as_u64().unwrap(), rows + 1, folded + row[2].as_u64().unwrap());
        assert_eq!(rows + folded, last, "{message}");
    }
    assert!(folded > 0);
}
