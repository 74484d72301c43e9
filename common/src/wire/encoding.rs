//! How rows look on the wire. A client chooses once, at the upgrade; each row is framed once per choice. Digits are the
//! publisher's in all of them.

use std::ops::Range;

use super::fields::fields;
use super::frame::{DATA_CLOSE, Marks, SNAPSHOT_OPEN, UPDATE_OPEN, push_row_open, push_row_rest};
use super::{SUBPROTOCOL_ARRAY, SUBPROTOCOL_JSON};
use crate::row::read_v;

/// Whether a row is an object or a list of columns: the subprotocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Layout {
    /// Objects, `tickwire.v1.json`; what a client without an offer gets.
    #[default]
    Json,
    /// Lists in the order of [`COLS`], `tickwire.v1.array`.
    Array,
}

/// How the decimals of a row are written: `?numbers=` of the upgrade. Counts and times are numbers in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Numbers {
    /// JSON numbers, `number`.
    #[default]
    Number,
    /// JSON strings, `string`, for readers that would make floats of numbers.
    String,
}

/// A client's choice of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// Objects; numbers are numbers.
    #[default]
    Json,
    /// Objects; decimals are strings.
    JsonString,
    /// Lists; numbers are numbers.
    Array,
    /// Lists; decimals are strings.
    ArrayString,
}

/// Whether rows are the state at a subscribe or news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// The newest rows, after a subscribe.
    Snapshot,
    /// A row as it came.
    Update,
}

/// A row and what the edge knows beside it.
#[derive(Debug, Clone, Copy)]
pub struct EdgeRow<'a> {
    /// As the client wrote it: a [`crate::symbol::Symbol`] or a topic.
    pub name: &'a str,
    /// The name's number on this edge.
    pub id: u32,
    /// The venue, where the name does not say it.
    pub venue: Option<&'a str>,
    /// The row's feed is not live.
    pub stale: bool,
    /// The row as it came from NATS; it has passed [`crate::row::check`].
    pub row: &'a [u8],
}

/// The decimal fields of a row, in the order of their columns.
const DECIMALS: [&str; 8] = ["price", "bid", "ask", "change", "percent_change", "volume", "high", "low"];

/// The columns of a row in [`Layout::Array`], told in the reply to a subscribe. New ones come behind these.
pub const COLS: [&str; 14] = [
    "id",
    "v",
    "skipped",
    "stale",
    "price",
    "bid",
    "ask",
    "change",
    "percent_change",
    "volume",
    "high",
    "low",
    "ts",
    "venue",
];

/// Columns that are fields of the row: [`DECIMALS`] and `ts`.
const CELLS: usize = DECIMALS.len() + 1;

const NULL: &[u8] = b"null";

impl Layout {
    /// The subprotocol's name in `Sec-WebSocket-Protocol`.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => SUBPROTOCOL_JSON,
            Self::Array => SUBPROTOCOL_ARRAY,
        }
    }

    /// The layout of a subprotocol that a client offers.
    pub fn of_subprotocol(name: &str) -> Option<Self> {
        [Self::Json, Self::Array].into_iter().find(|layout| layout.subprotocol() == name)
    }
}

/// `numbers` has a value that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("numbers: \"number\" or \"string\"; leave it out for JSON numbers")]
pub struct UnknownNumbers;

impl std::str::FromStr for Numbers {
    type Err = UnknownNumbers;

    fn from_str(text: &str) -> Result<Self, UnknownNumbers> {
        match text {
            "number" => Ok(Self::Number),
            "string" => Ok(Self::String),
            _ => Err(UnknownNumbers),
        }
    }
}

impl Encoding {
    /// How many choices there are.
    pub const COUNT: usize = 4;

    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [Self::Json, Self::JsonString, Self::Array, Self::ArrayString];

    /// The choice of a layout and of how it writes decimals.
    pub fn new(layout: Layout, numbers: Numbers) -> Self {
        match (layout, numbers) {
            (Layout::Json, Numbers::Number) => Self::Json,
            (Layout::Json, Numbers::String) => Self::JsonString,
            (Layout::Array, Numbers::Number) => Self::Array,
            (Layout::Array, Numbers::String) => Self::ArrayString,
        }
    }

    /// Whether rows are objects or lists.
    pub fn layout(self) -> Layout {
        match self {
            Self::Json | Self::JsonString => Layout::Json,
            Self::Array | Self::ArrayString => Layout::Array,
        }
    }

    /// How decimals are written.
    pub fn numbers(self) -> Numbers {
        match self {
            Self::Json | Self::Array => Numbers::Number,
            Self::JsonString | Self::ArrayString => Numbers::String,
        }
    }

