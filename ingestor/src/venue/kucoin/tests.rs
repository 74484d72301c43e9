mod silence;

use serde_json::{Value, json};
use tickwire_common::decimal::Decimal;
use tickwire_common::row::Row;

use super::codec::{self, Message};
use super::session::KucoinSession;
use super::{Kucoin, facts};
use crate::venue::contract::{AnswerError, Carried, Event, Frame, Heartbeat, Reason, SECOND, Venue};
use crate::venue::testing::{Sim, scrambled, survive_noise};

const RECORDED: &str = include_str!("fixtures/nine-symbols-20210425.jsonl");
const SNAPSHOTS: &str = include_str!("fixtures/snapshots-20231121.jsonl");
const WELCOME: &str = r#"{"id":"1","type":"welcome"}"#;
const RECORDED_KEYS: [&str; 10] = [
    "EQZ-BTC",
    "ANKR-BTC",
    "SNX-BTC",
    "FET-BTC",
    "BCHSV-USDT",
    "NRG-BTC",
    "CAPP-BTC",
    "DAPPT-BTC",
    "COV-BTC",
    "LTX-USDT",
];

fn open(keys: &[&str]) -> Sim {
    Sim::open(KucoinSession::new(None), keys)
}

/// Welcomed, and every request answered.
fn subscribed(keys: &[&str]) -> Sim {
    let mut sim = open(keys);
    sim.text(WELCOME);
    sim.pass(SECOND);
    for id in 1..=sim.sent.len() {
        sim.text(&format!(r#"{{"id":"{id}","type":"ack"}}"#));
    }
    assert_eq!(sim.acked(), (0..).take(keys.len()).collect::<Vec<_>>());
    assert!(sim.rejected().is_empty());
    sim.events.clear();
    sim
}

fn d(text: &str) -> Option<Decimal> {
    Some(text.parse().unwrap())
}

fn kind(frame: &str) -> &'static str {
    match codec::decode(frame.as_bytes()).unwrap() {
        Message::Ticker(..) => "ticker",
        Message::Snapshot(..) => "snapshot",
        Message::Welcome => "welcome",
        Message::Ack(_) => "ack",
        Message::Pong => "pong",
        Message::Refused(_) => "refused",
        Message::Other(kind) => kind,
    }
}

#[test]
fn recorded_frames_are_of_the_kinds_that_were_recorded() {
    let count = |wanted: &str| {
        RECORDED.lines().chain(SNAPSHOTS.lines()).filter(|frame| kind(frame) == wanted).count()
    };
    let expected = [
        ("welcome", 1),
        ("ack", 3),
        ("ticker", 120),
        ("snapshot", 3),
        ("level2", 3),
        ("match", 3),
        ("candles", 3),
    ];
    assert_eq!(expected.map(|(kind, _)| (kind, count(kind))), expected);
}

#[test]
fn the_last_rows_are_what_another_reading_of_the_recording_gives() {
    let mut sim = subscribed(&RECORDED_KEYS);
    let mut expected = vec![Row::default(); RECORDED_KEYS.len()];
    for frame in RECORDED.lines() {
        sim.text(frame);
        let frame: Value = serde_json::from_str(frame).unwrap();
        let Some(key) = frame["topic"].as_str().and_then(|topic| topic.strip_prefix("/market/ticker:"))
        else {
            continue;
        };
        let row = &mut expected[RECORDED_KEYS.iter().position(|own| *own == key).unwrap()];
        let field = |name: &str| d(frame["data"][name].as_str().unwrap());
        (row.price, row.bid, row.ask) = (field("price"), field("bestBid"), field("bestAsk"));
        row.ts = frame["data"]["time"].as_u64();
    }
    let rows: Vec<Row> =
        (0..).zip(&RECORDED_KEYS).map(|(symbol, _)| Row { v: 0, ..sim.row(symbol) }).collect();
    assert_eq!(rows, expected);
    assert_eq!(sim.updates, 120);
}

#[test]
fn a_snapshot_fills_the_row_and_its_rate_becomes_percent() {
    let mut sim = subscribed(&["TRX-BTC", "ETH-BTC", "BTC-USDT"]);
    SNAPSHOTS.lines().for_each(|frame| sim.text(frame));
    let text = |symbol| {
        let mut text = Vec::new();
        Row { v: 7, ..sim.row(symbol) }.encode(&mut text);
        String::from_utf8(text).unwrap()
    };
    let expected = concat!(
        r#"{"v":7,"price":0.053778,"bid":0.053778,"ask":0.053779,"change":-0.000458,"percent_change":-0.84,"#,
        r#""volume":2958.31391160000000000000,"high":0.054846,"low":0.05364,"ts":1700555340197}"#
    );
    assert_eq!(text(1), expected.replace("2958.31391160000000000000", "2958.3139116"));
    assert!(text(0).contains(r#""change":0,"percent_change":0,"#), "{}", text(0));
}

#[test]
fn a_ticker_outweighs_snapshots_and_never_goes_back() {
    let ticker = |sequence: u64, price: &str| {
        json!({"type": "message", "topic": "/market/ticker:BTC-USDT", "subject": "trade.ticker",
            "data": {"sequence": sequence.to_string(), "price": price, "bestBid": null, "time": 1}})
        .to_string()
    };
    let snapshot = SNAPSHOTS.lines().last().unwrap();
    let mut sim = subscribed(&["BTC-USDT"]);
    sim.text(snapshot);
    assert_eq!((sim.row(0).price, sim.row(0).bid), (d("37366.8"), d("37366.7")));
    sim.text(&ticker(5, "37000"));
    sim.text(snapshot);
    sim.text(&ticker(4, "36000"));
    sim.text(&ticker(5, "36000"));
    let row = sim.row(0);
    assert_eq!((row.price, row.bid, row.volume), (d("37000"), d("37366.7"), d("2900.37846402")));
    assert_eq!(row.ts, Some(1700555342151), "the trade was earlier than the snapshot");
    assert_eq!((sim.superseded(), sim.told()), (3, vec![]), "the snapshot again, too");
}

#[test]
fn order_and_unknown_members_do_not_matter() {
    for frame in RECORDED.lines().chain(SNAPSHOTS.lines()) {
        let other = scrambled(frame);
        assert_eq!(codec::decode(other.as_bytes()), codec::decode(frame.as_bytes()), "{frame}");
    }
}

#[test]
fn nothing_is_sent_before_the_welcome_and_it_must_come() {
    let mut sim = open(&["BTC-USDT"]);
    sim.pass(10 * SECOND);
    assert!(sim.sent.is_empty());
    assert_eq!((sim.reconnect(), sim.now), (Some(Reason::Welcome), 7 + facts::WELCOME_TIMEOUT));
}

#[test]
fn subscriptions_are_lists_of_at_most_a_hundred() {
    let keys: Vec<String> = (0..facts::SYMBOLS_PER_SOCKET).map(|n| format!("S{n}-USDT")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let sim = subscribed(&keys);
    let topics: Vec<(String, usize)> = sim
        .sent
        .iter()
        .map(|(_, frame)| {
            assert_eq!((&frame["type"], &frame["response"]), (&json!("subscribe"), &json!(true)));
            let (topic, list) = frame["topic"].as_str().unwrap().split_once(':').unwrap();
            assert!(!list.contains(' '));
            (topic.to_owned(), list.split(',').count())
        })
        .collect();
    let (ticker, snapshot) = ("/market/ticker".to_owned(), "/market/snapshot".to_owned());
    assert_eq!(topics, [(ticker.clone(), 100), (snapshot.clone(), 100), (ticker, 30), (snapshot, 30)]);
}

/// Answers as the venue does: one symbol it does not know fails the list.
fn answer(sim: &mut Sim, bad: &[&str], name_it: bool) -> Vec<String> {
    let mut taken = Vec::new();
    let mut at = 0;
    for _ in 0..50 {
        sim.pass(SECOND / 2);
        while let Some((_, frame)) = sim.sent.get(at).cloned() {
            at += 1;
            let id = &frame["id"];
            let Some(topic) = frame["topic"].as_str() else {
                sim.text(&json!({"id": id, "type": "pong"}).to_string());
                continue;
            };
            if frame["type"] == "unsubscribe" {
                sim.text(&json!({"id": id, "type": "ack"}).to_string());
                continue;
            }
            let list: Vec<&str> = topic.split_once(':').unwrap().1.split(',').collect();
            match list.iter().find(|key| bad.contains(key)) {
                Some(key) => {
                    let named = if name_it { format!("/market/ticker:{key}") } else { topic.to_owned() };
                    let text = format!("topic {named} is not found");
                    sim.text(&json!({"id": id, "type": "error", "code": 404, "data": text}).to_string());
                }
                None => {
                    sim.text(&json!({"id": id, "type": "ack"}).to_string());
                    taken.extend(
                        list.iter().map(|key| format!("{}{key}", &topic[..topic.find(':').unwrap()])),
                    );
                }
            }
        }
    }
    taken.sort();
    taken
}

#[test]
fn one_bad_symbol_does_not_lose_the_list() {
    for name_it in [true, false] {
        let keys = ["A-USDT", "BAD-BTC", "B-USDT", "WORSE-BTC", "C-USDT"];
        let mut sim = open(&keys);
        sim.text(WELCOME);
        let taken = answer(&mut sim, &["BAD-BTC", "WORSE-BTC"], name_it);
        let good = ["A-USDT", "B-USDT", "C-USDT"];
        let mut expected: Vec<String> = ["/market/ticker", "/market/snapshot"]
            .iter()
            .flat_map(|topic| good.map(|key| format!("{topic}{key}")))
            .collect();
        expected.sort();
        assert_eq!(taken, expected, "the venue names the symbol: {name_it}");
        let mut rejected = sim.rejected();
        rejected.sort_unstable();
        assert_eq!(rejected, [1, 3], "each told once");
        assert_eq!(sim.reconnect(), None);
    }
}

#[test]
fn refusals_of_the_connection_end_it() {
    for (data, code) in [("token is expired", 401), ("exceed max session count limitation of 50", 509)] {
        let mut sim = open(&["BTC-USDT"]);
        sim.text(&json!({"id": "x", "type": "error", "code": code, "data": data}).to_string());
        assert_eq!(sim.reconnect(), Some(Reason::Goodbye), "{data}");
    }
}

#[test]
fn too_fast_is_answered_with_patience_and_too_many_is_told() {
    let refused = |data: &str| json!({"id": "1", "type": "error", "code": 509, "data": data}).to_string();
    let mut sim = open(&["BTC-USDT"]);
    sim.text(WELCOME);
    sim.text(&refused("exceed max permits per 10 seconds"));
    let before = sim.sent.len();
    sim.pass(facts::RATE_PAUSE - 1);
    assert_eq!((sim.sent.len(), sim.rejected()), (before, vec![]));
    sim.pass(SECOND);
    assert_eq!(sim.sent.last().unwrap().1["topic"], "/market/ticker:BTC-USDT");

    let mut sim = open(&["BTC-USDT"]);
    sim.text(WELCOME);
    sim.text(&refused("exceed max subscription count limitation of 400 per session"));
    let reason = "509: exceed max subscription count limitation of 400 per session".to_owned();
    assert_eq!(sim.events, [Event::Rejected { symbol: 0, full: true, reason }]);
    sim.pass(5 * SECOND);
    assert_eq!(sim.sent.len(), 1, "its other topic is not asked for");
}

#[test]
fn what_is_asked_for_before_the_welcome_waits_for_it() {
    let mut sim = open(&["A-USDT", "B-USDT"]);
    sim.unsubscribe(&[0]);
    sim.subscribe(vec![Carried { index: 2, key: "C-USDT".to_owned() }]);
    sim.pass(SECOND);
    assert!(sim.sent.is_empty());
    sim.text(WELCOME);
    sim.pass(SECOND);
    let topics: Vec<_> = sim.sent.iter().map(|(_, frame)| frame["topic"].as_str().unwrap()).collect();
    assert_eq!(topics, ["/market/ticker:B-USDT,C-USDT", "/market/snapshot:B-USDT,C-USDT"]);
}

#[test]
fn a_smaller_limit_for_a_message_is_obeyed() {
    let mut sim = open(&["A-USDT", "B-USDT"]);
    sim.text(WELCOME);
    let data = "exceed max subscription count limitation of 1 per time";
    sim.text(&json!({"id": "1", "type": "error", "code": 509, "data": data}).to_string());
    sim.pass(SECOND);
    let topics: Vec<_> = sim.sent.iter().map(|(_, frame)| frame["topic"].as_str().unwrap()).collect();
    assert_eq!(topics[2..], ["/market/ticker:A-USDT", "/market/ticker:B-USDT"]);
    assert!(sim.rejected().is_empty());
}

fn ticker(key: &str) -> String {
    json!({"type": "message", "topic": format!("/market/ticker:{key}"), "subject": "trade.ticker",
        "data": {"sequence": "1", "price": "0.03", "bestBid": "0.03", "bestAsk": "0.04", "time": 1}})
    .to_string()
}

fn snapshot(key: &str) -> &'static str {
    SNAPSHOTS.lines().find(|frame| frame.contains(key)).expect("a recorded snapshot")
}

#[test]
fn the_heartbeat_is_the_invitations_and_a_missing_pong_is_death() {
    let heartbeat = Heartbeat { interval: 5 * SECOND, timeout: 2 * SECOND };
    let mut sim = Sim::open(KucoinSession::new(Some(heartbeat)), &["BTC-USDT"]);
    sim.text(WELCOME);
    sim.pass(SECOND);
    sim.text(r#"{"id":"1","type":"ack"}"#);
    sim.text(r#"{"id":"2","type":"ack"}"#);
    sim.text(snapshot("BTC-USDT"));
    sim.text(&ticker("BTC-USDT"));
    for pings in 1..=20 {
        sim.pass(5 * SECOND);
        let (at, ping) = sim.sent.last().unwrap();
        assert_eq!((ping["type"].as_str(), *at), (Some("ping"), 7 + pings * 5 * SECOND));
        sim.text(&json!({"id": ping["id"], "type": "pong"}).to_string());
    }
    assert_eq!(sim.reconnect(), None);
    sim.pass(20 * SECOND);
    assert_eq!(sim.reconnect(), Some(Reason::Pong));
}

#[test]
fn subscribed_without_data_is_found() {
    let mut sim = subscribed(&["BTC-USDT"]);
    sim.pass(20 * SECOND);
    sim.text(r#"{"id":"3","type":"pong"}"#);
    sim.pass(20 * SECOND);
    assert_eq!(sim.reconnect(), Some(Reason::FirstData));
}

#[test]
fn what_is_not_ours_is_named_and_skipped() {
    let mut sim = subscribed(&["BTC-USDT"]);
    sim.text(RECORDED.lines().find(|frame| frame.contains("trade.ticker")).unwrap());
    sim.text(WELCOME);
    sim.text(r#"{"id":"99","type":"ack"}"#);
    sim.text(r#"{"type":"notice","data":{}}"#);
    sim.text(r#"{"type":"message","topic":"/market/ticker:BTC-USDT"}"#);
    sim.text(r#"{"type":"message","topic":"/market/ticker:BTC-USDT","data":{"sequence":"1","price":{}}}"#);
    sim.text("[]");
    sim.frame(Frame::Binary(b""));
    let events = [
        Event::Ignored("unknown_symbol"),
        Event::Ignored("welcome"),
        Event::Ignored("foreign_ack"),
        Event::Ignored("notice"),
        Event::Garbage("missing"),
        Event::Garbage("number"),
        Event::Garbage("syntax"),
        Event::Garbage("binary"),
    ];
    assert_eq!((sim.events.as_slice(), sim.updates), (&events[..], 0));
}

#[test]
fn noise_is_survived() {
    let mut sim = subscribed(&RECORDED_KEYS);
    survive_noise(&mut sim, &[RECORDED, SNAPSHOTS].concat());
    assert!(sim.events.iter().any(|event| matches!(event, Event::Garbage(_))));
    assert!(sim.updates > 0);
}

#[test]
fn discovery_takes_what_trades() {
    let listed = Kucoin.instruments(include_bytes!("fixtures/symbols-20210425.json")).unwrap();
    let names: Vec<_> = listed.iter().map(|listed| (listed.symbol.as_str(), listed.key.as_str())).collect();
    assert_eq!(names, [("EQZ/BTC", "EQZ-BTC"), ("SNX/BTC", "SNX-BTC"), ("BTC/USDT", "BTC-USDT")]);
    assert_eq!(listed[2].price_step, d("0.1"));
    let refused = Kucoin.instruments(br#"{"code":"429000","msg":"Too Many Requests"}"#);
    assert!(matches!(refused, Err(AnswerError::Refused { code, .. }) if code == "429000"));
}

#[test]
fn the_invitation_names_server_token_and_heartbeat() {
    let answer = json!({"code": "200000", "data": {"token": "a+b==", "instanceServers": [{
        "endpoint": "wss://ws-api-spot.kucoin.com/", "encrypt": true, "protocol": "websocket",
        "pingInterval": 18000, "pingTimeout": 10000}]}})
    .to_string();
    let endpoint = Kucoin.endpoint(None, answer.as_bytes(), 42).unwrap();
    assert_eq!(endpoint.url, "wss://ws-api-spot.kucoin.com/?token=a%2Bb%3D%3D&connectId=42");
    assert_eq!(endpoint.heartbeat, Some(facts::HEARTBEAT));
    let configured = Kucoin.endpoint(Some("ws://127.0.0.1:1/kucoin"), answer.as_bytes(), 42).unwrap();
    assert_eq!(configured.url, "ws://127.0.0.1:1/kucoin?token=a%2Bb%3D%3D&connectId=42");
    for bad in [r#"{"code":"200000","data":{"token":"t","instanceServers":[]}}"#, "", r#"{"code":"400100"}"#]
    {
        assert!(Kucoin.endpoint(None, bad.as_bytes(), 1).is_err(), "{bad}");
    }
}
