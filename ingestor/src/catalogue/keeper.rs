//! Keeps the catalogue of one venue true, in the one process that may: asks the venue at once and every few minutes,
//! listens to the lists of others, and writes what follows to `md_catalogue`. Never gives up and never cuts anybody off
//! for a failure: what was good stays until something better is known.

use std::future::pending;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use metrics::{counter, gauge};
use tickwire_common::backoff::Backoff;
use tickwire_nats::catalogue::Catalogue;
use tickwire_nats::{ApiError, Nats};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::choose::Source;
use super::discover::{Listing, discover};
use super::ledger::{Ledger, Verdict};
use super::lists::Lists;
use crate::config::VenueConfig;
use crate::rest::{Rest, RestError};
use crate::streams::Ready;

/// Ceilings of the delays after a failed question.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Longest pause before a doubted answer is asked for again.
const DOUBT: Duration = Duration::from_secs(5);

/// Shortest time between two questions because a list names what is not known: it may be new.
const UNKNOWN_AGAIN: Duration = Duration::from_secs(30);

/// How often what could not be written is tried again, and the age of the list is told.
const TICK: Duration = Duration::from_secs(1);

/// The keeper of one venue; [`Keeper::run`] it while its right is held.
#[derive(Clone)]
pub struct Keeper {
    config: VenueConfig,
    rest: Rest,
    nats: Nats,
    ready: watch::Receiver<Ready>,
}

/// What happens next.
enum News {
    Answer(Result<Listing, RestError>),
    Due,
    Lists,
    Nats,
    Tick,
}

/// A keeper at work.
struct Work {
    keeper: Keeper,
    ledger: Ledger,
    lists: Lists,
    backoff: Backoff,
    rng: fastrand::Rng,
    /// The question that is under way.
    asking: Option<BoxFuture<'static, Result<Listing, RestError>>>,
    /// When the next one is due.
    ask_at: Instant,
    asked: Instant,
    /// When the venue's last good answer came.
    answered: Option<Instant>,
    /// The catalogue on NATS may be another than ours.
    is_dirty: bool,
    told: Told,
}

/// What was said last, so that nothing is said twice.
#[derive(Default)]
struct Told {
    failure: Option<&'static str>,
    write_failed: bool,
    faults: Vec<String>,
}

impl Keeper {
    /// Asks by `rest`, and writes to `nats` whenever `ready` says that the bucket is there again.
    pub fn new(config: VenueConfig, rest: Rest, nats: Nats, ready: watch::Receiver<Ready>) -> Self {
        Self { config, rest, nats, ready }
    }

    /// Keeps the catalogue until `token` is cancelled.
    ///
    /// # Errors
    /// Only what no venue and no server can cause, like a connection to NATS that was closed on purpose.
    pub async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        let id = self.id();
        info!(venue = id, "keeping the catalogue");
        let kept = token.run_until_cancelled(self.keep()).await;
        gauge!("tickwire_catalogue_age_seconds", "venue" => id).set(0.0);
        info!(venue = id, "no longer keeping the catalogue");
        kept.unwrap_or(Ok(()))
    }

    fn id(&self) -> &'static str {
        self.config.venue.id()
    }

    async fn keep(self) -> anyhow::Result<()> {
        let present = self.present().await;
        let lists = Lists::open(&self.config.selection, &self.nats).await?;
        let mut ledger = Ledger::new(self.id(), self.config.selection.clone(), present);
        ledger.named(lists.named());
        let (backoff, now) = (Backoff::new(RETRY_FIRST, RETRY_MAX)?, Instant::now());
        let mut work = Work {
            keeper: self,
            ledger,
            lists,
            backoff,
            rng: fastrand::Rng::new(),
            asking: None,
            ask_at: now,
            asked: now,
            answered: None,
            is_dirty: false,
            told: Told::default(),
        };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let news = tokio::select! {
                news = work.news() => news,
                _ = tick.tick() => News::Tick,
            };
            work.take(news);
            if work.is_dirty {
                work.write().await;
            }
        }
    }

    /// What an earlier keeper left, in its places.
    async fn present(&self) -> Vec<String> {
        let catalogue = Catalogue::new(&self.nats);
        loop {
            match catalogue.list(self.id()).await {
                Ok(there) => return there.into_iter().map(|entry| entry.symbol).collect(),
                Err(ApiError::NotFound) => return Vec::new(),
                Err(error) => warn!(venue = self.id(), %error, "cannot read the catalogue, trying again"),
            }
            sleep(TICK).await;
        }
    }
}

