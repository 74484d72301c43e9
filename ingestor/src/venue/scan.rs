//! A strict JSON reader for the hot path: hands out the members of one object as slices of the frame and allocates
//! nothing. Refuses whatever RFC 8259 refuses, and nesting deeper than [`DEPTH_MAX`]. Makes no value of its own:
//! digits stay digits.

use std::borrow::Cow;

use tickwire_common::decimal::Decimal;

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
    let mut cursor = Cursor { bytes, at: 0 };
    cursor.space();
    cursor.object(DEPTH_MAX, &mut each)?;
    cursor.space();
    if cursor.at == bytes.len() { Ok(()) } else { Err(Malformed::Syntax) }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(Malformed::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    #[inline]
    fn object(
        &mut self,
        depth: u8,
        each: &mut impl FnMut(&'a [u8], Value<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            let value = self.value(depth)?;
            each(key, value)?;
            self.space();
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',')?;
            self.space();
        }
    }

    fn array(&mut self, depth: u8) -> Result<(), Malformed> {
        self.expect(b'[')?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.space();
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',')?;
            self.space();
        }
    }

    #[inline]
    fn value(&mut self, depth: u8) -> Result<Value<'a>, Malformed> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Ok(Value::Number(self.since(start)))
            }
            Some(b'{') => {
                let inner = depth.checked_sub(1).ok_or(Malformed::Syntax)?;
                self.nested(inner)?;
                Ok(Value::Object(self.since(start)))
            }
            Some(b'[') => {
                let inner = depth.checked_sub(1).ok_or(Malformed::Syntax)?;
                self.array(inner)?;
                Ok(Value::Array(self.since(start)))
            }
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            _ => Err(Malformed::Syntax),
        }
    }

    /// An object whose members nobody asked for.
    fn nested(&mut self, depth: u8) -> Result<(), Malformed> {
        self.object(depth, &mut |_, _| Ok(()))
    }

    fn word(&mut self, word: &[u8], value: Value<'a>) -> Result<Value<'a>, Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(Malformed::Syntax);
        }
        self.at += word.len();
        Ok(value)
    }

    #[inline]
    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                _ => return Err(Malformed::Syntax),
            }
        }
        let text = self.since(start);
        self.at += 1;
        Ok(text)
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        let code = self.peek().ok_or(Malformed::Syntax)?;
        self.at += 1;
        match code {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let hex = self.bytes.get(self.at..self.at + 4).ok_or(Malformed::Syntax)?;
                self.at += 4;
                if hex.iter().all(u8::is_ascii_hexdigit) { Ok(()) } else { Err(Malformed::Syntax) }
            }
            _ => Err(Malformed::Syntax),
        }
    }

    #[inline]
    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed::Syntax) }
    }
}

#[cfg(test)]
mod tests;
