//! What goes out next: what comes before what goes, inside the venue's budget and limits.

use super::queue::{Batch, Unit};
use super::table::State;
use super::{Refusal, Request, Subscriptions};
use crate::venue::contract::{Micros, Out};

impl Subscriptions {
    /// Hands the requests that may be sent now to `write`, which makes the frame.
    pub fn send_due(&mut self, now: Micros, out: &mut Out, write: impl Fn(&Request<'_>) -> String) {
        while now >= self.requests.next_send() {
            let Some(batch) = self.next_batch(now, out) else { return };
            let (units, subscribe) = (batch.units.clone(), batch.ask.coming);
            for unit in &units {
                let state = if subscribe { State::Asked } else { State::Leaving };
                self.table.set(unit.place, unit.topic, state);
            }
            let id = self.requests.send(batch, now);
            let named = |unit: &Unit| Some((unit.topic, &*self.table.get(unit.place)?.name));
            let units = units.iter().filter_map(named).collect();
            out.send.push(write(&Request { id, subscribe, units }));
        }
    }

    /// What comes goes first, as far as the venue has room; what goes makes room.
    fn next_batch(&mut self, now: Micros, out: &mut Out) -> Option<Batch> {
        loop {
            let room = self.shape.units_max.saturating_sub(self.table.counts().at_venue);
            match self.queue.coming.front_mut() {
                None => return self.queue.going.pop_front(),
                Some(first) if first.ask.unsure || first.units.len() <= room => {
                    return self.queue.coming.pop_front();
                }
                Some(first) if room > 0 => {
                    return Some(Batch::refused(first.units.drain(..room).collect(), first.ask));
                }
                Some(_) if !self.queue.going.is_empty() => return self.queue.going.pop_front(),
                Some(_) if self.table.counts().leaving > 0 => return None,
                Some(_) => {
                    let first = self.queue.coming.pop_front().unwrap_or_default();
                    let reason = format!("all {} topics of the connection are taken", self.shape.units_max);
                    self.reject(&first.units, first.ask, (Refusal::Full, &reason), now, out);
                    self.clean_queue();
                }
            }
        }
    }

    /// Whether anything may go out as soon as the budget allows.
    pub(super) fn can_send(&self) -> bool {
        let counts = self.table.counts();
        let waits_for_room = |first: &Batch| {
            !first.ask.unsure && counts.at_venue >= self.shape.units_max && counts.leaving > 0
        };
        !self.queue.going.is_empty() || self.queue.coming.front().is_some_and(|first| !waits_for_room(first))
    }
}
