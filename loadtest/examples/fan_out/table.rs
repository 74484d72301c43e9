//! The table: a line for each server in each case, in Markdown, so that it can be read as it is and pasted into a page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::case::Case;
use crate::figures::{Figures, Runs, Spread};
use crate::goal::{Judged, judge};
use crate::server::Server;

/// All runs by case and by the place of their server in the list.
pub(crate) type Results = BTreeMap<(Case, usize), Runs>;

const HEAD: [&str; 12] = [
    "case",
    "server",
    "rows/s offered",
    "delivered",
    "CPU µs a row",
    "p50 ms",
    "p99 ms",
    "max ms",
    "KiB a client",
    "peak MiB",
    "connect s",
    "Tickwire to it, goals",
];

/// Characters of a failure that the table shows; the JSON has all.
const WHY_MAX: usize = 160;

/// Markdown, with the goals where Tickwire is and Tickwire's ratios where a peer is.
pub(crate) fn table(servers: &[Server], results: &Results) -> String {
    let mut table = format!("| {} |\n|---|---|{}---|\n", HEAD.join(" | "), "---:|".repeat(HEAD.len() - 3));
    for (&(case, index), runs) in results {
        let Some(server) = servers.get(index) else { continue };
        let mut cells = vec![case.title().to_owned(), server.title.to_owned()];
        cells.extend(figures(case, runs));
        cells.push(remark(servers, results, case, server, runs));
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    table
}

/// The cells of numbers: the median, and the spread where there are several rounds of what goals are about.
fn figures(case: Case, runs: &Runs) -> [String; 9] {
    let ms = |us: f64| us / 1_000.0;
    let loaded = !case.is_idle();
    let middle = |figure: fn(&Figures) -> Option<f64>, show: fn(f64) -> String| {
        runs.median(figure).map_or_else(String::new, show)
    };
    [
        middle(|f| f.offered, large),
        middle(|f| f.delivered, large),
        with_spread(runs.spread(|f| f.cpu_us)),
        middle(|f| f.p50_us.map(|us| us / 1_000.0), short),
        with_spread(runs.spread(|f| f.p99_us.map(ms))),
        middle(|f| f.max_us.map(|us| us / 1_000.0), short),
        if loaded { String::new() } else { with_spread(runs.spread(|f| f.kib_per_client)) },
        middle(|f| f.peak_kib.map(|kib| kib / 1_024.0), short),
        if matches!(case, Case::Connect | Case::Answered) {
            with_spread(runs.spread(|f| f.connect_s))
        } else {
            String::new()
        },
    ]
}

/// The last cell: failures first, for they are what a reader must not miss.
fn remark(servers: &[Server], results: &Results, case: Case, server: &Server, runs: &Runs) -> String {
    let mut parts = Vec::new();
    if let Some(why) = runs.failures.first() {
        let failed = runs.failures.len();
        let rounds = failed + runs.figures.len();
        let why: String = why.replace(['|', '\n'], " ").chars().take(WHY_MAX).collect();
        parts.push(format!("**FAILED {failed} of {rounds}**: {why}"));
    }
    parts.extend(runs.figures.iter().find_map(|figures| figures.note.clone()));
    if server.is_tickwire() {
        let other = |id: &str| {
            let index = servers.iter().position(|server| server.id == id)?;
            results.get(&(case, index))
        };
        let own = servers.iter().position(|other| other.id == server.id).unwrap_or_default();
        let judged = judge(case, runs, other, results.get(&(Case::FairAlone, own)));
        parts.extend(judged.iter().map(show_goal));
    } else {
        parts.extend(servers.iter().enumerate().filter(|(_, server)| server.is_tickwire()).filter_map(
            |(index, tickwire)| {
                let ratios = ratios(case, results.get(&(case, index))?, runs);
                let short = tickwire.id.trim_start_matches("tickwire").trim_start_matches('-');
                (!ratios.is_empty()).then(|| format!("{short} {ratios}").trim().to_owned())
            },
        ));
    }
    parts.join("; ")
}

fn show_goal(judged: &Judged) -> String {
    let mark = match judged.met {
        Some(true) => "✓",
        Some(false) => "✗ MISSED",
        None => "? not measured",
    };
    format!("{} {mark}", judged.goal)
}

/// How many times the peer's figure Tickwire's is: below 1 Tickwire is better.
fn ratios(case: Case, tickwire: &Runs, peer: &Runs) -> String {
    type Figure = fn(&Figures) -> Option<f64>;
    let named: &[(&str, Figure)] = match case {
        Case::MemoryOne | Case::MemoryTwenty => &[("memory", |f| f.kib_per_client)],
        Case::Connect | Case::Answered => &[("connect", |f| f.connect_s)],
        _ => &[("CPU", |f| f.cpu_us), ("p99", |f| f.p99_us)],
    };
    let ratio = |(name, figure): &(&str, Figure)| {
        let (ours, theirs) = tickwire.median(figure).zip(peer.median(figure))?;
        (theirs > 0.0).then(|| format!("{name} {:.2}x", ours / theirs))
    };
    named.iter().filter_map(ratio).collect::<Vec<_>>().join(", ")
}

fn with_spread(spread: Option<Spread>) -> String {
    match spread {
        None => String::new(),
        Some(Spread { median, min, max }) if short(min) == short(max) => short(median),
        Some(Spread { median, min, max }) => format!("{} ({}..{})", short(median), short(min), short(max)),
    }
}

/// Three digits, or all of a whole number.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// 199980 is 200k.
fn large(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2}M", value / 1e6),
        value if value >= 1e4 => format!("{:.0}k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests;
