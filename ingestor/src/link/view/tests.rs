//! What a view says after which news.

use super::*;

fn view() -> View {
    let view = View::default();
    view.add_socket(1);
    assert_eq!(view.add(1, &[7, 8]), [7, 8]);
    view
}

#[tokio::test(start_paused = true)]
async fn warm_is_data_or_a_while_after_the_answer_or_a_refusal() {
    let view = view();
    view.opened(1);
    view.acked(1, &[7, 8]);
    view.live(1, 7);
    assert!(view.warm(&[7]) && !view.warm(&[7, 8]) && !view.warm(&[9]));
    tokio::time::advance(WARM_AFTER_ACK).await;
    assert!(view.warm(&[7, 8]));
    view.rejected(1, 8, false);
    assert_eq!((view.warm(&[8]), view.state(8)), (true, Some(SymbolState::Rejected)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_socket_is_told_until_it_brings_data_again() {
    let view = view();
    view.opened(1);
    view.live(1, 7);
    assert!(!view.warm(&[7]), "a part of it may not be subscribed yet");
    view.acked(1, &[7]);
    let mut alone = view.lost(1, "closed");
    alone.sort_unstable();
    assert_eq!(alone, [7, 8], "nobody else carries them");
    let Some(SymbolState::Lost { since_ms, reason: "closed" }) = view.state(7) else { panic!("{view:?}") };
    assert!(matches!(view.state(8), Some(SymbolState::Opening { reason: Some("closed"), .. })));
    view.lost(1, "connect");
    assert_eq!(view.state(7), Some(SymbolState::Lost { since_ms, reason: "connect" }));
    let summary = view.summary(&[7, 8, 9]);
    assert_eq!((summary.lost, summary.opening, summary.live), (1, 2, 0));
    assert_eq!((summary.lost_since_ms, summary.reason), (Some(since_ms), Some("connect")));
    assert_eq!(view.sockets()[&1].losses, 2);
    view.opened(1);
    view.acked(1, &[7]);
    view.live(1, 7);
    assert_eq!(view.state(7), Some(SymbolState::Live));
}

#[tokio::test(start_paused = true)]
async fn a_symbol_that_moves_is_never_lost_by_either_socket() {
    let view = view();
    view.acked(1, &[7]);
    view.live(1, 7);
    view.add_socket(2);
    assert!(view.add(2, &[7]).is_empty(), "the first carries it");
    assert!(view.lost(2, "connect").is_empty());
    view.acked(2, &[7]);
    assert!(!view.all_arrived(1, &[(7, 2)]), "the old one brings data, the new one none yet");
    view.live(2, 7);
    assert!(view.all_arrived(1, &[(7, 2)]));
    assert_eq!(view.lost(1, "closed"), [8]);
    assert_eq!(view.state(7), Some(SymbolState::Live));
    view.remove_socket(1);
    assert_eq!((view.state(7), view.state(8)), (Some(SymbolState::Live), None));
}

#[tokio::test(start_paused = true)]
async fn a_silent_symbol_moves_after_a_while() {
    let view = view();
    view.live(1, 7);
    view.acked(1, &[7, 8]);
    view.add(2, &[7, 8]);
    view.acked(2, &[7, 8]);
    tokio::time::advance(WARM_AFTER_ACK).await;
    assert!(!view.all_arrived(1, &[(7, 2)]) && view.all_arrived(1, &[(8, 2)]));
    tokio::time::advance(MOVE_PATIENCE).await;
    assert!(view.all_arrived(1, &[(7, 2)]));
}

#[test]
fn a_symbol_that_finds_no_place_is_told_by_its_socket() {
    let view = view();
    view.rejected(1, 8, true);
    assert_eq!(view.overflow(), BTreeMap::from([(1, vec![8])]));
    assert!(!view.warm(&[8]) && matches!(view.state(8), Some(SymbolState::Opening { .. })));
    view.add(2, &[8]);
    view.remove(1, &[8]);
    assert_eq!((view.overflow(), view.state(8).is_some()), (BTreeMap::new(), true));
}
