//! What reaches a worker from outside: one bounded queue with a wake-up. Rows and answers keep their order, and that
//! order is what joins a snapshot to the live rows without hole or duplicate.
//!
//! Full means: above [`ROWS_MAX`] rows, a row replaces the waiting row of its view and counts it as folded, so that what
//! waits is bounded by that many rows and one more a view and answer. News to everyone replace waiting news on the same
//! subject: one a feed, and one heartbeat. Of all else there is one a connection.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use metrics::Counter;
use mio::Waker;

use super::client::{Answer, Arrival};
use super::outbox::DueRow;
use super::row::ViewId;

/// Rows that wait for a worker before they are folded. A worker that serves thousands of clients spends up to 100 µs on
/// a row, so this bounds how old a row is when it goes out. Rows of different symbols are never folded into each other.
pub const ROWS_MAX: usize = 1_024;

/// One thing for a worker to do.
#[derive(Debug)]
pub enum Letter {
    /// A row for everyone in its view.
    Row(DueRow),
    /// A socket to serve from now on.
    Adopt(Box<Arrival>),
    /// The answer to a client's subscribe.
    Answer(Box<Answer>),
    /// A frame for every client.
    Tell(Bytes),
    /// Say goodbye to every client, spread over this time, then end.
    Drain(Duration),
}

/// See the module.
#[derive(Debug)]
pub struct Inbox {
    state: Mutex<State>,
    waker: Waker,
    folded: Counter,
    replaced: Counter,
}

#[derive(Debug, Default)]
struct State {
    letters: Vec<Letter>,
    rows: usize,
    /// Where the newest waiting row of a view is, for rows above the bound and behind the last answer.
    folds: HashMap<ViewId, usize>,
    /// Where the waiting news on a subject are.
    tells: HashMap<Arc<str>, usize>,
}

impl Inbox {
    /// An empty queue that wakes the worker behind `waker`.
    pub fn new(waker: Waker) -> Arc<Self> {
        let folded = metrics::counter!("tickwire_edge_inbox_folded_rows_total");
        let replaced = metrics::counter!("tickwire_edge_inbox_replaced_events_total");
        Arc::new(Self { state: Mutex::default(), waker, folded, replaced })
    }

    /// Appends rows.
    pub fn rows(&self, rows: impl IntoIterator<Item = DueRow>) {
        self.put(|state| {
            for row in rows {
                if !state.row(row) {
                    self.folded.increment(1);
                }
            }
        });
    }

    /// Appends a frame for every client, in place of one on the same subject that still waits.
    pub fn tell(&self, subject: &Arc<str>, frame: Bytes) {
        self.put(|state| {
            if !state.tell(subject, frame) {
                self.replaced.increment(1);
            }
        });
    }

    /// Appends anything else.
    pub fn letter(&self, letter: Letter) {
        self.put(|state| {
            // A row may not be folded into one before an answer: the answer's client would miss it.
            state.folds.clear();
            state.letters.push(letter);
        });
    }

    /// Takes all that waits; `into` is empty and gives its room.
    pub fn take(&self, into: &mut Vec<Letter>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.letters, into);
        state.rows = 0;
        state.folds.clear();
        state.tells.clear();
    }

    fn put(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = state.letters.is_empty();
        change(&mut state);
        let wake = was_empty && !state.letters.is_empty();
        drop(state);
        if wake && let Err(error) = self.waker.wake() {
            warn_wake(&error);
        }
    }
}

fn warn_wake(error: &io::Error) {
    tracing::error!(%error, "a worker could not be woken");
}

impl State {
    /// Gives whether the row got a place of its own.
    fn row(&mut self, mut row: DueRow) -> bool {
        if self.rows >= ROWS_MAX {
            let at = self.letters.len();
            let place = self.folds.entry(row.frame.view).or_insert(at);
            if let Some(Letter::Row(waiting)) = self.letters.get_mut(*place) {
                row.folded = row.folded.saturating_add(waiting.folded).saturating_add(1);
                *waiting = row;
                return false;
            }
        }
        self.rows += 1;
        self.letters.push(Letter::Row(row));
        true
    }

