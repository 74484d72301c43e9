//! A recording played over real sockets: to those who subscribed, byte for byte, in order, once; and its making.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::Simulated;
use tickwire_loadtest::convert::{ConvertArgs, Converted, Format, convert};
use tickwire_loadtest::exchange::replay::{Line, Replay, Speed, Writer, for_each_line};
use tickwire_loadtest::exchange::{Config, Exchange};

const BINANCE: &str = "binance-spot-20240808.jsonl.gz";
const KUCOIN: &str = "kucoin-spot-20210425.jsonl.gz";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The recorded frames that contain one of `parts`.
fn recorded(name: &str, parts: &[&str]) -> Vec<String> {
    let mut frames = Vec::new();
    for_each_line(&fixture(name), |_, text| {
        let line: Line = serde_json::from_str(text).unwrap();
        frames.extend(line.text.filter(|text| parts.iter().any(|part| text.contains(part))));
        Ok(())
    })
    .unwrap();
    frames
}

fn config(path: PathBuf, start_after: usize) -> Config {
    Config { replay: Some(Replay { path, speed: Speed::Max, once: true, start_after }), ..Config::default() }
}

async fn is_done(exchange: &Simulated) -> Value {
    loop {
        let stats = exchange.json("/stats").await;
        if stats["replay"]["done"] == true {
            return stats;
        }
    }
}

