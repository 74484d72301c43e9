//! Who sits in which view, on one worker.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use super::client::Client;
use super::row::ViewId;

/// One client's place in a view.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    /// Key in the worker's table.
    pub client: u32,
    /// Slot in the client's outbox.
    pub slot: u32,
}

#[derive(Debug)]
struct View {
    name: Arc<str>,
    seats: Vec<Seat>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Views {
    by_id: HashMap<ViewId, View>,
    by_name: HashMap<Arc<str>, ViewId>,
}

impl Views {
    /// Everyone in a view.
    pub fn seats(&self, view: ViewId) -> &[Seat] {
        self.by_id.get(&view).map_or(&[], |view| &view.seats)
    }

    pub fn id(&self, name: &str) -> Option<ViewId> {
        self.by_name.get(name).copied()
    }

    pub fn name(&self, view: ViewId) -> Option<&Arc<str>> {
        self.by_id.get(&view).map(|view| &view.name)
    }

    /// Views with a client, and seats in all of them.
    pub fn count(&self) -> (usize, usize) {
        (self.by_id.len(), self.by_id.values().map(|view| view.seats.len()).sum())
    }

    /// Seats a client that does not sit there yet; gives its slot.
    pub fn join(&mut self, view: ViewId, name: &Arc<str>, key: u32, client: &mut Client) -> u32 {
        let place = self.by_id.entry(view).or_insert_with(|| {
            self.by_name.insert(Arc::clone(name), view);
            View { name: Arc::clone(name), seats: Vec::new() }
        });
        let seat = u32::try_from(place.seats.len()).unwrap_or(u32::MAX);
        let slot = client.outbox.take_slot(view, seat);
        place.seats.push(Seat { client: key, slot });
        slot
    }

    /// Takes a client's seat away; gives the view.
    pub fn leave(&mut self, clients: &mut Slab<Client>, key: u32, slot: u32) -> Option<ViewId> {
        let left = clients.get_mut(key as usize)?.outbox.leave_slot(slot)?;
        let view = self.by_id.get_mut(&left.view)?;
        let at = left.seat as usize;
        if at < view.seats.len() {
            view.seats.swap_remove(at);
        }
        // The last seat has moved into the gap.
        if let Some(moved) = view.seats.get(at)
            && let Some(client) = clients.get_mut(moved.client as usize)
        {
            client.outbox.move_seat(moved.slot, left.seat);
        }
        if view.seats.is_empty()
            && let Some(view) = self.by_id.remove(&left.view)
        {
            self.by_name.remove(&view.name);
        }
        Some(left.view)
    }
}

#[cfg(test)]
mod tests;
