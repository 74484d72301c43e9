//! The heart: connections live on worker threads, each its own event loop; a client stays on one worker for life. A row
//! reaches a worker once, framed, and the worker hands the same bytes to every client of the view.
//!
//! Knows no NATS and no catalogue: it asks ([`ask::Ask`]) and is answered through its inbox.

pub mod ask;
pub mod client;
pub mod config;
pub mod inbox;
pub mod meters;
pub mod outbox;
pub mod row;

mod finder;
mod keeper;
mod read;
mod requests;
mod round;
mod serve;
mod session;
mod start;
mod throttle;
mod views;
mod worker;
pub mod write;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tickwire_common::task::Spawner;
use tokio::sync::mpsc;

use ask::Ask;
use client::{Answer, Arrival};
use config::HubConfig;
use inbox::{Inbox, Letter};
use outbox::DueRow;

/// All workers, from outside.
#[derive(Debug, Clone)]
pub struct Hub {
    inboxes: Arc<[Arc<Inbox>]>,
    shared: Arc<Shared>,
    next: Arc<AtomicUsize>,
}

/// What workers and the rest of the process both look at.
#[derive(Debug, Default)]
pub struct Shared {
    /// State of all feeds, framed, for new clients.
    feeds: RwLock<Bytes>,
}

impl Shared {
    /// The `feed_status` snapshot, framed; empty while no feed is known.
    pub fn feeds(&self) -> Bytes {
        self.feeds.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Hub {
    /// Starts the workers. They ask through `asks`.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread or event queue.
    pub fn start(config: &Arc<HubConfig>, asks: &mpsc::Sender<Ask>, spawner: &Spawner) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (mut inboxes, mut starts) = (Vec::with_capacity(config.workers), Vec::new());
        for index in 0..config.workers {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            let worker = worker::Worker::new(index, Arc::clone(config), Arc::clone(&shared), asks.clone())?;
            inboxes.push(worker.inbox());
            let (starting, start) = std::sync::mpsc::sync_channel(1);
            starts.push(start);
            spawner.spawn_thread(format!("edge-worker-{index}"), move || worker.start(&starting))?;
        }
        start::wait_for(&starts)?;
        Ok(Self { inboxes: inboxes.into(), shared, next: Arc::default() })
    }

    /// A hub whose workers are played by a test.
    #[cfg(test)]
    pub(crate) fn with_inboxes(inboxes: Vec<Arc<Inbox>>) -> Self {
        Self { inboxes: inboxes.into(), shared: Arc::default(), next: Arc::default() }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.inboxes.len()
    }

    /// Gives a socket to a worker, round robin.
    pub fn adopt(&self, arrival: Arrival) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.inboxes.len().max(1);
        self.letter(turn, Letter::Adopt(Box::new(arrival)));
    }

    /// Gives rows to one worker.
    pub fn rows(&self, worker: usize, rows: impl IntoIterator<Item = DueRow>) {
        if let Some(inbox) = self.inboxes.get(worker) {
            inbox.rows(rows);
        }
    }

    /// Answers a client's subscribe.
    pub fn answer(&self, answer: Answer) {
        self.letter(usize::from(answer.client.worker), Letter::Answer(Box::new(answer)));
    }

    /// Sends a framed message to every client. A worker that has not read the last one on this subject yet gets only
    /// the new one.
    pub fn tell(&self, subject: &Arc<str>, frame: &Bytes) {
        self.inboxes.iter().for_each(|inbox| inbox.tell(subject, frame.clone()));
    }

    /// Keeps the framed `feed_status` snapshot that new clients get; empty for none.
    pub fn keep_feeds(&self, snapshot: Bytes) {
        *self.shared.feeds.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// Says goodbye to every client, spread over `spread`; the workers end after that.
    pub fn drain(&self, spread: Duration) {
        for worker in 0..self.inboxes.len() {
            self.letter(worker, Letter::Drain(spread));
        }
    }

    fn letter(&self, worker: usize, letter: Letter) {
        if let Some(inbox) = self.inboxes.get(worker) {
            inbox.letter(letter);
        }
    }
}
