//! Moves a made-up market in real time and publishes what changed.
//!
//! One tick is one move of one instrument: a change of the book or a trade, in turn. With `--rate R` each instrument
//! makes R moves a second, spread evenly; what frames a move gives is the venue's business.

use std::sync::Arc;
use std::time::Duration;

use tickwire_common::time::now_ms;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::catalogue::Instrument;
use super::hub::{Fill, WhenSlow};
use super::market::{Market, Move, Quote};
use super::venue::Venue;

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
    fn due(&mut self, elapsed: Duration, max: u64) -> std::ops::Range<u64> {
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
    /// Positions of the instruments that trade.
    trading: Vec<usize>,
    ticks: Cadence,
    summaries: Cadence,
}

impl<D: Dialect> Pump<D> {
    /// A feed with `rate` moves a second of each instrument.
    pub(crate) fn new(venue: Arc<Venue>, dialect: D, rate: u64) -> Self {
        let instruments = venue.catalogue.instruments().iter().enumerate();
        let trading: Vec<usize> = instruments.filter(|(_, one)| one.trading).map(|(i, _)| i).collect();
        let count = trading.len() as u64;
        let ticks = Cadence::new(rate.saturating_mul(count), Duration::from_secs(1));
        let summaries = Cadence::new(count, D::SUMMARY_EVERY);
        Self { venue, dialect, trading, ticks, summaries }
    }

    /// Moves the market until `stop`.
    pub(crate) async fn run(mut self, when_slow: WhenSlow, stop: CancellationToken) {
        let mut start = Instant::now();
        while !stop.is_cancelled() {
            self.publish_due(start.elapsed(), when_slow).await;
            let next = self.ticks.next_at().min(self.summaries.next_at());
            let now = start.elapsed();
            if now > next.saturating_add(MAX_LAG) {
                start += now - next;
            }
            if next <= now {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = sleep((next - now).clamp(MIN_SLEEP, MAX_SLEEP)) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn publish_due(&mut self, elapsed: Duration, when_slow: WhenSlow) {
        let (moves, summaries) = (self.ticks.due(elapsed, BATCH), self.summaries.due(elapsed, BATCH));
        if moves.is_empty() && summaries.is_empty() {
            return;
        }
        let publishing = self.venue.hub.publish(when_slow, |fill| {
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
        let turn = usize::try_from(n % (self.trading.len() as u64).max(1)).ok()?;
        let position = *self.trading.get(turn)?;
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
