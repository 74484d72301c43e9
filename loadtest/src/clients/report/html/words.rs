//! Figures and texts as they stand in the report: numbers with units, dates, text that is safe in HTML, and the command
//! line without what is secret.

use std::fmt::{self, Write as _};

/// Text in HTML, in elements and in quoted attributes.
pub(super) struct Text<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaping = Escaping(f);
        write!(escaping, "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                // What neither HTML nor XML may hold.
                c if c.is_control() && !matches!(c, '\n' | '\t') => self.0.write_char('\u{fffd}')?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Microseconds in the unit that suits them, with three digits: `850 us`, `12.3 ms`, `1.25 s`, `3 min`.
pub(super) fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => digits(us, 1_000) + " ms",
        1_000_000..120_000_000 => digits(us, 1_000_000) + " s",
        _ => digits(us, 60_000_000) + " min",
    }
}

/// A count with three digits and a letter for thousands: `950`, `12.3 k`, `4 M`.
pub(super) fn count(value: u64) -> String {
    match value {
        0..1_000 => value.to_string(),
        1_000..1_000_000 => digits(value, 1_000) + " k",
        1_000_000..1_000_000_000 => digits(value, 1_000_000) + " M",
        _ => digits(value, 1_000_000_000) + " G",
    }
}

/// Bytes, by thousands.
pub(super) fn bytes(value: u64) -> String {
    match value {
        0..1_000 => format!("{value} B"),
        1_000..1_000_000 => digits(value, 1_000) + " kB",
        1_000_000..1_000_000_000 => digits(value, 1_000_000) + " MB",
        _ => digits(value, 1_000_000_000) + " GB",
    }
}

/// All digits, in groups of three.
pub(super) fn exact(value: u64) -> String {
    let plain = value.to_string();
    let mut grouped = String::with_capacity(plain.len() + plain.len() / 3);
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            // A narrow space that does not break.
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// `value / unit` with about three digits, and no zeros behind the point.
fn digits(value: u64, unit: u64) -> String {
    let whole = value / unit;
    let places = match whole {
        0..10 => 2,
        10..100 => 1,
        _ => return whole.to_string(),
    };
    let tens = 10u64.pow(places);
    let part = value % unit * tens / unit;
    let text = format!("{whole}.{part:0width$}", width = places as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Seconds since the begin, on the horizontal axis.
pub(super) fn clock(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3_600, seconds / 60 % 60),
    }
}

/// A Unix time as people write it, UTC. By the days-to-date formula of
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
pub(super) fn date(unix_us: u64) -> String {
    let seconds = unix_us / 1_000_000;
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March.
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_have_units_and_few_digits() {
        for (us, text) in
            [(0, "0 µs"), (850, "850 µs"), (12_345, "12.3 ms"), (1_250_000, "1.25 s"), (180_000_000, "3 min")]
        {
            assert_eq!(time(us), text);
        }
        assert_eq!([950, 12_345, 4_000_000].map(count), ["950", "12.3 k", "4 M"]);
        assert_eq!([12, 1_500, 2_000_000].map(bytes), ["12 B", "1.5 kB", "2 MB"]);
        assert_eq!([7, 1_234, 1_234_567].map(exact), ["7", "1\u{202f}234", "1\u{202f}234\u{202f}567"]);
        assert_eq!([5, 150, 7_260].map(clock), ["5 s", "2:30 min", "2:01 h"]);
    }

    #[test]
    fn dates_as_the_calendar_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_827_696, "2000-02-29 12:34:56 UTC"),
            (1_763_683_199, "2025-11-20 23:59:59 UTC"),
            (1_798_761_600, "2027-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(seconds * 1_000_000), text);
        }
    }

    #[test]
    fn nothing_breaks_out_of_its_element() {
        let text = Text("<script>alert('x')</script> & \"q\"\u{1}").to_string();
        assert_eq!(text, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;q&quot;\u{fffd}");
    }

    proptest! {
        #[test]
        fn no_text_holds_markup(text in any::<String>()) {
            let shown = Text(&text).to_string();
            prop_assert!(!shown.contains(['<', '>', '"', '\'']));
        }
    }
}
