//! The words for how a symbol and a socket are.

/// State of one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolState {
    /// Never carried yet.
    Opening {
        /// Since when it is wanted, Unix milliseconds.
        since_ms: u64,
        /// Why the last attempt failed, if one did.
        reason: Option<&'static str>,
    },
    /// Carried by an open socket.
    Live,
    /// Was carried, and its socket is gone.
    Lost {
        /// Since when, Unix milliseconds.
        since_ms: u64,
        /// Why its socket ended, or why it could not be opened again.
        reason: &'static str,
    },
    /// The venue does not carry it.
    Rejected,
}

/// States of many symbols, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Never carried yet, or not known at all.
    pub opening: u32,
    /// Carried.
    pub live: u32,
    /// Were carried.
    pub lost: u32,
    /// Not carried by the venue.
    pub rejected: u32,
    /// Since when the one that is opening for the longest is wanted, Unix milliseconds.
    pub opening_since_ms: Option<u64>,
    /// Since when the one that is lost for the longest is lost, Unix milliseconds.
    pub lost_since_ms: Option<u64>,
    /// Why a socket is away: of a lost symbol, else of one that is opening.
    pub reason: Option<&'static str>,
}

/// Why a socket is to be replaced while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retire {
    /// Before the venue's forced cut.
    Lifetime,
    /// The venue said that it will close it.
    Announced,
}

impl Retire {
    /// Name for a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lifetime => "lifetime",
            Self::Announced => "announced",
        }
    }
}

/// State of one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketState {
    /// Not open, never was.
    Opening,
    /// Open, without data yet.
    Open,
    /// Brings data.
    Live,
    /// Was open; will be again.
    Lost,
}

impl SocketState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Opening, Self::Open, Self::Live, Self::Lost];

    /// Name for a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Open => "open",
            Self::Live => "live",
            Self::Lost => "lost",
        }
    }
}

/// What is known of one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketView {
    /// Its state.
    pub state: SocketState,
    /// Whether it is to be replaced, and why.
    pub retire: Option<Retire>,
    /// Connections that ended so far.
    pub losses: u64,
}

impl Summary {
    pub(super) fn count(&mut self, state: Option<SymbolState>) {
        match state {
            None => self.opening += 1,
            Some(SymbolState::Live) => self.live += 1,
            Some(SymbolState::Rejected) => self.rejected += 1,
            Some(SymbolState::Opening { since_ms, reason }) => {
                self.opening += 1;
                self.opening_since_ms = oldest(self.opening_since_ms, since_ms);
                self.reason = self.reason.or(reason);
            }
            Some(SymbolState::Lost { since_ms, reason }) => {
                self.lost += 1;
                self.lost_since_ms = oldest(self.lost_since_ms, since_ms);
                self.reason = Some(reason);
            }
        }
    }
}

fn oldest(known: Option<u64>, since_ms: u64) -> Option<u64> {
    Some(known.map_or(since_ms, |known| known.min(since_ms)))
}
