//! The collector is a plain listener: what arrives is looked at as bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use super::*;

/// Takes one request, answers 200, and gives its first line and body.
fn collect_one(listener: TcpListener) -> JoinHandle<(String, Vec<u8>)> {
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(socket);
        let mut request = String::new();
        reader.read_line(&mut request).unwrap();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let header = header.trim_end().to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if header.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        reader.into_inner().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        (request.trim_end().to_owned(), body)
    })
}

fn has(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

fn exports_a_span() {
    let _installed_by_another_test = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let collector = collect_one(listener);
    let provider = provider("tickwire-test", Some(&endpoint)).unwrap();
    let subscriber = subscriber("tickwire-test", Format::Text, "info", provider.as_ref(), io::sink).unwrap();

    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("snapshot", symbols = 3).in_scope(|| tracing::info!("answered"));
        tracing::info_span!(target: "hyper_util::client", "of_the_exporter").in_scope(|| ());
    });
    Telemetry { provider }.shutdown();

    let (request, body) = collector.join().unwrap();
    assert_eq!(request, "POST /v1/traces HTTP/1.1");
    assert!(has(&body, "tickwire-test") && has(&body, "snapshot"), "{}", String::from_utf8_lossy(&body));
    assert!(!has(&body, "of_the_exporter"), "the exporter's own spans are not exported");
}

#[test]
fn a_span_reaches_the_collector() {
    exports_a_span();
}

#[tokio::test]
async fn a_span_reaches_the_collector_from_inside_a_runtime() {
    exports_a_span();
}

#[derive(Debug, Default)]
struct Flaky(Mutex<Vec<OTelSdkResult>>);

impl SpanExporter for Flaky {
    async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().remove(0)
    }
}

#[tokio::test]
async fn lost_batches_are_counted_and_told_once_in_a_row() {
    let lost = || Err(OTelSdkError::InternalFailure("refused".to_owned()));
    let exporter = exporter::Reporting::new(Flaky(Mutex::new(vec![Ok(()), lost(), lost(), Ok(()), Ok(())])));
    let recorder = PrometheusBuilder::new().build_recorder();
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = subscriber("tickwire-test", Format::Text, "info", None, move || writer.clone()).unwrap();
    let _logs = tracing::subscriber::set_default(subscriber);
    let _counts = metrics::set_default_local_recorder(&recorder);

    for expected in [true, false, false, true, true] {
        assert_eq!(exporter.export(vec![]).await.is_ok(), expected, "the result is passed on");
    }

    assert!(recorder.handle().render().contains("tickwire_trace_batches_lost_total 2\n"));
    let told = lines.text();
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains("do not reach the collector") && told.contains("refused"), "{told}");
    assert!(told.contains("reach the collector again"), "{told}");
}

/// Also as the SDK drives it, from its own thread.
#[test]
fn an_unreachable_collector_is_an_error_of_the_flush() {
    let _installed_by_another_test = rustls::crypto::ring::default_provider().install_default();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let provider = provider("tickwire-test", Some(&format!("http://{address}"))).unwrap().unwrap();
    let subscriber = subscriber("tickwire-test", Format::Text, "info", Some(&provider), io::sink).unwrap();

    tracing::subscriber::with_default(subscriber, || tracing::info_span!("lost").in_scope(|| ()));

    assert!(provider.force_flush().is_err(), "nobody listens there");
}

#[test]
fn nothing_is_exported_without_an_endpoint() {
    assert!(provider("tickwire-test", None).unwrap().is_none());
    assert!(provider("tickwire-test", Some("")).unwrap().is_none());
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: Format, filter: &str) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = subscriber("tickwire-test", format, filter, None, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(venue = "binance", "connected");
        tracing::debug!("frame");
    });
    lines.text()
}

#[test]
fn text_is_a_plain_line_an_event() {
    let text = logged(Format::Text, "info");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(" INFO ") && text.contains("connected venue=\"binance\""), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours: {text:?}");
}

#[test]
fn json_is_an_object_a_line() {
    let text = logged(Format::Json, "info,tickwire_common=debug");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2, "{text}");
    assert_eq!(events[0]["fields"]["venue"], "binance");
    assert_eq!(events[0]["level"], "INFO");
}

#[test]
fn refuses_what_it_cannot_use() {
    let refused = subscriber("tickwire-test", Format::Text, "a=b=c", None, io::sink).err().unwrap();
    assert!(refused.to_string().starts_with("read the log filter \"a=b=c\": "), "{refused}");
    let refused = provider("tickwire-test", Some("not an address")).err().unwrap();
    assert!(refused.to_string().starts_with("export traces to \"not an address/v1/traces\": "), "{refused}");
    assert_eq!("xml".parse::<Format>(), Err("is neither text nor json".to_owned()));
    assert_eq!("json".parse::<Format>(), Ok(Format::Json));
}
