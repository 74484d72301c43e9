//! What a run must hold to pass: `--threshold p99=50ms`, `age_p99=500ms`, `lost=0`, `connected=10000`.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::latency::Percentiles;
use super::units::{as_us, parse_duration, show_us};

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    P50,
    P90,
    P99,
    P999,
    Max,
    AgeP50,
    AgeP90,
    AgeP99,
    AgeP999,
    AgeMax,
    GapP99,
    GapMax,
    Lost,
    Disorder,
    Duplicates,
    WentBack,
    Unseen,
    BehindStore,
    Closed,
    Errors,
    Connected,
    Rows,
}

/// How a value is read and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// A duration, at most; of rows, so it needs some. Not only latencies.
    Latency,
    /// A count of what is wrong with rows, at most; it needs some too.
    RowsAtMost,
    /// A count of what the store shows to be wrong, at most; it needs a store that was read.
    StoreAtMost,
    /// A count of what the publisher shows to be wrong, at most; it needs rows of our own.
    PublisherAtMost,
    /// A count, at most.
    AtMost,
    /// A count, at least.
    AtLeast,
}

const METRICS: [(&str, Metric, Rule); 22] = [
    ("p50", Metric::P50, Rule::Latency),
    ("p90", Metric::P90, Rule::Latency),
    ("p99", Metric::P99, Rule::Latency),
    ("p999", Metric::P999, Rule::Latency),
    ("max", Metric::Max, Rule::Latency),
    ("age_p50", Metric::AgeP50, Rule::Latency),
    ("age_p90", Metric::AgeP90, Rule::Latency),
    ("age_p99", Metric::AgeP99, Rule::Latency),
    ("age_p999", Metric::AgeP999, Rule::Latency),
    ("age_max", Metric::AgeMax, Rule::Latency),
    ("gap_p99", Metric::GapP99, Rule::Latency),
    ("gap_max", Metric::GapMax, Rule::Latency),
    ("lost", Metric::Lost, Rule::RowsAtMost),
    ("disorder", Metric::Disorder, Rule::RowsAtMost),
    ("duplicates", Metric::Duplicates, Rule::RowsAtMost),
    ("went_back", Metric::WentBack, Rule::AtMost),
    ("unseen", Metric::Unseen, Rule::PublisherAtMost),
    ("behind_store", Metric::BehindStore, Rule::StoreAtMost),
    ("closed", Metric::Closed, Rule::AtMost),
    ("errors", Metric::Errors, Rule::AtMost),
    ("connected", Metric::Connected, Rule::AtLeast),
    ("rows", Metric::Rows, Rule::AtLeast),
];

/// One condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Threshold {
    name: &'static str,
    metric: Metric,
    rule: Rule,
    /// Microseconds or a count.
    bound: u64,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once('=').ok_or_else(|| format!("{text:?}: write it like p99=50ms or lost=0"))?;
        let Some((name, metric, rule)) = METRICS.into_iter().find(|(known, ..)| *known == name) else {
            let names = METRICS.map(|(name, ..)| name).join(", ");
            return Err(format!("{name:?} is not a threshold; there are {names}"));
        };
        let bound = match rule {
            Rule::Latency => as_us(parse_duration(value)?),
            _ => value.parse().map_err(|_| format!("{name}={value}: {name} takes a whole number"))?,
        };
        Ok(Self { name, metric, rule, bound })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.show(self.bound))
    }
}

/// What thresholds are held against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) latency: Percentiles,
    /// Of the price that a client held when a newer one came.
    pub(crate) age: Percentiles,
    /// Of each client's longest time without a row.
    pub(crate) gap: Percentiles,
    pub(crate) lost: u64,
    pub(crate) disorder: u64,
    pub(crate) duplicates: u64,
    pub(crate) went_back: u64,
    /// `None` where nothing was published.
    pub(crate) unseen: Option<u64>,
    /// `None` where clients were not held against the store.
    pub(crate) behind_store: Option<u64>,
    pub(crate) closed: u64,
    pub(crate) errors: u64,
    pub(crate) connected: u64,
    pub(crate) rows: u64,
}

impl Figures {
    fn get(&self, metric: Metric) -> u64 {
        match metric {
            Metric::P50 => self.latency.p50,
            Metric::P90 => self.latency.p90,
            Metric::P99 => self.latency.p99,
            Metric::P999 => self.latency.p999,
            Metric::Max => self.latency.max,
            Metric::AgeP50 => self.age.p50,
            Metric::AgeP90 => self.age.p90,
            Metric::AgeP99 => self.age.p99,
            Metric::AgeP999 => self.age.p999,
            Metric::AgeMax => self.age.max,
            Metric::GapP99 => self.gap.p99,
            Metric::GapMax => self.gap.max,
            Metric::Lost => self.lost,
            Metric::Disorder => self.disorder,
            Metric::Duplicates => self.duplicates,
            Metric::WentBack => self.went_back,
            Metric::Unseen => self.unseen.unwrap_or_default(),
            Metric::BehindStore => self.behind_store.unwrap_or_default(),
            Metric::Closed => self.closed,
            Metric::Errors => self.errors,
            Metric::Connected => self.connected,
            Metric::Rows => self.rows,
        }
    }
}

