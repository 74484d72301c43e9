//! `fanbench`, the neutral load generator of the peers' folder: its arguments and the line that it prints.

use std::collections::HashMap;

use anyhow::{Context, bail};

use crate::case::{Case, Load};
use crate::figures::Figures;
use crate::process::Launch;
use crate::server::{Places, Ports, Server};

/// Where it lies below the peers' folder.
const PROGRAM: &str = "fanbench/target/release/fanbench";

/// `fanbench` for one run.
///
/// # Errors
/// If there is no peers' folder.
pub(crate) fn launch(
    places: &Places,
    server: &Server,
    case: Case,
    load: &Load,
    ports: &Ports,
    seconds: u32,
    pid: u32,
) -> anyhow::Result<Launch> {
    let peers = places.peers.as_deref().context("fanbench is of the peers' folder")?;
    let mut args = vec![
        format!("--ws=127.0.0.1:{}", ports.clients),
        format!("--nats=nats://127.0.0.1:{}", ports.publish),
        format!("--server-pid={pid}"),
        format!("--clients={}", load.clients),
        format!("--symbols={}", load.symbols),
        format!("--per-client={}", load.per_client),
        format!("--rate={}", load.rate),
        format!("--connect-rate={}", load.connect_rate),
        format!("--sample={}", load.sample),
        format!("--seconds={seconds}"),
    ];
    args.extend(server.speech.templates().iter().map(|word| (*word).to_owned()));
    if case.is_idle() {
        args.push("--idle-only".to_owned());
    }
    Ok(Launch::new(peers.join(PROGRAM), args))
}

/// Reads what it printed.
///
/// # Errors
/// If the line is not there or lacks a figure, or if clients are missing.
pub(crate) fn read(output: &str, clients: u32) -> anyhow::Result<Figures> {
    let line =
        output.lines().rfind(|line| line.contains("connect_s=")).context("fanbench printed no figures")?;
    let values = values(line);
    let value = |key: &str| values.get(key).copied();
    let needed = |key: &str| value(key).with_context(|| format!("fanbench printed no {key}"));
    let connected = value("clients").or_else(|| value("up")).context("fanbench printed no clients")?;
    if connected < f64::from(clients) {
        bail!("{connected} of {clients} clients connected");
    }
    let mut figures = Figures {
        clients: Some(connected),
        connect_s: Some(needed("connect_s")?),
        kib_per_client: value("per_conn"),
        ..Figures::default()
    };
    if let Some(expected) = value("expected") {
        figures.offered = Some(needed("offered")?);
        figures.delivered = Some(needed("rate")?);
        figures.complete = Some(needed("after_drain")? / expected.max(1.0));
        figures.cpu_us = value("cpu_us_per_delivery");
        figures.p50_us = value("p50");
        figures.p90_us = value("p90");
        figures.p99_us = value("p99");
        figures.p999_us = value("p999");
        figures.max_us = value("max");
        figures.closed = value("closed");
    }
    Ok(figures)
}

/// The numbers behind the names of a line: `rate=123/s` is 123, `rss=Some(9)KiB` is 9.
fn values(line: &str) -> HashMap<&str, f64> {
    line.split_whitespace().filter_map(|word| word.split_once('=')).filter_map(number_of).collect()
}

fn number_of<'a>((key, text): (&'a str, &'a str)) -> Option<(&'a str, f64)> {
    let text = text.strip_prefix("Some(").unwrap_or(text);
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.e".contains(c))).unwrap_or(text.len());
    let number = serde_json::from_str(text.get(..end)?).ok()?;
    Some((key, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOADED: &str = "x clients=10000 symbols=500 per_client=20 offered=199992/s published=5000 expected=1999980 \
        delivered_in_window=1999321 (100.0%) after_drain=2001234 rate=199931/s cpu=98.6% cpu_us_per_delivery=4.93 \
        frames=1999321 reads=640121 bytes/deliv=118 lat_us p50=61823 p90=99327 p99=124415 p999=131071 max=140543 \
        rss0=40312 conn=72000 load=81234KiB per_conn=3.2KiB connect_s=2.01 closed=0";
    const IDLE: &str =
        " idle: up=10000/10000 connect_s=2.00 rss_before=Some(12345)KiB rss=Some(27345)KiB per_conn=1.50KiB";

    #[test]
    fn a_line_under_load() {
        let figures = read(&format!("noise\n{LOADED}\n"), 10_000).unwrap();
        assert_eq!(figures.offered, Some(199_992.0));
        assert_eq!(figures.delivered, Some(199_931.0));
        assert!((figures.complete.unwrap() - 2_001_234.0 / 1_999_980.0).abs() < 1e-9);
        assert_eq!(
            (figures.cpu_us, figures.p99_us, figures.max_us),
            (Some(4.93), Some(124_415.0), Some(140_543.0))
        );
        assert_eq!((figures.connect_s, figures.closed), (Some(2.01), Some(0.0)));
        assert_eq!(figures.kib_per_client, Some(3.2));
    }

    #[test]
    fn a_line_of_idle_clients() {
        let figures = read(IDLE, 10_000).unwrap();
        assert_eq!((figures.kib_per_client, figures.connect_s), (Some(1.5), Some(2.0)));
        assert_eq!((figures.offered, figures.p99_us), (None, None));
    }

    #[test]
    fn what_is_not_a_result() {
        for (output, clients, word) in [
            ("", 1, "no figures"),
            ("connect_s=1", 1, "no clients"),
            (IDLE, 10_001, "10000 of 10001 clients"),
            (&LOADED.replace(" after_drain=2001234", ""), 1, "no after_drain"),
            (&IDLE.replace("connect_s=2.00", "connect_s=x"), 1, "no connect_s"),
        ] {
            let message = format!("{:#}", read(output, clients).unwrap_err());
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_server_that_used_no_time_has_no_figure_for_it() {
        let line = LOADED.replace("delivery=4.93", "delivery=NaN");
        assert_eq!(read(&line, 1).unwrap().cpu_us, None);
    }
}
