//! An outage is one line in the log, however many attempts it takes. Alone in its process: a subscriber of one thread
//! misses what other threads of the same test program touched first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tickwire_nats::Nats;
use tickwire_nats::testing::NatsServer;
use tokio::time::timeout;
use tracing_subscriber::fmt::MakeWriter;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_outage_is_said_once() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut server = NatsServer::start().await.unwrap();
    server.stop();
    let nats = Nats::connect(&server.config(), "test").await.unwrap();
    log.wait_for("trying on").await;
    // Several attempts lie within this: the first waits are below half a second.
    log.wait_for_attempts(4).await;
    server.restart().await.unwrap();
    timeout(PATIENCE, nats.connected()).await.unwrap().unwrap();
    assert_eq!(log.count("trying on"), 1, "{}", log.text());
    assert_eq!(log.count("connected to NATS at"), 1, "{}", log.text());
    server.stop();
    let mut state = nats.state();
    timeout(PATIENCE, state.wait_for(|state| !state.connected)).await.unwrap().unwrap();
    server.restart().await.unwrap();
    timeout(PATIENCE, nats.connected()).await.unwrap().unwrap();
    assert_eq!(log.count("trying on"), 2, "{}", log.text());
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn count(&self, words: &str) -> usize {
        // The client library's own lines are not ours.
        self.text().lines().filter(|line| line.contains("tickwire_nats") && line.contains(words)).count()
    }

    async fn wait_for(&self, words: &str) {
        let said = async {
            while self.count(words) == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, said).await.expect("said in time");
    }

    /// The library logs one event a failed attempt.
    async fn wait_for_attempts(&self, attempts: usize) {
        let failed = async {
            while self.text().matches("event: client error").count() < attempts {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, failed).await.unwrap_or_else(|_| panic!("{}", self.text()));
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
