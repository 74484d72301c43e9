//! What waits for one client. While its socket takes everything, each row goes out as it came. Once the socket is full,
//! at most one row a symbol waits (newest wins, `skipped` counts what was folded), and all of them go out in few writes
//! when it can take more. Replies keep their order and go before rows. Bounded: see [`CONTROL_BYTES_MAX`].
//!
//! Knows no WebSocket and no subscription: it writes bytes that are framed already.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slab::Slab;
use tickwire_common::wire::encoding::Encoding;

use super::row::{RowFrame, ViewId};

/// Most replies that wait for one client, in bytes: above the largest snapshot of one request, 500 rows of 2 KiB and
/// their names. A client that asks for more without reading is closed.
pub const CONTROL_BYTES_MAX: usize = 2 << 20;

/// How much is gathered for one write, in bytes: what waits outside the kernel can still be folded.
const WRITE_BYTES: usize = 16 << 10;

/// A row of the current round, with the rows that were folded into it before it came here.
#[derive(Debug, Clone)]
pub struct DueRow {
    /// The framed row.
    pub frame: Arc<RowFrame>,
    /// Rows folded into it, for every client.
    pub folded: u32,
}

/// A client's seat in one view.
#[derive(Debug)]
pub struct Slot {
    /// The view.
    pub view: ViewId,
    /// Position among the view's seats.
    pub seat: u32,
    pending: Option<DueRow>,
}

/// What a flush came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing waits.
    All,
    /// The socket is full.
    Blocked,
}

/// The client cannot take what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox {
    slots: Slab<Slot>,
    /// Framed replies and events, in order.
    control: VecDeque<Bytes>,
    control_bytes: usize,
    /// Rows of this round, as (index in the round, slot), while the socket takes everything.
    due: Vec<(u32, u32)>,
    /// Slots with a pending row, oldest first, while it does not.
    dirty: VecDeque<u32>,
    /// A write that the socket cut, and how much of it is gone.
    rest: Vec<u8>,
    rest_at: usize,
    blocked_since: Option<Instant>,
    last_block: Duration,
    skipped: u64,
    uncounted: u64,
    written: u64,
}

impl Outbox {
    /// Takes a seat; gives its slot.
    pub fn take_slot(&mut self, view: ViewId, seat: u32) -> u32 {
        // A client has at most a few thousand slots.
        u32::try_from(self.slots.insert(Slot { view, seat, pending: None })).unwrap_or(u32::MAX)
    }

    /// Leaves a seat and drops what waits in it.
    pub fn leave_slot(&mut self, slot: u32) -> Option<Slot> {
        self.forget(slot);
        self.slots.try_remove(slot as usize)
    }

    /// Drops the rows that wait in a slot.
    pub fn forget(&mut self, slot: u32) {
        self.due.retain(|(_, at)| *at != slot);
        if let Some(slot_now) = self.slots.get_mut(slot as usize)
            && slot_now.pending.take().is_some()
        {
            self.dirty.retain(|at| *at != slot);
        }
    }

    /// The slot of a view.
    pub fn slot_of(&self, view: ViewId) -> Option<u32> {
        self.slots.iter().find(|(_, slot)| slot.view == view).and_then(|(at, _)| u32::try_from(at).ok())
    }

