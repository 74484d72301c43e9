//! The two threads behind the loop of the clients: the pace, and the connection to NATS. The loop asks and never waits
//! for them; what it asked for it finds later. Whatever way a run ends, the catalogue entry of the made-up symbols is
//! taken away again, unless the process is killed; the next run overwrites what is left then.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use tickwire_common::feed::FeedState;
use tickwire_common::time::now_us;
use tickwire_nats::publish::Publisher;
use tickwire_nats::{Subject, subject};
use tokio::sync::mpsc;

use super::pacer::{Kind, Pacer, Published, Tape};
use super::{NatsPlan, Offer, VENUE, link, symbol_name};
use crate::clients::store::Stored;

/// How long the server that is measured may take to list the made-up symbols.
const LISTED_MAX: Duration = Duration::from_secs(10);

/// How often it is asked.
const LISTED_CHECK: Duration = Duration::from_millis(100);

/// Words and questions that wait: a run has fewer than this.
const WAITING_MAX: usize = 16;

/// What the pace is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The measured window begins.
    Open,
    /// The measured window ends: no row is due after now.
    Shut,
    /// NATS came back and may have lost what it had.
    Refresh,
    /// The run is over.
    Close,
}

/// What the connection is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Somebody else takes Ctrl-C from now on.
    Underway,
    /// Read the store. Versions by made-up symbol, if publishing is over: the store is to come as far as these.
    Read(Option<Vec<u64>>),
}

/// Both threads, as the loop of the clients sees them.
#[derive(Debug)]
pub(crate) struct Desk {
    asks: mpsc::Sender<Ask>,
    stored: Receiver<Stored>,
    link: JoinHandle<anyhow::Result<()>>,
    pace: Option<Publishing>,
}

/// The thread that keeps the pace, and how to tell it something.
#[derive(Debug)]
struct Publishing {
    words: SyncSender<Word>,
    thread: JoinHandle<(Published, Tape)>,
}

impl Desk {
    /// Connects, sets up what `plan` needs, begins to publish, and waits until the server, asked by `listed`, knows
    /// the made-up symbols. `names` are the clients' symbols.
    ///
    /// # Errors
    /// If NATS or the server does not come so far in time, or somebody interrupts.
    pub(crate) fn start(
        plan: &NatsPlan,
        names: &[String],
        seed: u64,
        listed: impl Fn() -> anyhow::Result<Vec<String>>,
    ) -> anyhow::Result<Self> {
        let (ready, is_ready) = sync_channel(1);
        let (asks, questions) = mpsc::channel(WAITING_MAX);
        let (tell, stored) = sync_channel(1);
        let (words, told) = sync_channel(WAITING_MAX);
        let ends = link::Ends { ready, asks: questions, stored: tell, pace: words.clone() };
        let link = link::Link::new(plan, names)?;
        let link = Builder::new().name("nats".to_owned()).spawn(move || link.run(ends))?;
        let mut desk = Self { asks, stored, link, pace: None };
        let Ok(publisher) = is_ready.recv() else { return Err(desk.failure()) };
        if let Some(offer) = plan.offer {
            let pacer = Pacer::new(offer, seed, Instant::now(), now_us())?;
            let pace =
                Pace { pacer, publisher, subjects: subjects(offer), words: told, asks: desk.asks.clone() };
            let thread = Builder::new().name("publish".to_owned()).spawn(move || pace.run())?;
            desk.pace = Some(Publishing { words, thread });
            if let Err(error) = desk.wait_until_listed(names, listed, &is_ready) {
                desk.close();
                return Err(error);
            }
        }
        Ok(desk)
    }

    /// The edges follow the catalogue; until they have read it, they would refuse the symbols.
    fn wait_until_listed(
        &self,
        names: &[String],
        listed: impl Fn() -> anyhow::Result<Vec<String>>,
        ended: &Receiver<Publisher>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let Some(name) = names.last() else { return Ok(()) };
        loop {
            let answer = listed();
            if answer.as_ref().is_ok_and(|names| names.contains(name)) {
                return Ok(());
            }
            if begun.elapsed() > LISTED_MAX {
                answer.context("--publish: the server does not list its symbols")?;
                bail!("--publish: the server does not list {name}; does it use the same NATS?");
            }
            // Nothing more is sent here: it ends when the other side does.
            if matches!(ended.recv_timeout(LISTED_CHECK), Err(RecvTimeoutError::Disconnected)) {
                bail!("interrupted before the first client began");
            }
        }
    }

