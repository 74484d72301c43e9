//! Durations as people write them: `250us`, `50ms`, `1.5s`, `2m`; a bare number is seconds. Read and printed without a
//! float.

use std::time::Duration;

/// Longest duration that is taken: a load test ends within a day.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a duration.
///
/// # Errors
/// A sentence that shows the forms.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write it like 250us, 50ms, 1.5s or 2m");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ns = match &text[digits.len()..] {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" | "" => 1_000_000_000,
        "m" => 60_000_000_000,
        _ => return Err(wrong()),
    };
    let duration = scaled(digits, unit_ns).map(Duration::from_nanos).ok_or_else(wrong)?;
    if duration > DURATION_MAX { Err(format!("{text:?} is over 24 hours")) } else { Ok(duration) }
}

/// Reads a number of bytes: `512`, `4KiB`, `1.5MiB`.
///
/// # Errors
/// A sentence that shows the forms.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        _ => None,
    };
    let bytes = unit.and_then(|unit| scaled(digits, unit));
    bytes.ok_or_else(|| format!("{text:?} is not a number of bytes; write it like 512, 4KiB or 1.5MiB"))
}

/// `digits[.digits]` times a unit, exactly.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let tens = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit)? / tens;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Prints microseconds in the unit that suits them: `850us`, `12.3ms`, `1.25s`.
pub(crate) fn show_us(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..1_000_000 => format!("{}.{}ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{}.{:02}s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

/// Whole microseconds of a duration.
pub(crate) fn as_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_are_read() {
        for (text, us) in [
            ("250us", 250),
            ("50ms", 50_000),
            ("1.5s", 1_500_000),
            ("2m", 120_000_000),
            ("10", 10_000_000),
            ("0", 0),
            ("0.25ms", 250),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_micros(us)), "{text}");
        }
    }

    #[test]
    fn forms_that_are_refused() {
        for text in
            ["", "s", "-1s", "1,5s", "1.s", ".5s", "1h", "1e3ms", "25h", "99999999999999999999s", "2000m"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_in_binary_units() {
        for (text, bytes) in [("512", 512), ("4KiB", 4_096), ("1.5MiB", 1_572_864), ("0", 0), ("7B", 7)] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "4kb", "-1", "4 KiB"] {
            assert!(parse_bytes(text).unwrap_err().contains("4KiB"), "{text}");
        }
    }

    #[test]
    fn the_printed_unit_suits_the_size() {
        for (us, text) in [(0, "0us"), (999, "999us"), (12_345, "12.3ms"), (1_254_000, "1.25s")] {
            assert_eq!(show_us(us), text);
        }
    }
}
