//! Requests and their replies: partial success, list, ping, unsubscribe, the same again, ids, order.

use serde_json::{Value, json};

use crate::support::client::{Client, error_code};
use crate::support::edge::Edge;
use crate::support::eventually;
use crate::support::market::Market;

const A: &str = "bench:A";
const B: &str = "bench:B";
const C: &str = "bench:C";

fn request(method: &str, symbols: &[&str]) -> Value {
    json!({"method": method, "params": {"symbol": symbols}, "req_id": method})
}

#[tokio::test]
async fn part_of_a_request_may_fail_and_nothing_is_an_error() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::connect(&edge).await;
    let reply = client.subscribe(&[A, "nobody", B, "a b", A]).await;
    assert_eq!(reply["success"], true, "{reply}");
    assert_eq!(reply["result"]["subscribed"], json!([A, B]));
    let failed = |name: &str, code: &str| json!({"symbol": name, "code": code});
    assert_eq!(
        reply["result"]["failed"],
        json!([failed("nobody", "unknown_symbol"), failed("a b", "unknown_symbol")])
    );
    assert_eq!(reply["result"]["total"], 2);

    let reply = client.subscribe(&["nobody"]).await;
    assert_eq!(
        (&reply["success"], error_code(&reply).as_deref()),
        (&json!(false), Some("unknown_symbol")),
        "{reply}"
    );
    assert_eq!((&reply["error"]["num"], &reply["error"]["retry"]), (&json!(4001), &json!(false)));
    assert_eq!(reply["result"]["failed"], json!([failed("nobody", "unknown_symbol")]));

    let reply = client.ask(request("unsubscribe", &[A, C])).await;
    assert_eq!(reply["success"], true, "{reply}");
    assert_eq!(reply["result"]["unsubscribed"], json!([A]));
    assert_eq!(reply["result"]["failed"], json!([failed(C, "not_subscribed")]));
    let reply = client.ask(request("unsubscribe", &[A])).await;
    assert_eq!(
        (&reply["success"], error_code(&reply).as_deref()),
        (&json!(false), Some("not_subscribed")),
        "{reply}"
    );
}

#[tokio::test]
async fn list_and_ping_and_unsubscribe_from_everything() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::subscribed(&edge, &[A, B, C]).await;
    let list = client.ask(json!({"method": "list", "req_id": 2})).await;
    assert_eq!(list["result"], json!({"channel": "ticker", "subscribed": [A, B, C], "total": 3}));
    let pong = client.ask(json!({"method": "ping", "req_id": 3})).await;
    assert_eq!(
        (&pong["method"], &pong["req_id"], &pong["success"]),
        (&json!("pong"), &json!(3), &json!(true)),
        "{pong}"
    );
    assert!(pong["time_in"].is_u64() && pong["time_out"].is_u64(), "{pong}");
    let reply = client.ask(json!({"method": "unsubscribe"})).await;
    assert_eq!((&reply["success"], &reply["result"]["total"]), (&json!(true), &json!(0)), "{reply}");
    assert_eq!(reply["result"]["unsubscribed"].as_array().map(Vec::len), Some(3));
    let list = client.ask(json!({"method": "list"})).await;
    assert_eq!(list["result"]["subscribed"], json!([]));
    // Nobody is subscribed to nothing: again is no mistake.
    assert_eq!(client.ask(json!({"method": "unsubscribe"})).await["success"], true);
}

#[tokio::test]
async fn who_has_left_gets_nothing_more_and_may_come_back() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::subscribed(&edge, &[A, B]).await;
    market.tick(A, 1).await;
    assert_eq!(client.row().await.v, 1);
    client.ask(request("unsubscribe", &[A])).await;
    market.tick(A, 2).await;
    market.tick(B, 3).await;
    assert_eq!((client.row().await.symbol.as_str(), 3), (B, 3));
    client.subscribe(&[A]).await;
    let row = client.row().await;
    assert_eq!((row.symbol.as_str(), row.v, row.snapshot), (A, 2, true));
    market.tick(A, 4).await;
    assert_eq!(client.row().await.v, 4);
}

