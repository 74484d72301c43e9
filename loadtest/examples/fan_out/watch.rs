//! What the kernel says of the server while it is measured: resident memory and CPU time, four times a second.

use std::fs;
use std::time::Duration;

use tickwire_common::time::now_ms;
use tokio::time::{MissedTickBehavior, interval};

const PERIOD: Duration = Duration::from_millis(250);

/// Milliseconds of a clock tick of `/proc/<pid>/stat`: `USER_HZ` is 100 on Linux.
const TICK_MS: u64 = 10;

/// One look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Unix ms.
    pub(crate) at_ms: u64,
    pub(crate) rss_kib: u64,
    /// User and system time since the server began.
    pub(crate) cpu_ms: u64,
}

/// Looks until it is dropped, or the process is gone.
pub(crate) async fn watch(pid: u32, samples: &mut Vec<Sample>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let at_ms = now_ms();
        let Some((rss_kib, cpu_ms)) = rss_kib(pid).zip(cpu_ms(pid)) else { return };
        samples.push(Sample { at_ms, rss_kib, cpu_ms });
    }
}

/// The most resident memory.
pub(crate) fn peak_kib(samples: &[Sample]) -> Option<u64> {
    samples.iter().map(|sample| sample.rss_kib).max()
}

/// The most resident memory in the second half of the last `load_ms` by that in the first: 1 is flat.
pub(crate) fn growth(samples: &[Sample], load_ms: u64) -> Option<f64> {
    let end = samples.last()?.at_ms;
    let peak = |from: u64, to: u64| {
        let inside = samples.iter().filter(|sample| (from..=to).contains(&sample.at_ms));
        inside.map(|sample| sample.rss_kib).max()
    };
    let begin = end.checked_sub(load_ms)?;
    let middle = begin + load_ms / 2;
    let (first, second) = (peak(begin, middle)?, peak(middle + 1, end)?);
    Some(second as f64 / first.max(1) as f64)
}

/// CPU time between two moments, ms, straight lines between the looks.
pub(crate) fn cpu_between(samples: &[Sample], from_ms: u64, to_ms: u64) -> Option<f64> {
    Some(cpu_at(samples, to_ms)? - cpu_at(samples, from_ms)?)
}

fn cpu_at(samples: &[Sample], at_ms: u64) -> Option<f64> {
    let next = samples.iter().position(|sample| sample.at_ms >= at_ms)?;
    let after = samples.get(next)?;
    let Some(before) = next.checked_sub(1).and_then(|index| samples.get(index)) else {
        return Some(after.cpu_ms as f64);
    };
    let share = (at_ms - before.at_ms) as f64 / (after.at_ms - before.at_ms).max(1) as f64;
    Some(before.cpu_ms as f64 + share * (after.cpu_ms as f64 - before.cpu_ms as f64))
}

fn rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_ms(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th words behind it.
    let (_, words) = stat.rsplit_once(')')?;
    let mut ticks = words.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((user + system) * TICK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: u64, rss_kib: u64, cpu_ms: u64) -> Sample {
        Sample { at_ms, rss_kib, cpu_ms }
    }

    #[test]
    fn memory_that_grows_and_memory_that_does_not() {
        let growing: Vec<Sample> = (0..=40).map(|i| sample(i * 250, 1_000 + i * 100, 0)).collect();
        assert_eq!(growth(&growing, 10_000), Some(5_000.0 / 3_000.0));
        let flat: Vec<Sample> = (0..=40).map(|i| sample(i * 250, 1_000, 0)).collect();
        assert_eq!(growth(&flat, 8_000), Some(1.0));
        assert_eq!((peak_kib(&growing), growth(&flat, 11_000), growth(&[], 1)), (Some(5_000), None, None));
    }

    #[test]
    fn cpu_between_looks() {
        let samples = [sample(0, 0, 100), sample(1_000, 0, 600), sample(2_000, 0, 1_600)];
        assert_eq!(cpu_between(&samples, 500, 1_500), Some(750.0));
        assert_eq!(cpu_between(&samples, 0, 2_000), Some(1_500.0));
        assert_eq!(cpu_between(&samples, 0, 3_000), None);
    }

    #[tokio::test(start_paused = true)]
    async fn this_process_has_memory_and_time() {
        let mut samples = Vec::new();
        let watching = watch(std::process::id(), &mut samples);
        assert!(tokio::time::timeout(PERIOD * 3, watching).await.is_err());
        assert!(samples.len() >= 3 && samples.iter().all(|sample| sample.rss_kib > 0), "{samples:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn looking_ends_with_the_process() {
        let mut samples = Vec::new();
        watch(u32::MAX, &mut samples).await;
        assert!(samples.is_empty());
    }
}
