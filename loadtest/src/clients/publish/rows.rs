//! Made-up rows that look like real ones: a price that walks a few cents around its start, bid and ask beside it, about
//! 134 bytes. The same for the same seed. Integers of a hundredth only: a price is never a float.

use bytes::Bytes;
use tickwire_common::decimal::Decimal;
use tickwire_common::row::Row;

/// Prices begin between these, hundredths.
const PRICE_MIN: i64 = 1_000_000;
const PRICE_MAX: i64 = 9_900_000;

/// Longest step of a price between two rows, hundredths.
const STEP_MAX: i64 = 25;

/// Where one symbol stands.
#[derive(Debug, Clone, Copy)]
struct Quote {
    /// 24 h ago, hundredths.
    open: i64,
    price: i64,
    /// Thousandths.
    volume: i64,
}

/// The prices of all made-up symbols.
#[derive(Debug)]
pub(crate) struct Rows {
    quotes: Vec<Quote>,
    random: fastrand::Rng,
    scratch: Vec<u8>,
}

impl Rows {
    /// For `symbols` symbols.
    pub(crate) fn new(symbols: u32, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut quote = || {
            let open = random.i64(PRICE_MIN..PRICE_MAX);
            Quote { open, price: open, volume: random.i64(1_000_000..99_000_000) }
        };
        let quotes = (0..symbols).map(|_| quote()).collect();
        Self { quotes, random, scratch: Vec::new() }
    }

    /// The next row of a symbol, with this version, which is also its time in Unix µs.
    pub(crate) fn next(&mut self, symbol: u32, v: u64) -> Bytes {
        let Some(quote) = self.quotes.get_mut(symbol as usize) else { return Bytes::new() };
        quote.price =
            (quote.price + self.random.i64(-STEP_MAX..=STEP_MAX)).clamp(PRICE_MIN / 2, PRICE_MAX * 2);
        quote.volume += self.random.i64(1..500);
        let percent = (quote.price - quote.open) * 1_000_000 / quote.open;
        let row = Row {
            v,
            price: decimal(quote.price, 2),
            bid: decimal(quote.price - 1, 2),
            ask: decimal(quote.price + 1, 2),
            percent_change: decimal(percent, 4),
            volume: decimal(quote.volume, 3),
            ts: Some(v / 1_000),
            ..Row::default()
        };
        self.scratch.clear();
        row.encode(&mut self.scratch);
        Bytes::copy_from_slice(&self.scratch)
    }
}

/// `units` of `10^-scale`; absent if it had too many digits, which these never have.
fn decimal(units: i64, scale: i32) -> Option<Decimal> {
    Decimal::parse(itoa::Buffer::new().format(units).as_bytes()).ok()?.shift(-scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_common::row::check;

    #[test]
    fn rows_are_whole_and_of_the_usual_size() {
        let mut rows = Rows::new(3, 7);
        for k in 0..1_000 {
            let v = 1_763_627_520_123_456 + k;
            let row = rows.next(1, v);
            assert_eq!(check(&row), Ok(v));
            let text = std::str::from_utf8(&row).unwrap();
            assert!((110..=150).contains(&text.len()), "{text}");
            for key in ["price", "bid", "ask", "percent_change", "volume", "ts"] {
                assert!(text.contains(&format!("\"{key}\":")), "{text}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        let (mut one, mut other) = (Rows::new(2, 1), Rows::new(2, 1));
        assert!((1..50).all(|v| one.next(v as u32 % 2, v) == other.next(v as u32 % 2, v)));
        assert_ne!(Rows::new(1, 1).next(0, 1), Rows::new(1, 2).next(0, 1));
        assert!(one.next(9, 1).is_empty(), "there is no such symbol");
    }
}
