//! What the keeper believes of a venue, and the catalogue that follows from it. A state machine: no clock, no I/O. Fails
//! to the side of carrying: a failed refresh changes nothing, a listing that would take away more than half is asked for
//! once more before it is believed, and a list of others that is not known yet takes nothing away.

use std::collections::BTreeSet;

use super::choose::{Choice, Named, Source, choose};
use super::discover::Listing;
use super::{Entry, entries, faults, order};
use crate::config::Selection;

/// What came of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The catalogue is what it was.
    Same,
    /// The catalogue has changed by so many symbols.
    Changed {
        /// Symbols that came.
        added: usize,
        /// Symbols that went.
        removed: usize,
    },
    /// So few of the symbols that were carried would be left that the venue is asked again first.
    Doubted {
        /// Symbols carried.
        carried: usize,
        /// Symbols that would be.
        would_be: usize,
    },
}

/// One venue's.
#[derive(Debug)]
pub(super) struct Ledger {
    venue: &'static str,
    selection: Selection,
    listing: Option<Listing>,
    named: Named,
    /// Symbols in their places.
    present: Vec<String>,
    entries: Vec<Entry>,
    choice: Choice,
    is_doubted: bool,
}

impl Ledger {
    /// Nothing is known of the venue yet; `present` is what an earlier keeper left in the catalogue.
    pub(super) fn new(venue: &'static str, selection: Selection, present: Vec<String>) -> Self {
        let (choice, named) = (Choice::default(), Named::default());
        Self {
            venue,
            selection,
            listing: None,
            named,
            present,
            entries: Vec::new(),
            choice,
            is_doubted: false,
        }
    }

    /// The venue answered.
    pub(super) fn listed(&mut self, listing: Listing) -> Verdict {
        let choice = self.choose(&listing);
        let (carried, would_be) = (self.present.len(), choice.chosen.len());
        if 2 * would_be < carried && !self.is_doubted {
            self.is_doubted = true;
            return Verdict::Doubted { carried, would_be };
        }
        self.is_doubted = false;
        self.listing = Some(listing);
        self.accept(choice)
    }

    /// A list of others changed. Whoever writes it means it.
    pub(super) fn named(&mut self, named: Named) -> Verdict {
        self.named = named;
        let Some(listing) = self.listing.take() else { return Verdict::Same };
        let choice = self.choose(&listing);
        self.listing = Some(listing);
        self.accept(choice)
    }

    /// The catalogue as it is to be written; `None` while the venue has not answered.
    pub(super) fn entries(&self) -> Option<&[Entry]> {
        self.listing.is_some().then_some(self.entries.as_slice())
    }

    /// Names of this source that the venue does not know.
    pub(super) fn unknown(&self, source: Source) -> usize {
        self.choice.unknown.iter().filter(|unknown| unknown.source == source).count()
    }

    /// What is wrong with the wishes, one sentence a setting.
    pub(super) fn faults(&self) -> Vec<String> {
        faults::sentences(self.venue, &self.choice, &Source::ALL)
    }

    fn choose(&self, listing: &Listing) -> Choice {
        let present: BTreeSet<String> = self.present.iter().cloned().collect();
        let mut choice = choose(listing, &self.selection, &self.named, &present);
        let waits_for_file = self.selection.file.is_some() && self.named.file.is_none();
        let waits_for_key = self.selection.key.is_some() && self.named.key.is_none();
        if waits_for_file || waits_for_key {
            let chosen: BTreeSet<_> = choice.chosen.iter().map(|one| one.symbol.clone()).collect();
            let still = listing
                .instruments
                .iter()
                .filter(|one| present.contains(one.symbol.as_str()) && !chosen.contains(&one.symbol));
            choice.chosen.extend(still.cloned());
        }
        choice
    }

    fn accept(&mut self, mut choice: Choice) -> Verdict {
        let ordered = order::order(&self.present, std::mem::take(&mut choice.chosen));
        let before: BTreeSet<String> = self.present.drain(..).collect();
        self.entries = entries(self.venue, &ordered);
        self.present = self.entries.iter().map(|entry| entry.symbol.clone()).collect();
        self.choice = choice;
        let added = self.present.iter().filter(|symbol| !before.contains(*symbol)).count();
        let removed = before.len() + added - self.present.len();
        if added + removed == 0 { Verdict::Same } else { Verdict::Changed { added, removed } }
    }
}

#[cfg(test)]
mod tests;
