//! One run from the first connect to the last straggler: phases, the second's sample, the progress line. Measures this
//! process too, because a load test that cannot keep up measures itself.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use tickwire_common::time::now_us;

use super::args::Plan;
use super::backstage::Backstage;
use super::class::Classes;
use super::delivery::Loss;
use super::host;
use super::interrupt::Interrupts;
use super::latency::{Percentiles, histogram};
use super::phase::{Facts, Phase, QUIET};
use super::pool::Pool;
use super::publish::Published;
use super::store::Comparison;
use super::tally::Tally;
use super::units::{as_us, show_us};

const SECOND: Duration = Duration::from_secs(1);

/// How often the drain is looked at.
const DRAIN_CHECK: Duration = Duration::from_millis(100);

/// Seconds that a phase cut short get no progress line below this.
const LINE_MIN: Duration = Duration::from_millis(100);

/// One second of a run, or what a phase left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Sample {
    /// Milliseconds since the run began.
    pub(crate) at_ms: u64,
    pub(crate) length_us: u64,
    pub(crate) phase: Phase,
    pub(crate) connected: u64,
    /// Update rows that arrived, whether measured or not.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Unexpected closes so far.
    pub(crate) closes: u64,
    /// Clients so far that did not become live.
    pub(crate) failures: u64,
    pub(crate) latency_us: Percentiles,
    /// How old the prices had become that rows of this second replaced.
    pub(crate) age_us: Percentiles,
    /// Longest that this process may have left a ready socket waiting, µs.
    pub(crate) own_lag_us: u64,
}

impl Sample {
    /// Less than a line's worth: what a phase has left over of a second.
    pub(crate) fn is_short(&self) -> bool {
        self.length_us < as_us(LINE_MIN)
    }
}

/// How this process itself did in the measured window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Own {
    /// CPU time of the loop, µs; `None` where the system does not tell.
    pub(crate) cpu_us: Option<u64>,
    /// The same in parts per 1,000 of the window.
    pub(crate) cpu_permille: Option<u64>,
    /// From a wake to the end of everything that was ready, µs: what this process may have added to a latency.
    pub(crate) lag_us: Percentiles,
}

/// Everything that a run gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// How long the window was open; zero if it never was.
    pub(crate) window: Duration,
    /// Somebody ended the run before its time.
    pub(crate) interrupted: bool,
    /// Update rows that arrived while the window was open.
    pub(crate) received: u64,
    /// The queues were empty at the end.
    pub(crate) drained: bool,
    /// Live clients when the window ended.
    pub(crate) connected: u64,
    /// From the scheduled begin of a client to its last ack, µs.
    pub(crate) settle_us: Percentiles,
    pub(crate) latency_us: Percentiles,
    /// How old the price had become that a row replaced, or that was held when the window ended.
    pub(crate) age_us: Percentiles,
    /// Of each steady client the longest time without a row in the window; `rows` counts clients.
    pub(crate) gap_us: Percentiles,
    /// What happened to each class of clients.
    pub(crate) classes: Classes,
    /// Rows that came before their own `v`.
    pub(crate) negative: u64,
    pub(crate) loss: Loss,
    pub(crate) tally: Tally,
    pub(crate) own: Own,
    /// What this process published itself, if it did.
    pub(crate) published: Option<Published>,
    /// How clients and store compare, if that was asked for.
    pub(crate) store: Option<Comparison>,
    pub(crate) series: Vec<Sample>,
}

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    pool: Pool<'a>,
    interrupts: Interrupts,
    backstage: Backstage,
    begun: Instant,
    phase: Phase,
    phase_begun: Instant,
    interrupts_before: usize,
    second_begun: Instant,
    /// Rows and bytes when the second began.
    before: (u64, u64),
    lag: Histogram<u64>,
    lag_max: Duration,
    cpu_before: Option<Duration>,
    last_row: (u64, Instant),
    result: Measured,
}

