//! The task of a pool: wishes and news go to the packer, what it answers goes to the links. Level-triggered: every turn
//! looks at how things are, so news that come as one, or late, do no harm.

mod links;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use tickwire_common::task::Spawner;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::pack::{Act, Packer, SocketId};
use super::{COMMANDS_MAX, Command};
use crate::link::{Route, SocketState};
use crate::venue::contract::Carried;
use links::Running;

/// How often the pool looks at what only time changes.
const TURN: Duration = Duration::from_millis(250);

/// After which time a symbol that was unsubscribed counts no more. Its message waits for a second or two; a session that
/// still has no room by then lets it go first, for it counts what the venue has.
const FREED_AFTER: Duration = Duration::from_secs(3);

/// A pool's state.
pub(super) struct Run {
    route: Arc<Route>,
    packer: Packer,
    keys: BTreeMap<u32, String>,
    links: BTreeMap<SocketId, Running>,
    /// Since when a place is no longer used.
    freeing: BTreeMap<(SocketId, u32), Instant>,
    changed_at: Instant,
    shrink_after: Duration,
    spawner: Spawner,
    token: CancellationToken,
    /// Every link holds a clone.
    alive: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

impl Run {
    pub(super) fn new(
        route: Arc<Route>,
        packer: Packer,
        shrink_after: Duration,
        spawner: Spawner,
        token: CancellationToken,
    ) -> Self {
        // Nothing is ever sent: it ends when the last link has dropped its end.
        let (alive, ended) = mpsc::channel(1);
        Self {
            route,
            packer,
            keys: BTreeMap::new(),
            links: BTreeMap::new(),
            freeing: BTreeMap::new(),
            changed_at: Instant::now(),
            shrink_after,
            spawner,
            token,
            alive,
            ended,
        }
    }

    /// # Errors
    /// None: what a venue does is answered by its links.
    pub(super) async fn until_cancelled(
        mut self,
        mut commands: mpsc::Receiver<Command>,
    ) -> anyhow::Result<()> {
        let token = self.token.clone();
        token.run_until_cancelled(self.serve(&mut commands)).await;
        // Links have children of the token, so they end too; also where every handle was dropped.
        token.cancel();
        let Self { alive, mut ended, links, .. } = self;
        drop((alive, links));
        ended.recv().await;
        // Dropped last: it tells the handles that every socket is closed.
        drop(commands);
        Ok(())
    }

    async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) {
        let mut changed = self.route.view.changed();
        let mut turn = interval(TURN);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                count = commands.recv_many(&mut batch, COMMANDS_MAX) => {
                    if count == 0 {
                        return;
                    }
                    self.obey(batch);
                }
                _ = changed.changed() => {}
                _ = turn.tick() => self.gauges(),
            }
            self.follow_news();
            self.free();
            self.save();
        }
    }

    /// Wishes that came together are planned together: that opens the fewest sockets and fills them evenly.
    fn obey(&mut self, batch: Vec<Command>) {
        let mut wanted = Vec::new();
        for command in batch {
            match command {
                Command::Want(symbols) => wanted.extend(symbols),
                Command::Leave(symbols) => {
                    self.want(std::mem::take(&mut wanted));
                    self.leave(symbols);
                }
            }
        }
        self.want(wanted);
    }

    fn want(&mut self, symbols: Vec<Carried>) {
        let indices: Vec<u32> = symbols.iter().map(|symbol| symbol.index).collect();
        self.keys.extend(symbols.into_iter().map(|symbol| (symbol.index, symbol.key)));
        let acts = self.packer.add(indices);
        self.act(acts);
    }

    fn leave(&mut self, symbols: Vec<u32>) {
        let acts = self.packer.remove(symbols.iter().copied());
        self.act(acts);
        for symbol in symbols {
            self.keys.remove(&symbol);
        }
    }

    /// Ends moves that have arrived, finds another place for what has none, lets sockets go that died on their way out,
    /// and replaces those that are due.
    fn follow_news(&mut self) {
        let view = Arc::clone(&self.route.view);
        for (socket, ways) in self.packer.leaving() {
            if view.all_arrived(socket, &ways) {
                let acts = self.packer.moved(socket);
                self.act(acts);
            }
        }
        for (socket, symbols) in view.overflow() {
            let acts = self.packer.overflowed(socket, &symbols);
            self.act(acts);
        }
        for (socket, news) in view.sockets() {
            let Some(link) = self.links.get_mut(&socket) else { continue };
            if news.losses > std::mem::replace(&mut link.losses, news.losses) {
                self.freeing.retain(|(freeing, _), _| *freeing != socket);
                let acts = self.packer.lost(socket);
                self.act(acts);
            }
            if let Some(why) = news.retire {
                let acts = self.packer.rotate(socket);
                if !acts.is_empty() {
                    let (venue, reason) = (self.venue(), why.as_str());
                    counter!("tickwire_ingest_rotations_total", "venue" => venue, "reason" => reason)
                        .increment(1);
                    info!(venue, socket, reason, "replacing a socket");
                }
                self.act(acts);
            }
        }
    }

    fn free(&mut self) {
        let due = |since: &Instant| since.elapsed() >= FREED_AFTER;
        for ((socket, symbol), _) in self.freeing.extract_if(.., |_, since| due(since)) {
            self.packer.freed(socket, &[symbol]);
        }
    }

    /// Saves a socket, if nothing has changed for long enough.
    fn save(&mut self) {
        if self.changed_at.elapsed() < self.shrink_after {
            return;
        }
        let acts = self.packer.shrink();
        for act in &acts {
            if let Act::Subscribe { symbols, .. } = act {
                counter!("tickwire_ingest_moves_total", "venue" => self.venue())
                    .increment(symbols.len() as u64);
            }
        }
        self.act(acts);
    }

    fn act(&mut self, acts: Vec<Act>) {
        for act in acts {
            self.changed_at = Instant::now();
            match act {
                Act::Open { socket, symbols } => self.open(socket, &symbols),
                Act::Subscribe { socket, symbols } => self.subscribe(socket, &symbols),
                Act::Unsubscribe { socket, symbols } => self.unsubscribe(socket, &symbols),
                Act::Close { socket } => self.close(socket),
            }
        }
    }

    fn gauges(&self) {
        let venue = self.venue();
        let mut counts = BTreeMap::from(SocketState::ALL.map(|state| (state.as_str(), 0_u32)));
        for socket in self.route.view.sockets().values() {
            *counts.entry(socket.state.as_str()).or_default() += 1;
        }
        for (state, count) in counts {
            gauge!("tickwire_ingest_sockets", "venue" => venue, "state" => state).set(count);
        }
        let topics = self.packer.symbols() * self.route.venue.facts().topics_per_symbol;
        gauge!("tickwire_ingest_topics", "venue" => venue).set(u32::try_from(topics).unwrap_or(u32::MAX));
    }

    fn venue(&self) -> &'static str {
        self.route.venue.id()
    }
}
