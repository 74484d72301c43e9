//! Whether every client ended with the newest price of every symbol: its last `v` against the row that NATS has in
//! MD_LAST. A client may be ahead of the store, which is written a few times a second; never behind it. Where this
//! process published the rows itself and has stopped, all three (published, stored, shown) must be the same.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::delivery::{Delivery, Slots};

/// How long clients may take to show what stood in the store, from when it was read.
pub(crate) const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// What stands in the store, by place of the name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The stored version of each symbol; `None` where there is none.
    pub(crate) versions: Vec<Option<u64>>,
    /// The version last published, where this process publishes and has stopped; `None` for symbols of others.
    pub(crate) published: Option<Vec<Option<u64>>>,
    /// Why nothing could be read.
    pub(crate) error: Option<String>,
}

impl Stored {
    /// Whether the store was read and has everything that was published.
    pub(crate) fn is_complete(&self) -> bool {
        self.error.is_none() && self.lacking() == 0
    }

    /// Symbols whose stored row is not the one last published.
    fn lacking(&self) -> u64 {
        let published = self.published.iter().flatten();
        let lacks =
            published.zip(&self.versions).filter(|(published, v)| published.is_some() && published > v);
        lacks.count() as u64
    }
}

/// How clients and store compare. All counts are 0 where they agree, but for `symbols` and `slots`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Comparison {
    /// Symbols with a row in the store.
    pub(crate) symbols: u64,
    /// Symbols without one.
    pub(crate) not_stored: u64,
    /// Symbols that were published and whose stored row is an older one.
    pub(crate) store_lacks: u64,
    /// Symbols of clients that were compared, each at each client.
    pub(crate) slots: u64,
    /// Of them, those where the client's row is older than the store's.
    pub(crate) behind_store: u64,
    /// Clients with at least one such symbol.
    pub(crate) clients_behind: u64,
    /// The most that one is behind, µs; where the client had no row at all, since 1970.
    pub(crate) behind_us_max: u64,
    /// Of them, those where publishing had stopped and the client's row is newer than the store's.
    pub(crate) ahead_of_store: u64,
    /// Why the store could not be read; nothing was compared then.
    pub(crate) error: Option<String>,
}

impl Comparison {
    /// A store that nobody got to see.
    fn unread() -> Self {
        Self { error: Some("it was not read in time".to_owned()), ..Self::default() }
    }

    /// What the threshold holds: nothing where nothing was compared.
    pub(crate) fn behind(&self) -> Option<u64> {
        (self.error.is_none() && self.slots > 0).then_some(self.behind_store)
    }
}

/// The comparison at the end of a run, which waits for what is on its way.
#[derive(Debug, Default)]
pub(crate) struct StoreCheck {
    stored: Option<(Stored, Instant)>,
}

impl StoreCheck {
    /// Takes what was read now.
    pub(crate) fn take(&mut self, stored: Stored, now: Instant) {
        self.stored.get_or_insert((stored, now));
    }

    /// Whether there is nothing to wait for any more.
    pub(crate) fn is_settled(
        &self,
        now: Instant,
        delivery: &Delivery,
        clients: impl Iterator<Item = Slots>,
    ) -> bool {
        self.stored.as_ref().is_some_and(|(stored, since)| {
            now.saturating_duration_since(*since) > CATCH_UP_MAX
                || stored.error.is_some()
                || compare(stored, delivery, clients).behind_store == 0
        })
    }

    /// How it came out.
    pub(crate) fn finish(&self, delivery: &Delivery, clients: impl Iterator<Item = Slots>) -> Comparison {
        match &self.stored {
            None => Comparison::unread(),
            Some((Stored { error: Some(error), .. }, _)) => {
                Comparison { error: Some(error.clone()), ..Comparison::default() }
            }
            Some((stored, _)) => compare(stored, delivery, clients),
        }
    }
}

