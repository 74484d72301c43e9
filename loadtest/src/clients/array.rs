//! Rows of the encoding `tickwire.v1.array` out of a message without parsing it: `["u",[17,1763627520123456,0,..],..]`,
//! number, version and count of folded rows first, other columns behind. Numbers are those of one connection's acks.
//!
//! Sound because no column holds a bracket: prices are digits, the venue is a word.

use super::scan::{Kind, Malformed, digits};

/// The columns that rows must begin with, as an ack names them.
pub(crate) const FIRST_COLUMNS: [&str; 3] = ["id", "v", "skipped"];

/// What a client needs of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    /// The number that stands for the name.
    pub(crate) id: u32,
    /// The row's version.
    pub(crate) v: u64,
    /// How many rows were folded into this one.
    pub(crate) skipped: u64,
}

/// Which symbol of the run a number is, on one connection.
#[derive(Debug, Default)]
pub(crate) struct Ids(Vec<(u32, u32)>);

impl Ids {
    /// Learns numbers and their symbols.
    pub(crate) fn learn(&mut self, more: impl Iterator<Item = (u32, u32)>) {
        self.0.extend(more);
        self.0.sort_unstable();
        self.0.dedup();
        self.0.shrink_to_fit();
    }

    /// Another connection has other numbers.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    #[inline]
    pub(crate) fn symbol(&self, id: u32) -> Option<u32> {
        match self.0.as_slice() {
            [(only, symbol)] => (*only == id).then_some(*symbol),
            all => {
                let at = all.partition_point(|(known, _)| *known < id);
                all.get(at).filter(|(known, _)| *known == id).map(|(_, symbol)| *symbol)
            }
        }
    }
}

/// The kind of a ticker message and the bytes of its rows; `None` for every other message.
#[inline]
pub(crate) fn ticker(message: &[u8]) -> Option<(Kind, &[u8])> {
    let (kind, rows) = match message {
        [b'[', b'"', b'u', b'"', rows @ .., b']'] => (Kind::Update, rows),
        [b'[', b'"', b's', b'"', rows @ .., b']'] => (Kind::Snapshot, rows),
        _ => return None,
    };
    Some((kind, rows))
}

/// Hands every row of `rows` (from [`ticker`]) to `each`, in order.
///
/// # Errors
/// [`Malformed`] at the first row that does not read; those before it have been handed on.
#[inline]
pub(crate) fn rows(rows: &[u8], mut each: impl FnMut(Numbered)) -> Result<(), Malformed> {
    let mut rest = rows;
    while !rest.is_empty() {
        let (row, tail) = row(rest)?;
        each(row);
        let end = memchr::memchr(b']', tail).ok_or(Malformed)?;
        rest = tail.get(end + 1..).unwrap_or_default();
    }
    Ok(())
}

/// The row at the beginning of `bytes`, behind its comma, and what stands behind its count of folded rows.
#[inline]
fn row(bytes: &[u8]) -> Result<(Numbered, &[u8]), Malformed> {
    let (id, tail) = digits(bytes.strip_prefix(b",[").ok_or(Malformed)?)?;
    let id = u32::try_from(id).map_err(|_| Malformed)?;
    let (v, tail) = digits(tail.strip_prefix(b",").ok_or(Malformed)?)?;
    let (skipped, tail) = match tail {
        [b',', rest @ ..] if rest.starts_with(b"null") => (0, rest.get(4..).unwrap_or_default()),
        [b',', rest @ ..] => digits(rest)?,
        _ => (0, tail),
    };
    match tail {
        [b',' | b']', ..] => Ok((Numbered { id, v, skipped }, tail)),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Heads = Vec<(u32, u64, u64)>;

    fn read(message: &str) -> Option<(Kind, Result<Heads, Malformed>)> {
        let (kind, bytes) = ticker(message.as_bytes())?;
        let mut all = Heads::new();
        let result = rows(bytes, |row| all.push((row.id, row.v, row.skipped)));
        Some((kind, result.map(|()| all)))
    }

    #[test]
    fn rows_with_any_columns_behind() {
        for (text, kind, expected) in [
            (
                r#"["u",[17,1763627520123456,0,0,64231.57]]"#,
                Kind::Update,
                vec![(17, 1_763_627_520_123_456, 0)],
            ),
            (r#"["s",[1,5,0,0,1.5,null,2],[2,6,3]]"#, Kind::Snapshot, vec![(1, 5, 0), (2, 6, 3)]),
            (r#"["u",[1,5],[2,6,null,1,"64231.57","binance"]]"#, Kind::Update, vec![(1, 5, 0), (2, 6, 0)]),
            (r#"["s"]"#, Kind::Snapshot, vec![]),
        ] {
            assert_eq!(read(text), Some((kind, Ok(expected))), "{text}");
        }
    }

    #[test]
    fn what_is_no_row_is_told_and_other_messages_are_left_alone() {
        for text in [
            r#"["u",[1]]"#,
            r#"["u",[x,5]]"#,
            r#"["u",[1,-5]]"#,
            r#"["u",[1,5,x]]"#,
            r#"["u",[1,5,1x]]"#,
            r#"["u",[4294967296,5]]"#,
            r#"["u",[1,18446744073709551616]]"#,
            r#"["u",[1,5]x[2,6]]"#,
            r#"["u",{}]"#,
        ] {
            assert_eq!(read(text), Some((Kind::Update, Err(Malformed))), "{text}");
        }
        for text in [r#"["x",[1,5]]"#, r#"{"channel":"heartbeat"}"#, "", "[", r#"["u""#] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_stand_for_symbols_of_one_connection() {
        let mut ids = Ids::default();
        ids.learn([(40, 0)].into_iter());
        assert_eq!((ids.symbol(40), ids.symbol(0)), (Some(0), None));
        ids.learn([(7, 3), (90, 2), (40, 0)].into_iter());
        assert_eq!([7, 8, 40, 90, 91].map(|id| ids.symbol(id)), [Some(3), None, Some(0), Some(2), None]);
        ids.forget();
        assert_eq!(ids.symbol(7), None);
    }

    proptest! {
        #[test]
        fn the_scanner_reads_what_serde_reads(
            rows in prop::collection::vec((any::<u32>(), any::<u64>(), any::<u32>(), "[0-9]{1,6}(\\.[0-9]{1,4})?"), 0..9),
        ) {
            let list: Vec<String> = rows.iter().map(|(id, v, s, price)| format!("[{id},{v},{s},0,\"{price}\"]")).collect();
            let message = ["[\"u\""].into_iter().chain(list.iter().map(String::as_str)).collect::<Vec<_>>().join(",") + "]";
            prop_assert!(serde_json::from_str::<serde_json::Value>(&message).is_ok());
            let expected = rows.iter().map(|(id, v, s, _)| (*id, *v, u64::from(*s))).collect();
            prop_assert_eq!(read(&message), Some((Kind::Update, Ok(expected))));
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = rows(&bytes, |_| {});
            let _ = ticker(&bytes);
        }
    }
}
