//! Decimal text: a venue's digits, kept as digits. Turns what venues send (strings, JSON numbers, exponents, trailing
//! zeros, signs) into the digits of a JSON number, without a float in between.
//!
//! Normal form: `-`? then digits without leading zeros, then `.` and digits without trailing zeros if there are any;
//! never `-0`. Syntax of what is written: RFC 8259, section 6.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

/// Longest normal form, in bytes. The longest digits seen on a venue have 28.
pub const DECIMAL_BYTES_MAX: usize = 31;

/// Largest exponent that is read, in powers of ten; anything beyond cannot fit anyway.
const EXPONENT_MAX: i32 = 64;

/// Why bytes are not a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// No digits, or something that is not part of a number.
    #[error("not a decimal number")]
    Syntax,
    /// More digits than [`DECIMAL_BYTES_MAX`].
    #[error("a decimal number of more than {DECIMAL_BYTES_MAX} bytes")]
    TooLong,
}

/// A decimal number as its digits; 32 bytes, `Copy`, no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    len: NonZeroU8,
    text: [u8; DECIMAL_BYTES_MAX],
}

impl Decimal {
    /// Reads the digits of `input`: `-12.50`, `+1`, `1e-8`, `.5` and `007` are all understood.
    ///
    /// # Errors
    /// [`DecimalError`] if it is no number or too long for exact digits.
    #[inline]
    pub fn parse(input: &[u8]) -> Result<Self, DecimalError> {
        let (negative, body) = split_sign(input);
        let (digits, exponent) = split_exponent(body)?;
        let (whole, fraction) = split_point(digits)?;
        if exponent == 0 {
            return Self::build(negative, whole, fraction);
        }
        Self::scaled(negative, whole, fraction, exponent)
    }

    /// This number times ten to the power of `exponent`, exactly: a fraction to percent is `shift(2)`.
    ///
    /// # Errors
    /// [`DecimalError::TooLong`] if the digits no longer fit.
    pub fn shift(&self, exponent: i32) -> Result<Self, DecimalError> {
        let (negative, body) = split_sign(self.as_bytes());
        let (whole, fraction) = split_point(body)?;
        Self::scaled(negative, whole, fraction, exponent)
    }

    /// The multiple of `tick` that is nearest to a venue's 32-bit float: `2453.3999` with tick `0.05` is `2453.4`.
    ///
    /// # Errors
    /// [`DecimalError::Syntax`] for NaN, infinities and a tick that is not above zero; [`DecimalError::TooLong`].
    pub fn from_f32(value: f32, tick: &Self) -> Result<Self, DecimalError> {
        let (mantissa, places) = tick.parts().ok_or(DecimalError::TooLong)?;
        // The only float that becomes a price: the venue sent a float, and its tick says which digits it meant.
        let step = mantissa as f64 / 10f64.powi(i32::from(places));
        let count = (f64::from(value) / step).round();
        if mantissa <= 0 || !count.is_finite() {
            return Err(DecimalError::Syntax);
        }
        if count.abs() > 1e15 {
            return Err(DecimalError::TooLong);
        }
        let units = i128::from(mantissa) * (count as i128);
        Self::parse(units.to_string().as_bytes())?.shift(-i32::from(places))
    }

    /// The digits, as a JSON number.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.len.get())).unwrap_or_default()
    }

    /// The digits, as a JSON number.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.text.first() == Some(&b'-')
    }

    /// Mantissa and number of decimal places, where the mantissa fits an `i64`.
    pub fn parts(&self) -> Option<(i64, u8)> {
        let text = self.as_str();
        let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let mantissa = text.replace('.', "").parse().ok()?;
        Some((mantissa, u8::try_from(places).ok()?))
    }

    /// Joins a whole part and a fraction; cuts leading and trailing zeros.
    #[inline]
    fn build(negative: bool, whole: &[u8], fraction: &[u8]) -> Result<Self, DecimalError> {
        let whole = trim_leading(whole);
        let fraction = trim_trailing(fraction);
        let mut out = Writer::default();
        if negative && !(whole.is_empty() && fraction.is_empty()) {
            out.push(b"-");
        }
        out.push(if whole.is_empty() { b"0" } else { whole });
        if !fraction.is_empty() {
            out.push(b".");
            out.push(fraction);
        }
        out.finish()
    }

    /// As `build`, with the decimal point moved by `exponent` places.
    fn scaled(negative: bool, whole: &[u8], fraction: &[u8], exponent: i32) -> Result<Self, DecimalError> {
        if !(-EXPONENT_MAX..=EXPONENT_MAX).contains(&exponent) {
            return Err(DecimalError::TooLong);
        }
        let mut digits = [whole, fraction].concat();
        let mut point = i32::try_from(whole.len()).map_err(|_| DecimalError::TooLong)? + exponent;
        if point < 0 {
            let zeros = usize::try_from(-point).unwrap_or_default();
            digits.splice(0..0, std::iter::repeat_n(b'0', zeros));
            point = 0;
        }
        let point = usize::try_from(point).unwrap_or_default();
        if point > digits.len() {
            digits.resize(point, b'0');
        }
        let (whole, fraction) = digits.split_at_checked(point).ok_or(DecimalError::Syntax)?;
        Self::build(negative, whole, fraction)
    }
}

#[inline]
fn split_sign(input: &[u8]) -> (bool, &[u8]) {
    match input.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, input),
    }
}

#[inline]
fn split_exponent(body: &[u8]) -> Result<(&[u8], i32), DecimalError> {
    let Some(at) = body.iter().position(|b| matches!(b, b'e' | b'E')) else {
        return Ok((body, 0));
    };
    let (digits, exponent) = body.split_at_checked(at).ok_or(DecimalError::Syntax)?;
    let (negative, exponent) = split_sign(exponent.get(1..).unwrap_or_default());
    if exponent.is_empty() || !exponent.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::Syntax);
    }
    let size = trim_leading(exponent).iter().fold(0i32, |sum, b| {
        sum.saturating_mul(10).saturating_add(i32::from(b - b'0')).min(EXPONENT_MAX + 1)
    });
    Ok((digits, if negative { -size } else { size }))
}

#[inline]
fn split_point(digits: &[u8]) -> Result<(&[u8], &[u8]), DecimalError> {
    let (whole, fraction) = match digits.iter().position(|b| *b == b'.') {
        Some(at) => (digits.get(..at).unwrap_or_default(), digits.get(at + 1..).unwrap_or_default()),
        None => (digits, &[][..]),
    };
    let all_digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
    if !all_digits || (whole.is_empty() && fraction.is_empty()) {
        return Err(DecimalError::Syntax);
    }
    Ok((whole, fraction))
}

#[inline]
fn trim_leading(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

#[inline]
fn trim_trailing(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|b| **b == b'0').count();
    digits.get(..digits.len() - zeros).unwrap_or_default()
}

/// Collects bytes up to the bound; remembers if there were more.
#[derive(Default)]
struct Writer {
    text: [u8; DECIMAL_BYTES_MAX],
    len: usize,
}

impl Writer {
    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.text.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
        }
        // Past the end the length still grows, so that `finish` sees the overflow.
        self.len = (self.len + bytes.len()).min(DECIMAL_BYTES_MAX + 1).max(self.len);
    }

    #[inline]
    fn finish(self) -> Result<Decimal, DecimalError> {
        if self.len > DECIMAL_BYTES_MAX {
            return Err(DecimalError::TooLong);
        }
        let len = u8::try_from(self.len).ok().and_then(NonZeroU8::new).ok_or(DecimalError::Syntax)?;
        Ok(Decimal { len, text: self.text })
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
