//! `tickwire-loadtest clients` as a user runs it, against the whole stack.

use tokio::time::timeout;

use crate::PATIENCE;
use crate::process::command;
use crate::stack::{Setup, Stack};

/// Exit status and what was said.
async fn clients(stack: &Stack, words: &str) -> (Option<i32>, String) {
    let words = format!("clients --url {} --warmup 500ms {words}", stack.stream_url());
    let words: Vec<&str> = words.split_whitespace().collect();
    let output =
        timeout(PATIENCE, command("tickwire-loadtest", &words).output()).await.expect("it ends").unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).join("\n");
    (output.status.code(), said)
}

#[tokio::test]
async fn fifty_clients_pass_their_thresholds() {
    let stack = Stack::start(Setup { exchange: "--symbols 4", symbols: "all", ..Setup::default() }).await;
    let words = "--clients 50 --symbols all --per-client 3 --ramp 500ms --duration 3s --threshold lost=0 \
                 --threshold disorder=0 --threshold duplicates=0 --threshold errors=0 --threshold closed=0 \
                 --threshold connected=50 --threshold rows=1000";
    let (status, said) = clients(&stack, words).await;
    assert_eq!(status, Some(0), "{said}");
    let words = "--clients 2 --symbols binance:BTC/USDT --ramp 0s --duration 1s --threshold connected=3";
    let (status, said) = clients(&stack, words).await;
    assert_eq!(status, Some(99), "{said}");
    assert!(said.contains("connected=3"), "{said}");
}
