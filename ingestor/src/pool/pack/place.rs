//! Where there is room.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::{BySocket, Packer, Socket, SocketId};

/// Of four places, those that may be taken after a shrink: the next listing must not open what was just closed.
const FULL_QUARTERS: usize = 3;

impl Packer {
    /// A socket where the symbol was until just now.
    pub(super) fn still_held(&self, symbol: u32) -> Option<SocketId> {
        let held = |socket: &Socket| !socket.leaving && socket.freeing.contains(&symbol);
        self.sockets.iter().find(|(_, socket)| held(socket)).map(|(id, _)| *id)
    }

    /// The emptiest socket with its symbols, if the others can take them and keep a quarter free.
    pub(super) fn superfluous(&self) -> Option<(SocketId, Vec<u32>)> {
        let others = self.sockets.len().checked_sub(1).filter(|others| *others > 0)?;
        if self.homes.len() * 4 > others * self.symbols_max * FULL_QUARTERS {
            return None;
        }
        let (id, socket) = self.sockets.iter().min_by_key(|(_, socket)| socket.symbols.len())?;
        let room: usize =
            self.sockets.iter().filter(|(other, _)| *other != id).map(|(_, other)| self.room(other)).sum();
        (room >= socket.symbols.len()).then(|| (*id, socket.symbols.iter().copied().collect()))
    }

    /// Where these symbols would go: the sockets that have to be opened for it, and all with what they get. Of all
    /// ways, one that opens and then touches the fewest sockets, and fills those evenly.
    pub(super) fn place(&mut self, symbols: &[u32]) -> (BTreeSet<SocketId>, BySocket) {
        let open = self.sockets.iter().filter(|(_, socket)| !socket.leaving);
        let mut rooms: Vec<(usize, Reverse<SocketId>)> =
            open.map(|(id, socket)| (self.room(socket), Reverse(*id))).collect();
        let room: usize = rooms.iter().map(|(room, _)| room).sum();
        let missing = symbols.len().saturating_sub(room).div_ceil(self.symbols_max);
        let opened: BTreeSet<SocketId> = (0..missing).map(|_| self.open()).collect();
        rooms.extend(opened.iter().map(|id| (self.symbols_max, Reverse(*id))));
        rooms.sort_unstable_by_key(|roomiest| Reverse(*roomiest));
        let mut missing = symbols.len();
        let fewest = rooms.into_iter().take_while(|(room, _)| {
            let needed = missing > 0;
            missing = missing.saturating_sub(*room);
            needed
        });
        (opened, level(fewest.collect(), symbols))
    }

    fn room(&self, socket: &Socket) -> usize {
        let max = socket.found_max.unwrap_or(self.symbols_max);
        max.saturating_sub(socket.symbols.len() + socket.freeing.len())
    }

    pub(super) fn open(&mut self) -> SocketId {
        self.last_id += 1;
        self.sockets.insert(self.last_id, Socket::default());
        self.last_id
    }
}

/// Gives each symbol to the socket with the most room.
fn level(rooms: BinaryHeap<(usize, Reverse<SocketId>)>, symbols: &[u32]) -> BySocket {
    let (mut rooms, mut placed) = (rooms, BySocket::new());
    for symbol in symbols {
        let Some((room, socket)) = rooms.pop() else { break };
        placed.entry(socket.0).or_default().push(*symbol);
        rooms.push((room.saturating_sub(1), socket));
    }
    placed
}
