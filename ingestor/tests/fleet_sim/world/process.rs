//! One process: what reaches its member, and what the member wants done.

use tickwire_ingestor::fleet::{Act, Reason, Times};

use super::{Input, World};
use crate::node::State;
use crate::schedule::MS;

impl World {
    pub(super) fn input(&mut self, place: usize, input: Input) -> Result<(), String> {
        let mono = self.nodes[place].mono(self.now);
        let node = &mut self.nodes[place];
        match input {
            Input::Wake { at } => {
                // One that was set before an earlier one.
                if node.woken_at != Some(at) {
                    return Ok(());
                }
                node.woken_at = None;
                node.member.tick(mono);
            }
            Input::Poll => {
                let at = node.true_time(mono + Times::default().poll, self.now);
                let address = (place, node.life);
                self.to(at, address, Input::Poll);
                self.read(place);
            }
            Input::View { number, entries } => {
                if node.linked && number > node.read_seen {
                    node.read_seen = number;
                    node.member.view(&entries, mono);
                }
            }
            Input::Stored { ticket, outcome } => {
                if node.writes.remove(&ticket) {
                    node.member.stored(ticket, outcome, mono);
                }
            }
            Input::Asked { from, nonce, payload } => {
                self.order += 1;
                self.replies.insert(self.order, (from, nonce));
                self.nodes[place].member.asked(self.order, &payload, mono);
            }
            Input::Answered { nonce, payload } => node.member.answered(&nonce, payload.as_ref(), mono),
            Input::Warm { post, turn } => node.member.warm(&post, turn, mono),
            Input::LinkLost { session } => self.link_lost(place, session),
            Input::LinkBack => self.link_back(place),
            Input::Released { post, turn } => {
                let rows = self.export(place, &post);
                self.nodes[place].member.released(&post, turn, rows, mono);
            }
            Input::Tick { post, tick } => return self.ticked(place, &post, tick),
            Input::LastRead { post, epoch } => return self.last_read(place, &post, epoch),
            Input::LastFlush { post } => self.flush(place, &post),
        }
        self.act(place)
    }

    pub(super) fn link_lost(&mut self, place: usize, session: u32) {
        let healed = !self.nodes[place].cut && session == self.session && self.server_up;
        let node = &mut self.nodes[place];
        if !node.linked || node.session != session || healed {
            return;
        }
        node.linked = false;
        node.held_back.clear();
        node.member.nats_lost();
        let (at, address) = (self.now + self.rng.u64(50 * MS..400 * MS), (place, self.nodes[place].life));
        self.to(at, address, Input::LinkBack);
    }

    /// Tries to connect until it can.
    pub(super) fn link_back(&mut self, place: usize) {
        let mono = self.nodes[place].mono(self.now);
        let node = &mut self.nodes[place];
        if node.linked {
            return;
        }
        if node.cut || !self.server_up {
            let (at, address) = (self.now + self.rng.u64(50 * MS..300 * MS), (place, node.life));
            return self.to(at, address, Input::LinkBack);
        }
        node.session = self.session;
        (node.linked, node.linked_at) = (true, self.now);
        let weights = self.weights.clone();
        node.member.weights(weights, mono);
        node.member.nats_back(mono);
        if !self.schedule.planned {
            self.checks.calm_since = self.now;
        }
    }

    /// Does what the member wants done, and sees to it that it is called again.
    pub(super) fn act(&mut self, place: usize) -> Result<(), String> {
        for act in self.nodes[place].member.take_acts() {
            self.do_one(place, act)?;
        }
        let node = &mut self.nodes[place];
        if node.member.has_ended() {
            self.say(|| format!("{} has ended", self.nodes[place].id));
            self.nodes[place].runs = false;
            return Ok(());
        }
        if let Some(deadline) = node.member.next_deadline() {
            let at = node.true_time(deadline, self.now);
            if node.woken_at.is_none_or(|woken| at < woken) {
                node.woken_at = Some(at);
                let address = (place, node.life);
                self.to(at, address, Input::Wake { at });
            }
        }
        self.check_alone(place)
    }

    pub(super) fn do_one(&mut self, place: usize, act: Act) -> Result<(), String> {
        let address = (place, self.nodes[place].life);
        match act {
            Act::Write { ticket, key, value, expected } => self.write(place, ticket, key, value, expected),
            Act::Read => self.read(place),
            Act::Ask { nonce, peer, payload, .. } => self.ask(address, nonce, &peer, payload),
            Act::Reply { reply, payload } => {
                self.say(|| {
                    let line = payload.split(|byte| *byte == b'\n').next().unwrap_or_default();
                    format!("{} answers {}", self.nodes[place].id, String::from_utf8_lossy(line))
                });
                if let Some((to, nonce)) = self.replies.remove(&reply)
                    && self.reaches(place)
                    && !self.is_lost()
                {
                    let at = self.now + self.delay();
                    self.to(at, to, Input::Answered { nonce, payload: Some(payload) });
                }
            }
            Act::Prepare { post, turn } => {
                self.say(|| format!("{} prepares {post}", self.nodes[place].id));
                let at = self.subscribe(place, &post, State::Warming(Vec::new()));
                self.to(at + 60 * MS, address, Input::Warm { post, turn });
            }
            Act::Carry { post, epoch } => self.carry(place, post, epoch),
            Act::Publish { post, rows, .. } => return self.go_on(place, &post, &rows),
            Act::Release { post, turn } => {
                self.say(|| format!("{} releases {post}", self.nodes[place].id));
                self.release(place, &post);
                let at = self.now + self.rng.u64(..5 * MS);
                self.to(at, address, Input::Released { post, turn });
            }
            Act::Stop { post, reason } => {
                self.say(|| format!("{} stops {post}: {reason:?}", self.nodes[place].id));
                self.nodes[place].carriers.remove(&post);
                self.checks.seen.lost += u64::from(reason == Reason::Lost);
            }
        }
        Ok(())
    }
}
