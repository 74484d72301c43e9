//! The filters: each must hold, and of what is left the largest are taken. Also says which of them lets nothing through.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;

use tickwire_common::decimal::Decimal;

use super::Idle;
use crate::catalogue::discover::Listing;
use crate::config::Filter;
use crate::venue::contract::Instrument;

/// What passes every filter.
pub(super) fn filtered<'a>(
    listing: &'a Listing,
    filter: &Filter,
    present: &BTreeSet<String>,
) -> Vec<&'a Instrument> {
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

/// Filters and values that do nothing. Each is told once: a value of a filter that lets nothing through at all is not.
pub(super) fn idle(instruments: &[Instrument], filter: &Filter, nothing_passed: bool) -> Vec<Idle> {
    let mut idle = if nothing_passed { why_nothing(instruments, filter) } else { Vec::new() };
    let mut values = idle_values(instruments, filter);
    values.retain(|value| idle.iter().all(|told| told.settings != value.settings));
    idle.append(&mut values);
    idle
}

/// Why nothing passed: each filter that alone lets nothing through, else all of them together.
fn why_nothing(instruments: &[Instrument], filter: &Filter) -> Vec<Idle> {
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

/// Values of a filter that match nothing.
fn idle_values(instruments: &[Instrument], filter: &Filter) -> Vec<Idle> {
    let quotes = filter.quotes.iter().filter(|quote| !instruments.iter().any(|one| one.quote == **quote));
    let kinds = filter.kinds.iter().filter(|kind| !instruments.iter().any(|one| one.kind == **kind));
    let idle = |setting, value: &str| Idle { settings: vec![setting], value: Some(value.to_owned()) };
    quotes.map(|quote| idle("quote", quote)).chain(kinds.map(|kind| idle("kind", kind.as_str()))).collect()
}
