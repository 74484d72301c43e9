//! What a test can do to the simulated exchanges, over real sockets: list, delist, mute, bring the market to rest, ask
//! for its own newest values, and read what was asked of them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Client, Simulated};
use tickwire_loadtest::exchange::{Config, Path, Rate, binance, kucoin};

const MINUTE: Duration = Duration::from_secs(60);

async fn start(config: Config) -> Simulated {
    Simulated::start(Config { rate: 100, symbols: 3, ..config }).await
}

fn subscribe(stream: &str, id: u32) -> String {
    json!({ "method": "SUBSCRIBE", "params": [stream], "id": id }).to_string()
}

fn unsubscribe(stream: &str, id: u32) -> String {
    json!({ "method": "UNSUBSCRIBE", "params": [stream], "id": id }).to_string()
}

/// A KuCoin socket with a fresh token.
async fn kucoin_socket(exchange: &Simulated) -> Client {
    let bullet = exchange.post("/kucoin/api/v1/bullet-public").await;
    let token = bullet["data"]["token"].as_str().unwrap();
    let mut client = exchange.connect(&format!("/kucoin/endpoint?token={token}&connectId=me")).await;
    assert_eq!(client.value().await["type"], "welcome");
    client
}

fn topic(id: &str, kind: &str, topic: &str) -> String {
    json!({ "id": id, "type": kind, "topic": topic, "response": true }).to_string()
}

async fn stats(exchange: &Simulated, venue: &str) -> Value {
    exchange.json("/stats").await["venues"][venue].clone()
}

/// Keys that discovery lists.
async fn listed(exchange: &Simulated) -> [Vec<String>; 2] {
    let binance = exchange.json("/binance/api/v3/exchangeInfo").await["symbols"].clone();
    let kucoin = exchange.json("/kucoin/api/v2/symbols").await["data"].clone();
    [binance, kucoin].map(|list| {
        let keys = list.as_array().unwrap().iter().map(|one| one["symbol"].as_str().unwrap().to_owned());
        keys.collect()
    })
}

