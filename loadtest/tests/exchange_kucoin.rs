//! Simulated KuCoin spot over real sockets: token, welcome, pings, topics, every limit and its answer.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Client, Ended, Simulated};
use tickwire_loadtest::exchange::{Config, Rate, kucoin::Limits};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

async fn start(limits: Limits) -> Simulated {
    Simulated::start(Config { rate: 200, kucoin: limits, ..Config::default() }).await
}

/// The path of a socket with a fresh token.
async fn path(exchange: &Simulated) -> String {
    let bullet = exchange.post("/kucoin/api/v1/bullet-public").await;
    let endpoint = bullet["data"]["instanceServers"][0]["endpoint"].as_str().unwrap();
    let path = endpoint.strip_prefix(&format!("ws://{}", exchange.host)).unwrap();
    format!("{path}?token={}&connectId=me", bullet["data"]["token"].as_str().unwrap())
}

async fn welcomed(exchange: &Simulated) -> Client {
    let mut client = exchange.connect(&path(exchange).await).await;
    assert_eq!(client.value().await, json!({ "id": "me", "type": "welcome" }));
    client
}

fn subscribe(id: impl Into<Value>, topic: &str) -> String {
    json!({ "id": id.into(), "type": "subscribe", "topic": topic, "privateChannel": false, "response": true })
        .to_string()
}

fn error(id: &str, code: u16, data: &str) -> Value {
    json!({ "id": id, "type": "error", "code": code, "data": data })
}

#[tokio::test]
async fn the_bullet_tells_where_and_how_often() {
    let exchange = start(Limits::default()).await;
    let bullet = exchange.post("/kucoin/api/v1/bullet-public").await;
    assert_eq!(bullet["code"], "200000");
    let server = &bullet["data"]["instanceServers"][0];
    assert_eq!((&server["pingInterval"], &server["pingTimeout"]), (&json!(18_000), &json!(10_000)));
    assert_eq!(exchange.get("/kucoin/api/v1/bullet-public").await.status(), 404, "it wants a POST");
}

#[tokio::test]
async fn a_token_must_be_known_and_young() {
    let exchange = start(Limits::default()).await;
    let mut client = exchange.connect("/kucoin/endpoint?token=made-up&connectId=me").await;
    assert_eq!(client.value().await, error("me", 401, "token is invalid"));
    assert_eq!(client.end().await, Ended::Cut);
    let exchange = start(Limits { token_life: Duration::ZERO, ..Limits::default() }).await;
    let mut client = exchange.connect(&path(&exchange).await).await;
    assert_eq!(client.value().await, error("me", 401, "token is expired"));
    assert_eq!(client.end().await, Ended::Cut);
    assert_eq!(exchange.violations("kucoin").await, json!({ "token": 1 }));
}

