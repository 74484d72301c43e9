//! One simulated client as a state machine: bytes and time in; bytes to send, checks and counts out. No socket, no clock.
//! It shakes hands, waits for the welcome, subscribes within the limits that the welcome names, and takes rows.

use std::fmt::Write as _;

use thiserror::Error;

use super::bench::{Bench, Receipt};
use super::delivery::Slots;
use super::frame::{self, Assembler, Event, FrameError, Opcode};
use super::handshake::{self, HandshakeError};
use super::notice::{self, Limits, Notice};
use super::scan::{self, RowHead};

/// A server that pings without reading gets no more pongs once this many bytes wait.
const OUTBOX_BYTES_MAX: usize = 64 * 1024;

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
    /// Over.
    Ended,
}

impl Stage {
    /// What did not come, if it ends here for lack of time.
    pub(crate) fn lacks(self) -> &'static str {
        match self {
            Self::Waiting | Self::Connecting => "connect: timed out",
            Self::Upgrading => "handshake: timed out",
            Self::Greeting => "welcome: timed out",
            Self::Subscribing | Self::Live | Self::Ended => "subscribe: timed out",
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
    pub(crate) slots: Slots,
    assembler: Assembler,
    limits: Limits,
    /// How many of its symbols it has asked for.
    asked: usize,
    asked_us: u64,
}

impl Client {
    /// A client that will ask for the symbols of `slots`.
    pub(crate) fn new(slots: Slots) -> Self {
        let (assembler, limits) = (Assembler::default(), Limits::default());
        Self { stage: Stage::Waiting, slots, assembler, limits, asked: 0, asked_us: 0 }
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
            let Some(head) = handshake::read_answer(bytes)? else { return Ok(0) };
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
                // Echo the code where there is one (RFC 6455 section 5.5.1).
                let echo = code.to_be_bytes();
                push(out, Opcode::Close, if code == frame::CLOSE_NO_CODE { &[] } else { &echo });
                return Err(End::Closed(code));
            }
        }
        Ok(())
    }

    #[inline]
    fn text(&mut self, text: &[u8], now_us: u64, bench: &mut Bench, out: &mut Vec<u8>) {
        bench.tally.messages += 1;
        match scan::ticker(text) {
            Some((kind, rows)) => bench.rows(&self.receipt(now_us), kind, rows),
            None => match notice::parse(text) {
                Ok(notice) => self.notice(notice, now_us, bench, out),
                Err(_) => bench.tally.malformed += 1,
            },
        }
    }

    fn receipt(&self, now_us: u64) -> Receipt {
        Receipt { slots: self.slots, asked_us: self.asked_us, now_us }
    }

    fn notice(&mut self, notice: Notice, now_us: u64, bench: &mut Bench, out: &mut Vec<u8>) {
        match notice {
            Notice::Welcome(limits) if self.stage == Stage::Greeting => {
                (self.limits, self.asked_us) = (limits, now_us);
                self.stage = Stage::Subscribing;
                self.ask(bench, out);
            }
            Notice::Welcome(_) | Notice::Other => {}
            Notice::Subscribed { taken, refused } => self.subscribed(taken, refused, bench, out),
            Notice::Error(code) => bench.tally.server_errors.add(code),
            Notice::Rows(kind, rows) => {
                let receipt = self.receipt(now_us);
                for row in rows {
                    let head = RowHead { name: row.symbol.as_bytes(), v: row.v, skipped: row.skipped };
                    bench.row(&receipt, kind, &head);
                }
            }
            Notice::SlowReader => bench.tally.slow_reader += 1,
            Notice::GoingAway => bench.tally.going_away += 1,
            Notice::FeedStatus => bench.tally.feed_status += 1,
            Notice::Heartbeat => bench.tally.heartbeats += 1,
        }
    }

    fn subscribed(&mut self, taken: u64, refused: Vec<String>, bench: &mut Bench, out: &mut Vec<u8>) {
        bench.tally.symbols_taken += taken;
        for code in refused {
            bench.tally.refusals.add(code);
        }
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
        let _ = write!(request, r#"],"snapshot":true}},"req_id":{}}}"#, self.asked);
        push(out, Opcode::Text, request.as_bytes());
    }

    fn fits(&self, count: usize, bytes: usize, name: &str) -> bool {
        const TAIL_BYTES: usize = 64;
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
