//! What a packer answers.

use std::collections::BTreeSet;

use super::{BySocket, SocketId};

/// What is to be done with the sockets, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pool) enum Act {
    /// Open a socket that carries these symbols.
    Open {
        /// The new socket.
        socket: SocketId,
        /// What it carries.
        symbols: Vec<u32>,
    },
    /// Let a socket carry these symbols as well.
    Subscribe {
        /// A socket that was opened.
        socket: SocketId,
        /// What comes.
        symbols: Vec<u32>,
    },
    /// Let a socket no longer carry these symbols.
    Unsubscribe {
        /// A socket that was opened.
        socket: SocketId,
        /// What goes. [`Packer::freed`](super::Packer::freed) is due when the venue surely carries it no more.
        symbols: Vec<u32>,
    },
    /// Close a socket: nothing depends on it.
    Close {
        /// A socket that was opened.
        socket: SocketId,
    },
}

/// The sockets in `opened` are opened, the others exist.
pub(super) fn acts_of(placed: BySocket, opened: &BTreeSet<SocketId>) -> Vec<Act> {
    let act = |(socket, symbols)| {
        if opened.contains(&socket) {
            Act::Open { socket, symbols }
        } else {
            Act::Subscribe { socket, symbols }
        }
    };
    placed.into_iter().map(act).collect()
}
