//! What Tickwire is to hold in each case, and whether it does. A goal that is set by a peer needs that peer in the
//! same run.

use crate::case::Case;
use crate::figures::{Figures, Runs};

/// Rows that are in flight at an edge of the window make the count uncertain by this part.
const COMPLETE: f64 = 0.999;

/// Memory that grows by less than this part under load is flat.
const FLAT: f64 = 1.05;

/// A goal and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) goal: String,
    /// `None` where what it is held against was not measured.
    pub(crate) met: Option<bool>,
}

impl Judged {
    fn new(goal: impl Into<String>, met: Option<bool>) -> Self {
        Self { goal: goal.into(), met }
    }
}

/// Judges a server's runs in a case; `other` gives the runs of another server in the same case, and
/// `alone` those of the same server in [`Case::FairAlone`].
pub(crate) fn judge<'a>(
    case: Case,
    runs: &Runs,
    other: impl Fn(&str) -> Option<&'a Runs>,
    alone: Option<&Runs>,
) -> Vec<Judged> {
    let p99_ms = |limit_ms: u32| {
        let met = below(runs.median(p99), Some(f64::from(limit_ms) * 1_000.0));
        Judged::new(format!("p99 <= {limit_ms} ms"), met)
    };
    let cpu_of =
        |id: &str, name: &str| against(runs, other(id), &format!("CPU <= {name}"), 1.0, |f| f.cpu_us);
    let memory =
        |kib| Judged::new(format!("<= {kib} KiB"), below(runs.median(|f| f.kib_per_client), Some(kib)));
    match case {
        Case::One => vec![every_row(runs), cpu_of("floor", "bare send")],
        Case::Many => vec![every_row(runs), p99_ms(70), cpu_of("bun", "Bun")],
        Case::Over => vec![every_row(runs), p99_ms(125), cpu_of("bun", "Bun")],
        Case::Flood => {
            let cpu = below(runs.median(|f| f.cpu_us), Some(0.45));
            vec![every_row(runs), p99_ms(250), Judged::new("CPU <= 0.45 µs", cpu)]
        }
        Case::Deluge => vec![
            Judged::new(
                "newest < 500 ms old",
                below(runs.most(|f| f.age_max_us.or(f.max_us)), Some(500_000.0)),
            ),
            Judged::new("memory flat", below(runs.most(|f| f.growth), Some(FLAT))),
            Judged::new("nobody closed", below(runs.most(|f| f.closed), Some(0.0))),
        ],
        Case::MemoryOne => vec![memory(1.5)],
        Case::MemoryTwenty => vec![memory(3.0)],
        Case::Connect | Case::Answered => {
            vec![Judged::new("<= 2.5 s", below(runs.median(|f| f.connect_s), Some(2.5)))]
        }
        Case::FairAlone => Vec::new(),
        Case::FairMixed => vec![against(runs, alone, "p99 <= 1.1 x alone", 1.1, p99)],
        Case::Near => vec![every_row(runs), p99_ms(1)],
    }
}

fn p99(figures: &Figures) -> Option<f64> {
    figures.p99_us
}

fn every_row(runs: &Runs) -> Judged {
    let arrived = runs.spread(|f| f.complete).map(|complete| complete.min >= COMPLETE);
    let none_left_out = runs.most(|f| f.skipped).is_none_or(|skipped| skipped == 0.0);
    Judged::new("every row", arrived.map(|arrived| arrived && none_left_out))
}

/// A figure of medians against `times` that of other runs.
fn against(
    runs: &Runs,
    other: Option<&Runs>,
    goal: &str,
    times: f64,
    figure: impl Fn(&Figures) -> Option<f64> + Copy,
) -> Judged {
    let other = other.and_then(|other| other.median(figure));
    let met = below(runs.median(figure), other.map(|other| other * times));
    Judged::new(goal, met)
}

fn below(value: Option<f64>, limit: Option<f64>) -> Option<bool> {
    Some(value? <= limit?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(figures: Figures) -> Runs {
        Runs { figures: vec![figures], failures: Vec::new() }
    }

    fn many(p99_us: f64, cpu_us: f64, skipped: f64) -> Runs {
        let (complete, cpu_us) = (Some(1.002), Some(cpu_us));
        runs(Figures { p99_us: Some(p99_us), cpu_us, complete, skipped: Some(skipped), ..Figures::default() })
    }

    fn met(judged: &[Judged]) -> Vec<Option<bool>> {
        judged.iter().map(|judged| judged.met).collect()
    }

    #[test]
    fn goals_against_numbers_and_peers() {
        let bun = many(200_000.0, 4.9, 0.0);
        let judge = |runs: &Runs| judge(Case::Many, runs, |id| (id == "bun").then_some(&bun), None);
        assert_eq!(met(&judge(&many(69_000.0, 4.5, 0.0))), [Some(true); 3]);
        assert_eq!(met(&judge(&many(71_000.0, 5.0, 1.0))), [Some(false); 3]);
        assert_eq!(met(&judge(&Runs::default())), [None; 3]);
    }

    #[test]
    fn without_the_peer_nothing_is_said() {
        let judged = judge(Case::One, &many(1.0, 1.0, 0.0), |_| None, None);
        assert_eq!(met(&judged), [Some(true), None]);
        assert_eq!(judged[1].goal, "CPU <= bare send");
    }

    #[test]
    fn fairness_is_against_the_same_clients_alone() {
        let alone = many(60_000.0, 1.0, 0.0);
        let with = |p99_us| judge(Case::FairMixed, &many(p99_us, 1.0, 9.0), |_| None, Some(&alone));
        assert_eq!((met(&with(65_000.0)), met(&with(67_000.0))), (vec![Some(true)], vec![Some(false)]));
    }

    #[test]
    fn the_worst_round_counts_in_the_deluge() {
        let figures = |max_us, growth| Figures {
            max_us: Some(max_us),
            growth: Some(growth),
            closed: Some(0.0),
            ..Figures::default()
        };
        let runs = Runs { figures: vec![figures(1.0, 1.0), figures(600_000.0, 1.2)], failures: Vec::new() };
        let judged = judge(Case::Deluge, &runs, |_| None, None);
        assert_eq!(met(&judged), [Some(false), Some(false), Some(true)]);
    }
}
