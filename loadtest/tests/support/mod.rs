//! A simulated exchange in this process, and a plain WebSocket client that talks to it.

#![allow(dead_code, reason = "each test program uses its part")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tickwire_common::task::Tasks;
use tickwire_loadtest::exchange::{Config, Exchange};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// No wait of a test is longer than this; nothing is expected to come near it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running exchange; ends with the test.
pub struct Simulated {
    pub host: String,
    tasks: Tasks,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

impl Simulated {
    pub async fn start(config: Config) -> Self {
        // reqwest wants a TLS provider even for plain HTTP; another test of this process may have installed it.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let tasks = Tasks::new();
        Exchange::new(config).unwrap().start(listener, &tasks.spawner());
        Self { host, tasks }
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("http://{}{path}", self.host)).await.unwrap()
    }

    pub async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }

    pub async fn post(&self, path: &str) -> Value {
        let request = reqwest::Client::new().post(format!("http://{}{path}", self.host));
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Broken limits of a venue, as `{kind: count}`.
    pub async fn violations(&self, venue: &str) -> Value {
        self.json("/stats").await["venues"][venue]["violations"].clone()
    }

    pub async fn try_connect(&self, path: &str) -> Result<Client, Error> {
        let (socket, _) = connect_async(format!("ws://{}{path}", self.host)).await?;
        Ok(Client { socket })
    }

    pub async fn connect(&self, path: &str) -> Client {
        self.try_connect(path).await.unwrap()
    }
}

/// What a connection ended with.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// A close frame with code and reason.
    Closed(u16, String),
    /// No close frame.
    Cut,
}

/// One client connection.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    pub async fn ping(&mut self) {
        self.socket.send(Message::Ping("are you there".into())).await.unwrap();
    }

    /// The next message, pings and pongs included; how the connection ended if it did.
    pub async fn message(&mut self) -> Result<Message, Ended> {
        match timeout(PATIENCE, self.socket.next()).await.expect("a message in time") {
            Some(Ok(Message::Close(Some(frame)))) => {
                Err(Ended::Closed(frame.code.into(), frame.reason.as_str().to_owned()))
            }
            Some(Ok(message)) => Ok(message),
            Some(Err(_)) | None => Err(Ended::Cut),
        }
    }

    pub async fn text(&mut self) -> Result<String, Ended> {
        loop {
            if let Message::Text(text) = self.message().await? {
                return Ok(text.as_str().to_owned());
            }
        }
    }

    pub async fn value(&mut self) -> Value {
        serde_json::from_str(&self.text().await.unwrap()).unwrap()
    }

    /// Reads until a text contains `part`.
    pub async fn text_with(&mut self, part: &str) -> String {
        loop {
            let text = self.text().await.unwrap();
            if text.contains(part) {
                return text;
            }
        }
    }

    /// Reads until the connection ends.
    pub async fn end(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.message().await {
                return ended;
            }
        }
    }

    /// The TCP connection itself, for a client that does not obey the protocol.
    pub fn into_tcp(self) -> TcpStream {
        match self.socket.into_inner() {
            MaybeTlsStream::Plain(tcp) => tcp,
            _ => panic!("the simulator speaks plain TCP"),
        }
    }
}
