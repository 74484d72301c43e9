//! The place of every entry in the catalogue. Entries keep their places, newcomers take those of entries that left, then
//! the end; what is left empty is filled from the end. So a refresh changes few chunks of the bucket, and no chunk
//! changes because another did.

use std::collections::{BTreeMap, VecDeque};

use crate::venue::contract::Instrument;

/// Orders `chosen` (each symbol once) by the places that their symbols have in `present`.
pub(super) fn order(present: &[String], chosen: Vec<Instrument>) -> Vec<Instrument> {
    let mut by_symbol: BTreeMap<String, Instrument> =
        chosen.into_iter().map(|instrument| (instrument.symbol.to_string(), instrument)).collect();
    let mut places: VecDeque<Option<Instrument>> =
        present.iter().map(|symbol| by_symbol.remove(symbol)).collect();
    let mut newcomers = by_symbol.into_values();
    let mut ordered = Vec::with_capacity(places.len() + newcomers.len());
    while let Some(place) = places.pop_front() {
        let filled = place.or_else(|| newcomers.next()).or_else(|| last(&mut places));
        ordered.extend(filled);
    }
    ordered.extend(newcomers);
    ordered
}

fn last(places: &mut VecDeque<Option<Instrument>>) -> Option<Instrument> {
    while let Some(place) = places.pop_back() {
        if place.is_some() {
            return place;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::testing::usdt;

    const CHUNK: usize = 5;

    fn instruments(numbers: &BTreeSet<u8>) -> Vec<Instrument> {
        numbers.iter().map(|number| usdt(&format!("S{number}"))).collect()
    }

    fn symbols(instruments: &[Instrument]) -> Vec<String> {
        instruments.iter().map(|instrument| instrument.symbol.to_string()).collect()
    }

    #[test]
    fn places_are_kept_filled_and_given_up() {
        let present = ["A/USDT", "B/USDT", "C/USDT", "D/USDT"].map(str::to_owned);
        let order =
            |names: &[&str]| symbols(&super::order(&present, names.iter().map(|n| usdt(n)).collect()));
        assert_eq!(order(&["D", "C", "B", "A"]), present);
        assert_eq!(order(&["E", "A", "C", "D"]), ["A/USDT", "E/USDT", "C/USDT", "D/USDT"]);
        assert_eq!(order(&["A", "C", "D"]), ["A/USDT", "D/USDT", "C/USDT"]);
        assert_eq!(order(&["D"]), ["D/USDT"]);
        assert_eq!(order(&["F", "E", "A", "B", "C", "D"])[4..], ["E/USDT", "F/USDT"]);
    }

    proptest! {
        #[test]
        fn everything_stays_once_and_few_chunks_change(
            before in prop::collection::btree_set(0u8..60, 0..60),
            after in prop::collection::btree_set(0u8..60, 0..60),
        ) {
            let present = symbols(&order(&[], instruments(&before)));
            let ordered = symbols(&order(&present, instruments(&after)));
            let carried: BTreeSet<&String> = ordered.iter().collect();
            prop_assert_eq!(carried.len(), ordered.len());
            prop_assert_eq!(ordered.len(), after.len());
            prop_assert_eq!(&symbols(&order(&ordered, instruments(&after))), &ordered, "nothing moves without need");

            // Each departure and each arrival touches one place, and each place that is given up one more.
            let changes = before.symmetric_difference(&after).count();
            let chunks = |list: &[String]| list.chunks(CHUNK).map(<[String]>::to_vec).collect::<Vec<_>>();
            let (old, new) = (chunks(&present), chunks(&ordered));
            let differ = (0..old.len().max(new.len())).filter(|n| old.get(*n) != new.get(*n)).count();
            prop_assert!(differ <= 2 * changes, "{differ} chunks for {changes} changes");
        }
    }
}
