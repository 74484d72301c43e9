//! Binance spot's WebSocket protocol, server side: live subscribing, pings, limits.
//!
//! <https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md>. Errors are sent in the shape
//! seen on the wire, `{"error":{"code":..,"msg":".."},"id":..}`, which is not the shape of the document.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tickwire_common::time::now_ms;
use tokio::time::Instant;

use super::facts::{Limits, POLICY, PONG_TIMEOUT, TOO_MANY_REQUESTS, violation};
use super::request::{Fault, Method, Request};
use crate::exchange::hub::ChannelId;
use crate::exchange::rate::Window;
use crate::exchange::session::{Action, Incoming, Session};
use crate::exchange::venue::Venue;

/// One connection.
pub(crate) struct BinanceSession {
    venue: Arc<Venue>,
    limits: Limits,
    messages: Window,
    streams: BTreeSet<String>,
    wrapped: bool,
    next_ping: Instant,
    /// Pings without their pong: payload, time sent. Holds `pong_within / ping_every` of them at most.
    unanswered: VecDeque<(String, Instant)>,
}

impl BinanceSession {
    /// A connection whose URL named `streams`; `wrapped` on `/stream`, not on `/ws`.
    pub(crate) fn new(venue: Arc<Venue>, limits: Limits, streams: BTreeSet<String>, wrapped: bool) -> Self {
        let messages = Window::new(limits.messages);
        let next_ping = Instant::now() + limits.ping_every;
        Self { venue, limits, messages, streams, wrapped, next_ping, unanswered: VecDeque::new() }
    }

    fn request(&mut self, text: &str, actions: &mut Vec<Action>) {
        let reply = match Request::read(text) {
            Ok(request) => {
                let id = request.id;
                match self.perform(request.method, actions) {
                    Ok(result) => result_reply(&result, &id),
                    Err(fault) => refuse(&fault, Some(&id), actions),
                }
            }
            Err((fault, id)) => refuse(&fault, id.as_ref(), actions),
        };
        actions.push(Action::Send(reply));
    }

    fn perform(&mut self, method: Method, actions: &mut Vec<Action>) -> Result<Value, Fault> {
        match method {
            Method::Subscribe(streams) => self.subscribe(streams, actions)?,
            Method::Unsubscribe(streams) => self.unsubscribe(&streams, actions),
            Method::ListSubscriptions => return Ok(self.streams.iter().map(String::as_str).collect()),
            Method::SetCombined(wrapped) => {
                self.wrapped = wrapped;
                actions.push(Action::Wrap(wrapped));
            }
            Method::GetCombined => return Ok(Value::Bool(self.wrapped)),
        }
        Ok(Value::Null)
    }

    fn subscribe(&mut self, streams: Vec<String>, actions: &mut Vec<Action>) -> Result<(), Fault> {
        let added: BTreeSet<String> = streams.into_iter().filter(|one| !self.streams.contains(one)).collect();
        if self.streams.len() + added.len() > self.limits.streams {
            return Err(Fault::too_many_subscriptions());
        }
        self.join(true, &added, actions);
        self.streams.extend(added);
        Ok(())
    }

    fn unsubscribe(&mut self, streams: &[String], actions: &mut Vec<Action>) {
        let held = self.streams.len();
        for stream in streams {
            if self.streams.remove(stream)
                && let Some(channel) = self.venue.channels.get(stream)
            {
                actions.push(Action::Leave(*channel));
            }
        }
        actions.push(Action::Unsubscribed(held - self.streams.len()));
    }

    /// A stream that does not exist is accepted like any other, and silent.
    fn join(&self, by_message: bool, streams: &BTreeSet<String>, actions: &mut Vec<Action>) {
        let channels = streams.iter().filter_map(|stream| self.venue.channels.get(stream));
        let (muted, heard): (Vec<ChannelId>, _) =
            channels.partition(|channel| self.venue.is_muted(**channel));
        actions.extend(heard.into_iter().map(Action::Join));
        actions.push(Action::Subscribed { by_message, streams: streams.len(), muted: muted.len() });
    }

