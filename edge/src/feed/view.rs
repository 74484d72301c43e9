//! One name that clients use, on the topic that serves it at the moment.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::choice::Choice;
use super::topic::{TopicId, TopicState};
use crate::hub::row::{RowFrame, ViewId};

#[derive(Debug)]
pub(super) struct ViewState {
    pub id: ViewId,
    pub name: Arc<str>,
    /// Who can serve the name, and who is to.
    pub choice: Choice,
    /// Which serves it now.
    pub topic: TopicId,
    /// Which will, as soon as it has a row.
    pub next: Option<TopicId>,
    last: Option<Shown>,
    /// Seats taken, by worker.
    seats: Vec<u32>,
    /// Since when no seat is taken.
    pub idle_since: Option<Instant>,
    /// Whether it waits among the lingering, where every view has one place at most.
    pub lingers: bool,
}

/// The newest row that was shown.
#[derive(Debug)]
struct Shown {
    topic: TopicId,
    /// Its version at its venue; clients may have been told a higher one, see [`ViewState::frame`].
    v: u64,
    frame: Arc<RowFrame>,
}

impl ViewState {
    pub fn new(id: ViewId, name: &str, choice: Choice, topic: TopicId, workers: usize) -> Self {
        Self {
            id,
            name: name.into(),
            choice,
            topic,
            next: None,
            last: None,
            seats: vec![0; workers],
            idle_since: None,
            lingers: false,
        }
    }

    /// Counts a seat of a worker.
    pub fn sit(&mut self, worker: u16) {
        self.idle_since = None;
        if let Some(seats) = self.seats.get_mut(usize::from(worker)) {
            *seats += 1;
        }
    }

    /// Counts a seat less; gives whether it was the last.
    pub fn rise(&mut self, worker: u16, now: Instant) -> bool {
        if let Some(seats) = self.seats.get_mut(usize::from(worker)) {
            *seats = seats.saturating_sub(1);
        }
        let idle = self.seats.iter().all(|seats| *seats == 0);
        if idle {
            self.idle_since = Some(now);
        }
        idle
    }

    /// Workers with a client in this view.
    pub fn workers(&self) -> impl Iterator<Item = usize> + '_ {
        self.seats.iter().enumerate().filter(|(_, seats)| **seats > 0).map(|(worker, _)| worker)
    }

    /// Whether the topic has a row that was not shown.
    pub fn is_news(&self, id: TopicId, topic: &TopicState) -> bool {
        let Some((v, _)) = &topic.last else { return false };
        self.last.as_ref().is_none_or(|shown| shown.topic != id || shown.v < *v)
    }

    /// Topic and version at the venue of the newest row that was shown, and the version that clients were told.
    #[cfg(test)]
    pub fn shown(&self) -> Option<((TopicId, u64), u64)> {
        self.last.as_ref().map(|shown| ((shown.topic, shown.v), shown.frame.v))
    }

    /// The newest row, framed for this view and noted as shown; framed anew only if the row or its feed has changed.
    /// Where another venue has taken over, its rows may be older than what was shown: they are told with the next `v`,
    /// for what a client sees of a name never goes back, and the newest row of the venue that serves it is the newest.
    pub fn frame(&mut self, id: TopicId, topic: &TopicState) -> Option<Arc<RowFrame>> {
        let (v, row) = topic.last.as_ref()?;
        let stale = topic.is_stale;
        if let Some(shown) = self.last.as_mut().filter(|shown| shown.topic == id && shown.v == *v) {
            if shown.frame.stale != stale {
                shown.frame = Arc::new(shown.frame.marked(stale));
            }
            return Some(Arc::clone(&shown.frame));
        }
        let told = self.last.as_ref().map_or(*v, |shown| (*v).max(shown.frame.v.saturating_add(1)));
        let row = if told == *v { row.clone() } else { with_version(row, told) };
        let venue = self.choice.is_open().then(|| Arc::from(&*topic.place.topic.venue));
        let frame = Arc::new(RowFrame::new(self.id, Arc::clone(&self.name), venue, stale, told, row));
        self.last = Some(Shown { topic: id, v: *v, frame: Arc::clone(&frame) });
        Some(frame)
    }
}

/// What a checked row begins with, before the digits of its version.
const HEAD: &[u8] = b"{\"v\":";

/// The same row with another version.
fn with_version(row: &[u8], v: u64) -> Bytes {
    let fields = row.get(HEAD.len()..).unwrap_or_default();
    let digits = fields.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = fields.get(digits..).unwrap_or_default();
    [HEAD, itoa::Buffer::new().format(v).as_bytes(), rest].concat().into()
}

#[cfg(test)]
mod tests;
