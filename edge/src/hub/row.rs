//! A row framed once per encoding: the bytes that every client of a name shares.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tickwire_common::wire::encoding::{EdgeRow, Encoding, RowKind};

use crate::ws::Opcode;
use crate::ws::frame::{HEADER_BYTES_MAX, push_header};

/// What a client subscribes to: one name as clients write it, with its own framed rows. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewId(pub u32);

/// One row of one view as a whole WebSocket frame, made when the first client of an encoding needs it.
#[derive(Debug)]
pub struct RowFrame {
    /// Whose row.
    pub view: ViewId,
    /// The row's version.
    pub v: u64,
    /// Whether it is marked as stale.
    pub stale: bool,
    name: Arc<str>,
    venue: Option<Arc<str>>,
    row: Bytes,
    forms: [OnceLock<Form>; Encoding::COUNT],
}

/// The frame in one encoding.
#[derive(Debug)]
struct Form {
    bytes: Bytes,
    header_len: usize,
    /// Where the mark of a skipped client goes.
    mark: Range<usize>,
}

impl RowFrame {
    /// A row that passed [`tickwire_common::row::check`]; `venue` where the name does not say it.
    pub fn new(
        view: ViewId,
        name: Arc<str>,
        venue: Option<Arc<str>>,
        stale: bool,
        v: u64,
        row: Bytes,
    ) -> Self {
        Self { view, v, stale, name, venue, row, forms: Default::default() }
    }

    /// The venue, where the name does not say it.
    pub fn venue(&self) -> Option<&str> {
        self.venue.as_deref()
    }

    /// The same row with another word on its feed.
    pub fn marked(&self, stale: bool) -> Self {
        let (name, venue) = (Arc::clone(&self.name), self.venue.clone());
        Self::new(self.view, name, venue, stale, self.v, self.row.clone())
    }

    fn form(&self, encoding: Encoding) -> &Form {
        // The index is below the number of encodings.
        static NONE: Form = Form { bytes: Bytes::new(), header_len: 0, mark: 0..0 };
        self.forms.get(encoding.index()).map_or(&NONE, |place| place.get_or_init(|| self.frame(encoding)))
    }

    fn frame(&self, encoding: Encoding) -> Form {
        let open = encoding.open(RowKind::Update);
        let mut payload = Vec::with_capacity(open.len() + self.name.len() + self.row.len() + 64);
        payload.extend_from_slice(open);
        let row = EdgeRow {
            name: &self.name,
            id: self.view.0,
            venue: self.venue.as_deref(),
            stale: self.stale,
            row: &self.row,
        };
        let mark = encoding.push_row(&mut payload, &row);
        payload.extend_from_slice(encoding.close());
        let mut bytes = Vec::with_capacity(HEADER_BYTES_MAX + payload.len());
        push_header(&mut bytes, Opcode::Text, payload.len());
        let header_len = bytes.len();
        bytes.extend_from_slice(&payload);
        Form { bytes: bytes.into(), header_len, mark: header_len + mark.start..header_len + mark.end }
    }

    /// The whole frame.
    pub fn bytes(&self, encoding: Encoding) -> &[u8] {
        &self.form(encoding).bytes
    }

    /// The row alone, for a snapshot of many.
    pub fn object(&self, encoding: Encoding) -> &[u8] {
        let form = self.form(encoding);
        let start = form.header_len + encoding.open(RowKind::Update).len();
        form.bytes.get(start..form.bytes.len() - encoding.close().len()).unwrap_or_default()
    }

    /// Appends the frame with the number of rows that were folded into it for one client.
    pub fn push_skipped(&self, out: &mut Vec<u8>, skipped: u32, encoding: Encoding) {
        let form = self.form(encoding);
        if skipped == 0 {
            out.extend_from_slice(&form.bytes);
            return;
        }
        let mut mark = Vec::with_capacity(24);
        encoding.push_skipped(&mut mark, skipped);
        let head = form.bytes.get(form.header_len..form.mark.start).unwrap_or_default();
        let tail = form.bytes.get(form.mark.end..).unwrap_or_default();
        push_header(out, Opcode::Text, head.len() + mark.len() + tail.len());
        for part in [head, &mark, tail] {
            out.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use tickwire_common::row::read_v;

    fn vectors() -> Vec<Value> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../common/vectors/rows.json");
        let read: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        read["updates"].as_array().unwrap().clone()
    }

    fn frame(vector: &Value) -> RowFrame {
        let row = vector["row"].as_str().unwrap().to_owned();
        RowFrame::new(
            ViewId(vector["id"].as_u64().unwrap() as u32),
            vector["name"].as_str().unwrap().into(),
            vector["venue"].as_str().map(Arc::from),
            vector["stale"] == true,
            read_v(row.as_bytes()).unwrap(),
            row.into(),
        )
    }

    #[test]
    fn frames_are_those_of_the_vectors() {
        let keys = ["json", "json_string", "array", "array_string"];
        for vector in vectors() {
            let (frame, skipped) = (frame(&vector), vector["skipped"].as_u64().unwrap() as u32);
            for (encoding, key) in Encoding::ALL.into_iter().zip(keys) {
                let expected = vector["frames"][key].as_str().unwrap();
                let mut out = Vec::new();
                frame.push_skipped(&mut out, skipped, encoding);
                assert_eq!(out, crate::ws::frame::text(expected.as_bytes()), "{expected}");
            }
        }
    }

    #[test]
    fn one_frame_serves_updates_snapshots_and_slow_clients() {
        let row = Bytes::from_static(br#"{"v":7,"price":1.5}"#);
        let frame = RowFrame::new(ViewId(1), "BTC/USDT".into(), Some("binance".into()), false, 7, row);
        for (encoding, object) in [
            (Encoding::Json, r#"{"symbol":"BTC/USDT","venue":"binance","v":7,"price":1.5}"#),
            (Encoding::Array, r#"[1,7,0,0,1.5,null,null,null,null,null,null,null,null,"binance"]"#),
        ] {
            assert_eq!(frame.object(encoding), object.as_bytes());
            let (open, close) = (encoding.open(RowKind::Update), encoding.close());
            let update = crate::ws::frame::text(&[open, object.as_bytes(), close].concat());
            assert_eq!(frame.bytes(encoding), update);
            let mut out = Vec::new();
            frame.push_skipped(&mut out, 0, encoding);
            assert_eq!(out, update);
        }
    }
}
