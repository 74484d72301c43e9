//! Rows at most every so many milliseconds. Each client has a grid of moments for each interval it asked for; what came
//! since the last one goes out together at the next. Grids of different clients lie apart, so that not all fire at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The moments of one client.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    /// When the worker began; the same for all its clients.
    epoch: Instant,
    /// Where in its interval this client's moments are, in parts of 2^32.
    phase: u32,
}

impl Grid {
    /// A grid for the client with this number.
    pub fn new(epoch: Instant, client: u32) -> Self {
        // The golden ratio spreads numbers that follow each other evenly.
        Self { epoch, phase: client.wrapping_mul(0x9e37_79b9) }
    }

    /// The first moment after `now`.
    pub fn next(&self, every_ms: u16, now: Instant) -> Instant {
        let every_us = u64::from(every_ms.max(1)) * 1_000;
        let phase_us = (every_us * u64::from(self.phase)) >> 32;
        let passed = now.saturating_duration_since(self.epoch).as_micros();
        let passed_us = u64::try_from(passed).unwrap_or(u64::MAX);
        let turns = (passed_us + every_us - phase_us) / every_us;
        self.epoch + Duration::from_micros(phase_us + turns * every_us)
    }
}

/// What of one client waits for its moment.
#[derive(Debug)]
pub struct Throttle {
    grid: Grid,
    /// By moment; one entry an interval with something that waits.
    groups: Vec<Group>,
    /// Room to use again.
    spare: Vec<u32>,
    /// When the worker's alarm for this client is.
    pub alarm: Option<Instant>,
}

#[derive(Debug)]
struct Group {
    every_ms: u16,
    at: Instant,
    slots: Vec<u32>,
}

impl Throttle {
    /// Nothing waits.
    pub fn new(grid: Grid) -> Self {
        Self { grid, groups: Vec::new(), spare: Vec::new(), alarm: None }
    }

    /// Lets a slot wait for the next moment of its interval.
    pub fn wait(&mut self, slot: u32, every_ms: u16, now: Instant) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.every_ms == every_ms) {
            return group.slots.push(slot);
        }
        let mut slots = std::mem::take(&mut self.spare);
        slots.push(slot);
        self.groups.push(Group { every_ms, at: self.grid.next(every_ms, now), slots });
    }

    /// Drops slots that wait.
    pub fn forget(&mut self, which: impl Fn(&u32) -> bool) {
        self.groups.iter_mut().for_each(|group| group.slots.retain(|slot| !which(slot)));
        self.groups.retain(|group| !group.slots.is_empty());
    }

    /// The slots whose moment has come.
    pub fn take(&mut self, now: Instant, mut each: impl FnMut(u32)) {
        let spare = &mut self.spare;
        self.groups.retain_mut(|group| {
            let waits = group.at > now;
            if !waits {
                group.slots.drain(..).for_each(&mut each);
                *spare = std::mem::take(&mut group.slots);
            }
            waits
        });
    }

    /// The next moment at which something waits.
    pub fn next(&self) -> Option<Instant> {
        self.groups.iter().map(|group| group.at).min()
    }
}

/// One alarm a client of a worker, by time.
#[derive(Debug, Default)]
pub struct Alarms(BTreeSet<(Instant, u32)>);

impl Alarms {
    /// Moves a client's alarm to `at`; `alarm` is where it was, and is again.
    pub fn set(&mut self, key: u32, alarm: &mut Option<Instant>, at: Option<Instant>) {
        if *alarm == at {
            return;
        }
        if let Some(old) = std::mem::replace(alarm, at) {
            self.0.remove(&(old, key));
        }
        self.0.extend(at.map(|at| (at, key)));
    }

    /// When the next one is.
    pub fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// A client whose alarm is due, which it then has no more.
    pub fn take_due(&mut self, now: Instant) -> Option<u32> {
        self.next().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Moments of a client are exactly one interval apart, and the next is never further than that.
        #[test]
        fn moments_are_an_interval_apart(client: u32, every_ms in 100u16..=10_000, passed_us in 0u64..100_000_000_000) {
            let epoch = Instant::now();
            let (grid, now) = (Grid::new(epoch, client), epoch + Duration::from_micros(passed_us));
            let every = Duration::from_millis(every_ms.into());
            let next = grid.next(every_ms, now);
            prop_assert!(next > now && next <= now + every);
            prop_assert_eq!(grid.next(every_ms, next), next + every);
        }
    }

    #[test]
    fn clients_do_not_fire_together() {
        let epoch = Instant::now();
        let mut moments: Vec<u128> = (0..100)
            .map(|client| (Grid::new(epoch, client).next(1_000, epoch) - epoch).as_millis())
            .collect();
        moments.sort_unstable();
        let most = moments.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(most < Some(30), "{most:?} ms without anybody");
    }

    #[test]
    fn intervals_fire_apart_and_all_slots_of_one_together() {
        let now = Instant::now();
        let mut throttle = Throttle::new(Grid::new(now, 0));
        for (slot, every_ms) in [(1, 100), (2, 250), (3, 100), (4, 100)] {
            throttle.wait(slot, every_ms, now);
        }
        throttle.forget(|slot| *slot == 4);
        let mut taken = |ms| {
            let mut slots = Vec::new();
            throttle.take(now + Duration::from_millis(ms), |slot| slots.push(slot));
            (slots, throttle.next())
        };
        assert!(taken(99).0.is_empty());
        assert_eq!(taken(100), (vec![1, 3], Some(now + Duration::from_millis(250))));
        assert_eq!(taken(250), (vec![2], None));
    }

    #[test]
    fn a_client_has_one_alarm() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let (mut alarms, mut one, mut two) = (Alarms::default(), None, None);
        alarms.set(1, &mut one, Some(at(300)));
        alarms.set(2, &mut two, Some(at(200)));
        alarms.set(1, &mut one, Some(at(100)));
        assert_eq!((alarms.next(), alarms.take_due(at(99))), (Some(at(100)), None));
        alarms.set(1, &mut one, None);
        assert_eq!(
            (alarms.take_due(at(300)), alarms.take_due(at(300)), one, two),
            (Some(2), None, None, Some(at(200)))
        );
    }
}
