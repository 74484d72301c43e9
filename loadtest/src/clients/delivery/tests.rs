use proptest::prelude::*;

use super::*;

fn arrival(symbol: u32, v: u64, skipped: u64, now_us: u64) -> Arrival {
    Arrival { symbol, v, skipped, update: true, judged: true, now_us }
}

fn take(delivery: &mut Delivery, slots: Slots, row: &Arrival) -> Seen {
    delivery.row(slots, row).seen
}

/// Clients on symbol 0, all joined at `v` 10, with the window open.
fn joined(clients: usize) -> (Delivery, Vec<Slots>) {
    let mut delivery = Delivery::new(1);
    let slots: Vec<Slots> = (0..clients).map(|_| delivery.add_client(&[0])).collect();
    for slots in &slots {
        assert_eq!(take(&mut delivery, *slots, &arrival(0, 10, 0, 1)), Seen::First(false));
    }
    delivery.open();
    (delivery, slots)
}

fn feed(delivery: &mut Delivery, slots: Slots, rows: &[(u64, u64)]) -> Vec<Seen> {
    rows.iter().map(|(v, skipped)| take(delivery, slots, &arrival(0, *v, *skipped, 1))).collect()
}

fn plain(rows: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    rows.into_iter().map(|v| (v, 0)).collect()
}

fn settle(delivery: &Delivery, slots: &[Slots]) -> Loss {
    delivery.settle(slots.iter().map(|slots| (*slots, true)))
}

#[test]
fn equal_sequences_lose_nothing() {
    let (mut delivery, slots) = joined(3);
    for slots in &slots {
        assert_eq!(feed(&mut delivery, *slots, &plain([11, 15, 19])), [Seen::InOrder(true); 3]);
    }
    delivery.close(0);
    let loss = settle(&delivery, &slots);
    assert_eq!((loss.published, loss.owed, loss.got, loss.lost), (3, 9, 9, 0));
    assert!(delivery.caught_up(slots.iter().copied()));
}

#[test]
fn a_row_that_one_client_lacks_is_lost_whoever_came_first() {
    for order in [[0, 1], [1, 0]] {
        let (mut delivery, slots) = joined(2);
        for client in order {
            let rows = if client == 0 { plain([11, 12, 13]) } else { plain([11, 13]) };
            feed(&mut delivery, slots[client], &rows);
        }
        let loss = settle(&delivery, &slots);
        assert_eq!((loss.lost, loss.clients_with_loss, loss.worst_client), (1, 1, 1), "{order:?}");
    }
}

#[test]
fn a_missing_last_row_is_lost_and_waited_for() {
    let (mut delivery, slots) = joined(2);
    feed(&mut delivery, slots[0], &plain([11, 12]));
    feed(&mut delivery, slots[1], &plain([11]));
    delivery.close(0);
    assert!(!delivery.caught_up(slots.iter().copied()));
    assert_eq!(settle(&delivery, &slots).lost, 1);
    feed(&mut delivery, slots[1], &plain([12]));
    assert!(delivery.caught_up(slots.iter().copied()));
    assert_eq!(settle(&delivery, &slots).lost, 0);
}

#[test]
fn told_rows_are_not_lost() {
    let (mut delivery, slots) = joined(2);
    feed(&mut delivery, slots[0], &plain(11..=16));
    feed(&mut delivery, slots[1], &[(11, 0), (14, 2), (16, 0)]);
    let loss = settle(&delivery, &slots);
    assert_eq!((loss.skipped, loss.lost), (2, 1));
}

#[test]
fn rows_folded_into_one_beyond_the_end_are_told_too() {
    let (mut delivery, slots) = joined(2);
    feed(&mut delivery, slots[0], &plain(11..=13));
    delivery.close(0);
    assert_eq!(feed(&mut delivery, slots[1], &[(14, 3), (16, 1)]), [Seen::InOrder(false); 2]);
    let loss = settle(&delivery, &slots);
    assert_eq!((loss.skipped, loss.lost), (3, 0));
}

