//! An exporter that says when it fails: the SDK alone drops a batch that nobody takes without a word.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::counter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tracing::{info, warn};

/// Counts every batch that was lost; logs the first of a row and the first that arrives again.
#[derive(Debug)]
pub(super) struct Reporting<E> {
    inner: E,
    failing: AtomicBool,
}

impl<E> Reporting<E> {
    pub(super) fn new(inner: E) -> Self {
        Self { inner, failing: AtomicBool::new(false) }
    }

    fn report(&self, result: &OTelSdkResult) {
        let failed_before = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) => {
                counter!("tickwire_trace_batches_lost_total").increment(1);
                if !failed_before {
                    warn!(%error, "traces do not reach the collector; batches are dropped until they do");
                }
            }
            Ok(()) if failed_before => info!("traces reach the collector again"),
            Ok(()) => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        self.report(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
