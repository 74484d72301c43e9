//! The requests of one connection: ids, the venue's message budget, and which answers are still owed. Knows no frame
//! format and no clock.

use std::collections::BTreeMap;

use super::contract::Micros;

/// Requests of type `B`, named by the ids they were sent with.
#[derive(Debug)]
pub struct Requests<B> {
    sent: BTreeMap<u64, (B, Micros)>,
    last_id: u64,
    interval: Micros,
    timeout: Micros,
    next_at: Micros,
}

impl<B> Requests<B> {
    /// At most one message every `interval`; an answer is due within `timeout`. Evenly spaced messages stay inside the
    /// venue's window even where the network bunches a few of them.
    pub fn new(interval: Micros, timeout: Micros) -> Self {
        Self { sent: BTreeMap::new(), last_id: 0, interval, timeout, next_at: 0 }
    }

    /// Books a message that goes out anyway (a ping, a pong): the next request waits for one more interval.
    pub fn spend(&mut self, now: Micros) {
        self.next_at = self.next_at.max(now) + self.interval;
    }

    /// Lets no request go before `at`.
    pub fn hold(&mut self, at: Micros) {
        self.next_at = self.next_at.max(at);
    }

    /// The next id, for a message that is not a request.
    pub fn take_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether an id was given out here.
    pub fn is_ours(&self, id: u64) -> bool {
        (1..=self.last_id).contains(&id)
    }

    /// When the next request may go.
    pub fn next_send(&self) -> Micros {
        self.next_at
    }

    /// Books a request that goes out now, and names it.
    pub fn send(&mut self, request: B, now: Micros) -> u64 {
        self.spend(now);
        let id = self.take_id();
        self.sent.insert(id, (request, now));
        id
    }

    /// Takes the request that was answered; `None` for an id that is not open.
    pub fn answered(&mut self, id: u64) -> Option<B> {
        self.sent.remove(&id).map(|(request, _)| request)
    }

    /// Takes a request that has waited too long for its answer.
    pub fn overdue(&mut self, now: Micros) -> Option<B> {
        // Ids grow with time, so the first is the oldest.
        let oldest = self.sent.first_entry().filter(|oldest| now >= oldest.get().1 + self.timeout)?;
        Some(oldest.remove().0)
    }

    /// When the next answer is overdue.
    pub fn next_timeout(&self) -> Option<Micros> {
        self.sent.first_key_value().map(|(_, (_, at))| *at + self.timeout)
    }
}
