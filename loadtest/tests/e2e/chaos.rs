//! The short form of `make chaos`: a fleet of ingestors and edges, broken in every way that it must survive. What must
//! hold is the program's own business (loadtest/examples/chaos); here it has to pass, and to have done everything.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::process::{Scratch, command};

/// Well above what it takes on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(600);

const EVENTS: [&str; 12] = [
    "undisturbed",
    "drain",
    "kill",
    "freeze",
    "partition",
    "nats",
    "nats-bare",
    "cut",
    "silent",
    "listing",
    "rolling",
    "lifetime",
];

#[tokio::test]
async fn a_fleet_survives_everything() {
    let scratch = Scratch::new();
    let file = scratch.file("chaos.json");
    let mut command = command("examples/chaos", &["--short", "--json", file.to_str().unwrap()]);
    let output = timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let outcomes = report["outcomes"].as_array().unwrap();
    let events: Vec<&str> = outcomes.iter().map(|outcome| outcome["event"].as_str().unwrap()).collect();
    assert_eq!(events, EVENTS, "{said}");
}
