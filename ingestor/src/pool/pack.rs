//! Which socket carries which symbols, kept up while symbols come and go. Pure: wishes and news in, [`Act`]s out.
//!
//! Every wanted symbol is carried by one socket; by two while it moves, the old one and the new one; by none never. No
//! socket carries more than the limit, where a place counts as taken until the venue has surely freed it. Symbols that
//! come go to sockets with room, to as few as can be, and move nobody. Symbols that go move nobody either; only
//! [`Packer::shrink`] does, and only where a whole socket is saved and a quarter of the others' places stays free.

mod act;
mod place;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use act::Act;
use act::acts_of;

/// Number of a socket; never used twice.
pub(super) type SocketId = u32;

/// The sockets of one venue and what they carry.
#[derive(Debug)]
pub(super) struct Packer {
    symbols_max: usize,
    sockets: BTreeMap<SocketId, Socket>,
    homes: BTreeMap<u32, Home>,
    last_id: SocketId,
}

#[derive(Debug, Default)]
struct Socket {
    symbols: BTreeSet<u32>,
    /// Given up, but the venue may still count them.
    freeing: BTreeSet<u32>,
    /// Its symbols are on their way to other sockets; nothing comes to it any more.
    leaving: bool,
    /// What the venue turned out to take, where that is less than the limit.
    found_max: Option<usize>,
}

/// Where a symbol is carried.
#[derive(Debug, Clone, Copy)]
struct Home {
    at: SocketId,
    next: Option<SocketId>,
}

/// Symbols by the socket they are about.
type BySocket = BTreeMap<SocketId, Vec<u32>>;

impl Packer {
    /// No socket; each will carry at most `symbols_max` symbols (at least one).
    pub(super) fn new(symbols_max: usize) -> Self {
        Self { symbols_max: symbols_max.max(1), sockets: BTreeMap::new(), homes: BTreeMap::new(), last_id: 0 }
    }

    /// Carries these symbols from now on; those that are carried already stay where they are.
    pub(super) fn add(&mut self, symbols: impl IntoIterator<Item = u32>) -> Vec<Act> {
        let new: BTreeSet<u32> =
            symbols.into_iter().filter(|symbol| !self.homes.contains_key(symbol)).collect();
        let mut placed = BySocket::new();
        let mut homeless = Vec::new();
        for symbol in new {
            match self.still_held(symbol) {
                Some(socket) => placed.entry(socket).or_default().push(symbol),
                None => homeless.push(symbol),
            }
        }
        // Taken before the others look for room: a place that is held is no room.
        self.settle_in(&placed);
        let (opened, rest) = self.place(&homeless);
        self.settle_in(&rest);
        for (socket, symbols) in rest {
            placed.entry(socket).or_default().extend(symbols);
        }
        for (at, symbols) in &placed {
            self.homes.extend(symbols.iter().map(|symbol| (*symbol, Home { at: *at, next: None })));
        }
        acts_of(placed, &opened)
    }

    /// Carries these symbols no longer.
    pub(super) fn remove(&mut self, symbols: impl IntoIterator<Item = u32>) -> Vec<Act> {
        let mut gone = BySocket::new();
        for symbol in symbols {
            let Some(home) = self.homes.remove(&symbol) else { continue };
            for id in [Some(home.at), home.next].into_iter().flatten() {
                let Some(socket) = self.sockets.get_mut(&id) else { continue };
                socket.symbols.remove(&symbol);
                socket.freeing.insert(symbol);
                gone.entry(id).or_default().push(symbol);
            }
        }
        gone.into_iter().map(|(socket, symbols)| Act::Unsubscribe { socket, symbols }).collect()
    }

    /// The venue surely counts these symbols on this socket no more.
    pub(super) fn freed(&mut self, socket: SocketId, symbols: &[u32]) {
        if let Some(socket) = self.sockets.get_mut(&socket) {
            for symbol in symbols {
                socket.freeing.remove(symbol);
            }
        }
    }

    /// Replaces a socket by a new one that carries the same. Does nothing, and may be tried again, while symbols are on
    /// their way to it.
    pub(super) fn rotate(&mut self, socket: SocketId) -> Vec<Act> {
        let known = self.sockets.get(&socket);
        let Some(symbols) = known.filter(|known| !known.leaving).map(|known| known.symbols.clone()) else {
            return Vec::new();
        };
        if self.homes.values().any(|home| home.next == Some(socket)) {
            return Vec::new();
        }
        if symbols.is_empty() {
            self.sockets.remove(&socket);
            return vec![Act::Close { socket }];
        }
        let next = self.open();
        let placed = BySocket::from([(next, symbols.into_iter().collect())]);
        self.move_away(socket, placed, &BTreeSet::from([next]))
    }

