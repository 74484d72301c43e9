//! One worker: an event loop over its sockets and its inbox. A turn reads what clients say, takes in what the inbox has,
//! marks what is due to whom, then serves whole clients: every row due to a client in one write. While few rows come a
//! turn is one row and it goes out at once; when many come a turn holds many and the cost of a row falls.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use tickwire_common::wire::close::CloseCode;
use tickwire_common::wire::frame::Connected;
use tokio::sync::mpsc;

use super::Shared;
use super::ask::{Ask, AskLine};
use super::client::{Arrival, Client, ClientId, Mode};
use super::config::HubConfig;
use super::inbox::{Inbox, Letter};
use super::keeper::Drain;
use super::meters::Meters;
use super::outbox::{DueRow, Flushed};
use super::views::Views;
use crate::ws::frame;
use crate::ws::parser::Message;

const WAKE: Token = Token(usize::MAX);

/// Read at a time, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Reads of one client in a row before the others have their turn.
const READS_MAX: usize = 4;

/// How often idle clients are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// How often a full line to the feed is tried again, and a drain goes on.
const SOON: Duration = Duration::from_millis(20);

/// What a client said, out of the read buffer.
#[derive(Debug)]
pub(super) enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

#[derive(Debug)]
pub(super) struct Worker {
    pub index: u16,
    pub config: Arc<HubConfig>,
    pub shared: Arc<Shared>,
    poll: Poll,
    inbox: Arc<Inbox>,
    pub clients: Slab<Client>,
    pub views: Views,
    pub asks: AskLine,
    /// Rows taken in during this turn.
    round: Vec<DueRow>,
    /// Clients with something to write in this turn.
    ready: Vec<u32>,
    /// Clients that may have more to read than a turn takes.
    unread: Vec<u32>,
    scratch: Vec<u8>,
    buffer: Vec<u8>,
    generation: u32,
    pub now: Instant,
    sweep_at: Instant,
    pub drain: Option<Drain>,
    pub meters: Meters,
}

impl Worker {
    pub fn new(
        index: u16,
        config: Arc<HubConfig>,
        shared: Arc<Shared>,
        asks: mpsc::Sender<Ask>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let inbox = Inbox::new(Waker::new(poll.registry(), WAKE)?);
        let now = Instant::now();
        Ok(Self {
            index,
            config,
            shared,
            poll,
            inbox,
            clients: Slab::new(),
            views: Views::default(),
            asks: AskLine::new(asks, index),
            round: Vec::new(),
            ready: Vec::new(),
            unread: Vec::new(),
            scratch: Vec::new(),
            buffer: vec![0; READ_BYTES],
            generation: 0,
            now,
            sweep_at: now + SWEEP,
            drain: None,
            meters: Meters::new(index),
        })
    }

    pub fn inbox(&self) -> Arc<Inbox> {
        Arc::clone(&self.inbox)
    }

