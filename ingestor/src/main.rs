//! `tickwire-ingestor`: exchange sockets in, rows on NATS out. One page: settings, telemetry, start, wait, drain.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tickwire_common::admin::{self, Metrics};
use tickwire_common::config::Settings;
use tickwire_common::task::{Tasks, shutdown_signal};
use tickwire_common::telemetry::{self, OTLP_ENDPOINT_VARIABLE};
use tickwire_ingestor::app::{self, App};
use tickwire_ingestor::catalogue::check_start;
use tickwire_ingestor::config::{Config, TABLES};
use tokio::net::TcpListener;

const PROGRAM: &str = "tickwire-ingestor";
const ABOUT: &str = "Owns the exchange sockets and publishes every tick on NATS";

/// Exit status where the settings cannot be meant.
const WRONG_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let tables = TABLES.concat();
    let config = match Settings::load(PROGRAM, ABOUT, &tables, &["edge"]).build(Config::read).or_exit() {
        Ok(config) => config,
        Err(code) => return code,
    };
    match serve(&config) {
        Ok(code) => code,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "{PROGRAM}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    let endpoint = std::env::var(OTLP_ENDPOINT_VARIABLE).ok();
    let telemetry = telemetry::init(PROGRAM, config.log_format, &config.log_filter, endpoint.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(run(config));
    telemetry.shutdown();
    code
}

async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let mut shutdown = std::pin::pin!(shutdown_signal()?);
    let metrics = Metrics::install()?;
    let listener = TcpListener::bind(config.admin_listen)
        .await
        .with_context(|| format!("listen on admin.listen {}", config.admin_listen))?;
    let address = listener.local_addr()?;
    let tasks = Tasks::new();
    let venues = app::venues(config)?;
    let checked = tokio::select! {
        checked = check_start(venues.iter().map(|(venue, rest)| (venue, rest))) => checked,
        () = &mut shutdown => return Ok(ExitCode::SUCCESS),
    };
    if let Err(refused) = checked {
        writeln!(std::io::stderr(), "{PROGRAM}: wrong configuration\n{refused}")?;
        return Ok(ExitCode::from(WRONG_CONFIGURATION));
    }
    let app = Arc::new(App::start(config, venues, &tasks).await?);
    let asked = Arc::clone(&app);
    let probes = admin::serve(listener, metrics, move || asked.not_ready(), tasks.last_token());
    tasks.spawn_last("admin", probes);
    let (ready, token) = (Arc::clone(&app), tasks.token());
    tasks.spawner().spawn_job("announce", async move {
        if token.run_until_cancelled(ready.ready()).await.is_some() {
            writeln!(std::io::stdout(), "{PROGRAM} ready: admin http://{}", admin::reachable(address))?;
        }
        Ok(())
    });
    let verdict = tasks.run_until_shutdown(shutdown, config.grace).await;
    app.close().await;
    Ok(verdict.exit_code())
}
