//! Where a client's seats are, for requests of any size: a walk over the seats for each name costs nothing with twenty
//! and much with thousands, and a table that is kept would cost every idle client memory.

use std::collections::HashMap;

use super::outbox::Outbox;
use super::row::ViewId;

/// Up to so many comparisons, walking is quicker than making a table.
const WALK_MAX: usize = 1_024;

/// Finds the slots of views while a request is served.
#[derive(Debug)]
pub(super) struct Finder<'o> {
    outbox: &'o Outbox,
    table: Option<HashMap<ViewId, u32>>,
}

impl<'o> Finder<'o> {
    /// For a request that asks for so many views.
    pub fn new(outbox: &'o Outbox, asked: usize) -> Self {
        let long = outbox.len().saturating_mul(asked) > WALK_MAX;
        Self { outbox, table: long.then(|| outbox.seats().map(|(slot, view)| (view, slot)).collect()) }
    }

    /// The slot of a view.
    pub fn slot_of(&self, view: ViewId) -> Option<u32> {
        match &self.table {
            Some(table) => table.get(&view).copied(),
            None => self.outbox.slot_of(view),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_and_a_table_find_the_same() {
        let mut outbox = Outbox::default();
        let slots: Vec<u32> = (0..100).map(|view| outbox.take_slot(ViewId(view), 0)).collect();
        outbox.leave_slot(slots[7]);
        let (walk, table) = (Finder::new(&outbox, 1), Finder::new(&outbox, 100));
        assert!(walk.table.is_none() && table.table.is_some());
        for view in (0..110).map(ViewId) {
            assert_eq!(walk.slot_of(view), table.slot_of(view));
        }
        assert_eq!((table.slot_of(ViewId(7)), table.slot_of(ViewId(8))), (None, Some(slots[8])));
    }
}
