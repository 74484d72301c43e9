//! What is known of every symbol on every socket: written by the links and the pool at news, never at a price; read by
//! whoever asks how a shard is. One short lock; bounded by what is carried.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tickwire_common::time::now_ms;
use tokio::sync::watch;
use tokio::time::Instant;

mod known;

use known::{Known, Stage};
pub use known::{MOVE_PATIENCE, WARM_AFTER_ACK};

use super::state::{Retire, SocketState, SocketView, Summary, SymbolState};

/// The shared view of one venue's sockets.
#[derive(Debug)]
pub struct View {
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    symbols: HashMap<u32, Known>,
    sockets: BTreeMap<u32, SocketView>,
    /// Socket and symbol that were told to have no place; looked through when somebody asks.
    full: BTreeSet<(u32, u32)>,
}

impl Default for View {
    fn default() -> Self {
        Self { inner: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl View {
    /// Whether every symbol is carried well: acknowledged and with data, or acknowledged [`WARM_AFTER_ACK`] ago, or
    /// refused by the venue for good. A symbol that is not known is not warm. Time alone can make a symbol warm, so
    /// who waits asks again now and then besides [`View::changed`].
    pub fn warm(&self, symbols: &[u32]) -> bool {
        let (inner, now) = (self.lock(), Instant::now());
        symbols.iter().all(|symbol| {
            inner.symbols.get(symbol).is_some_and(|known| known.is_warm(now) || known.is_rejected())
        })
    }

    /// The state of a symbol; `None` if it is not asked for.
    pub fn state(&self, symbol: u32) -> Option<SymbolState> {
        self.lock().symbols.get(&symbol).map(|known| known.state(Instant::now()))
    }

    /// The states of these symbols, counted.
    pub fn summary(&self, symbols: &[u32]) -> Summary {
        let (inner, now) = (self.lock(), Instant::now());
        let mut summary = Summary::default();
        for symbol in symbols {
            summary.count(inner.symbols.get(symbol).map(|known| known.state(now)));
        }
        summary
    }

    /// Tells of every piece of news; many may come as one.
    pub fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Every socket.
    pub fn sockets(&self) -> BTreeMap<u32, SocketView> {
        self.lock().sockets.clone()
    }

    /// A socket is to be opened.
    pub(crate) fn add_socket(&self, socket: u32) {
        let new = SocketView { state: SocketState::Opening, retire: None, losses: 0 };
        self.lock().sockets.insert(socket, new);
    }

    /// A socket is to carry these symbols as well. Gives those that no other carries.
    pub(crate) fn add(&self, socket: u32, symbols: &[u32]) -> Vec<u32> {
        let (mut inner, since_ms) = (self.lock(), now_ms());
        let mut first = Vec::new();
        for symbol in symbols {
            let known = inner.symbols.entry(*symbol).or_insert_with(|| Known::new(since_ms));
            if known.add(socket) {
                first.push(*symbol);
            }
        }
        first
    }

    /// A socket is to carry these symbols no longer.
    pub(crate) fn remove(&self, socket: u32, symbols: &[u32]) {
        let mut inner = self.lock();
        for symbol in symbols {
            inner.forget(socket, *symbol);
        }
    }

    /// A socket is gone for good.
    pub(crate) fn remove_socket(&self, socket: u32) {
        let mut inner = self.lock();
        inner.sockets.remove(&socket);
        inner.symbols.retain(|_, known| !known.leave(socket));
    }

    /// Whether all that is on its way from a socket to others has arrived: the new one brings data, or it was
    /// acknowledged [`WARM_AFTER_ACK`] ago and the old one brings none either, or [`MOVE_PATIENCE`] ago, or refused.
    /// `ways` are symbols and where they go.
    pub(crate) fn all_arrived(&self, from: u32, ways: &[(u32, u32)]) -> bool {
        let (inner, now) = (self.lock(), Instant::now());
        ways.iter().all(|(symbol, to)| {
            inner.symbols.get(symbol).is_some_and(|known| known.has_arrived(from, *to, now))
        })
    }

    /// Symbols that a socket has no place for, by socket.
    pub(crate) fn overflow(&self) -> BTreeMap<u32, Vec<u32>> {
        let mut inner = self.lock();
        let Inner { symbols, full, .. } = &mut *inner;
        let stage = |socket, symbol: &u32| symbols.get(symbol).and_then(|known| known.stage(socket));
        full.retain(|(socket, symbol)| stage(*socket, symbol) == Some(Stage::Full));
        let mut overflow: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (socket, symbol) in full.iter() {
            overflow.entry(*socket).or_default().push(*symbol);
        }
        overflow
    }

    pub(super) fn opened(&self, socket: u32) {
        self.tell(|inner| inner.set(socket, SocketState::Open));
    }

    pub(super) fn acked(&self, socket: u32, symbols: &[u32]) {
        let at = Instant::now();
        self.tell(|inner| {
            for symbol in symbols {
                inner.at(socket, *symbol, |stage| stage.acked(at));
            }
        });
    }

    /// First data of a symbol on this connection.
    pub(super) fn live(&self, socket: u32, symbol: u32) {
        self.tell(|inner| {
            inner.set(socket, SocketState::Live);
            inner.at(socket, symbol, Stage::heard);
        });
    }

    pub(super) fn rejected(&self, socket: u32, symbol: u32, full: bool) {
        self.tell(|inner| {
            inner.at(socket, symbol, |_| if full { Stage::Full } else { Stage::Rejected });
            if full {
                inner.full.insert((socket, symbol));
            }
        });
    }

    pub(super) fn retire(&self, socket: u32, why: Retire) {
        self.tell(|inner| {
            if let Some(known) = inner.sockets.get_mut(&socket) {
                known.retire.get_or_insert(why);
            }
        });
    }

    /// The connection is gone, or could not be made. Gives the symbols that no other socket carries well by now: what
    /// the venue numbers may start over.
    pub(super) fn lost(&self, socket: u32, reason: &'static str) -> Vec<u32> {
        let (now, at_ms) = (Instant::now(), now_ms());
        let mut alone = Vec::new();
        self.tell(|inner| {
            if let Some(known) = inner.sockets.get_mut(&socket) {
                known.retire = None;
                known.losses += 1;
                if known.state != SocketState::Opening {
                    known.state = SocketState::Lost;
                }
            }
            for (symbol, known) in &mut inner.symbols {
                if known.lose(socket, reason, now, at_ms) {
                    alone.push(*symbol);
                }
            }
        });
        alone
    }

    fn tell(&self, news: impl FnOnce(&mut Inner)) {
        news(&mut self.lock());
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock panics half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn set(&mut self, socket: u32, state: SocketState) {
        if let Some(known) = self.sockets.get_mut(&socket) {
            known.state = state;
        }
    }

    /// Moves a symbol on, as far as a socket carries it.
    fn at(&mut self, socket: u32, symbol: u32, next: impl FnOnce(Stage) -> Stage) {
        if let Some(stage) = self.symbols.get_mut(&symbol).and_then(|known| known.stage_mut(socket)) {
            *stage = next(*stage);
        }
    }

    fn forget(&mut self, socket: u32, symbol: u32) {
        let Some(known) = self.symbols.get_mut(&symbol) else { return };
        if known.leave(socket) {
            self.symbols.remove(&symbol);
        }
    }
}

#[cfg(test)]
mod tests;