    /// Only a pong with the payload of a ping counts; it answers that ping and the ones before it.
    fn pong(&mut self, payload: &[u8]) {
        if let Some(at) = self.unanswered.iter().position(|(sent, _)| sent.as_bytes() == payload) {
            self.unanswered.drain(..=at);
        }
    }
}

impl Session for BinanceSession {
    fn wrapped(&self) -> bool {
        self.wrapped
    }

    fn open(&mut self, _now: Instant, actions: &mut Vec<Action>) {
        if !self.streams.is_empty() {
            self.join(false, &self.streams, actions);
        }
    }

    fn receive(&mut self, incoming: Incoming<'_>, now: Instant, actions: &mut Vec<Action>) {
        if !self.messages.admit(now) {
            actions.push(Action::Violation(violation::MESSAGE_RATE));
            actions.push(Action::Close(POLICY, TOO_MANY_REQUESTS));
            return;
        }
        match incoming {
            Incoming::Text(text) => self.request(text, actions),
            Incoming::Binary(bytes) => self.request(&String::from_utf8_lossy(bytes), actions),
            Incoming::Ping => {}
            Incoming::Pong(payload) => self.pong(payload),
        }
    }

    fn deadline(&self) -> Instant {
        let pong_due = self.unanswered.front().map(|(_, sent)| *sent + self.limits.pong_within);
        pong_due.map_or(self.next_ping, |due| due.min(self.next_ping))
    }

    fn expire(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.unanswered.front().is_some_and(|(_, sent)| now >= *sent + self.limits.pong_within) {
            actions.push(Action::Violation(violation::PONG_TIMEOUT));
            actions.push(Action::Close(POLICY, PONG_TIMEOUT));
            return;
        }
        if now >= self.next_ping {
            let payload = now_ms().to_string();
            self.unanswered.push_back((payload.clone(), now));
            self.next_ping = now + self.limits.ping_every;
            actions.push(Action::Ping(payload));
        }
    }

    fn streams(&self) -> usize {
        self.streams.len()
    }

    fn farewell(&self) -> Option<String> {
        let event = format!(r#"{{"e":"serverShutdown","E":{}}}"#, now_ms());
        Some(if self.wrapped { format!(r#"{{"stream":"!serverShutdown","data":{event}}}"#) } else { event })
    }
}

fn result_reply(result: &Value, id: &Value) -> String {
    format!(r#"{{"result":{result},"id":{id}}}"#)
}

fn refuse(fault: &Fault, id: Option<&Value>, actions: &mut Vec<Action>) -> String {
    actions.push(Action::Violation(fault.kind()));
    fault.reply(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Config;
    use crate::exchange::binance::synthetic;
    use crate::exchange::noise::Noise;
    use crate::exchange::rate::Rate;

    #[test]
    fn whatever_a_client_sends_has_one_json_reply() {
        let venue = Arc::new(synthetic(&Config { symbols: 2, ..Config::default() }));
        let messages = Rate::new(u32::MAX, std::time::Duration::from_nanos(1));
        let limits = Limits { messages, streams: 3, ..Limits::default() };
        let mut session = BinanceSession::new(venue, limits, BTreeSet::new(), true);
        let sample = r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@ticker"],"id":1}"#;
        let (mut results, mut errors) = (0, 0);
        for bytes in Noise::new(sample, 7).take(5_000) {
            let mut actions = Vec::new();
            session.receive(Incoming::Binary(&bytes), Instant::now(), &mut actions);
            let Some(Action::Send(text)) = actions.pop() else { panic!("no reply to {bytes:?}") };
            let reply: Value = serde_json::from_str(&text).unwrap();
            results += u32::from(reply.get("result").is_some());
            errors += u32::from(reply["error"]["code"].is_u64());
            assert!(session.streams() <= 3);
        }
        assert_eq!(results + errors, 5_000);
        assert!(results > 0 && errors > 1_000, "{results} results, {errors} errors");
    }
}
