//! RFC 6455 framing from the client's side: server frames out of bytes, masked client frames into bytes. Keeps no bytes
//! of an incomplete frame (the caller does), checks no UTF-8 (rows are compared as bytes, all else goes through serde),
//! and knows no extension, so every reserved bit is refused.
//!
//! Obeys <https://www.rfc-editor.org/rfc/rfc6455>, sections 5.1 to 5.5 and 7.4.

use thiserror::Error;

/// Largest frame and largest message that is taken from a server, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Largest payload of a control frame (section 5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// What a close frame without a code is reported as (section 7.1.5).
pub(crate) const CLOSE_NO_CODE: u16 = 1005;

/// What a connection that ends without a close frame is reported as (section 7.1.5).
pub(crate) const CLOSE_ABNORMAL: u16 = 1006;

/// How a server broke the framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    /// Reserved bits without an extension.
    #[error("reserved bits are set")]
    ReservedBits,
    /// A mask, which only clients use.
    #[error("a masked frame from a server")]
    Masked,
    /// An opcode without a meaning.
    #[error("an unknown opcode")]
    Opcode,
    /// A control frame in fragments or over 125 bytes.
    #[error("a control frame in fragments or too long")]
    Control,
    /// Over [`MESSAGE_BYTES_MAX`].
    #[error("a message over 1 MiB")]
    TooBig,
    /// A continuation of nothing, or a new message inside another.
    #[error("fragments out of order")]
    Fragments,
    /// The protocol is text.
    #[error("a binary message")]
    Binary,
}

/// The opcodes of section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn from_bits(bits: u8) -> Result<Self, FrameError> {
        match bits {
            0 => Ok(Self::Continuation),
            1 => Ok(Self::Text),
            2 => Ok(Self::Binary),
            8 => Ok(Self::Close),
            9 => Ok(Self::Ping),
            10 => Ok(Self::Pong),
            _ => Err(FrameError::Opcode),
        }
    }

    fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// One whole frame from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The last frame of its message.
    pub(crate) last: bool,
    pub(crate) opcode: Opcode,
    pub(crate) payload: &'a [u8],
}

/// Reads the frame at the beginning of `bytes` and how many bytes it took; `None` if it is not complete.
///
/// # Errors
/// [`FrameError`], as soon as the header shows it.
#[inline]
pub(crate) fn next(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let (last, opcode) = (first & 0x80 != 0, Opcode::from_bits(first & 0x0f)?);
    if first & 0x70 != 0 {
        return Err(FrameError::ReservedBits);
    }
    if second & 0x80 != 0 {
        return Err(FrameError::Masked);
    }
    let Some((len, header)) = payload_len(second & 0x7f, rest)? else { return Ok(None) };
    if opcode.is_control() && (!last || len > CONTROL_BYTES_MAX) {
        return Err(FrameError::Control);
    }
    let end = header + len;
    Ok(bytes.get(header..end).map(|payload| (Frame { last, opcode, payload }, end)))
}

/// The payload's length and where it begins in the frame.
#[inline]
fn payload_len(short: u8, rest: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let (len, header) = match short {
        126 => match rest.first_chunk::<2>() {
            Some(len) => (u64::from(u16::from_be_bytes(*len)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(len) => (u64::from_be_bytes(*len), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    match usize::try_from(len) {
        Ok(len) if len <= MESSAGE_BYTES_MAX => Ok(Some((len, header))),
        _ => Err(FrameError::TooBig),
    }
}

/// What frames amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A whole text message.
    Text(&'a [u8]),
    /// To be answered with a pong of the same payload.
    Ping(&'a [u8]),
    /// An answer to nothing we asked.
    Pong,
    /// The server ends the connection with this code.
    Close(u16),
}

/// Puts fragments together; holds nothing for messages of one frame.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    parts: Vec<u8>,
    open: bool,
}

impl Assembler {
    /// Takes the next frame; `None` while a message is incomplete.
    ///
    /// # Errors
    /// [`FrameError`].
    #[inline]
    pub(crate) fn take<'a>(&'a mut self, frame: Frame<'a>) -> Result<Option<Event<'a>>, FrameError> {
        match frame.opcode {
            Opcode::Text if frame.last && !self.open => Ok(Some(Event::Text(frame.payload))),
            Opcode::Text | Opcode::Continuation => self.fragment(frame),
            Opcode::Binary => Err(FrameError::Binary),
            Opcode::Ping => Ok(Some(Event::Ping(frame.payload))),
            Opcode::Pong => Ok(Some(Event::Pong)),
            Opcode::Close => Ok(Some(Event::Close(close_code(frame.payload)))),
        }
    }

    fn fragment<'a>(&'a mut self, frame: Frame<'a>) -> Result<Option<Event<'a>>, FrameError> {
        let continues = frame.opcode == Opcode::Continuation;
        if continues != self.open {
            return Err(FrameError::Fragments);
        }
        if !continues {
            self.parts.clear();
        }
        if self.parts.len() + frame.payload.len() > MESSAGE_BYTES_MAX {
            return Err(FrameError::TooBig);
        }
        self.parts.extend_from_slice(frame.payload);
        self.open = !frame.last;
        Ok(frame.last.then_some(Event::Text(&self.parts)))
    }
}

fn close_code(payload: &[u8]) -> u16 {
    payload.first_chunk().map_or(CLOSE_NO_CODE, |code| u16::from_be_bytes(*code))
}

/// Appends one whole client frame, masked with `mask` (section 5.3).
pub(crate) fn push(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: [u8; 4]) {
    out.push(0x80 | opcode as u8);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => out.push(0x80 | short),
        (_, Ok(middle)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests;
