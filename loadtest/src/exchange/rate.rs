//! Rates that a venue enforces: messages of one socket, requests and connects of one address.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many in so long.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Number allowed.
    pub limit: u32,
    /// Length of the window.
    pub per: Duration,
}

impl Rate {
    /// `limit` in `per`.
    pub const fn new(limit: u32, per: Duration) -> Self {
        Self { limit, per }
    }
}

/// As `COUNT/SECONDS`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.limit, self.per.as_secs())
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (limit, seconds) = text.split_once('/')?;
            let seconds = seconds.parse().ok().filter(|seconds| *seconds > 0)?;
            Some(Self::new(limit.parse().ok()?, Duration::from_secs(seconds)))
        };
        read().ok_or("a count and whole seconds, such as 300/60")
    }
}

/// Sliding window over one socket's messages: holds at most `limit` times.
#[derive(Debug)]
pub struct Window {
    rate: Rate,
    times: VecDeque<Instant>,
}

impl Window {
    /// An empty window.
    pub fn new(rate: Rate) -> Self {
        Self { rate, times: VecDeque::new() }
    }

    /// Counts one message; false when it is one too many.
    pub fn admit(&mut self, now: Instant) -> bool {
        while self.times.front().is_some_and(|first| now.duration_since(*first) >= self.rate.per) {
            self.times.pop_front();
        }
        if self.times.len() >= self.rate.limit as usize {
            return false;
        }
        self.times.push_back(now);
        true
    }
}

/// Addresses remembered at once; beyond it the ones whose window is over go, then all.
const MAX_ADDRESSES: usize = 10_000;

/// Fixed window for each address.
#[derive(Debug)]
pub struct PerAddress {
    rate: Rate,
    windows: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

/// What an address has used of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Used so far, this request included.
    pub weight: u32,
    /// The limit.
    pub limit: u32,
    /// Time until the window begins anew.
    pub resets_in: Duration,
}

impl Used {
    /// True when the limit is passed.
    pub fn is_over(&self) -> bool {
        self.weight > self.limit
    }
}

impl PerAddress {
    /// No address known yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, windows: Mutex::default() }
    }

    /// Adds `weight` to what `address` has used.
    pub fn spend(&self, address: IpAddr, weight: u32, now: Instant) -> Used {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let per = self.rate.per;
        if windows.len() >= MAX_ADDRESSES && !windows.contains_key(&address) {
            windows.retain(|_, (began, _)| now.duration_since(*began) < per);
            if windows.len() >= MAX_ADDRESSES {
                windows.clear();
            }
        }
        let (began, used) = windows.entry(address).or_insert((now, 0));
        if now.duration_since(*began) >= per {
            (*began, *used) = (now, 0);
        }
        *used = used.saturating_add(weight);
        Used {
            weight: *used,
            limit: self.rate.limit,
            resets_in: per.saturating_sub(now.duration_since(*began)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rates_are_read_as_they_are_shown() {
        assert_eq!("300/60".parse::<Rate>().unwrap().to_string(), "300/60");
        for bad in ["300", "300/0", "/60", "-1/60", "300/1s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_window_slides() {
        let start = Instant::now();
        let mut window = Window::new(Rate::new(2, SECOND));
        let at = |ms| start + Duration::from_millis(ms);
        assert!(window.admit(at(0)) && window.admit(at(600)));
        assert!(!window.admit(at(999)));
        assert!(window.admit(at(1_000)));
        assert!(!window.admit(at(1_100)));
    }

    #[test]
    fn addresses_do_not_share_a_window() {
        let start = Instant::now();
        let rates = PerAddress::new(Rate::new(3, SECOND));
        let (one, two) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        assert!(!rates.spend(one, 3, start).is_over());
        assert!(rates.spend(one, 1, start).is_over());
        assert!(!rates.spend(two, 1, start).is_over());
        assert_eq!(rates.spend(one, 1, start + SECOND).weight, 1);
    }
}
