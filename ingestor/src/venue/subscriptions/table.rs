//! The symbols of one connection, each with the state of its topics; found by the venue's name and by number. Counts
//! what the venue counts.

use std::collections::HashMap;

use super::TOPICS_MAX;
use crate::venue::contract::Micros;

/// Where a symbol stands in the table. Given anew when nothing of the old symbol is left.
pub(super) type Place = usize;

/// One topic of one symbol, as far as the venue is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The venue does not have it, and nobody asks for it.
    Off,
    /// In a subscribe request that waits to be sent.
    Waiting,
    /// In a subscribe request whose answer is owed.
    Asked,
    /// The venue has taken it.
    On,
    /// In an unsubscribe request that waits to be sent.
    Going,
    /// In an unsubscribe request whose answer is owed.
    Leaving,
}

impl State {
    /// Whether the venue may count it against the connection's limit.
    pub(super) fn is_at_venue(self) -> bool {
        !matches!(self, Self::Off | Self::Waiting)
    }

    /// Whether the venue has taken it and was not told otherwise.
    fn is_on(self) -> bool {
        matches!(self, Self::On | Self::Going)
    }
}

/// A topic in a set of topics, of which there are at most [`TOPICS_MAX`].
pub(super) const fn bit(topic: usize) -> u8 {
    1 << topic
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) index: u32,
    pub(super) name: Box<str>,
    /// Whether we were asked to carry it; if not, the entry only stays until the venue has let go of it.
    pub(super) wanted: bool,
    pub(super) states: [State; TOPICS_MAX],
    /// News came since the symbol was asked for.
    pub(super) live: bool,
    /// Topics that spoke since the symbol or they were asked for, a [`bit`] each.
    pub(super) spoke: u8,
    /// When what has not spoken is asked for again.
    pub(super) quiet_by: Option<Micros>,
    /// How often that was done since all topics spoke or the symbol was asked for.
    pub(super) quiet_times: u32,
}

impl Entry {
    /// The venue had granted all of it before: what is asked for now is a topic that stayed silent.
    pub(super) fn is_asked_again(&self) -> bool {
        self.quiet_times > 0
    }
}

/// How many topics are in a state that matters for the whole connection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) at_venue: usize,
    pub(super) on: usize,
    pub(super) leaving: usize,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Option<Entry>>,
    free: Vec<Place>,
    by_name: HashMap<Box<[u8]>, Place>,
    by_index: HashMap<u32, Place>,
    counts: Counts,
}

impl Table {
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    #[inline]
    pub(super) fn named(&mut self, name: &[u8]) -> Option<(Place, &mut Entry)> {
        let place = *self.by_name.get(name)?;
        Some((place, self.entries.get_mut(place)?.as_mut()?))
    }

    /// The symbol that is carried under this number.
    pub(super) fn numbered(&self, index: u32) -> Option<Place> {
        self.by_index.get(&index).copied()
    }

    pub(super) fn get(&self, place: Place) -> Option<&Entry> {
        self.entries.get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Entry> {
        self.entries.get_mut(place)?.as_mut()
    }

    pub(super) fn state(&self, place: Place, topic: usize) -> State {
        let state = self.get(place).and_then(|entry| entry.states.get(topic));
        state.copied().unwrap_or(State::Off)
    }

    pub(super) fn set(&mut self, place: Place, topic: usize, to: State) {
        let entry = self.entries.get_mut(place).and_then(Option::as_mut);
        let Some(state) = entry.and_then(|entry| entry.states.get_mut(topic)) else { return };
        let from = std::mem::replace(state, to);
        let Counts { at_venue, on, leaving } = &mut self.counts;
        let count = |of: &mut usize, was: bool, is: bool| *of = *of + usize::from(is) - usize::from(was);
        count(at_venue, from.is_at_venue(), to.is_at_venue());
        count(on, from.is_on(), to.is_on());
        count(leaving, from == State::Leaving, to == State::Leaving);
    }

    /// The entry of a symbol that is asked for under `index`; a new one if there is none of that name.
    pub(super) fn want(&mut self, index: u32, name: &str) -> Place {
        let place = self.by_name.get(name.as_bytes()).copied().unwrap_or_else(|| self.insert(name));
        if let Some(entry) = self.entries.get_mut(place).and_then(Option::as_mut) {
            // A symbol that left the list and came back may come with another number.
            if self.by_index.get(&entry.index) == Some(&place) {
                self.by_index.remove(&entry.index);
            }
            entry.index = index;
        }
        self.by_index.insert(index, place);
        place
    }

    fn insert(&mut self, name: &str) -> Place {
        let entry = Entry {
            index: 0,
            name: name.into(),
            wanted: false,
            states: [State::Off; TOPICS_MAX],
            live: false,
            spoke: 0,
            quiet_by: None,
            quiet_times: 0,
        };
        let place = self.free.pop().unwrap_or(self.entries.len());
        if let Some(free) = self.entries.get_mut(place) {
            *free = Some(entry);
        } else {
            self.entries.push(Some(entry));
        }
        self.by_name.insert(name.as_bytes().into(), place);
        place
    }

    /// Nobody asks for its number any more.
    pub(super) fn forget_number(&mut self, place: Place) {
        let Some(index) = self.get(place).map(|entry| entry.index) else { return };
        if self.by_index.get(&index) == Some(&place) {
            self.by_index.remove(&index);
        }
    }

    /// Removes a symbol that nobody wants and of which the venue has nothing.
    pub(super) fn remove_if_done(&mut self, place: Place) {
        let done = |entry: &Entry| !entry.wanted && entry.states.iter().all(|state| *state == State::Off);
        let Some(slot) = self.entries.get_mut(place) else { return };
        if let Some(entry) = slot.take_if(|entry| done(entry)) {
            self.by_name.remove(entry.name.as_bytes());
            self.free.push(place);
        }
    }
}
