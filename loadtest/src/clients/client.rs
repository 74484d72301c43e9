//! One simulated client as a state machine: bytes and time in; bytes to send, checks and counts out. No socket, no clock.
//! It shakes hands, waits for the welcome, subscribes within the limits that the welcome names, and takes rows.

use std::fmt::Write as _;

use thiserror::Error;

use super::array::{self, Ids};
use super::bench::{Bench, Receipt};
use super::class::Class;
use super::delivery::Slots;
use super::frame::{self, Assembler, Event, FrameError, Opcode};
use super::handshake::{self, Encoding, HandshakeError};
use super::notice::{self, Ack, Limits, Notice};
use super::pulse::Pulse;
use super::scan::{self, RowHead};

/// A server that pings without reading gets no more pongs once this many bytes wait.
const OUTBOX_BYTES_MAX: usize = 64 * 1024;

/// What is asked for again after a return reaches back so far before the newest `v`, µs: for rows that were under way
/// (docs/WIRE.md, "Rows").
const SINCE_SLACK_US: u64 = 2_000_000;

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Its turn has not come.
    Waiting,
    /// The kernel connects.
    Connecting,
    /// The request is out, the answer is not in.
    Upgrading,
    /// A WebSocket, not yet welcomed.
    Greeting,
    /// Asked, and not all answered.
    Subscribing,
    /// Everything that it asked for was answered.
    Live,
    /// It has said goodbye and waits for the answer.
    Leaving,
    /// Without a connection, but it will come back.
    Away,
    /// Over.
    Ended,
}

impl Stage {
    /// Whether it is between the begin of a connection and its last ack.
    pub(crate) fn is_settling(self) -> bool {
        (Self::Connecting..Self::Live).contains(&self)
    }

