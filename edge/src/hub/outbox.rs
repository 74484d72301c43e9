//! What waits for one client. While its socket takes everything, each row goes out as it came. Once the socket is full,
//! at most one row a symbol waits (newest wins, `skipped` counts what was folded), and all of them go out in few writes
//! when it can take more. A throttled symbol has at most one row that waits, always. Replies keep their order and go
//! before rows. Bounded: see [`CONTROL_BYTES_MAX`] and `DUE_MAX`.
//!
//! Knows no WebSocket and no subscription, and no socket: it says which bytes go next and is told how many went.

mod flow;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slab::Slab;

pub use flow::{Next, Wrote};

pub use super::round::DueRow;
use super::round::Round;
use super::row::{RowFrame, ViewId};
use super::throttle::{Grid, Throttle};

/// Most replies that wait for one client, in bytes: above the largest snapshot of one request, 2,000 rows of 2 KiB with
/// their names and quotes. A client that asks for more without reading is closed.
pub const CONTROL_BYTES_MAX: usize = 6 << 20;

/// Most rows that are due to one client as they came; with more the newest of each symbol waits.
const DUE_MAX: usize = 1_024;

/// Room for due rows that an idle client may keep.
const DUE_KEPT: usize = 16;

/// A client's seat in one view.
#[derive(Debug)]
pub struct Slot {
    /// The view.
    pub view: ViewId,
    /// Position among the view's seats.
    pub seat: u32,
    /// The newest row that waits here.
    frame: Option<Arc<RowFrame>>,
    /// Rows folded into it.
    folded: u32,
    /// Least time between two rows; 0 for none.
    throttle_ms: u16,
}

/// What a row that is due means for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Serve it.
    Now,
    /// It waits for something else.
    Waits,
    /// It waits for [`Outbox::alarm`], which may have changed.
    Later,
}

/// The client cannot take what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// A client whose socket was full, until nothing waits for it any more.
#[derive(Debug, Clone, Copy)]
struct Behind {
    since: Instant,
    /// When its socket last took something.
    progress: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox {
    slots: Slab<Slot>,
    /// Framed replies and events, in order; at the front what a write left over.
    control: VecDeque<Bytes>,
    control_bytes: usize,
    /// Rows of the round, as (number, slot), while each goes out as it came.
    due: Vec<(u32, u32)>,
    /// Slots whose row goes out next, oldest first.
    dirty: VecDeque<u32>,
    /// Rows go to their slots, because older ones may wait there.
    folding: bool,
    behind: Option<Behind>,
    last_lag: Duration,
    skipped: u32,
    uncounted: u32,
    throttle: Option<Box<Throttle>>,
}

impl Outbox {
    /// Takes a seat; gives its slot.
    pub fn take_slot(&mut self, view: ViewId, seat: u32) -> u32 {
        // A client has at most a few thousand slots.
        let slot = Slot { view, seat, frame: None, folded: 0, throttle_ms: 0 };
        u32::try_from(self.slots.insert(slot)).unwrap_or(u32::MAX)
    }

    /// Leaves a seat and drops what waits in it.
    pub fn leave_slot(&mut self, slot: u32) -> Option<Slot> {
        self.forget(slot);
        self.slots.try_remove(slot as usize)
    }

    /// Drops the rows that wait in a slot.
    pub fn forget(&mut self, slot: u32) {
        self.forget_many(&mut [slot]);
    }

    /// Drops the rows that wait in these slots; sorts them.
    pub fn forget_many(&mut self, slots: &mut [u32]) {
        slots.sort_unstable();
        let among = |at: &u32| slots.binary_search(at).is_ok();
        self.due.retain(|(_, at)| !among(at));
        let mut waited = false;
        for slot in slots.iter() {
            let place = self.slots.get_mut(*slot as usize);
            waited |= place.is_some_and(|place| place.frame.take().is_some());
        }
        if waited {
            self.dirty.retain(|at| !among(at));
            if let Some(throttle) = &mut self.throttle {
                throttle.forget(among);
            }
        }
    }

