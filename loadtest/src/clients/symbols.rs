//! Which symbols there are, and which of them each client takes.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail, ensure};
use tickwire_common::symbol::{Symbol, Topic};

use super::target::Target;

/// What `--symbols` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SymbolSource {
    /// Whatever the server lists.
    All,
    /// One a line or with commas between; `#` begins a comment.
    File(PathBuf),
    /// Named on the command line.
    Named(String),
}

impl FromStr for SymbolSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match (text, text.strip_prefix('@')) {
            ("all", _) => Self::All,
            (_, Some(path)) => Self::File(path.into()),
            _ => Self::Named(text.to_owned()),
        })
    }
}

impl SymbolSource {
    /// The names, each once, in the order given.
    ///
    /// # Errors
    /// A sentence if there is none, one is not a name, or the source cannot be read.
    pub(crate) fn names(&self, target: &Target, address: SocketAddr) -> anyhow::Result<Vec<String>> {
        match self {
            Self::All => {
                let listed = target.fetch_symbols(address)?;
                ensure!(
                    !listed.is_empty(),
                    "this server lists no symbol yet; name them, or give --symbols @FILE"
                );
                checked(listed.iter().map(String::as_str))
            }
            Self::Named(list) => checked(split(list)),
            Self::File(path) => {
                let text =
                    fs::read_to_string(path).with_context(|| format!("--symbols @{}", path.display()))?;
                checked(split(&text))
            }
        }
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|name| !name.is_empty())
}

fn checked<'a>(names: impl Iterator<Item = &'a str>) -> anyhow::Result<Vec<String>> {
    let mut known = HashSet::new();
    let mut list = Vec::new();
    for name in names {
        if name.parse::<Topic>().is_err() {
            Symbol::new(name).with_context(|| format!("--symbols: {name:?}"))?;
        }
        if known.insert(name) {
            list.push(name.to_owned());
        }
    }
    if list.is_empty() {
        bail!("--symbols: no symbol there; name at least one, like binance:BTC/USDT");
    }
    Ok(list)
}

/// Deals symbols to clients: each gets `per_client` different ones, every symbol as likely as the others; the same for
/// the same seed.
#[derive(Debug)]
pub(crate) struct Dealer {
    deck: Vec<u32>,
    per_client: usize,
    random: fastrand::Rng,
}

impl Dealer {
    /// For `symbols` symbols.
    pub(crate) fn new(symbols: usize, per_client: usize, seed: u64) -> Self {
        let deck = (0..u32::try_from(symbols).unwrap_or(u32::MAX)).collect();
        Self { deck, per_client: per_client.min(symbols), random: fastrand::Rng::with_seed(seed) }
    }

    /// The next client's symbols, ascending.
    pub(crate) fn deal(&mut self) -> Vec<u32> {
        for at in 0..self.per_client {
            let other = self.random.usize(at..self.deck.len());
            self.deck.swap(at, other);
        }
        let mut hand: Vec<u32> = self.deck.iter().take(self.per_client).copied().collect();
        hand.sort_unstable();
        hand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cleaned_and_checked() {
        let names = |text: &str| checked(split(text)).map_err(|error| format!("{error:#}"));
        let file = "# spot\nbinance:BTC/USDT, kucoin:BTC/USDT\n\nAAPL # a share\nAAPL\n";
        assert_eq!(names(file).unwrap(), ["binance:BTC/USDT", "kucoin:BTC/USDT", "AAPL"]);
        assert!(names(" , \n# none").unwrap_err().contains("at least one"));
        assert!(names("A\"B").unwrap_err().contains("A\\\"B"));
    }

    #[test]
    fn sources_by_their_first_letter() {
        let source = |text: &str| text.parse::<SymbolSource>().unwrap();
        assert_eq!(source("all"), SymbolSource::All);
        assert_eq!(source("@x.txt"), SymbolSource::File("x.txt".into()));
        assert_eq!(source("A,B"), SymbolSource::Named("A,B".to_owned()));
    }

    #[test]
    fn hands_hold_different_symbols_and_all_symbols_are_dealt() {
        let mut dealer = Dealer::new(50, 7, 3);
        let hands: Vec<Vec<u32>> = (0..200).map(|_| dealer.deal()).collect();
        for hand in &hands {
            assert!(hand.len() == 7 && hand.windows(2).all(|pair| pair[0] < pair[1]), "{hand:?}");
        }
        let dealt: HashSet<u32> = hands.iter().flatten().copied().collect();
        assert_eq!(dealt.len(), 50);
        let mut again = Dealer::new(50, 7, 3);
        assert!(hands.iter().all(|hand| *hand == again.deal()), "the same seed deals the same hands");
        assert_eq!(Dealer::new(3, 9, 1).deal(), [0, 1, 2]);
    }
}
