//! What a process says about itself: logs on stderr as text or JSON, and, when an OTLP endpoint is given, its spans
//! as OpenTelemetry traces. Stdout is never written. Counters are [`crate::admin`]'s.
//!
//! OTLP over HTTP: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>; the endpoint is the base address
//! to which `/v1/traces` is added. Spans wait in the SDK's queue of 2,048; what does not fit is dropped.

mod exporter;

use std::io;
use std::str::FromStr;

use exporter::Reporting;
use opentelemetry::Key;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber, warn};
use tracing_subscriber::filter::{EnvFilter, FilterFn, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Environment variable of the OpenTelemetry specification that names the endpoint for [`init`].
pub const OTLP_ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For a person at a terminal.
    #[default]
    Text,
    /// One object a line, for a collector.
    Json,
}

/// Keeps the exporter alive; flushes what it holds when dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the export of traces"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Telemetry could not start.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter is not one of tracing-subscriber's.
    #[error("read the log filter {filter:?}: {source}")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The OTLP exporter refused its endpoint.
    #[error("export traces to {endpoint:?}: {source}")]
    Exporter {
        /// As given, with the path added.
        endpoint: String,
        /// What is wrong with it.
        source: ExporterBuildError,
    },
    /// A subscriber is installed already.
    #[error("install the log subscriber: {0}")]
    Installed(#[from] TryInitError),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("is neither text nor json".to_owned()),
        }
    }
}

/// Starts logs and traces of the process and makes *ring* the provider of all its TLS. `filter` is in the language
/// of <https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html>; `otlp_endpoint` is
/// the value of [`OTLP_ENDPOINT_VARIABLE`], absent or empty for no traces. The service is called `program` unless
/// OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES says otherwise.
///
/// # Errors
/// [`TelemetryError`]: a filter or endpoint that cannot be used, or a second call.
pub fn init(
    program: &'static str,
    format: Format,
    filter: &str,
    otlp_endpoint: Option<&str>,
) -> Result<Telemetry, TelemetryError> {
    let already = rustls::crypto::ring::default_provider().install_default().is_err();
    let provider = provider(program, otlp_endpoint)?;
    subscriber(program, format, filter, provider.as_ref(), io::stderr)?.try_init()?;
    if already {
        warn!("another TLS provider was installed before telemetry started; it stays");
    }
    Ok(Telemetry { provider })
}

impl Telemetry {
    /// Sends what is still held; waits for it as long as the exporter's timeout, 10 s by default. Dropping does the
    /// same.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.provider.as_ref().map(SdkTracerProvider::shutdown) {
            warn!(%error, "the last traces were not delivered");
        }
    }
}

fn subscriber<W>(
    program: &'static str,
    format: Format,
    filter: &str,
    provider: Option<&SdkTracerProvider>,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + for<'a> LookupSpan<'a>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(filter)
        .map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let logs = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let logs = match format {
        Format::Text => logs.boxed(),
        Format::Json => logs.json().boxed(),
    };
    let traces = provider.map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(program))
            .with_filter(FilterFn::new(not_of_the_exporter))
    });
    Ok(tracing_subscriber::registry().with(filter).with(logs).with(traces))
}

/// The exporter's own HTTP client makes spans too; exporting those would never end.
fn not_of_the_exporter(metadata: &Metadata<'_>) -> bool {
    const EXPORTER: [&str; 6] = ["h2", "hyper", "opentelemetry", "reqwest", "rustls", "tower"];
    !EXPORTER.iter().any(|part| metadata.target().starts_with(part))
}

fn provider(
    program: &'static str,
    endpoint: Option<&str>,
) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let Some(base) = endpoint.filter(|base| !base.is_empty()) else {
        return Ok(None);
    };
    let endpoint = format!("{}/v1/traces", base.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint.clone())
        .build()
        .map_err(|source| TelemetryError::Exporter { endpoint, source })?;
    Ok(Some(
        SdkTracerProvider::builder()
            .with_batch_exporter(Reporting::new(exporter))
            .with_resource(resource(program))
            .build(),
    ))
}

fn resource(program: &'static str) -> Resource {
    let detected = Resource::builder().build();
    let named = detected.get(&Key::new("service.name")).is_some_and(|name| {
        // What the SDK falls back to when the environment names no service.
        !name.as_str().starts_with("unknown_service")
    });
    if named { detected } else { Resource::builder().with_service_name(program).build() }
}

#[cfg(test)]
mod tests;
