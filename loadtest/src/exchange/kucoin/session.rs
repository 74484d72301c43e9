//! KuCoin spot's WebSocket protocol, server side: welcome, JSON pings, topics, limits.
//!
//! <https://www.kucoin.com/apidoc/project-6000000/websocket-api/base-info/introduction>. An `id` is echoed as a string whatever it
//! came as, and a subscribe is acknowledged only when it asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::facts::{Limits, violation};
use super::frames::{ALL_TICKERS, KINDS};
use super::token::Verdict;
use crate::exchange::hub::ChannelId;
use crate::exchange::rate::Window;
use crate::exchange::session::{Action, Incoming, Session};
use crate::exchange::venue::Venue;

/// One connection.
pub(super) struct KucoinSession {
    venue: Arc<Venue>,
    limits: Limits,
    connect_id: String,
    token: Verdict,
    messages: Window,
    topics: BTreeSet<String>,
    last_ping: Instant,
}

/// A message of a client.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    id: Value,
    r#type: Option<String>,
    topic: Option<String>,
    #[serde(default)]
    response: bool,
    #[serde(default)]
    private_channel: bool,
}

/// An error of the venue, and the kind under which it is counted.
struct Fault {
    code: u16,
    text: String,
    kind: &'static str,
}

impl Fault {
    fn new(code: u16, text: impl Into<String>, kind: &'static str) -> Self {
        Self { code, text: text.into(), kind }
    }
}

impl KucoinSession {
    /// A connection that came with `token`, under the name `connect_id`.
    pub(super) fn new(venue: Arc<Venue>, limits: Limits, connect_id: String, token: Verdict) -> Self {
        let messages = Window::new(limits.messages);
        let (topics, last_ping) = (BTreeSet::new(), Instant::now());
        Self { venue, limits, connect_id, token, messages, topics, last_ping }
    }

    fn request(&mut self, text: &str, now: Instant, actions: &mut Vec<Action>) {
        let Ok(request) = serde_json::from_str::<Request>(text) else {
            return fail("", Fault::new(400, "message is invalid", violation::BAD_REQUEST), actions);
        };
        let id = id_text(&request.id);
        let done = match request.r#type.as_deref() {
            Some("ping") => {
                self.last_ping = now;
                actions.push(Action::Send(json!({ "id": id, "type": "pong" }).to_string()));
                return;
            }
            Some("subscribe") => {
                self.read_topics(&request).and_then(|topics| self.subscribe(topics, actions))
            }
            Some("unsubscribe") => {
                self.read_topics(&request).map(|topics| self.unsubscribe(&topics, actions))
            }
            _ => Err(Fault::new(415, "type is not supported", violation::BAD_REQUEST)),
        };
        match done {
            Ok(()) if request.response => {
                actions.push(Action::Send(json!({ "id": id, "type": "ack" }).to_string()));
            }
            Ok(()) => {}
            Err(fault) => fail(&id, fault, actions),
        }
    }

    fn read_topics(&self, request: &Request) -> Result<Vec<String>, Fault> {
        let bad = |code, text: &str| Err(Fault::new(code, text, violation::BAD_REQUEST));
        if request.private_channel {
            return bad(403, "login is required");
        }
        let Some(topic) = request.topic.as_deref().filter(|topic| !topic.is_empty()) else {
            return bad(406, "topic is required");
        };
        let Some((kind, symbols)) = topic.split_once(':') else {
            return bad(400, "topic is invalid");
        };
        let topics: Vec<String> = symbols.split(',').map(|symbol| format!("{kind}:{symbol}")).collect();
        let most = self.limits.symbols_per_message;
        if topics.len() > most {
            let text = format!("exceed max subscription count limitation of {most} per time");
            return Err(Fault::new(509, text, violation::SYMBOLS_PER_MESSAGE));
        }
        Ok(topics)
    }

    /// One unknown topic refuses all of the message.
    fn subscribe(&mut self, topics: Vec<String>, actions: &mut Vec<Action>) -> Result<(), Fault> {
        if let Some(unknown) = topics.iter().find(|topic| !self.exists(topic)) {
            return Err(Fault::new(404, format!("topic {unknown} is not found"), violation::UNKNOWN_TOPIC));
        }
        let added: BTreeSet<String> =
            topics.into_iter().filter(|topic| !self.topics.contains(topic)).collect();
        let most = self.limits.topics;
        if self.topics.len() + added.len() > most {
            let text = format!("exceed max subscription count limitation of {most} per session");
            return Err(Fault::new(509, text, violation::TOPICS));
        }
        let channels = added.iter().filter_map(|topic| self.venue.channels.get(topic));
        let (muted, heard): (Vec<ChannelId>, _) =
            channels.partition(|channel| self.venue.is_muted(**channel));
        actions.extend(heard.into_iter().map(Action::Join));
        actions.push(Action::Subscribed { by_message: true, streams: added.len(), muted: muted.len() });
        self.topics.extend(added);
        Ok(())
    }

    fn unsubscribe(&mut self, topics: &[String], actions: &mut Vec<Action>) {
        let held = self.topics.len();
        for topic in topics {
            if self.topics.remove(topic)
                && let Some(channel) = self.venue.channels.get(topic)
            {
                actions.push(Action::Leave(*channel));
            }
        }
        actions.push(Action::Unsubscribed(held - self.topics.len()));
    }

    /// A topic of a listed symbol exists even where a recording has no frame of it: then it is silent.
    fn exists(&self, topic: &str) -> bool {
        let known = self.venue.channels.contains_key(topic);
        let Some((kind, symbol)) = topic.split_once(':') else { return known };
        match self.venue.catalogue.position(symbol) {
            Some(position) => self.venue.is_listed(position) && (known || KINDS.contains(&kind)),
            None => known || topic == ALL_TICKERS,
        }
    }
}

