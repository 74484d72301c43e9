//! The ingestor, in the order data flows: what a venue lists, which socket carries what, the sockets, the venues'
//! protocols, the merged rows, and NATS. Knows nothing of clients. `app` puts the parts together.

pub mod config;

pub mod app;

pub mod streams;

pub mod venue_run;

// What there is to carry.
pub mod rest;

pub mod catalogue;

pub mod demand;

pub mod fleet;

// From the exchange's socket to NATS.
pub mod pool;

pub mod link;

pub mod venue;

pub mod rows;

pub mod permit;

pub mod outlet;

pub mod feeds;
