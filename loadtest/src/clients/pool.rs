//! The sockets of all clients on one thread and one poll: opens them as the ramp says, moves bytes between them and the
//! client state machines, and counts how far they have come.
//!
//! One scratch buffer serves all reads; a client keeps bytes of its own only while a frame is incomplete. At most
//! [`SETTLING_MAX`] clients are on their way to their first ack at a time; those behind them wait, and their wait counts
//! as connect time, because it runs from when the ramp was to begin them.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use tickwire_common::time::now_us;

use super::args::Plan;
use super::bench::Bench;
use super::client::{self, Client, End, Stage};
use super::delivery::Slots;
use super::frame::{CLOSE_ABNORMAL, MESSAGE_BYTES_MAX, Opcode};
use super::latency::histogram;
use super::symbols::Dealer;
use super::units::as_us;
use super::{handshake, socket};

/// Clients that connect or subscribe at a time: below the usual listen backlog of 4,096.
const SETTLING_MAX: usize = 512;

/// How long a client may take from its connect to its last ack.
const SETTLE_MAX: Duration = Duration::from_secs(20);

/// Room for a whole frame with its header behind another's rest.
const SCRATCH_BYTES: usize = MESSAGE_BYTES_MAX + 16;

/// Events taken at one wake: few enough that the loop looks at its clock in between, however much there is.
const EVENTS_MAX: usize = 1_024;

/// What an idle client may keep allocated for incomplete frames.
const KEPT_BYTES_IDLE: usize = 4 * 1024;

/// The waker's token; clients are numbered from 0.
const WAKE: Token = Token(usize::MAX);

/// A client with its socket.
#[derive(Debug)]
struct Peer {
    client: Client,
    /// `None` before the connect and after the end.
    socket: Option<TcpStream>,
    /// When it was begun.
    begun: Instant,
    /// An incomplete frame.
    kept: Vec<u8>,
    /// What the kernel did not take yet.
    outbox: Vec<u8>,
}

/// All clients.
#[derive(Debug)]
pub(crate) struct Pool<'a> {
    plan: &'a Plan,
    request: Vec<u8>,
    poll: Poll,
    events: Option<Events>,
    scratch: Box<[u8]>,
    peers: Vec<Peer>,
    pub(crate) bench: Bench,
    started: usize,
    live: usize,
    ended: usize,
    epoch: Instant,
    /// From the scheduled begin of a client to its last ack, µs.
    pub(crate) settle: Histogram<u64>,
    /// When the kernel last had no more events than were taken: what is ready since then may wait.
    round_begun: Option<Instant>,
    /// How long that lasts, at the end of the last turn; zero if nothing was ready.
    pub(crate) lag: Duration,
}

impl<'a> Pool<'a> {
    /// All clients of the plan, none of them begun.
    ///
    /// # Errors
    /// If the kernel gives no poll.
    pub(crate) fn new(plan: &'a Plan) -> anyhow::Result<Self> {
        let mut bench = Bench::new(plan.names.clone())?;
        let mut dealer = Dealer::new(plan.names.len(), plan.per_client, plan.seed);
        let epoch = Instant::now();
        let peers = (0..plan.clients).map(|_| Peer::new(bench.delivery.add_client(&dealer.deal()), epoch));
        let peers = peers.collect();
        Ok(Self {
            plan,
            request: handshake::request(&plan.target.authority(), plan.target.path()),
            poll: Poll::new()?,
            events: Some(Events::with_capacity(EVENTS_MAX)),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            peers,
            bench,
            started: 0,
            live: 0,
            ended: 0,
            epoch,
            settle: histogram()?,
            round_begun: None,
            lag: Duration::ZERO,
        })
    }

