//! The grammar of RFC 8259, one rule a function, without recursion beyond the depth that is given.

use super::{Malformed, Value};

/// A place in the text.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Reads one object and finds nothing behind it.
    #[inline]
    pub(super) fn whole(
        mut self,
        depth: u8,
        each: &mut impl FnMut(&'a [u8], Value<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.space();
        self.object(depth, each)?;
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(Malformed::Syntax) }
    }

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
