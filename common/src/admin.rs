//! The admin port: `/livez` (the process answers), `/readyz` (it can serve, or why not), `/metrics` (Prometheus text
//! format, <https://prometheus.io/docs/instrumenting/exposition_formats/>). Meant for kubelet and Prometheus on a
//! private address; knows nothing of what the process does beyond a list of reasons.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Buckets of every histogram named `*_seconds`: 50 us (an idle system) to 10 s (a client about to be dropped).
const SECONDS_BUCKETS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];
/// Buckets of every histogram named `*_bytes`: one small frame to a full socket buffer.
const BYTES_BUCKETS: [f64; 8] = [64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0];
/// Samples wait in memory until they are sorted into buckets; this bounds them when nobody scrapes.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// What counts and gauges of this process add up to.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

/// The metrics recorder could not be installed.
#[derive(Debug, Error)]
#[error("install the metrics recorder: {0}")]
pub struct MetricsError(#[from] BuildError);

impl Metrics {
    /// Makes this process count: every `metrics` macro from now on ends here.
    ///
    /// # Errors
    /// [`MetricsError`] if a recorder is installed already.
    pub fn install() -> Result<Self, MetricsError> {
        Ok(Self(builder()?.install_recorder()?))
    }

    /// All of it, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".into()), &BYTES_BUCKETS)
}

/// The three paths. `not_ready` names every reason against serving, empty means ready; it is asked at each probe and
/// must not block.
pub fn router(metrics: Metrics, not_ready: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Router {
    let not_ready = Arc::new(not_ready);
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || readiness(&not_ready())))
        .route(
            "/metrics",
            get(async move || {
                count_tasks();
                ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], metrics.render())
            }),
        )
}

/// Tasks of the asynchronous runtime at this moment; a leak shows as a line that only rises.
fn count_tasks() {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    metrics::gauge!("tickwire_tasks").set(tasks as f64);
}

fn readiness(reasons: &[String]) -> Response {
    if reasons.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
}

/// An address that can be opened from this machine: a wildcard is shown as loopback.
#[must_use]
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Answers on `listener` until `token` is cancelled. Runs as one task; give it
/// [`crate::task::Tasks::last_token`] so that probes are answered while the process drains.
///
/// # Errors
/// What the listener reports when it can accept no more.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    not_ready: impl Fn() -> Vec<String> + Send + Sync + 'static,
    token: CancellationToken,
) -> anyhow::Result<()> {
    let server = axum::serve(listener, router(metrics.clone(), not_ready));
    tokio::select! {
        served = server => Ok(served?),
        () = upkeep(&metrics) => Ok(()),
        () = token.cancelled() => Ok(()),
    }
}

async fn upkeep(metrics: &Metrics) {
    let mut ticks = tokio::time::interval(UPKEEP_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        metrics.0.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: std::net::SocketAddr, path: &str) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[test]
    fn a_wildcard_is_reached_at_loopback() {
        for (listen, shown) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("192.0.2.1:8080", "192.0.2.1:8080"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), shown);
        }
    }

    #[tokio::test]
    async fn answers_probes_and_metrics_until_cancelled() {
        let recorder = builder().unwrap().build_recorder();
        let metrics = Metrics(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("tickwire_rows_total").increment(3);
            metrics::histogram!("tickwire_latency_seconds").record(0.002);
        });
        let ready = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&ready);
        let not_ready = move || match asked.load(Ordering::Relaxed) {
            true => Vec::new(),
            false => vec!["nats: not connected".to_owned(), "catalogue: not loaded".to_owned()],
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let token = CancellationToken::new();

        let probes = async {
            assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 200 OK"));
            let refused = ask(address, "/readyz").await;
            assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
            assert!(refused.ends_with("nats: not connected\ncatalogue: not loaded\n"), "{refused}");
            ready.store(true, Ordering::Relaxed);
            assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200 OK"));
            let scraped = ask(address, "/metrics").await;
            assert!(scraped.contains("content-type: text/plain; version=0.0.4"), "{scraped}");
            assert!(scraped.contains("\ntickwire_rows_total 3\n"), "{scraped}");
            assert!(scraped.contains("tickwire_latency_seconds_bucket{le=\"0.0025\"} 1"), "{scraped}");
            assert!(ask(address, "/other").await.starts_with("HTTP/1.1 404 "));
            token.cancel();
        };
        let (served, ()) = tokio::join!(serve(listener, metrics, not_ready, token.clone()), probes);
        served.unwrap();
    }
}
