//! What one connection is subscribed to, brought step by step to what it was asked to carry: requests batched and
//! paced, refused ones taken apart, unanswered ones asked again, silent topics found. Pure, and the same for every
//! venue; a [`Shape`] says how the venue differs, and the session knows its frames.
//!
//! A topic of a symbol is asked for and given up by one request at a time, so that the venue's answer always tells
//! where it stands, in whatever order subscribe and unsubscribe were called meanwhile.

mod answers;
mod queue;
mod quiet;
mod send;
mod shape;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::contract::{Event, Micros, Out, Reason};
use super::requests::Requests;
use queue::{Ask, Batch, Queue, Unit};
pub use shape::{Refusal, Request, Shape, TOPICS_MAX};
use table::{Entry, Place, State, Table, bit};

/// The subscriptions of one connection.
#[derive(Debug)]
pub struct Subscriptions {
    shape: &'static Shape,
    table: Table,
    queue: Queue,
    requests: Requests<Batch>,
    /// Symbols with a topic that has not spoken, by when it is asked for again.
    quiet: BTreeSet<(Micros, Place)>,
    /// Whether anything ever came.
    any_data: bool,
    /// Since when the venue owes data.
    on_since: Option<Micros>,
}

impl Subscriptions {
    /// None yet.
    pub fn new(shape: &'static Shape) -> Self {
        Self {
            shape,
            table: Table::default(),
            queue: Queue::default(),
            requests: Requests::new(shape.interval, shape.ack_timeout),
            quiet: BTreeSet::new(),
            any_data: false,
            on_since: None,
        }
    }

    /// Carries symbols of these numbers and names.
    pub fn subscribe(&mut self, symbols: impl Iterator<Item = (u32, String)>, now: Micros, out: &mut Out) {
        let mut acked = Vec::new();
        for (index, name) in symbols {
            let place = self.table.want(index, &name);
            self.want(place, now);
            if self.is_complete(place) {
                acked.push(index);
            }
        }
        // What was about to be given up is kept.
        self.clean_queue();
        tell_acked(acked, out);
    }

    fn want(&mut self, place: Place, now: Micros) {
        let Some(entry) = self.table.get_mut(place) else { return };
        if std::mem::replace(&mut entry.wanted, true) {
            return;
        }
        (entry.live, entry.spoke, entry.quiet_times) = (false, 0, 0);
        for topic in 0..self.shape.topics {
            match self.table.state(place, topic) {
                State::Off => self.push(Unit { place, topic }, true),
                State::Going => self.table.set(place, topic, State::On),
                State::Waiting | State::Asked | State::On | State::Leaving => {}
            }
        }
        if self.is_complete(place) {
            self.watch(place, now);
        }
    }

    /// Carries the symbols of these numbers no longer.
    pub fn unsubscribe(&mut self, symbols: &[u32]) {
        for index in symbols {
            if let Some(place) = self.table.numbered(*index) {
                self.give_up(place);
            }
        }
        self.clean_queue();
    }

    /// [`Self::clean_queue`] is due after it.
    fn give_up(&mut self, place: Place) {
        let Some(entry) = self.table.get_mut(place) else { return };
        entry.wanted = false;
        if let Some(by) = entry.quiet_by.take() {
            self.quiet.remove(&(by, place));
        }
        self.table.forget_number(place);
        for topic in 0..self.shape.topics {
            match self.table.state(place, topic) {
                State::Waiting => self.table.set(place, topic, State::Off),
                State::On => self.push(Unit { place, topic }, false),
                State::Off | State::Asked | State::Going | State::Leaving => {}
            }
        }
        self.table.remove_if_done(place);
    }

    fn clean_queue(&mut self) {
        let table = &self.table;
        self.queue.retain(|unit, coming| {
            table.state(unit.place, unit.topic) == if coming { State::Waiting } else { State::Going }
        });
        self.note_on();
    }

    fn push(&mut self, unit: Unit, coming: bool) {
        let Some(entry) = self.table.get(unit.place) else { return };
        let again = entry.wanted && entry.is_asked_again();
        self.queue.push(unit, entry.name.len(), Ask { coming, again, unsure: false }, self.shape);
        let state = if coming { State::Waiting } else { State::Going };
        self.table.set(unit.place, unit.topic, state);
        if coming && let Some(entry) = self.table.get_mut(unit.place) {
            entry.spoke &= !bit(unit.topic);
        }
    }

    fn is_complete(&self, place: Place) -> bool {
        let is_on =
            |entry: &Entry| entry.states.iter().take(self.shape.topics).all(|state| *state == State::On);
        self.table.get(place).is_some_and(is_on)
    }

    /// Books a message that is no request.
    pub fn spend(&mut self, now: Micros) {
        self.requests.spend(now);
    }

    /// An id for a message that is no request.
    pub fn take_id(&mut self) -> u64 {
        self.requests.take_id()
    }

    /// Whether an id was given out on this connection.
    pub fn is_ours(&self, id: u64) -> bool {
        self.requests.is_ours(id)
    }

    /// Asks again for what was not answered and for what stayed silent. Why the connection is of no more use, if so.
    pub fn deadline(&mut self, now: Micros, out: &mut Out) -> Option<Reason> {
        while let Some(batch) = self.requests.overdue(now) {
            // What works goes on while the venue is slow to answer for what is silent anyway.
            if batch.unanswered && !batch.ask.again {
                return Some(Reason::Ack);
            }
            self.queue.put(batch.unanswered());
        }
        if self.first_data_by().is_some_and(|by| now >= by) {
            return Some(Reason::FirstData);
        }
        self.ask_quiet(now, out);
        None
    }

    /// When [`Self::deadline`] and [`Self::send_due`] want to be called.
    pub fn next_deadline(&self) -> Option<Micros> {
        let quiet = self.quiet.first().map(|(by, _)| *by);
        let send = self.can_send().then(|| self.requests.next_send());
        [send, self.requests.next_timeout(), self.first_data_by(), quiet].into_iter().flatten().min()
    }

    fn first_data_by(&self) -> Option<Micros> {
        self.on_since.filter(|_| !self.any_data).map(|since| since + self.shape.first_data)
    }

    /// Where the venue has nothing of ours, it owes nothing.
    fn note_on(&mut self) {
        if self.table.counts().on == 0 {
            self.on_since = None;
        }
    }
}

fn tell_acked(symbols: Vec<u32>, out: &mut Out) {
    if !symbols.is_empty() {
        out.events.push(Event::Acked { symbols });
    }
}