    /// Why the connection's thread has ended.
    fn failure(self) -> anyhow::Error {
        match self.link.join() {
            Ok(Err(error)) => error,
            _ => anyhow!("the connection to NATS ended"),
        }
    }

    /// Ctrl-C is taken by the caller from now on.
    ///
    /// # Errors
    /// If one has come already.
    pub(crate) fn underway(&self) -> anyhow::Result<()> {
        self.asks.try_send(Ask::Underway).map_err(|_| anyhow!("interrupted before the first client began"))
    }

    /// The measured window begins.
    pub(crate) fn open(&self) {
        self.tell(Word::Open);
    }

    /// The measured window has ended: publishing ends, and the store is read once all that was published is there.
    pub(crate) fn shut(&self) {
        if self.pace.is_some() {
            self.tell(Word::Shut);
        } else {
            // Full only if a dozen questions wait already; then the store stays unread, which the report says.
            let _ = self.asks.try_send(Ask::Read(None));
        }
    }

    fn tell(&self, word: Word) {
        if let Some(Publishing { words, .. }) = &self.pace {
            // The thread takes words between any two batches; if it is gone, its figures will be missing.
            let _ = words.try_send(word);
        }
    }

    /// What stands in the store, once it has been read after [`Desk::shut`].
    pub(crate) fn stored(&self) -> Option<Stored> {
        self.stored.try_recv().ok()
    }

    /// Ends both threads and takes the catalogue entry away; figures and record of what was published.
    pub(crate) fn close(self) -> Option<(Published, Tape)> {
        let published = self.pace.and_then(|Publishing { words, thread }| {
            // A thread that is gone cannot take it; its end is found by the join.
            let _ = words.send(Word::Close);
            thread.join().ok()
        });
        drop(self.asks);
        match self.link.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("NATS: {error:#}"),
            Err(_panicked) => tracing::warn!("NATS: the connection's thread panicked"),
        }
        published
    }
}

/// The subjects of a made-up symbol, ticks first.
fn subjects(offer: Offer) -> Vec<(Subject, Subject)> {
    let of = |symbol| {
        let name = symbol_name(symbol);
        (subject::tick(VENUE, &name), subject::last(VENUE, &name))
    };
    (0..offer.symbols).map(of).collect()
}

/// The thread that keeps the pace.
struct Pace {
    pacer: Pacer,
    publisher: Publisher,
    subjects: Vec<(Subject, Subject)>,
    words: Receiver<Word>,
    asks: mpsc::Sender<Ask>,
}

impl Pace {
    /// Until it is told to end.
    fn run(mut self) -> (Published, Tape) {
        let feed = subject::feed(VENUE, "0");
        let mut ask = false;
        loop {
            let Self { pacer, publisher, subjects, words, asks } = &mut self;
            let wake = pacer.step(Instant::now(), |kind, payload| match kind {
                Kind::Feed => publisher.try_publish(&feed, payload),
                Kind::Tick(symbol) => match subjects.get(symbol as usize) {
                    Some((tick, _)) => publisher.try_publish(tick, payload),
                    None => Ok(()),
                },
                Kind::Last(symbol) => match subjects.get(symbol as usize) {
                    Some((_, last)) => publisher.try_publish(last, payload),
                    None => Ok(()),
                },
            });
            if ask && pacer.is_written() {
                ask = asks.try_send(Ask::Read(Some(pacer.versions().to_vec()))).is_err();
            }
            // A channel waits to some 50 us, where the runtime's timers would wait to the millisecond.
            match words.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(Word::Open) => pacer.open(Instant::now()),
                Ok(Word::Shut) => {
                    pacer.shut(Instant::now());
                    ask = true;
                }
                Ok(Word::Refresh) => pacer.refresh(Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Word::Close) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let down = self.pacer.feed_status(FeedState::Down, Some("the load test is over"));
        // Without it edges say the same a few seconds later.
        let _ = self.publisher.try_publish(&feed, down);
        (self.pacer.published(), self.pacer.tape())
    }
}
