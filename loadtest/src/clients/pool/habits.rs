//! What clients do by the clock, by their class: slow ones read a little, flapping ones leave and come back, whoever
//! lost its connection comes back later. From the end of the window on nobody does, and everybody reads what there is.

use std::time::{Duration, Instant};

use mio::Token;

use super::Pool;
use crate::clients::class::Class;
use crate::clients::client::{End, Stage};
use crate::clients::units::as_us;

/// How often a slow client reads, unless its rate is below a byte in that time.
const SLOW_EVERY: Duration = Duration::from_millis(100);

/// Longest time that a flapping client is away.
const FLAP_AWAY_MAX: Duration = Duration::from_secs(1);

/// How long a flapping client waits for the answer to its close frame.
const GOODBYE_MAX: Duration = Duration::from_secs(5);

/// Codes that mean that coming back is of no use (docs/WIRE.md, "Close codes").
fn is_final(code: u16) -> bool {
    matches!(code, 3500..=3999 | 4500..=4999)
}

impl Pool<'_> {
    /// Does what is due.
    pub(super) fn act_due(&mut self) {
        if self.timers.next().is_none() {
            return;
        }
        let now = Instant::now();
        while let Some(index) = self.timers.pop(now) {
            let Some(client) = self.peers.get(index).map(|peer| &peer.client) else { continue };
            match (client.stage, client.class) {
                (Stage::Leaving, _) => self.has_left(index),
                _ if self.calm => {}
                (Stage::Away, _) => self.returning.push_back(index),
                (Stage::Live, Class::Slow) => self.read_a_little(index),
                (Stage::Live, Class::Flapping) => self.leave(index),
                _ => {}
            }
        }
    }

    /// A client has become live.
    pub(super) fn take_up_habits(&mut self, index: usize) {
        if self.calm {
            return;
        }
        let Some(class) = self.peers.get(index).map(|peer| peer.client.class) else { return };
        match class {
            Class::Steady => {}
            Class::Stalled => self.hear(index, false),
            Class::Slow => {
                self.hear(index, false);
                self.timers.set(index, Instant::now() + self.slow_step().0);
            }
            Class::Flapping => {
                let stay = self.up_to(self.plan.habits.flap_stay * 2);
                self.timers.set(index, Instant::now() + stay);
            }
        }
    }

    fn hear(&mut self, index: usize, readable: bool) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        // A socket that the poll does not take again is one that is found broken when it is read.
        let _ = peer.hear(self.poll.registry(), Token(index), readable);
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.random.u64(0..=as_us(most)))
    }

    /// How often a slow client reads, and how many bytes.
    fn slow_step(&self) -> (Duration, usize) {
        let rate = self.plan.habits.slow_rate.max(1);
        let every = SLOW_EVERY.max(Duration::from_micros(1_000_000 / rate));
        let bytes = rate.saturating_mul(as_us(every)) / 1_000_000;
        (every, usize::try_from(bytes).unwrap_or(usize::MAX).max(1))
    }

    fn read_a_little(&mut self, index: usize) {
        let (every, bytes) = self.slow_step();
        let Some(peer) = self.peers.get_mut(index) else { return };
        let result = peer.read_some(&mut self.scratch, &mut self.bench, bytes);
        peer.flush();
        self.timers.set(index, Instant::now() + every);
        if let Err(end) = result {
            self.end(index, end);
        }
    }

    /// A flapping client has had enough: half leave with a close frame, the others close or reset the socket.
    fn leave(&mut self, index: usize) {
        let manner = self.random.u8(0..4);
        let Some(peer) = self.peers.get_mut(index) else { return };
        match manner {
            0 | 1 => {
                peer.say_goodbye();
                peer.client.stage = Stage::Leaving;
                self.live -= 1;
                return self.timers.set(index, Instant::now() + GOODBYE_MAX);
            }
            2 => peer.reset_on_close(),
            _ => {}
        }
        self.has_left(index);
    }

    /// A flapping client is gone.
    pub(super) fn has_left(&mut self, index: usize) {
        let away = self.up_to(FLAP_AWAY_MAX);
        self.leave_for(index, Stage::Away);
        if !self.calm {
            self.timers.set(index, Instant::now() + away);
        }
    }

    /// A live client lost its connection without wanting to.
    pub(super) fn was_closed(&mut self, index: usize, end: End) {
        let Some(class) = self.peers.get(index).map(|peer| peer.client.class) else { return };
        let (reason, is_final) = match end {
            End::Closed(code) => (code.to_string(), is_final(code)),
            other => (other.to_string(), true),
        };
        self.bench.classes.of(class).closes.add(reason.as_str());
        if class == Class::Steady {
            self.bench.tally.closes.add(reason);
        }
        let returns = class == Class::Flapping || class == Class::Steady && self.plan.habits.reconnect;
        if returns && !is_final { self.come_back(index) } else { self.leave_for(index, Stage::Ended) }
    }

    /// Comes back after a while that grows with every failure.
    pub(super) fn come_back(&mut self, index: usize) {
        let seed = self.plan.seed.wrapping_add(index as u64);
        let Some(delay) = self.peers.get_mut(index).map(|peer| peer.back_off(seed)) else { return };
        self.leave_for(index, Stage::Away);
        if !self.calm {
            self.timers.set(index, Instant::now() + delay);
        }
    }

    /// The end is near: nobody leaves or comes back any more, and everybody reads.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        self.returning.clear();
        for index in 0..self.peers.len() {
            let client = self.peers.get(index).map(|peer| (peer.client.stage, peer.client.class));
            if let Some((Stage::Live, Class::Slow | Class::Stalled)) = client {
                self.hear(index, true);
            }
        }
    }
}