#[tokio::test]
async fn a_listed_symbol_appears_and_ticks() {
    let exchange = start(Config::default()).await;
    assert!(exchange.get("/binance/api/v3/ticker/24hr?symbol=BNBUSDT").await.status().is_client_error());
    let mut early = exchange.connect("/binance/ws/bnbusdt@trade").await;
    let mut other = kucoin_socket(&exchange).await;
    other.send(topic("1", "subscribe", "/market/ticker:BNB-USDT")).await;
    assert_eq!(other.value().await["code"], 404, "what is not listed is no topic");
    for venue in ["binance", "kucoin"] {
        let answer = exchange.post(&format!("/control/list?venue={venue}&symbol=BNB/USDT")).await;
        assert_eq!(answer["listed"], true, "{answer}");
    }
    assert_eq!(
        exchange.post("/control/list?venue=kucoin&symbol=BNB-USDT").await["listed"],
        false,
        "it is already"
    );
    let [binance, kucoin] = listed(&exchange).await;
    assert_eq!(binance, ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"]);
    assert_eq!(kucoin, ["BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT"]);
    assert_eq!(early.value().await["s"], "BNBUSDT", "Binance accepts any stream, which then begins");
    other.send(topic("2", "subscribe", "/market/ticker:BNB-USDT")).await;
    other.text_with("/market/ticker:BNB-USDT").await;
}

#[tokio::test]
async fn a_delisted_symbol_vanishes_and_falls_silent() {
    let exchange = start(Config::default()).await;
    let mut socket = kucoin_socket(&exchange).await;
    socket.send(topic("1", "subscribe", "/market/ticker:BTC-USDT,ETH-USDT")).await;
    socket.text_with("/market/ticker:ETH-USDT").await;
    exchange.post("/control/delist?venue=kucoin&symbol=ETH/USDT").await;
    let [binance, kucoin] = listed(&exchange).await;
    assert_eq!(kucoin, ["BTC-USDT", "SOL-USDT"]);
    assert_eq!(binance.len(), 3, "the other venue goes on");
    let tickers = exchange.json("/kucoin/api/v1/market/allTickers").await;
    assert_eq!(tickers["data"]["ticker"].as_array().unwrap().len(), 2);
    // What was sent before the delisting is in front of the answer to this, all of it.
    socket.send(topic("2", "subscribe", "/market/ticker:ETH-USDT,SOL-USDT")).await;
    let refusal = socket.text_with("is not found").await;
    assert!(refusal.contains("/market/ticker:ETH-USDT"), "{refusal}");
    let mut others = 0;
    while others < 50 {
        let frame = socket.text().await.unwrap();
        assert!(!frame.contains("ETH-USDT"), "{frame}");
        others += 1;
    }
    socket.send(topic("3", "unsubscribe", "/market/ticker:ETH-USDT")).await;
    socket.text_with(r#"{"id":"3","type":"ack"}"#).await;
    assert_eq!(stats(&exchange, "kucoin").await["streams"], 1);
}

#[tokio::test]
async fn a_muted_stream_is_granted_and_silent_until_it_is_asked_for_again() {
    let exchange = start(Config { muted: vec!["ETH/USDT".to_owned()], ..Config::default() }).await;
    let mut socket = exchange.connect("/binance/ws").await;
    socket.send(subscribe("ethusdt@trade", 1)).await;
    assert_eq!(socket.value().await, json!({ "result": null, "id": 1 }));
    exchange.post("/control/unmute?venue=binance&symbol=ETH/USDT").await;
    socket.send(subscribe("btcusdt@trade", 2)).await;
    assert_eq!(socket.value().await, json!({ "result": null, "id": 2 }));
    for _ in 0..20 {
        assert_eq!(socket.value().await["s"], "BTCUSDT", "the granted stream stays silent");
    }
    socket.send(unsubscribe("ethusdt@trade", 3)).await;
    socket.text_with(r#""id":3"#).await;
    socket.send(subscribe("ethusdt@trade", 4)).await;
    socket.text_with("ETHUSDT").await;
    let stats = stats(&exchange, "binance").await;
    assert_eq!((&stats["streams_muted"], &stats["streams"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn a_quiet_market_shows_its_own_last_values_and_goes_on() {
    let exchange = start(Config { path: Path::Numbered, ..Config::default() }).await;
    let mut socket =
        exchange.connect("/binance/stream?streams=btcusdt@trade/btcusdt@bookTicker/btcusdt@ticker").await;
    socket.text_with("@trade").await;
    assert_eq!(exchange.post("/control/quiesce").await, json!({ "quiet": true }));
    let own = exchange.json("/control/last?venue=binance").await["venues"]["binance"].clone();
    assert_eq!(own["quiet"], true);
    let own = own["symbols"]["BTC/USDT"].clone();
    let number = |text: &Value, digits: usize| {
        let text = text.as_str().unwrap().replace('.', "");
        text[..text.len() - (8 - digits)].parse::<u64>().unwrap()
    };
    let [mut bid, mut last, mut statistics] = [Value::Null, Value::Null, Value::Null];
    while statistics["n"].is_null() || number(&statistics["c"], 2) != whole(&own["price"]) {
        let frame = socket.value().await;
        match frame["stream"].as_str().unwrap() {
            "btcusdt@bookTicker" => bid = frame["data"]["b"].clone(),
            "btcusdt@trade" => last = frame["data"]["p"].clone(),
            _ => statistics = frame["data"].clone(),
        }
    }
    assert_eq!((number(&bid, 2), number(&last, 2)), (whole(&own["bid"]), whole(&own["price"])));
    assert_eq!(number(&statistics["h"], 2), whole(&own["high"]));
    assert_eq!(
        whole(&own["open"]) + own["moves"].as_u64().unwrap(),
        whole(&own["bid"]).max(whole(&own["price"]))
    );
    let again =
        exchange.json("/control/last?venue=binance").await["venues"]["binance"]["symbols"]["BTC/USDT"]
            .clone();
    assert_eq!(again, own, "nothing moves");
    exchange.post("/control/resume").await;
    let trade = socket.text_with("@trade").await;
    let trade: Value = serde_json::from_str(&trade).unwrap();
    assert!(number(&trade["data"]["p"], 2) > whole(&own["price"]));
}

/// A price without its point.
fn whole(price: &Value) -> u64 {
    price.as_str().unwrap().replace('.', "").parse().unwrap()
}

#[tokio::test]
async fn what_is_asked_of_a_venue_is_counted() {
    let exchange = start(Config::default()).await;
    let mut one = exchange.connect("/binance/ws/btcusdt@trade").await;
    let mut two = exchange.connect("/binance/ws").await;
    two.send(subscribe("btcusdt@trade", 1)).await;
    two.send(subscribe("ethusdt@trade", 2)).await;
    two.text_with(r#""id":2"#).await;
    two.send(unsubscribe("ethusdt@trade", 3)).await;
    two.text_with(r#""id":3"#).await;
    one.text_with("BTCUSDT").await;
    let stats = stats(&exchange, "binance").await;
    let counted = [
        ("sockets_open", 2),
        ("connects", 2),
        ("streams", 2),
        ("streams_delivered", 1),
        ("subscribe_messages", 2),
        ("streams_subscribed", 3),
        ("unsubscribe_messages", 1),
        ("streams_unsubscribed", 1),
    ];
    for (name, count) in counted {
        assert_eq!(stats[name], count, "{name}: {stats}");
    }
    assert_ne!(stats["frames_sent"], 0);
}

#[tokio::test]
async fn connects_of_an_address_are_enforced_and_counted() {
    let connects = Rate::new(2, MINUTE);
    let config = Config {
        binance: binance::Limits { connects, ..binance::Limits::default() },
        kucoin: kucoin::Limits { connects, ..kucoin::Limits::default() },
        ..Config::default()
    };
    let exchange = start(config).await;
    for venue in ["/binance/ws", "/kucoin/endpoint"] {
        exchange.connect(venue).await;
        exchange.connect(venue).await;
    }
    assert!(exchange.try_connect("/binance/ws").await.is_err(), "Binance refuses");
    exchange.connect("/kucoin/endpoint").await;
    for venue in ["binance", "kucoin"] {
        let stats = stats(&exchange, venue).await;
        assert_eq!(
            (&stats["violations"]["connect_rate"], &stats["connects"]),
            (&json!(1), &json!(3)),
            "{stats}"
        );
    }
}

#[tokio::test]
async fn wrong_questions_are_told() {
    let exchange = start(Config::default()).await;
    for (path, status) in [
        ("/control/list?venue=binance", 400),
        ("/control/list?symbol=BTC/USDT", 400),
        ("/control/list?venue=nasdaq&symbol=BTC/USDT", 404),
        ("/control/list?venue=binance&symbol=NOPE/USDT", 404),
        ("/control/quiesce?venue=nasdaq", 404),
    ] {
        let request = reqwest::Client::new().post(format!("http://{}{path}", exchange.host));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert!(answer.json::<Value>().await.unwrap()["error"].is_string(), "{path}");
    }
}
