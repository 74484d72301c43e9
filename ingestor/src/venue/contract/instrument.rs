//! What a venue's REST interface says of the things it trades.

use tickwire_common::decimal::Decimal;
use tickwire_common::symbol::Symbol;

/// One thing that a venue trades, as its REST discovery describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Canonical symbol, like `BTC/USDT`.
    pub symbol: Symbol,
    /// The venue's own key, like `BTCUSDT`; also a name that clients may use.
    pub key: String,
    /// What one unit is of, like `BTC`.
    pub base: String,
    /// What it is paid in, like `USDT`.
    pub quote: String,
    /// What kind of market it is.
    pub kind: Kind,
    /// Smallest step of a price, in quote units.
    pub price_step: Option<Decimal>,
}

impl Instrument {
    /// A pair that changes hands at once. `None` if the names make no symbol.
    pub fn spot(base: &str, quote: &str, key: &str, price_step: Option<Decimal>) -> Option<Self> {
        let symbol = Symbol::pair(base, quote).ok()?;
        let (base, quote, key) = (base.to_owned(), quote.to_owned(), key.to_owned());
        Some(Self { symbol, key, base, quote, kind: Kind::Spot, price_step })
    }
}

/// Kinds of markets; the words are those of ccxt's `market.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `spot`: changes hands at once.
    Spot,
    /// `swap`: a future without an end, a perpetual.
    Perpetual,
    /// `future`: a future with an end.
    Dated,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Spot, Self::Perpetual, Self::Dated];

    /// ccxt's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Perpetual => "swap",
            Self::Dated => "future",
        }
    }
}

/// What was traded of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turnover {
    /// The venue's own key, as in [`Instrument::key`].
    pub key: String,
    /// Volume of the last 24 h, in quote units.
    pub quote_volume: Decimal,
}

impl Turnover {
    /// Reads a volume; where it has more digits than a [`Decimal`] holds, its whole units are enough to rank it.
    pub fn read(key: String, quote_volume: &str) -> Option<Self> {
        let whole = || quote_volume.split_once('.').map_or(quote_volume, |(whole, _)| whole);
        let read = Decimal::parse(quote_volume.as_bytes()).or_else(|_| Decimal::parse(whole().as_bytes()));
        Some(Self { key, quote_volume: read.ok()? })
    }
}
