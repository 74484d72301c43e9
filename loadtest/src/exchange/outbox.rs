//! Frames on their way to one socket: a bounded queue between the market and the socket's task.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

/// Frames that wait for one socket at most. At 200 bytes a frame this is 13 MB, a third of a second at 200,000 a second.
pub const OUTBOX_FRAMES: usize = 65_536;

/// Queue of one socket. One task takes, any task puts.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Vec<Message>>,
    bound: usize,
    filled: Notify,
    emptied: Notify,
    closed: CancellationToken,
}

impl Outbox {
    /// A queue of at most `bound` frames (a batch may pass it once, into an empty queue).
    pub fn new(bound: usize) -> Self {
        let (filled, emptied) = (Notify::new(), Notify::new());
        Self { queue: Mutex::default(), bound, filled, emptied, closed: CancellationToken::new() }
    }

    /// Adds all of `batch`, or nothing when it does not fit: false then.
    pub fn put(&self, batch: &mut Vec<Message>) -> bool {
        let mut queue = self.queue();
        if !queue.is_empty() && queue.len() + batch.len() > self.bound {
            return false;
        }
        queue.append(batch);
        drop(queue);
        self.filled.notify_one();
        true
    }

    /// Adds all of `batch` as soon as it fits. A closed queue takes everything and keeps nothing.
    pub async fn put_waiting(&self, mut batch: Vec<Message>) {
        while !self.closed.is_cancelled() && !self.put(&mut batch) {
            tokio::select! {
                () = self.emptied.notified() => {}
                () = self.closed.cancelled() => {}
            }
        }
    }

    /// Waits for frames and takes all of them. Cancel-safe.
    pub async fn take(&self) -> Vec<Message> {
        loop {
            let taken = mem::take(&mut *self.queue());
            if !taken.is_empty() {
                self.emptied.notify_one();
                return taken;
            }
            self.filled.notified().await;
        }
    }

    /// Ends the queue: the socket is gone, or is to go.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Resolves once the queue was closed.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Message>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(n: usize) -> Vec<Message> {
        (0..n).map(|i| Message::text(i.to_string())).collect()
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_waiting_put_goes_on_after_a_take() {
        let outbox = Outbox::new(4);
        assert!(outbox.put(&mut frames(3)));
        assert!(!outbox.put(&mut frames(2)));
        let (taken, ()) = tokio::join!(outbox.take(), outbox.put_waiting(frames(2)));
        assert_eq!(taken.len(), 3);
        assert_eq!(outbox.take().await.len(), 2);
    }

    #[tokio::test]
    async fn a_closed_queue_holds_nobody_up() {
        let outbox = Outbox::new(1);
        assert!(outbox.put(&mut frames(1)));
        tokio::join!(outbox.put_waiting(frames(5)), async { outbox.close() });
    }
}
