use serde_json::{Value, json};
use tickwire_common::decimal::Decimal;
use tickwire_common::row::Row;

use super::codec::{self, Message};
use super::session::BinanceSession;
use super::{Binance, facts};
use crate::venue::contract::{AnswerError, Event, Frame, Micros, Reason, SECOND, Venue};
use crate::venue::testing::{Sim, scrambled, survive_noise};

const RECORDED_2024: &str = include_str!("fixtures/btcusdt-20240808.jsonl");
const RECORDED_2023: &str = include_str!("fixtures/btcusdt-20230405.jsonl");
const RECORDED_2021: &str = include_str!("fixtures/four-symbols-20211012.jsonl");
const SHAPES_2026: &str = include_str!("fixtures/shapes-20261006.jsonl");

fn open(keys: &[&str]) -> Sim {
    Sim::open(BinanceSession::new(), keys)
}

/// Answers every request that was sent and not yet answered; `from` counts them.
fn answer(sim: &mut Sim, from: &mut usize) {
    while let Some((_, request)) = sim.sent.get(*from).cloned() {
        *from += 1;
        sim.text(&json!({"result": null, "id": request["id"]}).to_string());
    }
}

fn d(text: &str) -> Option<Decimal> {
    Some(text.parse().unwrap())
}

fn trade(id: u64, price: &str) -> String {
    format!(
        r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":5,"s":"BTCUSDT","t":{id},"p":"{price}"}}}}"#
    )
}

fn ticker(last_id: i64, price: &str) -> String {
    format!(r#"{{"stream":"btcusdt@ticker","data":{{"e":"24hrTicker","E":6,"L":{last_id},"c":"{price}"}}}}"#)
}

fn book(id: u64, bid: &str) -> String {
    format!(
        r#"{{"stream":"btcusdt@bookTicker","data":{{"u":{id},"s":"BTCUSDT","b":"{bid}","B":"1","a":"{bid}","A":"1"}}}}"#
    )
}

/// A message of every stream.
fn all(base: &str) -> [String; 3] {
    [ticker(1, "1"), trade(1, "1"), book(1, "1")].map(|frame| frame.replace("btc", base))
}

fn kind(frame: &str) -> &'static str {
    match codec::decode(frame.as_bytes()).unwrap() {
        Message::Trade(..) => "trade",
        Message::Book(..) => "book",
        Message::Ticker(..) => "ticker",
        Message::Reply(_) => "reply",
        Message::Shutdown => "shutdown",
        Message::Other(kind) => kind,
    }
}

#[test]
fn recorded_frames_are_of_the_kinds_that_were_recorded() {
    let count = |frames: &str, wanted: &str| frames.lines().filter(|frame| kind(frame) == wanted).count();
    for (frames, expected) in [
        (RECORDED_2024, vec![("trade", 60), ("book", 120), ("depth", 3)]),
        (RECORDED_2023, vec![("trade", 6), ("book", 6)]),
        (RECORDED_2021, vec![("book", 4), ("depth", 4), ("kline", 2), ("agg_trade", 2)]),
        (SHAPES_2026, vec![("trade", 1), ("ticker", 1), ("kline", 2), ("depth", 5)]),
    ] {
        let counts: Vec<_> = expected.iter().map(|(kind, _)| (*kind, count(frames, kind))).collect();
        assert_eq!(counts, expected);
        assert_eq!(expected.iter().map(|(_, count)| count).sum::<usize>(), frames.lines().count());
    }
}

#[test]
fn the_last_row_is_what_another_reading_of_the_recording_gives() {
    let mut sim = open(&["BTCUSDT"]);
    let mut expected = Row::default();
    for frame in RECORDED_2024.lines() {
        sim.text(frame);
        let frame: Value = serde_json::from_str(frame).unwrap();
        let field = |key: &str| d(frame["data"][key].as_str().unwrap());
        match frame["stream"].as_str().unwrap() {
            "btcusdt@trade" => {
                expected.price = field("p");
                expected.ts = frame["data"]["E"].as_u64();
            }
            "btcusdt@bookTicker" => (expected.bid, expected.ask) = (field("b"), field("a")),
            _ => {}
        }
    }
    assert_eq!(Row { v: 0, ..sim.row(0) }, expected);
    assert_eq!(sim.updates, 180);
    assert_eq!(sim.told(), vec![Event::Ignored("depth"); 3]);
    assert_eq!(sim.events.iter().filter(|event| **event == Event::Live { symbol: 0 }).count(), 1);
}

