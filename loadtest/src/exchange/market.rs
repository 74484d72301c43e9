//! The made-up market: one seeded walk an instrument, all in whole ticks and lots.
//!
//! The n-th move of an instrument depends on the seed, the instrument and n, on nothing else: two runs with one seed
//! show the same prices and ids in the same order. Statistics run from the start of the process, not over a sliding day.
//! A numbered market shows n itself, so that whoever reads prices knows which moves it has seen.

use super::catalogue::{Catalogue, Instrument};

/// What one move changed. Moves alternate: the book, a trade, the book, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Best bid or ask.
    Book,
    /// A trade at the best bid or ask; the book stays.
    Trade,
}

/// How prices move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// A random walk, held near its first price.
    #[default]
    Walk,
    /// The n-th move sets the bid (a move of the book) or the last price (a trade) to n ticks above the first price.
    Numbered,
}

/// State of one instrument. Prices in ticks, quantities in lots of the instrument's digits.
#[derive(Clone, Debug)]
pub struct Quote {
    /// Best bid, in ticks.
    pub bid: u64,
    /// Quantity at the bid, in lots.
    pub bid_size: u64,
    /// Best ask, in ticks; above the bid.
    pub ask: u64,
    /// Quantity at the ask, in lots.
    pub ask_size: u64,
    /// Price of the last trade, in ticks.
    pub last: u64,
    /// Quantity of the last trade, in lots.
    pub last_size: u64,
    /// True when the last trade hit the bid.
    pub buyer_is_maker: bool,
    /// Order book id: grows with every move, by more than one at times.
    pub book_id: u64,
    /// Trade id: grows by exactly one.
    pub trade_id: u64,
    /// First trade id of the statistics.
    pub first_trade_id: u64,
    /// First price of the statistics, in ticks.
    pub open: u64,
    /// Highest trade, in ticks.
    pub high: u64,
    /// Lowest trade, in ticks.
    pub low: u64,
    /// Traded quantity, in lots.
    pub volume: u64,
    /// Traded value, in ticks times lots.
    pub turnover: u128,
    /// Moves made.
    pub moves: u64,
    path: Path,
    rng: fastrand::Rng,
}

/// All walks of one venue.
#[derive(Debug)]
pub struct Market {
    quotes: Vec<Quote>,
}

impl Market {
    /// One walk for each instrument; `seed` and the position decide all of it.
    pub fn new(catalogue: &Catalogue, seed: u64, path: Path) -> Self {
        let all = catalogue.instruments().iter().zip(0u64..);
        Self { quotes: all.map(|(one, i)| Quote::new(one, seed, i, path)).collect() }
    }

    /// State of the instrument at `position`.
    pub fn quote(&self, position: usize) -> Option<&Quote> {
        self.quotes.get(position)
    }

    /// Makes the next move of the instrument at `position`.
    pub fn step(&mut self, position: usize) -> Option<(Move, &Quote)> {
        let quote = self.quotes.get_mut(position)?;
        let kind = quote.step();
        Some((kind, quote))
    }
}

/// Largest quantity of one order, in lots.
const MAX_LOTS: u64 = 500_000;
/// The walk turns back at this many times, or this part of, its first price.
const LEASH: u64 = 2;
/// One move changes the price by at most this part of it.
const STRIDE: u64 = 20_000;

