//! Mixes of clients against the whole stack: slow and stalled ones, flapping ones, and steady ones that live through a
//! restart of the edge. Every count is read from the report that the run writes.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::http;
use crate::process::{Program, command};
use crate::stack::{Setup, Stack};

/// A run of `tickwire-loadtest clients`.
struct Run {
    child: Child,
    progress: Lines<BufReader<ChildStderr>>,
    report: std::path::PathBuf,
}

impl Run {
    fn start(stack: &Stack, words: &str) -> Self {
        let report = stack.scratch.file("clients.json");
        let words = format!(
            "clients --url {} --ramp 200ms --warmup 300ms --json {} {words}",
            stack.stream_url(),
            report.display()
        );
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = command("tickwire-loadtest", &words);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let progress = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, progress, report }
    }

    /// Reads progress lines until one of the measured window says all of this.
    async fn says(&mut self, words: &[&str]) {
        let reading = async {
            loop {
                let line = self.progress.next_line().await.unwrap().expect("a progress line");
                // One space between words, however wide the columns are.
                let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
                if line.contains("measure") && words.iter().all(|word| line.contains(word)) {
                    return;
                }
            }
        };
        timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("no line with {words:?}"));
    }

    /// Ends the window before its time.
    async fn interrupt(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    }

    /// Waits for its end; exit status and report.
    async fn ended(mut self) -> (Option<i32>, Value) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        (status.code(), serde_json::from_slice(&std::fs::read(&self.report).unwrap()).unwrap())
    }
}

fn count(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}\n{report}"))
}

/// All of a class's closes.
fn closes(report: &Value, class: &str) -> u64 {
    let closes = report["classes"][class]["closes"].as_object().unwrap();
    closes.values().map(|count| count.as_u64().unwrap()).sum()
}

const HELD: &str = "--threshold lost=0 --threshold disorder=0 --threshold duplicates=0 --threshold errors=0 \
                    --threshold went_back=0";

/// The steady ones get everything whatever the others do; slow ones are told, stalled ones are closed with 4000.
#[tokio::test]
async fn slow_and_stalled_clients_are_conflated_told_and_closed() {
    let setup = Setup {
        exchange: "--symbols 3 --rate 100",
        symbols: "all",
        edge: "--edge.stall_seconds 2",
        ..Setup::default()
    };
    let stack = Stack::start(setup).await;
    let words = format!(
        "--clients 10 --symbols all --mix steady=6,slow=2,stalled=2 --slow-rate 32KiB --duration 8s {HELD} \
         --threshold closed=0 --threshold connected=6"
    );
    let (status, report) = Run::start(&stack, &words).ended().await;
    assert_eq!(status, Some(0), "{report}");
    assert_eq!(count(&report, "/classes/stalled/clients"), 2);
    assert_eq!(closes(&report, "stalled"), 2, "{report}");
    assert_eq!(closes(&report, "slow") + closes(&report, "steady"), 0, "{report}");
    assert!(count(&report, "/classes/slow/skipped") > 0, "{report}");
    assert!(count(&report, "/classes/slow/slow_reader") > 0, "{report}");
    let each = |class: &str| {
        let of = |what: &str| count(&report, &format!("/classes/{class}/{what}"));
        of("rows") / of("clients")
    };
    assert!(each("steady") > each("slow") && each("slow") > each("stalled"), "{report}");
    let metrics = stack.edge.admin("/metrics");
    let (_, metrics) = http::get(&metrics).await;
    let closed = metrics
        .lines()
        .find(|line| line.starts_with("tickwire_edge_closes_total") && line.contains("slow_reader"));
    assert!(closed.is_some_and(|line| line.ends_with(" 2")), "{closed:?}\n{metrics}");
}

/// Across all their connections no client ever sees a `v` go back.
#[tokio::test]
async fn flapping_clients_come_back_where_they_were() {
    let stack = Stack::start(Setup {
        exchange: "--symbols 4 --rate 20",
        symbols: "all",
        edge: "",
        ..Setup::default()
    })
    .await;
    let words = format!(
        "--clients 30 --symbols all --per-client 5 --choice zipf:1.1 --mix steady=10,flapping=20 --flap-stay 300ms \
         --duration 5s {HELD} --threshold closed=0 --threshold connected=10"
    );
    let (status, report) = Run::start(&stack, &words).ended().await;
    assert_eq!(status, Some(0), "{report}");
    assert!(count(&report, "/classes/flapping/reconnects") > 40, "{report}");
    assert!(count(&report, "/classes/flapping/rows") > 0, "{report}");
    assert_eq!(closes(&report, "flapping"), 0, "{report}");
    assert_eq!(count(&report, "/classes/steady/reconnects"), 0, "{report}");
}

/// The edge ends and starts again at the same address: everyone comes back, and what came meanwhile is not called lost.
#[tokio::test]
async fn steady_clients_live_through_a_restart_of_the_edge() {
    let mut stack = Stack::start(Setup {
        exchange: "--symbols 3 --rate 10",
        symbols: "all",
        edge: "--edge.drain_spread_seconds 0",
        ..Setup::default()
    })
    .await;
    let words = "--clients 20 --symbols all --reconnect --duration 60s --threshold lost=0 --threshold disorder=0 \
                 --threshold duplicates=0 --threshold errors=0 --threshold connected=20";
    let mut run = Run::start(&stack, words);
    run.says(&["connected 20"]).await;
    let address = stack.edge.urls[0].trim_start_matches("http://").to_owned();
    stack.edge.signal("TERM").await;
    assert_eq!(stack.edge.ended().await, 0);
    // Two lines are a second apart.
    run.says(&["connected 0 "]).await;
    run.says(&["connected 0 "]).await;
    let words = format!("--nats.url {} --edge.listen {address} --admin.listen 127.0.0.1:0", stack.nats.url());
    stack.edge = Program::spawn("tickwire-edge", &words, &stack.scratch);
    stack.edge.ready().await;
    run.says(&["connected 20", "closed 20"]).await;
    run.interrupt().await;
    let (status, report) = run.ended().await;
    assert_eq!(status, Some(0), "{report}");
    assert_eq!(count(&report, "/classes/steady/reconnects"), 20, "{report}");
    assert_eq!(count(&report, "/counters/closes/1012"), 20, "{report}");
    assert_eq!(count(&report, "/gap_us/rows"), 20, "{report}");
    assert!(count(&report, "/gap_us/p50") >= 1_000_000, "{report}");
}

/// All four encodings are read, and hold the same.
#[tokio::test]
async fn rows_come_in_every_encoding() {
    let stack = Stack::start(Setup {
        exchange: "--symbols 3 --rate 20",
        symbols: "all",
        edge: "",
        ..Setup::default()
    })
    .await;
    for encoding in ["json", "array"] {
        for numbers in ["number", "string"] {
            let words = format!(
                "--clients 5 --symbols all --encoding {encoding} --numbers {numbers} --duration 1s {HELD} \
                 --threshold closed=0 --threshold connected=5 --threshold rows=100"
            );
            let (status, report) = Run::start(&stack, &words).ended().await;
            assert_eq!(status, Some(0), "{encoding} {numbers}: {report}");
        }
    }
}
