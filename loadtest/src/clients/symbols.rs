//! Which symbols there are: named, listed by the server, or in a file.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail, ensure};
use tickwire_common::symbol::{Symbol, Topic};

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
    /// The names, each once, in the order given; `listed` asks the server for its own.
    ///
    /// # Errors
    /// A sentence if there is none, one is not a name, or the source cannot be read.
    pub(crate) fn names(
        &self,
        listed: impl FnOnce() -> anyhow::Result<Vec<String>>,
    ) -> anyhow::Result<Vec<String>> {
        match self {
            Self::All => {
                let listed = listed()?;
                ensure!(
                    !listed.is_empty(),
                    "this server lists no symbol yet; name them, or give --symbols @FILE"
                );
                checked(listed.iter().map(String::as_str))
            }
            Self::Named(list) => checked(split(list)),
            Self::File(path) => {
                let text = fs::read_to_string(path).with_context(|| format!("@{}", path.display()))?;
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
            Symbol::new(name).with_context(|| format!("{name:?}"))?;
        }
        if known.insert(name) {
            list.push(name.to_owned());
        }
    }
    if list.is_empty() {
        bail!("no symbol there; name at least one, like binance:BTC/USDT");
    }
    Ok(list)
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
}
