//! The pool against real sockets: a market of this test's own, whose protocol is a few words, and a tape that writes
//! down everything that arrives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod budget;
mod market;
mod scenes;
mod toy;
mod world;