    /// A number below [`Encoding::COUNT`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Begins a message of rows; rows follow with commas between them.
    pub fn open(self, kind: RowKind) -> &'static [u8] {
        match (self.layout(), kind) {
            (Layout::Json, RowKind::Snapshot) => SNAPSHOT_OPEN,
            (Layout::Json, RowKind::Update) => UPDATE_OPEN,
            (Layout::Array, RowKind::Snapshot) => br#"["s","#,
            (Layout::Array, RowKind::Update) => br#"["u","#,
        }
    }

    /// Ends a message of rows.
    pub fn close(self) -> &'static [u8] {
        match self.layout() {
            Layout::Json => DATA_CLOSE,
            Layout::Array => b"]",
        }
    }

    /// Appends one row; gives the range of `out` that [`Encoding::push_skipped`] takes the place of for a client that
    /// was skipped.
    pub fn push_row(self, out: &mut Vec<u8>, row: &EdgeRow<'_>) -> Range<usize> {
        match self.layout() {
            Layout::Json => push_object(out, row, self.numbers()),
            Layout::Array => push_list(out, row, self.numbers()),
        }
    }

    /// Appends the mark of a row that `skipped` older ones were folded into.
    pub fn push_skipped(self, out: &mut Vec<u8>, skipped: u32) {
        match self.layout() {
            Layout::Json => Marks { skipped, ..Marks::default() }.push(out),
            Layout::Array => push_integer(out, skipped.into()),
        }
    }
}

fn push_object(out: &mut Vec<u8>, row: &EdgeRow<'_>, numbers: Numbers) -> Range<usize> {
    push_row_open(out, row.name);
    let at = out.len();
    Marks { venue: row.venue, skipped: 0, stale: row.stale }.push(out);
    match numbers {
        Numbers::Number => push_row_rest(out, row.row),
        Numbers::String => push_row_rest_quoted(out, row.row),
    }
    at..at
}

/// As [`push_row_rest`], with quotes around the decimals and nothing else changed.
fn push_row_rest_quoted(out: &mut Vec<u8>, row: &[u8]) {
    out.push(b',');
    let mut copied = 1;
    for field in fields(row) {
        let value = row.get(field.value.clone()).unwrap_or_default();
        if decimal_column(field.key).is_some() && is_number(value) {
            out.extend_from_slice(row.get(copied..field.value.start).unwrap_or_default());
            push_cell(out, value, true);
            copied = field.value.end;
        }
    }
    out.extend_from_slice(row.get(copied..).unwrap_or_default());
}

fn push_list(out: &mut Vec<u8>, row: &EdgeRow<'_>, numbers: Numbers) -> Range<usize> {
    let cells = cells(row.row);
    out.push(b'[');
    push_integer(out, row.id.into());
    out.push(b',');
    push_integer(out, read_v(row.row).unwrap_or_default());
    out.push(b',');
    let at = out.len();
    out.extend_from_slice(if row.stale { b"0,1" } else { b"0,0" });
    let known = match row.venue {
        Some(_) => CELLS,
        None => cells.iter().rposition(|cell| *cell != NULL).map_or(0, |last| last + 1),
    };
    for (column, cell) in cells.iter().enumerate().take(known) {
        out.push(b',');
        let quoted = numbers == Numbers::String && column < DECIMALS.len() && *cell != NULL;
        push_cell(out, cell, quoted);
    }
    if let Some(venue) = row.venue {
        out.push(b',');
        push_cell(out, venue.as_bytes(), true);
    }
    out.push(b']');
    at..at + 1
}

/// The row's own columns; what is not a number is unknown. A field named twice counts as JSON readers take it: the last.
fn cells(row: &[u8]) -> [&[u8]; CELLS] {
    let mut cells = [NULL; CELLS];
    for field in fields(row) {
        let column = decimal_column(field.key).or((field.key == b"ts").then_some(DECIMALS.len()));
        if let Some(cell) = column.and_then(|column| cells.get_mut(column)) {
            *cell = row.get(field.value).filter(|value| is_number(value)).unwrap_or(NULL);
        }
    }
    cells
}

fn decimal_column(key: &[u8]) -> Option<usize> {
    DECIMALS.iter().position(|name| name.as_bytes() == key)
}

fn is_number(value: &[u8]) -> bool {
    matches!(value.first(), Some(b'-' | b'0'..=b'9'))
}

fn push_cell(out: &mut Vec<u8>, value: &[u8], quoted: bool) {
    if quoted {
        out.push(b'"');
    }
    out.extend_from_slice(value);
    if quoted {
        out.push(b'"');
    }
}

fn push_integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests;
