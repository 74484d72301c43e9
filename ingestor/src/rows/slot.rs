//! One symbol: its row, and how far each group of its fields has come.

use tickwire_common::row::{Row, next_version, read_v};

use super::group::{Group, Verdict};
use crate::venue::contract::{Orders, Update};
use crate::venue::scan::{Malformed, members};

#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    pub(super) row: Row,
    price: Group,
    quote: Group,
    stats: Group,
}

impl Slot {
    /// Takes what is news of an update. False if nothing is.
    #[inline]
    pub(super) fn apply(&mut self, update: &Update, now_us: u64, restarts: &mut u64) -> bool {
        let Orders { price, quote, stats } = update.orders;
        let verdicts = [
            self.price.judge(price, now_us, restarts),
            self.quote.judge(quote, now_us, restarts),
            self.stats.judge(stats, now_us, restarts),
        ];
        // Weak groups have no order of their own: they go with a group that has one.
        let is_news = verdicts.contains(&Verdict::News)
            || verdicts.contains(&Verdict::Weak) && !verdicts.contains(&Verdict::Old);
        if is_news {
            self.take(
                &update.fields,
                verdicts.map(|verdict| matches!(verdict, Verdict::News | Verdict::Weak)),
            );
            self.row.v = next_version(self.row.v, now_us);
        }
        is_news
    }

    /// Takes the groups `[price, quote, stats]` of `fields`. What they do not speak of stays as it was.
    #[inline]
    fn take(&mut self, fields: &Row, [price, quote, stats]: [bool; 3]) {
        let row = &mut self.row;
        if price {
            set(&mut row.price, &fields.price);
        }
        if quote {
            set(&mut row.bid, &fields.bid);
            set(&mut row.ask, &fields.ask);
        }
        if stats {
            set(&mut row.change, &fields.change);
            set(&mut row.percent_change, &fields.percent_change);
            set(&mut row.volume, &fields.volume);
            set(&mut row.high, &fields.high);
            set(&mut row.low, &fields.low);
        }
        // An absent time is below any other.
        row.ts = row.ts.max(fields.ts);
    }

    pub(super) fn orders(&self) -> Orders {
        Orders { price: self.price.order, quote: self.quote.order, stats: self.stats.order }
    }

    pub(super) fn forget_orders(&mut self) {
        (self.price, self.quote, self.stats) = Default::default();
    }

    pub(super) fn go_on_from(&mut self, payload: &[u8]) {
        let v = read_v(payload).unwrap_or_default();
        if v > self.row.v {
            self.take(&read(payload).unwrap_or_default(), [true; 3]);
            self.row.v = v;
        }
    }

    pub(super) fn import(&mut self, row: &[u8], orders: Orders) {
        let newer =
            [self.price.reach(orders.price), self.quote.reach(orders.quote), self.stats.reach(orders.stats)];
        self.take(&read(row).unwrap_or_default(), newer);
        self.row.v = self.row.v.max(read_v(row).unwrap_or_default());
    }
}

/// Reads a row's fields, all but its version.
fn read(payload: &[u8]) -> Result<Row, Malformed> {
    let mut row = Row::default();
    members(payload, |key, value| {
        match key {
            b"price" => row.price = value.decimal()?,
            b"bid" => row.bid = value.decimal()?,
            b"ask" => row.ask = value.decimal()?,
            b"change" => row.change = value.decimal()?,
            b"percent_change" => row.percent_change = value.decimal()?,
            b"volume" => row.volume = value.decimal()?,
            b"high" => row.high = value.decimal()?,
            b"low" => row.low = value.decimal()?,
            b"ts" => row.ts = u64::try_from(value.integer()?).ok(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(row)
}

#[inline]
fn set<T: Copy>(field: &mut Option<T>, news: &Option<T>) {
    if news.is_some() {
        *field = *news;
    }
}
