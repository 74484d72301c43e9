//! Tickwire's vocabulary, in the order data flows: what a price is called, its digits, its row, the words of the
//! client protocol; then what every process needs to run. Names no broker and no venue.

pub mod decimal;
pub mod feed;
pub mod row;
pub mod shard;
pub mod symbol;
pub mod time;
pub mod want;
pub mod wire;

pub mod admin;
pub mod backoff;
pub mod config;
pub mod task;
pub mod telemetry;
