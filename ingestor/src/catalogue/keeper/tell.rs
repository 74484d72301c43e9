//! What a keeper says: each state once in the log, and always in metrics.

use metrics::{counter, gauge};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::catalogue::choose::Source;
use crate::catalogue::ledger::{Ledger, Verdict};
use crate::rest::RestError;

/// Remembers what was said last, so that nothing is said twice.
pub(super) struct Tell {
    venue: &'static str,
    failure: Option<&'static str>,
    write_failed: bool,
    faults: Vec<String>,
    /// When the venue's last good answer came, or when we began.
    answered: Instant,
}

impl Tell {
    pub(super) fn new(venue: &'static str) -> Self {
        Self { venue, failure: None, write_failed: false, faults: Vec::new(), answered: Instant::now() }
    }

    /// The venue answered.
    pub(super) fn listed(&mut self, verdict: Verdict) {
        let venue = self.venue;
        if self.failure.take().is_some() {
            info!(venue, "the venue lists its instruments again");
        }
        if let Verdict::Doubted { carried, would_be } = verdict {
            warn!(venue, carried, would_be, "the venue lists so few that it is asked once more first");
            self.count("doubted");
        } else {
            self.answered = Instant::now();
            self.count("ok");
        }
    }

    /// It did not.
    pub(super) fn failed(&mut self, error: &RestError) {
        if self.failure.replace(error.kind()) != Some(error.kind()) {
            warn!(venue = self.venue, %error, "cannot read the instruments, keeping the last good list");
        }
        self.count(error.kind());
    }

    /// The catalogue as it has become.
    pub(super) fn judged(&mut self, verdict: Verdict, ledger: &Ledger) {
        let venue = self.venue;
        if let Verdict::Changed { added, removed } = verdict {
            let symbols = ledger.entries().map_or(0, <[_]>::len);
            info!(venue, symbols, added, removed, "the catalogue changes");
        }
        let faults = ledger.faults();
        for fault in faults.iter().filter(|fault| !self.faults.contains(fault)) {
            warn!("{fault}");
        }
        self.faults = faults;
    }

    /// The catalogue was written, or could not be.
    pub(super) fn written(&mut self, result: &Result<(), tickwire_nats::ApiError>) {
        let failed = result.as_ref().err();
        if let Some(error) = failed.filter(|_| !self.write_failed) {
            warn!(venue = self.venue, %error, "cannot write the catalogue, trying on");
        }
        self.write_failed = failed.is_some();
    }

    /// What can be seen from outside.
    pub(super) fn gauges(&self, ledger: &Ledger) {
        let symbols = ledger.entries().map_or(0, <[_]>::len);
        let unknown = |source| ledger.unknown(source) as f64;
        set(self.venue, self.answered.elapsed().as_secs_f64(), symbols as f64, unknown);
    }

    fn count(&self, outcome: &'static str) {
        counter!("tickwire_catalogue_refreshes_total", "venue" => self.venue, "outcome" => outcome)
            .increment(1);
    }
}

/// Another process keeps the catalogue, and says how it is.
pub(super) fn nothing(venue: &'static str) {
    set(venue, 0.0, 0.0, |_| 0.0);
}

fn set(venue: &'static str, age: f64, symbols: f64, unknown: impl Fn(Source) -> f64) {
    gauge!("tickwire_catalogue_age_seconds", "venue" => venue).set(age);
    gauge!("tickwire_catalogue_symbols", "venue" => venue).set(symbols);
    for source in Source::ALL {
        gauge!("tickwire_catalogue_unknown_symbols", "venue" => venue, "source" => source.setting())
            .set(unknown(source));
    }
}
