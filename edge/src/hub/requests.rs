//! What a worker does with what a client says.

use std::collections::HashSet;
use std::sync::Arc;

use tickwire_common::time::now_us;
use tickwire_common::wire::close::CloseCode;
use tickwire_common::wire::encoding::{COLS, Encoding, Layout, RowKind};
use tickwire_common::wire::error::{ErrorBody, ErrorCode};
use tickwire_common::wire::frame::{Failed, Ids, Outcome, Reply};
use tickwire_common::wire::request::{Method, Subscribe};

use super::ask::{AnswerForm, SubscribeAsk};
use super::client::{Answer, Client, Grant, Mode};
use super::finder::Finder;
use super::read::Said;
use super::row::ViewId;
use super::session::{Asked, Decision, Turn, error, method_name};
use super::throttle::Grid;
use super::worker::Worker;
use crate::ws::{Opcode, WsError, frame};

impl Worker {
    /// One message of a client.
    pub fn hear(&mut self, key: u32, said: Said) {
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        if client.closing.is_some() {
            if matches!(said, Said::Close(_)) {
                self.drop_client(key, "closed");
            }
            return;
        }
        self.meters.messages_in.increment(1);
        match (client.mode, said) {
            (_, Said::Pong) => {}
            (_, Said::Close(code)) => self.goodbye(key, code),
            (Mode::Stream, Said::Ping(payload)) => match client.session.spend(self.now) {
                Ok(()) => self.say(key, frame::message(Opcode::Pong, &payload)),
                Err(refusal) => self.decide(key, refusal),
            },
            (Mode::Stream, Said::Text(text)) => {
                let decision = client.session.text(&text, self.now, now_us());
                self.decide(key, decision);
            }
            (Mode::Stream, Said::Binary(_)) => {
                let decision = client.session.binary();
                self.decide(key, decision);
            }
            (Mode::Echo, Said::Ping(payload)) => self.say(key, frame::message(Opcode::Pong, &payload)),
            (Mode::Echo, Said::Text(text)) => self.say(key, frame::text(text.as_bytes())),
            (Mode::Echo, Said::Binary(bytes)) => self.say(key, frame::message(Opcode::Binary, &bytes)),
        }
    }

    /// Framing that cannot be read on: the error, then the close.
    pub fn refuse_framing(&mut self, key: u32, wrong: WsError) {
        let stream = self.clients.get(key as usize).is_some_and(|client| client.mode == Mode::Stream);
        if stream && wrong == WsError::TooBig {
            let most = self.config.limits.message_bytes;
            let body =
                ErrorBody::new(ErrorCode::MessageTooBig, format!("a message has at most {most} bytes"));
            self.say(key, error(None, None, &body));
        }
        self.close(key, wrong.close_code());
        if let Some(client) = self.clients.get_mut(key as usize) {
            client.failed = true;
        }
    }

    fn decide(&mut self, key: u32, decision: Decision) {
        match decision {
            Decision::Now(turn) => self.take_turns(key, turn),
            Decision::Wait => {}
            Decision::Refuse(bytes) => self.say(key, bytes),
            Decision::Close(bytes, code) => {
                self.say(key, bytes);
                self.close(key, code);
            }
        }
    }

    /// Answers a message and those that waited behind it.
    fn take_turns(&mut self, key: u32, turn: Turn) {
        let mut next = Some(turn);
        while let Some(turn) = next {
            match turn {
                Turn::Run(asked) => self.run_request(key, asked),
                Turn::Say(bytes) => self.say(key, bytes),
            }
            next = self.clients.get_mut(key as usize).and_then(|client| client.session.next());
        }
    }

    fn run_request(&mut self, key: u32, Asked { request, time_in }: Asked) {
        let (name, req_id) = (method_name(&request.method), request.req_id);
        match request.method {
            Method::Subscribe(subscribe) => self.subscribe(key, subscribe, req_id, time_in),
            Method::Unsubscribe(names) => {
                let outcome = self.unsubscribe(key, &names);
                self.reply(key, name, req_id.as_deref(), time_in, &outcome);
            }
            Method::List => {
                let outcome = self.list(key);
                self.reply(key, name, req_id.as_deref(), time_in, &outcome);
            }
            Method::Ping => self.pong(key, name, req_id.as_deref(), time_in),
        }
    }

    fn pong(&mut self, key: u32, name: &str, req_id: Option<&str>, time_in: u64) {
        let reply = Reply {
            time_in: Some(time_in),
            time_out: Some(now_us()),
            ..Reply::new(Some(name), req_id, true)
        };
        self.say(key, frame::text(&reply.encode()));
    }

