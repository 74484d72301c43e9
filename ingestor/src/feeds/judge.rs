//! The state of one shard's feed out of what its symbols' sockets say, its ticks and the market's hours. Pure.

use tickwire_common::feed::FeedState;

/// Symbols that have been away for this long are down, milliseconds: several attempts have failed by then.
const DOWN_AFTER_MS: u64 = 30_000;

/// Whether a market is shut at this time, Unix milliseconds. What is traded round the clock has none.
pub type Shut = fn(now_ms: u64) -> bool;

/// What the sockets say of one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolState {
    /// Asked for; no price has come since this time, Unix milliseconds.
    Opening {
        /// Since when.
        since_ms: u64,
        /// What went wrong last.
        reason: Option<&'static str>,
    },
    /// Its prices arrive.
    Live,
    /// The socket that brought it is gone.
    Lost {
        /// Since when, Unix milliseconds.
        since_ms: u64,
        /// Why.
        reason: &'static str,
    },
    /// The venue does not carry it.
    Rejected,
}

/// What the sockets say of a shard's symbols; collected from [`SymbolState`]s.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardSockets {
    /// Symbols whose prices arrive.
    pub live: u32,
    /// Symbols that never brought a price on a socket of ours.
    pub opening: Away,
    /// Symbols whose socket is gone.
    pub lost: Away,
    /// Symbols that the venue does not carry.
    pub rejected: u32,
}

/// Symbols without prices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Away {
    /// How many.
    pub symbols: u32,
    /// Since when the one that waits longest, Unix milliseconds.
    pub since_ms: u64,
    /// Why, by the one that waits longest.
    pub reason: Option<&'static str>,
}

impl ShardSockets {
    /// How many symbols there are.
    pub fn symbols(&self) -> u32 {
        self.live
            .saturating_add(self.opening.symbols)
            .saturating_add(self.lost.symbols)
            .saturating_add(self.rejected)
    }
}

impl FromIterator<SymbolState> for ShardSockets {
    fn from_iter<I: IntoIterator<Item = SymbolState>>(states: I) -> Self {
        let mut sockets = Self::default();
        for state in states {
            match state {
                SymbolState::Live => sockets.live += 1,
                SymbolState::Opening { since_ms, reason } => sockets.opening.add(since_ms, reason),
                SymbolState::Lost { since_ms, reason } => sockets.lost.add(since_ms, Some(reason)),
                SymbolState::Rejected => sockets.rejected += 1,
            }
        }
        sockets
    }
}

impl Away {
    fn add(&mut self, since_ms: u64, reason: Option<&'static str>) {
        if self.symbols == 0 || since_ms < self.since_ms {
            (self.since_ms, self.reason) = (since_ms, reason);
        }
        self.symbols += 1;
    }

    fn for_long(&self, now_ms: u64) -> bool {
        self.symbols > 0 && now_ms.saturating_sub(self.since_ms) > DOWN_AFTER_MS
    }
}

/// What a venue's feeds are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// A shard without any tick for this long is stale though its sockets are up, milliseconds.
    pub stale_after_ms: u64,
    /// When the market is shut.
    pub shut: Option<Shut>,
}

/// The state and, if there is something to say, why. `heard_ms` is the shard's newest tick, or since when ticks are
/// expected if none has come.
pub(super) fn judge(
    rules: &Rules,
    sockets: &ShardSockets,
    heard_ms: u64,
    now_ms: u64,
) -> (FeedState, Option<String>) {
    let (state, reason) = state(rules, sockets, heard_ms, now_ms);
    let rejected = match sockets.rejected {
        0 => None,
        1 => Some("1 symbol is rejected by the venue".to_owned()),
        count => Some(format!("{count} symbols are rejected by the venue")),
    };
    let reasons: Vec<String> = reason.into_iter().chain(rejected).collect();
    (state, (!reasons.is_empty()).then(|| reasons.join("; ")))
}

