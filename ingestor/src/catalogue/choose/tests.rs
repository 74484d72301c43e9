use std::num::NonZeroUsize;

use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::catalogue::testing::{pair, usdt};
use crate::config::Filter;
use crate::venue::contract::Kind;

fn listing(instruments: Vec<Instrument>) -> Listing {
    Listing { instruments, volumes: HashMap::new() }
}

fn select(symbols: Symbols, filter: Filter) -> Selection {
    Selection { symbols, filter, file: None, key: None }
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn symbols(chosen: &[Instrument]) -> Vec<&str> {
    chosen.iter().map(|instrument| instrument.symbol.as_str()).collect()
}

fn market() -> Listing {
    listing(vec![pair("BTC", "USDT"), pair("ETH", "BTC"), pair("ETH", "USDT"), pair("SOL", "EUR")])
}

fn all(filter: Filter) -> Choice {
    choose(&market(), &select(Symbols::All, filter), &Named::default(), &BTreeSet::new())
}

fn top(volumes: &[(&str, &str)], top: usize, present: &[&str]) -> Vec<String> {
    let instruments = volumes.iter().map(|(base, _)| usdt(base)).collect();
    let volume = |(base, volume): &(&str, &str)| (format!("{base}USDT"), volume.parse().unwrap());
    let listing = Listing { instruments, volumes: volumes.iter().map(volume).collect() };
    let filter = Filter { top: NonZeroUsize::new(top), ..Filter::default() };
    let present = present.iter().map(|base| format!("{base}/USDT")).collect();
    let choice = choose(&listing, &select(Symbols::All, filter), &Named::default(), &present);
    choice.chosen.iter().map(|instrument| instrument.base.clone()).collect()
}

#[test]
fn symbols_and_keys_choose_and_the_unknown_are_named_with_a_hint() {
    let setting = Symbols::Listed(list(&["ETHUSDT", "NOPE/USDT", "ETH/USDT", "btcusdt", "btcusdt"]));
    let choice = choose(&market(), &select(setting, Filter::default()), &Named::default(), &BTreeSet::new());
    assert_eq!(symbols(&choice.chosen), ["ETH/USDT"]);
    let told: Vec<_> =
        choice.unknown.iter().map(|u| (u.name.as_str(), u.hint.as_ref().map(Symbol::as_str))).collect();
    assert_eq!(told, [("NOPE/USDT", None), ("btcusdt", Some("BTC/USDT"))]);
    assert!(choice.idle.is_empty());
}

#[test]
fn lists_of_others_come_on_top_and_keep_their_names() {
    let filter = Filter { quotes: list(&["EUR"]), ..Filter::default() };
    let named = Named { file: Some(list(&["BTC/USDT", "X"])), key: Some(list(&["BTCUSDT", "ETHBTC", "X"])) };
    for (wish, expected) in [
        (select(Symbols::All, filter.clone()), vec!["BTC/USDT", "ETH/BTC", "SOL/EUR"]),
        (select(Symbols::Demand, filter), vec!["BTC/USDT", "ETH/BTC", "SOL/EUR"]),
        (select(Symbols::Listed(Vec::new()), Filter::default()), vec!["BTC/USDT", "ETH/BTC"]),
    ] {
        let choice = choose(&market(), &wish, &named, &BTreeSet::new());
        assert_eq!(symbols(&choice.chosen), expected);
        let sources: Vec<Source> = choice.unknown.iter().map(|unknown| unknown.source).collect();
        assert_eq!(sources, [Source::File, Source::Key]);
    }
}

#[test]
fn a_symbol_counts_before_another_instruments_key() {
    let odd = Instrument { key: "ETH/USDT".to_owned(), ..pair("OLD", "USDT") };
    let wish = select(Symbols::Listed(list(&["ETH/USDT"])), Filter::default());
    for instruments in [vec![odd.clone(), usdt("ETH")], vec![usdt("ETH"), odd]] {
        let choice = choose(&listing(instruments), &wish, &Named::default(), &BTreeSet::new());
        assert_eq!(symbols(&choice.chosen), ["ETH/USDT"]);
    }
}

#[test]
fn what_matches_nothing_is_named() {
    let regex = |text| Regex::new(text).ok();
    let usdx = || list(&["USDX"]);
    let idle = |filter| all(filter).idle;
    let one =
        |setting, value: Option<&str>| Idle { settings: vec![setting], value: value.map(str::to_owned) };
    assert_eq!(idle(Filter { quotes: usdx(), ..Filter::default() }), [one("quote", None)]);
    assert_eq!(
        idle(Filter { quotes: usdx(), matching: regex("^ADA"), kinds: vec![Kind::Spot], top: None }),
        [one("quote", None), one("match", None)]
    );
    assert_eq!(
        idle(Filter { quotes: list(&["USDT", "USDX"]), matching: regex("^ADA"), ..Filter::default() }),
        [one("match", None), one("quote", Some("USDX"))]
    );
    let together = Idle { settings: vec!["quote", "match"], value: None };
    assert_eq!(
        idle(Filter { quotes: list(&["EUR"]), matching: regex("^BTC"), ..Filter::default() }),
        [together]
    );
    let kinds = vec![Kind::Spot, Kind::Perpetual];
    assert_eq!(
        idle(Filter { quotes: list(&["USDT", "USDX"]), kinds, ..Filter::default() }),
        [one("quote", Some("USDX")), one("kind", Some("swap"))]
    );
    assert_eq!(idle(Filter::default()), []);
}

#[test]
fn the_largest_are_ranked_by_their_digits() {
    let volumes = [
        ("A", "9.99"),
        ("B", "100"),
        ("C", "99.5"),
        ("D", "0.5"),
        ("E", "99.49"),
        ("F", "1000000000000000000000000"),
    ];
    assert_eq!(top(&volumes, 1, &[]), ["F"]);
    assert_eq!(top(&volumes, 3, &[]), ["B", "C", "F"]);
    assert_eq!(top(&volumes, 5, &[]), ["A", "B", "C", "E", "F"]);
    assert_eq!(top(&volumes, 99, &[]).len(), 6);
}

#[test]
fn what_is_present_stays_until_it_has_fallen_behind() {
    let names: Vec<String> = (0..30).map(|n| format!("S{n:02}")).collect();
    let volume = |rank: usize| (1_000 - rank).to_string();
    let volumes: Vec<(String, String)> =
        names.iter().enumerate().map(|(rank, name)| (name.clone(), volume(rank))).collect();
    let volumes: Vec<(&str, &str)> =
        volumes.iter().map(|(name, volume)| (name.as_str(), volume.as_str())).collect();
    // Places 18 and 19 of 20 are given to what is present at ranks 18 to 21.
    assert!(top(&volumes, 20, &["S21"]).contains(&"S21".to_owned()));
    assert!(!top(&volumes, 20, &["S21"]).contains(&"S19".to_owned()));
    assert!(!top(&volumes, 20, &["S22"]).contains(&"S22".to_owned()), "too far behind");
    assert_eq!(top(&volumes, 20, &[]), names[..20]);
}

fn quote() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["USDT", "BTC", "EUR"])
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

