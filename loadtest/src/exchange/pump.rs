//! Moves a made-up market in real time and publishes what changed.
//!
//! One tick is one move of one instrument: a change of the book or a trade, in turn. With `--rate R` each instrument
//! makes R moves a second, spread evenly; what frames a move gives is the venue's business. Made quiet, it lets every
//! symbol move once more and then nothing, so that the newest value of each is well defined.

use std::future::pending;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tickwire_common::time::now_ms;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::catalogue::Instrument;
use super::hub::{Fill, WhenSlow};
use super::market::{Market, Move, Quote};
use super::venue::{Pace, Venue};

/// Moves made before frames are handed over.
const BATCH: u64 = 512;
/// Shortest sleep: below it the timer costs more than the market.
const MIN_SLEEP: Duration = Duration::from_millis(1);
/// Longest sleep, so that a stop is never far.
const MAX_SLEEP: Duration = Duration::from_millis(100);
/// A market further behind than this does not catch up in a burst; its clock is set back instead.
const MAX_LAG: Duration = Duration::from_millis(250);

/// How one venue writes its frames.
pub(crate) trait Dialect: Send + 'static {
    /// Period of the statistics frames of one instrument.
    const SUMMARY_EVERY: Duration;
    /// Frames of one move.
    fn tick(
        &self,
        position: usize,
        one: &Instrument,
        quote: &Quote,
        kind: Move,
        now_ms: u64,
        fill: &mut Fill<'_>,
    );
    /// The periodic statistics frame.
    fn summary(&self, position: usize, one: &Instrument, quote: &Quote, now_ms: u64, fill: &mut Fill<'_>);
}

/// So many events a second, counted from the start.
#[derive(Debug)]
struct Cadence {
    events: u64,
    per: Duration,
    done: u64,
}

impl Cadence {
    fn new(events: u64, per: Duration) -> Self {
        Self { events, per, done: 0 }
    }

    /// Numbers of the events due `elapsed` after the start, at most `max` of them; advances past them.
    fn due(&mut self, elapsed: Duration, max: u64) -> Range<u64> {
        let total = elapsed.as_nanos() * u128::from(self.events) / self.per.as_nanos().max(1);
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        let from = self.done;
        self.done = total.min(from.saturating_add(max)).max(from);
        from..self.done
    }

