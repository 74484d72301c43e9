//! What the tests of the catalogue share: instruments, and a venue's REST interface that says what a test wants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use serde_json::json;
use tickwire_common::task::Tasks;
use tickwire_common::telemetry::{self, Format};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::config::{Filter, Selection, Symbols, VenueConfig};
use crate::rest::Rest;
use crate::venue::binance::Binance;
use crate::venue::contract::{Instrument, Venue};

/// Longer than anything takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A pair against USDT, with a key as Binance has it.
pub(crate) fn usdt(base: &str) -> Instrument {
    pair(base, "USDT")
}

/// A pair, with a key as Binance has it.
pub(crate) fn pair(base: &str, quote: &str) -> Instrument {
    Instrument::spot(base, quote, &format!("{base}{quote}"), None).unwrap()
}

/// The TLS provider that HTTP clients need, also those that use none.
pub(crate) fn install_tls() {
    static TLS: Once = Once::new();
    TLS.call_once(|| drop(telemetry::init("test", Format::Text, "off", None).unwrap()));
}

/// Binance, asked all the time.
pub(crate) fn binance(symbols: Symbols, url: &str) -> VenueConfig {
    VenueConfig {
        venue: &Binance,
        selection: Selection { symbols, filter: Filter::default(), file: None, key: None },
        ws_url: None,
        rest_url: url.to_owned(),
        shards: 4,
        refresh: Duration::from_millis(100),
        symbols_per_socket: 300,
        socket_lifetime: Duration::from_secs(86_400),
        linger: Duration::ZERO,
        stale_after: Duration::from_secs(30),
    }
}

/// Waits for something, but not for ever.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// Binance's REST interface.
pub(crate) struct Exchange {
    pub(crate) url: String,
    says: Arc<Mutex<Says>>,
    asked: watch::Receiver<Vec<(Instant, String)>>,
    tasks: Tasks,
}

/// What it answers from now on.
#[derive(Clone, Default)]
pub(crate) struct Says {
    /// Status line behind `HTTP/1.1 ` and headers, each with its line end; an answer of 200 if empty.
    pub(crate) refusal: Option<String>,
    /// Bases, traded against USDT, with their volume.
    pub(crate) listed: BTreeMap<String, u32>,
}

impl Exchange {
    /// One that lists these.
    pub(crate) async fn start(bases: &[&str]) -> Self {
        install_tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let says = Arc::new(Mutex::new(Says::default()));
        let (log, asked) = watch::channel(Vec::new());
        let tasks = Tasks::new();
        let answers = Arc::clone(&says);
        tasks.spawn("exchange", async move {
            loop {
                let (socket, _) = listener.accept().await?;
                // A client that went away is no matter.
                let _gone = answer(socket, &answers, &log).await;
            }
        });
        let exchange = Self { url, says, asked, tasks };
        exchange.lists(bases);
        exchange
    }

    pub(crate) fn rest(&self) -> Rest {
        Rest::of(&Binance, &self.url).unwrap()
    }

    pub(crate) fn lists(&self, bases: &[&str]) {
        let listed = bases.iter().map(|base| ((*base).to_owned(), 1)).collect();
        self.say(Says { refusal: None, listed });
    }

    pub(crate) fn refuses(&self, head: &str) {
        self.says.lock().unwrap().refusal = Some(head.to_owned());
    }

    pub(crate) fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// When it was asked what so far.
    pub(crate) fn asked(&self) -> Vec<(Instant, String)> {
        self.asked.borrow().clone()
    }

    /// Waits until it was asked so many times more.
    pub(crate) async fn asked_more(&self, times: usize) {
        let before = self.asked().len();
        let mut asked = self.asked.clone();
        soon("a question", asked.wait_for(|asked| asked.len() >= before + times)).await.unwrap();
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

async fn answer(
    mut socket: TcpStream,
    says: &Mutex<Says>,
    log: &watch::Sender<Vec<(Instant, String)>>,
) -> std::io::Result<()> {
    let mut asked = vec![0; 4_096];
    let read = socket.read(&mut asked).await?;
    let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
    let path = asked.split(' ').nth(1).unwrap_or_default().to_owned();
    let says = says.lock().unwrap().clone();
    let body = if path.starts_with(Binance.discovery().path) { exchange_info(&says) } else { tickers(&says) };
    let head = says.refusal.unwrap_or_else(|| "200 OK\r\n".to_owned());
    let text = format!("HTTP/1.1 {head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    socket.write_all(text.as_bytes()).await?;
    // Told last: whoever waits for it knows that the answer is on its way.
    log.send_modify(|log| log.push((Instant::now(), path)));
    Ok(())
}

fn exchange_info(says: &Says) -> String {
    let symbol = |base: &String| json!({"symbol": format!("{base}USDT"), "status": "TRADING", "baseAsset": base, "quoteAsset": "USDT"});
    json!({ "symbols": says.listed.keys().map(symbol).collect::<Vec<_>>() }).to_string()
}

fn tickers(says: &Says) -> String {
    let ticker = |(base, volume): (&String, &u32)| json!({"symbol": format!("{base}USDT"), "quoteVolume": format!("{volume}.00000000")});
    json!(says.listed.iter().map(ticker).collect::<Vec<_>>()).to_string()
}
