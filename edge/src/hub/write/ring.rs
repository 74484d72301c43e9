//! Many sends in one system call: <https://man7.org/linux/man-pages/man7/io_uring.7.html>.
//!
//! The kernel reads the bytes by their address until a send has completed. So nothing here returns before every send it
//! has submitted has completed: for as long as a call lasts, bytes and sockets are borrowed, and afterwards the kernel
//! knows none of them.
#![expect(unsafe_code, reason = "the kernel is given addresses of bytes")]

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;

use io_uring::squeue::Entry;
use io_uring::{IoUring, opcode, types};

use super::{Write, plain};

/// A ring of the thread that opened it.
pub struct Ring {
    /// None after a failure: what the kernel had not taken then must never be submitted.
    ring: Option<Box<IoUring>>,
}

impl Ring {
    /// Most sends in one system call; the entries of the ring.
    pub const BATCH_MAX: usize = 256;

    /// A ring that has carried one send. To be called on the thread that writes.
    ///
    /// # Errors
    /// What the kernel says: it has none, or a filter of the container forbids it.
    pub fn open() -> io::Result<Self> {
        let mut ring = Self { ring: Some(Box::new(build()?)) };
        let (here, there) = UnixStream::pair()?;
        let mut taken = Vec::with_capacity(1);
        ring.submit(&[Write { socket: here.as_fd(), bytes: b"?" }], &mut taken)?;
        match taken.pop() {
            Some(Ok(1)) => {
                drop(there);
                Ok(ring)
            }
            Some(Err(error)) => Err(error),
            _ => Err(io::Error::other("a send through the ring was not carried out")),
        }
    }

    /// As [`super::Writer::write`].
    ///
    /// # Errors
    /// As there; the ring is of no use any more.
    pub fn write(&mut self, writes: &[Write<'_>], taken: &mut Vec<io::Result<usize>>) -> io::Result<()> {
        writes.chunks(Self::BATCH_MAX).try_for_each(|batch| self.submit(batch, taken))
    }

    fn submit(&mut self, batch: &[Write<'_>], taken: &mut Vec<io::Result<usize>>) -> io::Result<()> {
        let mut ring = self.ring.take().ok_or(io::ErrorKind::NotConnected)?;
        carry_out(&mut ring, batch, taken)?;
        self.ring = Some(ring);
        Ok(())
    }
}

/// Submits a batch and waits until all of it has completed. After an error the ring is to be dropped.
fn carry_out(ring: &mut IoUring, batch: &[Write<'_>], taken: &mut Vec<io::Result<usize>>) -> io::Result<()> {
    let first = taken.len();
    for (number, write) in (0..).zip(batch) {
        let entry = entry(number, write);
        // SAFETY: the address and the descriptor in `entry` must be valid until the send has completed. `batch` borrows
        // both, and this function returns only when `settle` has seen every send complete that the kernel took. What
        // the kernel has not taken after an error goes with the ring.
        unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    }
    taken.extend(batch.iter().map(|_| Ok(0)));
    let results = taken.get_mut(first..).unwrap_or_default();
    settle(ring, batch, results).map_err(|(completed, error)| {
        // The kernel takes entries in their order, so those without a result are the last ones.
        taken.truncate(first + completed);
        error
    })
}

/// Waits for every completion, whatever the system call says meanwhile. Fails, with the number of writes that have a
/// result, only when nothing is under way.
fn settle(
    ring: &mut IoUring,
    batch: &[Write<'_>],
    results: &mut [io::Result<usize>],
) -> Result<(), (usize, io::Error)> {
    let mut completed = 0;
    while completed < batch.len() {
        let entered = ring.submit_and_wait(batch.len() - completed);
        for completion in ring.completion() {
            completed += 1;
            let at = usize::try_from(completion.user_data()).unwrap_or(usize::MAX);
            if let (Some(write), Some(result)) = (batch.get(at), results.get_mut(at)) {
                *result = taken_bytes(write, completion.result());
            }
        }
        let Err(error) = entered else { continue };
        let untaken = ring.submission().len();
        if completed + untaken == batch.len() && untaken > 0 && !passes(&error) {
            return Err((completed, error));
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// A ring that one thread alone uses, so that the kernel need not guard it and completes when that thread waits. Linux
/// before 6.1 does not know these flags.
fn build() -> io::Result<IoUring> {
    let entries = u32::try_from(Ring::BATCH_MAX).unwrap_or(u32::MAX);
    let lone = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(entries);
    match lone {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::new(entries),
        lone => lone,
    }
}

fn entry(number: u64, write: &Write<'_>) -> Entry {
    let fd = types::Fd(write.socket.as_raw_fd());
    // More than 4 GiB are never gathered; what is cut off counts as not taken.
    let len = u32::try_from(write.bytes.len()).unwrap_or(u32::MAX);
    // Without waiting in the kernel: a full socket is a result, not a send that stays under way.
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    opcode::Send::new(fd, write.bytes.as_ptr(), len).flags(flags).build().user_data(number)
}

/// The result of a send: bytes, or an error number below zero.
fn taken_bytes(write: &Write<'_>, result: i32) -> io::Result<usize> {
    match result {
        0 => Err(io::ErrorKind::WriteZero.into()),
        1.. => usize::try_from(result).map_err(io::Error::other),
        _ if result == -libc::EAGAIN => Ok(0),
        _ if result == -libc::EINTR => plain(write),
        _ => Err(io::Error::from_raw_os_error(result.wrapping_neg())),
    }
}

/// Whether trying again may help.
fn passes(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}
