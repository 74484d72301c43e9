//! One worker: an event loop over its sockets and its inbox. A turn reads what clients say, takes in what the inbox has,
//! marks what is due to whom, then serves whole clients ([`super::serve`]). Each of the three has its share of
//! [`SHARE`] and goes on in the next turn, so that none makes the others wait.

use std::collections::VecDeque;
use std::io;
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
use super::outbox::Due;
use super::read::READ_BYTES;
use super::round::{DueRow, Round};
use super::serve::Batch;
use super::throttle::Alarms;
use super::views::Views;
use super::write::Writer;
use crate::ws::frame;

const WAKE: Token = Token(usize::MAX);

/// How often idle clients are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// How often a full line to the feed is tried again, and a drain goes on.
const SOON: Duration = Duration::from_millis(20);

/// Longest time in a row for each part of a turn.
pub(super) const SHARE: Duration = Duration::from_millis(4);

/// How many letters are taken in between looks at the clock.
const LETTERS: usize = 16;

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
    /// Taken from the inbox, not yet looked at.
    letters: VecDeque<Letter>,
    /// Rows that are due to someone.
    pub round: Round,
    /// Clients to serve, first come first served, each with the number of the first row that may be due to it.
    pub ready: VecDeque<(u32, u32)>,
    /// Clients that may have more to read than a turn takes.
    pub unread: VecDeque<u32>,
    pub writer: Writer,
    pub batch: Batch,
    pub alarms: Alarms,
    /// When it began.
    pub epoch: Instant,
    /// Where the next row's seats begin, in parts of 2^32: nobody is always the last.
    first_seat: u32,
    /// For reading.
    pub buffer: Vec<u8>,
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
            letters: VecDeque::new(),
            round: Round::default(),
            ready: VecDeque::new(),
            unread: VecDeque::new(),
            writer: Writer::Plain,
            batch: Batch::default(),
            alarms: Alarms::default(),
            epoch: now,
            first_seat: 0,
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
    pub(super) fn run(mut self, writer: Writer) -> io::Result<()> {
        self.writer = writer;
        let mut events = Events::with_capacity(1_024);
        let mut post = Vec::new();
        loop {
            let patience = self.patience();
            match self.poll.poll(&mut events, Some(patience)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.now = Instant::now(),
            }
            let begun = self.now;
            for event in &events {
                self.socket_event(event);
            }
            self.read_on();
            self.take_in_letters(&mut post);
            self.ring_alarms();
            self.keep();
            self.serve();
            self.meters.turn.record(begun.elapsed());
            if self.drain.as_ref().is_some_and(|drain| drain.is_done(self.now, self.clients.is_empty())) {
                return Ok(());
            }
        }
    }

    /// How long to wait for the next event.
    fn patience(&mut self) -> Duration {
        if !(self.unread.is_empty() && self.letters.is_empty() && self.ready.is_empty()) {
            return Duration::ZERO;
        }
        let next = self.alarms.next().map_or(self.sweep_at, |alarm| alarm.min(self.sweep_at));
        let patience = next.saturating_duration_since(Instant::now());
        if self.drain.is_some() || self.asks.send_waiting() { patience.min(SOON) } else { patience }
    }

    /// Takes in letters for a while; the rest waits for the next turn, and what comes meanwhile for the rest.
    fn take_in_letters(&mut self, post: &mut Vec<Letter>) {
        if self.letters.is_empty() {
            self.inbox.take(post);
            self.letters.extend(post.drain(..));
        }
        let begun = Instant::now();
        while !self.letters.is_empty() && !self.round.is_full() && begun.elapsed() < SHARE {
            for _ in 0..LETTERS {
                let Some(letter) = self.letters.pop_front() else { break };
                self.letter(letter);
            }
        }
    }

    /// Clients whose throttled rows go out now.
    fn ring_alarms(&mut self) {
        while let Some(key) = self.alarms.take_due(self.now) {
            let Some(client) = self.clients.get_mut(key as usize) else { continue };
            client.outbox.ring_alarm(self.now);
            self.set_alarm(key);
            self.mark_ready(key);
        }
    }

    /// Looks after the alarm of a client in whose outbox something may have changed.
    pub fn set_alarm(&mut self, key: u32) {
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        if let Some((at, alarm)) = client.outbox.alarm() {
            self.alarms.set(key, alarm, at);
        }
    }

    fn keep(&mut self) {
        self.asks.send_waiting();
        self.drain_step();
        if self.now >= self.sweep_at {
            self.sweep_at = self.now + SWEEP;
            self.sweep();
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
        self.meters.rows_in.increment(1);
        let seats = self.views.seats(row.frame.view);
        self.first_seat = self.first_seat.wrapping_add(0x9e37_79b9);
        let first = (seats.len() as u64 * u64::from(self.first_seat)) >> 32;
        let (last, first) = seats.split_at(usize::try_from(first).unwrap_or(0));
        let number = self.round.push(row);
        for seat in first.iter().chain(last) {
            let Some(client) = self.clients.get_mut(seat.client as usize) else { continue };
            match client.outbox.due(number, &self.round, seat.slot, self.now) {
                Due::Now if client.ready => {}
                Due::Now => {
                    client.ready = true;
                    self.ready.push_back((seat.client, number));
                }
                Due::Waits => {}
                Due::Later => {
                    if let Some((at, alarm)) = client.outbox.alarm() {
                        self.alarms.set(seat.client, alarm, at);
                    }
                }
            }
        }
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
            self.ready.push_back((key, self.round.next()));
        }
    }

    pub fn id(&self, key: u32) -> Option<ClientId> {
        let client = self.clients.get(key as usize)?;
        Some(ClientId { worker: self.index, key, generation: client.generation })
    }

    fn socket_event(&mut self, event: &mio::event::Event) {
        let Token(key) = event.token();
        let Ok(key) = u32::try_from(key) else { return };
        if event.is_writable() {
            self.mark_ready(key);
        }
        if event.is_readable() || event.is_read_closed() {
            self.mark_unread(key);
        }
    }
}