impl Quote {
    fn new(instrument: &Instrument, seed: u64, position: u64, path: Path) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ position.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let open = instrument.open.max(10);
        let trade_id = rng.u64(1_000_000..4_000_000_000);
        let volume = rng.u64(1_000_000..1_000_000_000);
        Self {
            bid: open,
            bid_size: rng.u64(1..MAX_LOTS),
            ask: open + 1,
            ask_size: rng.u64(1..MAX_LOTS),
            last: open,
            last_size: rng.u64(1..MAX_LOTS),
            buyer_is_maker: true,
            book_id: rng.u64(1_000_000_000..90_000_000_000),
            trade_id,
            first_trade_id: trade_id,
            open,
            high: open,
            low: open,
            volume,
            turnover: u128::from(volume) * u128::from(open),
            moves: 0,
            path,
            rng,
        }
    }

    /// Trades counted by the statistics.
    pub fn trades(&self) -> u64 {
        self.trade_id - self.first_trade_id + 1
    }

    fn step(&mut self) -> Move {
        self.moves += 1;
        self.book_id += self.rng.u64(1..=9);
        if self.moves % 2 == 1 { self.move_book() } else { self.trade() }
    }

    fn move_book(&mut self) -> Move {
        let spread = 1 + self.rng.u64(0..=8) / 6;
        (self.bid, self.ask) = match self.path {
            Path::Walk => {
                let bid = self.next_bid();
                (bid, bid + spread)
            }
            // The trade that follows is one tick above, at this ask.
            Path::Numbered => (self.open + self.moves, self.open + self.moves + 1),
        };
        self.bid_size = self.rng.u64(1..MAX_LOTS);
        self.ask_size = self.rng.u64(1..MAX_LOTS);
        Move::Book
    }

    fn next_bid(&mut self) -> u64 {
        let stride = self.rng.u64(0..=(self.open / STRIDE).max(1));
        let up = if self.bid > self.open.saturating_mul(LEASH) {
            false
        } else if self.bid < self.open / LEASH {
            true
        } else {
            self.rng.bool()
        };
        if up { self.bid + stride } else { self.bid.saturating_sub(stride).max(1) }
    }

    fn trade(&mut self) -> Move {
        self.buyer_is_maker = self.path == Path::Walk && self.rng.bool();
        self.last = if self.buyer_is_maker { self.bid } else { self.ask };
        self.last_size = self.rng.u64(1..MAX_LOTS);
        self.trade_id += 1;
        self.high = self.high.max(self.last);
        self.low = self.low.min(self.last);
        self.volume = self.volume.saturating_add(self.last_size);
        self.turnover = self.turnover.saturating_add(u128::from(self.last) * u128::from(self.last_size));
        Move::Trade
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::catalogue::Listing;

    fn market(seed: u64) -> Market {
        market_of(seed, Path::Walk)
    }

    fn market_of(seed: u64, path: Path) -> Market {
        const LISTED: &[Listing] =
            &[Listing::new("BTC", "USDT", "64231.57", 5), Listing::new("LOW", "BTC", "0.00000010", 0)];
        Market::new(&Catalogue::synthetic(LISTED, 2, |b, q| format!("{b}{q}")), seed, path)
    }

    fn walk(seed: u64, position: usize) -> Vec<(u64, u64, u64)> {
        let mut market = market(seed);
        (0..1_000)
            .map(|_| market.step(position).map(|(_, q)| (q.bid, q.book_id, q.trade_id)).unwrap())
            .collect()
    }

    #[test]
    fn one_seed_one_walk() {
        assert_eq!(walk(7, 0), walk(7, 0));
        assert_ne!(walk(7, 0), walk(8, 0));
        assert_ne!(walk(7, 0), walk(7, 1));
    }

    #[test]
    fn a_numbered_market_shows_the_number_of_every_move() {
        let mut market = market_of(1, Path::Numbered);
        for number in 1..1_000 {
            let (kind, quote) = market.step(0).unwrap();
            let shown = if kind == Move::Book { quote.bid } else { quote.last };
            assert_eq!((shown - quote.open, quote.bid.max(quote.last)), (number, shown));
        }
    }

    #[test]
    fn ids_grow_and_the_book_never_crosses() {
        for (path, position) in [(Path::Walk, 0), (Path::Walk, 1), (Path::Numbered, 0)] {
            let mut market = market_of(1, path);
            let mut before = market.quote(position).unwrap().clone();
            for _ in 0..10_000 {
                let (kind, now) = market.step(position).map(|(kind, quote)| (kind, quote.clone())).unwrap();
                assert!(now.book_id > before.book_id && now.ask > now.bid && now.bid > 0);
                assert_eq!(now.trade_id - before.trade_id, u64::from(kind == Move::Trade));
                assert!(now.low <= now.last && now.last <= now.high);
                before = now;
            }
        }
    }
}