#[test]
fn a_ticker_fills_the_row() {
    let mut sim = open(&["BTCUSDT"]);
    SHAPES_2026.lines().for_each(|frame| sim.text(frame));
    let mut text = Vec::new();
    Row { v: 7, ..sim.row(0) }.encode(&mut text);
    let expected = concat!(
        r#"{"v":7,"price":86104.02,"bid":86104.01,"ask":86104.02,"change":156.02,"percent_change":0.182,"#,
        r#""volume":13625.56497,"high":86725.12,"low":84972.01,"ts":1791284981016}"#
    );
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}

#[test]
fn order_and_unknown_members_do_not_matter() {
    for frame in [RECORDED_2024, RECORDED_2021, SHAPES_2026].iter().flat_map(|frames| frames.lines()) {
        let other = scrambled(frame);
        assert_eq!(codec::decode(other.as_bytes()), codec::decode(frame.as_bytes()), "{frame}");
    }
}

#[test]
fn nothing_goes_back() {
    let mut sim = open(&["BTCUSDT"]);
    let price = |sim: &Sim| sim.row(0).price;
    sim.text(&trade(10, "100"));
    sim.text(&trade(9, "90"));
    assert_eq!(price(&sim), d("100"));
    sim.text(&ticker(9, "90"));
    assert_eq!(price(&sim), d("100"), "a ticker of an older trade");
    sim.text(&ticker(12, "120"));
    assert_eq!(price(&sim), d("120"), "a ticker of a newer trade");
    sim.text(&trade(11, "110"));
    assert_eq!(price(&sim), d("120"), "a trade older than the ticker's");
    for frame in RECORDED_2024.lines().filter(|frame| frame.contains("@bookTicker")).rev() {
        sim.text(frame);
    }
    assert_eq!(sim.updates, 4, "only the newest of the reversed book tickers");
    assert_eq!(sim.superseded(), 119 + 2, "book tickers and trades");
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("S{n}USDT")).collect()
}