impl Work {
    /// Cancel-safe: a question goes on where it was.
    async fn news(&mut self) -> News {
        let Self { asking, keeper, lists, .. } = self;
        let is_idle = asking.is_none();
        let answer = async {
            match asking {
                Some(asking) => asking.await,
                None => pending().await,
            }
        };
        let ready = async {
            // The keeper of the streams ends only with the process.
            if keeper.ready.changed().await.is_err() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            answer = answer => News::Answer(answer),
            () = sleep_until(self.ask_at), if is_idle => News::Due,
            () = lists.changed() => News::Lists,
            () = ready => News::Nats,
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Due => self.ask(),
            News::Answer(answer) => {
                self.asking = None;
                self.answer(answer);
            }
            News::Lists => {
                let verdict = self.ledger.named(self.lists.named());
                self.judged(verdict);
                if self.ledger.unknown(Source::File) + self.ledger.unknown(Source::Key) > 0 {
                    self.ask_at = self.ask_at.min(self.asked + UNKNOWN_AGAIN);
                }
            }
            News::Nats => self.is_dirty = true,
            News::Tick => {}
        }
        self.gauges();
    }

    fn ask(&mut self) {
        let (venue, rest) = (self.keeper.config.venue, self.keeper.rest.clone());
        let with_volumes = self.keeper.config.selection.filter.top.is_some();
        self.asked = Instant::now();
        self.asking = Some(async move { discover(venue, &rest, with_volumes).await }.boxed());
    }

    fn answer(&mut self, answer: Result<Listing, RestError>) {
        let outcome = match answer {
            Ok(listing) => self.listed(listing),
            Err(error) => {
                self.failed(&error);
                error.kind()
            }
        };
        let venue = self.keeper.id();
        counter!("tickwire_catalogue_refreshes_total", "venue" => venue, "outcome" => outcome).increment(1);
    }

    fn listed(&mut self, listing: Listing) -> &'static str {
        let venue = self.keeper.id();
        self.backoff.reset();
        if self.told.failure.take().is_some() {
            info!(venue, "the venue lists its instruments again");
        }
        let verdict = self.ledger.listed(listing);
        if let Verdict::Doubted { carried, would_be } = verdict {
            warn!(venue, carried, would_be, "the venue lists so few that it is asked once more first");
            self.ask_at = Instant::now() + DOUBT.min(self.keeper.config.refresh);
            return "doubted";
        }
        self.answered = Some(Instant::now());
        // Nine to eleven tenths, so that processes that began together do not ask together for ever.
        let refresh = self.keeper.config.refresh;
        self.ask_at = Instant::now() + refresh.mul_f64(0.9 + 0.2 * self.rng.f64());
        self.judged(verdict);
        // Also where nothing changed: somebody may have written over it.
        self.is_dirty = true;
        "ok"
    }

    fn failed(&mut self, error: &RestError) {
        let delay = self.backoff.next_delay().max(error.pause());
        self.ask_at = Instant::now() + delay;
        if self.told.failure.replace(error.kind()) != Some(error.kind()) {
            let (venue, retry_seconds) = (self.keeper.id(), delay.as_secs_f64());
            warn!(venue, %error, retry_seconds, "cannot read the instruments, keeping the last good list");
        }
    }

    fn judged(&mut self, verdict: Verdict) {
        let venue = self.keeper.id();
        if let Verdict::Changed { added, removed } = verdict {
            self.is_dirty = true;
            let symbols = self.ledger.entries().map_or(0, <[_]>::len);
            info!(venue, symbols, added, removed, "the catalogue changes");
        }
        let faults = self.ledger.faults();
        for fault in faults.iter().filter(|fault| !self.told.faults.contains(fault)) {
            warn!(venue, "{fault}");
        }
        self.told.faults = faults;
    }

    fn gauges(&self) {
        let venue = self.keeper.id();
        if let Some(answered) = self.answered {
            let age = answered.elapsed().as_secs_f64();
            gauge!("tickwire_catalogue_age_seconds", "venue" => venue).set(age);
        }
        let Some(entries) = self.ledger.entries() else { return };
        gauge!("tickwire_catalogue_symbols", "venue" => venue).set(entries.len() as f64);
        for source in Source::ALL {
            let unknown = self.ledger.unknown(source) as f64;
            gauge!("tickwire_catalogue_unknown_symbols", "venue" => venue, "source" => source.setting())
                .set(unknown);
        }
    }

    /// Writes the chunks that differ from what is there.
    async fn write(&mut self) {
        let venue = self.keeper.id();
        let Some(entries) = self.ledger.entries() else {
            self.is_dirty = false;
            return;
        };
        match Catalogue::new(&self.keeper.nats).put(venue, entries).await {
            Ok(()) => {
                self.is_dirty = false;
                self.told.write_failed = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told.write_failed, true) {
                    warn!(venue, %error, "cannot write the catalogue, trying on");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