    /// Rows of this slot go out at most every so many milliseconds from now on; 0 for all of them.
    pub fn set_throttle(&mut self, slot: u32, every_ms: u16, grid: Grid, now: Instant) {
        let Some(place) = self.slots.get_mut(slot as usize) else { return };
        if std::mem::replace(&mut place.throttle_ms, every_ms) == every_ms {
            return;
        }
        let waits = place.frame.is_some();
        if every_ms > 0 {
            self.throttle.get_or_insert_with(|| Box::new(Throttle::new(grid)));
        }
        let Some(throttle) = self.throttle.as_mut().filter(|_| waits) else { return };
        throttle.forget(|at| *at == slot);
        self.dirty.retain(|at| *at != slot);
        if every_ms > 0 {
            throttle.wait(slot, every_ms, now);
        } else {
            // Rows that come as they are must not pass it.
            self.folding = true;
            self.dirty.push_back(slot);
        }
    }

    /// When rows that wait for their moment go out, and when the worker will look.
    pub fn alarm(&mut self) -> Option<(Option<Instant>, &mut Option<Instant>)> {
        self.throttle.as_mut().map(|throttle| (throttle.next(), &mut throttle.alarm))
    }

    /// The worker's alarm has gone off: lets rows go whose moment has come.
    pub fn ring_alarm(&mut self, now: Instant) {
        let dirty = &mut self.dirty;
        if let Some(throttle) = &mut self.throttle {
            throttle.alarm = None;
            throttle.take(now, |slot| dirty.push_back(slot));
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

    /// Marks a row of the round as due.
    pub fn due(&mut self, number: u32, round: &Round, slot: u32, now: Instant) -> Due {
        let keeps = self.folding || (self.throttle.is_some() && self.is_throttled(slot));
        if keeps {
            return round.get(number).map_or(Due::Waits, |row| self.fold(row, slot, now));
        }
        self.due.push((number, slot));
        if self.due.len() > DUE_MAX {
            self.fold_due(round, now);
        }
        Due::Now
    }

    fn is_throttled(&self, slot: u32) -> bool {
        self.slots.get(slot as usize).is_some_and(|slot| slot.throttle_ms > 0)
    }

    /// Newest wins.
    fn fold(&mut self, row: &DueRow, slot: u32, now: Instant) -> Due {
        let Some(place) = self.slots.get_mut(slot as usize) else { return Due::Waits };
        if place.frame.replace(Arc::clone(&row.frame)).is_some() {
            place.folded = place.folded.saturating_add(row.folded).saturating_add(1);
            self.uncounted = self.uncounted.saturating_add(1);
            if place.throttle_ms == 0 && self.behind.is_some() {
                self.skipped = self.skipped.saturating_add(1);
            }
            return Due::Waits;
        }
        place.folded = row.folded;
        match &mut self.throttle {
            Some(throttle) if place.throttle_ms > 0 => {
                throttle.wait(slot, place.throttle_ms, now);
                Due::Later
            }
            _ => {
                self.dirty.push_back(slot);
                Due::Waits
            }
        }
    }

    /// From now on rows wait in their slots, those that are due too.
    fn fold_due(&mut self, round: &Round, now: Instant) {
        self.folding = true;
        for (number, slot) in std::mem::take(&mut self.due) {
            if let Some(row) = round.get(number) {
                self.fold(row, slot, now);
            }
        }
    }

    /// Since when the socket has taken nothing, if something waits for it.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.behind.map(|behind| behind.progress)
    }

    /// Since when rows are folded because the socket was full.
    pub fn behind_since(&self) -> Option<Instant> {
        self.behind.map(|behind| behind.since)
    }

    /// How long it has been behind, or was the last time.
    pub fn lag(&self, now: Instant) -> Duration {
        self.behind.map_or(self.last_lag, |behind| now.saturating_duration_since(behind.since))
    }

    /// Rows folded because this client was behind, since the last call, to be told.
    pub fn take_skipped(&mut self) -> u32 {
        std::mem::take(&mut self.skipped)
    }

    /// Rows folded for any reason since the last call, for the process's counter.
    pub fn take_uncounted(&mut self) -> u32 {
        std::mem::take(&mut self.uncounted)
    }

    /// Whether anything waits for the socket.
    pub fn has_waiting(&self) -> bool {
        !self.control.is_empty() || !self.due.is_empty() || !self.dirty.is_empty()
    }

    /// Gives back room that a busy moment took.
    pub fn trim(&mut self) {
        if self.due.is_empty() && self.due.capacity() > DUE_KEPT {
            self.due = Vec::new();
        }
        if self.dirty.is_empty() && self.dirty.capacity() > DUE_KEPT {
            self.dirty = VecDeque::new();
        }
        if self.control.is_empty() {
            self.control = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests;
