//! What the venue's answers mean for the topics of a request.

use super::queue::{Ask, Batch, Unit};
use super::table::{Entry, Place, State};
use super::{Refusal, Subscriptions, tell_acked};
use crate::venue::contract::{Event, Micros, Out};

impl Subscriptions {
    /// The venue has done what the request of this id asks for. False if there is none.
    pub fn taken(&mut self, id: u64, now: Micros, out: &mut Out) -> bool {
        let Some(batch) = self.requests.answered(id) else { return false };
        if batch.ask.coming {
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

    /// The venue refuses the request of this id. False if there is none.
    pub fn refused(
        &mut self,
        id: u64,
        (refusal, reason): (Refusal, &str),
        now: Micros,
        out: &mut Out,
    ) -> bool {
        let Some(Batch { units, ask, .. }) = self.requests.answered(id) else { return false };
        match refusal {
            Refusal::Until(at) => {
                self.requests.hold(at);
                self.ask_anew(units, ask);
            }
            Refusal::Some => self.take_apart(units, ask, reason, now, out),
            Refusal::All | Refusal::Full => self.reject(&units, ask, (refusal, reason), now, out),
        }
        self.clean_queue();
        true
    }

    /// The venue has done none of this now. If it was asked before and that was not answered, it may have done it then:
    /// such a request is asked anew as it was, whatever is wanted by now.
    fn ask_anew(&mut self, mut units: Vec<Unit>, ask: Ask) {
        if !ask.unsure {
            units.retain(|unit| self.take_back(*unit, ask.coming));
        }
        self.queue.put(Batch::refused(units, ask));
    }

    /// Whether it is still to be asked for.
    fn take_back(&mut self, unit: Unit, coming: bool) -> bool {
        let wanted = self.table.get(unit.place).is_some_and(|entry| entry.wanted);
        let state = match (coming, wanted) {
            (true, true) => State::Waiting,
            (true, false) => State::Off,
            (false, _) => State::Going,
        };
        self.table.set(unit.place, unit.topic, state);
        self.table.remove_if_done(unit.place);
        state != State::Off
    }

    /// One bad symbol fails the whole list. The one that the venue names is dropped and the rest asked for again; where
    /// the answer does not single one out, the list is halved until it does.
    fn take_apart(&mut self, units: Vec<Unit>, ask: Ask, reason: &str, now: Micros, out: &mut Out) {
        let (named, others): (Vec<Unit>, Vec<Unit>) =
            units.iter().partition(|unit| self.is_named(unit.place, reason));
        if units.len() == 1 {
            self.reject(&units, ask, (Refusal::Some, reason), now, out);
        } else if named.is_empty() || others.is_empty() {
            let (left, right) = units.split_at(units.len() / 2);
            self.ask_anew(left.to_vec(), ask);
            self.ask_anew(right.to_vec(), ask);
        } else {
            self.ask_anew(others, ask);
            self.reject(&named, ask, (Refusal::Some, reason), now, out);
        }
    }

    fn is_named(&self, place: Place, reason: &str) -> bool {
        let mut words = reason.split([' ', ':', ',']);
        self.table.get(place).is_some_and(|entry| words.any(|word| word == &*entry.name))
    }

    pub(super) fn reject(
        &mut self,
        units: &[Unit],
        ask: Ask,
        (why, reason): (Refusal, &str),
        now: Micros,
        out: &mut Out,
    ) {
        for unit in units {
            if !ask.coming {
                // What the venue does not know, it does not send.
                self.left(*unit);
                continue;
            }
            self.table.set(unit.place, unit.topic, State::Off);
            let entry = self.table.get(unit.place).filter(|entry| entry.wanted);
            if entry.is_some_and(Entry::is_asked_again) {
                // The symbol keeps its other topics.
                out.events.push(Event::Ignored("refused_again"));
                self.ask_later(unit.place, now);
                continue;
            }
            if let Some(entry) = entry {
                let (symbol, full) = (entry.index, why == Refusal::Full);
                out.events.push(Event::Rejected { symbol, full, reason: reason.to_owned() });
            }
            self.give_up(unit.place);
        }
    }
}
