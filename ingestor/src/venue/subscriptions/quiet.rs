//! The watchdog of every topic: one that was granted has to speak, else it alone is asked for again. Nothing that works
//! pays for it, neither a stream nor the connection, for where nothing is traded there is nothing to say.

use super::queue::Unit;
use super::table::{Place, State, bit};
use super::{Subscriptions, tell_acked};
use crate::venue::contract::{Event, Micros, Out, Update};

/// How often the pause of a quiet symbol doubles.
const DOUBLINGS: u32 = 6;

/// A pause ends at the next of the moments that divide it into so many parts: symbols that are due close together share
/// requests, whenever they were subscribed.
const MOMENTS: Micros = 6;

impl Subscriptions {
    /// A topic of the symbol of this name spoke: `news` go out under its number, if anybody wants to hear them.
    #[inline]
    pub fn tell(
        &mut self,
        (name, topic): (&[u8], usize),
        now: Micros,
        out: &mut Out,
        news: impl FnOnce(u32) -> Update,
    ) {
        match self.heard(name, topic, now, out) {
            Ok(symbol) => out.updates.push(news(symbol)),
            Err(why) => out.events.push(Event::Ignored(why)),
        }
    }

    /// The number to tell it under, or why nobody wants to hear it.
    #[inline]
    fn heard(&mut self, name: &[u8], topic: usize, now: Micros, out: &mut Out) -> Result<u32, &'static str> {
        let Some((place, entry)) = self.table.named(name) else { return Err("unknown_symbol") };
        if !entry.wanted {
            return Err("unsubscribed_symbol");
        }
        let index = entry.index;
        if entry.spoke & bit(topic) == 0 {
            self.first_news(Unit { place, topic }, now, out);
        }
        Ok(index)
    }

    #[cold]
    fn first_news(&mut self, unit: Unit, now: Micros, out: &mut Out) {
        self.any_data = true;
        let Some(entry) = self.table.get_mut(unit.place) else { return };
        entry.spoke |= bit(unit.topic);
        let index = entry.index;
        if !std::mem::replace(&mut entry.live, true) {
            out.events.push(Event::Live { symbol: index });
        }
        let is_kept = self.table.state(unit.place, unit.topic) == State::Going;
        if is_kept {
            // The request to give it up has not left yet.
            self.table.set(unit.place, unit.topic, State::On);
            self.clean_queue();
        }
        if self.is_complete(unit.place) {
            self.watch(unit.place, now);
            tell_acked(if is_kept { vec![index] } else { vec![] }, out);
        }
    }

    /// All topics are granted: from now on each has to speak.
    pub(super) fn watch(&mut self, place: Place, now: Micros) {
        let all = bit(self.shape.topics) - 1;
        let Some(entry) = self.table.get_mut(place) else { return };
        if entry.spoke != all {
            self.ask_later(place, now);
            return;
        }
        entry.quiet_times = 0;
        if let Some(by) = entry.quiet_by.take() {
            self.quiet.remove(&(by, place));
        }
    }

    /// What does not speak until then is asked for again, unless that is settled already.
    pub(super) fn ask_later(&mut self, place: Place, now: Micros) {
        let Some(entry) = self.table.get_mut(place).filter(|entry| entry.quiet_by.is_none()) else { return };
        let pause = self.shape.first_data << entry.quiet_times.min(DOUBLINGS);
        let by = (now + pause).next_multiple_of(pause / MOMENTS);
        entry.quiet_by = Some(by);
        self.quiet.insert((by, place));
    }

    /// Asks again for what stayed silent: gives it up, and asks for it anew once the venue has let go of it. A stream
    /// that begins to speak in just that moment loses what it says between the two, a round trip and the time between
    /// two messages; one that begins before is kept.
    pub(super) fn ask_quiet(&mut self, now: Micros, out: &mut Out) {
        while let Some((by, place)) = self.quiet.first().copied().filter(|(by, _)| now >= *by) {
            self.quiet.remove(&(by, place));
            let Some(entry) = self.table.get_mut(place) else { continue };
            (entry.quiet_by, entry.quiet_times) = (None, entry.quiet_times.saturating_add(1));
            let spoke = entry.spoke;
            out.events.push(Event::Quiet { symbol: entry.index });
            for topic in (0..self.shape.topics).filter(|topic| spoke & bit(*topic) == 0) {
                match self.table.state(place, topic) {
                    State::On => self.push(Unit { place, topic }, false),
                    State::Off => self.push(Unit { place, topic }, true),
                    State::Waiting | State::Asked | State::Going | State::Leaving => {}
                }
            }
        }
    }
}