#[test]
fn duplicates_and_disorder_are_told_apart_and_do_not_count_as_got() {
    let (mut delivery, slots) = joined(2);
    feed(&mut delivery, slots[0], &plain([11, 12, 13]));
    let seen = feed(&mut delivery, slots[1], &plain([11, 11, 13, 12]));
    assert_eq!(seen, [Seen::InOrder(true), Seen::Duplicate, Seen::InOrder(true), Seen::Disorder]);
    assert_eq!(settle(&delivery, &slots).lost, 1);
}

#[test]
fn only_rows_of_the_window_count() {
    let mut delivery = Delivery::new(1);
    let slots = [delivery.add_client(&[0]), delivery.add_client(&[0])];
    feed(&mut delivery, slots[0], &plain([1, 2, 3, 10]));
    feed(&mut delivery, slots[1], &plain([1, 10]));
    delivery.open();
    feed(&mut delivery, slots[0], &plain([11, 12]));
    delivery.close(0);
    feed(&mut delivery, slots[0], &plain([13, 15]));
    assert_eq!(feed(&mut delivery, slots[1], &plain([11, 12, 14])).last(), Some(&Seen::InOrder(false)));
    let loss = settle(&delivery, &slots);
    assert_eq!((loss.published, loss.lost), (2, 0));
}

#[test]
fn rows_on_their_way_at_the_end_still_count() {
    let (mut delivery, slots) = joined(1);
    delivery.close(50);
    assert_eq!(feed(&mut delivery, slots[0], &plain([40, 51])), [Seen::InOrder(true), Seen::InOrder(false)]);
}

#[test]
fn a_late_joiner_is_owed_what_comes_after_its_first_row() {
    let (mut delivery, mut slots) = joined(1);
    feed(&mut delivery, slots[0], &plain([11, 12, 13]));
    slots.push(delivery.add_client(&[0]));
    assert_eq!(take(&mut delivery, slots[1], &arrival(0, 13, 0, 1)), Seen::First(true));
    feed(&mut delivery, slots[0], &plain([14, 15]));
    feed(&mut delivery, slots[1], &plain([15]));
    assert_eq!(settle(&delivery, &slots).lost, 1);
}

#[test]
fn a_snapshot_that_joins_is_not_news_but_one_that_follows_is() {
    let (mut delivery, mut slots) = joined(1);
    slots.push(delivery.add_client(&[0]));
    let snapshot = |v| Arrival { update: false, ..arrival(0, v, 0, 1) };
    assert_eq!(take(&mut delivery, slots[1], &snapshot(12)), Seen::First(true));
    assert_eq!(settle(&delivery, &slots).published, 0);
    assert_eq!(take(&mut delivery, slots[1], &snapshot(13)), Seen::InOrder(true));
    let loss = settle(&delivery, &slots);
    assert_eq!((loss.published, loss.lost), (1, 1));
}

#[test]
fn a_client_that_was_cut_is_owed_nothing_after_its_last_row() {
    let (mut delivery, slots) = joined(2);
    feed(&mut delivery, slots[0], &plain(11..=20));
    feed(&mut delivery, slots[1], &plain([11, 13]));
    let loss = delivery.settle([(slots[0], true), (slots[1], false)].into_iter());
    assert_eq!((loss.owed, loss.lost), (13, 1));
}