    fn reply(&mut self, key: u32, method: &str, req_id: Option<&str>, time_in: u64, outcome: &Outcome) {
        let done = outcome.subscribed.as_ref().or(outcome.unsubscribed.as_ref());
        let first_failure = outcome.failed.as_ref().and_then(|failed| failed.first());
        let success = first_failure.is_none() || done.is_some_and(|names| !names.is_empty());
        let body = first_failure.filter(|_| !success).map(|failure| failure.body());
        let reply = Reply {
            result: Some(outcome),
            error: body.as_ref(),
            time_in: Some(time_in),
            time_out: Some(now_us()),
            ..Reply::new(Some(method), req_id, success)
        };
        self.say(key, frame::text(&reply.encode()));
    }

    fn subscribe(&mut self, key: u32, subscribe: Subscribe, req_id: Option<Box<str>>, time_in: u64) {
        let Some(id) = self.id(key) else { return };
        let mut seen = HashSet::new();
        let names: Vec<String> =
            subscribe.symbols.into_iter().filter(|name| seen.insert(name.clone())).collect();
        if let Some(message) = self.too_many(key, &names) {
            return self.fail(key, req_id.as_deref(), ErrorCode::SymbolLimit, message);
        }
        let Some(client) = self.clients.get_mut(key as usize) else { return };
        client.session.begin();
        let Subscribe { snapshot, since, throttle_ms, .. } = subscribe;
        let form = AnswerForm { req_id, time_in, snapshot, since, throttle_ms };
        if let Err(ask) = self.asks.subscribe(Box::new(SubscribeAsk { client: id, names, form })) {
            if let Some(client) = self.clients.get_mut(key as usize) {
                client.session.end();
            }
            let message = "too many subscribes at once; try again in a moment".to_owned();
            self.fail(key, ask.form.req_id.as_deref(), ErrorCode::Overloaded, message);
        }
    }

    /// Which limit these names would pass. What the client has already is not counted twice.
    fn too_many(&self, key: u32, names: &[String]) -> Option<String> {
        let (client, limits) = (self.clients.get(key as usize)?, &self.config.limits);
        if names.len() > limits.symbols_per_request {
            return Some(format!("a request names at most {} symbols", limits.symbols_per_request));
        }
        let held = client.outbox.len();
        let finder = Finder::new(&client.outbox, names.len());
        let is_new = |name: &&String| self.views.id(name).and_then(|view| finder.slot_of(view)).is_none();
        let fits = |more: usize| held + more <= limits.symbols;
        if fits(names.len()) || fits(names.iter().filter(is_new).count()) {
            return None;
        }
        Some(format!("a connection has at most {} symbols; it has {held}", limits.symbols))
    }

    fn fail(&mut self, key: u32, req_id: Option<&str>, code: ErrorCode, message: String) {
        self.say(key, error(Some("subscribe"), req_id, &ErrorBody::new(code, message)));
    }

    /// The feed has answered a subscribe: take the seats, then say what was done and send the snapshot. Rows behind
    /// this answer in the inbox are newer than the snapshot, rows before it were not this client's.
    pub fn answer(&mut self, answer: Answer) {
        let Some((total, encoding)) = self.take_seats(&answer) else {
            return self.asks.release(answer.grants.iter().map(|grant| grant.view));
        };
        let key = answer.client.key;
        let names = answer.grants.iter().map(|grant| (&grant.name, grant.view));
        let outcome = Outcome { failed: Some(answer.failed), total, ..subscribed(names, encoding) };
        self.reply(key, "subscribe", answer.form.req_id.as_deref(), answer.form.time_in, &outcome);
        if let Some(snapshot) = snapshot(&answer.form, &answer.grants, encoding) {
            self.say(key, frame::text(&snapshot));
        }
        if let Some(turn) = self.clients.get_mut(key as usize).and_then(|client| client.session.next()) {
            self.take_turns(key, turn);
        }
    }

