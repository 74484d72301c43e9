//! Demand for one venue's symbols, as edges say it on `md.want.<venue>`: heard by every process, so that whoever comes to
//! own a shard knows what is wanted of it. Forgets by itself what is no longer said. Carries nothing: the venue's
//! runtime asks what is wanted of its shards whenever it changed.

mod table;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use tickwire_common::symbol::Symbol;
use tickwire_nats::want::{Heard as Listening, Wants};
use tickwire_nats::{LinkError, Nats};
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use table::{Heard, Table};

/// What is wanted of one venue. Shared by who hears and who carries.
#[derive(Debug)]
pub struct Demand {
    venue: &'static str,
    table: Mutex<Table>,
    /// Counts changes.
    changes: watch::Sender<u64>,
}

impl Demand {
    /// Nothing is wanted. `linger` is how long a symbol is carried after its last want ended.
    pub fn new(venue: &'static str, shards: u32, linger: Duration) -> Self {
        Self { venue, table: Mutex::new(Table::new(shards, linger)), changes: watch::Sender::new(0) }
    }

    /// Grows whenever something comes to be wanted or is wanted no more. Look at [`Demand::wanted`] then: several
    /// changes may be one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The wanted symbols of a shard; some may not be traded at the venue.
    pub fn wanted(&self, shard: u32) -> Vec<Symbol> {
        self.lock().of_shard(shard).cloned().collect()
    }

    /// The same as names, for the next owner of the shard.
    pub fn export(&self, shard: u32) -> Vec<String> {
        self.lock().of_shard(shard).map(Symbol::to_string).collect()
    }

    /// What the owner before us knew to be wanted, as if it had just been said.
    pub fn import(&self, names: &[String]) {
        self.hear(names.iter().filter_map(|name| Symbol::new(name).ok()));
    }

    /// Listens until `token` is cancelled.
    ///
    /// # Errors
    /// When the connection to NATS is closed for good before.
    pub async fn run(&self, nats: &Nats, token: CancellationToken) -> Result<(), LinkError> {
        token.run_until_cancelled(self.listen(nats)).await.unwrap_or(Ok(()))
    }

    async fn listen(&self, nats: &Nats) -> Result<(), LinkError> {
        let mut heard = Wants::new(nats).listen(self.venue).await?;
        let mut link = nats.state();
        loop {
            if link.borrow_and_update().connected {
                self.hold_all();
                self.follow(&mut heard, &mut link).await?;
            } else {
                // Nobody can be heard: nothing expires.
                link.changed().await.map_err(|_| LinkError::Closed)?;
            }
        }
    }

    /// Until the link changes.
    async fn follow(
        &self,
        heard: &mut Listening,
        link: &mut watch::Receiver<tickwire_nats::LinkState>,
    ) -> Result<(), LinkError> {
        loop {
            let deadline = self.lock().next_deadline();
            tokio::select! {
                changed = link.changed() => return changed.map_err(|_| LinkError::Closed),
                symbols = heard.next() => self.hear(symbols.ok_or(LinkError::Closed)?),
                () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {
                    self.expire(Instant::now());
                }
            }
        }
    }

    fn hear(&self, symbols: impl IntoIterator<Item = Symbol>) {
        let Heard { new, refused } = self.lock().hear(symbols, Instant::now());
        if refused > 0 {
            counter!("tickwire_ingest_refused_wants_total", "venue" => self.venue).increment(refused as u64);
            warn!(venue = self.venue, refused, "more is wanted than fits; what is new is refused");
        }
        self.tell(new);
    }

    /// Forgets what is wanted no more at `now`.
    pub(crate) fn expire(&self, now: Instant) {
        let gone = self.lock().expire(now);
        self.tell(gone);
    }

    fn hold_all(&self) {
        self.lock().hold_all(Instant::now());
    }

    fn tell(&self, changes: usize) {
        if changes > 0 {
            gauge!("tickwire_ingest_wanted_symbols", "venue" => self.venue).set(self.lock().len() as f64);
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing under this lock panics half-way.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