/// Runs the plan.
///
/// # Errors
/// If the kernel refuses what the loop itself needs. Clients that fail are counted, not errors.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<Measured> {
    let backstage = Backstage::start(plan)?;
    let mut run = Run::new(plan, backstage)?;
    while run.phase != Phase::Done {
        run.turn()?;
    }
    Ok(run.finish())
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, backstage: Backstage) -> anyhow::Result<Self> {
        let pool = Pool::new(plan)?;
        let interrupts = Interrupts::listen(pool.waker()?)?;
        backstage.underway()?;
        let now = Instant::now();
        Ok(Self {
            plan,
            pool,
            interrupts,
            backstage,
            begun: now,
            phase: Phase::Ramp,
            phase_begun: now,
            interrupts_before: 0,
            second_begun: now,
            before: (0, 0),
            lag: histogram()?,
            lag_max: Duration::ZERO,
            cpu_before: None,
            last_row: (0, now),
            result: Measured::default(),
        })
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        let next_client = self.pool.begin_due();
        let now = Instant::now();
        let wake =
            [next_client, self.phase_end(), Some(self.second_begun + SECOND)].into_iter().flatten().min();
        let mut timeout = wake.map_or(SECOND, |wake| wake.saturating_duration_since(now));
        if self.phase == Phase::Drain {
            timeout = timeout.min(DRAIN_CHECK);
        }
        // One look at the clock for all that follows: a turn may serve a single row.
        let now = self.pool.turn(timeout)?;
        self.note_lag(now);
        if now.saturating_duration_since(self.second_begun) >= SECOND {
            self.end_second()?;
        }
        self.advance(now)
    }

    fn phase_end(&self) -> Option<Instant> {
        self.plan.timetable.length(self.phase).map(|length| self.phase_begun + length)
    }

    fn note_lag(&mut self, now: Instant) {
        let lag = self.pool.lag;
        self.lag_max = self.lag_max.max(lag);
        if self.phase == Phase::Measure && !lag.is_zero() {
            self.lag.saturating_record(as_us(lag));
        }
        let rows = self.pool.bench.tally.rows;
        if rows != self.last_row.0 {
            self.last_row = (rows, now);
        }
    }

    fn advance(&mut self, now: Instant) -> anyhow::Result<()> {
        let facts = Facts {
            elapsed: now.saturating_duration_since(self.phase_begun),
            settled: self.pool.settled(),
            live: self.pool.remaining(),
            interrupted: self.interrupts.count() > self.interrupts_before,
            drained: self.phase == Phase::Drain && self.drained(),
        };
        let Some(next) = self.plan.timetable.next(self.phase, &facts) else { return Ok(()) };
        self.end_second()?;
        self.result.interrupted |= facts.interrupted;
        self.result.drained = facts.drained;
        match next {
            Phase::Measure => self.open(),
            Phase::Drain => self.shut(facts.elapsed)?,
            _ => {}
        }
        (self.phase, self.phase_begun) = (next, Instant::now());
        self.interrupts_before = self.interrupts.count();
        Ok(())
    }

    /// Nothing of the window came for a while, and every live client has its last row, also by the store.
    fn drained(&mut self) -> bool {
        let live = self.pool.steady().filter(|(_, live)| *live).map(|(slots, _)| slots);
        let delivery = &self.pool.bench.delivery;
        self.last_row.1.elapsed() >= QUIET
            && delivery.caught_up(live.clone())
            && self.backstage.is_settled(delivery, live)
    }

    fn open(&mut self) {
        self.pool.open(now_us());
        self.backstage.open();
        self.cpu_before = host::thread_cpu();
        self.result.received = self.pool.bench.tally.update_rows;
    }

    fn shut(&mut self, window: Duration) -> anyhow::Result<()> {
        self.result.gap_us = self.pool.shut(now_us())?;
        self.backstage.shut();
        let cpu = self.cpu_before.zip(host::thread_cpu()).map(|(before, now)| now.saturating_sub(before));
        let cpu_us = cpu.map(as_us);
        let permille = |cpu_us: u64| cpu_us.saturating_mul(1_000) / as_us(window).max(1);
        self.result.own =
            Own { cpu_us, cpu_permille: cpu_us.map(permille), lag_us: Percentiles::of(&self.lag) };
        self.result.received = self.pool.bench.tally.update_rows - self.result.received;
        self.result.window = window;
        self.result.connected = self.pool.live() as u64;
        self.pool.calm_down();
        Ok(())
    }

    fn end_second(&mut self) -> anyhow::Result<()> {
        self.pool.expire();
        let latency_us = self.pool.bench.latency.end_second()?;
        let age_us = self.pool.bench.age.end_second()?;
        let tally = &self.pool.bench.tally;
        let (rows, bytes) = (tally.update_rows, tally.bytes);
        let sample = Sample {
            at_ms: as_us(self.begun.elapsed()) / 1_000,
            length_us: as_us(self.second_begun.elapsed()),
            phase: self.phase,
            connected: self.pool.live() as u64,
            rows: rows - self.before.0,
            bytes: bytes - self.before.1,
            closes: tally.closes.total(),
            failures: tally.failures.total(),
            latency_us,
            age_us,
            own_lag_us: as_us(self.lag_max),
        };
        if !self.plan.quiet && !sample.is_short() {
            eprintln!("{}", progress_line(&sample));
        }
        self.result.series.push(sample);
        (self.before, self.lag_max) = ((rows, bytes), Duration::ZERO);
        self.second_begun = Instant::now();
        Ok(())
    }

    fn finish(self) -> Measured {
        let Self { mut pool, mut result, backstage, .. } = self;
        let live = pool.steady().filter(|(_, live)| *live).map(|(slots, _)| slots);
        (result.published, result.store) = backstage.finish(&pool.bench.delivery, live);
        result.loss = pool.bench.delivery.settle(pool.steady());
        pool.close();
        result.settle_us = Percentiles::of(&pool.settle);
        result.latency_us = pool.bench.latency.percentiles();
        result.age_us = pool.bench.age.percentiles();
        result.negative = pool.bench.latency.negative;
        result.classes = pool.bench.classes;
        result.tally = pool.bench.tally;
        result
    }
}

/// One line a second: where the run is, and how it goes.
fn progress_line(sample: &Sample) -> String {
    let rate = sample.rows.saturating_mul(1_000_000) / sample.length_us.max(1);
    let p99 = if sample.latency_us.rows == 0 { "-".to_owned() } else { show_us(sample.latency_us.p99) };
    let Sample { at_ms, connected, closes, failures, .. } = sample;
    let (at, phase) = (at_ms / 1_000, sample.phase.as_str());
    format!(
        "{at:>5} s  {phase:<8} connected {connected:>6}  rows/s {rate:>9}  p99 {p99:>8}  closed {closes}  failed {failures}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_line() {
        let latency_us = Percentiles { rows: 5, p99: 12_345, ..Percentiles::default() };
        let sample = Sample {
            at_ms: 12_300,
            length_us: 500_000,
            phase: Phase::Measure,
            connected: 10_000,
            rows: 50_000,
            bytes: 1,
            closes: 2,
            failures: 3,
            latency_us,
            age_us: Percentiles::default(),
            own_lag_us: 7,
        };
        let line = "   12 s  measure  connected  10000  rows/s    100000  p99   12.3ms  closed 2  failed 3";
        assert_eq!(progress_line(&sample), line);
    }
}
