//! The watchdog of one connection: prices must begin within a time, and the socket must never be silent for long. A
//! socket can freeze without being closed, and a venue can acknowledge a subscription and then send nothing.

use super::contract::{Micros, Reason};

/// Watches for first data and for silence.
#[derive(Debug)]
pub struct Watch {
    silence: Micros,
    heard_at: Micros,
    first_data_by: Option<Micros>,
}

impl Watch {
    /// A socket that was opened at `now` must bring data until `first_data`, and a frame of any kind every `silence`.
    pub fn new(now: Micros, first_data: Micros, silence: Micros) -> Self {
        Self { silence, heard_at: now, first_data_by: Some(now + first_data) }
    }

    /// A frame of any kind came.
    pub fn heard(&mut self, now: Micros) {
        self.heard_at = self.heard_at.max(now);
    }

    /// A price came.
    pub fn data(&mut self) {
        self.first_data_by = None;
    }

    /// What is wrong by now, if anything.
    pub fn check(&self, now: Micros) -> Option<Reason> {
        if now >= self.heard_at + self.silence {
            return Some(Reason::Silence);
        }
        self.first_data_by.filter(|by| now >= *by).map(|_| Reason::FirstData)
    }

    /// When to look again.
    pub fn next_deadline(&self) -> Micros {
        let silence = self.heard_at + self.silence;
        self.first_data_by.map_or(silence, |by| by.min(silence))
    }
}
