//! When which client has something to do by the clock. A client has at most one time; setting another replaces it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// The times of clients, which are known by their index.
#[derive(Debug)]
pub(crate) struct Timers {
    /// Also holds times that were replaced; they are passed over. Never more than [`Timers::max`] at a time.
    queue: BinaryHeap<Reverse<(Instant, usize)>>,
    due: Vec<Option<Instant>>,
}

impl Timers {
    /// For `clients` clients, without a time.
    pub(crate) fn new(clients: usize) -> Self {
        Self { queue: BinaryHeap::new(), due: vec![None; clients] }
    }

    /// Entries above which replaced ones are swept out.
    fn max(&self) -> usize {
        2 * self.due.len() + 16
    }

    /// Sets a client's time.
    pub(crate) fn set(&mut self, index: usize, at: Instant) {
        let Some(due) = self.due.get_mut(index) else { return };
        *due = Some(at);
        self.queue.push(Reverse((at, index)));
        if self.queue.len() > self.max() {
            let Self { queue, due } = self;
            queue.retain(|Reverse((at, index))| due.get(*index) == Some(&Some(*at)));
        }
    }

    /// Takes a client's time away.
    pub(crate) fn clear(&mut self, index: usize) {
        if let Some(due) = self.due.get_mut(index) {
            *due = None;
        }
    }

    /// The next client whose time has come; it has none after.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<usize> {
        while let Some(Reverse((at, index))) = self.queue.peek().copied() {
            if at > now {
                return None;
            }
            self.queue.pop();
            if let Some(due) = self.due.get_mut(index).filter(|due| **due == Some(at)) {
                *due = None;
                return Some(index);
            }
        }
        None
    }

    /// When to look again; perhaps too early, never too late.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_come_in_their_order_and_the_last_one_set_counts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new(3);
        for (index, ms) in [(0, 30), (1, 10), (2, 20), (1, 40)] {
            timers.set(index, at(ms));
        }
        timers.clear(2);
        assert_eq!((timers.next(), timers.pop(at(9))), (Some(at(10)), None));
        assert_eq!((timers.pop(at(35)), timers.pop(at(35))), (Some(0), None));
        assert_eq!((timers.pop(at(40)), timers.next()), (Some(1), None));
    }

    #[test]
    fn replaced_times_do_not_pile_up() {
        let start = Instant::now();
        let mut timers = Timers::new(2);
        for ms in 0..10_000 {
            timers.set(0, start + Duration::from_millis(ms));
        }
        assert!(timers.queue.len() <= timers.max(), "{}", timers.queue.len());
        assert_eq!(timers.pop(start + Duration::from_secs(20)), Some(0));
    }
}
