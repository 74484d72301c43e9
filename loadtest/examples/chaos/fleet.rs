//! The fleet: nats-server, simulated exchanges, ingestors and edges, each a process on a free port.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tickwire_common::shard::SHARDS_DEFAULT;
use tickwire_loadtest::watch::Own;
use tickwire_nats::testing::NatsServer;

use crate::args::Args;
use crate::http;
use crate::process::{Launch, Process};
use crate::proxy::Proxy;

/// What one fleet has that others have not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    pub(crate) binance: usize,
    pub(crate) kucoin: usize,
    pub(crate) exchange_flags: String,
    pub(crate) ingestor_flags: String,
}

/// All processes.
pub(crate) struct Fleet {
    pub(crate) nats: NatsServer,
    /// The last ingestor's way to NATS.
    pub(crate) proxy: Proxy,
    pub(crate) exchange: Process,
    pub(crate) ingestors: Vec<Process>,
    pub(crate) edges: Vec<Process>,
    /// From the start of the ingestors to the moment when everything ticked.
    pub(crate) started_in: Duration,
}

impl Shape {
    pub(crate) fn of(args: &Args) -> Self {
        Self { binance: args.binance(), kucoin: args.kucoin(), ..Self::default() }
    }
}

impl Fleet {
    /// nats-server, exchange and edges; ingestors come with [`Fleet::start_ingestors`].
    ///
    /// # Errors
    /// If something does not start.
    pub(crate) async fn prepare(args: &Args, shape: &Shape, folder: &Path) -> anyhow::Result<Self> {
        let nats = NatsServer::start().await.context("start nats-server")?;
        let proxy = Proxy::start(&nats.url()).await?;
        let words = format!(
            "exchange --listen 127.0.0.1:0 --numbered --symbols {} --kucoin-symbols {} --rate {} {} {}",
            shape.binance, shape.kucoin, args.rate, args.exchange_flags, shape.exchange_flags
        );
        let program = args.program("tickwire-loadtest")?;
        let mut exchange = Launch::new("exchange", program, &words, folder).start()?;
        exchange.ready().await?;
        let mut edges = Vec::new();
        for number in 0..args.edges {
            let words = format!(
                "--nats.url {} --edge.listen 127.0.0.1:0 --admin.listen 127.0.0.1:0 --edge.drain_spread_seconds 1",
                nats.url()
            );
            let launch =
                Launch::new(format!("edge-{number}"), args.program("tickwire-edge")?, &words, folder);
            edges.push(launch.start()?);
        }
        for edge in &mut edges {
            edge.ready().await?;
            keep_port(edge);
        }
        Ok(Self { nats, proxy, exchange, ingestors: Vec::new(), edges, started_in: Duration::ZERO })
    }

    /// All ingestors at once, ready.
    ///
    /// # Errors
    /// If one does not start.
    pub(crate) async fn start_ingestors(
        &mut self,
        args: &Args,
        shape: &Shape,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let http = self.exchange.url("");
        let sockets = http.replace("http://", "ws://");
        let words = format!(
            "--admin.listen 127.0.0.1:0 --venues.binance.symbols all --venues.kucoin.symbols all \
             --venues.binance.ws_url {sockets}/binance --venues.binance.rest_url {http}/binance \
             --venues.kucoin.rest_url {http}/kucoin {} {}",
            args.ingestor_flags, shape.ingestor_flags
        );
        let words = if args.shards == SHARDS_DEFAULT {
            words
        } else {
            format!("{words} --venues.binance.shards {0} --venues.kucoin.shards {0}", args.shards)
        };
        for number in 0..args.ingestors {
            let program = args.program("tickwire-ingestor")?;
            let nats = if number + 1 == args.ingestors { self.proxy.url.clone() } else { self.nats.url() };
            let words = format!("--nats.url {nats} {words}");
            self.ingestors.push(Launch::new(format!("ingestor-{number}"), program, &words, folder).start()?);
        }
        for ingestor in &mut self.ingestors {
            ingestor.ready().await?;
        }
        Ok(())
    }

    /// What the exchange says of itself.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) async fn own(&self) -> anyhow::Result<Own> {
        Own::read(&http::get(&self.exchange.url("/control/last")).await?).context("/control/last")
    }

    /// Does something to the exchange, like `quiesce`.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) async fn control(&self, what: &str) -> anyhow::Result<Value> {
        http::post(&self.exchange.url(&format!("/control/{what}"))).await
    }

    /// The exchange's counters, by venue.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) async fn stats(&self) -> anyhow::Result<Value> {
        Ok(http::json(&self.exchange.url("/stats")).await?["venues"].take())
    }

    /// Broken limits of all venues, like `kucoin message_rate 3`.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) async fn violations(&self) -> anyhow::Result<Vec<String>> {
        let stats = self.stats().await?;
        let venues = stats.as_object().into_iter().flatten();
        let told = venues.flat_map(|(venue, stats)| {
            let kinds = stats["violations"].as_object().into_iter().flatten();
            kinds.map(move |(kind, count)| format!("{venue} {kind} {count}"))
        });
        Ok(told.collect())
    }

    /// A metric of each ingestor, summed over its labels; 0 for one that does not answer.
    pub(crate) async fn ingestor_metric(&self, name: &str) -> Vec<u64> {
        let mut values = Vec::new();
        for ingestor in &self.ingestors {
            let text = http::get(&ingestor.admin("/metrics")).await;
            values.push(text.map_or(0, |text| http::metric(&text, name)));
        }
        values
    }

    /// CPU time of all ingestors, in milliseconds.
    pub(crate) fn ingestor_cpu_ms(&self) -> u64 {
        self.ingestors.iter().map(Process::cpu_ms).sum()
    }
}

/// A process that is started again is found at its old address.
fn keep_port(edge: &mut Process) {
    let Some(address) = edge.urls.first().and_then(|url| url.strip_prefix("http://")).map(str::to_owned)
    else {
        return;
    };
    let listen = edge.launch.words.iter().position(|word| word == "--edge.listen");
    if let Some(word) = listen.and_then(|at| edge.launch.words.get_mut(at + 1)) {
        *word = address;
    }
}
