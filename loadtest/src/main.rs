//! `tickwire-loadtest`: simulated exchanges, simulated clients, replay files.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tickwire_common::task::{Tasks, shutdown_signal};
use tickwire_common::telemetry::{self, Format};
use tickwire_loadtest::clients::{self, ClientsArgs};
use tickwire_loadtest::convert::{ConvertArgs, convert};
use tickwire_loadtest::exchange::{Exchange, ExchangeArgs};
use tokio::net::TcpListener;

/// Time that open sockets get for their close handshake at the end.
const GRACE: Duration = Duration::from_secs(3);

#[derive(Parser)]
#[command(
    name = "tickwire-loadtest",
    version,
    about = "Simulated exchanges and simulated clients of Tickwire"
)]
struct Cli {
    /// Log filter, in the language of tracing-subscriber's EnvFilter
    #[arg(long, global = true, default_value = "warn,tickwire_loadtest=info")]
    log_filter: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Clients(Box<ClientsArgs>),
    Exchange(ExchangeArgs),
    Convert(ConvertArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let _telemetry = telemetry::init("tickwire-loadtest", Format::Text, &cli.log_filter, None)?;
    match cli.command {
        Command::Clients(args) => clients::run(*args),
        Command::Exchange(args) => exchange(&args).await,
        Command::Convert(args) => {
            let done = convert(&args).context("convert")?;
            writeln!(std::io::stdout(), "{} lines written, {} left behind", done.written, done.left)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn exchange(args: &ExchangeArgs) -> anyhow::Result<ExitCode> {
    let shutdown = shutdown_signal().context("listen for signals")?;
    let exchange = Exchange::new(args.config()).context("prepare the exchanges")?;
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("listen on {}", args.listen))?;
    let mut address = listener.local_addr()?;
    let tasks = Tasks::new();
    exchange.start(listener, &tasks.spawner());
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    writeln!(std::io::stdout(), "tickwire-loadtest exchange ready: http://{address}")?;
    Ok(tasks.run_until_shutdown(shutdown, GRACE).await.exit_code())
}
