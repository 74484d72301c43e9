//! The way out of an outbox: what goes next, and what the socket made of it.

use std::time::Instant;

use bytes::Bytes;
use tickwire_common::wire::encoding::Encoding;

use super::{Behind, Outbox, Round};

/// How much is gathered for one write, in bytes: others wait meanwhile.
pub(super) const WRITE_BYTES: usize = 16 << 10;

/// The same for a client that is behind: what waits outside the kernel can still be folded.
const WRITE_BYTES_BEHIND: usize = 4 << 10;

/// What to write next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// The row of this number, as it is.
    Row(u32),
    /// What was gathered, with so many rows.
    Gathered(u32),
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// Nothing waits any more.
    All,
    /// Rows of the round wait: write on soon.
    More,
    /// Something waits that needs no row of the round: others may go first.
    Rest,
    /// The socket is full.
    Blocked,
}

impl Outbox {
    /// What goes next; it counts as written until [`Outbox::wrote`] says otherwise. `round` holds the rows that
    /// [`Outbox::due`] named; what is gathered goes into `buffer`.
    pub fn next(&mut self, round: &Round, encoding: Encoding, buffer: &mut Vec<u8>) -> Next {
        buffer.clear();
        if let Some(number) = self.lone_row(round) {
            self.due.clear();
            return Next::Row(number);
        }
        let most = if self.behind.is_some() { WRITE_BYTES_BEHIND } else { WRITE_BYTES };
        self.gather_control(most, buffer);
        let rows = self.gather_due(round, encoding, most, buffer) + self.gather_dirty(encoding, most, buffer);
        if buffer.is_empty() { Next::Nothing } else { Next::Gathered(rows) }
    }

    /// The light case: one row and nothing else is written straight from the shared frame.
    fn lone_row(&self, round: &Round) -> Option<u32> {
        let [(number, _)] = self.due.as_slice() else { return None };
        let alone = self.control.is_empty() && self.dirty.is_empty();
        (alone && round.get(*number).is_some_and(|row| row.folded == 0)).then_some(*number)
    }

    fn gather_control(&mut self, most: usize, buffer: &mut Vec<u8>) {
        while buffer.len() < most
            && let Some(mut frame) = self.control.pop_front()
        {
            let part = frame.split_to(frame.len().min(most - buffer.len()));
            self.control_bytes -= part.len();
            buffer.extend_from_slice(&part);
            if !frame.is_empty() {
                self.control.push_front(frame);
            }
        }
    }

    fn gather_due(&mut self, round: &Round, encoding: Encoding, most: usize, buffer: &mut Vec<u8>) -> u32 {
        let (mut rows, mut taken) = (0, 0);
        for (number, _) in &self.due {
            if buffer.len() >= most {
                break;
            }
            taken += 1;
            if let Some(row) = round.get(*number) {
                row.frame.push_skipped(buffer, row.folded, encoding);
                rows += 1;
            }
        }
        self.due.drain(..taken);
        rows
    }

    fn gather_dirty(&mut self, encoding: Encoding, most: usize, buffer: &mut Vec<u8>) -> u32 {
        let mut rows = 0;
        while buffer.len() < most
            && let Some(slot) = self.dirty.pop_front()
        {
            let Some(place) = self.slots.get_mut(slot as usize) else { continue };
            if let Some(frame) = place.frame.take() {
                frame.push_skipped(buffer, place.folded, encoding);
                rows += 1;
            }
        }
        rows
    }

    /// Of the bytes that [`Outbox::next`] gave the socket took this many.
    pub fn wrote(&mut self, bytes: &[u8], taken: usize, round: &Round, now: Instant) -> Wrote {
        if let Some(behind) = self.behind.as_mut().filter(|_| taken > 0) {
            behind.progress = now;
        }
        match bytes.get(taken..) {
            None | Some([]) => self.wrote_all(round, now),
            Some(rest) => {
                self.control_bytes += rest.len();
                self.control.push_front(Bytes::copy_from_slice(rest));
                self.behind.get_or_insert(Behind { since: now, progress: now });
                self.fold_due(round, now);
                Wrote::Blocked
            }
        }
    }

    fn wrote_all(&mut self, round: &Round, now: Instant) -> Wrote {
        if !self.has_waiting() {
            if self.behind.is_some() {
                self.last_lag = self.lag(now);
                self.behind = None;
            }
            self.folding = false;
            return Wrote::All;
        }
        if self.control.is_empty() && !self.due.is_empty() {
            return Wrote::More;
        }
        // Rows wait behind what goes out in its turn.
        self.fold_due(round, now);
        Wrote::Rest
    }
}
