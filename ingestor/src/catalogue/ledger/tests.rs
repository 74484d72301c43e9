use super::*;
use crate::catalogue::testing::usdt;
use crate::config::{Filter, Symbols};

fn listing(names: &[&str]) -> Listing {
    Listing { instruments: names.iter().map(|name| usdt(name)).collect(), ..Listing::default() }
}

fn ledger(symbols: Symbols, present: &[&str]) -> Ledger {
    let selection = Selection { symbols, filter: Filter::default(), file: Some("list".into()), key: None };
    Ledger::new("binance", selection, present.iter().map(|base| format!("{base}/USDT")).collect())
}

fn named(names: &[&str]) -> Named {
    Named { file: Some(names.iter().map(|name| (*name).to_owned()).collect()), key: None }
}

fn carried(ledger: &Ledger) -> Vec<&str> {
    let bases = ledger.entries().unwrap().iter().map(|entry| entry.symbol.trim_end_matches("/USDT"));
    bases.collect()
}

#[test]
fn nothing_is_written_before_the_venue_has_answered() {
    let mut ledger = ledger(Symbols::All, &["A"]);
    assert_eq!(ledger.entries(), None);
    assert_eq!(ledger.named(named(&["B"])), Verdict::Same);
    assert_eq!(ledger.entries(), None);
    assert_eq!(ledger.listed(listing(&["A", "B"])), Verdict::Changed { added: 1, removed: 0 });
    assert_eq!(carried(&ledger), ["A", "B"]);
}

#[test]
fn what_is_listed_comes_and_what_is_delisted_goes_and_all_others_keep_their_places() {
    let mut ledger = ledger(Symbols::All, &[]);
    ledger.named(named(&[]));
    ledger.listed(listing(&["A", "B", "C"]));
    assert_eq!(ledger.listed(listing(&["C", "D", "A"])), Verdict::Changed { added: 1, removed: 1 });
    assert_eq!(carried(&ledger), ["A", "D", "C"]);
    assert_eq!(ledger.listed(listing(&["D", "A", "C"])), Verdict::Same);
}

#[test]
fn half_an_answer_is_kept_back_once() {
    let mut ledger = ledger(Symbols::All, &[]);
    ledger.named(named(&[]));
    ledger.listed(listing(&["A", "B", "C", "D", "E"]));
    let doubted = Verdict::Doubted { carried: 5, would_be: 2 };
    assert_eq!(ledger.listed(listing(&["A", "B"])), doubted);
    assert_eq!(carried(&ledger), ["A", "B", "C", "D", "E"], "nobody is cut off");
    assert_eq!(ledger.listed(listing(&["A", "B", "C", "D"])), Verdict::Changed { added: 0, removed: 1 });
    assert_eq!(ledger.listed(listing(&["A"])), Verdict::Doubted { carried: 4, would_be: 1 });
    assert_eq!(ledger.listed(listing(&["A"])), Verdict::Changed { added: 0, removed: 3 }, "it stays with it");
    assert_eq!(carried(&ledger), ["A"]);
}

#[test]
fn half_an_answer_after_a_change_of_keepers_is_kept_back_too() {
    let mut ledger = ledger(Symbols::All, &["A", "B", "C"]);
    assert_eq!(ledger.listed(listing(&["A"])), Verdict::Doubted { carried: 3, would_be: 1 });
    assert_eq!(ledger.entries(), None);
}

#[test]
fn a_list_of_others_is_believed_at_once() {
    let mut ledger = ledger(Symbols::Listed(vec!["A/USDT".to_owned()]), &[]);
    ledger.named(named(&["B/USDT", "C/USDT", "D/USDT"]));
    ledger.listed(listing(&["A", "B", "C", "D", "E"]));
    assert_eq!(carried(&ledger), ["A", "B", "C", "D"]);
    assert_eq!(ledger.named(named(&[])), Verdict::Changed { added: 0, removed: 3 });
    assert_eq!(ledger.named(named(&["EUSDT", "X"])), Verdict::Changed { added: 1, removed: 0 });
    assert_eq!(carried(&ledger), ["A", "E"]);
    assert_eq!((ledger.unknown(Source::File), ledger.unknown(Source::Setting)), (1, 0));
    assert_eq!(ledger.faults().len(), 1);
}

#[test]
fn a_list_that_is_not_known_yet_takes_nothing_away() {
    let mut ledger = ledger(Symbols::Listed(vec!["A/USDT".to_owned()]), &["B", "A", "GONE"]);
    assert_eq!(ledger.listed(listing(&["A", "B", "C"])), Verdict::Changed { added: 0, removed: 1 });
    assert_eq!(carried(&ledger), ["B", "A"]);
    assert_eq!(ledger.named(named(&["C/USDT"])), Verdict::Changed { added: 1, removed: 1 });
    assert_eq!(carried(&ledger), ["C", "A"]);
}
