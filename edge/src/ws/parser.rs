//! Frames from the client. Reads in place from the caller's buffer and keeps only what is incomplete, so that an idle
//! connection costs nothing. RFC 6455 sections 5.2 to 5.5, 7.4 and 8.1.

use std::ops::ControlFlow;

use super::{Opcode, WsError};

/// A message or control frame of the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// To be answered with the same payload.
    Ping(&'a [u8]),
    /// An answer to our ping, or unasked.
    Pong(&'a [u8]),
    /// The client ends the connection, with its code if it gave one.
    Close(Option<u16>),
}

/// State between reads.
#[derive(Debug)]
pub struct Parser {
    message_bytes_max: usize,
    /// An incomplete frame.
    partial: Vec<u8>,
    /// The fragments of an incomplete message.
    fragments: Option<Box<Fragments>>,
}

#[derive(Debug)]
struct Fragments {
    opcode: Opcode,
    payload: Vec<u8>,
    /// How much of `payload` is known to be whole UTF-8 characters.
    checked: usize,
}

struct Header {
    fin: bool,
    opcode: Opcode,
    mask: [u8; 4],
    /// Where the payload begins.
    start: usize,
    len: usize,
}

impl Parser {
    /// Reads messages of at most so many bytes.
    pub fn new(message_bytes_max: usize) -> Self {
        Self { message_bytes_max, partial: Vec::new(), fragments: None }
    }

    /// Takes in what the socket gave and hands every complete message to `sink`, until it breaks.
    ///
    /// # Errors
    /// [`WsError`]: the connection must be closed; nothing more may be fed.
    pub fn feed<F>(&mut self, input: &mut [u8], mut sink: F) -> Result<(), WsError>
    where
        F: FnMut(Message<'_>) -> ControlFlow<()>,
    {
        if self.partial.is_empty() {
            let used = self.run(input, &mut sink)?;
            self.partial.extend_from_slice(input.get(used..).unwrap_or_default());
            return Ok(());
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(input);
        let used = self.run(&mut whole, &mut sink)?;
        if used < whole.len() {
            whole.drain(..used);
            self.partial = whole;
        }
        Ok(())
    }

    /// Reads frames from the front of `input`; gives how many bytes were used. Bytes after a break count as used.
    fn run<F>(&mut self, input: &mut [u8], sink: &mut F) -> Result<usize, WsError>
    where
        F: FnMut(Message<'_>) -> ControlFlow<()>,
    {
        let mut used = 0;
        while let Some(rest) = input.get_mut(used..) {
            let Some(header) = self.header(rest)? else { break };
            let end = header.start + header.len;
            let Some(payload) = rest.get_mut(header.start..end) else { break };
            unmask(payload, header.mask);
            used += end;
            if self.frame(&header, payload, sink)?.is_break() {
                return Ok(input.len());
            }
        }
        Ok(used)
    }

    /// Reads and judges a header; `None` while it is incomplete. The size is judged before the payload is waited for.
    fn header(&self, input: &[u8]) -> Result<Option<Header>, WsError> {
        let [first, second, ..] = *input else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(WsError::Protocol("reserved bit without extension"));
        }
        let opcode = Opcode::read(first).ok_or(WsError::Protocol("unknown opcode"))?;
        let fin = first & 0x80 != 0;
        if second & 0x80 == 0 {
            return Err(WsError::Protocol("client frame without mask"));
        }
        if opcode.is_control() && (!fin || second & 0x7F > 125) {
            return Err(WsError::Protocol("control frame over 125 bytes or in fragments"));
        }
        let Some((len, at)) = length(input, second & 0x7F)? else { return Ok(None) };
        self.judge(opcode, len)?;
        let Some(mask) = input.get(at..at + 4).and_then(|mask| mask.try_into().ok()) else { return Ok(None) };
        Ok(Some(Header { fin, opcode, mask, start: at + 4, len }))
    }

    fn judge(&self, opcode: Opcode, len: usize) -> Result<(), WsError> {
        match (opcode, &self.fragments) {
            (Opcode::Continuation, None) => Err(WsError::Protocol("continuation without beginning")),
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(WsError::Protocol("message inside a message")),
            (Opcode::Continuation, Some(begun)) if begun.payload.len() + len > self.message_bytes_max => {
                Err(WsError::TooBig)
            }
            (Opcode::Text | Opcode::Binary, None) if len > self.message_bytes_max => Err(WsError::TooBig),
            _ => Ok(()),
        }
    }

    fn frame<F>(&mut self, header: &Header, payload: &[u8], sink: &mut F) -> Result<ControlFlow<()>, WsError>
    where
        F: FnMut(Message<'_>) -> ControlFlow<()>,
    {
        match header.opcode {
            Opcode::Ping => Ok(sink(Message::Ping(payload))),
            Opcode::Pong => Ok(sink(Message::Pong(payload))),
            Opcode::Close => Ok(sink(Message::Close(close_code(payload)?))),
            Opcode::Text if header.fin => {
                Ok(sink(Message::Text(std::str::from_utf8(payload).map_err(|_| WsError::Utf8)?)))
            }
            Opcode::Binary if header.fin => Ok(sink(Message::Binary(payload))),
            opcode => self.fragment(opcode, header.fin, payload, sink),
        }
    }

    fn fragment<F>(
        &mut self,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
        sink: &mut F,
    ) -> Result<ControlFlow<()>, WsError>
    where
        F: FnMut(Message<'_>) -> ControlFlow<()>,
    {
        let begun = self
            .fragments
            .get_or_insert_with(|| Box::new(Fragments { opcode, payload: Vec::new(), checked: 0 }));
        begun.payload.extend_from_slice(payload);
        if begun.opcode == Opcode::Text {
            begun.check_utf8()?;
        }
        if !fin {
            return Ok(ControlFlow::Continue(()));
        }
        let Some(whole) = self.fragments.take() else { return Ok(ControlFlow::Continue(())) };
        match whole.opcode {
            Opcode::Text => {
                Ok(sink(Message::Text(std::str::from_utf8(&whole.payload).map_err(|_| WsError::Utf8)?)))
            }
            _ => Ok(sink(Message::Binary(&whole.payload))),
        }
    }
}

impl Fragments {
    /// Fails at the first byte that can no longer become UTF-8; a character may be cut by the fragment's end.
    fn check_utf8(&mut self) -> Result<(), WsError> {
        let fresh = self.payload.get(self.checked..).unwrap_or_default();
        match std::str::from_utf8(fresh) {
            Ok(_) => self.checked = self.payload.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(WsError::Utf8),
        }
        Ok(())
    }
}

/// The payload length and where the mask begins.
fn length(input: &[u8], short: u8) -> Result<Option<(usize, usize)>, WsError> {
    let long = match short {
        126 => input.get(2..4).and_then(|b| b.try_into().ok()).map(|b| (u64::from(u16::from_be_bytes(b)), 4)),
        127 => input.get(2..10).and_then(|b| b.try_into().ok()).map(|b| (u64::from_be_bytes(b), 10)),
        _ => return Ok(Some((usize::from(short), 2))),
    };
    let Some((len, at)) = long else { return Ok(None) };
    let shortest = if short == 126 { 126 } else { 65_536 };
    if len < shortest || len >> 63 != 0 {
        return Err(WsError::Protocol("length not in its shortest form"));
    }
    usize::try_from(len).map(|len| Some((len, at))).map_err(|_| WsError::TooBig)
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let word = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// The code of a close frame; RFC 6455 section 7.4 says which may be sent.
fn close_code(payload: &[u8]) -> Result<Option<u16>, WsError> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(WsError::Protocol("close code of one byte")) };
    };
    std::str::from_utf8(reason).map_err(|_| WsError::Utf8)?;
    match u16::from_be_bytes([*high, *low]) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Some(code)),
        _ => Err(WsError::Protocol("close code that may not be sent")),
    }
}

#[cfg(test)]
mod tests;