    /// What did not come, if it ends here for lack of time.
    pub(crate) fn lacks(self) -> &'static str {
        match self {
            Self::Waiting | Self::Connecting => "connect: timed out",
            Self::Upgrading => "handshake: timed out",
            Self::Greeting => "welcome: timed out",
            Self::Subscribing | Self::Live | Self::Leaving | Self::Away | Self::Ended => {
                "subscribe: timed out"
            }
        }
    }
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum End {
    /// The server's answer is not a WebSocket.
    #[error("handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// The server broke the framing.
    #[error("framing: {0}")]
    Framing(#[from] FrameError),
    /// The server closed with this code.
    #[error("closed with {0}")]
    Closed(u16),
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stage: Stage,
    pub(crate) class: Class,
    pub(crate) slots: Slots,
    /// How long it was without rows.
    pub(crate) pulse: Pulse,
    /// When the server, which is about to end, wants it back, in ms from then.
    pub(crate) back_after_ms: Option<u64>,
    encoding: Encoding,
    assembler: Assembler,
    limits: Limits,
    ids: Ids,
    /// How many of its symbols it has asked for.
    asked: usize,
    asked_us: u64,
    /// Rows up to this `v` are not wanted again; 0 on the first connection.
    since_v: u64,
}

impl Client {
    /// A client that will ask for the symbols of `slots`.
    pub(crate) fn new(class: Class, slots: Slots, encoding: Encoding) -> Self {
        Self {
            stage: Stage::Waiting,
            class,
            slots,
            pulse: Pulse::default(),
            back_after_ms: None,
            encoding,
            assembler: Assembler::default(),
            limits: Limits::default(),
            ids: Ids::default(),
            asked: 0,
            asked_us: 0,
            since_v: 0,
        }
    }

    /// Begins a connection, the first or another, for a client that has rows up to `newest_v`.
    pub(crate) fn connect(&mut self, newest_v: u64) {
        self.stage = Stage::Connecting;
        self.since_v = newest_v.saturating_sub(SINCE_SLACK_US);
        self.back_after_ms = None;
        (self.assembler, self.limits) = (Assembler::default(), Limits::default());
        self.ids.forget();
        self.asked = 0;
    }

    /// Takes what was read, appends answers to `out`, and says how many bytes were used; the rest is to be handed in
    /// again with more behind it.
    ///
    /// # Errors
    /// [`End`], when the connection is over.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        now_us: u64,
        bench: &mut Bench,
        out: &mut Vec<u8>,
    ) -> Result<usize, End> {
        let mut used = 0;
        if self.stage == Stage::Upgrading {
            let Some(head) = handshake::read_answer(bytes, self.encoding)? else { return Ok(0) };
            used = head;
            self.stage = Stage::Greeting;
        }
        while let Some((frame, len)) = frame::next(bytes.get(used..).unwrap_or_default())? {
            used += len;
            // Lent out while an event may borrow from it.
            let mut assembler = std::mem::take(&mut self.assembler);
            let result = match assembler.take(frame) {
                Ok(Some(event)) => self.event(event, now_us, bench, out),
                Ok(None) => Ok(()),
                Err(error) => Err(error.into()),
            };
            self.assembler = assembler;
            result?;
        }
        Ok(used)
    }

    #[inline]
    fn event(
        &mut self,
        event: Event<'_>,
        now_us: u64,
        bench: &mut Bench,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        match event {
            Event::Text(text) => self.text(text, now_us, bench, out),
            Event::Ping(payload) if out.len() < OUTBOX_BYTES_MAX => push(out, Opcode::Pong, payload),
            Event::Ping(_) | Event::Pong => {}
            Event::Close(code) => {
                // Echo the code where there is one (RFC 6455 section 5.5.1), unless it is an echo itself.
                let echo = code.to_be_bytes();
                if self.stage != Stage::Leaving {
                    push(out, Opcode::Close, if code == frame::CLOSE_NO_CODE { &[] } else { &echo });
                }
                return Err(End::Closed(code));
            }
        }
        Ok(())
    }

    #[inline]
    fn text(&mut self, text: &[u8], now_us: u64, bench: &mut Bench, out: &mut Vec<u8>) {
        bench.tally.messages += 1;
        let receipt = self.receipt(now_us);
        if let Some((kind, rows)) = scan::ticker(text) {
            self.pulse.beat(now_us);
            bench.rows(&receipt, kind, rows);
        } else if let Some((kind, rows)) = array::ticker(text) {
            self.pulse.beat(now_us);
            bench.numbered_rows(&receipt, kind, rows, &self.ids);
        } else {
            match notice::parse(text) {
                Ok(notice) => self.notice(notice, now_us, bench, out),
                Err(_) => bench.tally.malformed += 1,
            }
        }
    }

    fn receipt(&self, now_us: u64) -> Receipt {
        Receipt { class: self.class, slots: self.slots, asked_us: self.asked_us, now_us }
    }

    fn notice(&mut self, notice: Notice, now_us: u64, bench: &mut Bench, out: &mut Vec<u8>) {
        match notice {
            Notice::Welcome(limits) if self.stage == Stage::Greeting => {
                (self.limits, self.asked_us) = (limits, now_us);
                self.stage = Stage::Subscribing;
                self.ask(bench, out);
            }
            Notice::Welcome(_) | Notice::Other => {}
            Notice::Subscribed(ack) => self.subscribed(ack, bench, out),
            Notice::Error(code) => bench.tally.server_errors.add(code),
            Notice::Rows(kind, rows) => {
                self.pulse.beat(now_us);
                let receipt = self.receipt(now_us);
                for row in rows {
                    let head = RowHead { name: row.symbol.as_bytes(), v: row.v, skipped: row.skipped };
                    bench.row(&receipt, kind, &head);
                }
            }
            Notice::SlowReader => {
                bench.classes.of(self.class).slow_reader += 1;
                bench.tally.slow_reader += u64::from(self.class == Class::Steady);
            }
            Notice::GoingAway(after_ms) => {
                self.back_after_ms = after_ms;
                bench.tally.going_away += 1;
            }
            Notice::FeedStatus => bench.tally.feed_status += 1,
            Notice::Heartbeat => bench.tally.heartbeats += 1,
        }
    }

    fn subscribed(&mut self, ack: Ack, bench: &mut Bench, out: &mut Vec<u8>) {
        bench.tally.symbols_taken += ack.taken;
        for code in ack.refused {
            bench.tally.refusals.add(code);
        }
        self.ids.learn(ack.ids.iter().filter_map(|(name, id)| Some((*id, bench.symbol(name)?))));
        if self.stage == Stage::Subscribing {
            self.ask(bench, out);
        }
    }

    /// Asks for as many more symbols as one request may hold; one request at a time keeps within any message rate.
    fn ask(&mut self, bench: &Bench, out: &mut Vec<u8>) {
        let mut names = bench.names(self.slots).skip(self.asked).peekable();
        if names.peek().is_none() {
            self.stage = Stage::Live;
            return;
        }
        let mut request = r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["#.to_owned();
        let mut count = 0;
        while let Some(name) = names.next_if(|name| count == 0 || self.fits(count, request.len(), name)) {
            // Names are symbols, which need no escape; writing to a String does not fail.
            let _ = write!(request, "{}\"{name}\"", if count == 0 { "" } else { "," });
            count += 1;
        }
        self.asked += count;
        let _ = match self.since_v {
            0 => write!(request, r#"],"snapshot":true}},"req_id":{}}}"#, self.asked),
            since => write!(request, r#"],"snapshot":true,"since":{since}}},"req_id":{}}}"#, self.asked),
        };
        push(out, Opcode::Text, request.as_bytes());
    }

    fn fits(&self, count: usize, bytes: usize, name: &str) -> bool {
        const TAIL_BYTES: usize = 96;
        count < self.limits.symbols_per_request
            && bytes + name.len() + TAIL_BYTES <= self.limits.message_bytes
    }
}

/// Appends a client frame with a fresh mask.
pub(crate) fn push(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    frame::push(out, opcode, payload, fastrand::u32(..).to_ne_bytes());
}

#[cfg(test)]
mod tests;
