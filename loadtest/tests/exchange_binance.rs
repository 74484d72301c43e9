//! Simulated Binance spot over real sockets: framing, requests, every limit and its answer, faults.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Ended, Simulated};
use tickwire_loadtest::exchange::{Config, Faults, Rate, binance::Limits};
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::Error;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

async fn start(limits: Limits) -> Simulated {
    Simulated::start(Config { rate: 200, binance: limits, ..Config::default() }).await
}

fn subscribe(streams: &[&str], id: u32) -> String {
    json!({ "method": "SUBSCRIBE", "params": streams, "id": id }).to_string()
}

#[tokio::test]
async fn streams_of_the_url_come_wrapped_on_stream_and_bare_on_ws() {
    let exchange = start(Limits::default()).await;
    let mut combined = exchange.connect("/binance/stream?streams=btcusdt@trade/ethusdt@bookTicker").await;
    let mut streams = std::collections::BTreeSet::new();
    while streams.len() < 2 {
        let frame = combined.value().await;
        assert_eq!(
            frame["data"]["s"].as_str().unwrap().to_lowercase(),
            frame["stream"].as_str().unwrap()[..7]
        );
        streams.insert(frame["stream"].to_string());
    }
    let mut raw = exchange.connect("/binance/ws/btcusdt@trade").await;
    let frame = raw.value().await;
    assert_eq!((&frame["e"], &frame["s"]), (&json!("trade"), &json!("BTCUSDT")));
    let price = frame["p"].as_str().unwrap();
    assert_eq!(price.split_once('.').unwrap().1.len(), 8, "{price}");
}

#[tokio::test]
async fn ids_of_one_stream_grow_and_trades_have_no_gap() {
    let exchange = start(Limits::default()).await;
    let mut trades = exchange.connect("/binance/ws/btcusdt@trade").await;
    let mut book = exchange.connect("/binance/ws/btcusdt@bookTicker").await;
    let (mut trade, mut update) = (trades.value().await["t"].as_u64().unwrap(), 0);
    for _ in 0..50 {
        let next = trades.value().await["t"].as_u64().unwrap();
        assert_eq!(next, trade + 1);
        trade = next;
        let quote = book.value().await;
        assert!(quote["u"].as_u64().unwrap() > update && quote.get("e").is_none(), "{quote}");
        update = quote["u"].as_u64().unwrap();
    }
}

