//! The report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere. Everything that
//! does not come from this program's own source is escaped. Well-formed as XML, too, so that tools can read it.

use std::fmt;

use super::{Report, Verdict};
use crate::clients::latency::Percentiles;
use crate::clients::run::Sample;
use crate::clients::threshold::Judgement;
use axis::{Scale, Unit};
use chart::{Chart, Line, Merge};
use words::{Text, count, date, exact, time};

mod axis;
mod chart;
mod words;

const STYLE: &str = include_str!("html/page.css");

/// The lines of the chart of latencies.
const LATENCY: [Line; 4] = [
    Line { name: "max", class: "c5", merge: Merge::Highest, value: |second| latency(second, |of| of.max) },
    Line { name: "p99", class: "c3", merge: Merge::Highest, value: |second| latency(second, |of| of.p99) },
    Line { name: "p90", class: "c2", merge: Merge::Highest, value: |second| latency(second, |of| of.p90) },
    Line { name: "p50", class: "c1", merge: Merge::Highest, value: |second| latency(second, |of| of.p50) },
];

const ROWS: [Line; 1] =
    [Line { name: "rows/s", class: "c1", merge: Merge::Mean, value: |second| rate(second, second.rows) }];

const BYTES: [Line; 1] =
    [Line { name: "bytes/s", class: "c2", merge: Merge::Mean, value: |second| rate(second, second.bytes) }];

const CONNECTIONS: [Line; 3] = [
    Line { name: "connected", class: "c1", merge: Merge::Last, value: |second| Some(second.connected) },
    Line { name: "failed so far", class: "c3", merge: Merge::Last, value: |second| Some(second.failures) },
    Line { name: "closed so far", class: "c5", merge: Merge::Last, value: |second| Some(second.closes) },
];

const OWN_LAG: [Line; 1] = [Line { name: "longest", class: "c4", merge: Merge::Highest, value: own_lag }];

/// A second in which nothing was ready has none.
fn own_lag(second: &Sample) -> Option<u64> {
    Some(second.own_lag_us).filter(|us| *us > 0)
}

fn latency(second: &Sample, of: fn(&Percentiles) -> u64) -> Option<u64> {
    (second.latency_us.rows > 0).then(|| of(&second.latency_us))
}

fn rate(second: &Sample, count: u64) -> Option<u64> {
    (!second.is_short()).then(|| count.saturating_mul(1_000_000) / second.length_us.max(1))
}

/// Lines of the table whose times the page has in a table of their own.
const TIMES: [&str; 4] = ["settle", "latency", "age", "gap"];

/// The page.
pub(super) struct Page<'a>(pub(super) &'a Report);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!("{}: {}", self.0.verdict.word(), self.0.config.url);
        writeln!(f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>")?;
        writeln!(f, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>")?;
        writeln!(f, "<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>", Text(title))?;
        self.head(f)?;
        self.tiles(f)?;
        self.thresholds(f)?;
        self.charts(f)?;
        self.percentiles(f)?;
        self.figures(f)?;
        self.circumstances(f)?;
        writeln!(f, "</main>\n</body>\n</html>")
    }
}