fn compare(stored: &Stored, delivery: &Delivery, clients: impl Iterator<Item = Slots>) -> Comparison {
    let there = stored.versions.iter().flatten().count() as u64;
    let mut comparison = Comparison {
        symbols: there,
        not_stored: stored.versions.len() as u64 - there,
        store_lacks: stored.lacking(),
        ..Comparison::default()
    };
    for slots in clients {
        let before = comparison.behind_store;
        for (symbol, last_v, _) in delivery.held(slots) {
            let symbol = symbol as usize;
            let Some(v) = stored.versions.get(symbol).copied().flatten() else { continue };
            let stopped =
                stored.published.as_ref().and_then(|all| all.get(symbol)).is_some_and(Option::is_some);
            comparison.slots += 1;
            comparison.behind_store += u64::from(last_v < v);
            comparison.behind_us_max = comparison.behind_us_max.max(v.saturating_sub(last_v));
            comparison.ahead_of_store += u64::from(stopped && last_v > v);
        }
        comparison.clients_behind += u64::from(comparison.behind_store > before);
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::delivery::Arrival;

    /// Two clients of two symbols, with these last rows; 0 is none.
    fn clients(rows: [[u64; 2]; 2]) -> (Delivery, Vec<Slots>) {
        let mut delivery = Delivery::new(2);
        let slots: Vec<Slots> = rows.iter().map(|_| delivery.add_client(&[0, 1])).collect();
        for (slots, rows) in slots.iter().zip(rows) {
            for (symbol, v) in (0..).zip(rows).filter(|(_, v)| *v > 0) {
                delivery
                    .row(*slots, &Arrival { symbol, v, skipped: 0, update: true, judged: true, now_us: 1 });
            }
        }
        (delivery, slots)
    }

    fn stored(versions: [Option<u64>; 2], published: Option<[Option<u64>; 2]>) -> Stored {
        Stored { versions: versions.into(), published: published.map(Vec::from), error: None }
    }

    fn compared(rows: [[u64; 2]; 2], stored: &Stored) -> Comparison {
        let (delivery, slots) = clients(rows);
        compare(stored, &delivery, slots.into_iter())
    }

    #[test]
    fn clients_that_show_what_is_stored_or_newer_are_right() {
        let live = stored([Some(5), Some(7)], None);
        let same = Comparison { symbols: 2, slots: 4, ..Comparison::default() };
        assert_eq!(compared([[5, 7], [6, 8]], &live), same);
        assert_eq!(same.behind(), Some(0));
    }

    #[test]
    fn an_older_row_and_no_row_are_behind() {
        let found = compared([[5, 0], [4, 7]], &stored([Some(5), Some(7)], None));
        assert_eq!((found.behind_store, found.clients_behind, found.behind_us_max), (2, 2, 7));
        let found = compared([[1, 2], [5, 7]], &stored([Some(5), Some(7)], None));
        assert_eq!((found.behind_store, found.clients_behind), (2, 1));
    }

    #[test]
    fn what_is_not_stored_is_told_and_compared_with_nothing() {
        let found = compared([[5, 0], [5, 0]], &stored([Some(5), None], None));
        assert_eq!((found.symbols, found.not_stored, found.slots, found.behind_store), (1, 1, 2, 0));
        assert_eq!(compared([[5, 5]; 2], &stored([None, None], None)).behind(), None);
    }

    #[test]
    fn after_publishing_has_stopped_all_three_are_the_same() {
        let whole = stored([Some(5), Some(7)], Some([Some(5), Some(7)]));
        assert!(whole.is_complete());
        assert_eq!(compared([[5, 7]; 2], &whole).ahead_of_store, 0);
        let late = stored([Some(5), None], Some([Some(6), Some(7)]));
        assert!(!late.is_complete());
        let found = compared([[6, 7], [5, 7]], &late);
        assert_eq!((found.store_lacks, found.ahead_of_store, found.behind_store), (2, 1, 0));
        // Of symbols that others publish, clients may be ahead.
        assert_eq!(compared([[9, 9]; 2], &stored([Some(5), Some(7)], Some([None, None]))).ahead_of_store, 0);
    }

    #[test]
    fn it_waits_for_the_store_and_then_a_while_for_clients() {
        let (delivery, slots) = clients([[5, 7], [5, 6]]);
        let mut check = StoreCheck::default();
        let now = Instant::now();
        let settled = |check: &StoreCheck, now| check.is_settled(now, &delivery, slots.iter().copied());
        assert!(!settled(&check, now));
        assert_eq!(check.finish(&delivery, slots.iter().copied()).behind(), None);
        check.take(stored([Some(5), Some(7)], None), now);
        assert!(!settled(&check, now + CATCH_UP_MAX));
        assert!(settled(&check, now + CATCH_UP_MAX + Duration::from_millis(1)));
        assert_eq!(check.finish(&delivery, slots.iter().copied()).behind(), Some(1));
    }

    #[test]
    fn a_store_that_cannot_be_read_settles_it_and_holds_no_threshold() {
        let (delivery, slots) = clients([[5, 7]; 2]);
        let mut check = StoreCheck::default();
        check.take(Stored { error: Some("away".to_owned()), ..Stored::default() }, Instant::now());
        assert!(check.is_settled(Instant::now(), &delivery, slots.iter().copied()));
        let found = check.finish(&delivery, slots.iter().copied());
        assert_eq!((found.behind(), found.error.as_deref()), (None, Some("away")));
    }
}
