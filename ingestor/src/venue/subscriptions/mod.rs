//! What one connection is subscribed to, brought step by step to what it was asked to carry: requests batched and
//! paced, refused ones taken apart, unanswered ones asked again, silent topics found. Pure, and the same for every
//! venue; a [`Shape`] says how the venue differs, and the session knows its frames.
//!
//! A topic of a symbol is asked for and given up by one request at a time, so that the venue's answer always tells
//! where it stands, in whatever order subscribe and unsubscribe were called meanwhile.

mod queue;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::contract::{Event, Micros, Out, Reason};
use super::requests::Requests;
use queue::{Batch, Queue, Unit};
use table::{Entry, Place, State, Table};

/// Most topics that a venue has for one symbol.
pub const TOPICS_MAX: usize = 3;

/// How often the pause of a quiet symbol doubles.
const QUIET_DOUBLINGS: u32 = 6;

/// How a venue takes subscriptions.
#[derive(Debug)]
pub struct Shape {
    /// Topics of one symbol, count; at most [`TOPICS_MAX`].
    pub topics: usize,
    /// The topic that the venue speaks on even where nothing is traded.
    pub watched: usize,
    /// Whether one request may hold several topics.
    pub mixed: bool,
    /// Topics that the venue allows on one connection, count.
    pub units_max: usize,
    /// Topics of symbols in one request, count.
    pub units_per_request: usize,
    /// Size of one request, bytes.
    pub request_bytes: usize,
    /// What each topic of a symbol adds to a request besides the symbol's name, bytes.
    pub topic_bytes: [usize; TOPICS_MAX],
    /// Time between two messages, microseconds.
    pub interval: Micros,
    /// Time in which a request is answered, microseconds.
    pub ack_timeout: Micros,
    /// Time from the answer to the first data, microseconds.
    pub first_data: Micros,
}

/// A request that is sent now.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its id.
    pub id: u64,
    /// Whether to subscribe; else to unsubscribe.
    pub subscribe: bool,
    /// Topic and the symbol's name, in this order.
    pub units: Vec<(usize, &'a str)>,
}

/// What a refusal means for the symbols of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// One of them, or their number, failed them all.
    Some,
    /// None of them is taken.
    All,
    /// The connection takes no more.
    Full,
    /// Nothing is wrong but the moment: not before this time.
    Until(Micros),
}