    /// Every seat, as (slot, view).
    pub fn seats(&self) -> impl Iterator<Item = (u32, ViewId)> + '_ {
        self.slots.iter().filter_map(|(at, slot)| Some((u32::try_from(at).ok()?, slot.view)))
    }

    /// The view of a slot.
    pub fn view_of(&self, slot: u32) -> Option<ViewId> {
        self.slots.get(slot as usize).map(|slot| slot.view)
    }

    /// Notes that the view has moved this client to another seat.
    pub fn move_seat(&mut self, slot: u32, seat: u32) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.seat = seat;
        }
    }

    /// How many views it has a seat in.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it has no seat.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Appends a framed reply or event.
    ///
    /// # Errors
    /// [`Overflow`] above `bytes_max`: the client asks and does not read.
    pub fn control(&mut self, frame: Bytes, bytes_max: usize) -> Result<(), Overflow> {
        self.control_bytes += frame.len();
        if self.control_bytes > bytes_max {
            return Err(Overflow);
        }
        self.control.push_back(frame);
        Ok(())
    }

    /// Marks a row of the round as due. Gives true if the client must be served for it, false if it waits.
    pub fn due(&mut self, index: u32, row: &DueRow, slot: u32) -> bool {
        if self.blocked_since.is_some() {
            self.fold(row, slot);
            return false;
        }
        self.due.push((index, slot));
        true
    }

    /// Newest wins.
    fn fold(&mut self, row: &DueRow, slot: u32) {
        let Some(place) = self.slots.get_mut(slot as usize) else { return };
        let mut row = row.clone();
        match place.pending.take() {
            Some(older) => {
                row.folded = row.folded.saturating_add(older.folded).saturating_add(1);
                self.skipped += 1;
                self.uncounted += 1;
            }
            None => self.dirty.push_back(slot),
        }
        place.pending = Some(row);
    }

    /// Since when the socket is full.
    pub fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    /// How long the socket was full the last time.
    pub fn last_block(&self) -> Duration {
        self.last_block
    }

    /// Rows handed to the socket since the last call.
    pub fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// Rows folded for this client since the last call, to be told.
    pub fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    /// Rows folded since the last call, for the process's counter.
    pub fn take_uncounted(&mut self) -> u64 {
        std::mem::take(&mut self.uncounted)
    }

    /// Whether anything waits.
    pub fn has_waiting(&self) -> bool {
        !self.control.is_empty() || !self.due.is_empty() || !self.dirty.is_empty() || !self.rest.is_empty()
    }

    /// Writes what waits until nothing does or the socket is full. `round` holds the rows that [`Outbox::due`] named;
    /// `scratch` is the worker's.
    ///
    /// # Errors
    /// What the socket says, other than that it is full.
    pub fn flush(
        &mut self,
        round: &[DueRow],
        encoding: Encoding,
        scratch: &mut Vec<u8>,
        socket: &mut impl Write,
        now: Instant,
    ) -> io::Result<Flushed> {
        if !self.write_rest(socket, now)? {
            return Ok(self.block(round, 0, now));
        }
        let mut next = 0;
        loop {
            if let Some(frame) = self.lone_row(round, next) {
                next += 1;
                self.written += 1;
                if !self.write(frame.bytes(encoding), socket)? {
                    return Ok(self.block(round, next, now));
                }
                continue;
            }
            scratch.clear();
            self.gather(round, &mut next, scratch, encoding);
            if scratch.is_empty() {
                self.due.clear();
                if let Some(since) = self.blocked_since.take() {
                    self.last_block = now.saturating_duration_since(since);
                }
                return Ok(Flushed::All);
            }
            if !self.write(scratch, socket)? {
                return Ok(self.block(round, next, now));
            }
        }
    }

    /// The light case: one row and nothing else is written straight from the shared frame.
    fn lone_row<'r>(&self, round: &'r [DueRow], next: usize) -> Option<&'r RowFrame> {
        let alone = self.control.is_empty() && self.dirty.is_empty() && next + 1 == self.due.len();
        let (index, _) = self.due.get(next).filter(|_| alone)?;
        round.get(*index as usize).filter(|row| row.folded == 0).map(|row| &*row.frame)
    }

    /// Fills `scratch` with what goes next: replies, then rows.
    fn gather(&mut self, round: &[DueRow], next: &mut usize, scratch: &mut Vec<u8>, encoding: Encoding) {
        while scratch.len() < WRITE_BYTES {
            if let Some(frame) = self.control.pop_front() {
                self.control_bytes -= frame.len();
                scratch.extend_from_slice(&frame);
            } else if let Some((index, _)) = self.due.get(*next) {
                *next += 1;
                if let Some(row) = round.get(*index as usize) {
                    row.frame.push_skipped(scratch, row.folded, encoding);
                    self.written += 1;
                }
            } else if let Some(slot) = self.dirty.pop_front() {
                if let Some(row) = self.slots.get_mut(slot as usize).and_then(|slot| slot.pending.take()) {
                    row.frame.push_skipped(scratch, row.folded, encoding);
                    self.written += 1;
                }
            } else {
                break;
            }
        }
    }

    /// Writes `bytes`; what the socket does not take is kept. Gives whether it took all.
    fn write(&mut self, bytes: &[u8], socket: &mut impl Write) -> io::Result<bool> {
        let written = write_some(bytes, socket)?;
        if written == bytes.len() {
            return Ok(true);
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes.get(written..).unwrap_or_default());
        self.rest_at = 0;
        Ok(false)
    }

    fn write_rest(&mut self, socket: &mut impl Write, now: Instant) -> io::Result<bool> {
        if self.rest.is_empty() {
            return Ok(true);
        }
        let left = self.rest.get(self.rest_at..).unwrap_or_default();
        let len = left.len();
        let written = write_some(left, socket)?;
        self.rest_at += written;
        // Progress: the clock of a stalled client starts anew.
        if written > 0 && self.blocked_since.is_some() {
            self.blocked_since = Some(now);
        }
        if written < len {
            return Ok(false);
        }
        self.rest = Vec::new();
        self.rest_at = 0;
        Ok(true)
    }

    /// The socket is full: rows of this round that were not written wait folded.
    fn block(&mut self, round: &[DueRow], next: usize, now: Instant) -> Flushed {
        self.blocked_since.get_or_insert(now);
        let due = std::mem::take(&mut self.due);
        for (index, slot) in due.into_iter().skip(next) {
            if let Some(row) = round.get(index as usize) {
                self.fold(row, slot);
            }
        }
        Flushed::Blocked
    }
}

fn write_some(bytes: &[u8], socket: &mut impl Write) -> io::Result<usize> {
    loop {
        match socket.write(bytes) {
            Ok(0) if !bytes.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
