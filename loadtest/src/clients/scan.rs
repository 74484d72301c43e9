//! Rows out of a ticker message without parsing it: the name, the version and the count of folded rows are found by
//! their keys, everything else is stepped over. Takes the canonical bytes of [`tickwire_common::wire::frame`] only; a
//! message in any other shape goes through serde (`notice`).
//!
//! Sound because a name is a [`tickwire_common::symbol::Symbol`] or a topic, which hold no quote and no backslash, and
//! because in front of `v` stand only marks of the edge.

use memchr::memmem::Finder;
use tickwire_common::wire::frame::{DATA_CLOSE, SNAPSHOT_OPEN, UPDATE_OPEN};

const ROW_OPEN: &[u8] = b"{\"symbol\":\"";
const VERSION: &[u8] = b",\"v\":";
const SKIPPED: &[u8] = b",\"skipped\":";

/// What a client needs of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowHead<'a> {
    /// The name that was asked for.
    pub(crate) name: &'a [u8],
    /// The row's version.
    pub(crate) v: u64,
    /// How many rows were folded into this one.
    pub(crate) skipped: u64,
}

/// Whether rows are the state at the time of asking or news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Snapshot,
    Update,
}

/// A ticker message that does not read as rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ticker message that does not read as rows")]
pub(crate) struct Malformed;

/// The kind of a canonical ticker message and the bytes of its rows; `None` for every other message.
#[inline]
pub(crate) fn ticker(message: &[u8]) -> Option<(Kind, &[u8])> {
    let (kind, rows) = match message.strip_prefix(UPDATE_OPEN) {
        Some(rows) => (Kind::Update, rows),
        None => (Kind::Snapshot, message.strip_prefix(SNAPSHOT_OPEN)?),
    };
    Some((kind, rows.strip_suffix(DATA_CLOSE)?))
}

/// Finds rows; made once, because the searchers are.
#[derive(Debug)]
pub(crate) struct Scanner {
    next_row: Finder<'static>,
    version: Finder<'static>,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { next_row: Finder::new(b"},{\"symbol\":\""), version: Finder::new(VERSION) }
    }
}

impl Scanner {
    /// Hands every row of `rows` (from [`ticker`]) to `each`, in order.
    ///
    /// # Errors
    /// [`Malformed`] at the first row that does not read; those before it have been handed on.
    #[inline]
    pub(crate) fn rows<'a>(
        &self,
        rows: &'a [u8],
        mut each: impl FnMut(RowHead<'a>),
    ) -> Result<(), Malformed> {
        let mut rest = rows;
        while !rest.is_empty() {
            let (row, tail) = self.row(rest)?;
            each(row);
            rest = match self.next_row.find(tail) {
                // Past the brace and the comma.
                Some(end) => tail.get(end + 2..).unwrap_or_default(),
                None if tail.ends_with(b"}") => &[],
                None => return Err(Malformed),
            };
        }
        Ok(())
    }

    /// The row at the beginning of `bytes`, and what stands behind its version.
    #[inline]
    fn row<'a>(&self, bytes: &'a [u8]) -> Result<(RowHead<'a>, &'a [u8]), Malformed> {
        let named = bytes.strip_prefix(ROW_OPEN).ok_or(Malformed)?;
        let quote = memchr::memchr(b'"', named).ok_or(Malformed)?;
        let (name, fields) =
            (named.get(..quote).unwrap_or_default(), named.get(quote + 1..).unwrap_or_default());
        if let Some(digits) = fields.strip_prefix(VERSION) {
            let (v, tail) = integer(digits)?;
            return Ok((RowHead { name, v, skipped: 0 }, tail));
        }
        let at = self.version.find(fields).ok_or(Malformed)?;
        let (v, tail) = integer(fields.get(at + VERSION.len()..).unwrap_or_default())?;
        let skipped = skipped(fields.get(..at).unwrap_or_default())?;
        Ok((RowHead { name, v, skipped }, tail))
    }
}

/// The count among the marks in front of the version; 0 where it is not told.
fn skipped(marks: &[u8]) -> Result<u64, Malformed> {
    // A brace here means that this row had no version and the search ran into the next one.
    if memchr::memchr2(b'{', b'}', marks).is_some() {
        return Err(Malformed);
    }
    match memchr::memmem::find(marks, SKIPPED) {
        None => Ok(0),
        Some(at) => Ok(digits(marks.get(at + SKIPPED.len()..).unwrap_or_default())?.0),
    }
}

/// The integer at the beginning of `text` and what follows it, which must be `,` or `}`.
#[inline]
fn integer(text: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    match digits(text)? {
        (value, tail @ [b',' | b'}', ..]) => Ok((value, tail)),
        _ => Err(Malformed),
    }
}

/// The integer at the beginning of `text`, which has at least one digit, and what follows it.
///
/// # Errors
/// [`Malformed`] if there is no digit, or more than 64 bits.
#[inline]
pub(crate) fn digits(text: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut value = 0u64;
    let mut count = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        // Nineteen digits always fit.
        value = match count {
            0..19 => value * 10 + u64::from(digit),
            _ => value
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(digit)))
                .ok_or(Malformed)?,
        };
        count += 1;
    }
    match count {
        0 => Err(Malformed),
        _ => Ok((value, text.get(count..).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
