//! A row framed once: the bytes that every client of a name shares.

use bytes::Bytes;
use tickwire_common::wire::frame::{DATA_CLOSE, Marks, UPDATE_OPEN, push_row_open, push_row_rest};

use crate::ws::Opcode;
use crate::ws::frame::{HEADER_BYTES_MAX, push_header};

/// What a client subscribes to: one name as clients write it, with its own framed rows. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewId(pub u32);

/// One row of one view as a whole WebSocket frame.
#[derive(Debug, PartialEq, Eq)]
pub struct RowFrame {
    /// Whose row.
    pub view: ViewId,
    /// The row's version.
    pub v: u64,
    /// Whether it was framed as stale.
    pub stale: bool,
    bytes: Bytes,
    header_len: usize,
    /// Where marks go: behind the name.
    marks_at: usize,
}

impl RowFrame {
    /// Frames a row that passed [`tickwire_common::row::check`].
    pub fn new(view: ViewId, name: &str, marks: &Marks<'_>, v: u64, row: &[u8]) -> Self {
        let mut payload = Vec::with_capacity(UPDATE_OPEN.len() + name.len() + row.len() + 64);
        payload.extend_from_slice(UPDATE_OPEN);
        push_row_open(&mut payload, name);
        let marks_at = payload.len();
        marks.push(&mut payload);
        push_row_rest(&mut payload, row);
        payload.extend_from_slice(DATA_CLOSE);
        let mut bytes = Vec::with_capacity(HEADER_BYTES_MAX + payload.len());
        push_header(&mut bytes, Opcode::Text, payload.len());
        let header_len = bytes.len();
        bytes.extend_from_slice(&payload);
        Self { view, v, stale: marks.stale, bytes: bytes.into(), header_len, marks_at: header_len + marks_at }
    }

    /// The whole frame.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The row object alone, for a snapshot of many.
    pub fn object(&self) -> &[u8] {
        let start = self.header_len + UPDATE_OPEN.len();
        self.bytes.get(start..self.bytes.len() - DATA_CLOSE.len()).unwrap_or_default()
    }

    /// Appends the frame with the number of rows that were folded into it for one client.
    pub fn push_skipped(&self, out: &mut Vec<u8>, skipped: u32) {
        if skipped == 0 {
            out.extend_from_slice(&self.bytes);
            return;
        }
        let mut mark = Vec::with_capacity(24);
        Marks { skipped, ..Marks::default() }.push(&mut mark);
        let (head, tail) = self.bytes.split_at(self.marks_at);
        let head = head.get(self.header_len..).unwrap_or_default();
        push_header(out, Opcode::Text, head.len() + mark.len() + tail.len());
        for part in [head, &mark, tail] {
            out.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_frame_serves_updates_snapshots_and_slow_clients() {
        let marks = Marks { venue: Some("binance"), ..Marks::default() };
        let frame = RowFrame::new(ViewId(1), "BTC/USDT", &marks, 7, br#"{"v":7,"price":1.5}"#);
        let object = r#"{"symbol":"BTC/USDT","venue":"binance","v":7,"price":1.5}"#;
        let update = format!(r#"{{"channel":"ticker","type":"update","data":[{object}]}}"#);
        assert_eq!(frame.object(), object.as_bytes());
        assert_eq!(frame.bytes(), crate::ws::frame::text(update.as_bytes()));
        let mut out = Vec::new();
        frame.push_skipped(&mut out, 0);
        assert_eq!(out, frame.bytes());
        let mut out = Vec::new();
        frame.push_skipped(&mut out, 12);
        let skipped = update.replace(r#""BTC/USDT","#, r#""BTC/USDT","skipped":12,"#);
        assert_eq!(out, crate::ws::frame::text(skipped.as_bytes()));
    }
}
