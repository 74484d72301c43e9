//! What a simulated venue lists: names people know first, then made-up ones, or the symbols of a recording.

use std::collections::HashMap;

use super::digits::read_fixed;

/// One line of a venue's built-in list.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    /// Base asset, as the venue writes it.
    pub base: &'static str,
    /// Quote asset.
    pub quote: &'static str,
    /// Price at which the walk begins, in digits; their number is the venue's price precision.
    pub price: &'static str,
    /// Digits after the point of a quantity.
    pub quantity_digits: u8,
    /// False for a symbol that is listed but does not trade.
    pub trading: bool,
}

impl Listing {
    /// A trading pair.
    pub const fn new(
        base: &'static str,
        quote: &'static str,
        price: &'static str,
        quantity_digits: u8,
    ) -> Self {
        Self { base, quote, price, quantity_digits, trading: true }
    }

    /// The same pair, halted: in the catalogue, never on a stream.
    pub const fn halted(mut self) -> Self {
        self.trading = false;
        self
    }
}

/// One instrument of a simulated venue. Prices are whole ticks of `10^-price_digits` quote units.
#[derive(Clone, Debug)]
pub struct Instrument {
    /// The venue's own key: `BTCUSDT`, `BTC-USDT`.
    pub symbol: String,
    /// Base asset.
    pub base: String,
    /// Quote asset.
    pub quote: String,
    /// Digits after the point of a price.
    pub price_digits: u8,
    /// Digits after the point of a quantity.
    pub quantity_digits: u8,
    /// First price, in ticks.
    pub open: u64,
    /// False for a listed symbol without trading.
    pub trading: bool,
}

impl Instrument {
    /// The name that all venues share: `BTC/USDT`.
    pub fn pair(&self) -> String {
        format!("{}/{}", self.base, self.quote)
    }
}

/// The instruments of one venue, in listing order.
#[derive(Debug, Default)]
pub struct Catalogue {
    instruments: Vec<Instrument>,
    by_symbol: HashMap<String, usize>,
}

/// Digits given to a symbol of which only the name is known.
const RECORDED_DIGITS: u8 = 8;

impl Catalogue {
    /// The first `count` instruments: `listed` ones, then `SIM0001`, `SIM0002`, ... against USDT. `spell` joins base and
    /// quote the venue's way.
    pub fn synthetic(listed: &[Listing], count: usize, spell: fn(&str, &str) -> String) -> Self {
        let known = listed.iter().filter_map(|listing| {
            let (open, price_digits) = read_fixed(listing.price)?;
            Some(Instrument {
                symbol: spell(listing.base, listing.quote),
                base: listing.base.to_owned(),
                quote: listing.quote.to_owned(),
                price_digits,
                quantity_digits: listing.quantity_digits,
                open,
                trading: listing.trading,
            })
        });
        let made_up = (1..).map(|n| made_up(n, spell));
        known.chain(made_up).take(count).collect()
    }

    /// A catalogue made of the names in a recording; `split` finds base and quote in a venue key.
    pub fn recorded(symbols: impl IntoIterator<Item = String>, split: fn(&str) -> (String, String)) -> Self {
        symbols
            .into_iter()
            .map(|symbol| {
                let (base, quote) = split(&symbol);
                let (price_digits, quantity_digits) = (RECORDED_DIGITS, RECORDED_DIGITS);
                Instrument { symbol, base, quote, price_digits, quantity_digits, open: 0, trading: true }
            })
            .collect()
    }

    /// All instruments, in listing order.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Position of a venue key.
    pub fn position(&self, symbol: &str) -> Option<usize> {
        self.by_symbol.get(symbol).copied()
    }

    /// Position of a name in either form: the venue's key, or `BTC/USDT`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.position(name).or_else(|| self.instruments.iter().position(|one| one.pair() == name))
    }

    /// Instrument of a venue key.
    #[cfg(test)]
    pub fn get(&self, symbol: &str) -> Option<&Instrument> {
        self.instruments.get(self.position(symbol)?)
    }
}

impl FromIterator<Instrument> for Catalogue {
    fn from_iter<I: IntoIterator<Item = Instrument>>(instruments: I) -> Self {
        let instruments: Vec<Instrument> = instruments.into_iter().collect();
        let by_symbol = instruments.iter().enumerate().map(|(i, one)| (one.symbol.clone(), i)).collect();
        Self { instruments, by_symbol }
    }
}

/// The `n`th made-up pair: prices of one to seven digits, so that every precision occurs.
fn made_up(n: u32, spell: fn(&str, &str) -> String) -> Instrument {
    let mut rng = fastrand::Rng::with_seed(u64::from(n));
    let base = format!("SIM{n:04}");
    Instrument {
        symbol: spell(&base, "USDT"),
        base,
        quote: "USDT".to_owned(),
        price_digits: rng.u8(1..=6),
        quantity_digits: rng.u8(0..=5),
        open: rng.u64(1_000..5_000_000),
        trading: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &[Listing] =
        &[Listing::new("BTC", "USDT", "64231.57", 5), Listing::new("OLD", "USDT", "1.5", 2).halted()];

    #[test]
    fn known_names_come_first_and_the_count_is_kept() {
        let catalogue = Catalogue::synthetic(LISTED, 4, |base, quote| format!("{base}-{quote}"));
        let symbols: Vec<&str> = catalogue.instruments().iter().map(|one| one.symbol.as_str()).collect();
        assert_eq!(symbols, ["BTC-USDT", "OLD-USDT", "SIM0001-USDT", "SIM0002-USDT"]);
        let bitcoin = catalogue.get("BTC-USDT").unwrap();
        assert_eq!((bitcoin.open, bitcoin.price_digits), (6_423_157, 2));
        assert!(!catalogue.get("OLD-USDT").unwrap().trading);
        assert_eq!((catalogue.find("OLD/USDT"), catalogue.find("OLD-USDT")), (Some(1), Some(1)));
        assert_eq!(Catalogue::synthetic(LISTED, 1, |b, q| format!("{b}{q}")).instruments().len(), 1);
    }
}
