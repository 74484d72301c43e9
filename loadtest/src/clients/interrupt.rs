//! SIGINT and SIGTERM as a count that the loop reads. The loop is not async, so a small thread waits for the signals and
//! wakes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};

use anyhow::Context;
use mio::Waker;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Listens until dropped.
#[derive(Debug)]
pub(crate) struct Interrupts {
    count: Arc<AtomicUsize>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Interrupts {
    /// Begins to listen; `waker` wakes the loop at every signal.
    ///
    /// # Errors
    /// If the thread or its signal handlers cannot be made.
    pub(crate) fn listen(waker: Waker) -> anyhow::Result<Self> {
        let (count, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("signal runtime")?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let (counter, stopped) = (Arc::clone(&count), stop.clone());
        let listen = async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    () = stopped.cancelled() => return,
                }
                counter.fetch_add(1, Ordering::Relaxed);
                // A loop that is gone needs no waking.
                let _ = waker.wake();
            }
        };
        let thread = Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(listen))?;
        Ok(Self { count, stop, thread: Some(thread) })
    }

    /// How many signals have come.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It panics never; nothing could be done here if it did.
            let _ = thread.join();
        }
    }
}
