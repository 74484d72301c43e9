//! Which row of which symbol is due when: an open loop, which waits for nobody. Row `k` of all rows is due `k / rate`
//! seconds after the begin and is of symbol `k % symbols`, so every symbol moves at an even pace. No clock.
//!
//! A row carries the time it was due, not the time it was sent: if publisher, NATS or server stall, the rows that
//! should have come meanwhile come later and look as late as they are ("coordinated omission" is what hides them).

/// Most rows a second: the version of a row is its microsecond, and no two rows share one.
pub(crate) const RATE_MAX: u64 = 1_000_000;

const SECOND_US: u64 = 1_000_000;

/// The pace of all symbols together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    rate: u64,
    symbols: u64,
}

/// One row that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Counted from 0.
    pub(crate) symbol: u32,
    /// Since the begin.
    pub(crate) at_us: u64,
}

impl Schedule {
    /// `rate` rows a second in all, held between 1 and [`RATE_MAX`]; at least one symbol.
    pub(crate) fn new(rate: u64, symbols: u32) -> Self {
        Self { rate: rate.clamp(1, RATE_MAX), symbols: u64::from(symbols.max(1)) }
    }

    /// Row `k`, counted from 1: at 0 every symbol has its first row, which is no tick.
    pub(crate) fn row(&self, k: u64) -> Due {
        let symbol = u32::try_from((k - k.min(1)) % self.symbols).unwrap_or(u32::MAX);
        let (seconds, rest) = (k / self.rate, k % self.rate);
        Due { symbol, at_us: seconds.saturating_mul(SECOND_US).saturating_add(rest * SECOND_US / self.rate) }
    }

    /// How many rows of one symbol are due after `above_us` and by `through_us`.
    pub(crate) fn count(&self, symbol: u32, above_us: u64, through_us: u64) -> u64 {
        // Row k is of symbol (k - 1) % symbols.
        let rows = |us| (self.due_by(us) + self.symbols - 1 - u64::from(symbol)) / self.symbols;
        rows(through_us).saturating_sub(rows(above_us))
    }

    /// How many rows are due by `us` after the begin: the last one's number.
    pub(crate) fn due_by(&self, us: u64) -> u64 {
        // Row k is due at floor(k * SECOND_US / rate), so by `us` when k * SECOND_US < (us + 1) * rate.
        let (seconds, rest) = (us / SECOND_US, us % SECOND_US);
        let inside = ((rest + 1) * self.rate).div_ceil(SECOND_US) - 1;
        seconds.saturating_mul(self.rate).saturating_add(inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn five_rows_a_second_of_two_symbols() {
        let schedule = Schedule::new(5, 2);
        let rows: Vec<(u32, u64)> =
            (1..=6).map(|k| schedule.row(k)).map(|due| (due.symbol, due.at_us)).collect();
        assert_eq!(
            rows,
            [(0, 200_000), (1, 400_000), (0, 600_000), (1, 800_000), (0, 1_000_000), (1, 1_200_000)]
        );
        assert_eq!([0, 199_999, 200_000, 1_000_000].map(|us| schedule.due_by(us)), [0, 0, 1, 5]);
    }

    proptest! {
        #[test]
        fn no_two_rows_share_a_microsecond(rate in 1..=RATE_MAX, symbols in 1..2_000u32, k in 1..1_000_000_000_000u64) {
            let schedule = Schedule::new(rate, symbols);
            prop_assert!(schedule.row(k + 1).at_us > schedule.row(k).at_us);
        }

        #[test]
        fn every_symbol_is_as_fast_as_the_others(rate in 1..=RATE_MAX, symbols in 1..50u32, from in 1..1_000_000u64) {
            let schedule = Schedule::new(rate, symbols);
            let mut counts = HashMap::new();
            for k in from..from + 3 * u64::from(symbols) {
                *counts.entry(schedule.row(k).symbol).or_insert(0) += 1;
            }
            prop_assert!(counts.len() == symbols as usize && counts.values().all(|count| *count == 3));
        }

        #[test]
        fn what_is_due_is_counted_to_the_row(rate in 1..=RATE_MAX, us in 0..10_000_000_000u64) {
            let schedule = Schedule::new(rate, 1);
            let last = schedule.due_by(us);
            prop_assert!(last == 0 || schedule.row(last).at_us <= us);
            prop_assert!(schedule.row(last + 1).at_us > us);
        }

        #[test]
        fn rows_of_a_symbol_are_counted(rate in 1..2_000u64, symbols in 1..9u32, above in 0..3_000_000u64, more in 0..3_000_000u64) {
            let schedule = Schedule::new(rate, symbols);
            let through = above + more;
            let rows = (1..).map(|k| schedule.row(k)).take_while(|due| due.at_us <= through);
            let rows: Vec<Due> = rows.filter(|due| due.at_us > above).collect();
            for symbol in 0..symbols {
                let expected = rows.iter().filter(|due| due.symbol == symbol).count() as u64;
                prop_assert_eq!(schedule.count(symbol, above, through), expected);
            }
        }

        #[test]
        fn a_second_holds_as_many_rows_as_the_rate_says(rate in 1..=RATE_MAX, second in 0..100_000u64) {
            let schedule = Schedule::new(rate, 1);
            let rows = schedule.due_by((second + 1) * SECOND_US - 1) - schedule.due_by(second * SECOND_US - u64::from(second > 0));
            // The row at 0 is nobody's tick.
            prop_assert_eq!(rows, if second == 0 { rate - 1 } else { rate });
        }
    }
}
