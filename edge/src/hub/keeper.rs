//! What a worker does without being asked: pings, stalled and silent clients, closes, the drain.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use tickwire_common::wire::close::CloseCode;
use tickwire_common::wire::frame::{going_away, slow_reader};

use super::client::Mode;
use super::worker::Worker;
use crate::ws::{Opcode, frame};

/// How long the other side has for its close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(3);

/// A slow client is told at most this often.
const TELL_SLOW: Duration = Duration::from_secs(10);

/// A client that is behind for longer than this is told before it has caught up.
const TELL_SOON: Duration = Duration::from_secs(1);

/// Pings without an answer before a connection counts as dead.
const PINGS_OPEN_MAX: u8 = 2;

/// A drain under way.
#[derive(Debug)]
pub(super) struct Drain {
    begun: Instant,
    spread: Duration,
    /// Clients that were there when it began.
    total: usize,
    closed: usize,
    /// Keys still to be closed.
    keys: Vec<u32>,
}

impl Drain {
    /// Whether the worker may end: nobody left, or the other sides do not answer.
    pub fn is_done(&self, now: Instant, nobody: bool) -> bool {
        nobody || now >= self.begun + self.spread + CLOSE_WAIT
    }

    /// How many should be closed by now.
    fn due(&self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.begun).as_millis();
        match self.spread.as_millis() {
            0 => self.total,
            spread => {
                usize::try_from(passed * self.total as u128 / spread).unwrap_or(self.total).min(self.total)
            }
        }
    }
}

impl Worker {
    /// Looks at every client once.
    pub fn sweep(&mut self) {
        let keys: Vec<u32> = self.clients.iter().filter_map(|(key, _)| u32::try_from(key).ok()).collect();
        let mut slow = 0_u32;
        for key in &keys {
            self.look_after(*key);
            let client = self.clients.get(*key as usize);
            slow += u32::from(client.is_some_and(|client| client.outbox.behind_since().is_some()));
        }
        self.meters.slow.set(slow);
        let (views, seats) = self.views.count();
        self.meters.connections.set(self.clients.len() as f64);
        self.meters.views.set(views as f64);
        self.meters.subscriptions.set(seats as f64);
    }

    fn look_after(&mut self, key: u32) {
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        self.meters.skipped.increment(client.outbox.take_uncounted().into());
        client.outbox.trim();
        if let Some(deadline) = client.closing {
            if self.now >= deadline {
                self.drop_client(key, "unanswered_close");
            }
            return;
        }
        if client.outbox.stalled_since().is_some_and(|since| self.now >= since + self.config.stall) {
            return self.close(key, CloseCode::SlowReader);
        }
        if client.outbox.behind_since().is_none() {
            self.tell_slow(key);
        }
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        if client.mode == Mode::Stream && self.now >= client.heard_at + self.config.ping {
            if client.pings_open >= PINGS_OPEN_MAX {
                return self.close(key, CloseCode::HeartbeatTimeout);
            }
            client.pings_open += 1;
            client.heard_at = self.now;
            self.say(key, frame::message(Opcode::Ping, b""));
        }
    }

    /// After a write: lets go of a closed client whose last bytes are out; tells one that is slow, where a place in its
    /// stream allows.
    pub fn after_write(&mut self, key: u32, progress: bool) {
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        if !client.outbox.has_waiting() {
            if client.goodbye {
                return self.drop_client(key, "client_left");
            }
            if client.failed {
                // RFC 6455 section 7.1.7. An error means that the other side has left already.
                let _ = client.socket.shutdown(Shutdown::Write);
            }
        }
        match client.outbox.behind_since() {
            Some(since) if !progress || self.now < since + TELL_SOON => {}
            _ => self.tell_slow(key),
        }
    }

