//! One connection, as its worker sees it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use tickwire_common::wire::encoding::Encoding;
use tickwire_common::wire::frame::Failed;

use super::ask::AnswerForm;
use super::config::HubConfig;
use super::outbox::{CONTROL_BYTES_MAX, Outbox};
use super::row::{RowFrame, ViewId};
use super::session::Session;
use crate::admission::Permit;
use crate::ws::parser::Parser;

/// Largest message of an echo connection, in bytes: what conformance suites send.
const ECHO_MESSAGE_BYTES_MAX: usize = 32 << 20;

/// Names a connection for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId {
    /// The worker's index.
    pub worker: u16,
    /// The place in the worker's table; used again.
    pub key: u32,
    /// Never used again.
    pub generation: u32,
}

impl std::fmt::Display for ClientId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.worker, self.generation)
    }
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The client protocol, version 1.
    Stream,
    /// Every message comes back, for conformance suites.
    Echo,
}

/// A socket after its upgrade.
#[derive(Debug)]
pub struct Arrival {
    /// Non-blocking.
    pub socket: std::net::TcpStream,
    /// What the HTTP part has read beyond the handshake.
    pub early: Vec<u8>,
    /// What it speaks.
    pub mode: Mode,
    /// How rows look to it.
    pub encoding: Encoding,
    /// Whose it is, for the log.
    pub address: IpAddr,
    /// Its place among the connections.
    pub permit: Permit,
}

/// The answer to a subscribe.
#[derive(Debug)]
pub struct Answer {
    /// For whom.
    pub client: ClientId,
    /// How to say it.
    pub form: AnswerForm,
    /// Seats, in the order of the names.
    pub grants: Vec<Grant>,
    /// Names that could not be served.
    pub failed: Vec<Failed>,
}

/// A seat in a view. Counted by the feed until it is released.
#[derive(Debug)]
pub struct Grant {
    /// As the client wrote it.
    pub name: Arc<str>,
    /// The view.
    pub view: ViewId,
    /// Its newest row; everything later comes through the inbox.
    pub last: Option<Arc<RowFrame>>,
}

/// See the module.
#[derive(Debug)]
pub struct Client {
    pub(super) socket: TcpStream,
    pub(super) generation: u32,
    pub(super) mode: Mode,
    pub(super) encoding: Encoding,
    pub(super) parser: Parser,
    pub(super) session: Session,
    pub(super) outbox: Outbox,
    /// Whether it is in the worker's list of clients to serve.
    pub(super) ready: bool,
    /// Whether it is in the worker's list of clients to read from.
    pub(super) unread: bool,
    /// When it was last heard of, or pinged.
    pub(super) heard_at: Instant,
    pub(super) pings_open: u8,
    pub(super) told_slow_at: Option<Instant>,
    /// Set once the close frame is queued: when to give up on the other side's.
    pub(super) closing: Option<Instant>,
    /// The client has sent its close frame: nothing is left to wait for once ours is out.
    pub(super) goodbye: bool,
    /// It broke the framing: what it still sends is read, so that our last words are not cut off, and not understood.
    pub(super) failed: bool,
    _permit: Permit,
}

impl Client {
    /// A connection that has just been upgraded.
    pub(super) fn new(
        socket: TcpStream,
        arrival_mode: Mode,
        encoding: Encoding,
        permit: Permit,
        generation: u32,
        now: Instant,
        config: &HubConfig,
    ) -> Self {
        let message_bytes = match arrival_mode {
            Mode::Stream => config.limits.message_bytes,
            Mode::Echo => ECHO_MESSAGE_BYTES_MAX,
        };
        Self {
            socket,
            generation,
            mode: arrival_mode,
            encoding,
            parser: Parser::new(message_bytes),
            session: Session::new(&config.limits, now),
            outbox: Outbox::default(),
            ready: false,
            unread: false,
            heard_at: now,
            pings_open: 0,
            told_slow_at: None,
            closing: None,
            goodbye: false,
            failed: false,
            _permit: permit,
        }
    }

    /// Most bytes of replies that may wait.
    pub(super) fn control_bytes_max(&self) -> usize {
        match self.mode {
            Mode::Stream => CONTROL_BYTES_MAX,
            Mode::Echo => 2 * ECHO_MESSAGE_BYTES_MAX,
        }
    }
}