/// A shard is as good as the worst of its symbols, for nobody outside knows which of them are concerned; but one that
/// was only just asked for, as on demand, takes nothing from the others.
fn state(rules: &Rules, sockets: &ShardSockets, heard_ms: u64, now_ms: u64) -> (FeedState, Option<String>) {
    let ShardSockets { live, opening, lost, .. } = sockets;
    if rules.shut.is_some_and(|shut| shut(now_ms)) {
        return (FeedState::Closed, Some("the market is shut".to_owned()));
    }
    if *live == 0 && (lost.for_long(now_ms) || opening.for_long(now_ms)) {
        return (FeedState::Down, Some(waiting(sockets)));
    }
    if lost.symbols > 0 {
        return (FeedState::Stale, Some(waiting(sockets)));
    }
    let silence_ms = now_ms.saturating_sub(heard_ms);
    if *live > 0 && silence_ms > rules.stale_after_ms {
        return (FeedState::Stale, Some(format!("no price for {} s", silence_ms / 1_000)));
    }
    match (opening.symbols, *live) {
        (0, _) => (FeedState::Live, None),
        (_, 0) => (FeedState::Connecting, Some(waiting(sockets))),
        _ => (FeedState::Live, opening.for_long(now_ms).then(|| waiting(sockets))),
    }
}

fn waiting(sockets: &ShardSockets) -> String {
    let ShardSockets { opening, lost, .. } = sockets;
    let (what, away) = if lost.symbols > 0 { ("away", lost) } else { ("without a price yet", opening) };
    let count = format!("{} of {} symbols {what}", away.symbols, sockets.symbols());
    away.reason.map_or_else(|| count.clone(), |reason| format!("{count}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { stale_after_ms: 30_000, shut: None };
    const NOW: u64 = 100_000;

    fn opening(ago_ms: u64) -> SymbolState {
        SymbolState::Opening { since_ms: NOW - ago_ms, reason: None }
    }

    fn lost(ago_ms: u64) -> SymbolState {
        SymbolState::Lost { since_ms: NOW - ago_ms, reason: "closed" }
    }

    #[test]
    fn a_shard_is_as_good_as_the_worst_of_its_symbols() {
        use FeedState::{Connecting, Down, Live, Stale};
        use SymbolState::{Live as Up, Rejected};
        let refused = SymbolState::Opening { since_ms: NOW - 31_000, reason: Some("connect") };
        for (symbols, state, reason) in [
            (vec![], Live, None),
            (vec![Up, Up], Live, None),
            (vec![opening(5), opening(9)], Connecting, Some("2 of 2 symbols without a price yet")),
            (vec![Up, opening(5)], Live, None),
            (vec![Up, opening(30_001)], Live, Some("1 of 2 symbols without a price yet")),
            (vec![Up, lost(31_000), lost(9)], Stale, Some("2 of 3 symbols away: closed")),
            (vec![opening(9), lost(30_000)], Stale, Some("1 of 2 symbols away: closed")),
            (vec![opening(9), lost(30_001)], Down, Some("1 of 2 symbols away: closed")),
            (vec![opening(9), refused], Down, Some("2 of 2 symbols without a price yet: connect")),
            (vec![Up, Rejected], Live, Some("1 symbol is rejected by the venue")),
            (vec![Rejected, Rejected], Live, Some("2 symbols are rejected by the venue")),
            (
                vec![lost(9), Rejected],
                Stale,
                Some("1 of 2 symbols away: closed; 1 symbol is rejected by the venue"),
            ),
        ] {
            let sockets = symbols.iter().copied().collect();
            assert_eq!(judge(&RULES, &sockets, NOW, NOW), (state, reason.map(str::to_owned)), "{symbols:?}");
        }
    }

    #[test]
    fn silence_is_stale_though_the_sockets_are_up_and_a_shard_that_carries_nothing_may_be_silent() {
        let up: ShardSockets = [SymbolState::Live].into_iter().collect();
        assert_eq!(judge(&RULES, &up, NOW - 30_000, NOW).0, FeedState::Live);
        let stale = judge(&RULES, &up, NOW - 31_500, NOW);
        assert_eq!(stale, (FeedState::Stale, Some("no price for 31 s".to_owned())));
        assert_eq!(judge(&RULES, &ShardSockets::default(), 0, NOW), (FeedState::Live, None));
    }

    #[test]
    fn a_shut_market_is_closed_whatever_its_sockets_do() {
        let rules = Rules { shut: Some(|now_ms| now_ms >= NOW), ..RULES };
        let sockets = [lost(40_000)].into_iter().collect();
        assert_eq!(judge(&rules, &sockets, 0, NOW).0, FeedState::Closed);
        assert_eq!(judge(&rules, &sockets, 0, NOW - 1).0, FeedState::Down);
    }
}
