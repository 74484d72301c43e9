//! What a price is called: canonical symbols, topics (`venue:symbol`), and the form a symbol takes in NATS subjects
//! and KV keys. Knows no venue: venue ids are opaque words.
//!
//! Symbols follow ccxt's unified form (`BTC/USDT`, `BTC/USDT:USDT-261225`) or the venue's own key (`NSE_EQ:1333`).

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::Arc;

/// Longest symbol, in characters.
pub const SYMBOL_CHARS_MAX: usize = 64;

/// Longest encoded symbol, in bytes: a NATS subject stays far below the server's 4,096-byte control line.
pub const TOKEN_BYTES_MAX: usize = 240;

/// Why a text is not a symbol, a venue id or a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name must not be empty")]
    Empty,
    /// Over [`SYMBOL_CHARS_MAX`] characters or [`TOKEN_BYTES_MAX`] encoded bytes.
    #[error("a symbol has at most {SYMBOL_CHARS_MAX} characters")]
    TooLong,
    /// A character that no venue uses in a symbol.
    #[error("a symbol holds letters, digits and . _ : / @ + -, not {0:?}")]
    Character(char),
    /// A venue id is lower case letters, digits and `-`.
    #[error("a venue id holds a-z, 0-9 and -, like binance or binance-usdm")]
    Venue,
    /// A topic needs a venue in front.
    #[error("write it as venue:symbol, like binance:BTC/USDT")]
    NoVenue,
}

/// A symbol: 1 to 64 letters, digits and `._:/@+-`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(Arc<str>);

impl Symbol {
    /// Checks and takes a symbol.
    ///
    /// # Errors
    /// The [`NameError`] that says what is wrong.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.chars().count() > SYMBOL_CHARS_MAX || encoded_len(text) > TOKEN_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        match text.chars().find(|c| !is_symbol_char(*c)) {
            Some(c) => Err(NameError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// The canonical form of a pair: `BASE/QUOTE`.
    ///
    /// # Errors
    /// As [`Symbol::new`].
    pub fn pair(base: &str, quote: &str) -> Result<Self, NameError> {
        Self::new(&format!("{base}/{quote}"))
    }

    /// The symbol's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_symbol_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | ':' | '/' | '@' | '+' | '-')
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for Symbol {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

/// Checks a venue id: lower case letters, digits and `-`.
///
/// # Errors
/// [`NameError::Venue`].
pub fn check_venue(text: &str) -> Result<(), NameError> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || text.len() > 32 || !text.bytes().all(legal) {
        Err(NameError::Venue)
    } else {
        Ok(())
    }
}

/// One symbol at one venue: the unit of publishing and subscribing. Written `venue:symbol`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic {
    /// Venue id, like `binance`.
    pub venue: Arc<str>,
    /// Symbol at that venue.
    pub symbol: Symbol,
}

impl Topic {
    /// Checks and joins a venue id and a symbol.
    ///
    /// # Errors
    /// The [`NameError`] that says what is wrong.
    pub fn new(venue: &str, symbol: &str) -> Result<Self, NameError> {
        check_venue(venue)?;
        Ok(Self { venue: venue.into(), symbol: Symbol::new(symbol)? })
    }
}

impl FromStr for Topic {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (venue, symbol) = text.split_once(':').ok_or(NameError::NoVenue)?;
        Self::new(venue, symbol)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.venue, self.symbol)
    }
}

/// Writes a text so that it is one legal NATS subject token, KV key part and file name: `[A-Za-z0-9_-]` stay, every
/// other UTF-8 byte becomes `=HH`. `BTC/USDT` gives `BTC=2FUSDT`.
pub fn encode_token(text: &str) -> String {
    let mut token = String::with_capacity(encoded_len(text));
    for byte in text.bytes() {
        if is_plain(byte) {
            token.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(token, "={byte:02X}");
        }
    }
    token
}

/// Reads back what [`encode_token`] wrote; `None` for anything it would not have written.
pub fn decode_token(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if is_plain(first) {
            bytes.push(first);
            rest = tail;
        } else {
            let (hex, tail) = tail.split_at_checked(2)?;
            let byte = decode_hex(first, hex)?;
            bytes.push(byte);
            rest = tail;
        }
    }
    if bytes.is_empty() { None } else { String::from_utf8(bytes).ok() }
}

fn decode_hex(mark: u8, hex: &[u8]) -> Option<u8> {
    let upper = hex.iter().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(b));
    let byte = u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?;
    (mark == b'=' && upper && !is_plain(byte)).then_some(byte)
}

fn encoded_len(text: &str) -> usize {
    text.bytes().map(|b| if is_plain(b) { 1 } else { 3 }).sum()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_of_known_symbols() {
        for (symbol, token) in [
            ("BTC/USDT", "BTC=2FUSDT"),
            ("BRK.B", "BRK=2EB"),
            ("NSE_EQ:1333", "NSE_EQ=3A1333"),
            ("BTC/USDT:USDT-261225", "BTC=2FUSDT=3AUSDT-261225"),
            ("币/U", "=E5=B8=81=2FU"),
        ] {
            assert_eq!(encode_token(symbol), token);
            assert_eq!(decode_token(token).as_deref(), Some(symbol));
        }
    }

    #[test]
    fn foreign_tokens_are_refused() {
        for token in ["", "BTC.USDT", "A=2", "A=2f", "A=41", "A=FF", "a b", "=zz"] {
            assert_eq!(decode_token(token), None, "{token:?}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(Symbol::new(""), Err(NameError::Empty));
        assert_eq!(Symbol::new("A B"), Err(NameError::Character(' ')));
        assert_eq!(Symbol::new("A,B"), Err(NameError::Character(',')));
        assert_eq!(Symbol::new(&"A".repeat(65)), Err(NameError::TooLong));
        assert_eq!("BTCUSDT".parse::<Topic>(), Err(NameError::NoVenue));
        assert_eq!("Binance:X".parse::<Topic>(), Err(NameError::Venue));
        let topic: Topic = "binance-usdm:BTC/USDT:USDT".parse().unwrap();
        assert_eq!((&*topic.venue, topic.symbol.as_str()), ("binance-usdm", "BTC/USDT:USDT"));
    }

    proptest! {
        #[test]
        fn any_text_survives_the_token(text in "\\PC{1,40}") {
            let token = encode_token(&text);
            prop_assert!(token.bytes().all(|b| is_plain(b) || b == b'='));
            prop_assert_eq!(decode_token(&token), Some(text));
        }

        #[test]
        fn a_decoded_token_encodes_to_itself(token in "[A-Z0-9=_.-]{1,20}") {
            if let Some(text) = decode_token(&token) {
                prop_assert_eq!(encode_token(&text), token);
            }
        }
    }
}
