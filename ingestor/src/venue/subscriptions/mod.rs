//! What one connection is subscribed to, brought step by step to what it was asked to carry: requests batched and
//! paced, refused ones taken apart, unanswered ones asked again, silent topics found. Pure, and the same for every
//! venue; a [`Shape`] says how the venue differs, and the session knows its frames.
//!
//! A topic of a symbol is asked for and given up by one request at a time, so that the venue's answer always tells
//! where it stands, in whatever order subscribe and unsubscribe were called meanwhile.

mod answers;
mod queue;
mod send;
mod shape;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::contract::{Event, Micros, Out, Reason, Update};
use super::requests::Requests;
use queue::{Batch, Queue, Unit};
pub use shape::{Refusal, Request, Shape, TOPICS_MAX};
use table::{Entry, Place, State, Table};

/// How often the pause of a quiet symbol doubles.
const QUIET_DOUBLINGS: u32 = 6;

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

    /// A topic of the symbol of this name spoke: `news` go out under its number, if anybody wants to hear them.
    #[inline]
    pub fn tell(&mut self, name: &[u8], topic: usize, out: &mut Out, news: impl FnOnce(u32) -> Update) {
        match self.heard(name, topic, out) {
            Ok(symbol) => out.updates.push(news(symbol)),
            Err(why) => out.events.push(Event::Ignored(why)),
        }
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

    fn is_complete(&self, place: Place) -> bool {
        let is_on =
            |entry: &Entry| entry.states.iter().take(self.shape.topics).all(|state| *state == State::On);
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
        while let Some(Batch { units, coming, unanswered, .. }) = self.requests.overdue(now) {
            if unanswered {
                return Some(Reason::Ack);
            }
            self.queue.put(Batch::unanswered(units, coming));
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
        // Where another topic speaks, asking for that one again would cost news.
        let is_silent = !entry.live;
        for topic in (0..self.shape.topics).filter(|topic| is_silent || *topic == self.shape.watched) {
            // Given up and, as it is wanted, asked for again.
            if self.table.state(place, topic) == State::On {
                self.push(Unit { place, topic }, false);
            }
        }
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
