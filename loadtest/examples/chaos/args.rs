//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use tickwire_common::shard::SHARDS_DEFAULT;

/// Breaks a whole fleet in every way that it must survive, and says what clients saw of it
#[derive(Debug, Clone, Parser)]
pub(crate) struct Args {
    /// About a minute: fewer symbols, clients and runs, and no figures but those that come along
    #[arg(long)]
    pub(crate) short: bool,
    /// What is done to the fleet, in this order [default: everything]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Event>,
    #[arg(long, default_value_t = 3)]
    pub(crate) ingestors: usize,
    #[arg(long, default_value_t = 2)]
    pub(crate) edges: usize,
    /// [default: 1500, short 60]
    #[arg(long)]
    binance_symbols: Option<usize>,
    /// [default: 1200, short 50]
    #[arg(long)]
    kucoin_symbols: Option<usize>,
    /// Clients over all edges [default: 1000, short 40]
    #[arg(long)]
    clients: Option<usize>,
    /// Symbols of each client
    #[arg(long, default_value_t = 20)]
    pub(crate) per_client: usize,
    /// Moves a second of each symbol
    #[arg(long, default_value_t = 2)]
    pub(crate) rate: u64,
    /// How often a process is killed to measure the take-over [default: 20, short 1]
    #[arg(long)]
    kills: Option<usize>,
    /// The venues' forced cut, made so short [default: 30, short 12]
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u64>,
    /// Pause before every event and between those of one kind, so that the venues' connects are not used up
    /// [default: 20, short 0]
    #[arg(long, value_name = "SECONDS")]
    calm: Option<u64>,
    /// Shards of each venue
    #[arg(long, default_value_t = SHARDS_DEFAULT)]
    pub(crate) shards: u32,
    /// Further flags of every ingestor
    #[arg(
        long,
        default_value = "--venues.binance.refresh_seconds 30 --venues.kucoin.refresh_seconds 30",
        allow_hyphen_values = true
    )]
    pub(crate) ingestor_flags: String,
    /// Further flags of the exchange
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub(crate) exchange_flags: String,
    /// Everything that was measured
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Folder of our programs [default: beside this one]
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Keeps the logs, and says where
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What happens to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Event {
    /// Nothing
    Undisturbed,
    /// An ingestor is asked to end, and comes back
    Drain,
    /// An ingestor is killed, and comes back
    Kill,
    /// An ingestor is stopped for longer than its lease, and goes on
    Freeze,
    /// An ingestor is cut from NATS for longer than its lease, and what it sent meanwhile arrives late
    Partition,
    /// nats-server is killed and comes back
    Nats,
    /// The same, and nothing is left of what it stored
    NatsBare,
    /// The exchange cuts every socket at once
    Cut,
    /// The same, and what is then subscribed of some symbols is granted and stays silent
    Silent,
    /// Symbols are listed and delisted
    Listing,
    /// Every ingestor and every edge is restarted, one after the other
    Rolling,
    /// The venues cut every socket when it is old
    Lifetime,
    /// Everything is started with 3,000 symbols
    Start,
}

impl Args {
    pub(crate) fn events(&self) -> Vec<Event> {
        if !self.only.is_empty() {
            return self.only.clone();
        }
        let all = Event::value_variants().iter().copied();
        all.filter(|event| !self.short || *event != Event::Start).collect()
    }

    fn or(&self, given: Option<usize>, whole: usize, short: usize) -> usize {
        given.unwrap_or(if self.short { short } else { whole })
    }

    pub(crate) fn binance(&self) -> usize {
        self.or(self.binance_symbols, 1_500, 60)
    }

    pub(crate) fn kucoin(&self) -> usize {
        self.or(self.kucoin_symbols, 1_200, 50)
    }

    pub(crate) fn clients(&self) -> usize {
        self.or(self.clients, 1_000, 40)
    }

    pub(crate) fn kills(&self) -> usize {
        self.or(self.kills, 20, 1)
    }

    pub(crate) fn lifetime(&self) -> u64 {
        self.lifetime.unwrap_or(if self.short { 12 } else { 30 })
    }

    pub(crate) fn calm(&self) -> Duration {
        Duration::from_secs(self.calm.unwrap_or(if self.short { 0 } else { 20 }))
    }

    /// How long the fleet is looked at where nothing ends by itself.
    pub(crate) fn look(&self) -> Duration {
        Duration::from_secs(if self.short { 3 } else { 15 })
    }

    /// The path of one of our programs.
    ///
    /// # Errors
    /// If it is not there.
    pub(crate) fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = match &self.programs {
            Some(folder) => folder.clone(),
            // This one lies in target/<profile>/examples, programs in target/<profile>.
            None => {
                std::env::current_exe()?.ancestors().nth(2).context("where are the programs?")?.to_owned()
            }
        };
        let path = folder.join(name);
        ensure!(path.is_file(), "{} is missing: say `cargo build --workspace --bins` first", path.display());
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_is_smaller_and_has_every_disturbance() {
        let short = Args::parse_from(["chaos", "--short", "--clients", "7"]);
        assert_eq!((short.binance(), short.clients(), short.kills()), (60, 7, 1));
        assert_eq!(short.events().len() + 1, Event::value_variants().len());
        let some = Args::parse_from(["chaos", "--only", "nats-bare,kill"]);
        assert_eq!(some.events(), [Event::NatsBare, Event::Kill]);
    }
}
