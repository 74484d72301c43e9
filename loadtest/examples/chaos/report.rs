//! What came of each event, what must hold of it, and the table of all.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use tickwire_loadtest::watch::{Sums, Ticks};

use crate::args::{Args, Event};
use crate::crowd::Saw;

/// A killed ingestor's symbols tick again within this.
const TAKE_OVER_MAX: Duration = Duration::from_secs(5);
/// Problems of one kind that are told.
const TOLD: usize = 3;
/// Close code of an edge that ends (docs/WIRE.md).
const GOING_AWAY: &str = "1012";

/// One event.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    event: String,
    #[serde(skip)]
    kind: Event,
    #[serde(rename = "took_s", serialize_with = "seconds")]
    pub(crate) took: Duration,
    pub(crate) symbols: usize,
    /// What was published from the event to the return to normal.
    pub(crate) sums: Sums,
    pub(crate) ticks: Ticks,
    /// Ticks that the watcher itself lost.
    pub(crate) unseen: u64,
    /// Microseconds of each.
    pub(crate) take_overs: Vec<u64>,
    pub(crate) saw: Saw,
    /// Rows that were not the exchange's own values in the end.
    pub(crate) different: Vec<String>,
    pub(crate) violations: Vec<String>,
    /// CPU of all ingestors a thousand frames, in milliseconds.
    cpu_ms_per_1000_frames: Option<f64>,
    pub(crate) notes: Vec<String>,
    pub(crate) problems: Vec<String>,
}

