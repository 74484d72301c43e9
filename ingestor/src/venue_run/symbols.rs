//! Which symbols the venue's shards are to carry, as the list and the demand change, and what was published of them before
//! they came to us.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tickwire_common::symbol::{Symbol, Topic};
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::{Bytes, Nats};
use tokio::time::sleep;
use tracing::warn;

use super::held::{Change, Stage};
use super::{Reading, VenueRun};
use crate::catalogue::Listed;
use crate::fleet::Post;
use crate::outlet::{Numbered, Outlet};
use crate::permit::SharedPermit;
use crate::venue::contract::Carried;

/// Pause before last values are read again; that fails only while NATS is away.
const RETRY: Duration = Duration::from_millis(200);

impl VenueRun {
    /// Reads the last values of these symbols of a shard of ours.
    pub(super) fn start_reading(&mut self, shard: u32, epoch: u64, symbols: Vec<Symbol>) {
        self.read_on(Reading { shard, epoch, asked: BTreeSet::new(), rows: Vec::new() }, symbols);
    }

    fn read_on(&mut self, mut reading: Reading, symbols: Vec<Symbol>) {
        let (nats, id) = (self.parts.nats.clone(), self.parts.id);
        self.readings.push(Box::pin(async move {
            reading.asked.extend(symbols.iter().cloned());
            reading.rows.extend(last_rows(&nats, id, symbols).await);
            reading
        }));
    }

    /// The last values are there, unless something else came of the shard meanwhile.
    pub(super) async fn read(&mut self, reading: Reading) {
        let shard = reading.shard;
        match self.held.stage(shard).cloned() {
            Some(Stage::Reading { epoch, permit, release }) if epoch == reading.epoch => {
                let unread = self.unread(&reading);
                if !unread.is_empty() {
                    return self.read_on(reading, unread);
                }
                self.publish(shard, epoch, permit, |outlet, permit| carry(outlet, &reading, permit));
                if let Some(turn) = release {
                    self.release(shard, Post::shard(self.parts.id, shard), turn).await;
                }
            }
            // Of symbols that were listed since.
            Some(Stage::Carried { epoch, permit }) if epoch == reading.epoch => {
                carry(&self.parts.outlet, &reading, permit);
            }
            _ => {}
        }
    }

    /// What was listed while the others were read, as all is where a shard comes to us before the first list does.
    fn unread(&self, reading: &Reading) -> Vec<Symbol> {
        let list = self.parts.list.borrow();
        let listed = list.of_shard(reading.shard).map(|listed| &listed.symbol);
        listed.filter(|symbol| !reading.asked.contains(symbol)).cloned().collect()
    }

    /// The venue lists something else: numbers and weights first, then what is asked for.
    pub(super) async fn listed(&mut self) {
        let list = Arc::clone(&self.parts.list.borrow_and_update());
        let changes = self.parts.outlet.list(list.iter().map(|listed| listed.symbol.as_str()));
        self.read_new(&changes.added);
        let weights = (0u32..).zip(list.weights());
        let posts = weights.map(|(shard, weight)| (Post::shard(self.parts.id, shard), u64::from(weight)));
        self.parts.fleet.weights(posts.collect()).await;
        self.ask_all().await;
    }

    /// What others published before of symbols that are listed again, or that were not known when their shard came to us.
    fn read_new(&mut self, added: &[Numbered]) {
        for shard in self.held.shards() {
            let Some(Stage::Carried { epoch, .. }) = self.held.stage(shard) else { continue };
            let new = added.iter().filter(|symbol| symbol.shard == shard);
            let new: Vec<Symbol> = new.filter_map(|symbol| Symbol::new(&symbol.name).ok()).collect();
            if !new.is_empty() {
                self.start_reading(shard, *epoch, new);
            }
        }
    }

    pub(super) async fn ask_all(&mut self) {
        for shard in self.held.shards() {
            self.ask(shard).await;
        }
    }

    /// Asks the pool for what a shard is to carry.
    pub(super) async fn ask(&mut self, shard: u32) {
        let list = Arc::clone(&self.parts.list.borrow());
        let symbols: Vec<Carried> = match &self.parts.demand {
            None => list.of_shard(shard).filter_map(|listed| self.carried(listed)).collect(),
            Some(demand) => {
                let wanted = demand.wanted(shard);
                wanted.iter().filter_map(|symbol| self.carried(list.get(symbol)?)).collect()
            }
        };
        let change = self.held.ask(shard, symbols);
        self.tell_pool(change).await;
    }

    fn carried(&self, listed: &Listed) -> Option<Carried> {
        let index = self.parts.outlet.number(listed.symbol.as_str())?;
        Some(Carried { index, key: listed.key.clone() })
    }

    pub(super) async fn tell_pool(&mut self, change: Change) {
        if !change.leave.is_empty() {
            self.parts.pool.leave(change.leave).await;
        }
        if !change.want.is_empty() {
            self.parts.pool.want(change.want).await;
        }
    }
}

fn carry(outlet: &Outlet, reading: &Reading, permit: SharedPermit) {
    let rows = reading.rows.iter().map(|(symbol, row)| (symbol.as_str(), row.as_ref()));
    outlet.carry(reading.shard, rows, permit);
}

/// The last values of these symbols of venue `id`, those that there are. Tries until NATS answers.
async fn last_rows(nats: &Nats, id: &'static str, symbols: Vec<Symbol>) -> Vec<(Symbol, Bytes)> {
    let topics: Vec<Topic> =
        symbols.into_iter().filter_map(|symbol| Topic::new(id, symbol.as_str()).ok()).collect();
    let mut is_told = false;
    loop {
        match Snapshots::new(nats).get(&topics).await {
            Ok(rows) => {
                let rows = topics.into_iter().zip(rows);
                return rows.filter_map(|(topic, row)| Some((topic.symbol, row?))).collect();
            }
            Err(error) if !std::mem::replace(&mut is_told, true) => {
                warn!(venue = id, %error, "cannot read last values, trying on");
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}
