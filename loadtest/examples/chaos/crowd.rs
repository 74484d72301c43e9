//! Clients on every edge while something happens: one `tickwire-loadtest clients` an edge, ended when it is over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::args::Args;
use crate::fleet::Fleet;
use crate::process::{Launch, Process};

/// How often is looked whether all are connected.
const LOOK: Duration = Duration::from_millis(100);
/// Longest that they may take to connect.
const PATIENCE: Duration = Duration::from_secs(60);

/// The clients of all edges.
pub(crate) struct Crowd {
    members: Vec<(Process, PathBuf)>,
}

/// What they saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Saw {
    pub(crate) clients: u64,
    pub(crate) connected: u64,
    pub(crate) rows: u64,
    /// Rows with a lower `v` than the client had, on one connection.
    pub(crate) disorder: u64,
    /// The same in the first rows after a return.
    pub(crate) went_back: u64,
    pub(crate) duplicates: u64,
    /// Connections that the server ended, by close code.
    pub(crate) closes: Vec<String>,
    /// Symbols of clients that ended with an older row than the stored one.
    pub(crate) behind_store: u64,
    /// The longest time that a client was without any row.
    pub(crate) gap_us: u64,
    /// Whatever else a run without fault has not.
    pub(crate) errors: Vec<String>,
}

impl Crowd {
    /// Starts them, and waits until all are subscribed.
    ///
    /// # Errors
    /// If they do not get there.
    pub(crate) async fn start(args: &Args, fleet: &Fleet, name: &str, folder: &Path) -> anyhow::Result<Self> {
        let each = args.clients().div_ceil(fleet.edges.len().max(1));
        let mut members = Vec::new();
        for (number, edge) in fleet.edges.iter().enumerate() {
            let json = folder.join(format!("clients-{name}-{number}.json"));
            let words = format!(
                "clients --url {}/v1/stream --clients {each} --symbols all --per-client {} --ramp 1s --warmup 100ms \
                 --duration 60m --reconnect --seed {number} --nats {} --json {}",
                edge.url("").replace("http://", "ws://"),
                args.per_client,
                fleet.nats.url(),
                json.display(),
            );
            let launch = Launch::new(
                format!("clients-{name}-{number}"),
                args.program("tickwire-loadtest")?,
                &words,
                folder,
            );
            members.push((launch.start()?, json));
        }
        let mut crowd = Self { members };
        crowd.connected(each).await?;
        Ok(crowd)
    }

    async fn connected(&mut self, each: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.members.iter().all(|(process, _)| measures(&process.launch.log(), each)) {
            let gone = self.members.iter_mut().any(|(process, _)| process.has_ended());
            if gone || Instant::now() > deadline {
                let logs = self.members.iter().map(|(process, _)| process.launch.log());
                bail!("the clients do not connect:\n{}", logs.collect::<Vec<_>>().join("\n"));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Ends them, and reads what they saw.
    ///
    /// # Errors
    /// If they do not end, or left nothing.
    pub(crate) async fn finish(self) -> anyhow::Result<Saw> {
        let mut saw = Saw::default();
        for (process, _) in &self.members {
            process.signal("INT").await?;
        }
        for (mut process, json) in self.members {
            process.ended().await?;
            let text = std::fs::read_to_string(&json)
                .with_context(|| format!("the clients left no report:\n{}", process.launch.log()))?;
            saw.add(&serde_json::from_str(&text)?);
        }
        Ok(saw)
    }
}

/// Whether a progress line says that the window is open, with everybody in it.
fn measures(log: &str, clients: usize) -> bool {
    let line = log.lines().rev().find(|line| line.contains(" measure "));
    let connected =
        line.and_then(|line| line.split("connected").nth(1)?.split_whitespace().next()?.parse().ok());
    connected.is_some_and(|connected: usize| connected >= clients)
}

impl Saw {
    fn add(&mut self, report: &Value) {
        let number = |path: &str| report.pointer(path).and_then(Value::as_u64).unwrap_or_default();
        let classes = report["classes"].as_object().into_iter().flatten();
        self.went_back += classes.filter_map(|(_, class)| class["went_back"].as_u64()).sum::<u64>();
        self.clients += number("/config/clients");
        self.connected += number("/connected");
        self.rows += number("/received");
        self.disorder += number("/counters/disorder");
        self.duplicates += number("/counters/duplicates");
        self.behind_store += number("/store/behind_store");
        self.gap_us = self.gap_us.max(number("/gap_us/max"));
        let reasons = |path: &str| {
            let map = report.pointer(path).and_then(Value::as_object).into_iter().flatten();
            map.map(|(reason, count)| format!("{count} x {reason}")).collect::<Vec<_>>()
        };
        self.closes.extend(reasons("/counters/closes"));
        for path in ["/counters/failures", "/counters/refusals", "/counters/server_errors"] {
            self.errors.extend(reasons(path));
        }
        for name in ["malformed", "rows_not_asked", "without_snapshot"] {
            match number(&format!("/counters/{name}")) {
                0 => {}
                count => self.errors.push(format!("{count} x {name}")),
            }
        }
        if let Some(error) = report.pointer("/store/error").and_then(Value::as_str) {
            self.errors.push(format!("store: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_open_when_a_progress_line_says_so() {
        let line = |phase: &str| {
            format!("    2 s  {phase}  connected     20  rows/s  9  p99 -  closed 0  failed 0\n")
        };
        let log = line("ramp   ") + &line("measure");
        assert!(
            measures(&log, 20) && !measures(&log, 21) && !measures(&line("warm-up"), 20) && !measures("", 0)
        );
    }

    #[test]
    fn what_two_edges_saw_is_added_up() {
        let report = serde_json::json!({
            "config": {"clients": 5}, "connected": 4, "received": 9, "gap_us": {"max": 7},
            "counters": {"disorder": 1, "duplicates": 0, "closes": {"1012": 2}, "malformed": 3},
            "store": {"behind_store": 1, "error": null},
            "classes": {"steady": {"went_back": 6}},
        });
        let mut saw = Saw::default();
        saw.add(&report);
        saw.add(&report);
        assert_eq!((saw.clients, saw.connected, saw.rows, saw.gap_us, saw.went_back), (10, 8, 18, 7, 12));
        assert_eq!((saw.disorder, saw.behind_store), (2, 2));
        assert_eq!(
            (saw.closes, saw.errors),
            (vec!["2 x 1012".to_owned(); 2], vec!["3 x malformed".to_owned(); 2])
        );
    }
}