impl Session for KucoinSession {
    fn wrapped(&self) -> bool {
        true
    }

    fn open(&mut self, _now: Instant, actions: &mut Vec<Action>) {
        let text = match self.token {
            Verdict::Valid => {
                let welcome = json!({ "id": self.connect_id, "type": "welcome" });
                return actions.push(Action::Send(welcome.to_string()));
            }
            Verdict::Expired => "token is expired",
            Verdict::Unknown => "token is invalid",
        };
        fail(&self.connect_id, Fault::new(401, text, violation::TOKEN), actions);
        actions.push(Action::Cut);
    }

    fn receive(&mut self, incoming: Incoming<'_>, now: Instant, actions: &mut Vec<Action>) {
        // Frames of the WebSocket protocol itself neither cost anything nor keep the connection alive.
        let text = match incoming {
            Incoming::Text(text) => text.to_owned(),
            Incoming::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Incoming::Ping | Incoming::Pong(_) => return,
        };
        if self.messages.admit(now) {
            return self.request(&text, now, actions);
        }
        let seconds = self.limits.messages.per.as_secs();
        let text = format!("exceed max permits per {seconds} seconds");
        fail("", Fault::new(509, text, violation::MESSAGE_RATE), actions);
        actions.push(Action::Cut);
    }

    fn deadline(&self) -> Instant {
        self.last_ping + self.limits.ping_interval + self.limits.ping_timeout
    }

    fn expire(&mut self, _now: Instant, actions: &mut Vec<Action>) {
        fail(&self.connect_id, Fault::new(400, "ping timeout", violation::PING_TIMEOUT), actions);
        actions.push(Action::Cut);
    }

    fn streams(&self) -> usize {
        self.topics.len()
    }

    fn farewell(&self) -> Option<String> {
        None
    }
}

fn fail(id: &str, fault: Fault, actions: &mut Vec<Action>) {
    let error = json!({ "id": id, "type": "error", "code": fault.code, "data": fault.text });
    actions.push(Action::Violation(fault.kind));
    actions.push(Action::Send(error.to_string()));
}

fn id_text(id: &Value) -> String {
    match id {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Config;
    use crate::exchange::kucoin::synthetic;
    use crate::exchange::noise::Noise;
    use crate::exchange::rate::Rate;

    #[test]
    fn whatever_a_client_sends_is_answered_with_json_or_silence() {
        let venue = Arc::new(synthetic(&Config { symbols: 2, ..Config::default() }));
        let messages = Rate::new(u32::MAX, std::time::Duration::from_nanos(1));
        let limits = Limits { messages, topics: 3, ..Limits::default() };
        let mut session = KucoinSession::new(venue, limits, "me".to_owned(), Verdict::Valid);
        let sample =
            r#"{"id":1,"type":"subscribe","topic":"/market/ticker:BTC-USDT,ETH-USDT","response":true}"#;
        let (mut acks, mut errors) = (0, 0);
        for bytes in Noise::new(sample, 7).take(5_000) {
            let mut actions = Vec::new();
            session.receive(Incoming::Binary(&bytes), Instant::now(), &mut actions);
            for action in actions {
                let Action::Send(text) = action else { continue };
                let reply: Value = serde_json::from_str(&text).unwrap();
                acks += u32::from(reply["type"] == "ack");
                errors += u32::from(reply["type"] == "error");
            }
            assert!(session.streams() <= 3);
        }
        assert!(acks > 0 && errors > 1_000, "{acks} acks, {errors} errors");
    }
}
