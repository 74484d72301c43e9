//! The ingestor, in the order data flows: what a venue lists (catalogue), which socket carries what (plan), the sockets
//! (link), the venues' protocols (venue), the merged rows (rows), and NATS (publish, feed). Knows nothing of clients.

pub mod app;

pub mod config;

pub mod streams;

pub mod venue_run;

pub mod rest;

pub mod catalogue;

pub mod plan;

pub mod link;

pub mod venue;

pub mod rows;

pub mod publish;

pub mod feed;
