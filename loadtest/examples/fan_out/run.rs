//! One run: NATS and load generator on their core, the server alone on its own, all of them fresh; ended when the
//! figures are there.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::case::Case;
use crate::figures::Figures;
use crate::process::{Launch, Running, Scratch, listens};
use crate::server::{Places, Ports, Server};
use crate::watch::{Sample, growth, peak_kib, watch};
use crate::{fanbench, last_values, own};

/// A run that takes longer is a failed one.
const PATIENCE: Duration = Duration::from_secs(150);

/// Rows that the edge left out: for a client that was behind, and for all of them before they reached a worker.
const SKIPPED: [&str; 2] = ["tickwire_edge_skipped_rows_total", "tickwire_edge_inbox_folded_rows_total"];

/// Milliseconds after those that are measured in which late rows come, with both load generators.
const DRAIN_MS: u64 = 2_000;

/// What all runs have in common.
#[derive(Debug, Clone)]
pub(crate) struct Bench {
    pub(crate) places: Places,
    pub(crate) clients: u32,
    pub(crate) seconds: u32,
    pub(crate) server_core: usize,
    pub(crate) load_core: usize,
}

impl Bench {
    /// Measures a server in a case.
    ///
    /// # Errors
    /// If something does not start, ends early, takes too long or prints no figures.
    pub(crate) async fn run(&self, server: &Server, case: Case) -> anyhow::Result<Figures> {
        let scratch = Scratch::new()?;
        let ports = server.ports()?;
        for port in ports.all() {
            ensure!(!listens(port)?, "port {port} is taken by another program");
        }
        let nats = self.start_nats(&ports, &scratch).await?;
        if server.is_tickwire() {
            last_values::fill(ports.nats, case.load(self.clients).symbols)
                .await
                .context("fill the stream of last rows")?;
        }
        let config_file = scratch.path().join("server.conf");
        if let Some(config) = server.config(&ports) {
            std::fs::write(&config_file, config)?;
        }
        let launch = server.launch(&self.places, &ports, &config_file);
        let mut running = Running::start("server", &launch, self.server_core, scratch.path())?;
        running.listening(ports.clients).await?;
        let measured = timeout(PATIENCE, self.measure(server, case, &ports, &running, &scratch)).await;
        let mut figures = match (measured, running.ended()) {
            (_, Some(ended)) => bail!(ended),
            (Err(_), None) => bail!("took more than {} s", PATIENCE.as_secs()),
            (Ok(measured), None) => measured?,
        };
        if let Some(admin) = ports.admin {
            figures.skipped = Some(metrics(admin).await.context("read the metrics of the edge")?);
        }
        running.stop().await?;
        nats.stop().await?;
        Ok(figures)
    }

    async fn start_nats(&self, ports: &Ports, scratch: &Scratch) -> anyhow::Result<Running> {
        let store = scratch.path().join("store");
        let mut launch = Launch::new(&self.places.nats_server, ["--addr", "127.0.0.1", "--jetstream"]);
        launch.args.extend([
            "--port".into(),
            ports.nats.to_string().into(),
            "--store_dir".into(),
            store.into(),
        ]);
        let mut nats = Running::start("nats", &launch, self.load_core, scratch.path())?;
        nats.listening(ports.nats).await?;
        Ok(nats)
    }

    /// Runs the load generator to its end.
    async fn measure(
        &self,
        server: &Server,
        case: Case,
        ports: &Ports,
        running: &Running,
        scratch: &Scratch,
    ) -> anyhow::Result<Figures> {
        let load = case.load(self.clients);
        let neutral = self.places.peers.is_some() && !case.is_ours();
        let report = scratch.path().join("report.json");
        let launch = if neutral {
            fanbench::launch(&self.places, server, case, &load, ports, self.seconds, running.pid())?
        } else {
            own::launch(&self.places, case, self.clients, ports, self.seconds, &report)
        };
        let mut generator = Running::start("load", &launch, self.load_core, scratch.path())?;
        let mut samples = Vec::new();
        let ended = tokio::select! {
            ended = generator.finished() => ended?,
            () = watch(running.pid(), &mut samples) => bail!("the server ended"),
        };
        let mut figures = if neutral {
            ensure!(ended.success(), "fanbench ended ({ended}): {}", generator.last_words());
            fanbench::read(&generator.output(), load.clients)?
        } else {
            ensure!(report.is_file(), "tickwire-loadtest ended ({ended}): {}", generator.last_words());
            let report = std::fs::read_to_string(report)?;
            own::read(&report, load.clients, &samples)?
        };
        self.add_memory(&mut figures, case, &samples);
        Ok(figures)
    }

    fn add_memory(&self, figures: &mut Figures, case: Case, samples: &[Sample]) {
        figures.peak_kib = peak_kib(samples).map(|kib| kib as f64);
        if !case.is_idle() {
            figures.growth = growth(samples, u64::from(self.seconds) * 1_000 + DRAIN_MS);
        }
    }
}

/// The rows that the edge says it left out.
async fn metrics(port: u16) -> anyhow::Result<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{}", answer.lines().next().unwrap_or("no answer"));
    Ok(sum(&answer, &SKIPPED))
}

/// The samples of some metrics, over their labels.
fn sum(metrics: &str, names: &[&str]) -> f64 {
    let wanted = |line: &&str| line.split(['{', ' ']).next().is_some_and(|name| names.contains(&name));
    let value = |line: &str| line.rsplit(' ').next().and_then(|text| serde_json::from_str::<f64>(text).ok());
    metrics.lines().filter(wanted).filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_their_labels() {
        let text = "# TYPE tickwire_edge_skipped_rows_total counter\n\
            tickwire_edge_skipped_rows_total{worker=\"0\"} 3\ntickwire_edge_skipped_rows_total{worker=\"1\"} 4\n\
            tickwire_edge_inbox_folded_rows_total 5\ntickwire_edge_rows_total 100\n";
        assert_eq!(sum(text, &SKIPPED), 12.0);
    }
}