    /// Tells a client how many rows it has missed since it was last told, now and then.
    fn tell_slow(&mut self, key: u32) {
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        let told = client.told_slow_at.is_some_and(|at| self.now < at + TELL_SLOW);
        if client.closing.is_some() || told {
            return;
        }
        let skipped = client.outbox.take_skipped();
        if skipped > 0 {
            client.told_slow_at = Some(self.now);
            let lag_ms = u64::try_from(client.outbox.lag(self.now).as_millis()).unwrap_or(u64::MAX);
            self.meters.told_slow.increment(1);
            self.say(key, frame::text(&slow_reader(skipped.into(), lag_ms)));
        }
    }

    /// Sends the close frame; the client gets nothing more and has a moment to answer.
    pub fn close(&mut self, key: u32, code: CloseCode) {
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        if client.closing.is_some() {
            return;
        }
        self.meters.closed_with(code);
        // Room for this one frame there always is.
        let _ = client.outbox.control(frame::close(code), usize::MAX);
        self.finish(key);
    }

    /// The last frame is queued: gives up the seats and waits for the other side, or not for long.
    pub fn finish(&mut self, key: u32) {
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        client.closing = Some(self.now + CLOSE_WAIT);
        let slots: Vec<u32> = client.outbox.seats().map(|(slot, _)| slot).collect();
        self.leave(key, &slots);
        self.mark_ready(key);
    }

    /// Forgets a connection.
    pub fn drop_client(&mut self, key: u32, why: &'static str) {
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        self.meters.skipped.increment(client.outbox.take_uncounted().into());
        if let Some((_, alarm)) = client.outbox.alarm() {
            self.alarms.set(key, alarm, None);
        }
        if client.closing.is_none() {
            self.meters.closed(why);
        }
        let slots: Vec<u32> = client.outbox.seats().map(|(slot, _)| slot).collect();
        self.leave(key, &slots);
        self.clients.remove(key as usize);
    }

    /// Tells everyone when to come back.
    pub fn begin_drain(&mut self, spread: Duration) {
        let keys: Vec<u32> = self.clients.iter().filter_map(|(key, _)| u32::try_from(key).ok()).collect();
        let spread_ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        for key in &keys {
            if self.clients.get(*key as usize).is_some_and(|client| client.mode == Mode::Stream) {
                self.say(*key, frame::text(&going_away(fastrand::u64(0..=spread_ms))));
            }
        }
        self.drain = Some(Drain { begun: self.now, spread, total: keys.len(), closed: 0, keys });
    }

    /// Closes those whose time has come.
    pub fn drain_step(&mut self) {
        let Some(drain) = self.drain.as_mut() else { return };
        let due = drain.due(self.now).saturating_sub(drain.closed);
        let from = drain.keys.len().saturating_sub(due);
        let keys = drain.keys.split_off(from);
        drain.closed += keys.len();
        for key in keys {
            self.close(key, CloseCode::Restart);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(total: usize, spread: Duration) -> Drain {
        Drain { begun: Instant::now(), spread, total, closed: 0, keys: Vec::new() }
    }

    #[test]
    fn closes_are_spread_evenly() {
        let drain = drain(10, Duration::from_secs(5));
        let due = |ms| drain.due(drain.begun + Duration::from_millis(ms));
        assert_eq!([0, 499, 500, 2_500, 4_999, 5_000, 60_000].map(due), [0, 0, 1, 5, 9, 10, 10]);
    }

    #[test]
    fn without_spread_all_are_due_at_once() {
        let drain = drain(10, Duration::ZERO);
        assert_eq!(drain.due(drain.begun), 10);
    }

    #[test]
    fn a_drain_ends_when_nobody_is_left_or_nobody_answers() {
        let drain = drain(10, Duration::from_secs(5));
        assert!(drain.is_done(drain.begun, true));
        let last = drain.begun + drain.spread + CLOSE_WAIT;
        assert!(!drain.is_done(last.checked_sub(Duration::from_millis(1)).unwrap(), false));
        assert!(drain.is_done(last, false));
    }
}
