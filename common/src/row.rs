//! The row: everything known of one symbol, as the JSON object that ingestors publish and clients receive.
//!
//! `v` stands first, so that it is read without parsing. A row has no symbol (the subject says it) and always carries
//! all that is known, so that any one row is a whole snapshot. The format is public: docs/WIRE.md.

use crate::decimal::Decimal;

/// Largest row that is taken from NATS, in bytes. A full row of ours has about 300.
pub const ROW_BYTES_MAX: usize = 2_048;

/// How every row begins.
pub const ROW_OPEN: &[u8] = b"{\"v\":";

/// Why a payload is not a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It does not begin with `{"v":` and digits.
    #[error("a row begins with {{\"v\":<digits>")]
    Version,
    /// Over [`ROW_BYTES_MAX`].
    #[error("a row has at most {ROW_BYTES_MAX} bytes")]
    TooLong,
    /// Not one JSON object in UTF-8.
    #[error("a row is one JSON object: {0}")]
    Json(String),
}

/// Everything known of one symbol. Absent means unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Version: strictly increasing per symbol, at least the ingest time in Unix microseconds.
    pub v: u64,
    /// Last trade, in quote units.
    pub price: Option<Decimal>,
    /// Best bid.
    pub bid: Option<Decimal>,
    /// Best ask.
    pub ask: Option<Decimal>,
    /// Price change over 24 h, or over the session where the venue has one.
    pub change: Option<Decimal>,
    /// The same in percent: `1.5` is 1.5 %.
    pub percent_change: Option<Decimal>,
    /// Traded amount over 24 h, in base units.
    pub volume: Option<Decimal>,
    /// Highest trade of 24 h.
    pub high: Option<Decimal>,
    /// Lowest trade of 24 h.
    pub low: Option<Decimal>,
    /// The venue's event time, Unix milliseconds.
    pub ts: Option<u64>,
}

impl Row {
    /// The decimal fields with their names, in the order they are written.
    #[inline]
    pub fn decimals(&self) -> [(&'static str, Option<&Decimal>); 8] {
        [
            ("price", self.price.as_ref()),
            ("bid", self.bid.as_ref()),
            ("ask", self.ask.as_ref()),
            ("change", self.change.as_ref()),
            ("percent_change", self.percent_change.as_ref()),
            ("volume", self.volume.as_ref()),
            ("high", self.high.as_ref()),
            ("low", self.low.as_ref()),
        ]
    }

    /// Appends the row's JSON to `out`.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(ROW_OPEN);
        push_integer(out, self.v);
        for (key, value) in self.decimals() {
            if let Some(value) = value {
                push_key(out, key);
                out.extend_from_slice(value.as_bytes());
            }
        }
        if let Some(ts) = self.ts {
            push_key(out, "ts");
            push_integer(out, ts);
        }
        out.push(b'}');
    }
}

#[inline]
fn push_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

#[inline]
fn push_integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The next version of a symbol: above `previous`, and at least the ingest time in Unix microseconds.
#[inline]
pub fn next_version(previous: u64, now_us: u64) -> u64 {
    now_us.max(previous.saturating_add(1))
}

/// Reads a row's version without parsing the row.
#[inline]
pub fn read_v(row: &[u8]) -> Option<u64> {
    let digits = row.strip_prefix(ROW_OPEN)?;
    let mut v = 0u64;
    for (len, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => v = v.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?,
            b',' | b'}' if len > 0 => return Some(v),
            _ => return None,
        }
    }
    None
}

/// Checks that a payload from NATS may be handed to clients, and reads its version. Anyone may publish rows.
///
/// # Errors
/// [`RowError`].
pub fn check(payload: &[u8]) -> Result<u64, RowError> {
    if payload.len() > ROW_BYTES_MAX {
        return Err(RowError::TooLong);
    }
    let v = read_v(payload).ok_or(RowError::Version)?;
    if payload.last() != Some(&b'}') {
        return Err(RowError::Json("text after the object".to_owned()));
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(payload)
        .map_err(|error| RowError::Json(error.to_string()))?;
    std::str::from_utf8(payload).map_err(|error| RowError::Json(error.to_string()))?;
    Ok(v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn d(text: &str) -> Option<Decimal> {
        Some(text.parse().unwrap())
    }

    fn encoded(row: &Row) -> String {
        let mut out = Vec::new();
        row.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_full_row_reads_as_the_wire_document_says() {
        let row = Row {
            v: 1763627520123456,
            price: d("64231.57"),
            bid: d("64231.5"),
            ask: d("64231.6"),
            change: d("793.1"),
            percent_change: d("1.2345"),
            volume: d("12345.678"),
            high: d("65010"),
            low: d("63100.2"),
            ts: Some(1763627520119),
        };
        let expected = concat!(
            r#"{"v":1763627520123456,"price":64231.57,"bid":64231.5,"ask":64231.6,"change":793.1,"#,
            r#""percent_change":1.2345,"volume":12345.678,"high":65010,"low":63100.2,"ts":1763627520119}"#
        );
        assert_eq!(encoded(&row), expected);
        assert_eq!(check(expected.as_bytes()), Ok(1763627520123456));
    }

    #[test]
    fn unknown_fields_are_absent() {
        assert_eq!(encoded(&Row { v: 7, bid: d("1"), ..Row::default() }), r#"{"v":7,"bid":1}"#);
        assert_eq!(encoded(&Row { v: 7, ..Row::default() }), r#"{"v":7}"#);
    }

    #[test]
    fn versions_grow_even_when_the_clock_does_not() {
        assert_eq!(next_version(10, 99), 99);
        assert_eq!(next_version(99, 99), 100);
        assert_eq!(next_version(500, 99), 501);
    }

    #[test]
    fn foreign_payloads_are_refused() {
        for payload in
            [r#"{"price":1,"v":2}"#, r#"{ "v":1}"#, r#"{"v":}"#, r#"{"v":-1}"#, r#"{"v":1.5}"#, "", "{"]
        {
            assert_eq!(check(payload.as_bytes()), Err(RowError::Version), "{payload}");
        }
        for payload in
            [r#"{"v":1,}"#, r#"{"v":1,"price":01}"#, r#"{"v":1}{}"#, "{\"v\":1}\n", r#"{"v":1,"x":NaN}"#]
        {
            assert!(matches!(check(payload.as_bytes()), Err(RowError::Json(_))), "{payload}");
        }
        assert!(matches!(check(b"{\"v\":1,\"x\":\"\xff\"}"), Err(RowError::Json(_))));
        let long = format!(r#"{{"v":1,"x":"{}"}}"#, "x".repeat(ROW_BYTES_MAX));
        assert_eq!(check(long.as_bytes()), Err(RowError::TooLong));
    }

    proptest! {
        #[test]
        fn the_version_of_any_row_is_read_back(v in any::<u64>(), ts in prop::option::of(any::<u64>())) {
            let row = Row { v, ts, price: d("1.5"), ..Row::default() };
            prop_assert_eq!(check(encoded(&row).as_bytes()), Ok(v));
        }

        #[test]
        fn random_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = check(&payload);
        }
    }
}
