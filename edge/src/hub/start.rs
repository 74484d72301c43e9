//! How workers start: each chooses its way to write on its own thread, which the kernel ties it to, and says so before
//! the edge opens its doors.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender};

use super::worker::Worker;
use super::write::{Ring, Writer};

/// What a worker says when it starts: how it writes, and why not through a ring if it should.
pub(super) type Start = io::Result<(&'static str, Option<io::Error>)>;

impl Worker {
    /// Chooses how to write, says so, and runs until a drain is done.
    ///
    /// # Errors
    /// What the operating system says of the event queue.
    pub fn start(self, starting: &SyncSender<Start>) -> anyhow::Result<()> {
        let chosen = Writer::choose(self.config.io_uring, Ring::open);
        let (start, writer) = match chosen {
            Ok((writer, why)) => (Ok((writer.way(), why)), Some(writer)),
            Err(error) => (Err(error), None),
        };
        // Without a listener the process is ending already.
        let _ = starting.send(start);
        let Some(writer) = writer else { return Ok(()) };
        self.meters.count_way(writer.way(), 1.0);
        self.run(writer).map_err(Into::into)
    }
}

/// Waits until every worker has chosen; logs once how they write.
pub(super) fn wait_for(starts: &[Receiver<Start>]) -> io::Result<()> {
    let mut said = false;
    for start in starts {
        // A worker that ended without a word is a failure of its thread, which is told elsewhere.
        let Ok(start) = start.recv() else { continue };
        let (way, why) = start.map_err(|error| io::Error::new(error.kind(), refusal(&error)))?;
        if said {
            continue;
        }
        said = true;
        match why {
            None => tracing::info!(way, "writes to clients"),
            Some(error) => tracing::info!(way, reason = %error, "writes to clients, without io_uring"),
        }
    }
    Ok(())
}

fn refusal(error: &io::Error) -> String {
    format!(
        "edge.io_uring is on, but the kernel refuses io_uring to this process ({error}); containers often forbid it. Say \
         auto to do without it where need be"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    fn said(start: Start) -> io::Result<()> {
        let (starting, waiting) = sync_channel(1);
        starting.send(start).unwrap();
        wait_for(&[waiting])
    }

    #[test]
    fn the_edge_starts_without_a_ring_unless_one_was_demanded() {
        let forbidden = || io::Error::from(io::ErrorKind::PermissionDenied);
        said(Ok(("io_uring", None))).unwrap();
        said(Ok(("plain", Some(forbidden())))).unwrap();
        let refused = said(Err(forbidden())).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert!(refused.to_string().starts_with("edge.io_uring is on, but the kernel refuses"), "{refused}");
    }
}
