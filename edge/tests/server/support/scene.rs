//! An edge with one worker, and on it a client that behaves: whatever others do, it must not miss a row.

use super::client::Client;
use super::edge::Edge;
use super::market::Market;

/// The symbol of the client that behaves.
pub const A: &str = "bench:A";

/// See the module.
pub struct Scene {
    pub market: Market,
    pub edge: Edge,
    pub witness: Client,
    /// Of the last row published.
    pub v: u64,
}

impl Scene {
    /// With these settings of the edge.
    pub async fn open(settings: &[&str]) -> Self {
        let market = Market::open().await;
        let edge = Edge::open(&market.url(), &[&["--edge.workers", "1"], settings].concat()).await;
        let witness = Client::subscribed(&edge, &[A]).await;
        Self { market, edge, witness, v: 0 }
    }
}