#[tokio::test]
async fn the_same_subscribe_again_takes_no_second_seat() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &["--edge.linger_seconds", "0"]).await;
    let mut client = Client::subscribed(&edge, &[A]).await;
    market.tick(A, 1).await;
    assert_eq!(client.row().await.v, 1);
    for _ in 0..3 {
        let reply = client.subscribe(&[A]).await;
        assert_eq!(reply["result"]["subscribed"], json!([A]));
        assert_eq!(reply["result"]["total"], 1);
        let row = client.row().await;
        assert_eq!((row.v, row.snapshot), (1, true));
    }
    for v in 2..6 {
        market.tick(A, v).await;
    }
    let seen: Vec<u64> = client.rows_until(5).await.iter().map(|row| row.v).collect();
    assert_eq!(seen, [2, 3, 4, 5]);
    eventually("one seat is counted", async || edge.metric("tickwire_edge_subscriptions", "").await == 1.0)
        .await;
    // One leave is enough, for the client and for the topic.
    client.ask(request("unsubscribe", &[A])).await;
    eventually("the topic is left", async || market.subscriptions(A).await == 0).await;
}

#[tokio::test]
async fn a_full_connection_may_still_ask_again_for_what_it_has() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::connect(&edge).await;
    let names: Vec<String> = (0..2_000).map(|n| format!("bench:S{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(client.subscribe(&names).await["success"], true);
    let again = client.subscribe(&names[..500]).await;
    assert_eq!((&again["success"], &again["result"]["total"]), (&json!(true), &json!(2_000)));
    let more = client.subscribe(&["bench:S0", "bench:more"]).await;
    assert_eq!(error_code(&more).as_deref(), Some("symbol_limit"), "{more}");
}

#[tokio::test]
async fn since_and_snapshot_decide_what_comes_first() {
    let market = Market::open().await;
    market.last(A, 10).await;
    market.last(B, 20).await;
    let edge = Edge::open(&market.url(), &[]).await;
    // (parameters, versions of the snapshot)
    for (params, expected) in [
        (json!({"symbol": [A, B]}), vec![10, 20]),
        (json!({"symbol": [A, B], "since": 10}), vec![20]),
        (json!({"symbol": [A, B], "since": 20}), vec![]),
        (json!({"symbol": [A, B], "snapshot": false}), vec![]),
    ] {
        let mut client = Client::connect(&edge).await;
        client.ask(json!({"method": "subscribe", "params": params})).await;
        // The pong comes behind the snapshot, if there is one.
        let mut seen = Vec::new();
        client.say(json!({"method": "ping"})).await;
        loop {
            let message = client.next().await;
            if message["method"] == "pong" {
                break;
            }
            seen.extend(crate::support::client::rows(&message).iter().map(|row| row.v));
        }
        assert_eq!(seen, expected, "{params}");
    }
}

#[tokio::test]
async fn ids_come_back_as_they_were_written() {
    let market = Market::open().await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::connect(&edge).await;
    client.next().await;
    for id in ["0", "-5", "18446744073709551615", r#""""#, r#""a-1""#, r#""\u0041\/""#, r#""äöü""#] {
        for method in ["ping", "list", "unsubscribe", "fly"] {
            client.say(format!(r#"{{"req_id":{id},"method":"{method}"}}"#)).await;
            let reply = client.text_but_heartbeats().await.unwrap();
            assert!(reply.contains(&format!(r#""req_id":{id},"#)), "{id} in {reply}");
        }
    }
}

#[tokio::test]
async fn requests_are_answered_in_the_order_they_came() {
    let market = Market::open().await;
    market.last(A, 1).await;
    let edge = Edge::open(&market.url(), &[]).await;
    let mut client = Client::connect(&edge).await;
    for round in 0..3 {
        client.say(json!({"method": "subscribe", "params": {"symbol": [A, B]}, "req_id": 1})).await;
        client.say(json!({"method": "list", "req_id": 2})).await;
        client.say(json!({"method": "fly", "req_id": 7})).await;
        client.say(json!({"method": "unsubscribe", "params": {"symbol": A}, "req_id": 3})).await;
        client.say(json!({"method": "subscribe", "params": {"symbol": C}, "req_id": 4})).await;
        client.say(json!({"method": "unsubscribe", "req_id": 5})).await;
        client.say(json!({"method": "ping", "req_id": 6})).await;
        let mut replies = Vec::new();
        for _ in 0..7 {
            replies.push(client.reply().await);
        }
        let ids: Vec<u64> = replies.iter().filter_map(|reply| reply["req_id"].as_u64()).collect();
        assert_eq!(ids, [1, 2, 7, 3, 4, 5, 6], "round {round}");
        let totals: Vec<u64> = replies.iter().filter_map(|reply| reply["result"]["total"].as_u64()).collect();
        assert_eq!(totals, [2, 2, 1, 2, 0], "round {round}");
    }
}
