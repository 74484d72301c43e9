//! Demand: what edges say on `md.want.<venue>` about the symbols that clients ask them for, and for how long it holds.
//! Names only; who carries a symbol is decided by the ingestors.
//!
//! A want is said at once, repeated every [`WANT_REPEAT_MS`] while it lasts, and forgotten [`WANT_LINGER_MS`] after it
//! was last heard: edges and ingestors may come and go, and nobody has to say goodbye.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::symbol::Symbol;

/// How often an edge repeats what it wants, in milliseconds.
pub const WANT_REPEAT_MS: u64 = 5_000;

/// How long a want holds after it was last heard, in milliseconds: three repeats.
pub const WANT_LINGER_MS: u64 = 3 * WANT_REPEAT_MS;

/// Most names in one message; more are said in several.
pub const WANT_SYMBOLS_MAX: usize = 500;

/// Most bytes of a message that is read: 500 of the longest names need some 40 KiB.
pub const WANT_BYTES_MAX: usize = 64 * 1024;

/// Why a message on `md.want.<venue>` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WantError {
    /// Over [`WANT_BYTES_MAX`].
    #[error("a want has at most {WANT_BYTES_MAX} bytes, not {0}")]
    TooLarge(usize),
    /// Over [`WANT_SYMBOLS_MAX`].
    #[error("a want has at most {WANT_SYMBOLS_MAX} symbols, not {0}")]
    TooMany(usize),
    /// Not the JSON of a want; says where.
    #[error("a want is {{\"symbols\":[..]}}: {0}")]
    Unreadable(String),
}

/// The payload of `md.want.<venue>`: `{"symbols":["BTC/USDT"]}`, canonical names.
#[derive(Serialize, Deserialize)]
struct Payload<T> {
    symbols: Vec<T>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The symbols wanted.
    pub symbols: Vec<Symbol>,
    /// How many names were none and are left out.
    pub refused: usize,
}

/// The messages that say these symbols: as few as [`WANT_SYMBOLS_MAX`] allows, none for none.
pub fn encode(symbols: &[Symbol]) -> impl Iterator<Item = Vec<u8>> + '_ {
    symbols.chunks(WANT_SYMBOLS_MAX).map(|chunk| {
        let payload = Payload { symbols: chunk.iter().map(Symbol::as_str).collect() };
        // Only maps with non-string keys and failing Serialize impls can fail; this has neither.
        serde_json::to_vec(&payload).unwrap_or_default()
    })
}

/// Reads a message from outside. A name that is none does not spoil the others.
///
/// # Errors
/// The [`WantError`] that says what is wrong.
pub fn decode(payload: &[u8]) -> Result<Want, WantError> {
    if payload.len() > WANT_BYTES_MAX {
        return Err(WantError::TooLarge(payload.len()));
    }
    let names: Payload<String> =
        serde_json::from_slice(payload).map_err(|error| WantError::Unreadable(error.to_string()))?;
    let said = names.symbols.len();
    if said > WANT_SYMBOLS_MAX {
        return Err(WantError::TooMany(said));
    }
    let symbols: Vec<Symbol> = names.symbols.iter().filter_map(|name| Symbol::new(name).ok()).collect();
    Ok(Want { refused: said - symbols.len(), symbols })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn symbols(count: usize) -> Vec<Symbol> {
        (0..count).map(|n| Symbol::new(&format!("S{n}/USDT")).unwrap()).collect()
    }

    #[test]
    fn the_payload_is_the_documented_one() {
        let all: Vec<_> = encode(&symbols(2)).collect();
        assert_eq!(all, [br#"{"symbols":["S0/USDT","S1/USDT"]}"#.to_vec()]);
        assert_eq!(encode(&[]).count(), 0);
    }

    #[test]
    fn many_symbols_are_several_messages() {
        let said = symbols(1_001);
        let read: Vec<Want> = encode(&said).map(|payload| decode(&payload).unwrap()).collect();
        assert_eq!(read.iter().map(|want| want.symbols.len()).collect::<Vec<_>>(), [500, 500, 1]);
        let heard: Vec<Symbol> = read.into_iter().flat_map(|want| want.symbols).collect();
        assert_eq!(heard, said);
    }

    #[test]
    fn the_longest_names_fit_into_one_message() {
        let longest = "币".repeat(26);
        assert!(Symbol::new(&longest).is_ok() && Symbol::new(&format!("{longest}币")).is_err());
        let all = vec![Symbol::new(&longest).unwrap(); WANT_SYMBOLS_MAX];
        let payload = encode(&all).next().unwrap();
        assert_eq!(decode(&payload).unwrap().symbols, all);
    }

    #[test]
    fn what_is_wrong_is_told_and_what_is_right_is_kept() {
        let too_many = format!(r#"{{"symbols":[{}"A"]}}"#, r#""A","#.repeat(WANT_SYMBOLS_MAX));
        assert_eq!(decode(too_many.as_bytes()), Err(WantError::TooMany(501)));
        assert_eq!(decode(&vec![b' '; WANT_BYTES_MAX + 1]), Err(WantError::TooLarge(WANT_BYTES_MAX + 1)));
        for text in ["", "[]", r#"{"symbols":"A"}"#, r#"{"symbols":[1]}"#, r#"{"symbols":["A"]"#] {
            assert!(matches!(decode(text.as_bytes()), Err(WantError::Unreadable(_))), "{text}");
        }
        let want = decode(r#"{"symbols":["BTC/USDT","","A B"],"more":1}"#.as_bytes()).unwrap();
        assert_eq!((want.symbols.len(), want.refused), (1, 2));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
