//! How late rows are: receive time less `v`, for every update row of the measured window at every client. Open loop
//! (the publisher waits for nobody), so nothing has to be corrected for omission; rows that queue up are measured when
//! they come, also after the window.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies are kept from 1 µs to 2 minutes with 3 significant digits; longer ones count as 2 minutes.
const LATENCY_US_MAX: u64 = 120_000_000;

/// An empty histogram of microseconds.
///
/// # Errors
/// Never with these bounds; the library checks them at run time.
pub(crate) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?)
}

/// Percentiles in microseconds; all 0 where `rows` is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) rows: u64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Percentiles {
    /// Reads them off.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        let (p50, p90, p99, p999) = (at(0.5), at(0.9), at(0.99), at(0.999));
        Self { rows: histogram.len(), p50, p90, p99, p999, max: histogram.max() }
    }
}

/// All rows of the window, and those of the running second.
#[derive(Debug)]
pub(crate) struct Latency {
    total: Histogram<u64>,
    second: Histogram<u64>,
    measuring: bool,
    /// Rows that came before their own `v`, taken as 0: clocks that differ, or versions that ran ahead of the clock.
    pub(crate) negative: u64,
}

impl Latency {
    /// Nothing yet.
    ///
    /// # Errors
    /// As [`histogram`].
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { total: histogram()?, second: histogram()?, measuring: false, negative: 0 })
    }

    /// Takes an update row; `inside` says whether it lies in the measured window. Until that opens, rows count for the
    /// running second only.
    #[inline]
    pub(crate) fn record(&mut self, now_us: u64, v: u64, inside: bool) {
        if self.measuring != inside {
            return;
        }
        self.negative += u64::from(inside && v > now_us);
        self.second.saturating_record(now_us.saturating_sub(v));
    }

    /// Begins to keep what is inside the window.
    pub(crate) fn open(&mut self) {
        self.measuring = true;
        self.second.reset();
    }

    /// The second that ends here.
    ///
    /// # Errors
    /// Never: both histograms have the same bounds.
    pub(crate) fn end_second(&mut self) -> anyhow::Result<Percentiles> {
        let percentiles = Percentiles::of(&self.second);
        if self.measuring {
            self.total.add(&self.second)?;
        }
        self.second.reset();
        Ok(percentiles)
    }

    /// The whole window, up to the last second that ended.
    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles::of(&self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_is_kept() {
        let mut latency = Latency::new().unwrap();
        latency.record(1_000, 100, false);
        assert_eq!(latency.end_second().unwrap().max, 900);
        latency.record(1_000, 500, false);
        latency.open();
        latency.record(9_999, 1, false);
        latency.record(1_000, 700, true);
        latency.record(1_000, 2_000, true);
        assert_eq!(latency.end_second().unwrap().rows, 2);
        latency.record(1_000, 900, true);
        latency.end_second().unwrap();
        let all = latency.percentiles();
        assert_eq!((all.rows, all.p50, all.max, latency.negative), (3, 100, 300, 1));
    }

    #[test]
    fn hours_count_as_the_longest_latency() {
        let mut latency = Latency::new().unwrap();
        latency.open();
        latency.record(u64::MAX, 0, true);
        let max = latency.end_second().unwrap().max;
        assert!((LATENCY_US_MAX..LATENCY_US_MAX + LATENCY_US_MAX / 500).contains(&max), "{max}");
    }
}
