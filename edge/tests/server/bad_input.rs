//! What clients do wrong: each gets its code, and whoever goes on is closed with the code that says why; a client on the
//! same worker gets every row all the while.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::client::{Client, error_code};
use crate::support::eventually;
use crate::support::raw::{CLOSE, Raw, answer, masked, upgrade};
use crate::support::scene::{A, Scene};

impl Scene {
    /// The witness gets the next rows, one by one.
    async fn goes_on(&mut self) {
        for _ in 0..3 {
            self.v += 1;
            self.market.tick(A, self.v).await;
            let row = self.witness.row().await;
            assert_eq!((row.v, row.skipped, row.stale), (self.v, 0, false));
        }
    }
}

#[tokio::test]
async fn each_mistake_has_its_code_and_the_connection_lives() {
    let mut scene = Scene::open(&[]).await;
    let mut client = Client::connect(&scene.edge).await;
    for (text, code, num) in [
        ("{", "bad_json", 1001),
        ("", "bad_json", 1001),
        ("nonsense", "bad_json", 1001),
        ("[]", "bad_request", 1002),
        ("{}", "bad_request", 1002),
        (r#"{"method":1}"#, "bad_request", 1002),
        (r#"{"method":"ping","req_id":{}}"#, "bad_request", 1002),
        (r#"{"method":"ping","extra":1}"#, "bad_request", 1002),
        (r#"{"method":"fly"}"#, "unknown_method", 1003),
        (r#"{"method":"subscribe"}"#, "bad_request", 1002),
        (r#"{"method":"subscribe","params":{"symbol":7}}"#, "bad_request", 1002),
        (r#"{"method":"subscribe","params":{"symbol":[]}}"#, "bad_request", 1002),
        (r#"{"method":"subscribe","params":{"symbol":"X","snapshot":1}}"#, "bad_request", 1002),
        (r#"{"method":"subscribe","params":{"symbol":"X","channel":"book"}}"#, "unknown_channel", 1004),
        (r#"{"method":"subscribe","params":{"symbol":"nobody"}}"#, "unknown_symbol", 4001),
        (r#"{"method":"unsubscribe","params":{"symbol":"bench:A"}}"#, "not_subscribed", 4004),
    ] {
        client.say(text).await;
        let reply = client.reply().await;
        assert_eq!(reply["success"], false, "{text}: {reply}");
        assert_eq!(
            (error_code(&reply).as_deref(), &reply["error"]["num"]),
            (Some(code), &json!(num)),
            "{text}"
        );
        assert!(!reply["error"]["message"].as_str().unwrap().is_empty(), "{text}: {reply}");
        // Something sensible between: mistakes in a row would end the connection.
        assert_eq!(client.ask(json!({"method": "list"})).await["success"], true);
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn ten_mistakes_in_a_row_end_the_connection() {
    let mut scene = Scene::open(&[]).await;
    let mut client = Client::connect(&scene.edge).await;
    for _ in 0..10 {
        client.say("{").await;
    }
    assert_eq!(client.end().await, (Some(4500), vec!["bad_json".to_owned(); 10]));
    scene.goes_on().await;
    assert_eq!(scene.edge.metric("tickwire_edge_closes_total", "bad_protocol").await, 1.0);
}

#[tokio::test]
async fn binary_is_not_spoken() {
    let mut scene = Scene::open(&[]).await;
    let mut client = Client::connect(&scene.edge).await;
    client.send(Message::binary(b"{\"method\":\"ping\"}".to_vec())).await;
    assert_eq!(client.end().await, (Some(1003), vec!["bad_request".to_owned()]));
    scene.goes_on().await;
}

#[tokio::test]
async fn the_largest_message_passes_and_one_byte_more_does_not() {
    const MOST: usize = 131_072;
    let mut scene = Scene::open(&[]).await;
    let mut client = Client::connect(&scene.edge).await;
    let text = r#"{"method":"ping"}"#;
    client.say(format!("{text}{}", " ".repeat(MOST - text.len()))).await;
    assert_eq!(client.reply().await["method"], "pong");
    client.say(format!("{text}{}", " ".repeat(MOST + 1 - text.len()))).await;
    assert_eq!(client.end().await, (Some(1009), vec!["message_too_big".to_owned()]));
    scene.goes_on().await;
}

#[tokio::test]
async fn who_talks_too_much_is_told_and_then_closed() {
    let mut scene = Scene::open(&[]).await;
    let mut client = Client::connect(&scene.edge).await;
    client.next().await;
    for _ in 0..45 {
        client.say(r#"{"method":"ping"}"#).await;
    }
    let mut codes = Vec::new();
    for _ in 0..45 {
        codes.push(error_code(&client.reply().await));
    }
    assert!(codes[..40].iter().all(Option::is_none), "{codes:?}");
    let refused = codes.iter().flatten().filter(|code| *code == "rate_limited").count();
    assert!(refused > 0 && refused <= 5, "{codes:?}");

    // WebSocket pings count too, and nobody who goes on like this stays.
    let mut flood = Raw::connect(&scene.edge).await;
    let pings: Vec<u8> = (0..400).flat_map(|_| masked(0x89, b"x")).collect();
    flood.write(&pings).await;
    assert_eq!(flood.close_code().await, Some(4504));
    scene.goes_on().await;
}

#[tokio::test]
async fn symbols_have_limits_for_a_request_and_a_connection() {
    let mut scene = Scene::open(&[]).await;
    let mut client = Client::connect(&scene.edge).await;
    let names =
        |range: std::ops::Range<usize>| -> Vec<String> { range.map(|n| format!("bench:S{n}")).collect() };
    let subscribe =
        |names: Vec<String>| json!({"method": "subscribe", "params": {"symbol": names}, "req_id": 1});
    let code = |reply: Value| (error_code(&reply), reply["success"].as_bool());
    let limit = (Some("symbol_limit".to_owned()), Some(false));
    assert_eq!(code(client.ask(subscribe(names(0..2_001))).await), limit);
    assert_eq!(code(client.ask(subscribe(names(0..2_000))).await), (None, Some(true)));
    assert_eq!(code(client.ask(subscribe(names(2_000..2_001))).await), limit);
    let list = client.ask(json!({"method": "list"})).await;
    assert_eq!(list["result"]["total"], 2_000);
    client.ask(json!({"method": "unsubscribe", "params": {"symbol": "bench:S7"}})).await;
    assert_eq!(code(client.ask(subscribe(names(2_000..2_001))).await), (None, Some(true)));
    scene.goes_on().await;
}

#[tokio::test]
async fn broken_framing_is_closed_with_its_code() {
    let mut scene = Scene::open(&[]).await;
    let unmasked = [0x81, 2, b'{', b'}'];
    let huge = [0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
    let long_form = [0x81, 0xFE, 0, 5];
    let big = [0x82, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4];
    for (what, bytes, code) in [
        ("no mask", unmasked.to_vec(), 1002),
        ("reserved bit 1", masked(0xC1, b"{}"), 1002),
        ("reserved bit 3", masked(0x91, b"{}"), 1002),
        ("unknown opcode", masked(0x83, b""), 1002),
        ("unknown control opcode", masked(0x8B, b""), 1002),
        ("a ping in fragments", masked(0x09, b""), 1002),
        ("a long ping", masked(0x89, &[0; 126]), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        ("a message inside a message", [masked(0x01, b"{"), masked(0x81, b"}")].concat(), 1002),
        ("a length in a longer form", long_form.to_vec(), 1002),
        ("a length above all", huge.to_vec(), 1002),
        ("a gigabyte announced", big.to_vec(), 1009),
        ("close code 0", masked(CLOSE, &[0, 0]), 1002),
        ("close code 1005", masked(CLOSE, &1005u16.to_be_bytes()), 1002),
        ("close code 999", masked(CLOSE, &999u16.to_be_bytes()), 1002),
        ("close code of one byte", masked(CLOSE, &[3]), 1002),
        ("a close reason that is not UTF-8", masked(CLOSE, &[3, 0xE8, 0xFF]), 1007),
        ("text that is not UTF-8", masked(0x81, b"{\"\xff\":1}"), 1007),
        ("a character cut by the end", masked(0x81, b"\xc3"), 1007),
        ("a fragment that is not UTF-8", masked(0x01, b"\xff"), 1007),
    ] {
        let mut raw = Raw::connect(&scene.edge).await;
        raw.write(&bytes).await;
        assert_eq!(raw.close_code().await, Some(code), "{what}");
        assert_eq!(raw.frame().await, None, "{what}");
        scene.goes_on().await;
    }
    let next = masked(0x00, &[b' '; 60_000]);
    let first = [masked(0x01, &[b' '; 60_000]), next.clone(), next].concat();
    let mut raw = Raw::connect(&scene.edge).await;
    raw.write(&first).await;
    assert_eq!(raw.close_code().await, Some(1009));
}

#[tokio::test]
async fn what_follows_a_broken_frame_is_not_understood() {
    let mut scene = Scene::open(&[]).await;
    let mut raw = Raw::connect(&scene.edge).await;
    // Over the limit, and the payload looks like goodbyes: the answer is for the size.
    raw.write(&[0x81, 0xFF, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0]).await;
    for _ in 0..1_000 {
        raw.write(&masked(CLOSE, &[])).await;
    }
    assert_eq!(raw.close_code().await, Some(1009));
    assert_eq!(raw.frame().await, None);
    drop(raw);
    eventually("the client is forgotten", async || {
        scene.edge.metric("tickwire_edge_connections", "").await == 1.0
    })
    .await;
    assert_eq!(scene.edge.metric("tickwire_edge_closes_total", "").await, 1.0);
    scene.goes_on().await;
}

/// The reply to a subscribe may come when the client is closed already.
#[tokio::test]
async fn who_is_closed_takes_no_seat() {
    let mut scene = Scene::open(&[]).await;
    let mut raw = Raw::connect(&scene.edge).await;
    let subscribe = masked(0x81, br#"{"method":"subscribe","params":{"symbol":"bench:A"}}"#);
    raw.write(&[subscribe, masked(0x82, b"binary")].concat()).await;
    assert_eq!(raw.close_code().await, Some(1003));
    scene.goes_on().await;
    assert_eq!(raw.frame().await, None, "nothing comes after the close");
    eventually("one seat is counted", async || {
        scene.edge.metric("tickwire_edge_subscriptions", "").await == 1.0
    })
    .await;
}

#[tokio::test]
async fn a_goodbye_is_answered_with_its_code() {
    let mut scene = Scene::open(&[]).await;
    for (payload, code) in
        [(vec![], 1000), (vec![0x03, 0xE8], 1000), (vec![0x03, 0xE9], 1001), (vec![0x0F, 0xA1], 4001)]
    {
        let mut raw = Raw::connect(&scene.edge).await;
        raw.write(&masked(CLOSE, &payload)).await;
        assert_eq!(raw.close_code().await, Some(code));
        // And that is the end of the connection.
        assert_eq!(raw.frame().await, None);
    }
    scene.goes_on().await;
}

/// Frames that arrive in the same packet as the upgrade, or byte by byte, are frames all the same.
#[tokio::test]
async fn early_and_slow_bytes_are_read() {
    let mut scene = Scene::open(&[]).await;
    let ping = masked(0x81, br#"{"method":"ping","req_id":5}"#);
    let mut early = Raw::connect_with(&scene.edge, &ping).await;
    assert!(early.text_with("\"req_id\":5").await.contains("\"pong\""));
    let mut slow = Raw::connect(&scene.edge).await;
    for byte in ping {
        slow.write(&[byte]).await;
    }
    assert!(slow.text_with("\"req_id\":5").await.contains("\"pong\""));
    scene.goes_on().await;
}

#[tokio::test]
async fn a_bad_upgrade_is_refused() {
    let scene = Scene::open(&[]).await;
    for (from, to, status, header) in [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", "426", "sec-websocket-version: 13"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: short", "400", ""),
        ("Upgrade: websocket", "Upgrade: h2c", "426", "upgrade: websocket"),
        ("GET", "POST", "405", ""),
    ] {
        let answer = answer(&scene.edge, &upgrade().replacen(from, to, 1)).await;
        assert!(
            answer.starts_with(&format!("http/1.1 {status}")) && answer.contains(header),
            "{to}: {answer}"
        );
    }
}
