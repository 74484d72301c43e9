use super::*;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    clients: ClientsArgs,
}

fn plan(line: &str) -> Result<Plan, String> {
    let words = ["clients"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty()));
    let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
    line.clients.plan().map_err(|error| format!("{error:#}"))
}

#[test]
fn a_whole_line() {
    let plan = plan(
        "--url ws://127.0.0.1:8080/v1/stream --clients 100 --symbols binance:BTC/USDT,ETH/USDT --per-client 1 \
         --ramp 1s --duration 5s --source-addresses 127.0.0.1,127.0.0.2 --threshold p99=50ms --threshold lost=0",
    )
    .unwrap();
    assert_eq!((plan.classes.len(), plan.per_client, plan.names.len()), (100, 1, 2));
    assert_eq!((plan.sources.len(), plan.thresholds.len(), plan.seed), (2, 2, 1));
    assert_eq!(plan.timetable.duration, Duration::from_secs(5));
}

#[test]
fn wrong_lines_say_what_to_change() {
    for (line, word) in [
        ("", "--symbols"),
        ("--symbols A --clients 0", "at least 1"),
        ("--symbols A --duration 0s", "longer than 0"),
        ("--symbols A --per-client 2", "only 1 symbols"),
        ("--symbols A --per-client 0", "at least 1"),
        ("--symbols , ", "at least one"),
        ("--symbols @/nowhere/at-all", "/nowhere/at-all"),
        ("--symbols A --threshold behind_store=0", "--nats nats://"),
        ("--symbols A --threshold unseen=0", "beside --publish"),
        ("--symbols A --report /no/such/folder/x.html", "no such folder"),
        ("--symbols A --url wss://h/", "not supported yet"),
        ("--symbols A --ramp fast", "250us"),
        ("--symbols A --threshold p98=1s", "p50, p90"),
        ("--symbols A --mix steady=1,fast=2", "is not a class of clients"),
        ("--symbols A --clients 10 --mix slow=100", "no client would be steady"),
        ("--symbols A --slow-rate 0", "at least 1"),
        ("--symbols A --flap-stay 0s", "longer than 0"),
        ("--symbols A --choice some", "uniform, zipf"),
        ("--symbols A --encoding xml", "json, array"),
        ("--symbols A --numbers roman", "neither number nor string"),
        ("--symbols A --source-addresses here", "not an IP address"),
        ("--symbols A --source-addresses ::1", "other IP version"),
        ("--symbols A --source-addresses 127.0.0.1,127.0.0.1", "twice"),
    ] {
        let message = plan(line).unwrap_err();
        assert!(message.contains(word), "{line}: {message}");
    }
}

#[test]
fn limits_of_the_machine_are_told_before_the_run() {
    let message = check_open_files(10_000, Some(1_024)).unwrap_err();
    assert!(message.contains("ulimit -n 20000"), "{message}");
    assert!(check_open_files(30_000, Some(20_000)).unwrap_err().contains("ulimit -n 30064"));
    assert!(check_open_files(10_000, Some(20_000)).is_ok() && check_open_files(10_000, None).is_ok());
    assert!(per_client(None, 100_000, 2_000).unwrap_err().contains("over 20000000"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let message =
        plan("--url http://h --symbols A\"B --clients 0 --mix fast=1 --ramp fast --threshold p98=1s --threshold lost --choice x")
            .unwrap_err();
    assert!(message.starts_with("8 mistakes:"), "{message}");
    for flag in [
        "--url",
        "--symbols",
        "--clients",
        "--mix",
        "--ramp",
        "--threshold: \"p98\"",
        "--threshold: \"lost\"",
        "--choice",
    ] {
        assert!(message.contains(&format!("\n  {flag}")), "{flag}: {message}");
    }
}

#[test]
fn numbers_as_strings_are_a_query() {
    let plan = plan("--url ws://127.0.0.1:1/v1/stream?x=1 --symbols A --numbers string").unwrap();
    assert_eq!(plan.target.path(), "/v1/stream?x=1&numbers=string");
}
