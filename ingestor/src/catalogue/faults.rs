//! What is wrong with the wishes, in sentences that name the setting and say what to do. One sentence a setting, for a
//! person who reads it once.

use super::choose::{Choice, Idle, Source, Unknown};

/// Names that one sentence lists; the others are counted.
const NAMES_MAX: usize = 20;

/// Unknown symbols of these sources, and filters that match nothing.
pub(super) fn sentences(venue: &str, choice: &Choice, sources: &[Source]) -> Vec<String> {
    let of = |source: &Source| {
        let unknown: Vec<&Unknown> =
            choice.unknown.iter().filter(|unknown| unknown.source == *source).collect();
        (!unknown.is_empty()).then(|| not_traded(venue, *source, &unknown))
    };
    let idle = choice.idle.iter().map(|idle| matches_nothing(venue, idle));
    sources.iter().filter_map(of).chain(idle).collect()
}

fn not_traded(venue: &str, source: Source, unknown: &[&Unknown]) -> String {
    let named = unknown.iter().take(NAMES_MAX).map(|unknown| match &unknown.hint {
        Some(hint) => format!("{} (did you mean {hint}?)", unknown.name),
        None => unknown.name.clone(),
    });
    let mut names = named.collect::<Vec<_>>().join(", ");
    if let Some(more) = unknown.len().checked_sub(NAMES_MAX).filter(|more| *more > 0) {
        names += &format!(" and {more} more");
    }
    let setting = source.setting();
    format!("venues.{venue}.{setting}: {names}: not traded at {venue} now; correct or remove the name")
}

fn matches_nothing(venue: &str, idle: &Idle) -> String {
    let settings: Vec<String> =
        idle.settings.iter().map(|setting| format!("venues.{venue}.{setting}")).collect();
    let settings = settings.join(" and ");
    match (&idle.value, idle.settings.len()) {
        (Some(value), _) => {
            format!("{settings}: {value} matches nothing that {venue} trades now; correct or remove it")
        }
        (None, 0 | 1) => format!("{settings} matches nothing that {venue} trades now; correct or remove it"),
        (None, _) => {
            format!("{settings} together match nothing that {venue} trades now; correct or remove one")
        }
    }
}

#[cfg(test)]
mod tests {
    use tickwire_common::symbol::Symbol;

    use super::*;

    #[test]
    fn every_sentence_names_its_setting() {
        let unknown = |name: &str, source, hint: Option<&str>| Unknown {
            name: name.to_owned(),
            source,
            hint: hint.map(|hint| Symbol::new(hint).unwrap()),
        };
        let choice = Choice {
            chosen: Vec::new(),
            unknown: vec![
                unknown("btcusdt", Source::Setting, Some("BTC/USDT")),
                unknown("NOPE", Source::Setting, None),
                unknown("X", Source::File, None),
            ],
            idle: vec![
                Idle { settings: vec!["quote"], value: Some("USDX".to_owned()) },
                Idle { settings: vec!["match"], value: None },
                Idle { settings: vec!["kind", "match"], value: None },
            ],
        };
        let told = sentences("binance", &choice, &[Source::Setting]);
        let expected = [
            "venues.binance.symbols: btcusdt (did you mean BTC/USDT?), NOPE: not traded at binance now; correct or \
             remove the name",
            "venues.binance.quote: USDX matches nothing that binance trades now; correct or remove it",
            "venues.binance.match matches nothing that binance trades now; correct or remove it",
            "venues.binance.kind and venues.binance.match together match nothing that binance trades now; correct or \
             remove one",
        ];
        assert_eq!(told, expected);
        assert!(
            sentences("binance", &choice, &Source::ALL)[1].starts_with("venues.binance.symbols_file: X:")
        );
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let unknown = |n| Unknown { name: format!("N{n}"), source: Source::Setting, hint: None };
        let choice = Choice { unknown: (0..25).map(unknown).collect(), ..Choice::default() };
        let told = sentences("kucoin", &choice, &Source::ALL).remove(0);
        assert!(told.contains("N19 and 5 more: not traded") && !told.contains("N20"), "{told}");
    }
}
