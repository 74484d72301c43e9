//! The state of a feed, as ingestors publish it on `md.feed.<venue>.<shard>` and edges tell it to clients.

use serde::{Deserialize, Serialize};

/// How often an ingestor repeats the state of a feed, in milliseconds.
pub const FEED_HEARTBEAT_MS: u64 = 2_000;

/// A feed that was not heard of for this long counts as down, in milliseconds: three missed heartbeats.
pub const FEED_SILENCE_MS: u64 = 3 * FEED_HEARTBEAT_MS + 500;

/// What a reader may expect of a feed's prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedState {
    /// Sockets are being opened; no price yet.
    Connecting,
    /// Prices arrive.
    Live,
    /// The sockets are silent beyond the venue's threshold, or are being opened again.
    Stale,
    /// No price can be had: the venue or its ingestor is away.
    Down,
    /// The market is shut.
    Closed,
}

impl FeedState {
    /// Whether a price of this feed is current.
    pub fn is_live(self) -> bool {
        self == Self::Live
    }

    /// The state's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Down => "down",
            Self::Closed => "closed",
        }
    }
}

/// State of one feed; the JSON payload of `md.feed.<venue>.<shard>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedStatus {
    /// What a reader may expect.
    pub state: FeedState,
    /// Since when, Unix ms.
    pub since: u64,
    /// Arrival of the newest tick, Unix ms; `null` before the first.
    pub last_tick: Option<u64>,
    /// How many symbols the feed carries.
    pub symbols: u32,
    /// Why the feed is not live; `null` while it is.
    pub reason: Option<String>,
    /// Into how many shards the venue's symbols are parted, by [`shard_of`](crate::shard::shard_of); at least 1. What
    /// does not say it has one shard, which may have any name.
    #[serde(default = "one_shard")]
    pub shards: u32,
    /// Whether the venue carries what is wanted on `md.want.<venue>`, see [`want`](crate::want); left out when not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub demand: bool,
}

fn one_shard() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_of_older_ingestors_is_understood() {
        let old = r#"{"state":"live","since":1,"last_tick":null,"symbols":12,"reason":null}"#;
        let status: FeedStatus = serde_json::from_str(old).unwrap();
        assert_eq!((status.shards, status.demand), (1, false));
        let new = old.replace('}', r#","shards":1}"#);
        assert_eq!(serde_json::to_string(&status).unwrap(), new);
        let on_demand = FeedStatus { shards: 16, demand: true, ..status };
        let text = serde_json::to_string(&on_demand).unwrap();
        assert!(text.ends_with(r#""shards":16,"demand":true}"#), "{text}");
        assert_eq!(serde_json::from_str::<FeedStatus>(&text).unwrap(), on_demand);
    }
}
