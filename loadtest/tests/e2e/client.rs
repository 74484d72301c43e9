//! A WebSocket client of the edge that checks what holds for every client at every moment: the `v` of a symbol only
//! grows.

use std::collections::{BTreeMap, VecDeque};

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::PATIENCE;

/// A row's members as the text that was sent, without `v` and without what the edge puts beside the row.
pub type Fields = BTreeMap<String, String>;

/// One row as a client got it.
#[derive(Debug, Clone)]
pub struct Row {
    pub symbol: String,
    pub v: u64,
    pub is_snapshot: bool,
    /// Rows folded into this one.
    pub skipped: u64,
    pub fields: Fields,
}

/// What a client got.
#[derive(Debug)]
pub enum Event {
    Row(Row),
    GoingAway,
    Reply(Value),
    /// A feed's state, heartbeats, the welcome.
    Other,
    /// The end, with the code of the close frame if there was one.
    Closed(Option<u16>),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    channel: Option<&'a str>,
    r#type: Option<&'a str>,
    #[serde(borrow)]
    data: Option<Vec<&'a RawValue>>,
}

pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    waiting: VecDeque<Event>,
    /// Newest `v` of each symbol.
    pub newest: BTreeMap<String, u64>,
    /// State of each feed, as last told.
    pub feeds: BTreeMap<String, String>,
}

/// Reads a row's JSON: its members as text.
pub fn fields(row: &str) -> Fields {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(row).unwrap();
    members.into_iter().map(|(key, value)| (key, value.get().to_owned())).collect()
}

/// Takes a member that is a whole number out of a row.
pub fn take_number(fields: &mut Fields, key: &str) -> Option<u64> {
    Some(fields.remove(key)?.parse().unwrap())
}

impl Client {
    pub async fn connect(url: &str) -> Self {
        let (socket, _) = timeout(PATIENCE, connect_async(url)).await.expect("connects in time").unwrap();
        Self { socket, waiting: VecDeque::new(), newest: BTreeMap::new(), feeds: BTreeMap::new() }
    }

    /// Subscribes and waits for the answer, which must be a full yes.
    pub async fn subscribe(&mut self, symbols: &[&str]) {
        let request = json!({"method": "subscribe", "params": {"symbol": symbols}, "req_id": 1});
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        let mut before = VecDeque::new();
        let reply = loop {
            match self.event().await {
                Event::Reply(reply) => break reply,
                event => before.push_back(event),
            }
        };
        assert_eq!(reply["success"], true, "{reply}");
        assert_eq!(reply["result"]["subscribed"].as_array().unwrap().len(), symbols.len(), "{reply}");
        before.append(&mut self.waiting);
        self.waiting = before;
    }

    /// The next thing that came.
    pub async fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event;
            }
            let message = timeout(PATIENCE, self.socket.next()).await.expect("a message in time");
            match message {
                Some(Ok(Message::Text(text))) => self.read(&text),
                Some(Ok(Message::Close(frame))) => {
                    // Reading on sends our own close frame, for which the server waits.
                    while let Ok(Some(Ok(_))) = timeout(PATIENCE, self.socket.next()).await {}
                    return Event::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                None | Some(Err(Error::ConnectionClosed)) => return Event::Closed(None),
                Some(Err(error)) => panic!("the connection broke: {error}"),
            }
        }
    }

    /// The next row; whatever else comes before it is noted.
    pub async fn row(&mut self) -> Row {
        loop {
            match self.event().await {
                Event::Row(row) => return row,
                Event::Closed(code) => panic!("closed with {code:?} instead of a row"),
                _ => {}
            }
        }
    }

    /// The next row of one symbol.
    pub async fn row_of(&mut self, symbol: &str) -> Row {
        loop {
            let row = self.row().await;
            if row.symbol == symbol {
                return row;
            }
        }
    }

    /// Reads until a feed has this state.
    pub async fn feed(&mut self, feed: &str, state: &str) {
        self.feed_any(feed, &[state]).await;
    }

    /// Reads until a feed has one of these states.
    pub async fn feed_any(&mut self, feed: &str, states: &[&str]) {
        let reading = async {
            while self.feeds.get(feed).is_none_or(|known| !states.contains(&known.as_str())) {
                if let Event::Closed(code) = self.event().await {
                    panic!("closed with {code:?} before {feed} was {states:?}");
                }
            }
        };
        if timeout(PATIENCE, reading).await.is_err() {
            panic!("{feed} is not {states:?} in time, but {:?}", self.feeds);
        }
    }

    /// Reads until the connection ends; whether going away was announced, and the close code.
    pub async fn end(&mut self) -> (bool, Option<u16>) {
        let mut announced = false;
        loop {
            match self.event().await {
                Event::GoingAway => announced = true,
                Event::Closed(code) => return (announced, code),
                _ => {}
            }
        }
    }

    fn read(&mut self, text: &str) {
        let envelope: Envelope<'_> =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let data = envelope.data.unwrap_or_default();
        match envelope.channel {
            Some("ticker") => {
                let is_snapshot = envelope.r#type == Some("snapshot");
                data.iter().for_each(|row| self.take_row(row.get(), is_snapshot));
            }
            Some("feed_status") => data.iter().for_each(|feed| self.take_feed(feed.get())),
            Some("status") if text.contains(r#""event":"going_away""#) => {
                self.waiting.push_back(Event::GoingAway)
            }
            Some(_) => self.waiting.push_back(Event::Other),
            None => self.waiting.push_back(Event::Reply(serde_json::from_str(text).unwrap())),
        }
    }

    fn take_row(&mut self, text: &str, is_snapshot: bool) {
        let mut fields = fields(text);
        let symbol: String = serde_json::from_str(&fields.remove("symbol").unwrap()).unwrap();
        let v = take_number(&mut fields, "v").unwrap();
        let skipped = take_number(&mut fields, "skipped").unwrap_or(0);
        fields.remove("stale");
        let before = self.newest.insert(symbol.clone(), v).unwrap_or(0);
        assert!(v > before, "{symbol}: v {v} after {before}");
        self.waiting.push_back(Event::Row(Row { symbol, v, is_snapshot, skipped, fields }));
    }

    fn take_feed(&mut self, text: &str) {
        let feed: Value = serde_json::from_str(text).unwrap();
        let word = |key: &str| feed[key].as_str().unwrap().to_owned();
        self.feeds.insert(word("feed"), word("state"));
        self.waiting.push_back(Event::Other);
    }
}