#[tokio::test]
async fn subscribers_get_their_streams_as_recorded() {
    let exchange = Simulated::start(config(fixture(BINANCE), 3)).await;
    let mut combined = exchange.connect("/binance/stream?streams=btcusdt@bookTicker").await;
    let mut raw = exchange.connect("/binance/ws").await;
    assert_eq!(exchange.json("/stats").await["replay"]["played"], 0, "it waits for the third stream");
    raw.send(r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@ticker"],"id":1}"#).await;
    raw.text_with(r#""result":null"#).await;
    let books = recorded(BINANCE, &["btcusdt@bookTicker"]);
    assert_eq!(books.len(), 469);
    for frame in books {
        assert_eq!(combined.text().await.unwrap(), frame);
    }
    for frame in recorded(BINANCE, &["btcusdt@trade"]) {
        assert_eq!(format!(r#"{{"stream":"btcusdt@trade","data":{}}}"#, raw.text().await.unwrap()), frame);
    }
    let stats = is_done(&exchange).await;
    // One line is an answer of REST that the recorder had put between the frames: it belongs to no stream.
    assert_eq!(stats["replay"], json!({ "frames": 599, "played": 599, "rounds": 1, "done": true }));
    assert_eq!(stats["venues"]["binance"]["frames_sent"], 469 + 89);
    assert_eq!(stats["venues"]["binance"]["sockets_open"], 2);
}

#[tokio::test]
async fn kucoin_topics_play_and_the_catalogue_is_made_of_the_file() {
    let exchange = Simulated::start(config(fixture(KUCOIN), 9)).await;
    let listed = exchange.json("/kucoin/api/v2/symbols").await;
    let symbols: Vec<&str> =
        listed["data"].as_array().unwrap().iter().map(|one| one["symbol"].as_str().unwrap()).collect();
    assert_eq!(symbols.len(), 9);
    assert_eq!(exchange.json("/binance/api/v3/exchangeInfo").await["symbols"], json!([]));
    let bullet = exchange.post("/kucoin/api/v1/bullet-public").await;
    let token = bullet["data"]["token"].as_str().unwrap();
    let mut client = exchange.connect(&format!("/kucoin/endpoint?token={token}")).await;
    client.text_with("welcome").await;
    let topic = format!("/market/ticker:{}", symbols.join(","));
    client.send(json!({ "id": 1, "type": "subscribe", "topic": topic }).to_string()).await;
    for frame in recorded(KUCOIN, &[r#""topic":"/market/ticker:"#]) {
        assert_eq!(client.text().await.unwrap(), frame);
    }
    assert_eq!(is_done(&exchange).await["venues"]["kucoin"]["frames_sent"], 105);
}

#[tokio::test]
async fn recorded_answers_come_before_made_up_ones() {
    let path = scratch("answers.jsonl");
    let mut out = Writer::create(&path).unwrap();
    let body = r#"{"symbols":[{"symbol":"AAABBB"}],"recorded":true}"#;
    let line = Line {
        t: 1,
        venue: "binance".to_owned(),
        rest: Some("/api/v3/exchangeInfo".to_owned()),
        text: Some(body.to_owned()),
        binary: None,
    };
    out.write(&line).unwrap();
    out.finish().unwrap();
    let exchange = Simulated::start(config(path, 1)).await;
    let answer = exchange.get("/binance/api/v3/exchangeInfo?symbolStatus=TRADING").await;
    assert_eq!(answer.text().await.unwrap(), body);
    assert_eq!(exchange.json("/binance/api/v3/ticker/24hr").await, json!([]));
}

#[tokio::test]
async fn a_replay_without_once_begins_again() {
    let replay = Replay { path: fixture(BINANCE), speed: Speed::Max, once: false, start_after: 1 };
    let exchange = Simulated::start(Config { replay: Some(replay), ..Config::default() }).await;
    let mut client = exchange.connect("/binance/stream?streams=btcusdt@trade").await;
    let trades = recorded(BINANCE, &["btcusdt@trade"]);
    for frame in trades.iter().chain(&trades) {
        assert_eq!(&client.text().await.unwrap(), frame);
    }
}

#[tokio::test]
async fn frames_come_no_sooner_than_recorded() {
    let path = scratch("paced.jsonl");
    let mut out = Writer::create(&path).unwrap();
    for (t, id) in [(0, 1), (200_000, 2)] {
        let text = format!(r#"{{"stream":"abcbtc@trade","data":{{"e":"trade","s":"ABCBTC","t":{id}}}}}"#);
        out.write(&Line { t, venue: "binance".to_owned(), text: Some(text), ..Line::default() }).unwrap();
    }
    out.finish().unwrap();
    let replay = Replay { path, speed: "2".parse().unwrap(), once: true, start_after: 1 };
    let exchange = Simulated::start(Config { replay: Some(replay), ..Config::default() }).await;
    let mut client = exchange.connect("/binance/ws/abcbtc@trade").await;
    assert_eq!(client.value().await["t"], 1);
    let first = std::time::Instant::now();
    assert_eq!(client.value().await["t"], 2);
    // Recorded 200 ms apart, played at double speed; a little less, as the first was under way for a moment.
    assert!(first.elapsed().as_millis() >= 80, "{:?}", first.elapsed());
}

#[test]
fn a_broken_file_is_refused_with_its_line() {
    let path = scratch("broken.jsonl");
    std::fs::write(&path, "{\"t\":1,\"venue\":\"binance\",\"text\":\"{}\"}\n{\"t\":2}\n").unwrap();
    let error = Exchange::new(config(path, 1)).err().unwrap().to_string();
    assert!(error.contains("broken.jsonl, line 2: missing field `venue`"), "{error}");
    let missing = Exchange::new(config(scratch("no-such-file"), 1)).err().unwrap().to_string();
    assert!(missing.contains("no-such-file"), "{missing}");
}

#[test]
fn a_recording_of_cryptofeed_becomes_a_replay_file() {
    let (input, output) = (scratch("cryptofeed.txt"), scratch("cryptofeed.jsonl.gz"));
    let frame = r#"{"topic":"/market/ticker:A-B","type":"message","data":{"price":"0.10"}}"#;
    let lines = [
        "wss://x.y/endpoint?token=SECRET <-> 1.5",
        &format!("1619378326.364592: {frame}"),
        "1619378327.0: {}",
    ];
    std::fs::write(&input, lines.join("\n")).unwrap();
    let args = ConvertArgs {
        format: Format::Cryptofeed,
        venue: "kucoin".to_owned(),
        frames: Some(1),
        input,
        output: output.clone(),
    };
    assert_eq!(convert(&args).unwrap(), Converted { written: 1, left: 1 });
    let mut read = Vec::new();
    for_each_line(&output, |_, text| {
        read.push(serde_json::from_str::<Line>(text).unwrap());
        Ok(())
    })
    .unwrap();
    let expected = Line {
        t: 1_619_378_326_364_592,
        venue: "kucoin".to_owned(),
        text: Some(frame.to_owned()),
        ..Line::default()
    };
    assert_eq!(read, [expected]);
}