/// The subscriptions of one connection.
#[derive(Debug)]
pub struct Subscriptions {
    shape: &'static Shape,
    table: Table,
    queue: Queue,
    requests: Requests<Batch>,
    /// Symbols whose watched topic has not spoken, by when it must.
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
        entry.live = false;
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
        let name_bytes = self.table.get(unit.place).map_or(0, |entry| entry.name.len());
        self.queue.push(unit, name_bytes, coming, self.shape);
        let state = if coming { State::Waiting } else { State::Going };
        self.table.set(unit.place, unit.topic, state);
        if coming
            && unit.topic == self.shape.watched
            && let Some(entry) = self.table.get_mut(unit.place)
        {
            entry.spoke = false;
        }
    }

    /// A topic of the symbol of this name spoke: the number to tell it under.
    ///
    /// # Errors
    /// Why nobody wants to hear it.
    #[inline]
    pub fn heard(&mut self, name: &[u8], topic: usize, out: &mut Out) -> Result<u32, &'static str> {
        let is_watched = topic == self.shape.watched;
        let Some((place, entry)) = self.table.named(name) else { return Err("unknown_symbol") };
        if !entry.wanted {
            return Err("unsubscribed_symbol");
        }
        let index = entry.index;
        if !entry.live || (is_watched && !entry.spoke) {
            self.first_news(place, is_watched, out);
        }
        Ok(index)
    }

    #[cold]
    fn first_news(&mut self, place: Place, is_watched: bool, out: &mut Out) {
        self.any_data = true;
        let Some(entry) = self.table.get_mut(place) else { return };
        if !std::mem::replace(&mut entry.live, true) {
            out.events.push(Event::Live { symbol: entry.index });
        }
        if is_watched {
            (entry.spoke, entry.quiet_times) = (true, 0);
            if let Some(by) = entry.quiet_by.take() {
                self.quiet.remove(&(by, place));
            }
        }
    }

    /// The venue has done what the request of this id asks for. False if there is none.
    pub fn taken(&mut self, id: u64, now: Micros, out: &mut Out) -> bool {
        let Some(batch) = self.requests.answered(id) else { return false };
        if batch.coming {
            self.joined(&batch.units, now, out);
        } else {
            batch.units.iter().for_each(|unit| self.left(*unit));
        }
        self.note_on();
        if self.table.counts().on > 0 {
            self.on_since.get_or_insert(now);
        }
        true
    }

    fn joined(&mut self, units: &[Unit], now: Micros, out: &mut Out) {
        let mut acked = Vec::new();
        for unit in units {
            self.table.set(unit.place, unit.topic, State::On);
            match self.table.get(unit.place) {
                Some(entry) if !entry.wanted => self.push(*unit, false),
                Some(entry) if self.is_complete(unit.place) => {
                    acked.push(entry.index);
                    self.watch(unit.place, now);
                }
                _ => {}
            }
        }
        tell_acked(acked, out);
    }

    fn left(&mut self, unit: Unit) {
        self.table.set(unit.place, unit.topic, State::Off);
        if self.table.get(unit.place).is_some_and(|entry| entry.wanted) {
            self.push(unit, true);
        } else {
            self.table.remove_if_done(unit.place);
        }
    }

    fn is_complete(&self, place: Place) -> bool {
        let is_on = |entry: &Entry| {
            entry.states.iter().take(self.shape.topics).all(|state| *state == State::On)
        };
        self.table.get(place).is_some_and(is_on)
    }

    /// From now on the watched topic has to speak.
    fn watch(&mut self, place: Place, now: Micros) {
        let Some(entry) = self.table.get_mut(place).filter(|entry| !entry.spoke) else { return };
        let by = now + (self.shape.first_data << entry.quiet_times.min(QUIET_DOUBLINGS));
        if let Some(before) = entry.quiet_by.replace(by) {
            self.quiet.remove(&(before, place));
        }
        self.quiet.insert((by, place));
    }

    /// The venue refuses the request of this id. False if there is none.
    pub fn refused(&mut self, id: u64, refusal: Refusal, reason: &str, out: &mut Out) -> bool {
        let Some(Batch { units, coming, .. }) = self.requests.answered(id) else { return false };
        match refusal {
            Refusal::Until(at) => {
                self.requests.hold(at);
                self.ask_again(units, coming);
            }
            Refusal::Some => self.take_apart(units, coming, reason, out),
            Refusal::All | Refusal::Full => self.reject(&units, coming, refusal, reason, out),
        }
        self.clean_queue();
        true
    }

    /// The venue has none of these now.
    fn ask_again(&mut self, mut units: Vec<Unit>, coming: bool) {
        let state = if coming { State::Waiting } else { State::Going };
        if coming {
            units.retain(|unit| {
                self.table.set(unit.place, unit.topic, State::Off);
                let wanted = self.table.get(unit.place).is_some_and(|entry| entry.wanted);
                self.table.remove_if_done(unit.place);
                wanted
            });
        }
        for unit in &units {
            self.table.set(unit.place, unit.topic, state);
        }
        self.queue.put(Batch::fixed(units, coming, false));
    }

    /// One bad symbol fails the whole list. The one that the venue names is dropped and the rest asked for again; where
    /// the answer does not single one out, the list is halved until it does.
    fn take_apart(&mut self, units: Vec<Unit>, coming: bool, reason: &str, out: &mut Out) {
        let (named, others): (Vec<Unit>, Vec<Unit>) =
            units.iter().partition(|unit| self.is_named(unit.place, reason));
        if units.len() == 1 {
            self.reject(&units, coming, Refusal::Some, reason, out);
        } else if named.is_empty() || others.is_empty() {
            let (left, right) = units.split_at(units.len() / 2);
            self.ask_again(left.to_vec(), coming);
            self.ask_again(right.to_vec(), coming);
        } else {
            self.ask_again(others, coming);
            self.reject(&named, coming, Refusal::Some, reason, out);
        }
    }

    fn is_named(&self, place: Place, reason: &str) -> bool {
        let mut words = reason.split([' ', ':', ',']);
        self.table.get(place).is_some_and(|entry| words.any(|word| word == &*entry.name))
    }

    fn reject(&mut self, units: &[Unit], coming: bool, why: Refusal, reason: &str, out: &mut Out) {
        for unit in units {
            if !coming {
                // What the venue does not know, it does not send.
                self.left(*unit);
                continue;
            }
            self.table.set(unit.place, unit.topic, State::Off);
            if let Some(entry) = self.table.get(unit.place).filter(|entry| entry.wanted) {
                let (symbol, full) = (entry.index, why == Refusal::Full);
                out.events.push(Event::Rejected { symbol, full, reason: reason.to_owned() });
            }
            self.give_up(unit.place);
        }
    }

    /// Hands the requests that may be sent now to `write`, which makes the frame.
    pub fn send_due(&mut self, now: Micros, out: &mut Out, write: impl Fn(&Request<'_>) -> String) {
        while now >= self.requests.next_send() {
            let Some(batch) = self.next_batch(out) else { return };
            let (units, subscribe) = (batch.units.clone(), batch.coming);
            for unit in &units {
                let state = if subscribe { State::Asked } else { State::Leaving };
                self.table.set(unit.place, unit.topic, state);
            }
            let id = self.requests.send(batch, now);
            let named = |unit: &Unit| Some((unit.topic, &*self.table.get(unit.place)?.name));
            let units = units.iter().filter_map(named).collect();
            out.send.push(write(&Request { id, subscribe, units }));
        }
    }

    /// What comes goes first, as far as the venue has room; what goes makes room.
    fn next_batch(&mut self, out: &mut Out) -> Option<Batch> {
        loop {
            let room = self.shape.units_max.saturating_sub(self.table.counts().at_venue);
            match self.queue.coming.front_mut() {
                None => return self.queue.going.pop_front(),
                Some(first) if first.again || first.units.len() <= room => {
                    return self.queue.coming.pop_front();
                }
                Some(first) if room > 0 => {
                    let units = first.units.drain(..room).collect();
                    return Some(Batch::fixed(units, true, false));
                }
                Some(_) if !self.queue.going.is_empty() => return self.queue.going.pop_front(),
                Some(_) if self.table.counts().leaving > 0 => return None,
                Some(_) => {
                    let units = self.queue.coming.pop_front().map(|first| first.units).unwrap_or_default();
                    let reason = format!("all {} topics of the connection are taken", self.shape.units_max);
                    self.reject(&units, true, Refusal::Full, &reason, out);
                    self.clean_queue();
                }
            }
        }
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
        while let Some(Batch { units, coming, again, .. }) = self.requests.overdue(now) {
            if again {
                return Some(Reason::Ack);
            }
            self.queue.put(Batch::fixed(units, coming, true));
        }
        if self.first_data_by().is_some_and(|by| now >= by) {
            return Some(Reason::FirstData);
        }
        while let Some((by, place)) = self.quiet.first().copied().filter(|(by, _)| now >= *by) {
            self.quiet.remove(&(by, place));
            self.is_quiet(place, out);
        }
        None
    }

    fn is_quiet(&mut self, place: Place, out: &mut Out) {
        let Some(entry) = self.table.get_mut(place) else { return };
        (entry.quiet_by, entry.quiet_times) = (None, entry.quiet_times.saturating_add(1));
        out.events.push(Event::Quiet { symbol: entry.index });
        // Given up and, as it is wanted, asked for again.
        if self.table.state(place, self.shape.watched) == State::On {
            self.push(Unit { place, topic: self.shape.watched }, false);
        }
    }

    /// When [`Self::deadline`] and [`Self::send_due`] want to be called.
    pub fn next_deadline(&self) -> Option<Micros> {
        let quiet = self.quiet.first().map(|(by, _)| *by);
        let send = self.can_send().then(|| self.requests.next_send());
        [send, self.requests.next_timeout(), self.first_data_by(), quiet].into_iter().flatten().min()
    }

    fn can_send(&self) -> bool {
        let counts = self.table.counts();
        let waits_for_room = |first: &Batch| {
            !first.again && counts.at_venue >= self.shape.units_max && counts.leaving > 0
        };
        !self.queue.going.is_empty() || self.queue.coming.front().is_some_and(|first| !waits_for_room(first))
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