    /// Gives whether the frame got a place of its own.
    fn tell(&mut self, subject: &Arc<str>, frame: Bytes) -> bool {
        let waiting = self.tells.get(subject).and_then(|place| self.letters.get_mut(*place));
        if let Some(Letter::Tell(waiting)) = waiting {
            *waiting = frame;
            return false;
        }
        self.tells.insert(Arc::clone(subject), self.letters.len());
        self.letters.push(Letter::Tell(frame));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::row::RowFrame;

    fn row(view: u32, v: u64) -> DueRow {
        let text = format!("{{\"v\":{v}}}");
        let frame = RowFrame::new(ViewId(view), "S".into(), None, false, v, text.into());
        DueRow { frame: Arc::new(frame), folded: 0 }
    }

    fn inbox() -> (mio::Poll, Arc<Inbox>) {
        let poll = mio::Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), mio::Token(0)).unwrap();
        (poll, Inbox::new(waker))
    }

    fn versions(letters: &[Letter]) -> Vec<(u64, u32)> {
        let rows = letters.iter().filter_map(|letter| match letter {
            Letter::Row(row) => Some((row.frame.v, row.folded)),
            _ => None,
        });
        rows.collect()
    }

    #[test]
    fn above_the_bound_the_newest_row_of_a_view_waits() {
        let (_poll, inbox) = inbox();
        inbox.rows((0..ROWS_MAX as u64).map(|v| row(1, v)));
        inbox.rows((0..5).flat_map(|v| [row(2, 100 + v), row(3, 200 + v)]));
        let mut letters = Vec::new();
        inbox.take(&mut letters);
        assert_eq!(letters.len(), ROWS_MAX + 2);
        assert_eq!(versions(&letters)[ROWS_MAX..], [(104, 4), (204, 4)]);
    }

    #[test]
    fn no_row_is_folded_past_an_answer() {
        let (_poll, inbox) = inbox();
        inbox.rows((0..=ROWS_MAX as u64).map(|v| row(1, v)));
        inbox.letter(Letter::Tell(Bytes::new()));
        inbox.rows([row(1, 70_000), row(1, 70_001)]);
        let mut letters = Vec::new();
        inbox.take(&mut letters);
        assert!(matches!(letters[ROWS_MAX + 1], Letter::Tell(_)));
        assert_eq!(versions(&letters[ROWS_MAX + 1..]), [(70_001, 1)]);
    }

    #[test]
    fn of_news_on_one_subject_the_newest_waits() {
        let (_poll, inbox) = inbox();
        let (beat, feed): (Arc<str>, Arc<str>) = ("heartbeat".into(), "binance".into());
        for text in ["1", "2", "3"] {
            inbox.tell(&beat, Bytes::from_static(text.as_bytes()));
            inbox.rows([row(1, 1)]);
            inbox.tell(&feed, Bytes::from_static(text.as_bytes()));
        }
        let told = |inbox: &Inbox| -> Vec<Bytes> {
            let mut letters = Vec::new();
            inbox.take(&mut letters);
            let tells = letters.into_iter().filter_map(|letter| match letter {
                Letter::Tell(frame) => Some(frame),
                _ => None,
            });
            tells.collect()
        };
        assert_eq!(told(&inbox), ["3", "3"]);
        inbox.tell(&beat, Bytes::from_static(b"4"));
        assert_eq!(told(&inbox), ["4"], "what was taken is not replaced");
    }

    #[test]
    fn the_first_letter_wakes_the_worker() {
        let (mut poll, inbox) = inbox();
        let mut events = mio::Events::with_capacity(4);
        inbox.rows([row(1, 1)]);
        poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
        assert!(!events.is_empty());
    }
}
