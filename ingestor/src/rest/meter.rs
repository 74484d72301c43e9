//! What one venue has told about its REST limits, and whether the next question is within them. A state machine: no
//! clock, no I/O. Keeps a quarter of the weight for other programs behind the same address.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use crate::venue::facts::{RestLimits, SpentHeader};

/// Longest pause that a venue may impose; Binance bans for up to three days, and it is worth a look each hour.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// Pause where a venue says "too many" without saying for how long.
const PAUSE_DEFAULT: Duration = Duration::from_secs(60);

/// What we leave of the limit is one part of so many.
const KEPT: u32 = 4;

/// The budget of one venue.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Option<&'static RestLimits>,
    limit: u32,
    /// Spent of the window that ends at `until`, by us and by others as far as the venue told.
    spent: u32,
    until: Option<Instant>,
    silent_until: Option<Instant>,
}

impl Meter {
    /// Nothing is spent yet.
    pub(super) fn new(limits: Option<&'static RestLimits>) -> Self {
        let limit = limits.map_or(u32::MAX, |limits| limits.weight.count);
        Self { limits, limit, spent: 0, until: None, silent_until: None }
    }

    /// The venue's own word on its limit.
    pub(super) fn limit(&mut self, weight: u32) {
        if self.limits.is_some() && weight > 0 {
            self.limit = weight;
        }
    }

    /// Books a question of this weight.
    ///
    /// # Errors
    /// How long to wait before it may be asked.
    pub(super) fn admit(&mut self, weight: u32, now: Instant) -> Result<(), Duration> {
        if let Some(left) = left(self.silent_until, now) {
            return Err(left);
        }
        let Some(window) = left(self.until, now) else {
            self.spent = weight;
            self.until = self.limits.map(|limits| now + Duration::from_micros(limits.weight.per));
            return Ok(());
        };
        let spent = self.spent.saturating_add(weight);
        if spent > self.limit - self.limit / KEPT {
            return Err(window);
        }
        self.spent = spent;
        Ok(())
    }

    /// Takes the venue's own count from an answer. Windows are counted from the answer where the venue does not say
    /// when they end, which is late rather than early.
    pub(super) fn read(&mut self, headers: &HeaderMap, now: Instant) {
        let Some(limits) = self.limits else { return };
        if let Some(limit) = limits.limit_header.and_then(|name| number(headers, name)) {
            self.limit(limit);
        }
        let spent = match limits.spent {
            SpentHeader::Used(name) => number(headers, name),
            SpentHeader::Remaining(name) => number(headers, name).map(|left| self.limit.saturating_sub(left)),
        };
        if let Some(spent) = spent {
            let reset = limits.reset_header.and_then(|name| number(headers, name));
            let window = Duration::from_micros(limits.weight.per);
            let ends = reset.map_or(window, |ms| Duration::from_millis(ms.into()).min(window));
            (self.spent, self.until) = (spent, Some(now + ends));
        }
    }

    /// Nothing is asked for so long, whatever the question.
    pub(super) fn hold(&mut self, pause: Duration, now: Instant) {
        self.silent_until = self.silent_until.max(Some(now + pause));
    }

    pub(super) fn reset_header(&self) -> Option<&'static str> {
        self.limits.and_then(|limits| limits.reset_header)
    }
}

/// The pause that a failure asks for: `Retry-After` in seconds (RFC 9110, section 10.2.3; venues send no dates), else
/// the venue's own header in milliseconds. `None` where it asks for none.
pub(super) fn pause(status: StatusCode, headers: &HeaderMap, reset: Option<&str>) -> Option<Duration> {
    let is_too_many = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::IM_A_TEAPOT);
    if status.is_success() || !is_too_many && !headers.contains_key(RETRY_AFTER) {
        return None;
    }
    let seconds = || number(headers, RETRY_AFTER.as_str()).map(|s| Duration::from_secs(s.into()));
    let millis = || reset.and_then(|name| number(headers, name)).map(|ms| Duration::from_millis(ms.into()));
    Some(seconds().or_else(millis).unwrap_or(PAUSE_DEFAULT).min(PAUSE_MAX))
}

