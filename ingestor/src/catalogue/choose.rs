//! What of a venue's instruments is carried: those that the settings list or let through their filters, and those that
//! lists of others name. Pure, and the same for the same input in any process.

mod filter;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tickwire_common::symbol::Symbol;

use super::discover::Listing;
use super::hint::Hints;
use crate::config::{Selection, Symbols};
use crate::venue::contract::Instrument;

/// Who named a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    /// The setting `symbols`.
    Setting,
    /// The file of `symbols_file`.
    File,
    /// A value below `symbols_key`.
    Key,
}

impl Source {
    /// Every source.
    pub(super) const ALL: [Self; 3] = [Self::Setting, Self::File, Self::Key];

    /// The setting, below `venues.<id>`.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::Setting => "symbols",
            Self::File => "symbols_file",
            Self::Key => "symbols_key",
        }
    }
}

/// Names that come from outside of the settings; `None` while nothing is known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Of the file.
    pub file: Option<Vec<String>>,
    /// Of the key and the keys below it.
    pub key: Option<Vec<String>>,
}

/// What is to be carried, and what is wrong with the wishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// The instruments to carry, by symbol, each once.
    pub chosen: Vec<Instrument>,
    /// What is not traded at the venue, each once a source.
    pub unknown: Vec<Unknown>,
    /// Filters that let nothing through.
    pub idle: Vec<Idle>,
}

/// A name that the venue does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The name as it was given.
    pub name: String,
    /// Who gave it.
    pub source: Source,
    /// The symbol that was probably meant.
    pub hint: Option<Symbol>,
}

/// A filter, or several together, that nothing passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Idle {
    /// The settings, below `venues.<id>`; several where each alone lets something through.
    pub settings: Vec<&'static str>,
    /// The value that matches nothing, where a filter has several.
    pub value: Option<String>,
}

/// Chooses. `present` is what is carried now: at the edge of `top`, what is there stays there until it has clearly
/// fallen behind, so that two symbols of one size do not take turns.
pub(super) fn choose(
    listing: &Listing,
    selection: &Selection,
    named: &Named,
    present: &BTreeSet<String>,
) -> Choice {
    let mut choice = Choice::default();
    let mut chosen: BTreeMap<&Symbol, &Instrument> = BTreeMap::new();
    let listed = match &selection.symbols {
        Symbols::All | Symbols::Demand => {
            let passed = filter::filtered(listing, &selection.filter, present);
            choice.idle = filter::idle(&listing.instruments, &selection.filter, passed.is_empty());
            chosen.extend(passed.into_iter().map(|instrument| (&instrument.symbol, instrument)));
            &[][..]
        }
        Symbols::Listed(names) => names,
    };
    let names = Names::of(&listing.instruments);
    let file = named.file.as_deref().unwrap_or_default();
    let key = named.key.as_deref().unwrap_or_default();
    for (source, list) in [(Source::Setting, listed), (Source::File, file), (Source::Key, key)] {
        names.find(source, list, &mut chosen, &mut choice.unknown);
    }
    choice.chosen = chosen.into_values().cloned().collect();
    choice
}

/// Instruments by each of their names.
struct Names<'a> {
    by_name: HashMap<&'a str, &'a Instrument>,
    instruments: &'a [Instrument],
}

impl<'a> Names<'a> {
    fn of(instruments: &'a [Instrument]) -> Self {
        let mut by_name = HashMap::with_capacity(2 * instruments.len());
        by_name.extend(instruments.iter().map(|one| (one.key.as_str(), one)));
        // Last, so that a symbol counts where the key of another instrument has the same text.
        by_name.extend(instruments.iter().map(|one| (one.symbol.as_str(), one)));
        Self { by_name, instruments }
    }

    fn find(
        &self,
        source: Source,
        list: &[String],
        chosen: &mut BTreeMap<&'a Symbol, &'a Instrument>,
        unknown: &mut Vec<Unknown>,
    ) {
        let mut missed: HashSet<&str> = HashSet::new();
        let mut hints: Option<Hints<'a>> = None;
        for name in list {
            if let Some(instrument) = self.by_name.get(name.as_str()) {
                chosen.insert(&instrument.symbol, instrument);
            } else if missed.insert(name) {
                let hints = hints.get_or_insert_with(|| Hints::of(self.instruments));
                unknown.push(Unknown { name: name.clone(), source, hint: hints.of_name(name) });
            }
        }
    }
}

#[cfg(test)]
mod tests;
