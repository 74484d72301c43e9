//! Where a value lies on an axis, and which values are worth a line: 1, 2 and 5 times a power of ten, in words with
//! units. Pure arithmetic.

use super::words;

/// Lines that an axis has about.
const TICKS: u64 = 5;

/// How the values of an axis are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From 0.
    Linear,
    /// By powers of ten, for times that differ a thousandfold.
    Log,
}

/// What the values of an axis are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Microseconds.
    Time,
    /// Anything counted.
    Count,
    /// Bytes a second.
    BytesPerSecond,
}

impl Unit {
    /// A value in as many digits as it has, where they matter.
    pub(super) fn show_exact(self, value: u64) -> String {
        if self == Self::Count { words::exact(value) } else { self.show(value) }
    }

    /// A value in words.
    pub(super) fn show(self, value: u64) -> String {
        match self {
            Self::Time => words::time(value),
            Self::Count => words::count(value),
            Self::BytesPerSecond => words::bytes(value) + "/s",
        }
    }
}

/// A vertical axis that fits some values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    scale: Scale,
    low: u64,
    high: u64,
    pub(super) ticks: Vec<u64>,
}

impl Axis {
    /// Fits these values; the ends are ticks.
    pub(super) fn fit(scale: Scale, values: impl Iterator<Item = u64> + Clone) -> Self {
        let (least, most) = (values.clone().min().unwrap_or(0), values.max().unwrap_or(0));
        match scale {
            Scale::Linear => Self::linear(most),
            Scale::Log => Self::log(least.max(1), most.max(1)),
        }
    }

    fn linear(most: u64) -> Self {
        let step = nice_above(most.div_ceil(TICKS).max(1));
        let steps = most.div_ceil(step).max(1);
        let ticks: Vec<u64> = (0..=steps).map(|n| n * step).collect();
        Self { scale: Scale::Linear, low: 0, high: steps * step, ticks }
    }

    fn log(least: u64, most: u64) -> Self {
        let low = 10u64.pow(least.ilog10());
        let high = [2, 5, 10].map(|n| n * 10u64.pow(most.ilog10().min(18))).into_iter();
        let high = high.clone().find(|high| *high >= most).or(high.last()).unwrap_or(most).max(low * 10);
        let few = high / low <= 1_000;
        let steps: &[u64] = if few { &[1, 2, 5] } else { &[1] };
        let decades = (low.ilog10()..=high.ilog10()).map(|power| 10u64.pow(power));
        let ticks = decades.flat_map(|decade| steps.iter().map(move |step| decade.saturating_mul(*step)));
        let mut ticks: Vec<u64> = ticks.filter(|tick| *tick < high).collect();
        ticks.push(high);
        Self { scale: Scale::Log, low, high, ticks }
    }

    /// Where a value lies: 0 at the lower end, 1 at the upper one.
    pub(super) fn at(&self, value: u64) -> f64 {
        let part = match self.scale {
            Scale::Linear => value as f64 / self.high as f64,
            Scale::Log => {
                let above = |value: u64| (value.max(1) as f64 / self.low as f64).ln();
                above(value) / above(self.high)
            }
        };
        part.clamp(0.0, 1.0)
    }
}

/// The lowest of 1, 2 and 5 times a power of ten that is not below `value`.
fn nice_above(value: u64) -> u64 {
    let power = 10u64.pow(value.max(1).ilog10().min(18));
    [1, 2, 5, 10].into_iter().map(|n| n * power).find(|nice| *nice >= value).unwrap_or(power)
}

/// Seconds at which the horizontal axis has lines, for a run of this many milliseconds.
pub(super) fn seconds(length_ms: u64) -> Vec<u64> {
    const STEPS: [u64; 15] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400];
    let length = length_ms / 1_000;
    let step = STEPS.into_iter().find(|step| length / step <= 12).unwrap_or(14_400);
    (0..=length / step).map(|n| n * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_stand_at_round_values() {
        assert_eq!(Axis::fit(Scale::Linear, [3, 47].into_iter()).ticks, [0, 10, 20, 30, 40, 50]);
        assert_eq!(Axis::fit(Scale::Linear, [0].into_iter()).ticks, [0, 1]);
        assert_eq!(
            Axis::fit(Scale::Log, [120, 4_300].into_iter()).ticks,
            [100, 200, 500, 1_000, 2_000, 5_000]
        );
        assert_eq!(
            Axis::fit(Scale::Log, [7, 123_000].into_iter()).ticks,
            [1, 10, 100, 1_000, 10_000, 100_000, 200_000]
        );
        assert_eq!(seconds(7_400), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(seconds(60_000).len(), 13);
    }

    proptest! {
        #[test]
        fn every_value_lies_on_its_axis(mut values in prop::collection::vec(0..=u64::MAX / 20, 1..20), log in any::<bool>()) {
            let axis = Axis::fit(if log { Scale::Log } else { Scale::Linear }, values.iter().copied());
            values.sort_unstable();
            let places: Vec<f64> = values.iter().map(|value| axis.at(*value)).collect();
            prop_assert!(places.iter().all(|place| (0.0..=1.0).contains(place)), "{places:?}");
            prop_assert!(places.windows(2).all(|pair| pair[0] <= pair[1]), "{places:?}");
            prop_assert!((2..=24).contains(&axis.ticks.len()), "{:?}", axis.ticks);
        }

        #[test]
        fn a_run_of_any_length_has_few_lines(ms in 0..24 * 3_600_000u64) {
            prop_assert!((1..=13).contains(&seconds(ms).len()));
        }
    }
}
