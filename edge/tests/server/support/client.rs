//! A client of the edge: tokio-tungstenite, as anybody would use it.

use std::collections::{BTreeMap, VecDeque};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::edge::Edge;
use super::in_time;

/// See the module.
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    rows: VecDeque<Row>,
    /// The newest that was said of each feed.
    feeds: BTreeMap<String, Value>,
}

/// A row as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub symbol: String,
    pub v: u64,
    pub venue: Option<String>,
    pub skipped: u64,
    pub stale: bool,
    /// Whether it came in a snapshot.
    pub snapshot: bool,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A text message.
    Message(Value),
    /// The end, with the server's code if it said one.
    End(Option<u16>),
}

/// The rows of a message; none if it is something else.
pub fn rows(message: &Value) -> Vec<Row> {
    if message["channel"] != "ticker" {
        return Vec::new();
    }
    let rows = message["data"].as_array().unwrap().iter();
    rows.map(|row| Row {
        symbol: row["symbol"].as_str().unwrap().to_owned(),
        v: row["v"].as_u64().unwrap(),
        venue: row["venue"].as_str().map(str::to_owned),
        skipped: row["skipped"].as_u64().unwrap_or(0),
        stale: row["stale"].as_bool().unwrap_or(false),
        snapshot: message["type"] == "snapshot",
    })
    .collect()
}

impl Client {
    /// Connects; the first message is not read yet.
    pub async fn connect(edge: &Edge) -> Self {
        Self::over(edge, TcpStream::connect(edge.address).await.unwrap()).await
    }

    /// As [`Client::connect`], with a small receive buffer, so that the edge soon cannot write.
    pub async fn narrow(edge: &Edge) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        Self::over(edge, socket.connect(edge.address).await.unwrap()).await
    }

    /// As [`Client::connect`], with an offer of subprotocols and a query.
    pub async fn choosing(edge: &Edge, offer: &'static str, query: &str) -> Self {
        let mut request = format!("ws://{}/v1/stream?{query}", edge.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(offer));
        let socket = TcpStream::connect(edge.address).await.unwrap();
        Self::upgraded(request, socket).await
    }

    async fn over(edge: &Edge, socket: TcpStream) -> Self {
        let url = format!("ws://{}/v1/stream", edge.address);
        Self::upgraded(url.into_client_request().unwrap(), socket).await
    }

    async fn upgraded(request: Request, socket: TcpStream) -> Self {
        let (socket, _) = in_time("the upgrade", client_async(request, socket)).await.unwrap();
        Self { socket, rows: VecDeque::new(), feeds: BTreeMap::new() }
    }

    /// Connects and subscribes; gives the rows of the snapshot, if one was sent before the next message.
    pub async fn subscribed(edge: &Edge, names: &[&str]) -> Self {
        let mut client = Self::connect(edge).await;
        let reply = client.subscribe(names).await;
        assert_eq!(reply["success"], true, "{reply}");
        client
    }

    /// Sends a text message.
    pub async fn say(&mut self, text: impl ToString) {
        self.send(Message::text(text.to_string())).await;
    }

    /// Sends any message.
    pub async fn send(&mut self, message: Message) {
        in_time("the client can send", self.socket.send(message)).await.unwrap();
    }

    /// Says goodbye.
    pub async fn close(&mut self) {
        let frame = CloseFrame { code: 1000.into(), reason: "".into() };
        in_time("the client can close", self.socket.close(Some(frame))).await.unwrap();
    }

    /// The next text message as it came, or the close code.
    pub async fn text(&mut self) -> Result<String, Option<u16>> {
        loop {
            match in_time("something for the client", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The same, without heartbeats: one may come at any moment.
    pub async fn text_but_heartbeats(&mut self) -> Result<String, Option<u16>> {
        loop {
            let text = self.text().await;
            if !text.as_ref().is_ok_and(|text| text.starts_with(r#"{"channel":"heartbeat""#)) {
                return text;
            }
        }
    }

    /// What comes next, without heartbeats.
    pub async fn hear(&mut self) -> Heard {
        let heard = async {
            match self.text_but_heartbeats().await {
                Ok(text) => Heard::Message(serde_json::from_str(&text).unwrap()),
                Err(code) => Heard::End(code),
            }
        };
        in_time("something for the client", heard).await
    }

    /// The next message, whatever it is about.
    pub async fn next(&mut self) -> Value {
        let message = match self.hear().await {
            Heard::Message(message) => message,
            Heard::End(code) => panic!("closed with {code:?}"),
        };
        if message["channel"] == "feed_status" {
            for feed in message["data"].as_array().unwrap() {
                self.feeds.insert(feed["feed"].as_str().unwrap().to_owned(), feed.clone());
            }
        }
        message
    }

    /// The next message of a channel; others are passed over.
    pub async fn next_of(&mut self, channel: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["channel"] == channel {
                return message;
            }
        }
    }

    /// The next reply; rows that come before it are kept for [`Client::row`].
    pub async fn reply(&mut self) -> Value {
        loop {
            let message = self.next().await;
            if message.get("success").is_some() {
                return message;
            }
            self.rows.extend(rows(&message));
        }
    }

    /// Sends a request and gives its reply.
    pub async fn ask(&mut self, request: Value) -> Value {
        self.say(request).await;
        self.reply().await
    }

    /// Subscribes, with snapshot; gives the reply.
    pub async fn subscribe(&mut self, names: &[&str]) -> Value {
        self.ask(json!({"method": "subscribe", "params": {"symbol": names}, "req_id": 1})).await
    }

    /// The next row; anything else is passed over.
    pub async fn row(&mut self) -> Row {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return row;
            }
            let message = self.next().await;
            self.rows.extend(rows(&message));
        }
    }

    /// Reads rows until one has this version; gives them all.
    pub async fn rows_until(&mut self, v: u64) -> Vec<Row> {
        let mut all = Vec::new();
        while all.last().is_none_or(|row: &Row| row.v != v) {
            all.push(self.row().await);
        }
        all
    }

    /// Reads until a feed is in this state, if it is not; rows that come before it are kept for [`Client::row`].
    pub async fn feed(&mut self, venue: &str, state: &str) -> Value {
        loop {
            if let Some(feed) = self.feeds.get(venue).filter(|feed| feed["state"] == state) {
                return feed.clone();
            }
            let message = self.next().await;
            self.rows.extend(rows(&message));
        }
    }

    /// Reads until the connection ends; gives the server's code and the error codes of the replies on the way.
    pub async fn end(&mut self) -> (Option<u16>, Vec<String>) {
        let mut errors = Vec::new();
        loop {
            match self.hear().await {
                Heard::Message(message) => errors.extend(error_code(&message)),
                Heard::End(code) => return (code, errors),
            }
        }
    }
}

/// The error code of a reply.
pub fn error_code(reply: &Value) -> Option<String> {
    reply["error"]["code"].as_str().map(str::to_owned)
}
