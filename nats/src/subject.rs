//! Names of everything Tickwire says on NATS. Symbols are encoded so that any text is one legal token; decoding gives
//! the same text back. Rules of tokens: <https://docs.nats.io/nats-concepts/subjects>.

use std::fmt;

use tickwire_common::symbol::{decode_token, encode_token};

const TICK: &str = "md.tick.";
const LAST: &str = "md.last.";
const FEED: &str = "md.feed.";
const WANT: &str = "md.want.";
const FLEET: &str = "md.fleet.";
const BUDGET: &str = "md.budget.";

/// Every tick of every venue.
pub const ALL_TICKS: &str = "md.tick.>";
/// Every last value of every venue: what the stream [`LAST_STREAM`](crate::setup::LAST_STREAM) captures.
pub const ALL_LAST: &str = "md.last.>";
/// The state of every feed.
pub const ALL_FEEDS: &str = "md.feed.>";
/// The demand for symbols of every venue.
pub const ALL_WANTS: &str = "md.want.*";

/// A subject or a wildcard, made once and cloned for nothing (shared bytes).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject(pub(crate) async_nats::Subject);

impl Subject {
    /// The subject's text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<&str> for Subject {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Subject {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl AsRef<str> for Subject {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Every tick of one symbol: `md.tick.<venue>.<symbol>`.
pub fn tick(venue: &str, symbol: &str) -> Subject {
    join(TICK, venue, symbol)
}

/// The newest tick of one symbol, conflated: `md.last.<venue>.<symbol>`.
pub fn last(venue: &str, symbol: &str) -> Subject {
    join(LAST, venue, symbol)
}

/// The state of one shard of a venue's feed: `md.feed.<venue>.<shard>`.
pub fn feed(venue: &str, shard: &str) -> Subject {
    join(FEED, venue, shard)
}

/// Symbols that edges ask a venue's ingestors for: `md.want.<venue>`.
pub fn want(venue: &str) -> Subject {
    format!("{WANT}{}", encode_token(venue)).into()
}

/// Questions to one process of the fleet: `md.fleet.<member>`.
pub fn fleet(member: &str) -> Subject {
    format!("{FLEET}{}", encode_token(member)).into()
}

/// Tokens of a budget that were given to an address: `md.budget.<budget>.<address>`.
pub fn budget(budget: &str, address: &str) -> Subject {
    join(BUDGET, budget, address)
}

/// Tokens of a budget that were given to any address.
pub(crate) fn budget_of_all(budget: &str) -> Subject {
    format!("{BUDGET}{}.*", encode_token(budget)).into()
}

/// All ticks of one venue: `md.tick.<venue>.*`.
pub fn ticks_of(venue: &str) -> Subject {
    format!("{TICK}{}.*", encode_token(venue)).into()
}

/// Venue and symbol of a tick subject; `None` for any other subject.
pub fn parse_tick(subject: &str) -> Option<(String, String)> {
    parse(TICK, subject)
}

/// Venue and symbol of a last-value subject; `None` for any other subject.
pub fn parse_last(subject: &str) -> Option<(String, String)> {
    parse(LAST, subject)
}

/// Venue and shard of a feed subject; `None` for any other subject.
pub fn parse_feed(subject: &str) -> Option<(String, String)> {
    parse(FEED, subject)
}

/// Venue of a demand subject; `None` for any other subject.
pub fn parse_want(subject: &str) -> Option<String> {
    decode_token(subject.strip_prefix(WANT)?)
}

fn join(prefix: &str, venue: &str, name: &str) -> Subject {
    format!("{prefix}{}.{}", encode_token(venue), encode_token(name)).into()
}

fn parse(prefix: &str, subject: &str) -> Option<(String, String)> {
    let (venue, name) = subject.strip_prefix(prefix)?.split_once('.')?;
    Some((decode_token(venue)?, decode_token(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn subjects_are_the_documented_ones() {
        assert_eq!(tick("binance", "BTC/USDT").as_str(), "md.tick.binance.BTC=2FUSDT");
        assert_eq!(last("dhan", "NSE_EQ:1333").as_str(), "md.last.dhan.NSE_EQ=3A1333");
        assert_eq!(feed("kucoin", "0").as_str(), "md.feed.kucoin.0");
        assert_eq!(want("binance-usdm").as_str(), "md.want.binance-usdm");
        assert_eq!(fleet("a1").as_str(), "md.fleet.a1");
        assert_eq!(budget("kucoin", "10.0.0.1").as_str(), "md.budget.kucoin.10=2E0=2E0=2E1");
        assert_eq!(budget_of_all("kucoin").as_str(), "md.budget.kucoin.*");
        assert_eq!(ticks_of("kucoin").as_str(), "md.tick.kucoin.*");
        assert_eq!(parse_want("md.want.rest").as_deref(), Some("rest"));
    }

    #[test]
    fn foreign_subjects_are_refused() {
        for subject in
            ["", "md.tick", "md.tick.", "md.tick.a", "md.tick.a.", "md.tick.a.b.c", "md.tick.a.b/c"]
        {
            assert_eq!(parse_tick(subject), None, "{subject:?}");
        }
        assert_eq!(parse_tick("md.last.a.b"), None);
        assert_eq!(parse_want("md.want.a.b"), None);
    }

    proptest! {
        #[test]
        fn a_subject_gives_its_names_back(venue in "[a-z][a-z0-9-]{0,15}", symbol in "\\PC{1,40}") {
            let names = Some((venue.clone(), symbol.clone()));
            prop_assert_eq!(parse_tick(tick(&venue, &symbol).as_str()), names.clone());
            prop_assert_eq!(parse_last(last(&venue, &symbol).as_str()), names.clone());
            prop_assert_eq!(parse_feed(feed(&venue, &symbol).as_str()), names);
        }
    }
}
