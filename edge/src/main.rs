//! `tickwire-edge`: configuration, telemetry, run, exit status.

use std::process::ExitCode;

use tickwire_common::config::Settings;
use tickwire_common::telemetry::{self, OTLP_ENDPOINT_VARIABLE};
use tickwire_edge::{app, config};

const ABOUT: &str = "Pushes prices from NATS to WebSocket clients";

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::load("tickwire-edge", ABOUT, &config::settings(), config::FOREIGN);
    let config = match settings.build(config::read).or_exit() {
        Ok(config) => config,
        Err(status) => return status,
    };
    let otlp = std::env::var(OTLP_ENDPOINT_VARIABLE).ok();
    let _telemetry =
        match telemetry::init("tickwire-edge", config.log_format, &config.log_filter, otlp.as_deref()) {
            Ok(telemetry) => telemetry,
            Err(error) => return fail(&error.into()),
        };
    match app::run(config).await {
        Ok(status) => status,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "there is no log yet")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("tickwire-edge: {error:#}");
    ExitCode::FAILURE
}
