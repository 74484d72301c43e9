//! A strict JSON reader for the hot path: hands out the members of one object as slices of the frame and allocates
//! nothing. Refuses whatever RFC 8259 refuses, and nesting deeper than [`DEPTH_MAX`]. Makes no value of its own:
//! digits stay digits.

use std::borrow::Cow;

use tickwire_common::decimal::Decimal;

mod cursor;

use cursor::Cursor;

/// Deepest nesting that is read. Venues use five levels; a bound keeps hostile frames off the stack.
pub const DEPTH_MAX: u8 = 32;

/// Why a frame could not be read; the label of the metric that counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or not the JSON type that belongs there.
    #[error("not the JSON that was expected")]
    Syntax,
    /// A price, id or time that is no number, or too long for exact digits.
    #[error("not a number that can be kept")]
    Number,
    /// A member that the message cannot do without.
    #[error("a member is missing")]
    Missing,
}

impl Malformed {
    /// Name for a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Number => "number",
            Self::Missing => "missing",
        }
    }
}

/// A member's value, as a slice of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// What stands between the quotes, escapes included.
    Text(&'a [u8]),
    /// A number's digits.
    Number(&'a [u8]),
    /// An object, braces included.
    Object(&'a [u8]),
    /// An array, brackets included.
    Array(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

impl<'a> Value<'a> {
    /// A price or amount, sent as text or as a number; `None` for `null`.
    #[inline]
    pub fn decimal(self) -> Result<Option<Decimal>, Malformed> {
        match self {
            Self::Text(digits) | Self::Number(digits) => {
                Decimal::parse(digits).map(Some).map_err(|_| Malformed::Number)
            }
            Self::Null => Ok(None),
            _ => Err(Malformed::Number),
        }
    }

    /// An id or a time, sent as text or as a number.
    #[inline]
    pub fn integer(self) -> Result<i64, Malformed> {
        let (Self::Text(digits) | Self::Number(digits)) = self else { return Err(Malformed::Number) };
        let (negative, digits) = match digits.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, digits),
        };
        if digits.is_empty() {
            return Err(Malformed::Number);
        }
        let mut sum = 0i64;
        for digit in digits.iter().map(|b| b.wrapping_sub(b'0')) {
            let next = sum.checked_mul(10).and_then(|sum| sum.checked_add(i64::from(digit)));
            sum = next.filter(|_| digit <= 9).ok_or(Malformed::Number)?;
        }
        Ok(if negative { -sum } else { sum })
    }

    /// An object, braces included; read on with [`members`].
    #[inline]
    pub fn object(self) -> Result<&'a [u8], Malformed> {
        if let Self::Object(object) = self { Ok(object) } else { Err(Malformed::Syntax) }
    }

    /// A text, its escapes resolved.
    pub fn text(self) -> Result<Cow<'a, [u8]>, Malformed> {
        let Self::Text(raw) = self else { return Err(Malformed::Syntax) };
        if !raw.contains(&b'\\') {
            return Ok(Cow::Borrowed(raw));
        }
        let quoted = [b"\"", raw, b"\""].concat();
        let text: String = serde_json::from_slice(&quoted).map_err(|_| Malformed::Syntax)?;
        Ok(Cow::Owned(text.into_bytes()))
    }
}

/// Reads one whole object and shows every member to `each`. Keys are shown as written; of a key that comes twice, both.
///
/// # Errors
/// [`Malformed::Syntax`] if `bytes` is not one JSON object; else what `each` returns.
#[inline]
pub fn members<'a>(
    bytes: &'a [u8],
    mut each: impl FnMut(&'a [u8], Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    Cursor::new(bytes).whole(DEPTH_MAX, &mut each)
}

#[cfg(test)]
mod tests;
