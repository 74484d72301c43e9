//! Plays a recording: each frame to the sockets on its stream, in order, at its time. Waits for a slow reader; drops
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::select_all;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use tracing::info;

use super::{Entry, Replay, Speed};
use crate::exchange::hub::WhenSlow;
use crate::exchange::venue::Venue;

/// Frames handed over at a time.
const BATCH: usize = 512;

/// How far a replay is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    frames: AtomicUsize,
    played: AtomicUsize,
    rounds: AtomicU64,
    done: AtomicBool,
}

/// The progress at one moment, as `/stats` shows it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ProgressSnapshot {
    /// Frames of the recording.
    frames: usize,
    /// Frames played in this round.
    played: usize,
    /// Rounds finished.
    rounds: u64,
    /// True when nothing more will come.
    done: bool,
}

impl Progress {
    pub(crate) fn snapshot(&self) -> ProgressSnapshot {
        ProgressSnapshot {
            frames: self.frames.load(Ordering::Relaxed),
            played: self.played.load(Ordering::Relaxed),
            rounds: self.rounds.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
        }
    }
}

/// A recording about to be played.
pub(crate) struct Player {
    entries: Vec<Entry>,
    venues: BTreeMap<&'static str, Arc<Venue>>,
    replay: Replay,
    progress: Arc<Progress>,
}

impl Player {
    pub(crate) fn new(
        entries: Vec<Entry>,
        venues: BTreeMap<&'static str, Arc<Venue>>,
        replay: Replay,
        progress: Arc<Progress>,
    ) -> Self {
        progress.frames.store(entries.len(), Ordering::Relaxed);
        Self { entries, venues, replay, progress }
    }

    /// Plays until the end of the recording, or for ever. Cancel-safe between batches.
    pub(crate) async fn run(self) {
        self.wait_for_streams().await;
        info!(frames = self.entries.len(), "replay begins");
        loop {
            self.play().await;
            self.progress.rounds.fetch_add(1, Ordering::Relaxed);
            if self.replay.once || self.entries.is_empty() {
                break;
            }
        }
        self.progress.done.store(true, Ordering::Relaxed);
        info!("replay is over, sockets stay open");
    }

    async fn wait_for_streams(&self) {
        let held = || self.venues.values().map(|venue| venue.hub.streams()).sum::<usize>();
        while held() < self.replay.start_after && !self.venues.is_empty() {
            select_all(self.venues.values().map(|venue| Box::pin(venue.hub.streams_changed()))).await;
        }
    }

    async fn play(&self) {
        let (start, mut at) = (Instant::now(), 0);
        let first = self.entries.first().map_or(0, |entry| entry.t);
        while let Some(ahead) = self.entries.get(at..).filter(|ahead| !ahead.is_empty()) {
            let elapsed = start.elapsed();
            let ready = |entry: &Entry| self.due(entry.t.saturating_sub(first)) <= elapsed;
            let count = ahead.iter().take(BATCH).take_while(|entry| ready(entry)).count();
            match (ahead.get(..count), ahead.first()) {
                (Some([]), Some(next)) => sleep(self.due(next.t.saturating_sub(first)) - elapsed).await,
                (Some(batch), _) => self.publish(batch).await,
                (None, _) => return,
            }
            at += count;
            self.progress.played.store(at, Ordering::Relaxed);
        }
    }

    /// Time from the start of the replay to a frame `offset` microseconds after the first.
    fn due(&self, offset: u64) -> Duration {
        match self.replay.speed {
            Speed::Max => Duration::ZERO,
            Speed::Times { units, scale } => {
                let micros = u128::from(offset) * 10u128.pow(scale.into()) / u128::from(units.max(1));
                Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
            }
        }
    }

    async fn publish(&self, batch: &[Entry]) {
        for (id, venue) in &self.venues {
            let publishing = venue.hub.publish(WhenSlow::Wait, |fill| {
                let frames = batch.iter().filter(|entry| entry.venue == *id);
                frames.for_each(|entry| fill.push(entry.channel, &entry.frame));
            });
            publishing.await;
        }
        // At full speed nothing else here waits, so that others on this thread have their turn.
        tokio::task::yield_now().await;
    }
}
