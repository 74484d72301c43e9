use proptest::prelude::*;

use super::*;

fn names(numbered: &[Numbered]) -> Vec<(u32, &str)> {
    numbered.iter().map(|symbol| (symbol.number, &*symbol.name)).collect()
}

#[test]
fn a_symbol_that_comes_back_has_its_number() {
    let (mut registry, now) = (Registry::new("binance", 4, 10), Instant::now());
    assert_eq!(names(&registry.list(["B", "A", "A"], now).added), [(0, "A"), (1, "B")]);
    let changes = registry.list(["C", "B"], now);
    assert_eq!((names(&changes.added), names(&changes.removed)), (vec![(2, "C")], vec![(0, "A")]));
    assert_eq!((registry.number("A"), registry.get(0).is_none()), (None, true));
    assert_eq!(names(&registry.list(["A", "B", "C"], now).added), [(0, "A")]);
    assert_eq!(registry.list(["A", "B", "C"], now), Changes::default());
}

#[test]
fn a_full_registry_gives_old_numbers_away_but_not_at_once() {
    let (mut registry, now) = (Registry::new("binance", 4, 2), Instant::now());
    registry.list(["A", "B"], now);
    registry.list(["B"], now);
    assert_eq!(registry.list(["B", "C"], now).refused, 1);
    let changes = registry.list(["B", "C"], now + QUARANTINE);
    assert_eq!((names(&changes.added), changes.refused), (vec![(0, "C")], 0));
    assert_eq!(changes.reused, [0]);
    assert_eq!((registry.number("A"), registry.number("C")), (None, Some(0)));
}

proptest! {
    #[test]
    fn listed_symbols_are_exactly_the_named_and_each_number_has_one_name(
        lists in prop::collection::vec(prop::collection::btree_set(0u32..40, 0..30), 1..20),
    ) {
        let mut registry = Registry::new("binance", 3, 1_000);
        let mut given = HashMap::new();
        for list in lists {
            let wanted: HashSet<String> = list.iter().map(|n| format!("S{n}/USDT")).collect();
            registry.list(wanted.iter().map(String::as_str), Instant::now());
            let mut found = HashSet::new();
            for entry in (0..3).flat_map(|shard| registry.of_shard(shard)) {
                prop_assert_eq!(given.entry(entry.number).or_insert(Arc::clone(&entry.name)), &entry.name);
                prop_assert_eq!(registry.number(&entry.name), Some(entry.number));
                found.insert(entry.name.to_string());
            }
            prop_assert_eq!(found, wanted);
        }
    }
}
