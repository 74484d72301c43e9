//! The command line, and the plan that it makes: which servers, which cases, in which order, and how long it takes.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Parser;

use crate::case::Case;
use crate::run::Bench;
use crate::server::{Places, Server, all};

/// Files of a program beside its sockets.
const OTHER_FILES: u32 = 64;

/// Tickwire beside other fan-out servers
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Folder with fanbench and the peers [default: Tickwire alone, with its own load test]
    #[arg(long)]
    peers: Option<PathBuf>,
    /// Servers by name; `tickwire` is every way that it can write [default: all that are installed]
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// one, many, over, flood, deluge, memory, connect, fair, near [default: all]
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds that a run under load measures
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Clients of every case but `near`
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// File for every single run
    #[arg(long, default_value = ".run/bench/fan_out.json")]
    json: PathBuf,
    /// Folder of our programs [default: beside this one]
    #[arg(long)]
    programs: Option<PathBuf>,
    #[arg(long, default_value = "nats-server")]
    nats_server: PathBuf,
    /// Core of the server that is measured
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// Core of NATS and of the load generator
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

/// What is to be done, checked.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) bench: Bench,
    /// In the order of the table.
    pub(crate) servers: Vec<Server>,
    /// Of the servers that were asked for: what is not there, with the file that is missing.
    missing: Vec<(&'static str, PathBuf)>,
    cases: Vec<Case>,
    rounds: u32,
    pub(crate) json: PathBuf,
}

impl Args {
    /// Looks for the programs and reads the words.
    ///
    /// # Errors
    /// What to change.
    pub(crate) fn plan(self) -> anyhow::Result<Plan> {
        check_open_files(self.clients, &fs::read_to_string("/proc/self/limits").context("read the limits")?)?;
        let programs = match self.programs {
            Some(folder) => folder,
            None => beside_this_program()?,
        };
        let peers = self
            .peers
            .map(|folder| fs::canonicalize(&folder).with_context(|| format!("--peers {}", folder.display())));
        let places = Places { programs, peers: peers.transpose()?, nats_server: self.nats_server };
        let asked = chosen(all(&places), &self.only)?;
        let missing: Vec<_> =
            asked.iter().filter_map(|server| Some((server.id, server.missing(&places)?))).collect();
        let is_there = |server: &Server| missing.iter().all(|(id, _)| *id != server.id);
        let servers: Vec<Server> = asked.into_iter().filter(is_there).collect();
        ensure!(!servers.is_empty(), "none of these servers is there: {missing:?}");
        let mut cases = if self.cases.is_empty() { Case::ALL.to_vec() } else { cases(&self.cases)? };
        if places.peers.is_none() {
            // Our own load test knows no other end of a connect than the ack.
            cases.retain(|case| *case != Case::Connect);
        }
        let bench = Bench {
            places,
            clients: self.clients,
            seconds: self.seconds,
            server_core: self.server_core,
            load_core: self.load_core,
        };
        Ok(Plan { bench, servers, missing, cases, rounds: self.rounds, json: self.json })
    }
}

impl Plan {
    /// Round, case and server of every run, in their order.
    pub(crate) fn runs(&self) -> Vec<(u32, Case, usize)> {
        let mut runs = Vec::new();
        for round in 1..=self.rounds {
            for &case in &self.cases {
                let able = self.servers.iter().enumerate().filter(|(_, server)| server.cases.contains(&case));
                runs.extend(able.map(|(index, _)| (round, case, index)));
            }
        }
        runs
    }

    /// What comes, for the person who waits.
    pub(crate) fn announcement(&self) -> Vec<String> {
        let names: Vec<&str> = self.servers.iter().map(|server| server.id).collect();
        let runs = self.runs();
        let seconds: u32 =
            runs.iter().map(|(_, case, _)| case.estimate(self.bench.clients, self.bench.seconds)).sum();
        let mut lines: Vec<String> = self
            .missing
            .iter()
            .map(|(id, file)| format!("{id}: not installed, {} is not there", file.display()))
            .collect();
        lines.push(format!(
            "{} runs of {}: about {} min",
            runs.len(),
            names.join(", "),
            seconds.div_ceil(60)
        ));
        lines
    }