impl Outcome {
    pub(crate) fn new(kind: Event) -> Self {
        let event = kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        Self {
            event,
            kind,
            took: Duration::ZERO,
            symbols: 0,
            sums: Sums::default(),
            ticks: Ticks::default(),
            unseen: 0,
            take_overs: Vec::new(),
            saw: Saw::default(),
            different: Vec::new(),
            violations: Vec::new(),
            cpu_ms_per_1000_frames: None,
            notes: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> String {
        self.event.clone()
    }

    pub(crate) fn note(&mut self, what: &str, took: Duration) {
        self.notes.push(format!("{what} {:.1} s", took.as_secs_f64()));
    }

    /// Takes what the ingestors used, in milliseconds, for so many frames.
    pub(crate) fn note_cpu(&mut self, used_ms: u64, frames: u64, took: Duration) {
        let thousands = frames as f64 / 1_000.0;
        self.cpu_ms_per_1000_frames = (frames > 0).then(|| used_ms as f64 / thousands);
        let rate = frames as f64 / took.as_secs_f64();
        self.notes.push(format!(
            "{rate:.0} frames/s, {:.2} ms of CPU a thousand",
            used_ms as f64 / thousands.max(1e-9)
        ));
    }

    /// Whether nothing may be missing or come twice: where shards and sockets are handed over by plan.
    fn is_planned(&self) -> bool {
        use Event::{Drain, Lifetime, Listing, Rolling, Silent, Start, Undisturbed};
        // Of `silent` the time counts from when it is over.
        matches!(self.kind, Undisturbed | Start | Drain | Listing | Lifetime | Rolling | Silent)
    }

    /// Names what does not hold.
    pub(crate) fn judge(&mut self) {
        let Sums { rows, decreasing, repeated, went_back, twice, missed, unreadable, .. } = self.sums;
        let mut wrong = vec![
            (unreadable, "payloads that are no rows"),
            (self.unseen, "ticks that the watcher lost"),
            (self.saw.disorder, "rows with a lower v at a client"),
            (self.saw.duplicates, "rows twice at a client"),
            (self.saw.behind_store, "symbols of clients behind the store"),
            (self.saw.clients - self.saw.connected.min(self.saw.clients), "clients not connected in the end"),
        ];
        // What a network delivers late is late on NATS; edges drop it by its v, so that no client sees it.
        if self.kind != Event::Partition {
            wrong.extend([
                (decreasing, "ticks whose v does not grow"),
                (went_back, "ticks older than the one before"),
            ]);
        }
        if self.is_planned() {
            // A listing begins the exchange's turns anew, and a symbol may tell the same statistics twice on end.
            let twice = if self.kind == Event::Listing { 0 } else { twice };
            wrong.extend([(twice + repeated, "ticks twice"), (missed, "ticks missed")]);
        }
        if self.kind != Event::Rolling {
            wrong.push((self.saw.went_back, "rows with a lower v after a return"));
        }
        let counted = wrong.into_iter().filter(|(count, _)| *count > 0);
        self.problems.extend(counted.map(|(count, what)| format!("{count} {what}")));
        if rows == 0 || self.saw.rows == 0 {
            self.problems.push("nobody saw a row".to_owned());
        }
        let expected = |close: &&String| self.kind == Event::Rolling && close.ends_with(GOING_AWAY);
        let closes: Vec<&String> = self.saw.closes.iter().filter(|close| !expected(close)).collect();
        if !closes.is_empty() {
            self.problems.push(format!("clients closed: {closes:?}"));
        }
        self.problems.extend(self.saw.errors.iter().map(|error| format!("clients: {error}")));
        self.problems.extend(self.violations.iter().map(|kind| format!("limit broken: {kind}")));
        if !self.different.is_empty() {
            let some: Vec<&String> = self.different.iter().take(TOLD).collect();
            self.problems
                .push(format!("{} rows are not the exchange's own, like {some:?}", self.different.len()));
        }
        let slow = self.take_overs.iter().filter(|us| u128::from(**us) > TAKE_OVER_MAX.as_micros()).count();
        if slow > 0 {
            self.problems.push(format!("{slow} take-overs over {} s", TAKE_OVER_MAX.as_secs()));
        }
    }

    /// In one line, as it happens.
    pub(crate) fn line(&self) -> String {
        let verdict = if self.problems.is_empty() {
            "held".to_owned()
        } else {
            format!("FAILED: {}", self.problems.join("; "))
        };
        format!("{:<12} {:>4.0} s  {verdict}", self.event, self.took.as_secs_f64())
    }

    fn row(&self) -> String {
        let Sums { rows, missed, twice, .. } = self.sums;
        let mut notes = self.notes.clone();
        if let Some((median, worst)) = median_and_worst(&self.take_overs) {
            let count = self.take_overs.len();
            notes.insert(
                0,
                format!("{count} take-overs: median {} ms, worst {} ms", median / 1_000, worst / 1_000),
            );
        }
        let verdict = if self.problems.is_empty() { "held" } else { "**failed**" };
        format!(
            "| {} | {} | {rows} | {missed} | {twice} | {} | {} | {} | {} | {verdict} | {} |",
            self.event,
            self.symbols,
            self.ticks.worst_symbol.us / 1_000,
            self.ticks.worst_shard.us / 1_000,
            self.saw.gap_us / 1_000,
            self.different.len(),
            notes.join("; "),
        )
    }
}

fn median_and_worst(values: &[u64]) -> Option<(u64, u64)> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

/// All events of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    ingestors: usize,
    edges: usize,
    clients: usize,
    moves_per_second_and_symbol: u64,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            ingestors: args.ingestors,
            edges: args.edges,
            clients: args.clients(),
            moves_per_second_and_symbol: args.rate,
            outcomes: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    /// Whether everything was held, and there was something to hold.
    pub(crate) fn passed(&self) -> bool {
        !self.outcomes.is_empty() && self.outcomes.iter().all(|outcome| outcome.problems.is_empty())
    }

    /// Everything, for programs.
    ///
    /// # Errors
    /// Never: all keys are strings.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ingestors, edges, clients, moves_per_second_and_symbol, .. } = self;
        writeln!(
            f,
            "{ingestors} ingestors, {edges} edges, {clients} clients, {moves_per_second_and_symbol} moves/s a symbol; gaps in ms\n"
        )?;
        writeln!(
            f,
            "| event | symbols | ticks | missed | twice | longest gap, symbol | longest gap, shard | longest gap, client | rows not the exchange's | verdict | figures |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |")?;
        for outcome in &self.outcomes {
            writeln!(f, "{}", outcome.row())?;
        }
        for outcome in &self.outcomes {
            for problem in &outcome.problems {
                writeln!(f, "\n{}: {problem}", outcome.event)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(event: Event) -> Outcome {
        let mut outcome = Outcome::new(event);
        outcome.sums.rows = 9;
        outcome.saw = Saw { rows: 9, clients: 2, connected: 2, ..Saw::default() };
        outcome
    }

    fn problems(change: impl FnOnce(&mut Outcome), event: Event) -> Vec<String> {
        let mut outcome = good(event);
        change(&mut outcome);
        outcome.judge();
        outcome.problems
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(problems(|_| {}, Event::Kill).is_empty());
        assert_eq!(problems(|o| o.sums.decreasing = 1, Event::Kill), ["1 ticks whose v does not grow"]);
        assert_eq!(problems(|o| o.saw.rows = 0, Event::Kill), ["nobody saw a row"]);
        assert_eq!(problems(|o| o.take_overs = vec![6_000_000], Event::Kill), ["1 take-overs over 5 s"]);
        assert_eq!(problems(|o| o.saw.connected = 1, Event::Cut), ["1 clients not connected in the end"]);
    }

    #[test]
    fn ticks_may_be_missing_only_where_nothing_was_planned() {
        assert!(problems(|o| o.sums.missed = 4, Event::Kill).is_empty());
        assert_eq!(problems(|o| o.sums.missed = 4, Event::Drain), ["4 ticks missed"]);
        assert_eq!(problems(|o| o.sums.twice = 4, Event::Lifetime), ["4 ticks twice"]);
    }

    #[test]
    fn clients_are_sent_away_only_by_edges_that_end() {
        let closed = |o: &mut Outcome| o.saw.closes = vec!["2 x 1012".to_owned()];
        assert!(problems(closed, Event::Rolling).is_empty());
        assert_eq!(problems(closed, Event::Drain), [r#"clients closed: ["2 x 1012"]"#]);
        assert_eq!(problems(|o| o.saw.closes = vec!["1 x 1006".to_owned()], Event::Rolling).len(), 1);
    }

    #[test]
    fn a_run_of_nothing_has_not_passed() {
        let mut report = Report {
            ingestors: 1,
            edges: 1,
            clients: 1,
            moves_per_second_and_symbol: 1,
            outcomes: Vec::new(),
        };
        assert!(!report.passed());
        report.add(good(Event::Kill));
        assert!(report.passed() && report.to_string().contains("| kill | 0 | 9 |"));
    }
}
