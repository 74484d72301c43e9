//! Tickwire on NATS, in the order data flows: connect, name subjects, publish, conflate last values, subscribe, read
//! snapshots; then the streams and buckets behind it with the catalogue of instruments; then what a fleet of ingestors
//! agrees by: leases, words between two processes, budgets behind one address, watch lists and the demand of edges.
//!
//! The only crate that names async-nats; no type of it is part of this interface. Traps of the client library are
//! handled here and described where they are handled. Works on nats-server 2.9.10 and newer.
//!
//! async-nats logs every event at INFO by itself, one line an attempt while NATS is away; this crate says the same
//! once. Run with the log filter `async_nats=warn` or higher.

pub mod config;
pub mod connect;
pub mod subject;

pub mod last_value;
pub mod publish;

pub mod snapshot;
pub mod subscribe;

pub mod bucket;
pub mod catalogue;
pub mod setup;

pub mod budget;
pub mod leases;
pub mod peers;
pub mod want;
pub mod watch_lists;

mod api;
mod direct;
mod link;

#[cfg(feature = "testing")]
pub mod testing;

pub use api::ApiError;
pub use bytes::Bytes;
pub use config::{NatsConfig, SETTINGS};
pub use connect::{ConnectError, LinkError, LinkState, Nats};
pub use subject::Subject;