#[tokio::test]
async fn requests_are_acknowledged_with_their_id_and_never_wrapped() {
    let exchange = Simulated::start(Config { rate: 200, ..Config::default() }).await;
    let mut client = exchange.connect("/binance/stream").await;
    client.send(subscribe(&["nosuch@trade", "btcusdt@nosuch"], 1)).await;
    // Nothing but replies can come: the streams do not exist, which nobody says.
    assert_eq!(client.text().await.unwrap(), r#"{"result":null,"id":1}"#);
    client.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":"a-b"}"#).await;
    assert_eq!(client.text().await.unwrap(), r#"{"result":["btcusdt@nosuch","nosuch@trade"],"id":"a-b"}"#);
    client.send(r#"{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":null}"#).await;
    client.text_with(r#"{"result":null,"id":null}"#).await;
    client.text_with(r#"{"stream":"btcusdt@bookTicker","data":{"u":"#).await;
    client.send(r#"{"method":"SET_PROPERTY","params":["combined",false],"id":5}"#).await;
    client.text_with(r#"{"result":null,"id":5}"#).await;
    let mut text = client.text().await.unwrap();
    while text.starts_with(r#"{"stream""#) {
        text = client.text().await.unwrap();
    }
    assert!(text.starts_with(r#"{"u":"#), "{text}");
    assert_eq!(exchange.violations("binance").await, json!({}));
}

#[tokio::test]
async fn unsubscribe_ends_a_stream() {
    let exchange = start(Limits::default()).await;
    let mut client = exchange.connect("/binance/ws/btcusdt@trade").await;
    client.send(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":1}"#).await;
    client.text_with(r#""result":null"#).await;
    client.send(subscribe(&["ethusdt@trade"], 2)).await;
    client.text_with(r#""id":2"#).await;
    for _ in 0..10 {
        assert_eq!(client.value().await["s"], "ETHUSDT");
    }
}

#[tokio::test]
async fn the_24_hour_ticker_comes_every_second() {
    let exchange = start(Limits::default()).await;
    let mut client = exchange.connect("/binance/ws/btcusdt@ticker").await;
    let (first, second) = (client.value().await, client.value().await);
    let between = second["E"].as_u64().unwrap() - first["E"].as_u64().unwrap();
    assert!((900..1_500).contains(&between), "{between} ms");
    let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 23, "{keys:?}");
}

#[tokio::test]
async fn the_sixth_message_of_a_second_closes() {
    let exchange = start(Limits::default()).await;
    let mut client = exchange.connect("/binance/stream").await;
    for _ in 0..5 {
        client.ping().await;
    }
    client.send(subscribe(&["btcusdt@trade"], 1)).await;
    assert_eq!(client.end().await, Ended::Closed(1008, "Too many requests".to_owned()));
    assert_eq!(exchange.violations("binance").await, json!({ "message_rate": 1 }));
}

#[tokio::test]
async fn too_many_streams_are_refused_by_request_and_by_url() {
    let exchange = start(Limits { streams: 2, ..Limits::default() }).await;
    let mut client = exchange.connect("/binance/stream?streams=a@trade").await;
    client.send(subscribe(&["b@trade", "c@trade"], 19)).await;
    assert_eq!(
        client.text().await.unwrap(),
        r#"{"error":{"code":4,"msg":"Too many subscriptions"},"id":19}"#
    );
    // Asking again for what is there already does not count.
    client.send(subscribe(&["a@trade", "b@trade"], 20)).await;
    assert_eq!(client.text().await.unwrap(), r#"{"result":null,"id":20}"#);
    let refused = exchange.try_connect("/binance/stream?streams=a@trade/b@trade/c@trade").await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 400));
    assert_eq!(exchange.violations("binance").await, json!({ "streams": 2 }));
}

#[tokio::test]
async fn a_bad_request_is_answered_in_the_wrapped_error_shape() {
    let exchange = start(Limits::default()).await;
    let mut client = exchange.connect("/binance/ws").await;
    client.send(r#"{"method":"NOT_A_METHOD","id":2}"#).await;
    let reply = client.value().await;
    assert_eq!((&reply["error"]["code"], &reply["id"]), (&json!(2), &json!(2)));
    assert!(
        reply["error"]["msg"]
            .as_str()
            .unwrap()
            .starts_with("Invalid request: unknown variant `NOT_A_METHOD`")
    );
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed_and_one_that_does_is_not() {
    let limits = Limits {
        ping_every: 20 * MILLISECOND,
        pong_within: 100 * MILLISECOND,
        messages: Rate::new(1_000, SECOND),
        ..Limits::default()
    };
    let exchange = start(limits).await;
    let mut polite = exchange.connect("/binance/ws").await;
    let mut silent = exchange.connect("/binance/ws").await.into_tcp();
    for _ in 0..10 {
        assert!(polite.message().await.unwrap().is_ping());
    }
    let mut received = Vec::new();
    // The exchange waits for our close frame, which does not come, and then drops the connection.
    tokio::select! {
        read = silent.read_to_end(&mut received) => assert!(read.is_ok()),
        ended = polite.end() => panic!("{ended:?}"),
    }
    let close = [&[0x88, 2 + 12, 0x03, 0xf0][..], b"Pong timeout"].concat();
    assert!(received.ends_with(&close), "{received:?}");
    assert!(polite.message().await.unwrap().is_ping());
    assert_eq!(exchange.violations("binance").await, json!({ "pong_timeout": 1 }));
}

#[tokio::test]
async fn too_many_connects_of_one_address_are_refused_with_429() {
    let exchange = start(Limits { connects: Rate::new(2, 60 * SECOND), ..Limits::default() }).await;
    let _held = (exchange.connect("/binance/ws").await, exchange.connect("/binance/stream").await);
    let refused = exchange.try_connect("/binance/ws").await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 429));
    assert_eq!(exchange.violations("binance").await, json!({ "connect_rate": 1 }));
}

#[tokio::test]
async fn request_weight_is_counted_and_limited() {
    let exchange = start(Limits { weight: Rate::new(40, 60 * SECOND), ..Limits::default() }).await;
    for used in ["20", "40"] {
        let answer = exchange.get("/binance/api/v3/exchangeInfo").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-mbx-used-weight-1m"], used);
        assert_eq!(answer.headers()["x-tickwire-simulated"], "true");
    }
    let answer = exchange.get("/binance/api/v3/ping").await;
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], -1003);
    assert_eq!(exchange.violations("binance").await, json!({ "request_weight": 1 }));
}

#[tokio::test]
async fn exchange_info_obeys_its_filters() {
    let exchange = start(Limits::default()).await;
    let symbols = async |query: &str| -> Vec<String> {
        let info = exchange.json(&format!("/binance/api/v3/exchangeInfo{query}")).await;
        let list = info["symbols"].as_array().unwrap_or_else(|| panic!("{query}: {info}"));
        list.iter().map(|one| one["symbol"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(symbols("?symbol=ETHUSDT").await, ["ETHUSDT"]);
    assert_eq!(symbols("?symbols=%5B%22BTCUSDT%22,%22ETHBTC%22%5D").await, ["BTCUSDT", "ETHBTC"]);
    assert_eq!(symbols("?symbolStatus=BREAK").await, ["LUNABUSD"]);
    assert_eq!(symbols("?permissions=MARGIN").await, [""; 0]);
    assert_eq!(symbols("?permissions=%5B%22MARGIN%22,%22SPOT%22%5D").await.len(), symbols("").await.len());
    let info = exchange.json("/binance/api/v3/exchangeInfo?symbol=BTCUSDT&showPermissionSets=false").await;
    assert_eq!(info["symbols"][0]["permissionSets"], json!([]));
    for (query, code) in
        [("?symbol=NOPE", -1121), ("?symbol=BTCUSDT&symbols=[]", -1128), ("?symbols=x", -1130)]
    {
        let answer = exchange.get(&format!("/binance/api/v3/exchangeInfo{query}")).await;
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], code, "{query}");
    }
}

#[tokio::test]
async fn a_cut_on_request_drops_sockets_without_a_close_frame() {
    let exchange = start(Limits::default()).await;
    let mut client = exchange.connect("/binance/ws/btcusdt@trade").await;
    client.text().await.unwrap();
    assert_eq!(exchange.post("/control/cut?venue=kucoin").await, json!({ "cut": 0 }));
    assert_eq!(exchange.post("/control/cut?venue=binance").await, json!({ "cut": 1 }));
    assert_eq!(client.end().await, Ended::Cut);
    exchange.connect("/binance/ws/btcusdt@trade").await.text().await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_lifetime_is_announced() {
    let faults = Faults { lifetime: Some(200 * MILLISECOND), ..Faults::default() };
    let exchange = Simulated::start(Config { faults, ..Config::default() }).await;
    let mut combined = exchange.connect("/binance/stream").await;
    let mut raw = exchange.connect("/binance/ws").await;
    let notice = combined.value().await;
    assert_eq!(
        (&notice["stream"], &notice["data"]["e"]),
        (&json!("!serverShutdown"), &json!("serverShutdown"))
    );
    assert_eq!(raw.value().await["e"], "serverShutdown");
    assert_eq!((combined.end().await, raw.end().await), (Ended::Cut, Ended::Cut));
}

#[tokio::test]
async fn a_stalled_socket_answers_nothing_and_stays_open() {
    let faults = Faults { stall_after: Some(50 * MILLISECOND), ..Faults::default() };
    let exchange = Simulated::start(Config { faults, rate: 1_000, ..Config::default() }).await;
    let mut client = exchange.connect("/binance/ws/btcusdt@trade").await;
    // The stall shows as a stream count of zero while the socket is still open.
    loop {
        let stats = &exchange.json("/stats").await["venues"]["binance"];
        if stats["sockets_opened"] == 1 && stats["streams"] == 0 {
            assert_eq!(stats["sockets_open"], 1);
            break;
        }
    }
    client.send(subscribe(&["ethusdt@trade"], 1)).await;
    exchange.post("/control/cut").await;
    loop {
        match client.text().await {
            Ok(text) => assert!(!text.contains("result"), "{text}"),
            Err(ended) => break assert_eq!(ended, Ended::Cut),
        }
    }
}

#[tokio::test]
async fn garbage_comes_between_whole_frames() {
    let faults = Faults { garbage_every: Some(3), ..Faults::default() };
    let exchange = Simulated::start(Config { faults, rate: 500, ..Config::default() }).await;
    let mut client = exchange.connect("/binance/ws/btcusdt@trade").await;
    let (mut trades, mut others) = (Vec::new(), 0);
    while others < 8 {
        let message = client.message().await.unwrap();
        let trade = message.to_text().ok().and_then(|text| serde_json::from_str::<Value>(text).ok());
        match trade.and_then(|trade| trade["t"].as_u64()) {
            Some(id) => trades.push(id),
            None => others += 1,
        }
    }
    assert_eq!(trades.len(), 24);
    assert!(trades.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{trades:?}");
}

#[tokio::test]
async fn one_seed_gives_one_market() {
    let first = start(Limits::default()).await;
    let second = start(Limits::default()).await;
    let path = "/binance/ws/solusdt@trade";
    let (mut one, mut two) = (first.connect(path).await, second.connect(path).await);
    let (mut left, mut right) = (one.value().await, two.value().await);
    while left["t"] != right["t"] {
        let is_behind = left["t"].as_u64() < right["t"].as_u64();
        if is_behind { left = one.value().await } else { right = two.value().await }
    }
    for field in ["p", "q", "m"] {
        assert_eq!(left[field], right[field]);
    }
}

#[tokio::test]
async fn names_outside_ascii_work_in_urls_and_requests() {
    let exchange = start(Limits::default()).await;
    let mut client = exchange.connect("/binance/ws/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@trade").await;
    assert_eq!(client.value().await["s"], "币安人生USDT");
    let mut client = exchange.connect("/binance/stream").await;
    client.send(subscribe(&["币安人生usdt@bookTicker"], 1)).await;
    client.text_with(r#"{"stream":"币安人生usdt@bookTicker""#).await;
}
