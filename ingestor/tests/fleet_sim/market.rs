//! The exchange and the client: ticks numbered by post on one side, what a client of an edge sees on the other, and
//! the stream of last values between them.

use std::collections::BTreeMap;

use tickwire_ingestor::fleet::Post;
use tickwire_ingestor::venue::contract::Micros;

/// A row: its version, and the number of the exchange's tick that it shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    pub v: u64,
    pub tick: u64,
}

/// All that the world knows of a post outside of the members.
#[derive(Debug, Default)]
pub struct Market {
    /// Number of the newest tick.
    pub ticks: BTreeMap<Post, u64>,
    /// MD_LAST.
    pub last: BTreeMap<Post, Row>,
    /// The client's newest row, and when it came.
    pub client: BTreeMap<Post, (Row, Micros)>,
    pub rows: u64,
}

/// What the client made of a row.
pub enum Taken {
    /// Shown; the one before it.
    Shown(Option<Row>),
    /// Not above its newest.
    Dropped,
}

impl Market {
    pub fn tick(&mut self, post: &Post) -> u64 {
        let tick = self.ticks.entry(post.clone()).or_default();
        *tick += 1;
        *tick
    }

    /// As an edge does: a row shows only if its version is above the newest.
    pub fn show(&mut self, post: &Post, row: Row, now: Micros) -> Taken {
        let before = self.client.get(post).map(|(row, _)| *row);
        if before.is_some_and(|before| row.v <= before.v) {
            return Taken::Dropped;
        }
        self.rows += 1;
        self.client.insert(post.clone(), (row, now));
        Taken::Shown(before)
    }

    /// JetStream keeps what came last, whatever it says.
    pub fn keep(&mut self, post: &Post, row: Row) {
        self.last.insert(post.clone(), row);
    }
}
