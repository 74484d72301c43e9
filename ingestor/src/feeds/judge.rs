//! The state of one shard's feed out of what its symbols' sockets say, its ticks and the market's hours. Pure.

use tickwire_common::feed::FeedState;

use crate::link::Summary;

/// Symbols that have been away for this long are down, milliseconds: several attempts have failed by then.
const DOWN_AFTER_MS: u64 = 30_000;

/// Whether a market is shut at this time, Unix milliseconds. What is traded round the clock has none.
pub type Shut = fn(now_ms: u64) -> bool;

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
    sockets: &Summary,
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
fn state(rules: &Rules, sockets: &Summary, heard_ms: u64, now_ms: u64) -> (FeedState, Option<String>) {
    let for_long = |since_ms: Option<u64>| {
        since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) > DOWN_AFTER_MS)
    };
    if rules.shut.is_some_and(|shut| shut(now_ms)) {
        return (FeedState::Closed, Some("the market is shut".to_owned()));
    }
    if sockets.live == 0 && (for_long(sockets.lost_since_ms) || for_long(sockets.opening_since_ms)) {
        return (FeedState::Down, Some(waiting(sockets)));
    }
    if sockets.lost > 0 {
        return (FeedState::Stale, Some(waiting(sockets)));
    }
    let silence_ms = now_ms.saturating_sub(heard_ms);
    if sockets.live > 0 && silence_ms > rules.stale_after_ms {
        return (FeedState::Stale, Some(format!("no price for {} s", silence_ms / 1_000)));
    }
    match (sockets.opening, sockets.live) {
        (0, _) => (FeedState::Live, None),
        (_, 0) => (FeedState::Connecting, Some(waiting(sockets))),
        _ => (FeedState::Live, for_long(sockets.opening_since_ms).then(|| waiting(sockets))),
    }
}

/// How many symbols that is about.
pub(super) fn symbols(sockets: &Summary) -> u32 {
    let Summary { opening, live, lost, rejected, .. } = sockets;
    opening.saturating_add(*live).saturating_add(*lost).saturating_add(*rejected)
}

fn waiting(sockets: &Summary) -> String {
    let all = symbols(sockets);
    let count = match (sockets.lost, sockets.opening) {
        (0, opening) => format!("{opening} of {all} symbols are not carried yet"),
        (lost, _) => format!("{lost} of {all} symbols are away"),
    };
    sockets.reason.map_or_else(|| count.clone(), |reason| format!("{count}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { stale_after_ms: 30_000, shut: None };
    const NOW: u64 = 100_000;

    /// So many live, opening and lost symbols, the latter two since so long ago.
    fn sockets(live: u32, opening: (u32, u64), lost: (u32, u64)) -> Summary {
        let since_ms = |(count, ago_ms): (u32, u64)| (count > 0).then(|| NOW - ago_ms);
        Summary {
            opening: opening.0,
            live,
            lost: lost.0,
            opening_since_ms: since_ms(opening),
            lost_since_ms: since_ms(lost),
            reason: (lost.0 > 0).then_some("closed"),
            ..Summary::default()
        }
    }

    #[test]
    fn a_shard_is_as_good_as_the_worst_of_its_symbols() {
        use FeedState::{Connecting, Down, Live, Stale};
        let refused = |rejected, summary| Summary { rejected, ..summary };
        for (summary, state, reason) in [
            (sockets(0, (0, 0), (0, 0)), Live, None),
            (sockets(2, (0, 0), (0, 0)), Live, None),
            (sockets(0, (2, 9), (0, 0)), Connecting, Some("2 of 2 symbols are not carried yet")),
            (sockets(1, (1, 5), (0, 0)), Live, None),
            (sockets(1, (1, 30_001), (0, 0)), Live, Some("1 of 2 symbols are not carried yet")),
            (sockets(1, (0, 0), (2, 31_000)), Stale, Some("2 of 3 symbols are away: closed")),
            (sockets(0, (1, 9), (1, 30_000)), Stale, Some("1 of 2 symbols are away: closed")),
            (sockets(0, (1, 9), (1, 30_001)), Down, Some("1 of 2 symbols are away: closed")),
            (sockets(0, (2, 30_001), (0, 0)), Down, Some("2 of 2 symbols are not carried yet")),
            (refused(1, sockets(1, (0, 0), (0, 0))), Live, Some("1 symbol is rejected by the venue")),
            (refused(2, sockets(0, (0, 0), (0, 0))), Live, Some("2 symbols are rejected by the venue")),
            (
                refused(1, sockets(0, (0, 0), (1, 9))),
                Stale,
                Some("1 of 2 symbols are away: closed; 1 symbol is rejected by the venue"),
            ),
        ] {
            assert_eq!(judge(&RULES, &summary, NOW, NOW), (state, reason.map(str::to_owned)), "{summary:?}");
        }
    }

    #[test]
    fn silence_is_stale_though_the_sockets_are_up_and_a_shard_that_carries_nothing_may_be_silent() {
        let up = sockets(1, (0, 0), (0, 0));
        assert_eq!(judge(&RULES, &up, NOW - 30_000, NOW).0, FeedState::Live);
        let stale = judge(&RULES, &up, NOW - 31_500, NOW);
        assert_eq!(stale, (FeedState::Stale, Some("no price for 31 s".to_owned())));
        assert_eq!(judge(&RULES, &Summary::default(), 0, NOW), (FeedState::Live, None));
    }

    #[test]
    fn a_shut_market_is_closed_whatever_its_sockets_do() {
        let rules = Rules { shut: Some(|now_ms| now_ms >= NOW), ..RULES };
        let lost = sockets(0, (0, 0), (1, 40_000));
        assert_eq!(judge(&rules, &lost, 0, NOW).0, FeedState::Closed);
        assert_eq!(judge(&rules, &lost, 0, NOW - 1).0, FeedState::Down);
    }
}
