//! What the pool does in which situation.

use std::collections::BTreeSet;
use std::time::Duration;

use tickwire_ingestor::link::{SocketState, SymbolState};
use tickwire_ingestor::venue::contract::{Carried, SECOND};
use tickwire_ingestor::venue::facts::Rate;

use crate::market::{Note, Order};
use crate::world::{Setup, World, soon};

fn names(symbols: &[u32]) -> Vec<String> {
    symbols.iter().map(|symbol| format!("S{symbol}")).collect()
}

fn position(notes: &[Note], wanted: &Note) -> usize {
    notes.iter().position(|note| note == wanted).unwrap_or_else(|| panic!("no {wanted:?} in {notes:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn symbols_come_and_go_on_an_open_socket_without_a_connect() {
    let world = World::new(Setup::default()).await;
    world.carry(0..2).await;
    world.carry(2..3).await;
    assert_eq!(world.market.connects(), 1);
    world.pool.leave(vec![0]).await;
    world.until("the unsubscription", |floor| floor.sizes() == [2]).await;
    assert!(world.market.notes().contains(&Note::Unsubscribed(1, names(&[0]))));
    assert_eq!(world.pool.view().state(0), None);

    // The place of the one that went is not sure to be free: only one of three would fit.
    world.carry(3..6).await;
    world.until("the second socket", |floor| floor.sizes() == [3, 2]).await;
    assert_eq!(world.market.connects(), 2);
    for symbol in 1..6 {
        world.tape.assert_no_gap(symbol);
    }
    assert_eq!(world.tape.take_forgotten(), [0, 1, 2, 3, 4, 5], "each once, when it came");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_may_be_given_to_another_symbol_at_once() {
    let world = World::new(Setup::default()).await;
    world.carry(0..2).await;
    world.pool.leave(vec![0]).await;
    world.pool.want(vec![Carried { index: 0, key: "S9".to_owned() }]).await;
    let wanted = BTreeSet::from(["S1".to_owned(), "S9".to_owned()]);
    world.until("the other symbol", |floor| floor.carried.values().eq([&wanted])).await;
    world.warm(&[0, 1]).await;
    assert_eq!(world.market.connects(), 1);
    world.tape.assert_no_gap(1);
    world.end().await;
}

/// The first socket is replaced: the second brings data before the first goes, and nobody notices.
async fn is_replaced(world: World) {
    world.carry(0..3).await;
    world.tape.take_forgotten();
    world.market.order(Some(1), Order::Bye);
    world.until("the end of the first", |floor| floor.notes.contains(&Note::Closed(1))).await;
    let notes = world.market.notes();
    let goodbye = position(&notes, &Note::Closed(1));
    assert!(position(&notes, &Note::Subscribed(2, names(&[0, 1, 2]))) < goodbye);
    assert!(position(&notes, &Note::Spoke(2)) < goodbye);
    assert!(!notes.iter().any(|note| matches!(note, Note::Unsubscribed(..))), "it is closed as it is");
    soon("more news", world.tape.more(0, 20)).await;
    for symbol in 0..3 {
        world.tape.assert_no_gap(symbol);
        assert_eq!(world.pool.view().state(symbol), Some(SymbolState::Live));
    }
    assert!(world.tape.links() >= 2);
    assert!(world.tape.take_forgotten().is_empty(), "somebody carried them all the time");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_replaced_before_the_venue_closes_it() {
    is_replaced(World::new(Setup::default()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_replaced_before_its_lifetime_ends() {
    let lifetime = Duration::from_secs(1);
    let world = World::new(Setup { lifetime, ..Setup::default() }).await;
    world.carry(0..3).await;
    // Each socket in its turn, and no turn is noticed.
    world.until("three rotations", |floor| floor.notes.contains(&Note::Closed(3))).await;
    for symbol in 0..3 {
        world.tape.assert_no_gap(symbol);
    }
    assert_eq!(world.tape.take_forgotten(), [0, 1, 2], "only when they came");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_socket_leaves_the_others_alone() {
    let world = World::new(Setup { symbols_per_socket: 2, ..Setup::default() }).await;
    world.carry(0..6).await;
    world.tape.take_forgotten();
    world.market.order(Some(2), Order::Cut);
    world
        .until("the fourth connect", |floor| {
            floor.sizes() == [2, 2, 2] && floor.notes.contains(&Note::Opened(4))
        })
        .await;
    let notes = world.market.notes();
    let Some(Note::Subscribed(2, lost)) = notes.iter().find(|note| matches!(note, Note::Subscribed(2, _)))
    else {
        panic!("{notes:?}")
    };
    assert!(
        notes.contains(&Note::Subscribed(4, lost.clone())),
        "the same symbols, on a new connection: {notes:?}"
    );
    world.warm(&[0, 1, 2, 3, 4, 5]).await;
    let lost: Vec<u32> = lost.iter().map(|name| name[1..].parse().unwrap()).collect();
    assert_eq!(world.tape.take_forgotten(), lost);
    for symbol in (0..6).filter(|symbol| !lost.contains(symbol)) {
        world.tape.assert_no_gap(symbol);
    }
    assert!(world.pool.view().sockets().values().all(|socket| socket.state == SocketState::Live));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_all_keeps_to_the_connect_rate() {
    let connects = Rate { count: 3, per: SECOND / 2 };
    let world = World::new(Setup { symbols_per_socket: 1, connects, ..Setup::default() }).await;
    world.carry(0..6).await;
    world.market.order(None, Order::Cut);
    world.until("six new sockets", |floor| floor.notes.contains(&Note::Opened(12))).await;
    world.warm(&[0, 1, 2, 3, 4, 5]).await;
    let times = world.takes.times();
    assert_eq!(times.len(), 12);
    assert!(times.windows(4).all(|four| four[3] - four[0] >= Duration::from_millis(500)), "{times:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_symbol_is_subscribed_again_alone() {
    let world = World::new(Setup::default()).await;
    world.market.mute("S1", true);
    world.carry(0..3).await;
    let again = [Note::Unsubscribed(1, names(&[1])), Note::Subscribed(1, names(&[1]))];
    world.until("another subscription", |floor| floor.notes.ends_with(&again)).await;
    world.market.mute("S1", false);
    soon("news", world.tape.more(1, 5)).await;
    assert_eq!(world.market.connects(), 1);
    let about_others = world.market.notes().into_iter().filter(|note| {
        matches!(note, Note::Subscribed(_, some) | Note::Unsubscribed(_, some) if some != &names(&[1]))
    });
    assert_eq!(about_others.collect::<Vec<_>>(), [Note::Subscribed(1, names(&[0, 1, 2]))]);
    world.tape.assert_no_gap(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_not_needed_is_saved_and_nobody_notices() {
    let shrink_after = Duration::from_millis(500);
    let world = World::new(Setup { shrink_after, ..Setup::default() }).await;
    world.carry(0..8).await;
    world.pool.leave(vec![0, 1, 2, 3, 4]).await;
    world.until("one socket", |floor| floor.sizes() == [3]).await;
    for symbol in 5..8 {
        world.tape.assert_no_gap(symbol);
        assert_eq!(world.pool.view().state(symbol), Some(SymbolState::Live));
    }
    world.pool.leave(vec![5, 6, 7]).await;
    world.until("no socket", |floor| floor.carried.is_empty()).await;
    assert_eq!(world.market.connects(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_socket_does_not_take_goes_to_another() {
    let world = World::new(Setup { symbols_per_socket: 6, topics_max: 4, ..Setup::default() }).await;
    world.carry(0..4).await;
    world.carry(4..6).await;
    world.until("two sockets", |floor| floor.sizes() == [4, 2]).await;
    world.end().await;
}
