//! The order of things: a fleet is started, disturbed by one event after the other, and after each held against what must
//! be true of it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tickwire_loadtest::watch::Own;
use tokio::time::{Instant, sleep};

use crate::args::{Args, Event};
use crate::crowd::Crowd;
use crate::events::happen;
use crate::fleet::{Fleet, Shape};
use crate::report::{Outcome, Report};
use crate::watcher::Watcher;

/// No symbol of a market with two moves a second is quiet for so long where it is carried.
pub(crate) const LIVELY: Duration = Duration::from_secs(2);
/// Longest that a fleet may take until everything ticks.
pub(crate) const RECOVERY: Duration = Duration::from_secs(60);
/// Longest until the rows of a quiet market are where they belong.
const SETTLE: Duration = Duration::from_secs(10);

/// A running fleet, and who watches it.
pub(crate) struct Stage<'a> {
    pub(crate) args: &'a Args,
    pub(crate) folder: &'a Path,
    pub(crate) fleet: Fleet,
    pub(crate) watcher: Watcher,
}

/// Everything that was asked for. An event that goes wrong is an outcome, not an error.
///
/// # Errors
/// If programs cannot be started at all.
pub(crate) async fn run(args: &Args, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let (apart, together): (Vec<Event>, Vec<Event>) =
        args.events().into_iter().partition(|event| matches!(event, Event::Lifetime | Event::Start));
    if !together.is_empty() {
        let mut stage = Stage::set(args, &Shape::of(args), folder).await?;
        for event in together {
            report.add(stage.play(event).await);
        }
    }
    for event in apart {
        let mut stage = Stage::set(args, &shape_for(args, event), folder).await?;
        report.add(stage.play(event).await);
    }
    Ok(())
}

/// The fleet of an event that wants one of its own.
fn shape_for(args: &Args, event: Event) -> Shape {
    match event {
        Event::Lifetime => {
            let seconds = args.lifetime();
            let flags = |venue: &str| format!("--venues.{venue}.socket_lifetime_seconds {seconds}");
            Shape {
                exchange_flags: format!("--lifetime {seconds}"),
                ingestor_flags: format!("{} {}", flags("binance"), flags("kucoin")),
                // KuCoin takes 30 connects a minute of one address: of sockets that live 30 s, it can have a dozen at most,
                // and that with nothing else going on.
                kucoin: args.kucoin() / 2,
                ..Shape::of(args)
            }
        }
        _ => Shape { binance: 1_500, kucoin: 1_500, ..Shape::default() },
    }
}

impl<'a> Stage<'a> {
    async fn set(args: &'a Args, shape: &Shape, folder: &'a Path) -> anyhow::Result<Self> {
        let mut fleet = Fleet::prepare(args, shape, folder).await?;
        let watcher = Watcher::start(&fleet, args.shards).await?;
        let own = fleet.own().await?;
        watcher.seen().learn(&own);
        let begun = watcher.age();
        fleet.start_ingestors(args, shape, folder).await?;
        let mut stage = Self { args, folder, fleet, watcher };
        stage.recovered().await.context("after the start")?;
        let took = stage.watcher.complete_after().unwrap_or_default().saturating_sub(begun);
        eprintln!(
            "{} symbols live {:.1} s after the ingestors were started",
            own.symbols.len(),
            took.as_secs_f64()
        );
        stage.fleet.started_in = took;
        Ok(stage)
    }

    /// Every symbol ticks again.
    ///
    /// # Errors
    /// If that does not come.
    pub(crate) async fn recovered(&self) -> anyhow::Result<()> {
        self.watcher.all_tick(LIVELY, RECOVERY).await
    }

    /// One event, from the first client to the last comparison.
    async fn play(&mut self, event: Event) -> Outcome {
        let begun = Instant::now();
        let mut outcome = Outcome::new(event);
        if let Err(error) = self.try_play(event, &mut outcome).await {
            outcome.problems.push(format!("{error:#}"));
            // Whatever comes next wants a whole fleet and a market that moves; where that does not come about, it fails, too.
            let _ = self.mend().await;
        }
        outcome.took = begun.elapsed();
        outcome.judge();
        eprintln!("{}", outcome.line());
        outcome
    }

    /// Puts right what a failed event may have left.
    async fn mend(&mut self) -> anyhow::Result<()> {
        self.fleet.proxy.heal();
        self.fleet.control("resume").await?;
        for process in self.fleet.ingestors.iter_mut().chain(&mut self.fleet.edges) {
            if process.has_ended() {
                *process = process.launch.start()?;
                process.ready().await?;
            }
        }
        self.recovered().await
    }

    async fn try_play(&mut self, event: Event, outcome: &mut Outcome) -> anyhow::Result<()> {
        sleep(self.args.calm()).await;
        let crowd = Crowd::start(self.args, &self.fleet, &outcome.name(), self.folder).await?;
        self.watcher.seen().mark();
        let dropped = self.watcher.dropped();
        let before = (self.fleet.ingestor_cpu_ms(), self.frames().await, Instant::now());
        let happened = happen(self, event, outcome).await;
        outcome.unseen = self.watcher.dropped() - dropped;
        (outcome.sums, outcome.ticks) = self.watcher.counted();
        if event == Event::Undisturbed {
            let frames = self.frames().await.saturating_sub(before.1);
            outcome.note_cpu(
                self.fleet.ingestor_cpu_ms().saturating_sub(before.0),
                frames,
                before.2.elapsed(),
            );
        }
        happened?;
        self.compare(crowd, outcome).await
    }

    async fn frames(&self) -> u64 {
        self.fleet.ingestor_metric("tickwire_ingest_frames_total").await.iter().sum()
    }

    /// Brings the market to rest and holds every row against the exchange's own values, then lets it go on.
    async fn compare(&self, crowd: Crowd, outcome: &mut Outcome) -> anyhow::Result<()> {
        self.fleet.control("quiesce").await?;
        let own: Own = self.fleet.own().await?;
        outcome.symbols = own.symbols.len();
        outcome.different = self.watcher.rows_match(&own, SETTLE).await;
        outcome.different.extend(self.watcher.store_matches(&own, SETTLE).await?);
        outcome.saw = crowd.finish().await?;
        outcome.violations = self.fleet.violations().await?;
        self.fleet.control("resume").await?;
        self.recovered().await.context("after the market was at rest")
    }
}
