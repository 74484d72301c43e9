//! The shared test vectors (common/vectors) against this crate, and against the AsyncAPI document.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod asyncapi;
mod codes;
mod messages;
mod requests;
mod rows;
mod shards;

use serde::de::DeserializeOwned;

/// Reads one file of vectors.
fn vectors<T: DeserializeOwned>(file: &str) -> T {
    let path = format!("{}/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}
