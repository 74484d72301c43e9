//! `tickwire-loadtest exchange` as a process: the ready line, exit statuses.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_tungstenite::connect_async;

fn exchange(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire-loadtest"));
    command.arg("exchange").args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn it_says_when_it_is_ready_and_ends_well_with_sockets_open() {
    for signal in ["TERM", "INT"] {
        let mut process = exchange(&["--listen", "0.0.0.0:0"]).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.next_line().await.unwrap().unwrap();
        let address = ready.strip_prefix("tickwire-loadtest exchange ready: http://").unwrap();
        assert!(address.starts_with("127.0.0.1:"), "{ready}");
        let _held = connect_async(format!("ws://{address}/binance/ws/btcusdt@trade")).await.unwrap();
        let kill = format!("kill -s {signal} {}", process.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
        assert_eq!(process.wait().await.unwrap().code(), Some(0));
        assert_eq!(lines.next_line().await.unwrap(), None, "one line, no more");
    }
}

#[tokio::test]
async fn wrong_arguments_end_with_2_and_an_unreadable_recording_with_1() {
    for (args, status, said) in [
        (&["--speed", "2"][..], 2, "--replay"),
        (&["--garbage", "x"], 2, "--garbage"),
        (&["--replay", "/no/such/file"], 1, "/no/such/file"),
    ] {
        let output = exchange(args).output().await.unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
        assert!(output.stdout.is_empty());
    }
}
