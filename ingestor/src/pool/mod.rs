//! The sockets of one venue in this process. Told which symbols are wanted, it opens as few sockets as carry them inside
//! the venue's limits, replaces each before the venue cuts it (the new one brings data before the old one goes), and
//! says at any time how a symbol is carried. Knows no shard, no lease and no venue.

mod budget;
mod pack;
mod run;

use std::sync::Arc;
use std::time::Duration;

use tickwire_common::task::Spawner;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use budget::FleetBudget;

use crate::link::{Gate, Route, Sink, View};
use crate::rest::Rest;
use crate::venue::contract::{Carried, Venue};
use pack::Packer;

/// Commands that wait for the pool. A full queue holds its sender up; nothing is dropped.
const COMMANDS_MAX: usize = 64;

/// How long nothing may have changed before a socket is saved by moving its symbols.
pub const SHRINK_AFTER: Duration = Duration::from_secs(30);

/// What a pool has to know.
pub struct PoolConfig {
    /// The venue's protocol.
    pub venue: &'static dyn Venue,
    /// Configured WebSocket origin instead of the venue's own.
    pub ws_url: Option<String>,
    /// The venue's REST interface, for its invitations.
    pub rest: Rest,
    /// Symbols that one socket carries at most.
    pub symbols_per_socket: usize,
    /// After how long the venue cuts a socket; it is replaced after 80 to 95 % of this.
    pub lifetime: Duration,
    /// How long nothing may have changed before a socket is saved, [`SHRINK_AFTER`] but in tests.
    pub shrink_after: Duration,
    /// How often sockets may be opened.
    pub gate: Arc<Gate>,
}

/// A handle to a running pool; cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    commands: mpsc::Sender<Command>,
    view: Arc<View>,
}

#[derive(Debug)]
enum Command {
    Want(Vec<Carried>),
    Leave(Vec<u32>),
}

impl Pool {
    /// Starts a pool without sockets, as a job of `spawner`. It ends when `token` is cancelled, with every socket closed.
    pub fn start(
        config: PoolConfig,
        sink: Arc<dyn Sink>,
        spawner: &Spawner,
        token: CancellationToken,
    ) -> Self {
        let view = Arc::new(View::default());
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let PoolConfig { venue, ws_url, rest, symbols_per_socket, lifetime, shrink_after, gate } = config;
        let route = Route { venue, ws_url, rest, gate, sink, view: Arc::clone(&view), lifetime };
        let packer = Packer::new(symbols_per_socket);
        let run = run::Run::new(Arc::new(route), packer, shrink_after, spawner.clone(), token);
        spawner.spawn_job(format!("pool-{}", venue.id()), run.until_cancelled(receiver));
        Self { commands, view }
    }

    /// Carries these symbols from now on; one that is carried already stays as it is, so it has to leave before it comes
    /// with another key. Waits while the pool is busy; a pool that has ended wants nothing.
    pub async fn want(&self, symbols: Vec<Carried>) {
        self.send(Command::Want(symbols)).await;
    }

    /// Carries these symbols no longer.
    pub async fn leave(&self, symbols: Vec<u32>) {
        self.send(Command::Leave(symbols)).await;
    }

    /// How every symbol is carried.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Completes when the pool has ended and every socket is closed.
    pub async fn closed(&self) {
        self.commands.closed().await;
    }

    async fn send(&self, command: Command) {
        // The pool ends with the process; then nobody wants anything.
        let _ended = self.commands.send(command).await;
    }
}