fn instruments() -> impl Strategy<Value = Vec<(Instrument, u32)>> {
    let one = (0u16..200, quote(), kind(), 0u32..5);
    prop::collection::vec(one, 0..60).prop_map(|list| {
        let made = list.into_iter().map(|(number, quote, kind, volume)| {
            let instrument = Instrument { kind, ..pair(&format!("S{number}"), quote) };
            (instrument.symbol.clone(), (instrument, volume))
        });
        made.collect::<BTreeMap<_, _>>().into_values().collect()
    })
}

fn filters() -> impl Strategy<Value = Filter> {
    let pattern = prop::option::of(prop::sample::select(vec!["1", "^S2", "[05]/"]));
    let (quotes, kinds) = (prop::collection::vec(quote(), 0..3), prop::collection::vec(kind(), 0..3));
    (quotes, kinds, pattern, prop::option::of(1usize..20)).prop_map(|(quotes, kinds, pattern, top)| Filter {
        quotes: quotes.into_iter().map(str::to_owned).collect(),
        kinds,
        matching: pattern.and_then(|pattern| Regex::new(pattern).ok()),
        top: top.and_then(NonZeroUsize::new),
    })
}

proptest! {
    #[test]
    fn filters_are_conjunctions_and_top_takes_the_largest(
        list in instruments(),
        filter in filters(),
        seed: u64,
        present in prop::collection::btree_set(0usize..60, 0..30),
    ) {
        let volumes = list.iter().map(|(one, volume)| (one.key.clone(), volume.to_string().parse().unwrap())).collect();
        let listing = Listing { instruments: list.iter().map(|(one, _)| one.clone()).collect(), volumes };
        let present: BTreeSet<String> =
            present.iter().filter_map(|at| Some(list.get(*at)?.0.symbol.to_string())).collect();
        let wish = select(Symbols::All, filter.clone());
        let choice = choose(&listing, &wish, &Named::default(), &present);

        let of = |instrument: &Instrument| list.iter().find(|(one, _)| one == instrument).map_or(0, |(_, v)| *v);
        let fits = |one: &Instrument| {
            (filter.quotes.is_empty() || filter.quotes.contains(&one.quote))
                && (filter.kinds.is_empty() || filter.kinds.contains(&one.kind))
                && filter.matching.as_ref().is_none_or(|regex| regex.is_match(one.symbol.as_str()))
        };
        prop_assert!(choice.chosen.iter().all(fits));
        let fitting = listing.instruments.iter().filter(|one| fits(one)).count();
        let top = filter.top.map_or(usize::MAX, NonZeroUsize::get);
        prop_assert_eq!(choice.chosen.len(), fitting.min(top));
        if top < 10 {
            // Too few places for a band at the edge: nothing left out is larger than what is carried.
            let least = choice.chosen.iter().map(of).min().unwrap_or(0);
            let left = listing.instruments.iter().filter(|one| fits(one) && !choice.chosen.contains(one));
            prop_assert!(left.map(of).all(|volume| volume <= least));
        }
        let narrow = Filter { top: None, ..filter.clone() };
        prop_assert!(choice.idle.is_empty() || !narrow.is_empty());
        prop_assert!(fitting > 0 || narrow.is_empty() || !choice.idle.is_empty(), "nothing fits, and nothing is said");

        // The order in which the venue lists does not matter, and a choice that is present is chosen again.
        let mut shuffled = listing.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled.instruments);
        prop_assert_eq!(&choose(&shuffled, &wish, &Named::default(), &present).chosen, &choice.chosen);
        let now = choice.chosen.iter().map(|one| one.symbol.to_string()).collect();
        prop_assert_eq!(&choose(&listing, &wish, &Named::default(), &now).chosen, &choice.chosen);
    }
}