fn left(until: Option<Instant>, now: Instant) -> Option<Duration> {
    until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u32> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::venue::{binance, kucoin};

    const SECOND: Duration = Duration::from_secs(1);

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        list.iter().map(header).collect()
    }

    #[test]
    fn a_venue_without_limits_is_asked_freely() {
        let mut meter = Meter::new(None);
        let now = Instant::now();
        assert!((0..10_000).all(|_| meter.admit(1_000_000, now).is_ok()));
        meter.limit(1);
        assert!(meter.admit(100, now).is_ok());
    }

    #[test]
    fn our_own_questions_count_until_the_window_ends() {
        let mut meter = Meter::new(Some(&binance::facts::REST_LIMITS));
        let now = Instant::now();
        for _ in 0..45 {
            meter.admit(100, now).unwrap();
        }
        assert_eq!(meter.admit(1, now + SECOND), Err(59 * SECOND), "a quarter of 6,000 is kept");
        assert_eq!(meter.admit(1, now + 60 * SECOND), Ok(()));
    }

    #[test]
    fn what_others_spent_counts_too() {
        let mut meter = Meter::new(Some(&binance::facts::REST_LIMITS));
        let now = Instant::now();
        meter.admit(20, now).unwrap();
        meter.read(&headers(&[("x-mbx-used-weight-1m", "4450")]), now + SECOND);
        assert_eq!(meter.admit(50, now + SECOND), Ok(()));
        assert_eq!(meter.admit(1, now + SECOND), Err(60 * SECOND));
        meter.limit(12_000);
        assert_eq!(meter.admit(1, now + SECOND), Ok(()), "the announced limit is the authority");
    }

    #[test]
    fn remaining_weight_and_its_reset_are_read() {
        let mut meter = Meter::new(Some(&kucoin::facts::REST_LIMITS));
        let now = Instant::now();
        let told = [
            ("gw-ratelimit-limit", "400"),
            ("gw-ratelimit-remaining", "104"),
            ("gw-ratelimit-reset", "1500"),
        ];
        meter.read(&headers(&told), now);
        assert_eq!(meter.admit(4, now), Ok(()));
        assert_eq!(meter.admit(1, now), Err(Duration::from_millis(1_500)));
        assert_eq!(meter.admit(1, now + 2 * SECOND), Ok(()));
        meter.read(&headers(&[("gw-ratelimit-remaining", "many")]), now + 2 * SECOND);
        assert_eq!(meter.admit(1, now + 2 * SECOND), Ok(()), "what cannot be read changes nothing");
    }

    #[test]
    fn a_pause_holds_every_question_and_never_shrinks() {
        let mut meter = Meter::new(None);
        let now = Instant::now();
        meter.hold(10 * SECOND, now);
        meter.hold(SECOND, now + SECOND);
        assert_eq!(meter.admit(0, now + 4 * SECOND), Err(6 * SECOND));
        assert_eq!(meter.admit(0, now + 10 * SECOND), Ok(()));
    }

    #[test]
    fn pauses_are_read_and_bounded() {
        let retry = |value| headers(&[("retry-after", value)]);
        let reset = headers(&[("gw-ratelimit-reset", "2500")]);
        for (status, headers, expected) in [
            (429, retry("7"), Some(7 * SECOND)),
            (418, HeaderMap::new(), Some(PAUSE_DEFAULT)),
            (429, retry("soon"), Some(PAUSE_DEFAULT)),
            (429, retry("999999"), Some(PAUSE_MAX)),
            (429, reset.clone(), Some(Duration::from_millis(2_500))),
            (503, retry("3"), Some(3 * SECOND)),
            (503, HeaderMap::new(), None),
            (200, retry("3"), None),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(pause(status, &headers, Some("gw-ratelimit-reset")), expected, "{status} {headers:?}");
        }
    }
}
