//! Topics that were granted and say nothing.

use super::*;

/// Answers the pings while time passes, and nothing else.
fn live(sim: &mut Sim, seconds: u64) {
    for _ in 0..seconds {
        sim.pass(SECOND);
        sim.text(r#"{"id":"0","type":"pong"}"#);
    }
}

/// BTC-USDT speaks; of ETH-BTC only this comes, until it is found quiet.
fn found_quiet(heard: &[String]) -> Sim {
    let mut sim = subscribed(&["BTC-USDT", "ETH-BTC"]);
    sim.text(snapshot("BTC-USDT"));
    sim.text(&ticker("BTC-USDT"));
    heard.iter().for_each(|frame| sim.text(frame));
    while sim.quiet().is_empty() {
        live(&mut sim, 1);
    }
    assert!((30..=37).contains(&(sim.now / SECOND)), "{}", sim.now);
    assert_eq!((sim.quiet(), sim.reconnect()), (vec![1], None));
    sim
}

/// Requests of this type, without the first ones.
fn asked(sim: &Sim, kind: &str) -> Vec<String> {
    let asked = sim.sent.iter().skip(2).filter(|(_, frame)| frame["type"] == kind);
    asked.map(|(_, frame)| frame["topic"].as_str().unwrap().to_owned()).collect()
}

fn ack_last(sim: &mut Sim) {
    let id = sim.sent.last().unwrap().1["id"].clone();
    sim.text(&json!({"id": id, "type": "ack"}).to_string());
}

#[test]
fn a_silent_symbol_is_asked_for_again_as_a_whole() {
    let mut sim = found_quiet(&[]);
    live(&mut sim, 1);
    assert_eq!(asked(&sim, "unsubscribe"), ["/market/ticker:ETH-BTC", "/market/snapshot:ETH-BTC"]);
}

#[test]
fn a_silent_topic_is_asked_for_again_alone() {
    let (ticker, snapshot) = (ticker("ETH-BTC"), snapshot("ETH-BTC").to_owned());
    for (heard, silent) in [(&ticker, "/market/snapshot:ETH-BTC"), (&snapshot, "/market/ticker:ETH-BTC")] {
        let mut sim = found_quiet(std::slice::from_ref(heard));
        assert_eq!(asked(&sim, "unsubscribe"), [silent]);
        ack_last(&mut sim);
        sim.pass(SECOND);
        assert_eq!(asked(&sim, "subscribe"), [silent]);
        ack_last(&mut sim);
        sim.text(&ticker);
        sim.text(&snapshot);
        live(&mut sim, 3_600);
        assert_eq!((sim.quiet(), sim.reconnect()), (vec![1], None), "it speaks");
    }
}

#[test]
fn a_stream_that_speaks_before_it_is_given_up_is_kept() {
    let mut sim = subscribed(&["BTC-USDT", "ETH-BTC"]);
    sim.text(snapshot("BTC-USDT"));
    sim.text(&ticker("BTC-USDT"));
    while asked(&sim, "unsubscribe").is_empty() {
        sim.pass(facts::MESSAGE_INTERVAL / 2);
        sim.text(r#"{"id":"0","type":"pong"}"#);
    }
    sim.text(snapshot("ETH-BTC"));
    live(&mut sim, 1);
    assert_eq!(asked(&sim, "unsubscribe"), ["/market/ticker:ETH-BTC"]);
}

#[test]
fn a_silent_topic_that_is_not_answered_or_refused_costs_nothing_else() {
    let mut sim = found_quiet(&[snapshot("ETH-BTC").to_owned()]);
    live(&mut sim, 60);
    let times = asked(&sim, "unsubscribe").len();
    assert!((6..=8).contains(&times), "once in ten seconds: {times}");
    while asked(&sim, "subscribe").is_empty() {
        live(&mut sim, 1);
        if sim.sent.last().is_some_and(|(_, frame)| frame["type"] == "unsubscribe") {
            ack_last(&mut sim);
        }
    }
    live(&mut sim, 35);
    let frame = sim.sent.iter().rev().find(|(_, frame)| frame["type"] == "subscribe").unwrap();
    let text = "topic /market/ticker:ETH-BTC is not found";
    let refusal = json!({"id": frame.1["id"], "type": "error", "code": 404, "data": text});
    sim.text(&refusal.to_string());
    assert_eq!((sim.rejected(), sim.reconnect()), (vec![], None));
    assert_eq!(sim.told().last(), Some(&Event::Ignored("refused_again")));
    let updates = sim.updates;
    sim.text(&snapshot("ETH-BTC").replace("1700555340", "1700555350"));
    assert_eq!(sim.updates, updates + 1, "the other topic is still heard");
    let before = asked(&sim, "subscribe").len();
    live(&mut sim, 71);
    assert_eq!(
        (sim.quiet(), asked(&sim, "subscribe").len()),
        (vec![1, 1], before + 1),
        "and it is tried again"
    );
}
