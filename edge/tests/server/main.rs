//! The edge as a process between a real nats-server and real clients, started anew for each test. Run with
//! `TICKWIRE_TEST_NATS_SERVER` set to test against another version of nats-server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod support;

mod abuse;
mod bad_input;
mod demand;
mod encodings;
mod http;
mod join;
mod limits;
mod names;
mod outage;
mod protocol;
mod requests;
mod resume;
mod sets;
mod shards;
mod sharing;
mod shutdown;
mod slow_reader;
mod throttle;