    /// Something that wakes [`Pool::turn`] from another thread.
    ///
    /// # Errors
    /// If the kernel gives none.
    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKE)
    }

    /// Clients that are live.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Whether every client is live or over.
    pub(crate) fn settled(&self) -> bool {
        self.live + self.ended == self.peers.len()
    }

    /// The symbols of every client, and whether it is live.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (Slots, bool)> {
        self.peers.iter().map(|peer| (peer.client.slots, peer.client.stage == Stage::Live))
    }

    /// Begins the clients whose turn has come; says when the next one's comes.
    pub(crate) fn begin_due(&mut self) -> Option<Instant> {
        loop {
            if self.started == self.peers.len() || self.started - self.live - self.ended >= SETTLING_MAX {
                return None;
            }
            let due = self.due(self.started);
            if due > Instant::now() {
                return Some(due);
            }
            let index = self.started;
            self.started += 1;
            if let Err(error) = self.begin(index) {
                self.fail(index, &connect_failure(&error));
            }
        }
    }

    fn due(&self, index: usize) -> Instant {
        let clients = u64::try_from(self.plan.clients).unwrap_or(u64::MAX).max(1);
        let step = as_us(self.plan.ramp).saturating_mul(index as u64) / clients;
        self.epoch + Duration::from_micros(step)
    }

    fn begin(&mut self, index: usize) -> io::Result<()> {
        let sources = &self.plan.sources;
        let source = sources.get(index % sources.len().max(1)).copied();
        let Some(peer) = self.peers.get_mut(index) else { return Ok(()) };
        peer.client.stage = Stage::Connecting;
        peer.begun = Instant::now();
        let socket = peer.socket.insert(socket::connect(self.plan.address, source)?);
        self.poll.registry().register(socket, Token(index), Interest::READABLE | Interest::WRITABLE)
    }

    /// Waits up to `timeout` for sockets to become ready, and serves all that are.
    ///
    /// # Errors
    /// If the poll itself fails.
    pub(crate) fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        let Some(mut events) = self.events.take() else { return Ok(()) };
        let polled = self.poll.poll(&mut events, Some(timeout));
        let begun = self.round_begun.take().unwrap_or_else(Instant::now);
        for event in &events {
            if event.token() != WAKE {
                self.serve(event.token().0, event);
            }
        }
        let taken = events.iter().count();
        self.lag = if taken == 0 { Duration::ZERO } else { begun.elapsed() };
        self.round_begun = (taken >= EVENTS_MAX).then_some(begun);
        self.events = Some(events);
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn serve(&mut self, index: usize, event: &Event) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let before = peer.client.stage;
        if before == Stage::Connecting {
            match peer.connected(&self.request) {
                Ok(false) => return,
                Ok(true) => {}
                Err(error) => return self.fail(index, &connect_failure(&error)),
            }
        }
        let mut result = Ok(());
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            result = peer.read(&mut self.scratch, &mut self.bench, event.is_read_closed());
        }
        peer.flush();
        let live = before != Stage::Live && peer.client.stage == Stage::Live;
        if live {
            self.live += 1;
            let waited = Instant::now().saturating_duration_since(self.due(index));
            self.settle.saturating_record(as_us(waited));
        }
        if let Err(end) = result {
            self.end(index, end);
        }
    }

    fn end(&mut self, index: usize, end: End) {
        let stage = self.peers.get(index).map(|peer| peer.client.stage);
        match (stage, end) {
            (Some(Stage::Live), End::Closed(code)) => {
                self.bench.tally.closes.add(code.to_string());
                self.drop_peer(index);
            }
            (Some(Stage::Live), _) => {
                self.bench.tally.closes.add(end.to_string());
                self.drop_peer(index);
            }
            (_, End::Closed(code)) => self.fail(index, &format!("subscribe: closed with {code}")),
            _ => self.fail(index, &end.to_string()),
        }
    }

    /// Ends a client that never became live.
    fn fail(&mut self, index: usize, reason: &str) {
        self.bench.tally.failures.add(reason);
        self.drop_peer(index);
    }

    fn drop_peer(&mut self, index: usize) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        self.live -= usize::from(peer.client.stage == Stage::Live);
        self.ended += 1;
        peer.close(self.poll.registry());
    }

    /// Ends the clients that have not settled in time.
    pub(crate) fn expire(&mut self) {
        if self.settled() {
            return;
        }
        for index in 0..self.started {
            let Some(peer) = self.peers.get(index) else { return };
            let stage = peer.client.stage;
            if stage < Stage::Live && peer.begun.elapsed() > SETTLE_MAX {
                self.fail(index, stage.lacks());
            }
        }
    }

    /// Says goodbye to every server side and closes all sockets.
    pub(crate) fn close(&mut self) {
        for peer in &mut self.peers {
            if peer.client.stage > Stage::Upgrading && peer.socket.is_some() {
                client::push(&mut peer.outbox, Opcode::Close, &1000u16.to_be_bytes());
                peer.flush();
            }
            peer.close(self.poll.registry());
        }
    }
}

fn connect_failure(error: &io::Error) -> String {
    format!("connect: {}", error.kind())
}

impl Peer {
    fn new(slots: Slots, begun: Instant) -> Self {
        Self { client: Client::new(slots), socket: None, begun, kept: Vec::new(), outbox: Vec::new() }
    }

    /// Sends the handshake if the kernel has connected; `false` for a false alarm.
    fn connected(&mut self, request: &[u8]) -> io::Result<bool> {
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
    fn read(&mut self, scratch: &mut [u8], bench: &mut Bench, closed: bool) -> Result<(), End> {
        let Some(mut socket) = self.socket.as_ref() else { return Ok(()) };
        loop {
            let held = self.kept.len();
            let Some((front, space)) = scratch.split_at_mut_checked(held) else { return Ok(()) };
            front.copy_from_slice(&self.kept);
            let room = space.len();
            let read = match socket.read(space) {
                Ok(0) => return Err(End::Closed(CLOSE_ABNORMAL)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(End::Closed(CLOSE_ABNORMAL)),
            };
            bench.tally.reads += 1;
            bench.tally.bytes += read as u64;
            let bytes = scratch.get(..held + read).unwrap_or_default();
            let used = self.client.receive(bytes, now_us(), bench, &mut self.outbox)?;
            keep(&mut self.kept, bytes.get(used..).unwrap_or_default());
            if read < room && !closed {
                return Ok(());
            }
        }
    }

    /// Writes what waits. A connection that cannot be written to ends when it is read.
    #[inline]
    fn flush(&mut self) {
        let Some(mut socket) = self.socket.as_ref() else { return };
        while !self.outbox.is_empty() {
            match socket.write(&self.outbox) {
                Ok(written) if written > 0 => drop(self.outbox.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    fn close(&mut self, registry: &Registry) {
        self.client.stage = Stage::Ended;
        if let Some(mut socket) = self.socket.take() {
            // The descriptor is closed in any case.
            let _ = registry.deregister(&mut socket);
        }
        (self.kept, self.outbox) = (Vec::new(), Vec::new());
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
