//! What one name shows.

use tickwire_common::row;
use tickwire_common::symbol::Topic;
use tickwire_common::wire::encoding::Encoding;

use super::*;
use crate::feed::health::Feeds;
use crate::feed::names::Found;
use crate::feed::stand::Place;

fn topics() -> [Topic; 2] {
    ["binance:BTC/USDT", "kucoin:BTC/USDT"].map(|text| text.parse().unwrap())
}

fn state(topic: Topic, row: &[u8]) -> TopicState {
    let mut state = TopicState::new(Place::new(topic), false, ViewId(0));
    state.take(row::read_v(row).unwrap(), row);
    state
}

fn bare() -> ViewState {
    let choice = Choice::new(Found::AnyOf(topics().to_vec()), &Feeds::default());
    ViewState::new(ViewId(0), "BTC/USDT", choice, TopicId(0), 1)
}

fn text(frame: &RowFrame) -> String {
    String::from_utf8(frame.object(Encoding::Json).to_vec()).unwrap()
}

#[test]
fn an_older_row_of_another_venue_is_told_with_the_next_version() {
    let mut view = bare();
    let [first, second] = topics();
    let before = state(first, br#"{"v":700,"price":1}"#);
    assert_eq!(view.frame(TopicId(0), &before).unwrap().v, 700);
    let mut after = state(second, br#"{"v":99,"price":2}"#);
    let told = view.frame(TopicId(1), &after).unwrap();
    assert_eq!(text(&told), r#"{"symbol":"BTC/USDT","venue":"kucoin","v":701,"price":2}"#);
    assert!(row::check(&with_version(br#"{"v":99,"price":2}"#, 701)).is_ok());
    // Told once is told; the next of the same venue goes on from there, also while its clock is behind.
    assert!(!view.is_news(TopicId(1), &after));
    assert_eq!(view.frame(TopicId(1), &after).unwrap().v, 701);
    for (v, told) in [(100, 702), (702, 703), (9_000, 9_000)] {
        after.take(v, format!("{{\"v\":{v}}}").as_bytes());
        assert!(view.is_news(TopicId(1), &after));
        assert_eq!(view.frame(TopicId(1), &after).unwrap().v, told);
    }
    // The way back is the same.
    assert!(view.is_news(TopicId(0), &before));
    assert_eq!(view.frame(TopicId(0), &before).unwrap().v, 9_001);
}

#[test]
fn a_row_is_framed_once_and_again_when_its_feed_has_changed() {
    let mut view = bare();
    let mut topic = state(topics()[0].clone(), br#"{"v":7}"#);
    let live = view.frame(TopicId(0), &topic).unwrap();
    assert!(Arc::ptr_eq(&live, &view.frame(TopicId(0), &topic).unwrap()));
    topic.is_stale = true;
    let stale = view.frame(TopicId(0), &topic).unwrap();
    assert_eq!((stale.v, stale.stale, live.stale), (7, true, false));
    assert!(text(&stale).contains(r#""stale":true"#));
}
