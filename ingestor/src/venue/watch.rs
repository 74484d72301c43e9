//! The watchdog of one connection against silence: a socket can freeze without being closed.

use super::contract::Micros;

/// Watches for silence.
#[derive(Debug)]
pub struct Watch {
    silence: Micros,
    heard_at: Micros,
}

impl Watch {
    /// A socket that was opened at `now` must bring a frame of any kind every `silence`.
    pub fn new(now: Micros, silence: Micros) -> Self {
        Self { silence, heard_at: now }
    }

    /// A frame of any kind came.
    pub fn heard(&mut self, now: Micros) {
        self.heard_at = self.heard_at.max(now);
    }

    /// Whether it was silent for too long.
    pub fn is_silent(&self, now: Micros) -> bool {
        now >= self.next_deadline()
    }

    /// When to look again.
    pub fn next_deadline(&self) -> Micros {
        self.heard_at + self.silence
    }
}