    /// The conditions, in a sentence above the table.
    pub(crate) fn caption(&self) -> String {
        let Bench { clients, seconds, server_core, load_core, places, .. } = &self.bench;
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let generator = if places.peers.is_some() { "fanbench" } else { "tickwire-loadtest" };
        let missing: Vec<&str> = self.missing.iter().map(|(id, _)| *id).collect();
        let absent = if missing.is_empty() {
            String::new()
        } else {
            format!(" Not installed: {}.", missing.join(", "))
        };
        format!(
            "{clients} clients, {} of {seconds} s, medians (least..most); server alone on core {server_core}, {generator} \
             and NATS on core {load_core} of {cores}; Linux {}. Ratios are Tickwire's figure by the peer's.{absent}",
            if self.rounds == 1 { "1 round".to_owned() } else { format!("{} rounds", self.rounds) },
            kernel.trim()
        )
    }
}

fn chosen(servers: Vec<Server>, only: &[String]) -> anyhow::Result<Vec<Server>> {
    if let Some(word) = only.iter().find(|word| !servers.iter().any(|server| server.is_meant_by(word))) {
        let names: Vec<&str> = servers.iter().map(|server| server.id).collect();
        bail!("--only {word}: there are {}", names.join(", "));
    }
    let wanted = |server: &Server| only.is_empty() || only.iter().any(|word| server.is_meant_by(word));
    Ok(servers.into_iter().filter(wanted).collect())
}

fn cases(words: &[String]) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for word in words {
        cases.extend(Case::named(word).map_err(|message| anyhow::anyhow!("--cases: {message}"))?);
    }
    cases.sort_unstable();
    cases.dedup();
    Ok(cases)
}

/// Programs that are started have the limits of this one.
fn check_open_files(clients: u32, limits: &str) -> anyhow::Result<()> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    let allowed = line.split_whitespace().next().and_then(|number| number.parse::<u32>().ok());
    let needed = clients + OTHER_FILES;
    ensure!(allowed.is_none_or(|allowed| allowed >= needed), "say `ulimit -n {}` first", needed.max(20_000));
    Ok(())
}

/// Examples lie in target/<profile>/examples, programs in target/<profile>.
fn beside_this_program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("find this program")?;
    Ok(program.ancestors().nth(2).context("find the folder of this program")?.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cases: Vec<Case>) -> Plan {
        let places = Places {
            programs: "/nowhere".into(),
            peers: Some("/nowhere".into()),
            nats_server: "nats-server".into(),
        };
        let servers = all(&places);
        let bench = Bench { places, clients: 10_000, seconds: 10, server_core: 0, load_core: 1 };
        let missing = vec![("centrifugo", "centrifugo".into())];
        Plan { bench, servers, missing, cases, rounds: 2, json: "x.json".into() }
    }

    #[test]
    fn servers_take_turns_and_do_only_what_they_can() {
        let plan = plan(vec![Case::One, Case::Flood]);
        let names: Vec<_> =
            plan.runs().iter().map(|(_, case, index)| (*case, plan.servers[*index].id)).collect();
        let (first, second) = names.split_at(names.len() / 2);
        assert_eq!(first, second);
        assert!(first.contains(&(Case::One, "floor")) && !first.contains(&(Case::Flood, "floor")));
        assert!(first.contains(&(Case::Flood, "tickwire")) && !first.contains(&(Case::Flood, "node")));
    }

    #[test]
    fn the_announcement_names_who_is_missing_and_how_long_it_takes() {
        let lines = plan(vec![Case::One]).announcement();
        assert!(lines[0].starts_with("centrifugo: not installed"), "{lines:?}");
        assert!(
            lines[1].starts_with("18 runs of tickwire, floor") && lines[1].ends_with("about 6 min"),
            "{lines:?}"
        );
    }

    #[test]
    fn words_choose() {
        let places = Places { programs: "/n".into(), peers: Some("/n".into()), nats_server: "n".into() };
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|word| (*word).to_owned()).collect();
            chosen(all(&places), &only)
                .map(|servers| servers.iter().map(|server| server.id).collect::<Vec<_>>())
        };
        assert_eq!(names(&["bun", "tickwire"]).unwrap(), ["tickwire", "bun"]);
        assert_eq!(names(&[]).unwrap().len(), 9);
        assert!(names(&["deno"]).unwrap_err().to_string().contains("rounds-uring"));
        let words = ["near", "memory", "near"].map(str::to_owned);
        assert_eq!(cases(&words).unwrap(), [Case::MemoryOne, Case::MemoryTwenty, Case::Near]);
    }

    #[test]
    fn too_few_files_are_told_before_the_run() {
        let limits = "Limit Soft Hard Units\nMax open files            1024                 20000                files\n";
        assert!(check_open_files(10_000, limits).unwrap_err().to_string().contains("ulimit -n 20000"));
        assert!(check_open_files(900, limits).is_ok() && check_open_files(10_000, "").is_ok());
    }
}
