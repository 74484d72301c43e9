//! The course of a run: ramp, warm-up, measured window, drain. Decides when one ends and the next begins; has no clock.

use std::time::Duration;

use serde::Serialize;

/// How long no row of the window may have come before the queues count as drained.
pub(crate) const QUIET: Duration = Duration::from_millis(500);

/// How long stragglers are waited for.
const DRAIN_MAX: Duration = Duration::from_secs(15);

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Clients connect and subscribe.
    Ramp,
    /// All are there; nothing is measured yet.
    WarmUp,
    /// The measured window.
    Measure,
    /// Rows of the window that are on their way arrive.
    Drain,
    /// Over.
    Done,
}

impl Phase {
    /// The word for progress lines.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ramp => "ramp",
            Self::WarmUp => "warm-up",
            Self::Measure => "measure",
            Self::Drain => "drain",
            Self::Done => "done",
        }
    }
}

/// How long phases last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timetable {
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
}

/// What the course depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// How long the phase has lasted.
    pub(crate) elapsed: Duration,
    /// Every client is live or over.
    pub(crate) settled: bool,
    /// Live clients.
    pub(crate) live: usize,
    /// Somebody asked to end, in this phase.
    pub(crate) interrupted: bool,
    /// Nothing of the window is missing, and nothing came for [`QUIET`].
    pub(crate) drained: bool,
}

impl Timetable {
    /// The phase that follows now, if the running one is over.
    pub(crate) fn next(&self, phase: Phase, facts: &Facts) -> Option<Phase> {
        let Facts { elapsed, settled, live, interrupted, drained } = *facts;
        let over = interrupted || live == 0;
        match phase {
            Phase::Ramp if interrupted || settled && live == 0 => Some(Phase::Done),
            Phase::Ramp if settled => Some(Phase::WarmUp),
            Phase::WarmUp if over => Some(Phase::Done),
            Phase::WarmUp if elapsed >= self.warmup => Some(Phase::Measure),
            Phase::Measure if over || elapsed >= self.duration => Some(Phase::Drain),
            Phase::Drain if over || elapsed >= DRAIN_MAX || drained && elapsed >= QUIET => Some(Phase::Done),
            _ => None,
        }
    }

    /// How long the running phase lasts at most, where time decides.
    pub(crate) fn length(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::WarmUp => Some(self.warmup),
            Phase::Measure => Some(self.duration),
            Phase::Drain => Some(DRAIN_MAX),
            Phase::Ramp | Phase::Done => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Timetable = Timetable { warmup: Duration::from_secs(2), duration: Duration::from_secs(60) };

    fn facts(seconds: u64) -> Facts {
        let elapsed = Duration::from_secs(seconds);
        Facts { elapsed, settled: true, live: 5, interrupted: false, drained: false }
    }

    #[test]
    fn a_run_without_events() {
        let ramping = Facts { settled: false, ..facts(9) };
        assert_eq!(TABLE.next(Phase::Ramp, &ramping), None);
        assert_eq!(TABLE.next(Phase::Ramp, &facts(9)), Some(Phase::WarmUp));
        assert_eq!(TABLE.next(Phase::WarmUp, &facts(1)), None);
        assert_eq!(TABLE.next(Phase::WarmUp, &facts(2)), Some(Phase::Measure));
        assert_eq!(TABLE.next(Phase::Measure, &facts(59)), None);
        assert_eq!(TABLE.next(Phase::Measure, &facts(60)), Some(Phase::Drain));
        assert_eq!(TABLE.next(Phase::Drain, &Facts { drained: true, ..facts(0) }), None);
        assert_eq!(TABLE.next(Phase::Drain, &facts(14)), None);
        assert_eq!(TABLE.next(Phase::Drain, &Facts { drained: true, ..facts(1) }), Some(Phase::Done));
        assert_eq!(TABLE.next(Phase::Drain, &facts(15)), Some(Phase::Done));
        assert_eq!(TABLE.next(Phase::Done, &facts(99)), None);
    }

    #[test]
    fn an_interrupt_ends_the_phase_and_keeps_what_was_measured() {
        let stop = Facts { interrupted: true, ..facts(0) };
        assert_eq!(TABLE.next(Phase::Ramp, &stop), Some(Phase::Done));
        assert_eq!(TABLE.next(Phase::WarmUp, &stop), Some(Phase::Done));
        assert_eq!(TABLE.next(Phase::Measure, &stop), Some(Phase::Drain));
        assert_eq!(TABLE.next(Phase::Drain, &stop), Some(Phase::Done));
    }

    #[test]
    fn nobody_left_ends_it() {
        let empty = Facts { live: 0, ..facts(0) };
        assert_eq!(TABLE.next(Phase::Ramp, &Facts { settled: false, ..empty }), None);
        assert_eq!(TABLE.next(Phase::Ramp, &empty), Some(Phase::Done));
        assert_eq!(TABLE.next(Phase::WarmUp, &empty), Some(Phase::Done));
        assert_eq!(TABLE.next(Phase::Measure, &empty), Some(Phase::Drain));
        assert_eq!(TABLE.next(Phase::Drain, &empty), Some(Phase::Done));
    }
}
