//! What a member wants done.

use std::fmt;

use bytes::Bytes;

use crate::fleet::post::{Name, Post};

/// Why a post is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Another member goes on from our hand-over.
    HandedOver,
    /// Another member took it, because our lease ran out.
    Lost,
    /// It was being prepared, and is not wanted here any more.
    Cancelled,
    /// The process ends and nobody asked for it.
    Left,
}

impl Reason {
    /// Name for a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HandedOver => "handed_over",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
            Self::Left => "left",
        }
    }
}

impl Reason {
    /// For metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::HandedOver => "handed_over",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
            Self::Left => "left",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HandedOver => "another member goes on from our hand-over",
            Self::Lost => "another member took it, because our lease ran out",
            Self::Cancelled => "it is not wanted here any more",
            Self::Left => "the process ends",
        })
    }
}

/// What is to be done. Every `Write` wants exactly one [`Member::stored`](super::Member::stored), every `Ask` one [`Member::answered`](super::Member::answered).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Write a key by compare-and-swap.
    Write {
        /// Goes back with the outcome.
        ticket: u64,
        /// The key.
        key: String,
        /// Its new value.
        value: Bytes,
        /// The revision it must have; 0 if there must be no such key.
        expected: u64,
    },
    /// Read the whole bucket now and not only when it is due.
    Read,
    /// Ask another member for a post.
    Ask {
        /// Goes back with the answer.
        nonce: Name,
        /// What is asked for.
        post: Post,
        /// Id of the member.
        peer: Name,
        /// The request.
        payload: Bytes,
    },
    /// Answer a request.
    Reply {
        /// As it was given to [`Member::asked`](super::Member::asked).
        reply: u64,
        /// The answer.
        payload: Bytes,
    },
    /// For the runtime, see [`crate::fleet`].
    Prepare {
        /// The shard.
        post: Post,
        /// Goes back with `warm`.
        turn: u64,
    },
    /// For the runtime: ours, without a hand-over.
    Carry {
        /// The post.
        post: Post,
        /// Revision of the write that made it ours; grows with every owner.
        epoch: u64,
    },
    /// For the runtime: ours, with a hand-over.
    Publish {
        /// The shard.
        post: Post,
        /// As in `Carry`.
        epoch: u64,
        /// What the owner before us exported.
        rows: Bytes,
    },
    /// For the runtime: stop and export.
    Release {
        /// The post.
        post: Post,
        /// Goes back with `released`.
        turn: u64,
    },
    /// For the runtime: not ours any more.
    Stop {
        /// The post.
        post: Post,
        /// Why.
        reason: Reason,
    },
}