    /// Saves a socket where that pays: closes the empty ones, else moves the symbols of the emptiest to the others.
    pub(super) fn shrink(&mut self) -> Vec<Act> {
        if self.sockets.values().any(|socket| socket.leaving) {
            return Vec::new();
        }
        let empty: Vec<SocketId> =
            self.sockets.iter().filter(|(_, socket)| socket.symbols.is_empty()).map(|(id, _)| *id).collect();
        if !empty.is_empty() {
            self.sockets.retain(|_, socket| !socket.symbols.is_empty());
            return empty.into_iter().map(|socket| Act::Close { socket }).collect();
        }
        let Some((id, symbols)) = self.superfluous() else { return Vec::new() };
        self.leave(id);
        let (opened, placed) = self.place(&symbols);
        self.settle_in(&placed);
        self.move_away(id, placed, &opened)
    }

    /// Everything that this socket carried is carried well by the sockets it went to.
    pub(super) fn moved(&mut self, socket: SocketId) -> Vec<Act> {
        if !self.sockets.get(&socket).is_some_and(|known| known.leaving) {
            return Vec::new();
        }
        self.sockets.remove(&socket);
        for home in self.homes.values_mut().filter(|home| home.at == socket) {
            home.at = home.next.take().unwrap_or(home.at);
        }
        vec![Act::Close { socket }]
    }

    /// The connection of this socket is gone. Its symbols stay with it, for it will be opened again; unless they are on
    /// their way to others anyway.
    pub(super) fn lost(&mut self, socket: SocketId) -> Vec<Act> {
        if let Some(known) = self.sockets.get_mut(&socket) {
            known.freeing.clear();
        }
        self.moved(socket)
    }

    /// The venue takes fewer symbols on this socket than we thought, and has none of these: they go elsewhere. The venue
    /// is right; the socket stays smaller for as long as it lives.
    pub(super) fn overflowed(&mut self, socket: SocketId, symbols: &[u32]) -> Vec<Act> {
        let stays = |home: &Home| home.at == socket && home.next.is_none();
        let moved: Vec<u32> =
            symbols.iter().copied().filter(|symbol| self.homes.get(symbol).is_some_and(stays)).collect();
        let Some(known) = self.sockets.get_mut(&socket).filter(|_| !moved.is_empty()) else {
            return Vec::new();
        };
        for symbol in &moved {
            known.symbols.remove(symbol);
            self.homes.remove(symbol);
        }
        known.found_max = Some(known.symbols.len());
        let mut acts = vec![Act::Unsubscribe { socket, symbols: moved.clone() }];
        acts.extend(self.add(moved));
        acts
    }

    /// The sockets that are to be closed, with what has to be carried well elsewhere before: symbol and socket.
    pub(super) fn leaving(&self) -> BTreeMap<SocketId, Vec<(u32, SocketId)>> {
        let sockets = self.sockets.iter().filter(|(_, socket)| socket.leaving);
        let way = |symbol: &u32| self.homes.get(symbol)?.next.map(|next| (*symbol, next));
        sockets.map(|(id, socket)| (*id, socket.symbols.iter().filter_map(way).collect())).collect()
    }

    /// How many symbols are carried.
    pub(super) fn symbols(&self) -> usize {
        self.homes.len()
    }

    fn leave(&mut self, socket: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.leaving = true;
        }
    }

    fn settle_in(&mut self, placed: &BySocket) {
        for (id, symbols) in placed {
            let Some(socket) = self.sockets.get_mut(id) else { continue };
            for symbol in symbols {
                socket.freeing.remove(symbol);
                socket.symbols.insert(*symbol);
            }
        }
    }

    fn move_away(&mut self, from: SocketId, placed: BySocket, opened: &BTreeSet<SocketId>) -> Vec<Act> {
        self.leave(from);
        self.settle_in(&placed);
        for (next, symbols) in &placed {
            for symbol in symbols {
                if let Some(home) = self.homes.get_mut(symbol) {
                    home.next = Some(*next);
                }
            }
        }
        acts_of(placed, opened)
    }
}

#[cfg(test)]
mod tests;