impl Page<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { verdict, config, finished_us, .. } = self.0;
        let class = match verdict {
            Verdict::Pass => "pass",
            Verdict::Invalid(_) => "invalid",
            Verdict::Failed(_) | Verdict::ThresholdFailed => "fail",
        };
        writeln!(f, "<header>\n<h1>Load test of {}</h1>", Text(&config.url))?;
        writeln!(f, "<span class=\"verdict {class}\">{}</span>", verdict.word())?;
        if *verdict != Verdict::Pass {
            writeln!(f, "<p>{}</p>", Text(verdict))?;
        }
        let (clients, symbols, length) =
            (exact(config.clients as u64), config.symbols, time(self.0.window_us));
        let symbols = format!("{} of {symbols} symbols each", config.per_client);
        writeln!(
            f,
            "<p>{clients} clients, {symbols}, {length} measured, ended {}</p>\n</header>",
            date(*finished_us)
        )
    }

    fn tiles(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let rows = report.received.saturating_mul(1_000_000).checked_div(report.window_us).unwrap_or(0);
        let measured = report.latency_us.rows > 0;
        let shown = |us: u64| if measured { time(us) } else { "–".to_owned() };
        let mut tiles = vec![
            ("rows/s", count(rows), false),
            ("p50", shown(report.latency_us.p50), false),
            ("p99", shown(report.latency_us.p99), false),
            ("max", shown(report.latency_us.max), false),
            ("connected", exact(report.connected), false),
            ("rows lost", exact(report.delivery.lost), report.delivery.lost > 0),
        ];
        if let Some(store) = &report.store {
            let behind = store.behind().map_or("not read".to_owned(), exact);
            tiles.push(("behind the store", behind, store.behind() != Some(0)));
        }
        writeln!(f, "<dl class=\"tiles\">")?;
        for (name, value, bad) in tiles {
            let class = if bad { " class=\"fail\"" } else { "" };
            writeln!(f, "<div{class}><dt>{name}</dt><dd>{}</dd></div>", Text(value))?;
        }
        writeln!(f, "</dl>")
    }

    fn thresholds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.thresholds.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "<section>\n<h2>Thresholds</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>threshold</th>"
        )?;
        writeln!(
            f,
            "<th class=\"number\">measured</th><th class=\"number\">held</th></tr></thead>\n<tbody>"
        )?;
        for Judgement { threshold, measured, pass } in &self.0.thresholds {
            let (class, word) = if *pass { ("pass", "pass") } else { ("fail", "FAIL") };
            write!(f, "<tr><th>{}</th><td class=\"number\">{}</td>", Text(threshold), Text(measured))?;
            writeln!(f, "<td class=\"number\"><span class=\"mark {class}\">{word}</span></td></tr>")?;
        }
        writeln!(f, "</tbody>\n</table></div>\n</section>")
    }

    fn charts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |title, note, unit, scale, height, lines| Chart {
            title,
            note,
            unit,
            scale,
            height,
            lines,
            series: &self.0.series,
        };
        let note =
            "From when a row was due to when the client had read it; each second on its own. Logarithmic.";
        writeln!(f, "{}", of("Latency", note, Unit::Time, Scale::Log, 320, &LATENCY))?;
        let note = "Clients that are connected and subscribed; what failed or was closed is added up.";
        writeln!(f, "{}", of("Connections", note, Unit::Count, Scale::Linear, 220, &CONNECTIONS))?;
        writeln!(f, "{}", of("Rows", "At all clients together.", Unit::Count, Scale::Linear, 220, &ROWS))?;
        let note = "At all clients together, with frames and everything else that the server says.";
        writeln!(f, "{}", of("Bytes", note, Unit::BytesPerSecond, Scale::Linear, 220, &BYTES))?;
        let note = "The longest that this program may have left a row unread, each second; part of the latency above.";
        writeln!(f, "{}", of("Own lag", note, Unit::Time, Scale::Log, 220, &OWN_LAG))
    }

    fn percentiles(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "<section>\n<h2>Times</h2>\n<div class=\"wide\"><table>\n<thead><tr><th></th>")?;
        for name in ["p50", "p90", "p99", "p99.9", "max", "of"] {
            write!(f, "<th class=\"number\">{name}</th>")?;
        }
        writeln!(f, "</tr></thead>\n<tbody>")?;
        for (name, of) in self.0.times().into_iter().filter(|(_, of)| of.rows > 0) {
            write!(f, "<tr><th>{}</th>", Text(name))?;
            for us in [of.p50, of.p90, of.p99, of.p999, of.max] {
                write!(f, "<td class=\"number\">{}</td>", time(us))?;
            }
            writeln!(f, "<td class=\"number\">{}</td></tr>", exact(of.rows))?;
        }
        writeln!(f, "</tbody>\n</table></div>\n</section>")
    }

    fn figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "<section>\n<h2>Figures</h2>\n<div class=\"wide\"><table>\n<tbody>")?;
        let classes = self.0.classes.present().map(|(class, tally)| (class.as_str(), tally.to_string()));
        let lines = self.0.lines().into_iter().filter(|(name, _)| !TIMES.contains(name));
        for (name, text) in lines.chain(classes) {
            writeln!(f, "<tr><th>{}</th><td>{}</td></tr>", Text(name), Text(text))?;
        }
        writeln!(f, "</tbody>\n</table></div>\n</section>")
    }

    fn circumstances(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { host, command, version, .. } = self.0;
        writeln!(f, "<section>\n<h2>Machine and command</h2>\n<div class=\"wide\"><table>\n<tbody>")?;
        let unknown = || "unknown".to_owned();
        let kernel = host.kernel.clone().unwrap_or_else(unknown);
        let build = if host.debug_build { "debug build: its figures say little" } else { "release build" };
        for (name, text) in [
            ("system", format!("{} {kernel}, {}", host.system, host.arch)),
            (
                "processor",
                format!(
                    "{}, {} cores for this program",
                    host.cpu.clone().unwrap_or_else(unknown),
                    host.cores
                ),
            ),
            ("open files", host.open_files.map_or_else(unknown, |limit| format!("up to {limit}"))),
            ("program", format!("tickwire-loadtest {version}, {build}")),
        ] {
            writeln!(f, "<tr><th>{name}</th><td>{}</td></tr>", Text(text))?;
        }
        writeln!(f, "</tbody>\n</table></div>\n<pre>{}</pre>\n</section>", Text(command))
    }
}

#[cfg(test)]
mod tests;
