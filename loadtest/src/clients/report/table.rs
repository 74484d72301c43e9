//! The table that ends a run.

use std::fmt::{self, Write as _};

use super::Report;
use crate::clients::latency::Percentiles;
use crate::clients::publish::Published;
use crate::clients::store::Comparison;
use crate::clients::tally::Reasons;
use crate::clients::threshold::Judgement;
use crate::clients::units::show_us;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.tool, self.config.url)?;
        for (name, text) in self.lines() {
            writeln!(f, "  {name:<10} {text}")?;
        }
        self.classes.fmt(f)?;
        for Judgement { threshold, measured, pass } in &self.thresholds {
            let verdict = if *pass { "pass" } else { "FAIL" };
            writeln!(f, "  threshold  {threshold:<20} {measured:>12}  {verdict}")?;
        }
        writeln!(f, "  verdict    {}", self.verdict)
    }
}

impl Report {
    /// Every figure in words, by name, but what is told of each class.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("clients", self.clients()),
            ("symbols", self.symbols()),
            ("settle", percentiles(&self.settle_us)),
            ("rows", self.rows()),
            ("latency", percentiles(&self.latency_us)),
            ("age", percentiles(&self.age_us)),
            ("gap", percentiles(&self.gap_us)),
            ("delivery", self.delivered()),
            ("order", self.order()),
            ("own", self.own()),
        ];
        lines.extend(self.publisher.iter().map(|publisher| ("publisher", published(publisher))));
        lines.extend(self.store.iter().map(|store| ("store", compared(store))));
        lines
    }

    /// All times, by name.
    pub(super) fn times(&self) -> Vec<(&'static str, &Percentiles)> {
        let mut times = vec![
            ("latency of rows", &self.latency_us),
            ("age of prices", &self.age_us),
            ("longest silence at a client", &self.gap_us),
            ("connect and subscribe", &self.settle_us),
            ("own lag", &self.own.lag_us),
        ];
        times.extend(self.publisher.iter().map(|publisher| ("lag of the publisher", &publisher.lag_us)));
        times
    }
}

/// Each line's text. Writing to a String does not fail, so those results are let go.
impl Report {
    fn clients(&self) -> String {
        let (asked, connected) = (self.config.clients, self.connected);
        let (closes, failures) = (&self.counters.closes, &self.counters.failures);
        let told = reasons("closed", closes) + &reasons("failed", failures);
        format!("{asked} asked, {connected} connected at the end{told}")
    }

    fn symbols(&self) -> String {
        let (symbols, per_client, taken) =
            (self.config.symbols, self.config.per_client, self.counters.symbols_taken);
        let told =
            reasons("refused", &self.counters.refusals) + &reasons("errors", &self.counters.server_errors);
        format!("{symbols}, {per_client} a client, {taken} taken{told}")
    }

    fn rows(&self) -> String {
        let (rows, received, window) = (self.counters.rows, self.received, show_us(self.window_us));
        let per_second = received.saturating_mul(1_000_000).checked_div(self.window_us).unwrap_or(0);
        let mut text = format!("{rows} of a window of {window}, {received} received in it ({per_second}/s");
        if let Some(ns) = self.own.cpu_us.and_then(|us| us.saturating_mul(1_000).checked_div(received)) {
            let _ = write!(text, ", {}.{:02}us of own CPU a row", ns / 1_000, ns % 1_000 / 10);
        }
        text.push(')');
        for (told, words) in [(self.interrupted, ", interrupted"), (!self.drained, ", not drained")] {
            text.push_str(if told { words } else { "" });
        }
        text
    }

    fn delivered(&self) -> String {
        let (loss, slow) = (&self.delivery, self.counters.slow_reader);
        let mut text = format!("published {}, owed {}, lost {}", loss.published, loss.owed, loss.lost);
        if loss.lost > 0 {
            let _ = write!(text, " at {} clients, most {}", loss.clients_with_loss, loss.worst_client);
        }
        if loss.skipped > 0 || slow > 0 {
            let _ =
                write!(text, "; {} told as skipped (lost is a lower bound), {slow} times slow", loss.skipped);
        }
        if loss.cut_short {
            text.push_str("; the log of rows was full, so only the first part was checked");
        }
        text
    }

    fn order(&self) -> String {
        let count = &self.counters;
        format!(
            "disorder {}, duplicates {}, without snapshot {}, not asked {}, malformed {}",
            count.disorder, count.duplicates, count.without_snapshot, count.rows_not_asked, count.malformed
        )
    }

    fn own(&self) -> String {
        let cpu = self.own.cpu_permille.map(|cpu| format!("CPU {}.{} % of one core, ", cpu / 10, cpu % 10));
        format!("{}lag {}", cpu.unwrap_or_default(), percentiles(&self.own.lag_us))
    }
}

fn published(of: &Published) -> String {
    let Published { rate, symbols, offered, published, refused, last_values, unseen, .. } = of;
    let mut text = format!(
        "{rate} rows/s of {symbols} symbols: {published} of {offered} published, {last_values} last values, lag {}",
        percentiles(&of.lag_us)
    );
    if *unseen > 0 {
        let _ = write!(text, "; {unseen} rows came to no client");
    }
    if *refused > 0 {
        let _ = write!(text, "; {refused} times NATS took nothing");
    }
    text
}

fn compared(of: &Comparison) -> String {
    if let Some(error) = &of.error {
        return format!("not compared: {error}");
    }
    let mut text = format!("{} symbols at clients compared, behind {}", of.slots, of.behind_store);
    if of.behind_store > 0 {
        let _ = write!(text, " at {} clients, most by {}", of.clients_behind, show_us(of.behind_us_max));
    }
    for (count, words) in [
        (of.ahead_of_store, "ahead of it"),
        (of.store_lacks, "symbols lack their newest row there"),
        (of.not_stored, "symbols are not there"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {words}");
        }
    }
    text
}

fn reasons(name: &str, reasons: &Reasons) -> String {
    if reasons.total() == 0 { String::new() } else { format!(", {name}: {}", reasons.list()) }
}

fn percentiles(of: &Percentiles) -> String {
    if of.rows == 0 {
        return "nothing measured".to_owned();
    }
    let [p50, p90, p99, p999, max] = [of.p50, of.p90, of.p99, of.p999, of.max].map(show_us);
    format!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}")
}