/// How one threshold came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Judgement {
    pub(crate) threshold: String,
    pub(crate) measured: String,
    pub(crate) pass: bool,
}

impl Threshold {
    /// Whether it speaks of what this process publishes.
    pub(crate) fn needs_publisher(&self) -> bool {
        self.rule == Rule::PublisherAtMost
    }

    /// Whether it speaks of the store.
    pub(crate) fn needs_store(&self) -> bool {
        self.rule == Rule::StoreAtMost
    }

    /// Holds it against what was measured. What is said of rows is not held where there was none.
    pub(crate) fn judge(&self, figures: &Figures) -> Judgement {
        let measured = figures.get(self.metric);
        let (pass, measured) = match self.rule {
            Rule::Latency | Rule::RowsAtMost if figures.rows == 0 => (false, "no row".to_owned()),
            Rule::PublisherAtMost if figures.unseen.is_none() => (false, "no publisher".to_owned()),
            Rule::StoreAtMost if figures.behind_store.is_none() => (false, "not read".to_owned()),
            Rule::AtLeast => (measured >= self.bound, self.show(measured)),
            Rule::Latency | Rule::RowsAtMost | Rule::PublisherAtMost | Rule::StoreAtMost | Rule::AtMost => {
                (measured <= self.bound, self.show(measured))
            }
        };
        Judgement { threshold: self.to_string(), measured, pass }
    }

    fn show(&self, value: u64) -> String {
        if self.rule == Rule::Latency { show_us(value) } else { value.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str, figures: &Figures) -> Judgement {
        text.parse::<Threshold>().unwrap().judge(figures)
    }

    #[test]
    fn every_threshold_in_its_direction() {
        let latency = Percentiles { rows: 5, p50: 1, p90: 2, p99: 50_000, p999: 60_000, max: 70_000 };
        let figures = Figures {
            latency,
            age: Percentiles { p99: 500_000, max: 2_000_000, ..latency },
            gap: Percentiles { p99: 3_000_000, max: 4_000_000, ..latency },
            went_back: 1,
            behind_store: Some(2),
            unseen: Some(3),
            lost: 1,
            connected: 9,
            rows: 100,
            closed: 2,
            errors: 3,
            disorder: 4,
            duplicates: 5,
        };
        for (text, pass) in [
            ("p50=1us", true),
            ("p90=1us", false),
            ("p99=50ms", true),
            ("p99=49.999ms", false),
            ("p999=0.06s", true),
            ("max=69ms", false),
            ("age_p99=500ms", true),
            ("age_max=1.9s", false),
            ("gap_p99=3s", true),
            ("gap_max=3s", false),
            ("went_back=0", false),
            ("unseen=3", true),
            ("unseen=2", false),
            ("behind_store=2", true),
            ("behind_store=1", false),
            ("lost=1", true),
            ("lost=0", false),
            ("connected=9", true),
            ("connected=10", false),
            ("rows=100", true),
            ("rows=101", false),
            ("closed=2", true),
            ("closed=1", false),
            ("errors=2", false),
            ("disorder=4", true),
            ("duplicates=4", false),
        ] {
            assert_eq!(judge(text, &figures).pass, pass, "{text}");
        }
        let verdict = judge("p99=50ms", &figures);
        assert_eq!((verdict.threshold.as_str(), verdict.measured.as_str()), ("p99=50.0ms", "50.0ms"));
    }

    #[test]
    fn no_rows_hold_nothing_about_rows() {
        for text in ["p99=1s", "lost=0", "disorder=0", "duplicates=9"] {
            let judgement = judge(text, &Figures::default());
            assert_eq!((judgement.measured.as_str(), judgement.pass), ("no row", false), "{text}");
        }
        let unread = judge("behind_store=9", &Figures { rows: 9, ..Figures::default() });
        assert_eq!((unread.measured.as_str(), unread.pass), ("not read", false));
        assert!(judge("errors=0", &Figures::default()).pass && judge("rows=0", &Figures::default()).pass);
    }

    #[test]
    fn wrong_thresholds_say_what_is_right() {
        let wrong = |text: &str| text.parse::<Threshold>().unwrap_err();
        assert!(wrong("p98=1s").contains("p50, p90, p99, p999, max, age_p50"));
        assert!(wrong("p99").contains("p99=50ms"));
        assert!(wrong("p99=fast").contains("250us"));
        assert!(wrong("lost=1ms").contains("whole number"));
        assert!(wrong("connected=-1").contains("whole number"));
    }
}
