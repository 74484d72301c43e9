//! What of a venue's instruments is carried: those that the settings list or let through their filters, and those that
//! lists of others name. Pure, and the same for the same input in any process.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;

use tickwire_common::decimal::Decimal;
use tickwire_common::symbol::Symbol;

use super::discover::Listing;
use super::hint::Hints;
use crate::config::{Filter, Selection, Symbols};
use crate::venue::contract::Instrument;

/// Who named a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The setting `symbols`.
    Setting,
    /// The file of `symbols_file`.
    File,
    /// A value below `symbols_key`.
    Key,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Setting, Self::File, Self::Key];

    /// The setting, below `venues.<id>`.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Setting => "symbols",
            Self::File => "symbols_file",
            Self::Key => "symbols_key",
        }
    }
}

/// Names that come from outside of the settings; `None` while nothing is known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Of the file.
    pub file: Option<Vec<String>>,
    /// Of the key and the keys below it.
    pub key: Option<Vec<String>>,
}

/// What is to be carried, and what is wrong with the wishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The instruments to carry, by symbol, each once.
    pub chosen: Vec<Instrument>,
    /// What is not traded at the venue, each once a source.
    pub unknown: Vec<Unknown>,
    /// Filters that let nothing through.
    pub idle: Vec<Idle>,
}

/// A name that the venue does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The name as it was given.
    pub name: String,
    /// Who gave it.
    pub source: Source,
    /// The symbol that was probably meant.
    pub hint: Option<Symbol>,
}

/// A filter, or several together, that nothing passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The settings, below `venues.<id>`; several where each alone lets something through.
    pub settings: Vec<&'static str>,
    /// The value that matches nothing, where a filter has several.
    pub value: Option<String>,
}

/// Chooses. `present` is what is carried now: at the edge of `top`, what is there stays there until it has clearly
/// fallen behind, so that two symbols of one size do not take turns.
pub fn choose(listing: &Listing, selection: &Selection, named: &Named, present: &BTreeSet<String>) -> Choice {
    let mut choice = Choice::default();
    let mut chosen: BTreeMap<&Symbol, &Instrument> = BTreeMap::new();
    let listed = match &selection.symbols {
        Symbols::All | Symbols::Demand => {
            let passed = filtered(listing, &selection.filter, present);
            if passed.is_empty() {
                choice.idle = idle(&listing.instruments, &selection.filter);
            } else {
                choice.idle = idle_values(&listing.instruments, &selection.filter);
            }
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

fn filtered<'a>(listing: &'a Listing, filter: &Filter, present: &BTreeSet<String>) -> Vec<&'a Instrument> {
    let passed: Vec<&Instrument> =
        listing.instruments.iter().filter(|instrument| passes(instrument, filter)).collect();
    match filter.top {
        Some(top) => largest(passed, &listing.volumes, top, present),
        None => passed,
    }
}

/// Every filter must hold, but for `top`, which looks at all of them together.
fn passes(instrument: &Instrument, filter: &Filter) -> bool {
    let any_quote = filter.quotes.is_empty() || filter.quotes.contains(&instrument.quote);
    let any_kind = filter.kinds.is_empty() || filter.kinds.contains(&instrument.kind);
    any_quote
        && any_kind
        && filter.matching.as_ref().is_none_or(|regex| regex.is_match(instrument.symbol.as_str()))
}

/// The `top` largest by volume, the first by name where two are equal. The last tenth of the places goes first to what
/// is present and not more than a tenth of the places below the edge.
fn largest<'a>(
    mut instruments: Vec<&'a Instrument>,
    volumes: &HashMap<String, Decimal>,
    top: NonZeroUsize,
    present: &BTreeSet<String>,
) -> Vec<&'a Instrument> {
    let (top, band) = (top.get(), top.get() / 10);
    instruments.sort_by_cached_key(|instrument| {
        (Reverse(volumes.get(&instrument.key).map(Magnitude::of)), instrument.symbol.clone())
    });
    let (sure, rest) = instruments.split_at(instruments.len().min(top - band));
    let (near, far) = rest.split_at(rest.len().min(2 * band));
    let (stay, come): (Vec<&Instrument>, Vec<&Instrument>) =
        near.iter().partition(|instrument| present.contains(instrument.symbol.as_str()));
    sure.iter().copied().chain(stay).chain(come).chain(far.iter().copied()).take(top).collect()
}

/// A volume in an order: longer whole parts are larger, then digits decide. Never a float. Nothing is below zero here;
/// what is anyway counts as nothing.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Magnitude {
    whole_digits: usize,
    digits: Vec<u8>,
}

impl Magnitude {
    fn of(volume: &Decimal) -> Self {
        let digits = if volume.is_negative() { b"0" } else { volume.as_bytes() };
        let whole = digits.split(|byte| *byte == b'.').next().unwrap_or_default();
        Self { whole_digits: whole.len(), digits: digits.to_vec() }
    }
}

/// Why nothing passed: each filter that alone lets nothing through, else all of them together.
fn idle(instruments: &[Instrument], filter: &Filter) -> Vec<Idle> {
    let none = Filter::default();
    let alone = [
        ("quote", Filter { quotes: filter.quotes.clone(), ..none.clone() }),
        ("kind", Filter { kinds: filter.kinds.clone(), ..none.clone() }),
        ("match", Filter { matching: filter.matching.clone(), ..none }),
    ];
    let set: Vec<_> = alone.into_iter().filter(|(_, filter)| !filter.is_empty()).collect();
    let empty = |filter: &Filter| !instruments.iter().any(|instrument| passes(instrument, filter));
    let guilty: Vec<Idle> = set
        .iter()
        .filter(|(_, filter)| empty(filter))
        .map(|(setting, _)| Idle { settings: vec![*setting], value: None })
        .collect();
    if guilty.is_empty() && !set.is_empty() {
        let together = set.iter().map(|(setting, _)| *setting).collect();
        return vec![Idle { settings: together, value: None }];
    }
    guilty
}

/// Values of a filter that match nothing, while others do.
fn idle_values(instruments: &[Instrument], filter: &Filter) -> Vec<Idle> {
    let quotes = filter.quotes.iter().filter(|quote| !instruments.iter().any(|one| one.quote == **quote));
    let kinds = filter.kinds.iter().filter(|kind| !instruments.iter().any(|one| one.kind == **kind));
    let idle = |setting, value: &str| Idle { settings: vec![setting], value: Some(value.to_owned()) };
    quotes.map(|quote| idle("quote", quote)).chain(kinds.map(|kind| idle("kind", kind.as_str()))).collect()
}

#[cfg(test)]
mod tests;
