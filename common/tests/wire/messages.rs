//! Replies and events: each vector is taken apart, said again by this crate, and must come out letter by letter.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tickwire_common::feed::FeedStatus;
use tickwire_common::wire::encoding::COLS;
use tickwire_common::wire::error::{ErrorBody, ErrorCode};
use tickwire_common::wire::frame::{
    Connected, Failed, Ids, Outcome, Reply, feed_status, going_away, heartbeat, slow_reader,
};
use tickwire_common::wire::limits::Limits;

use crate::vectors;

/// A reply or an event as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub about: String,
    /// For replies: `json`, `array`, or `any` where both layouts say the same.
    #[serde(default)]
    pub layout: Option<String>,
    pub text: String,
}

fn code(name: &Value) -> ErrorCode {
    let found = ErrorCode::ALL.into_iter().find(|code| name == code.as_str());
    found.unwrap_or_else(|| panic!("{name} is no error code"))
}

fn texts(list: &Value) -> Option<Vec<String>> {
    let texts = list.as_array()?.iter().map(|text| text.as_str().unwrap().to_owned());
    Some(texts.collect())
}

fn outcome(result: &Value) -> Outcome {
    let failed = |failure: &Value| Failed::new(failure["symbol"].as_str().unwrap(), code(&failure["code"]));
    let subscribed = texts(&result["subscribed"]);
    let id =
        |name: &String| Some((Arc::from(name.as_str()), u32::try_from(result["ids"][name].as_u64()?).ok()?));
    let ids = result["ids"].as_object().map(|ids| {
        let list: Vec<_> = subscribed.iter().flatten().filter_map(id).collect();
        assert_eq!(list.len(), ids.len(), "an id for each name: {result}");
        Ids(list)
    });
    Outcome {
        unsubscribed: texts(&result["unsubscribed"]),
        failed: result["failed"].as_array().map(|list| list.iter().map(failed).collect()),
        total: result["total"].as_u64().unwrap() as usize,
        ids,
        cols: result["cols"].is_array().then_some(&COLS),
        subscribed,
        ..Outcome::default()
    }
}

fn error_body(error: &Value) -> ErrorBody {
    let mut body = ErrorBody::new(code(&error["code"]), error["message"].as_str().unwrap());
    body.retry_after_ms = error["retry_after_ms"].as_u64();
    body
}

#[derive(Deserialize)]
struct Id<'a> {
    #[serde(borrow)]
    req_id: Option<&'a RawValue>,
}

fn say_reply(text: &str) -> Vec<u8> {
    let read: Value = serde_json::from_str(text).unwrap();
    let id: Id<'_> = serde_json::from_str(text).unwrap();
    let (result, error) = (read.get("result").map(outcome), read.get("error").map(error_body));
    let reply = Reply {
        result: result.as_ref(),
        error: error.as_ref(),
        time_in: read["time_in"].as_u64(),
        time_out: read["time_out"].as_u64(),
        ..Reply::new(read["method"].as_str(), id.req_id.map(RawValue::get), read["success"] == true)
    };
    reply.encode()
}

fn limits(read: &Value) -> Limits {
    let number = |name: &str| read[name].as_u64();
    let size = |name: &str| number(name).unwrap() as usize;
    Limits {
        symbols: size("symbols"),
        symbols_per_request: size("symbols_per_request"),
        msgs_per_s: size("msgs_per_s") as u32,
        msgs_burst: size("msgs_burst") as u32,
        message_bytes: size("message_bytes"),
        handshake_ms: size("handshake_ms") as u32,
        connections: size("connections"),
        connections_per_address: number("connections_per_address").map(|most| most as u32),
        memory_bytes: number("memory_bytes"),
    }
}

fn say_status(data: &Value) -> Vec<u8> {
    let number = |name: &str| data[name].as_u64().unwrap();
    match data["event"].as_str().unwrap() {
        "connected" => {
            let (id, label) = (data["connection_id"].as_str().unwrap(), data["label"].as_str());
            Connected::new(id, number("heartbeat_ms"), limits(&data["limits"]), label).encode()
        }
        "slow_reader" => slow_reader(number("skipped"), number("lag_ms")),
        "going_away" => going_away(number("reconnect_after_ms")),
        other => panic!("{other} is no event"),
    }
}

fn say_feeds(read: &Value) -> Vec<u8> {
    let feeds = read["data"].as_array().unwrap().iter();
    let feeds: Vec<(&str, FeedStatus)> = feeds
        .map(|feed| (feed["feed"].as_str().unwrap(), serde_json::from_value(feed.clone()).unwrap()))
        .collect();
    let feeds: Vec<_> = feeds.iter().map(|(feed, status)| (*feed, status)).collect();
    feed_status(read["type"] == "snapshot", &feeds)
}

fn say_event(text: &str) -> Vec<u8> {
    let read: Value = serde_json::from_str(text).unwrap();
    match read["channel"].as_str().unwrap() {
        "heartbeat" => heartbeat(read["ts"].as_u64().unwrap()),
        "status" => say_status(&read["data"][0]),
        "feed_status" => say_feeds(&read),
        other => panic!("{other} is no channel"),
    }
}

fn check(file: &str, say: impl Fn(&str) -> Vec<u8>) {
    for vector in vectors::<Vec<Vector>>(file) {
        let said = String::from_utf8(say(&vector.text)).unwrap();
        assert_eq!(said, vector.text, "{}", vector.about);
    }
}

#[test]
fn replies_are_said_as_the_vectors_say() {
    check("replies.json", say_reply);
    for vector in vectors::<Vec<Vector>>("replies.json") {
        let lists = vector.text.contains(r#""ids":"#);
        assert_eq!(lists, vector.layout.as_deref() == Some("array"), "{}", vector.about);
    }
}

#[test]
fn events_are_said_as_the_vectors_say() {
    check("events.json", say_event);
}
