//! How rows look on the wire. A client chooses once, at the upgrade; each row is framed once per choice.

use super::frame::{DATA_CLOSE, Marks, SNAPSHOT_OPEN, UPDATE_OPEN, push_row_open, push_row_rest};

/// A client's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// Objects; numbers are numbers. `tickwire.v1.json`.
    #[default]
    Json,
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

impl Encoding {
    /// How many choices there are.
    pub const COUNT: usize = 1;

    /// A number below [`Encoding::COUNT`].
    pub fn index(self) -> usize {
        match self {
            Self::Json => 0,
        }
    }

    /// Begins a message of rows; rows follow with commas between them.
    pub fn open(self, kind: RowKind) -> &'static [u8] {
        match (self, kind) {
            (Self::Json, RowKind::Snapshot) => SNAPSHOT_OPEN,
            (Self::Json, RowKind::Update) => UPDATE_OPEN,
        }
    }

    /// Ends a message of rows.
    pub fn close(self) -> &'static [u8] {
        match self {
            Self::Json => DATA_CLOSE,
        }
    }

    /// Appends one row; gives the range of `out` that [`Encoding::push_skipped`] takes the place of for a client that
    /// was skipped.
    pub fn push_row(self, out: &mut Vec<u8>, row: &EdgeRow<'_>) -> std::ops::Range<usize> {
        match self {
            Self::Json => {
                push_row_open(out, row.name);
                let at = out.len();
                Marks { venue: row.venue, skipped: 0, stale: row.stale }.push(out);
                push_row_rest(out, row.row);
                at..at
            }
        }
    }

    /// Appends the mark of a row that `skipped` older ones were folded into.
    pub fn push_skipped(self, out: &mut Vec<u8>, skipped: u32) {
        match self {
            Self::Json => Marks { skipped, ..Marks::default() }.push(out),
        }
    }
}