    /// Runs until a drain is done.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut letters = Vec::new();
        loop {
            let patience = self.patience();
            match self.poll.poll(&mut events, Some(patience)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.now = Instant::now(),
            }
            let begun = self.now;
            self.read_on();
            for event in &events {
                self.socket_event(event);
            }
            self.inbox.take(&mut letters);
            for letter in letters.drain(..) {
                self.letter(letter);
            }
            self.serve();
            self.keep();
            self.meters.turn.record(begun.elapsed());
            if self.drain.as_ref().is_some_and(|drain| drain.is_done(self.now, self.clients.is_empty())) {
                return Ok(());
            }
        }
    }

    /// How long to wait for the next event.
    fn patience(&mut self) -> Duration {
        if !self.unread.is_empty() {
            return Duration::ZERO;
        }
        let sweep = self.sweep_at.saturating_duration_since(self.now);
        if self.drain.is_some() || self.asks.send_waiting() { sweep.min(SOON) } else { sweep }
    }

    fn keep(&mut self) {
        self.asks.send_waiting();
        self.drain_step();
        if self.now >= self.sweep_at {
            self.sweep_at = self.now + SWEEP;
            self.sweep();
        }
        // What the keeper had to say goes out now, not at the next event.
        self.serve();
    }

    fn socket_event(&mut self, event: &mio::event::Event) {
        let Token(key) = event.token();
        let Ok(key) = u32::try_from(key) else { return };
        if event.is_writable() {
            self.mark_ready(key);
        }
        if event.is_readable() || event.is_read_closed() {
            self.read(key);
        }
    }

    fn letter(&mut self, letter: Letter) {
        match letter {
            Letter::Row(row) => self.row(row),
            Letter::Adopt(arrival) => self.adopt(*arrival),
            Letter::Answer(answer) => self.answer(*answer),
            Letter::Tell(bytes) => self.tell(&bytes),
            Letter::Drain(spread) => self.begin_drain(spread),
        }
    }

    /// Marks a row as due to everyone in its view.
    fn row(&mut self, row: DueRow) {
        let Ok(index) = u32::try_from(self.round.len()) else { return };
        self.meters.rows_in.increment(1);
        for seat in self.views.seats(row.frame.view) {
            let Some(client) = self.clients.get_mut(seat.client as usize) else { continue };
            if client.outbox.due(index, &row, seat.slot) && !client.ready {
                client.ready = true;
                self.ready.push(seat.client);
            }
        }
        self.round.push(row);
    }

    fn adopt(&mut self, arrival: Arrival) {
        let early = arrival.early;
        let mut socket = TcpStream::from_std(arrival.socket);
        let entry = self.clients.vacant_entry();
        let Ok(key) = u32::try_from(entry.key()) else { return };
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut socket, Token(entry.key()), both) {
            tracing::warn!(%error, address = %arrival.address, "a socket could not be watched");
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        entry.insert(Client::new(
            socket,
            arrival.mode,
            arrival.encoding,
            arrival.permit,
            self.generation,
            self.now,
            &self.config,
        ));
        if arrival.mode == Mode::Stream {
            self.greet(key);
        }
        if self.drain.is_some() {
            self.close(key, CloseCode::Restart);
        }
        if !early.is_empty() {
            self.take_in(key, &mut early.into_boxed_slice());
        }
        // The socket may have become readable before it was watched.
        self.read(key);
    }

    fn greet(&mut self, key: u32) {
        let Some(id) = self.id(key) else { return };
        let heartbeat_ms = u64::try_from(self.config.heartbeat.as_millis()).unwrap_or(u64::MAX);
        let label = self.config.label.as_deref();
        let hello = Connected::new(&id.to_string(), heartbeat_ms, self.config.limits, label).encode();
        self.say(key, frame::text(&hello));
        let feeds = self.shared.feeds();
        if !feeds.is_empty() {
            self.say(key, feeds);
        }
    }

    fn tell(&mut self, bytes: &Bytes) {
        let streams = self.clients.iter().filter(|(_, client)| client.mode == Mode::Stream);
        let keys: Vec<u32> = streams.filter_map(|(key, _)| u32::try_from(key).ok()).collect();
        for key in keys {
            self.say(key, bytes.clone());
        }
    }

    /// Queues a framed reply or event; a client that does not read its replies is closed.
    pub fn say(&mut self, key: u32, bytes: Bytes) {
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        if client.closing.is_some() {
            return;
        }
        if client.outbox.control(bytes, client.control_bytes_max()).is_err() {
            self.close(key, CloseCode::SlowReader);
            return;
        }
        self.mark_ready(key);
    }

    pub fn mark_ready(&mut self, key: u32) {
        if let Some(client) = self.clients.get_mut(key as usize)
            && !client.ready
        {
            client.ready = true;
            self.ready.push(key);
        }
    }

    pub fn id(&self, key: u32) -> Option<ClientId> {
        let client = self.clients.get(key as usize)?;
        Some(ClientId { worker: self.index, key, generation: client.generation })
    }

    /// Writes what is due, client by client; serving one may make it ready again, when it is told that it is slow.
    fn serve(&mut self) {
        while !self.ready.is_empty() {
            let mut ready = std::mem::take(&mut self.ready);
            ready.drain(..).for_each(|key| self.serve_one(key));
            if self.ready.is_empty() {
                // Gives the room back for the next turn.
                self.ready = ready;
            }
        }
        self.round.clear();
    }

    fn serve_one(&mut self, key: u32) {
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        client.ready = false;
        if !client.outbox.has_waiting() {
            return;
        }
        let flushed = client.outbox.flush(
            &self.round,
            client.encoding,
            &mut self.scratch,
            &mut client.socket,
            self.now,
        );
        self.meters.rows_out.increment(client.outbox.take_written());
        self.meters.skipped.increment(client.outbox.take_uncounted());
        match flushed {
            Ok(Flushed::All) => {}
            Ok(Flushed::Blocked) => self.meters.blocked.increment(1),
            Err(error) => return self.drop_client(key, reason(&error)),
        }
        self.after_flush(key);
    }

    /// Reads on where a turn's share was used up.
    fn read_on(&mut self) {
        for key in std::mem::take(&mut self.unread) {
            self.read(key);
        }
    }

    fn read(&mut self, key: u32) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..READS_MAX {
            let Some(client) = self.clients.get_mut(key as usize) else { break };
            match client.socket.read(&mut buffer) {
                Ok(0) => self.drop_client(key, "gone"),
                Ok(len) => {
                    self.take_in(key, buffer.get_mut(..len).unwrap_or_default());
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.drop_client(key, reason(&error)),
            }
            self.buffer = buffer;
            return;
        }
        self.buffer = buffer;
        if self.clients.contains(key as usize) {
            self.unread.push(key);
        }
    }

    /// Takes in bytes of a client.
    fn take_in(&mut self, key: u32, input: &mut [u8]) {
        let Some(client) = self.clients.get_mut(key as usize).filter(|client| !client.failed) else { return };
        client.heard_at = self.now;
        client.pings_open = 0;
        let mut said = Vec::new();
        let fed = client.parser.feed(input, |message| {
            said.push(own(&message));
            if matches!(message, Message::Close(_)) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        for message in said {
            self.hear(key, message);
        }
        if let Err(error) = fed {
            self.refuse_framing(key, error);
        }
    }
}

fn own(message: &Message<'_>) -> Said {
    match message {
        Message::Text(text) => Said::Text((*text).to_owned()),
        Message::Binary(bytes) => Said::Binary(bytes.to_vec()),
        Message::Ping(payload) => Said::Ping(payload.to_vec()),
        Message::Pong(_) => Said::Pong,
        Message::Close(code) => Said::Close(*code),
    }
}

/// A short word for metrics.
fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset",
        io::ErrorKind::TimedOut => "timed_out",
        _ => "socket_error",
    }
}
