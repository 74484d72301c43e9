//! Frames to the client: unmasked, never fragmented. RFC 6455 section 5.2.

use bytes::Bytes;
use tickwire_common::wire::close::CloseCode;

use super::Opcode;

/// Longest header of a server frame, in bytes.
pub const HEADER_BYTES_MAX: usize = 10;

/// Appends the header of a whole message of `len` bytes.
pub fn push_header(out: &mut Vec<u8>, opcode: Opcode, len: usize) {
    out.push(0x80 | opcode.bits());
    if let Ok(short @ 0..=125) = u8::try_from(len) {
        out.push(short);
    } else if let Ok(medium) = u16::try_from(len) {
        out.push(126);
        out.extend_from_slice(&medium.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
}

/// One whole message as a frame.
pub fn message(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_BYTES_MAX + payload.len());
    push_header(&mut out, opcode, payload.len());
    out.extend_from_slice(payload);
    out.into()
}

/// One whole text message as a frame.
pub fn text(payload: &[u8]) -> Bytes {
    message(Opcode::Text, payload)
}

/// A close frame with its code and short reason.
pub fn close(code: CloseCode) -> Bytes {
    close_raw(code.num(), code.as_str())
}

/// A close frame with any code; the reason is cut to what a control frame holds.
pub fn close_raw(code: u16, reason: &str) -> Bytes {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend(reason.bytes().take(123));
    message(Opcode::Close, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_takes_its_shortest_form() {
        let header = |len: usize| {
            let mut out = Vec::new();
            push_header(&mut out, Opcode::Text, len);
            out
        };
        assert_eq!(header(125), [0x81, 125]);
        assert_eq!(header(126), [0x81, 126, 0, 126]);
        assert_eq!(header(65_535), [0x81, 126, 255, 255]);
        assert_eq!(header(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_close_frame_fits_a_control_frame() {
        let frame = close_raw(1000, &"x".repeat(500));
        assert_eq!(frame.len(), 2 + 125);
        assert_eq!(close(CloseCode::Restart).get(2..4), Some(&1012u16.to_be_bytes()[..]));
    }
}
