//! Lets the library's observer see every tick on NATS, and waits for what it sees.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use tickwire_common::symbol::Topic;
use tickwire_common::task::Tasks;
use tickwire_loadtest::watch::{Observer, Own, Sums, Ticks};
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::subject::{ALL_TICKS, parse_tick};
use tickwire_nats::{Bytes, Nats};
use tokio::time::{Instant, sleep, timeout};

use crate::fleet::Fleet;

/// How often is looked whether what is waited for is there.
const LOOK: Duration = Duration::from_millis(50);
/// Longest wait for the link to NATS.
const LINK: Duration = Duration::from_secs(30);

/// The observer, its link and its task.
pub(crate) struct Watcher {
    observer: Arc<Mutex<Observer>>,
    nats: Nats,
    begun: Instant,
    tasks: Tasks,
}

impl Watcher {
    /// Watches from now on.
    ///
    /// # Errors
    /// If NATS is not there.
    pub(crate) async fn start(fleet: &Fleet, shards: u32) -> anyhow::Result<Self> {
        let nats = Nats::connect(&fleet.nats.config(), "chaos").await.context("connect to NATS")?;
        timeout(LINK, nats.connected()).await.context("NATS does not answer")??;
        let mut ticks = nats.subscribe(&ALL_TICKS.into()).await?;
        nats.barrier().await?;
        let (observer, begun, tasks) =
            (Arc::new(Mutex::new(Observer::new(shards))), Instant::now(), Tasks::new());
        let seen = Arc::clone(&observer);
        tasks.spawner().spawn_job("watcher", async move {
            while let Some(message) = ticks.next().await {
                let topic = parse_tick(message.subject.as_str())
                    .and_then(|(venue, symbol)| Topic::new(&venue, &symbol).ok());
                let Some(topic) = topic else { continue };
                lock(&seen).tick(&topic, &message.payload, micros(begun));
            }
            Ok(())
        });
        Ok(Self { observer, nats, begun, tasks })
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Observer> {
        lock(&self.observer)
    }

    /// How long after the watcher was started the last of all symbols ticked for the first time.
    pub(crate) fn complete_after(&self) -> Option<Duration> {
        self.seen().complete_at().map(Duration::from_micros)
    }

    pub(crate) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What was counted since the mark.
    pub(crate) fn counted(&self) -> (Sums, Ticks) {
        let seen = self.seen();
        (seen.sums(), seen.ticks())
    }

    /// Ticks that NATS's client gave up, of which nothing is known.
    pub(crate) fn dropped(&self) -> u64 {
        self.nats.dropped_messages()
    }

    /// Waits until every symbol that the exchange lists ticks: none was quiet for `longest` at one moment.
    ///
    /// # Errors
    /// If that does not come; with some of those that are quiet.
    pub(crate) async fn all_tick(&self, longest: Duration, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        sleep(longest).await;
        loop {
            let since = micros(self.begun).saturating_sub(as_micros(longest));
            let (count, some) = {
                let seen = self.seen();
                let quiet = seen.quiet_since(since);
                (quiet.len(), quiet.iter().take(3).copied().collect::<Vec<_>>().join(", "))
            };
            if count == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{count} symbols are quiet: {some}, ...");
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until the newest row of every symbol shows the exchange's own values; what still differs in the end.
    pub(crate) async fn rows_match(&self, own: &Own, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        loop {
            let different = self.seen().differences(own);
            if different.is_empty() || Instant::now() > deadline {
                return different;
            }
            sleep(LOOK).await;
        }
    }

    /// The same for the rows that are stored.
    ///
    /// # Errors
    /// If NATS is away.
    pub(crate) async fn store_matches(&self, own: &Own, patience: Duration) -> anyhow::Result<Vec<String>> {
        let deadline = Instant::now() + patience;
        loop {
            let different = self.stored(own).await?;
            let different: Vec<String> = different
                .into_iter()
                .filter_map(|(topic, row)| {
                    let own = own.symbols.get(&topic)?;
                    let what = row.map_or(Some("no row".to_owned()), |row| own.difference(&row))?;
                    Some(format!("stored {topic}: {what}"))
                })
                .collect();
            if different.is_empty() || Instant::now() > deadline {
                return Ok(different);
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until there is a stored row of every symbol, and says how long that took.
    ///
    /// # Errors
    /// If that does not come.
    pub(crate) async fn store_filled(&self, own: &Own, patience: Duration) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            let lacking = match self.stored(own).await {
                Ok(rows) => rows.iter().filter(|(_, row)| row.is_none()).count(),
                Err(_) => own.symbols.len(),
            };
            if lacking == 0 {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > patience {
                bail!("{lacking} symbols are not stored");
            }
            sleep(LOOK).await;
        }
    }

    async fn stored(&self, own: &Own) -> anyhow::Result<Vec<(String, Option<Bytes>)>> {
        let topics: Vec<Topic> = own.symbols.keys().filter_map(|topic| topic.parse().ok()).collect();
        let rows = Snapshots::new(&self.nats).get(&topics).await?;
        Ok(topics.iter().map(ToString::to_string).zip(rows).collect())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

fn lock(observer: &Mutex<Observer>) -> MutexGuard<'_, Observer> {
    observer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(begun: Instant) -> u64 {
    as_micros(begun.elapsed())
}

fn as_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
