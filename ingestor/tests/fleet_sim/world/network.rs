//! Requests, the server that they reach, and their answers: each may be late or lost.

use tickwire_ingestor::fleet::{Name, Outcome, Times};
use tickwire_ingestor::venue::contract::{Micros, SECOND};
use tickwire_nats::Bytes;

use super::{Address, Event, Input, World};
use crate::schedule::MS;

/// The driver gives an unanswered write up after this.
const WRITE_TIMEOUT: Micros = SECOND;

/// A write that takes longer is a disturbance of its own.
const LATE: Micros = 100 * MS;

impl World {
    pub(super) fn delay(&mut self) -> Micros {
        let slow = self.lossy && self.rng.u8(..10) == 0;
        if slow { self.rng.u64(100 * MS..3 * SECOND) } else { self.rng.u64(MS / 5..20 * MS) }
    }

    pub(super) fn is_lost(&mut self) -> bool {
        self.lossy && self.rng.u8(..8) == 0
    }

    /// Whether a process's packets reach the server now.
    pub(super) fn reaches(&self, place: usize) -> bool {
        let node = &self.nodes[place];
        !node.cut && self.server_up && node.session == self.session
    }

    pub(super) fn read_lands(&mut self, from: Address, number: u64) {
        if !self.reaches(from.0) || self.is_lost() {
            return;
        }
        let behind = if self.rng.u8(..20) == 0 { self.rng.usize(1..=3) } else { 0 };
        let entries = self.bucket.read(behind);
        let at = self.now + self.delay();
        self.to(at, from, Input::View { number, entries });
    }

    pub(super) fn write_lands(
        &mut self,
        from: Address,
        sent: Micros,
        ticket: u64,
        key: String,
        value: Bytes,
        expected: u64,
    ) {
        // A packet that left before the cut still arrives, now and then.
        let node = &self.nodes[from.0];
        let on_its_way =
            node.life != from.1 || (node.cut && sent < node.cut_at && node.session == self.session);
        let arrives = self.server_up && (self.reaches(from.0) || (on_its_way && self.rng.bool()));
        if !arrives || self.is_lost() {
            return;
        }
        if self.now > sent + LATE {
            // It prolongs a lease that was as good as dead.
            self.checks.calm_since = self.now;
        }
        let shown = String::from_utf8_lossy(&value).into_owned();
        let outcome = self.bucket.put(key.clone(), value, expected);
        if !key.starts_with("member") {
            self.say(|| format!("  {key} {shown} over {expected}: {outcome:?}"));
        }
        if !self.is_lost() && self.reaches(from.0) {
            let at = self.now + self.delay();
            self.to(at, from, Input::Stored { ticket, outcome });
        }
    }

    pub(super) fn write(&mut self, place: usize, ticket: u64, key: String, value: Bytes, expected: u64) {
        let node = &mut self.nodes[place];
        node.writes.insert(ticket);
        let (from, linked) = ((place, node.life), node.linked);
        let patience = if linked { WRITE_TIMEOUT } else { 0 };
        self.to(self.now + patience, from, Input::Stored { ticket, outcome: Outcome::Failed });
        if linked {
            let (at, sent) = (self.now + self.delay(), self.now);
            self.at(at, Event::WriteLands { from, sent, ticket, key, value, expected });
        }
    }

    pub(super) fn ask(&mut self, from: Address, nonce: Name, peer: &str, payload: Bytes) {
        self.say(|| format!("{} asks {peer} {}", self.nodes[from.0].id, String::from_utf8_lossy(&payload)));
        let timeout = Input::Answered { nonce: Name::clone(&nonce), payload: None };
        self.to(self.now + Times::default().ask_timeout, from, timeout);
        let Some(place) = self.nodes.iter().position(|node| node.runs && &*node.id == peer) else { return };
        if self.reaches(from.0) && self.reaches(place) && !self.is_lost() {
            let (at, address) = (self.now + self.delay() + self.delay(), (place, self.nodes[place].life));
            self.to(at, address, Input::Asked { from, nonce, payload });
        }
    }

    pub(super) fn read(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if node.linked {
            node.reads += 1;
            let (from, number) = ((place, node.life), node.reads);
            let at = self.now + self.delay();
            self.at(at, Event::ReadLands { from, number });
        }
    }
}
