//! What was meant by a name that a venue does not know: the same letters and digits in another case or with other marks
//! between them, as names are written elsewhere (`btc-usdt`, `BTC_USDT`, `BTC:USDT`).

use std::collections::HashMap;

use tickwire_common::symbol::Symbol;

use crate::venue::contract::Instrument;

/// Instruments by the letters and digits of their names.
pub(super) struct Hints<'a> {
    by_letters: HashMap<String, &'a Symbol>,
}

impl<'a> Hints<'a> {
    pub(super) fn of(instruments: &'a [Instrument]) -> Self {
        let names = |one: &'a Instrument| {
            [(letters(&one.key), &one.symbol), (letters(one.symbol.as_str()), &one.symbol)]
        };
        Self { by_letters: instruments.iter().flat_map(names).collect() }
    }

    pub(super) fn of_name(&self, name: &str) -> Option<Symbol> {
        self.by_letters.get(&letters(name)).map(|symbol| (*symbol).clone())
    }
}

fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::testing::usdt;

    #[test]
    fn other_spellings_are_recognised() {
        let instruments = [usdt("BTC"), usdt("ETH")];
        let hints = Hints::of(&instruments);
        for name in ["btc/usdt", "BTCusdt", "BTC-USDT", "BTC_USDT", " BTC:USDT"] {
            assert_eq!(hints.of_name(name).as_ref().map(Symbol::as_str), Some("BTC/USDT"), "{name}");
        }
        for name in ["", "BTC", "BTC/USD", "USDT/BTC"] {
            assert_eq!(hints.of_name(name), None, "{name}");
        }
    }
}