#[test]
fn symbols_are_kept_apart() {
    let mut delivery = Delivery::new(3);
    let slots = delivery.add_client(&[0, 2]);
    assert_eq!(take(&mut delivery, slots, &arrival(2, 5, 0, 70)), Seen::First(false));
    assert_eq!(take(&mut delivery, slots, &arrival(0, 3, 0, 70)), Seen::First(false));
    assert_eq!(take(&mut delivery, slots, &arrival(1, 9, 0, 70)), Seen::NotAsked);
    assert_eq!(take(&mut delivery, slots, &arrival(3, 9, 0, 70)), Seen::NotAsked);
    assert!(delivery.known_before(2, 71) && !delivery.known_before(2, 70) && !delivery.known_before(1, 99));
    assert_eq!(delivery.symbols(slots).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn a_full_log_ends_the_window() {
    let (mut delivery, slots) = joined(2);
    delivery.log_rows_max = 2;
    feed(&mut delivery, slots[0], &plain(11..=20));
    feed(&mut delivery, slots[1], &plain([11, 20]));
    delivery.close(u64::MAX);
    let loss = settle(&delivery, &slots);
    assert_eq!((loss.published, loss.lost, loss.cut_short), (2, 1, true));
}

#[test]
fn a_return_excuses_what_came_while_away_and_nothing_else() {
    let (mut delivery, slots) = joined(2);
    feed(&mut delivery, slots[0], &plain(11..=20));
    // Away from 12 to 15; then 17 is lost.
    feed(&mut delivery, slots[1], &plain([11]));
    assert_eq!(delivery.comes_back(slots[1]), 11);
    let snapshot = |v| Arrival { update: false, ..arrival(0, v, 0, 1) };
    assert_eq!(take(&mut delivery, slots[1], &snapshot(11)), Seen::Resent);
    assert_eq!(take(&mut delivery, slots[1], &snapshot(9)), Seen::WentBack);
    assert_eq!(delivery.row(slots[1], &snapshot(15)), Taken { seen: Seen::Returned(true), held_v: 11 });
    feed(&mut delivery, slots[1], &plain([16, 18, 19, 20]));
    let loss = settle(&delivery, &slots);
    assert_eq!((loss.published, loss.owed, loss.lost), (10, 16, 1));
    assert_eq!(take(&mut delivery, slots[1], &arrival(0, 20, 0, 1)), Seen::Duplicate);
    assert_eq!(take(&mut delivery, slots[1], &arrival(0, 19, 0, 1)), Seen::Disorder);
}

#[test]
fn a_client_that_never_had_a_row_returns_as_if_new() {
    let (mut delivery, mut slots) = joined(1);
    slots.push(delivery.add_client(&[0]));
    assert_eq!(delivery.comes_back(slots[1]), 0);
    assert_eq!(take(&mut delivery, slots[1], &arrival(0, 11, 0, 1)), Seen::First(true));
    assert_eq!(delivery.held(slots[1]).collect::<Vec<_>>(), [(0, 11, true)]);
}

#[test]
fn a_snapshot_after_a_return_makes_no_row_exist() {
    let (mut delivery, slots) = joined(2);
    delivery.comes_back(slots[1]);
    let snapshot = Arrival { update: false, ..arrival(0, 12, 0, 1) };
    assert_eq!(take(&mut delivery, slots[1], &snapshot), Seen::Returned(true));
    assert_eq!(settle(&delivery, &slots).published, 0);
}

proptest! {
    /// Each client gets 100 rows, some dropped, some folded into the next; clients are interleaved at random.
    #[test]
    fn the_sum_is_exact_under_any_interleaving(
        fates in prop::collection::vec(prop::collection::vec(0u8..8, 100), 2..6),
        turns in prop::collection::vec(any::<prop::sample::Index>(), 600),
    ) {
        let (mut delivery, slots) = joined(fates.len());
        let (mut expected, mut queues) = (0, Vec::new());
        for (client, fates) in fates.iter().enumerate() {
            let (mut queue, mut folded) = (Vec::new(), 0);
            for (row, fate) in fates.iter().enumerate() {
                // Client 0 gets everything, so that every row exists; the last row ends every fold.
                match fate {
                    0 if client > 0 => expected += 1,
                    1 | 2 if client > 0 && row < 99 => folded += 1,
                    _ => queue.push((11 + row as u64, std::mem::take(&mut folded))),
                }
            }
            expected += folded;
            queue.reverse();
            queues.push(queue);
        }
        let whole: Vec<usize> = (0..queues.len()).flat_map(|client| vec![client; 100]).collect();
        for client in turns.iter().map(|turn| turn.index(slots.len())).chain(whole) {
            if let Some((v, skipped)) = queues[client].pop() {
                prop_assert_eq!(take(&mut delivery, slots[client], &arrival(0, v, skipped, 1)), Seen::InOrder(true));
            }
        }
        prop_assert_eq!(settle(&delivery, &slots).lost, expected);
    }
}
