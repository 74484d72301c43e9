//! Which of several venues serves a name without venue: a state machine without clock and without names. Candidates are
//! numbers, in order of preference.
//!
//! Away from a venue that is down it goes at once, from one that is not live after a while; back to a better one only
//! after that one was live for long without a break. Between two moves there is always the same while, so a name is on a
//! venue without prices no longer than that while another has some, and venues that flicker do not make it flicker.

use std::time::{Duration, Instant};

use super::stand::Stand;

/// For how long a venue must be what it is before a name moves.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long a venue may be not live; also the least time between two moves.
    pub leave: Duration,
    /// How long a better venue must have been live; also the least time between a move and the way back.
    pub back: Duration,
}

/// Why a name has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The venue is down.
    Down,
    /// It was not live for too long.
    Stale,
    /// A better one is live again.
    Back,
    /// It does not list the symbol any more.
    Delisted,
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    chosen: usize,
    moved: Option<Instant>,
}

impl Pick {
    /// Begins with the first that is live, else with the first.
    pub fn first(stands: impl IntoIterator<Item = Stand>) -> Self {
        Self { chosen: stands.into_iter().position(Stand::is_live).unwrap_or(0), moved: None }
    }

    /// Which candidate serves the name.
    pub fn chosen(&self) -> usize {
        self.chosen
    }

    /// The candidates are others now; the one that serves has this number among them.
    pub fn renumber(&mut self, chosen: usize) {
        self.chosen = chosen;
    }

    /// The one that served is no candidate any more.
    pub fn start_over(&mut self, stands: impl IntoIterator<Item = Stand>, now: Instant) {
        *self = Self { moved: Some(now), ..Self::first(stands) };
    }

    /// Looks at how the candidates stand now; gives why the choice is another one, if it is.
    pub fn next(&mut self, stands: &[Stand], now: Instant, patience: &Patience) -> Option<Why> {
        let (to, at, why) = self.wish(stands, patience)?;
        if at.is_some_and(|at| now < at) {
            return None;
        }
        *self = Self { chosen: to, moved: Some(now) };
        Some(why)
    }

    /// When the choice will be another one if nothing happens before; `None` if it will not.
    pub fn next_deadline(&self, stands: &[Stand], now: Instant, patience: &Patience) -> Option<Instant> {
        self.wish(stands, patience).map(|(_, at, _)| at.unwrap_or(now))
    }

    /// Where to go, from when on, and why; at once without a time.
    fn wish(&self, stands: &[Stand], patience: &Patience) -> Option<(usize, Option<Instant>, Why)> {
        let after = |since: Option<Instant>, wait: Duration| since.map(|since| since + wait);
        let live = || stands.iter().position(|stand| stand.is_live());
        let leave = |since| after(self.moved, patience.leave).max(after(since, patience.leave));
        match stands.get(self.chosen).copied().unwrap_or(Stand::Down) {
            Stand::Live { .. } => {
                let better = stands.iter().take(self.chosen).enumerate();
                let times = better.filter_map(|(to, stand)| match stand {
                    Stand::Live { since } => {
                        let at = after(self.moved, patience.back).max(after(*since, patience.back));
                        Some((to, at, Why::Back))
                    }
                    Stand::Off { .. } | Stand::Down => None,
                });
                // The soonest, and of those the best; it is looked at again whenever one of them changes.
                times.min_by_key(|(to, at, _)| (*at, *to))
            }
            Stand::Off { since } => live().map(|to| (to, leave(since), Why::Stale)),
            Stand::Down => live().map(|to| (to, leave(None), Why::Down)),
        }
    }
}

#[cfg(test)]
mod tests;
