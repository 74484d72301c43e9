//! The part of a turn that reads what clients send, a while at a time, and no client for long.

use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::time::Instant;

use super::worker::{SHARE, Worker};
use crate::ws::parser::Message;

/// Read at a time, in bytes.
pub(super) const READ_BYTES: usize = 64 << 10;

/// Reads of one client in a row before the others have their turn.
const READS_MAX: usize = 4;

/// What a client said, out of the read buffer.
#[derive(Debug)]
pub(super) enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

impl Worker {
    pub fn mark_unread(&mut self, key: u32) {
        if let Some(client) = self.clients.get_mut(key as usize)
            && !client.unread
        {
            client.unread = true;
            self.unread.push_back(key);
        }
    }

    /// Reads what clients have sent, for a while.
    pub fn read_on(&mut self) {
        let begun = Instant::now();
        for _ in 0..self.unread.len() {
            let Some(key) = self.unread.pop_front() else { return };
            self.read(key);
            if begun.elapsed() >= SHARE {
                return;
            }
        }
    }

    pub fn read(&mut self, key: u32) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let drained = self.read_some(key, &mut buffer);
        self.buffer = buffer;
        if !drained {
            self.mark_unread(key);
        }
    }

    /// Gives whether nothing more is there to be read.
    fn read_some(&mut self, key: u32, buffer: &mut [u8]) -> bool {
        if let Some(client) = self.clients.get_mut(key as usize) {
            client.unread = false;
        }
        for _ in 0..READS_MAX {
            let Some(client) = self.clients.get_mut(key as usize) else { return true };
            match client.socket.read(buffer) {
                Ok(0) => self.drop_client(key, "gone"),
                Ok(len) => {
                    self.meters.bytes_in.increment(len as u64);
                    self.take_in(key, buffer.get_mut(..len).unwrap_or_default());
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.drop_client(key, reason(&error)),
            }
            return true;
        }
        false
    }

    /// Takes in bytes of a client.
    pub fn take_in(&mut self, key: u32, input: &mut [u8]) {
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
pub(super) fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset",
        io::ErrorKind::TimedOut => "timed_out",
        _ => "socket_error",
    }
}
