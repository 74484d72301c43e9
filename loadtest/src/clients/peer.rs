//! One client with its socket: moves bytes between the two. One scratch buffer serves the reads of all; a client keeps
//! bytes of its own only while a frame is incomplete.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tickwire_common::backoff::Backoff;
use tickwire_common::time::now_us;

use super::bench::Bench;
use super::class::Class;
use super::client::{self, Client, End, Stage};
use super::frame::{CLOSE_ABNORMAL, MESSAGE_BYTES_MAX, Opcode};
use super::socket;

/// Room for a whole frame with its header behind another's rest.
pub(crate) const SCRATCH_BYTES: usize = MESSAGE_BYTES_MAX + 16;

/// What an idle client may keep allocated for incomplete frames.
const KEPT_BYTES_IDLE: usize = 4 * 1024;

/// A client that lost its connection waits a random time below the first, then below twice that, up to the second.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// A client with its socket.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) client: Client,
    /// When its connection was begun or, after its last ack, became live.
    pub(crate) begun: Instant,
    /// It was live once, or was given up.
    pub(crate) settled: bool,
    /// `None` before the connect and after the end.
    socket: Option<TcpStream>,
    backoff: Option<Box<Backoff>>,
    /// An incomplete frame.
    kept: Vec<u8>,
    /// What the kernel did not take yet.
    outbox: Vec<u8>,
}

/// What one read from the kernel gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Got {
    bytes: usize,
    /// There may be more.
    filled: bool,
}

impl Peer {
    pub(crate) fn new(client: Client, begun: Instant) -> Self {
        let (kept, outbox) = (Vec::new(), Vec::new());
        Self { client, begun, settled: false, socket: None, backoff: None, kept, outbox }
    }

    /// Begins to connect; `newest_v` as [`Client::connect`] wants it.
    pub(crate) fn connect(
        &mut self,
        registry: &Registry,
        token: Token,
        address: SocketAddr,
        source: Option<IpAddr>,
        newest_v: u64,
    ) -> io::Result<()> {
        self.client.connect(newest_v);
        self.begun = Instant::now();
        let reads_little = matches!(self.client.class, Class::Slow | Class::Stalled);
        let socket = self.socket.insert(socket::connect(address, source, reads_little)?);
        registry.register(socket, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Sends the handshake if the kernel has connected; `false` for a false alarm.
    pub(crate) fn connected(&mut self, request: &[u8]) -> io::Result<bool> {
        let Some(socket) = &self.socket else { return Ok(false) };
        if !socket::is_connected(socket)? {
            return Ok(false);
        }
        self.client.stage = Stage::Upgrading;
        self.outbox.extend_from_slice(request);
        Ok(true)
    }

    /// Reads all there is. A read that does not fill the buffer has emptied the socket (epoll(7)), unless the other
    /// side has closed, which is only seen by reading on.
    #[inline]
    pub(crate) fn read(&mut self, scratch: &mut [u8], bench: &mut Bench, closed: bool) -> Result<(), End> {
        while let Some(got) = self.read_once(scratch, bench, usize::MAX)? {
            if !got.filled && !closed {
                break;
            }
        }
        Ok(())
    }

    /// Reads at most `bytes_max` bytes.
    pub(crate) fn read_some(
        &mut self,
        scratch: &mut [u8],
        bench: &mut Bench,
        bytes_max: usize,
    ) -> Result<(), End> {
        let mut left = bytes_max;
        while left > 0 {
            let Some(got) = self.read_once(scratch, bench, left)? else { break };
            left = left.saturating_sub(got.bytes);
        }
        Ok(())
    }

    /// One read from the kernel of at most `bytes_max` bytes, handed to the client; `None` if there was nothing.
    #[inline]
    fn read_once(
        &mut self,
        scratch: &mut [u8],
        bench: &mut Bench,
        bytes_max: usize,
    ) -> Result<Option<Got>, End> {
        let Some(mut socket) = self.socket.as_ref() else { return Ok(None) };
        let held = self.kept.len();
        let Some((front, space)) = scratch.split_at_mut_checked(held) else { return Ok(None) };
        front.copy_from_slice(&self.kept);
        let room = space.len().min(bytes_max);
        let read = loop {
            match socket.read(space.get_mut(..room).unwrap_or_default()) {
                Ok(0) => return Err(End::Closed(CLOSE_ABNORMAL)),
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(End::Closed(CLOSE_ABNORMAL)),
            }
        };
        bench.tally.reads += 1;
        bench.tally.bytes += read as u64;
        let bytes = scratch.get(..held + read).unwrap_or_default();
        let used = self.client.receive(bytes, now_us(), bench, &mut self.outbox)?;
        keep(&mut self.kept, bytes.get(used..).unwrap_or_default());
        Ok(Some(Got { bytes: read, filled: read == room }))
    }

    /// Writes what waits. A connection that cannot be written to ends when it is read.
    #[inline]
    pub(crate) fn flush(&mut self) {
        let Some(mut socket) = self.socket.as_ref() else { return };
        while !self.outbox.is_empty() {
            match socket.write(&self.outbox) {
                Ok(written) if written > 0 => drop(self.outbox.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    /// Whether to be woken when there is something to read. Broken connections wake in any case.
    pub(crate) fn hear(&mut self, registry: &Registry, token: Token, readable: bool) -> io::Result<()> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        let all = Interest::READABLE | Interest::WRITABLE;
        registry.reregister(socket, token, if readable { all } else { Interest::WRITABLE })
    }

    /// Sends a close frame, if there is a WebSocket to send it on.
    pub(crate) fn say_goodbye(&mut self) {
        if self.client.stage > Stage::Upgrading && self.socket.is_some() {
            client::push(&mut self.outbox, Opcode::Close, &1000u16.to_be_bytes());
            self.flush();
        }
    }

    /// The next close of the socket is a reset.
    pub(crate) fn reset_on_close(&mut self) {
        if let Some(socket) = &self.socket {
            // A socket that cannot be set so is closed the usual way.
            let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }

    /// Closes the socket, if any; the client goes to `stage`.
    pub(crate) fn close(&mut self, registry: &Registry, stage: Stage) {
        self.client.stage = stage;
        if let Some(mut socket) = self.socket.take() {
            // The descriptor is closed in any case.
            let _ = registry.deregister(&mut socket);
        }
        (self.kept, self.outbox) = (Vec::new(), Vec::new());
    }

    /// How long to wait before the next connection after one that ended unasked, or was not to be had.
    pub(crate) fn back_off(&mut self, seed: u64) -> Duration {
        if self.backoff.is_none() {
            let backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX).ok();
            self.backoff = backoff.map(|backoff| Box::new(backoff.seeded(seed)));
        }
        let Some(backoff) = &mut self.backoff else { return BACKOFF_MAX };
        if self.client.stage == Stage::Live {
            backoff.proved(self.begun.elapsed());
        }
        let delay = backoff.next_delay();
        self.client.back_after_ms.take().map_or(delay, |told| delay + Duration::from_millis(told))
    }
}

/// Keeps the rest of a read.
#[inline]
fn keep(kept: &mut Vec<u8>, rest: &[u8]) {
    kept.clear();
    if rest.is_empty() && kept.capacity() > KEPT_BYTES_IDLE {
        kept.shrink_to(0);
    }
    kept.extend_from_slice(rest);
}
