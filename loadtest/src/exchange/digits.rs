//! Fixed-point numbers as text: whole units in, decimal digits out. No float, no rounding but towards zero.

use bytes::{BufMut, BytesMut};

/// Decimal digits that Binance prints after the point of every price and quantity (web-socket-streams.md, checked
/// 2026-11).
pub const BINANCE_DIGITS: u8 = 8;

/// Writes `units / 10^scale` with exactly `digits` digits after the point: filled with zeros, or cut towards zero.
pub fn push_fixed(out: &mut BytesMut, units: u128, scale: u8, digits: u8) {
    let units = rescale(units, scale, digits);
    let one = 10u128.pow(u32::from(digits));
    out.put_slice(itoa::Buffer::new().format(units / one).as_bytes());
    if digits > 0 {
        out.put_u8(b'.');
        push_padded(out, units % one, digits);
    }
}

/// Like [`push_fixed`], with a sign.
pub fn push_signed(out: &mut BytesMut, units: i128, scale: u8, digits: u8) {
    // A value that is cut to nothing is zero, and zero has no sign.
    if units < 0 && rescale(units.unsigned_abs(), scale, digits) > 0 {
        out.put_u8(b'-');
    }
    push_fixed(out, units.unsigned_abs(), scale, digits);
}

/// Writes `units / 10^scale` without trailing zeros, as KuCoin writes strings: `0.5`, `242.951`, `64000`.
pub fn push_trimmed(out: &mut BytesMut, mut units: u128, mut scale: u8) {
    while scale > 0 && units.is_multiple_of(10) {
        units /= 10;
        scale -= 1;
    }
    push_fixed(out, units, scale, scale);
}

/// Writes an integer.
pub fn push_int(out: &mut BytesMut, value: u64) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Reads digits with at most one point as (units, digits after the point); `None` for anything else.
pub fn read_fixed(text: &str) -> Option<(u64, u8)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let scale = u8::try_from(fraction.len()).ok()?;
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    Some((format!("{whole}{fraction}").parse().ok()?, scale))
}

fn rescale(units: u128, scale: u8, digits: u8) -> u128 {
    if digits >= scale {
        units.saturating_mul(10u128.pow(u32::from(digits - scale)))
    } else {
        units / 10u128.pow(u32::from(scale - digits))
    }
}

fn push_padded(out: &mut BytesMut, value: u128, width: u8) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(value);
    for _ in text.len()..usize::from(width) {
        out.put_u8(b'0');
    }
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn fills_and_cuts_to_the_wanted_digits() {
        assert_eq!(text(|o| push_fixed(o, 6_423_157, 2, 8)), "64231.57000000");
        assert_eq!(text(|o| push_fixed(o, 7, 8, 8)), "0.00000007");
        assert_eq!(text(|o| push_fixed(o, 123_456_789_012, 10, 8)), "12.34567890");
        assert_eq!(text(|o| push_fixed(o, 5, 0, 0)), "5");
    }

    #[test]
    fn a_sign_stands_only_before_what_is_printed() {
        assert_eq!(text(|o| push_signed(o, -12_300, 5, 3)), "-0.123");
        assert_eq!(text(|o| push_signed(o, -1, 5, 3)), "0.000");
    }

    #[test]
    fn trims_trailing_zeros_but_keeps_whole_numbers() {
        assert_eq!(text(|o| push_trimmed(o, 24_265_000, 5)), "242.65");
        assert_eq!(text(|o| push_trimmed(o, 640_000, 1)), "64000");
        assert_eq!(text(|o| push_trimmed(o, 0, 4)), "0");
    }

    #[test]
    fn reads_digits_and_nothing_else() {
        assert_eq!(read_fixed("64231.57"), Some((6_423_157, 2)));
        assert_eq!(read_fixed("0.00000987"), Some((987, 8)));
        for bad in ["", ".5", "1e3", "-1", "1.2.3"] {
            assert_eq!(read_fixed(bad), None, "{bad}");
        }
    }
}