    /// Seats the client in what it was granted, unless it has gone; gives how many symbols it has now, and its encoding.
    fn take_seats(&mut self, answer: &Answer) -> Option<(usize, Encoding)> {
        let key = answer.client.key;
        let same = self.id(key) == Some(answer.client);
        let open = |client: &&mut Client| same && client.closing.is_none();
        let client = self.clients.get_mut(key as usize).filter(open)?;
        let (throttle_ms, grid) = (answer.form.throttle_ms, Grid::new(self.epoch, client.generation));
        let finder = Finder::new(&client.outbox, answer.grants.len());
        let held: Vec<_> = answer.grants.iter().map(|grant| finder.slot_of(grant.view)).collect();
        let (mut twice, mut told) = (Vec::new(), Vec::new());
        for (grant, slot) in answer.grants.iter().zip(held) {
            let Some(slot) = slot else {
                let slot = self.views.join(grant.view, &grant.name, key, client);
                client.outbox.set_throttle(slot, throttle_ms, grid, self.now);
                continue;
            };
            client.outbox.set_throttle(slot, throttle_ms, grid, self.now);
            twice.push(grant.view);
            // The snapshot has the row that waits, or a newer one.
            told.extend(answer.form.row(grant).map(|_| slot));
        }
        client.outbox.forget_many(&mut told);
        client.session.end();
        let now = (client.outbox.len(), client.encoding);
        self.asks.release(twice);
        Some(now)
    }

    fn unsubscribe(&mut self, key: u32, names: &[String]) -> Outcome {
        let (mut slots, mut failed) = (Vec::new(), Vec::new());
        if let Some(client) = self.clients.get(key as usize) {
            if names.is_empty() {
                slots.extend(client.outbox.seats().map(|(slot, _)| slot));
            }
            let (finder, mut seen) = (Finder::new(&client.outbox, names.len()), HashSet::new());
            for name in names.iter().filter(|name| seen.insert(*name)) {
                match self.views.id(name).and_then(|view| finder.slot_of(view)) {
                    Some(slot) => slots.push(slot),
                    None => failed.push(Failed::new(name.clone(), ErrorCode::NotSubscribed)),
                }
            }
        }
        let unsubscribed = self.leave(key, &slots);
        let total = self.clients.get(key as usize).map_or(0, |client| client.outbox.len());
        Outcome { unsubscribed: Some(unsubscribed), failed: Some(failed), total, ..Outcome::default() }
    }

    /// Leaves seats; gives the names.
    pub fn leave(&mut self, key: u32, slots: &[u32]) -> Vec<String> {
        let mut names = Vec::with_capacity(slots.len());
        // In one pass: later each slot has nothing that waits.
        if let Some(client) = self.clients.get_mut(key as usize) {
            client.outbox.forget_many(&mut slots.to_vec());
        }
        for slot in slots {
            let view = self.clients.get(key as usize).and_then(|client| client.outbox.view_of(*slot));
            if let Some(name) = view.and_then(|view| self.views.name(view)) {
                names.push(name.to_string());
            }
            self.asks.release(self.views.leave(&mut self.clients, key, *slot));
        }
        names
    }

    fn list(&self, key: u32) -> Outcome {
        let Some(client) = self.clients.get(key as usize) else { return Outcome::default() };
        let names = client.outbox.seats().filter_map(|(_, view)| Some((self.views.name(view)?, view)));
        Outcome { total: client.outbox.len(), ..subscribed(names, client.encoding) }
    }

    /// The client says goodbye: its code comes back, and that was it.
    fn goodbye(&mut self, key: u32, code: Option<u16>) {
        self.say(key, frame::close_raw(code.unwrap_or(CloseCode::Normal.num()), ""));
        if let Some(client) = self.clients.get_mut(key as usize) {
            client.goodbye = true;
            self.meters.closed("client_left");
        }
        self.finish(key);
    }
}

/// What is subscribed, with what a client must know to read rows of these names.
fn subscribed<'n>(names: impl Iterator<Item = (&'n Arc<str>, ViewId)>, encoding: Encoding) -> Outcome {
    let ids: Vec<(Arc<str>, u32)> = names.map(|(name, view)| (Arc::clone(name), view.0)).collect();
    let names = ids.iter().map(|(name, _)| name.to_string()).collect();
    let lists = encoding.layout() == Layout::Array;
    Outcome {
        subscribed: Some(names),
        ids: lists.then_some(Ids(ids)),
        cols: lists.then_some(&COLS),
        ..Outcome::default()
    }
}

fn snapshot(form: &AnswerForm, grants: &[Grant], encoding: Encoding) -> Option<Vec<u8>> {
    let open = encoding.open(RowKind::Snapshot);
    let mut out = open.to_vec();
    for (at, row) in grants.iter().filter_map(|grant| form.row(grant)).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(row.object(encoding));
    }
    if out.len() == open.len() {
        return None;
    }
    out.extend_from_slice(encoding.close());
    Some(out)
}
