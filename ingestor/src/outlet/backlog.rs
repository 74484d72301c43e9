//! Updates that wait for their shard to be ours: in order, and bounded. When it is full, the oldest are merged into one
//! update a symbol: the owner has published them one by one long since, and if it has not, their sum goes out.

use std::collections::{BTreeMap, VecDeque};

use crate::venue::contract::{Orders, Update};

/// What one shard did before it was ours.
#[derive(Debug)]
pub(super) struct Backlog {
    max: usize,
    queue: VecDeque<Update>,
    /// What the queue had no room for: older than all that is in it. At most one a symbol.
    merged: BTreeMap<u32, Update>,
}

impl Backlog {
    /// Room for `max` updates one by one.
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), queue: VecDeque::new(), merged: BTreeMap::new() }
    }

    /// Takes the newest update. Whether an older one had to be merged away for it.
    pub(super) fn push(&mut self, update: Update) -> bool {
        let oldest = if self.queue.len() >= self.max { self.queue.pop_front() } else { None };
        self.queue.push_back(update);
        let full = oldest.is_some();
        if let Some(oldest) = oldest {
            match self.merged.get_mut(&oldest.symbol) {
                Some(merged) => merge(merged, &oldest),
                None => drop(self.merged.insert(oldest.symbol, oldest)),
            }
        }
        full
    }

    /// Takes the oldest update out.
    pub(super) fn pop(&mut self) -> Option<Update> {
        self.merged.pop_first().map(|(_, update)| update).or_else(|| self.queue.pop_front())
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.merged.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.merged.is_empty()
    }
}

/// Merges a later update into an earlier one by the rule of the board: a group whose place is not above the known one
/// says nothing new. The venues tell each group whole.
fn merge(known: &mut Update, later: &Update) {
    let (orders, row, news) = (&mut known.orders, &mut known.fields, &later.fields);
    if moves(&mut orders.price, later.orders.price) {
        row.price = news.price.or(row.price);
    }
    if moves(&mut orders.quote, later.orders.quote) {
        row.bid = news.bid.or(row.bid);
        row.ask = news.ask.or(row.ask);
    }
    if moves(&mut orders.stats, later.orders.stats) {
        row.change = news.change.or(row.change);
        row.percent_change = news.percent_change.or(row.percent_change);
        row.volume = news.volume.or(row.volume);
        row.high = news.high.or(row.high);
        row.low = news.low.or(row.low);
    }
    row.ts = row.ts.max(news.ts);
}

fn moves(known: &mut i64, later: i64) -> bool {
    let news = later > *known || (later == Orders::WEAK && *known == Orders::WEAK);
    *known = later.max(*known);
    news
}

#[cfg(test)]
mod tests {
    use tickwire_common::row::Row;

    use super::*;

    fn price(symbol: u32, price: &str, order: i64, ts: u64) -> Update {
        let fields = Row { price: price.parse().ok(), ts: Some(ts), ..Row::default() };
        Update { symbol, fields, orders: Orders { price: order, ..Orders::NONE } }
    }

    fn quote(symbol: u32, bid: &str, order: i64) -> Update {
        let fields = Row { bid: bid.parse().ok(), ..Row::default() };
        Update { symbol, fields, orders: Orders { quote: order, ..Orders::NONE } }
    }

    #[test]
    fn updates_come_out_in_the_order_they_came_in() {
        let mut backlog = Backlog::new(3);
        let all = [price(1, "1", 5, 1), quote(0, "2", 9), price(1, "3", 6, 2)];
        assert!(all.iter().all(|update| !backlog.push(update.clone())));
        assert_eq!(backlog.len(), 3);
        assert_eq!(std::iter::from_fn(|| backlog.pop()).collect::<Vec<_>>(), all);
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_full_backlog_merges_the_oldest_by_symbol_and_comes_out_before_the_rest() {
        let mut backlog = Backlog::new(1);
        for update in [
            price(1, "1", 5, 9),
            quote(1, "2", 4),
            price(1, "3", 6, 8),
            price(1, "4", 6, 1),
            price(0, "5", 1, 1),
        ] {
            backlog.push(update);
        }
        let fields = Row { price: "3".parse().ok(), bid: "2".parse().ok(), ts: Some(9), ..Row::default() };
        let orders = Orders { price: 6, quote: 4, ..Orders::NONE };
        assert_eq!(backlog.len(), 2);
        assert_eq!(backlog.pop(), Some(Update { symbol: 1, fields, orders }));
        assert_eq!(backlog.pop(), Some(price(0, "5", 1, 1)));
    }

    #[test]
    fn a_weak_word_holds_until_a_better_one() {
        let mut backlog = Backlog::new(1);
        for (text, order) in [("1", 0), ("2", 0), ("3", 7), ("4", 0), ("9", 9)] {
            backlog.push(price(0, text, order, 1));
        }
        assert_eq!(backlog.pop(), Some(price(0, "3", 7, 1)));
    }
}
