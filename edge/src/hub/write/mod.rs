//! How bytes reach sockets: one system call a client, or, where the kernel has io_uring and lets this process use it,
//! one for hundreds of clients. Chosen once a worker, at its start; both take the same writes and give the same results.
//!
//! Knows no client and no row; what a socket did not take stays with whoever asked.

#[cfg_attr(not(target_os = "linux"), path = "no_ring.rs")]
mod ring;

use std::io;
use std::os::fd::BorrowedFd;
use std::str::FromStr;

use socket2::SockRef;

pub use ring::Ring;

/// Clients written to at once without a ring: what was gathered for them is still in the core's cache.
const PLAIN_BATCH: usize = 16;

/// Below this many clients the ring costs more than it saves.
const RING_BATCH_MIN: usize = 4;

/// The setting `edge.io_uring`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IoUring {
    /// Where it works.
    #[default]
    Auto,
    /// Or do not start.
    On,
    /// Never.
    Off,
}

impl FromStr for IoUring {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err("is none of auto, on, off".to_owned()),
        }
    }
}

/// Bytes for one socket, which is non-blocking.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// Where to.
    pub socket: BorrowedFd<'a>,
    /// What; not empty.
    pub bytes: &'a [u8],
}

/// Writes to sockets, in one of two ways.
#[derive(Debug)]
pub enum Writer {
    /// `send`, a system call each.
    Plain,
    /// One system call for all of them.
    Ring(Ring),
}

impl Writer {
    /// Chooses. `open` gives a ring that has proved itself. The second part says why there is none where one was
    /// wanted.
    ///
    /// # Errors
    /// What `open` says, if nothing but a ring will do.
    pub fn choose(
        wanted: IoUring,
        open: impl FnOnce() -> io::Result<Ring>,
    ) -> io::Result<(Self, Option<io::Error>)> {
        match wanted {
            IoUring::Off => Ok((Self::Plain, None)),
            IoUring::On => Ok((Self::Ring(open()?), None)),
            IoUring::Auto => match open() {
                Ok(ring) => Ok((Self::Ring(ring), None)),
                Err(why) => Ok((Self::Plain, Some(why))),
            },
        }
    }

    /// For logs and metrics.
    pub fn way(&self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Ring(_) => "io_uring",
        }
    }

    /// Most writes of one call.
    pub fn batch_max(&self) -> usize {
        match self {
            Self::Plain => PLAIN_BATCH,
            Self::Ring(_) => Ring::BATCH_MAX,
        }
    }

    /// Writes each once and appends how many bytes each socket took, in order; 0 if it is full. Says so if the ring is
    /// of no use any more: from then on the plain way is taken.
    pub fn write(&mut self, writes: &[Write<'_>], taken: &mut Vec<io::Result<usize>>) -> Option<io::Error> {
        let (first, mut failed) = (taken.len(), None);
        if let Self::Ring(ring) = self
            && writes.len() >= RING_BATCH_MIN
            && let Err(error) = ring.write(writes, taken)
        {
            *self = Self::Plain;
            failed = Some(error);
        }
        let untried = writes.get(taken.len() - first..).unwrap_or_default();
        taken.extend(untried.iter().map(plain));
        failed
    }
}

/// One `send`.
fn plain(write: &Write<'_>) -> io::Result<usize> {
    loop {
        match SockRef::from(&write.socket).send(write.bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
