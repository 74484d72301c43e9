//! The longest time that a client was without any row: what a restart of the server costs its clients.

/// One client's rows in time, while the measured window is open.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pulse {
    /// When the last row came, or the window opened; Unix µs, 0 before.
    last_us: u64,
    longest_us: u64,
}

impl Pulse {
    /// The window opens.
    pub(crate) fn begin(&mut self, now_us: u64) {
        *self = Self { last_us: now_us, longest_us: 0 };
    }

    /// Rows have come.
    #[inline]
    pub(crate) fn beat(&mut self, now_us: u64) {
        if self.last_us != 0 {
            self.longest_us = self.longest_us.max(now_us.saturating_sub(self.last_us));
            self.last_us = now_us;
        }
    }

    /// The window ends: the longest time without a row, µs; `None` for a client that was not there when it opened.
    /// Nothing is kept after.
    pub(crate) fn end(&mut self, now_us: u64) -> Option<u64> {
        self.beat(now_us);
        let Self { last_us, longest_us } = std::mem::take(self);
        (last_us != 0).then_some(longest_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_counts_with_both_ends_of_the_window() {
        let ended = |beats: &[u64]| {
            let mut pulse = Pulse::default();
            pulse.beat(1);
            pulse.begin(100);
            beats.iter().for_each(|us| pulse.beat(*us));
            pulse.end(200)
        };
        assert_eq!(ended(&[]), Some(100));
        assert_eq!(ended(&[110, 150, 170]), Some(40));
        assert_eq!(ended(&[160, 190]), Some(60));
        assert_eq!(ended(&[110, 120]), Some(80));
        assert_eq!(Pulse::default().end(50), None, "a client that was not there");
    }
}