    /// Time from the start until the next event.
    fn next_at(&self) -> Duration {
        if self.events == 0 {
            return Duration::MAX;
        }
        let nanos = self.per.as_nanos() * u128::from(self.done + 1) / u128::from(self.events);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The made-up feed of one venue.
pub(crate) struct Pump<D> {
    venue: Arc<Venue>,
    dialect: D,
    rate: u64,
    when_slow: WhenSlow,
    turns: Turns,
}

/// Who moves when, for as long as no listing changes.
#[derive(Debug)]
struct Turns {
    generation: u64,
    start: Instant,
    /// Positions of the instruments that are listed and trade.
    trading: Vec<usize>,
    ticks: Cadence,
    summaries: Cadence,
}

impl Turns {
    fn new(venue: &Venue, rate: u64, summary_every: Duration) -> Self {
        let generation = venue.listings.generation();
        let trading: Vec<usize> =
            venue.listed().filter(|(_, one)| one.trading).map(|(position, _)| position).collect();
        let count = trading.len() as u64;
        let ticks = Cadence::new(rate.saturating_mul(count), Duration::from_secs(1));
        let summaries = Cadence::new(count, summary_every);
        Self { generation, start: Instant::now(), trading, ticks, summaries }
    }

    /// When the next event is due, after a look at the clock: a market far behind does not catch up.
    fn next_at(&mut self) -> Instant {
        let next = self.ticks.next_at().min(self.summaries.next_at());
        let now = self.start.elapsed();
        if now > next.saturating_add(MAX_LAG) {
            self.start += now - next;
        }
        self.start + next.min(now.saturating_add(MAX_SLEEP))
    }
}

impl<D: Dialect> Pump<D> {
    /// A feed with `rate` moves a second of each instrument.
    pub(crate) fn new(venue: Arc<Venue>, dialect: D, rate: u64, when_slow: WhenSlow) -> Self {
        let turns = Turns::new(&venue, rate, D::SUMMARY_EVERY);
        Self { venue, dialect, rate, when_slow, turns }
    }

    /// Moves the market until `stop`, and not while it is to be quiet.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pace = self.venue.pace.subscribe();
        while !stop.is_cancelled() {
            let current = *pace.borrow_and_update();
            let wake = match current {
                Pace::Moving => self.advance().await,
                Pace::Settling => {
                    self.settle().await;
                    continue;
                }
                Pace::Quiet => None,
            };
            // A timer would round up to the next millisecond.
            if wake.is_some_and(|at| at <= Instant::now()) {
                tokio::task::yield_now().await;
                continue;
            }
            let due = async {
                match wake {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                _ = pace.changed() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Publishes what is due; when to come back.
    async fn advance(&mut self) -> Option<Instant> {
        self.follow_listings();
        let elapsed = self.turns.start.elapsed();
        let (moves, summaries) =
            (self.turns.ticks.due(elapsed, BATCH), self.turns.summaries.due(elapsed, BATCH));
        self.publish(moves, summaries).await;
        let (next, now) = (self.turns.next_at(), Instant::now());
        Some(if next <= now { now } else { next.max(now + MIN_SLEEP) })
    }

    fn follow_listings(&mut self) {
        if self.venue.listings.generation() != self.turns.generation {
            self.turns = Turns::new(&self.venue, self.rate, D::SUMMARY_EVERY);
        }
    }

    /// Lets every symbol move the book, trade and tell its statistics one last time, then is quiet.
    async fn settle(&mut self) {
        self.follow_listings();
        // Statistics are told apart by their millisecond: the last ones have one of their own.
        sleep(MIN_SLEEP).await;
        let (count, batch) = (self.turns.trading.len() as u64, BATCH / 2);
        for from in (0..count).step_by(usize::try_from(batch).unwrap_or(usize::MAX)) {
            let part = from..count.min(from + batch);
            self.publish(part.clone(), 0..0).await;
            self.publish(part.clone(), part).await;
        }
        self.venue.pace.send_if_modified(|pace| {
            let was = std::mem::replace(pace, if *pace == Pace::Settling { Pace::Quiet } else { *pace });
            was != *pace
        });
    }

    async fn publish(&self, moves: Range<u64>, summaries: Range<u64>) {
        if moves.is_empty() && summaries.is_empty() {
            return;
        }
        let publishing = self.venue.hub.publish(self.when_slow, |fill| {
            let Some(mut market) = self.venue.market() else { return };
            let now = now_ms();
            moves.for_each(|n| self.tick(n, &mut market, now, fill));
            summaries.for_each(|n| self.summary(n, &market, now, fill));
        });
        self.venue.stats.slow_cut(publishing.await);
    }

    fn tick(&self, n: u64, market: &mut Market, now_ms: u64, fill: &mut Fill<'_>) {
        if let Some((position, one)) = self.pick(n)
            && let Some((kind, quote)) = market.step(position)
        {
            self.dialect.tick(position, one, quote, kind, now_ms, fill);
        }
    }

    fn summary(&self, n: u64, market: &Market, now_ms: u64, fill: &mut Fill<'_>) {
        if let Some((position, one)) = self.pick(n)
            && let Some(quote) = market.quote(position)
        {
            self.dialect.summary(position, one, quote, now_ms, fill);
        }
    }

    /// The instruments take turns: event `n` is for the `n mod count`th that trades.
    fn pick(&self, n: u64) -> Option<(usize, &Instrument)> {
        let turn = usize::try_from(n % (self.turns.trading.len() as u64).max(1)).ok()?;
        let position = *self.turns.trading.get(turn)?;
        Some((position, self.venue.catalogue.instruments().get(position)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_comes_once_and_at_its_time() {
        let mut cadence = Cadence::new(4, Duration::from_secs(1));
        assert_eq!(cadence.next_at(), Duration::from_millis(250));
        assert_eq!(cadence.due(Duration::from_millis(249), 10), 0..0);
        assert_eq!(cadence.due(Duration::from_millis(1_000), 3), 0..3);
        assert_eq!(cadence.due(Duration::from_millis(1_000), 3), 3..4);
        assert_eq!(cadence.due(Duration::from_millis(500), 3), 4..4);
        assert_eq!(Cadence::new(0, Duration::from_secs(1)).next_at(), Duration::MAX);
    }
}
