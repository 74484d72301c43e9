//! One market data frame, formatted once and shared by every socket that wants it.

use std::ops::Range;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// A frame in its wrapped form, which holds the bare form as a part: `{"stream":"..","data":BODY}`. A venue without
/// wrapping has a body that is the whole.
#[derive(Clone, Debug)]
pub struct Frame {
    text: Bytes,
    body: Range<usize>,
}

impl Frame {
    /// A frame whose bare form is `text[body]`; a body out of range means the whole text.
    pub fn new(text: Bytes, body: Range<usize>) -> Self {
        let body = if text.get(body.clone()).is_some() { body } else { 0..text.len() };
        Self { text, body }
    }

    /// A frame without wrapping.
    pub fn whole(text: Bytes) -> Self {
        let body = 0..text.len();
        Self { text, body }
    }

    /// The message for a socket, with or without the wrapping.
    pub fn message(&self, wrapped: bool) -> Message {
        let bytes = if wrapped { self.text.clone() } else { self.text.slice(self.body.clone()) };
        // Frames are built from text; bytes that are none would be the recording's own, and are sent as they are.
        match Utf8Bytes::try_from(bytes.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(bytes),
        }
    }
}
