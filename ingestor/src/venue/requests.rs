//! The requests of one connection: waiting, paced inside the venue's message budget, sent, answered. Knows no frame
//! format and no clock.

use std::collections::{BTreeMap, VecDeque};

use super::contract::Micros;

/// Requests of type `B`, named by the ids they were sent with.
#[derive(Debug)]
pub struct Requests<B> {
    waiting: VecDeque<B>,
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
        Self { waiting: VecDeque::new(), sent: BTreeMap::new(), last_id: 0, interval, timeout, next_at: 0 }
    }

    /// Adds a request to be sent.
    pub fn push(&mut self, request: B) {
        self.waiting.push_back(request);
    }

    /// The waiting requests.
    pub fn waiting_mut(&mut self) -> &mut VecDeque<B> {
        &mut self.waiting
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

    /// The request that may be sent now, with its id.
    pub fn due(&mut self, now: Micros) -> Option<(u64, &B)> {
        if now < self.next_at {
            return None;
        }
        let request = self.waiting.pop_front()?;
        self.spend(now);
        let id = self.take_id();
        Some((id, &self.sent.entry(id).or_insert((request, now)).0))
    }

    /// Takes the request that was answered; `None` for an id that is not open.
    pub fn answered(&mut self, id: u64) -> Option<B> {
        self.sent.remove(&id).map(|(request, _)| request)
    }

    /// Whether a request has waited too long for its answer.
    pub fn overdue(&self, now: Micros) -> bool {
        self.oldest().is_some_and(|at| now >= at + self.timeout)
    }

    /// Whether every request has been sent and answered.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }

    /// When to look again.
    pub fn next_deadline(&self) -> Option<Micros> {
        let send = (!self.waiting.is_empty()).then_some(self.next_at);
        let answer = self.oldest().map(|at| at + self.timeout);
        [send, answer].into_iter().flatten().min()
    }

    fn oldest(&self) -> Option<Micros> {
        // Ids grow with time, so the first is the oldest.
        self.sent.first_key_value().map(|(_, (_, at))| *at)
    }
}
