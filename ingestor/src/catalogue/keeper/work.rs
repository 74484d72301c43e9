//! A keeper at work: one question to the venue at a time, and never a wait for it where a list of others has changed.

use std::future::pending;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tickwire_common::backoff::Backoff;
use tickwire_nats::catalogue::Catalogue;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::tell::Tell;
use super::{Keeper, TICK};
use crate::catalogue::choose::Source;
use crate::catalogue::discover::{Listing, discover};
use crate::catalogue::ledger::{Ledger, Verdict};
use crate::catalogue::lists::Lists;
use crate::rest::RestError;

/// Ceilings of the delays after a failed question.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Longest pause before a doubted answer is asked for again.
const DOUBT: Duration = Duration::from_secs(5);

/// Shortest time between two questions because a list names what is not known: it may be new.
const UNKNOWN_AGAIN: Duration = Duration::from_secs(30);

/// How often the catalogue on NATS is compared with ours, for somebody may have written over it.
const COMPARE: Duration = Duration::from_secs(30);

type Answer = Result<Listing, RestError>;

/// What happens next.
enum News {
    /// A question is due.
    Due,
    Answer(Answer),
    /// A list of others changed.
    Lists,
    /// The bucket may have been made anew.
    Bucket,
    Tick,
}

pub(super) struct Work {
    keeper: Keeper,
    ledger: Ledger,
    lists: Lists,
    tell: Tell,
    backoff: Backoff,
    rng: fastrand::Rng,
    tick: Interval,
    /// The question that is under way.
    asking: Option<BoxFuture<'static, Answer>>,
    /// When the next one is due.
    ask_at: Instant,
    asked: Instant,
    /// The catalogue on NATS may be another than ours.
    is_dirty: bool,
    written: Instant,
}

impl Work {
    /// The first question is due at once.
    pub(super) fn new(keeper: Keeper, ledger: Ledger, lists: Lists) -> anyhow::Result<Self> {
        let (backoff, now) = (Backoff::new(RETRY_FIRST, RETRY_MAX)?, Instant::now());
        let (tell, rng) = (Tell::new(keeper.id()), fastrand::Rng::new());
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            keeper,
            ledger,
            lists,
            tell,
            backoff,
            rng,
            tick,
            asking: None,
            ask_at: now,
            asked: now,
            is_dirty: false,
            written: now,
        })
    }

    /// Waits for news and does what follows from it.
    pub(super) async fn step(&mut self) {
        match self.news().await {
            News::Due => self.ask(),
            News::Answer(answer) => {
                self.asking = None;
                match answer {
                    Ok(listing) => self.listed(listing),
                    Err(error) => self.failed(&error),
                }
            }
            News::Lists => self.named(),
            News::Bucket => self.is_dirty = true,
            News::Tick => self.is_dirty |= self.written.elapsed() >= COMPARE,
        }
        self.tell.gauges(&self.ledger);
        if self.is_dirty {
            self.write().await;
        }
    }

    async fn news(&mut self) -> News {
        let Self { asking, keeper, lists, tick, .. } = self;
        let is_idle = asking.is_none();
        let answer = async {
            match asking {
                Some(asking) => asking.await,
                None => pending().await,
            }
        };
        let bucket = async {
            // The keeper of the streams ends only with the process.
            if keeper.ready.changed().await.is_err() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            answer = answer => News::Answer(answer),
            () = sleep_until(self.ask_at), if is_idle => News::Due,
            () = lists.changed() => News::Lists,
            () = bucket => News::Bucket,
            _ = tick.tick() => News::Tick,
        }
    }

    fn ask(&mut self) {
        let (venue, rest) = (self.keeper.config.venue, self.keeper.rest.clone());
        let with_volumes = self.keeper.config.selection.filter.top.is_some();
        self.asked = Instant::now();
        self.asking = Some(async move { discover(venue, &rest, with_volumes).await }.boxed());
    }

    fn listed(&mut self, listing: Listing) {
        self.backoff.reset();
        let verdict = self.ledger.listed(listing);
        self.tell.listed(verdict);
        let refresh = self.keeper.config.refresh;
        if let Verdict::Doubted { .. } = verdict {
            self.ask_at = Instant::now() + DOUBT.min(refresh);
            return;
        }
        // Nine to eleven tenths, so that processes that began together do not ask together for ever.
        self.ask_at = Instant::now() + refresh.mul_f64(0.9 + 0.2 * self.rng.f64());
        self.tell.judged(verdict, &self.ledger);
        self.is_dirty = true;
    }

    fn failed(&mut self, error: &RestError) {
        self.ask_at = Instant::now() + self.backoff.next_delay().max(error.pause());
        self.tell.failed(error);
    }

    fn named(&mut self) {
        let verdict = self.ledger.named(self.lists.named());
        self.tell.judged(verdict, &self.ledger);
        self.is_dirty |= verdict != Verdict::Same;
        if self.ledger.unknown(Source::File) + self.ledger.unknown(Source::Key) > 0 {
            self.ask_at = self.ask_at.min(self.asked + UNKNOWN_AGAIN);
        }
    }

    /// Writes the chunks that differ from what is there; tried again at the next news, at the latest in a second.
    async fn write(&mut self) {
        let Some(entries) = self.ledger.entries() else {
            self.is_dirty = false;
            return;
        };
        if !(self.keeper.may_write)() {
            return;
        }
        let result = Catalogue::new(&self.keeper.nats).put(self.keeper.id(), entries).await;
        self.tell.written(&result);
        self.is_dirty = result.is_err();
        self.written = Instant::now();
    }
}
