//! One symbol on the sockets that carry it: how far it has come on each, and what that makes of it as a whole.

use std::time::Duration;

use tokio::time::Instant;

use crate::link::state::SymbolState;

/// A subscription that was acknowledged this long ago counts as warm without data: an illiquid symbol may stay silent
/// for minutes.
pub const WARM_AFTER_ACK: Duration = Duration::from_secs(3);

/// How long a move waits for data on the new socket where the old one brings some.
pub const MOVE_PATIENCE: Duration = Duration::from_secs(10);

/// One symbol on its sockets.
#[derive(Debug)]
pub(super) struct Known {
    /// One, or two while it moves.
    homes: Vec<Home>,
    since_ms: u64,
    lost_ms: Option<u64>,
    reason: Option<&'static str>,
}

#[derive(Debug)]
struct Home {
    socket: u32,
    stage: Stage,
}

/// How far a symbol has come on one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Asked,
    /// Brings data, though not all of it was acknowledged.
    Early,
    Acked(Instant),
    Live,
    /// By the venue.
    Rejected,
    /// Not on this socket.
    Full,
}

impl Known {
    pub(super) fn new(since_ms: u64) -> Self {
        Self { homes: Vec::with_capacity(1), since_ms, lost_ms: None, reason: None }
    }

    /// Carried by a socket as well; whether it is the first one.
    pub(super) fn add(&mut self, socket: u32) -> bool {
        self.homes.push(Home { socket, stage: Stage::Asked });
        self.homes.len() == 1
    }

    /// Carried by a socket no longer; whether it was the last one.
    pub(super) fn leave(&mut self, socket: u32) -> bool {
        self.homes.retain(|home| home.socket != socket);
        self.homes.is_empty()
    }

    pub(super) fn stage_mut(&mut self, socket: u32) -> Option<&mut Stage> {
        self.homes.iter_mut().find(|home| home.socket == socket).map(|home| &mut home.stage)
    }

    pub(super) fn stage(&self, socket: u32) -> Option<Stage> {
        self.homes.iter().find(|home| home.socket == socket).map(|home| home.stage)
    }

    pub(super) fn has_arrived(&self, from: u32, to: u32, now: Instant) -> bool {
        match (self.stage(to), self.stage(from)) {
            (Some(Stage::Live | Stage::Rejected), _) => true,
            (Some(Stage::Acked(at)), Some(Stage::Live | Stage::Early)) => now >= at + MOVE_PATIENCE,
            (Some(Stage::Acked(at)), _) => now >= at + WARM_AFTER_ACK,
            (Some(Stage::Asked | Stage::Early | Stage::Full) | None, _) => false,
        }
    }

    pub(super) fn is_warm(&self, now: Instant) -> bool {
        self.homes.iter().any(|home| home.stage.is_warm(now))
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.homes.iter().all(|home| home.stage == Stage::Rejected)
    }

    pub(super) fn state(&self, now: Instant) -> SymbolState {
        match (self.lost_ms, self.reason) {
            _ if self.is_warm(now) => SymbolState::Live,
            _ if self.is_rejected() => SymbolState::Rejected,
            (Some(since_ms), Some(reason)) => SymbolState::Lost { since_ms, reason },
            (_, reason) => SymbolState::Opening { since_ms: self.since_ms, reason },
        }
    }

    /// Says whether the symbol has nowhere else to come from now.
    pub(super) fn lose(&mut self, socket: u32, reason: &'static str, now: Instant, at_ms: u64) -> bool {
        let was_warm = self.is_warm(now);
        let Some(home) = self.homes.iter_mut().find(|home| home.socket == socket) else { return false };
        home.stage = Stage::Asked;
        if was_warm && !self.is_warm(now) {
            self.lost_ms = Some(at_ms);
        }
        if !self.is_warm(now) {
            self.reason = Some(reason);
        }
        !self.homes.iter().any(|home| matches!(home.stage, Stage::Early | Stage::Acked(_) | Stage::Live))
    }
}

impl Stage {
    /// The venue has taken the subscription.
    pub(super) fn acked(self, at: Instant) -> Self {
        match self {
            Self::Early | Self::Live => Self::Live,
            Self::Asked | Self::Rejected | Self::Full => Self::Acked(at),
            Self::Acked(before) => Self::Acked(before),
        }
    }

    /// Data came.
    pub(super) fn heard(self) -> Self {
        if matches!(self, Self::Acked(_) | Self::Live) { Self::Live } else { Self::Early }
    }

    fn is_warm(self, now: Instant) -> bool {
        match self {
            Self::Live => true,
            Self::Acked(at) => now >= at + WARM_AFTER_ACK,
            Self::Asked | Self::Early | Self::Rejected | Self::Full => false,
        }
    }
}
