//! The figures of one run, and what several runs come to: median and spread. Knows no server and no goal.

use serde::Serialize;

/// What one run gave; `None` is what its case or its load generator does not measure.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Clients that connected.
    pub(crate) clients: Option<f64>,
    /// Rows a second that clients were to get.
    pub(crate) offered: Option<f64>,
    /// Rows a second that they got while it was measured.
    pub(crate) delivered: Option<f64>,
    /// Rows that arrived, late ones too, of those that were to: 1 is all.
    pub(crate) complete: Option<f64>,
    /// Rows that the server says it left out for newer ones.
    pub(crate) skipped: Option<f64>,
    /// CPU of the server by the rows that arrived, µs.
    pub(crate) cpu_us: Option<f64>,
    /// Latencies, µs.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p90_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) p999_us: Option<f64>,
    pub(crate) max_us: Option<f64>,
    /// The oldest price that a client held when a newer one came, µs.
    pub(crate) age_max_us: Option<f64>,
    /// What the server's resident memory grew by while the clients came, by their number.
    pub(crate) kib_per_client: Option<f64>,
    /// Most resident memory of the server in the run.
    pub(crate) peak_kib: Option<f64>,
    /// Most resident memory in the second half of the load by that in the first: 1 is flat.
    pub(crate) growth: Option<f64>,
    /// From the first connect to the last accepted client.
    pub(crate) connect_s: Option<f64>,
    /// Connections that the server ended.
    pub(crate) closed: Option<f64>,
    /// What a reader must know of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

/// The middle of several runs and their spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of what was measured; `None` where nothing was.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

/// All runs of one server in one case.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Runs {
    /// Of the runs that came to an end.
    pub(crate) figures: Vec<Figures>,
    /// Why the others did not.
    pub(crate) failures: Vec<String>,
}

impl Runs {
    /// Median and spread of a figure.
    pub(crate) fn spread(&self, figure: impl Fn(&Figures) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.figures.iter().filter_map(figure))
    }

    /// Its median.
    pub(crate) fn median(&self, figure: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
        self.spread(figure).map(|spread| spread.median)
    }

    /// The worst of the rounds, where more is worse.
    pub(crate) fn most(&self, figure: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
        self.spread(figure).map(|spread| spread.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_spread() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN]), None);
        assert_eq!(Spread::of([3.0]), Some(Spread { median: 3.0, min: 3.0, max: 3.0 }));
        assert_eq!(Spread::of([9.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 9.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0 }));
    }

    #[test]
    fn runs_without_a_figure_do_not_count() {
        let cpu = |cpu_us| Figures { cpu_us, ..Figures::default() };
        let runs = Runs { figures: vec![cpu(Some(5.0)), cpu(None), cpu(Some(7.0))], failures: Vec::new() };
        assert_eq!(runs.median(|figures| figures.cpu_us), Some(6.0));
        assert_eq!(runs.most(|figures| figures.cpu_us), Some(7.0));
        assert_eq!(runs.median(|figures| figures.p99_us), None);
    }
}