#[test]
fn subscriptions_are_batched_and_answered() {
    let keys = keys(facts::SYMBOLS_PER_SOCKET);
    let mut sim = open(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    sim.pass(SECOND);
    assert_eq!(sim.sent.len(), 3, "a full socket is asked for within a second");
    let (_, first) = &sim.sent[0];
    assert_eq!(first["method"], "SUBSCRIBE");
    assert_eq!(
        first["params"].as_array().unwrap()[..4],
        [json!("s0usdt@trade"), json!("s0usdt@bookTicker"), json!("s0usdt@ticker"), json!("s1usdt@trade")]
    );
    let lens = sim.sent.iter().map(|(_, frame)| frame["params"].as_array().unwrap().len());
    assert_eq!(lens.sum::<usize>(), 900);
    assert!(sim.sent.iter().all(|(_, frame)| frame.to_string().len() <= facts::SUBSCRIBE_BYTES_MAX));
    answer(&mut sim, &mut 0);
    assert_eq!(sim.acked(), (0..300).collect::<Vec<_>>());
}

#[test]
fn long_names_make_shorter_lists() {
    let keys: Vec<String> = (0..200).map(|n| format!("{}{n}USDT", "币安人生".repeat(3))).collect();
    let mut sim = open(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    sim.pass(3 * SECOND);
    let lens: Vec<usize> = sim.sent.iter().map(|(_, frame)| frame.to_string().len()).collect();
    let margin = 60;
    assert!(lens.iter().all(|len| *len <= facts::SUBSCRIBE_BYTES_MAX + margin), "{lens:?}");
}

#[test]
fn too_many_in_either_shape_names_its_symbols() {
    for refusal in [
        r#"{"error":{"code":4,"msg":"Too many subscriptions"},"id":1}"#,
        r#"{"code":4,"msg":"Too many subscriptions","id":1}"#,
    ] {
        let mut sim = open(&["AUSDT", "BUSDT"]);
        sim.text(refusal);
        let reason = "4: Too many subscriptions".to_owned();
        let rejected = |symbol| Event::Rejected { symbol, full: true, reason: reason.clone() };
        assert_eq!(sim.events, [rejected(0), rejected(1)]);
        sim.pass(5 * SECOND);
        assert_eq!(sim.sent.len(), 1);
    }
}

#[test]
fn a_stream_that_is_refused_costs_its_symbol_alone() {
    let mut sim = open(&["AUSDT", "B\"AD", "CUSDT"]);
    let mut at = 0;
    for _ in 0..40 {
        while let Some((_, request)) = sim.sent.get(at).cloned() {
            at += 1;
            let bad = request["params"].to_string().contains("b\\\"ad") && request["method"] == "SUBSCRIBE";
            let error = json!({"error": {"code": 2, "msg": "Invalid request"}, "id": request["id"]});
            let taken = json!({"result": null, "id": request["id"]});
            sim.text(&if bad { error } else { taken }.to_string());
        }
        sim.pass(SECOND / 2);
    }
    assert_eq!(sim.rejected(), [1]);
    let mut acked = sim.acked();
    acked.sort_unstable();
    assert_eq!(acked, [0, 2]);
}

#[test]
fn an_unanswered_request_is_asked_again_once() {
    let mut sim = open(&["BTCUSDT"]);
    sim.pass(facts::ACK_TIMEOUT);
    assert_eq!(sim.sent.len(), 2);
    assert_eq!(sim.sent[0].1["params"], sim.sent[1].1["params"]);
    sim.text(r#"{"result":null,"id":1}"#);
    assert_eq!(sim.told(), [Event::Ignored("foreign_reply")], "too late");
    sim.pass(60 * SECOND);
    assert_eq!((sim.reconnect(), sim.now), (Some(Reason::Ack), 7 + 2 * facts::ACK_TIMEOUT));
}

#[test]
fn a_socket_without_any_data_is_left() {
    let mut sim = open(&["BTCUSDT", "ETHUSDT"]);
    answer(&mut sim, &mut 0);
    sim.pass(60 * SECOND);
    assert_eq!((sim.reconnect(), sim.now), (Some(Reason::FirstData), 7 + facts::FIRST_DATA));
    assert!(sim.quiet().is_empty());
    let mut sim = open(&[]);
    sim.pass(60 * SECOND);
    assert_eq!(sim.reconnect(), None, "nothing was asked for");
}

#[test]
fn a_quiet_symbol_is_found_and_asked_for_with_growing_pauses() {
    let mut sim = open(&["BTCUSDT", "ETHUSDT"]);
    let mut answered = 0;
    answer(&mut sim, &mut answered);
    all("btc").iter().for_each(|frame| sim.text(frame));
    // One stream is no sign of the others.
    sim.text(&trade(1, "1").replace("btc", "eth"));
    let mut found: Vec<Micros> = Vec::new();
    for _ in 0..facts::FIRST_DATA * 8 / SECOND {
        let before = sim.quiet().len();
        sim.pass(SECOND);
        sim.frame(Frame::Ping);
        answer(&mut sim, &mut answered);
        if sim.quiet().len() > before {
            found.push((sim.now - 7) / SECOND);
        }
    }
    assert_eq!(sim.quiet(), [1, 1, 1]);
    assert_eq!(sim.reconnect(), None);
    let pauses: Vec<Micros> = found.windows(2).map(|two| two[1] - two[0]).collect();
    assert!((30..=36).contains(&found[0]), "{found:?}");
    assert!((60..=71).contains(&pauses[0]) && (120..=141).contains(&pauses[1]), "{found:?}");
    let methods: Vec<_> = sim.sent.iter().map(|(_, frame)| frame["method"].as_str().unwrap()).collect();
    assert_eq!(methods[..3], ["SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"]);
    let silent = json!(["ethusdt@bookTicker", "ethusdt@ticker"]);
    assert_eq!(sim.sent[1].1["params"], silent, "and nothing that works");
    all("eth").iter().for_each(|frame| sim.text(frame));
    sim.pass(20 * SECOND);
    sim.frame(Frame::Ping);
    let quiet = sim.quiet().len();
    for _ in 0..60 {
        sim.pass(20 * SECOND);
        sim.frame(Frame::Ping);
        answer(&mut sim, &mut answered);
    }
    assert_eq!((sim.quiet().len(), sim.reconnect()), (quiet, None));
}

#[test]
fn silence_is_found_and_a_quiet_market_with_pings_is_alive() {
    let mut sim = open(&["BTCUSDT"]);
    answer(&mut sim, &mut 0);
    all("btc").iter().for_each(|frame| sim.text(frame));
    for _ in 0..100 {
        sim.pass(20 * SECOND);
        sim.frame(Frame::Ping);
    }
    assert_eq!((sim.reconnect(), sim.quiet()), (None, vec![]), "every stream has spoken once");
    sim.pass(facts::SILENCE);
    assert_eq!(sim.reconnect(), Some(Reason::Silence));
}

#[test]
fn symbols_come_and_go() {
    let mut sim = open(&["BTCUSDT", "ETHUSDT"]);
    let mut answered = 0;
    answer(&mut sim, &mut answered);
    sim.unsubscribe(&[0]);
    sim.text(&trade(1, "1"));
    assert_eq!((sim.updates, sim.told().last()), (0, Some(&Event::Ignored("unsubscribed_symbol"))));
    sim.subscribe(vec![crate::venue::contract::Carried { index: 5, key: "BTCUSDT".to_owned() }]);
    assert_eq!(sim.told().last(), Some(&Event::Acked { symbols: vec![5] }), "it had not left yet");
    sim.text(&trade(1, "1"));
    assert_eq!(sim.row(5).price, d("1"), "under its new number");
    sim.unsubscribe(&[5, 77]);
    sim.pass(SECOND);
    assert_eq!(sim.sent.last().unwrap().1["method"], "UNSUBSCRIBE");
    answer(&mut sim, &mut answered);
    sim.text(&trade(2, "2"));
    assert_eq!(sim.told().last(), Some(&Event::Ignored("unknown_symbol")));
}

#[test]
fn a_server_that_will_shut_down_is_to_be_replaced() {
    for frame in [
        r#"{"e":"serverShutdown","E":1791284980615}"#,
        r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1791284980615}}"#,
    ] {
        let mut sim = open(&["BTCUSDT"]);
        sim.text(frame);
        assert_eq!(sim.told(), [Event::Retire]);
        sim.text(&trade(1, "1"));
        assert_eq!(sim.updates, 1, "and works until then");
    }
}

#[test]
fn what_is_not_ours_is_named_and_skipped() {
    let mut sim = open(&["BTCUSDT"]);
    sim.text(&trade(1, "1").replace("btcusdt@", "ethusdt@"));
    sim.text(r#"{"result":null,"id":77}"#);
    sim.text(&trade(2, "1e"));
    sim.text(r#"{"stream":"btcusdt@trade","data":{"p":"1"}}"#);
    sim.text(r#"{"stream":"btcusdt@trade","data":[]}"#);
    sim.text("{}");
    sim.text("");
    sim.frame(Frame::Binary(b"x"));
    let events = [
        Event::Ignored("unknown_symbol"),
        Event::Ignored("foreign_reply"),
        Event::Garbage("number"),
        Event::Garbage("missing"),
        Event::Garbage("syntax"),
        Event::Garbage("missing"),
        Event::Garbage("syntax"),
        Event::Garbage("binary"),
    ];
    assert_eq!((sim.events.as_slice(), sim.updates), (&events[..], 0));
    sim.text(&trade(2, "2"));
    assert_eq!(sim.row(0).price, d("2"), "and the next frame is read");
}

#[test]
fn noise_is_survived() {
    let mut sim = open(&["BTCUSDT"]);
    let recorded = [RECORDED_2024, RECORDED_2021, SHAPES_2026].concat();
    survive_noise(&mut sim, &recorded);
    assert!(sim.events.iter().any(|event| matches!(event, Event::Garbage(_))));
    assert!(sim.updates > 0);
}

#[test]
fn discovery_takes_what_trades() {
    let listed = Binance.instruments(include_bytes!("fixtures/exchangeInfo-20211012.json")).unwrap();
    let names: Vec<_> = listed.iter().map(|listed| (listed.symbol.as_str(), listed.key.as_str())).collect();
    // VENBTC is in status BREAK.
    assert_eq!(names, [("ETH/BTC", "ETHBTC"), ("BTC/USDT", "BTCUSDT"), ("NKN/USDT", "NKNUSDT")]);
    assert_eq!(listed[1].price_step, d("0.01"));
    assert!(matches!(Binance.instruments(b"{\"code\":-1003}"), Err(AnswerError::Shape(_))));
}

#[test]
fn the_configured_origin_keeps_its_prefix() {
    let url = |origin| Binance.endpoint(origin, b"", 1).unwrap().url;
    assert_eq!(url(None), "wss://data-stream.binance.vision/stream");
    assert_eq!(url(Some("ws://127.0.0.1:9900/binance")), "ws://127.0.0.1:9900/binance/stream");
}