#[tokio::test]
async fn only_json_pings_keep_a_connection() {
    let limits =
        Limits { ping_interval: 200 * MILLISECOND, ping_timeout: 100 * MILLISECOND, ..Limits::default() };
    let exchange = start(limits).await;
    let mut alive = welcomed(&exchange).await;
    let mut dying = welcomed(&exchange).await;
    dying.ping().await;
    let dead = async {
        assert_eq!(dying.value().await, error("me", 400, "ping timeout"));
        assert_eq!(dying.end().await, Ended::Cut);
    };
    tokio::pin!(dead);
    let mut ticks = tokio::time::interval(50 * MILLISECOND);
    loop {
        tokio::select! {
            () = &mut dead => break,
            _ = ticks.tick() => {
                alive.send(r#"{"id":7,"type":"ping"}"#).await;
                assert_eq!(alive.value().await, json!({ "id": "7", "type": "pong" }));
            }
        }
    }
    alive.send(r#"{"id":"last","type":"ping"}"#).await;
    assert_eq!(alive.value().await["id"], "last");
    assert_eq!(exchange.violations("kucoin").await, json!({ "ping_timeout": 1 }));
}

#[tokio::test]
async fn an_ack_comes_only_when_asked_for_and_its_id_is_a_string() {
    let exchange = start(Limits::default()).await;
    let mut client = welcomed(&exchange).await;
    client.send(r#"{"id":1,"type":"subscribe","topic":"/market/ticker:BTC-USDT"}"#).await;
    assert_eq!(client.value().await["topic"], "/market/ticker:BTC-USDT");
    client.send(subscribe(2, "/market/ticker:ETH-USDT")).await;
    client.text_with(r#"{"id":"2","type":"ack"}"#).await;
    client
        .send(r#"{"id":"3","type":"unsubscribe","topic":"/market/ticker:BTC-USDT,ETH-USDT","response":true}"#)
        .await;
    client.text_with(r#"{"id":"3","type":"ack"}"#).await;
    assert_eq!(exchange.json("/stats").await["venues"]["kucoin"]["streams"], 0);
}

#[tokio::test]
async fn one_unknown_symbol_refuses_the_whole_list() {
    let exchange = start(Limits::default()).await;
    let mut client = welcomed(&exchange).await;
    client.send(subscribe("a", "/market/ticker:BTC-USDT,NOPE-USDT,ETH-USDT")).await;
    assert_eq!(client.value().await, error("a", 404, "topic /market/ticker:NOPE-USDT is not found"));
    // A space breaks the name that follows it.
    client.send(subscribe("b", "/market/ticker:BTC-USDT, ETH-USDT")).await;
    assert_eq!(client.value().await, error("b", 404, "topic /market/ticker: ETH-USDT is not found"));
    assert_eq!(exchange.json("/stats").await["venues"]["kucoin"]["streams"], 0);
    assert_eq!(exchange.violations("kucoin").await, json!({ "unknown_topic": 2 }));
}

#[tokio::test]
async fn topics_are_limited_by_message_and_by_session() {
    let exchange = start(Limits { topics: 4, symbols_per_message: 3, ..Limits::default() }).await;
    let mut client = welcomed(&exchange).await;
    client.send(subscribe("a", "/market/snapshot:BTC-USDT,ETH-USDT,SOL-USDT,XRP-USDT")).await;
    assert_eq!(
        client.value().await,
        error("a", 509, "exceed max subscription count limitation of 3 per time")
    );
    client.send(subscribe("b", "/market/snapshot:BTC-USDT,ETH-USDT,SOL-USDT")).await;
    client.text_with(r#"{"id":"b","type":"ack"}"#).await;
    client.send(subscribe("c", "/market/match:BTC-USDT,ETH-USDT")).await;
    let refused = client.text_with(r#""id":"c""#).await;
    let refused: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(refused, error("c", 509, "exceed max subscription count limitation of 4 per session"));
    assert_eq!(exchange.violations("kucoin").await, json!({ "symbols_per_message": 1, "topics": 1 }));
}

#[tokio::test]
async fn the_message_over_the_rate_is_told_and_then_the_connection_is_cut() {
    let exchange = start(Limits { messages: Rate::new(3, 10 * SECOND), ..Limits::default() }).await;
    let mut client = welcomed(&exchange).await;
    for _ in 0..4 {
        client.send(r#"{"id":"p","type":"ping"}"#).await;
    }
    for _ in 0..3 {
        assert_eq!(client.value().await["type"], "pong");
    }
    assert_eq!(client.value().await, error("", 509, "exceed max permits per 10 seconds"));
    assert_eq!(client.end().await, Ended::Cut);
    assert_eq!(exchange.violations("kucoin").await, json!({ "message_rate": 1 }));
}

#[tokio::test]
async fn bad_messages_have_their_codes() {
    let exchange = start(Limits::default()).await;
    let mut client = welcomed(&exchange).await;
    for (message, code, text) in [
        (json!({ "id": "x", "type": "hello" }), 415, "type is not supported"),
        (json!({ "id": "x", "type": "subscribe" }), 406, "topic is required"),
        (json!({ "id": "x", "type": "subscribe", "topic": "ticker" }), 400, "topic is invalid"),
        (
            json!({ "id": "x", "type": "subscribe", "topic": "a:b", "privateChannel": true }),
            403,
            "login is required",
        ),
    ] {
        client.send(message.to_string()).await;
        assert_eq!(client.value().await, error("x", code, text));
    }
}

#[tokio::test]
async fn all_tickers_have_the_symbol_in_the_subject() {
    let exchange = start(Limits::default()).await;
    let mut client = welcomed(&exchange).await;
    client.send(subscribe("1", "/market/ticker:all,BTC-USDT")).await;
    let (mut by_subject, mut by_topic) = (0, 0);
    while by_subject == 0 || by_topic == 0 {
        let push = client.value().await;
        if push["topic"] == "/market/ticker:all" {
            assert!(push["subject"].as_str().unwrap().contains('-'), "{push}");
            by_subject += 1;
        } else if push["type"] == "message" {
            assert_eq!(
                (&push["subject"], &push["topic"]),
                (&json!("trade.ticker"), &json!("/market/ticker:BTC-USDT"))
            );
            by_topic += 1;
        }
    }
}

#[tokio::test]
async fn sequences_of_a_ticker_grow() {
    let exchange = start(Limits::default()).await;
    let mut client = welcomed(&exchange).await;
    client.send(r#"{"id":1,"type":"subscribe","topic":"/market/ticker:BTC-USDT"}"#).await;
    let mut sequence = 0;
    for _ in 0..50 {
        let push = client.value().await;
        let next: u64 = push["data"]["sequence"].as_str().unwrap().parse().unwrap();
        assert!(next > sequence);
        assert!(push["data"]["time"].is_u64() && push["data"]["price"].is_string(), "{push}");
        sequence = next;
    }
}

#[tokio::test]
async fn a_snapshot_has_numbers_with_trailing_zeros_and_a_fraction() {
    let exchange = start(Limits::default()).await;
    let mut client = welcomed(&exchange).await;
    client.send(r#"{"id":1,"type":"subscribe","topic":"/market/snapshot:BTC-USDT"}"#).await;
    let text = client.text().await.unwrap();
    let push: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&push["topic"], &push["subject"]),
        (&json!("/market/snapshot:BTC-USDT"), &json!("trade.snapshot"))
    );
    assert!(push["data"]["sequence"].is_string());
    for key in [
        "lastTradedPrice",
        "buy",
        "sell",
        "high",
        "low",
        "open",
        "vol",
        "volValue",
        "changePrice",
        "changeRate",
    ] {
        assert!(push["data"]["data"][key].is_number(), "{key} in {text}");
    }
    assert!(text.contains(r#""open":64231.50000000000000000000"#), "{text}");
}

#[tokio::test]
async fn symbols_and_tickers_are_listed() {
    let exchange = start(Limits::default()).await;
    let symbols = exchange.json("/kucoin/api/v2/symbols").await;
    assert_eq!(symbols["data"][0]["symbol"], "BTC-USDT");
    assert_eq!(symbols["data"][0]["priceIncrement"], "0.1");
    assert_eq!(exchange.json("/kucoin/api/v2/symbols?market=BTC").await["data"][0]["symbol"], "ETH-BTC");
    let tickers = exchange.json("/kucoin/api/v1/market/allTickers").await;
    let listed =
        symbols["data"].as_array().unwrap().iter().filter(|one| one["enableTrading"] == true).count();
    assert_eq!(tickers["data"]["ticker"].as_array().unwrap().len(), listed);
}

#[tokio::test]
async fn request_weight_is_limited() {
    let exchange = start(Limits { weight: Rate::new(10, 30 * SECOND), ..Limits::default() }).await;
    exchange.post("/kucoin/api/v1/bullet-public").await;
    let answer = exchange.get("/kucoin/api/v2/symbols").await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["gw-ratelimit-remaining"]),
        (429, &"0".parse().unwrap())
    );
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "429000");
    assert_eq!(exchange.violations("kucoin").await, json!({ "request_weight": 1 }));
}
