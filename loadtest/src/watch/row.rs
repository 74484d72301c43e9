//! A published row as the watcher reads it: not by the ingestor's code, and not by the edge's.

use serde::Deserialize;
use serde_json::value::RawValue;
use tickwire_common::decimal::Decimal;

/// The members of a row as text, in their own digits.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RowText<'a> {
    pub(super) v: u64,
    #[serde(borrow)]
    pub(super) price: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) bid: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ask: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) change: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) percent_change: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) volume: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) high: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) low: Option<&'a RawValue>,
}

impl<'a> RowText<'a> {
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// How many ticks of `10^-digits` a price is; `None` for what is no such number.
pub(super) fn ticks(price: &str, digits: u8) -> Option<i64> {
    let (units, scale) = Decimal::parse(price.as_bytes()).ok()?.parts()?;
    units.checked_mul(10i64.checked_pow(digits.checked_sub(scale)?.into())?)
}

/// Everything of a row but its version.
pub(super) fn content(payload: &[u8]) -> &[u8] {
    let end = payload.iter().position(|byte| *byte == b',').unwrap_or(payload.len());
    payload.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_counted_in_ticks() {
        assert_eq!(ticks("64231.5", 2), Some(6_423_150));
        assert_eq!(ticks("64231", 0), Some(64_231));
        assert_eq!(ticks("0.00000987", 8), Some(987));
        for bad in ["1.234", "x", "-"] {
            assert_eq!(ticks(bad, 2), None, "{bad}");
        }
    }

    #[test]
    fn the_content_is_what_follows_the_version() {
        assert_eq!(content(br#"{"v":12,"price":1}"#), br#","price":1}"#);
        assert_eq!(content(br#"{"v":12}"#), b"");
    }
}
