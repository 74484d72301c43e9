//! The world around the members: time, the network, the server, the exchange, and the schedule of faults. Everything
//! happens in the order of one queue, so a seed is one world.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use fastrand::Rng;
use tickwire_ingestor::fleet::{Act, Entry, Name, Outcome, Part, Post, Reason, Times};
use tickwire_ingestor::venue::contract::{Micros, SECOND};
use tickwire_nats::Bytes;

use crate::bucket::Bucket;
use crate::check::{Checks, Seen};
use crate::market::{Market, Row};
use crate::node::{Carrier, Node, State};
use crate::schedule::{Fault, MS, Schedule};

/// The driver gives an unanswered write up after this.
const WRITE_TIMEOUT: Micros = SECOND;
/// Time between two looks at what must hold.
const CHECK_EVERY: Micros = 200 * MS;
/// Time between two writes of MD_LAST.
const LAST_EVERY: Micros = 250 * MS;
/// A drained process waits this long for others.
const GRACE: Micros = 9 * SECOND;

#[derive(Debug, Clone)]
pub enum Event {
    Fault(Fault),
    Check,
    /// The exchange trades.
    Trade(Post),
    /// At the server.
    ReadLands {
        from: Address,
        number: u64,
    },
    WriteLands {
        from: Address,
        sent: Micros,
        ticket: u64,
        key: String,
        value: Bytes,
        expected: u64,
    },
    /// For a process.
    To(Address, Input),
}

/// A process: its place, and which life of it.
pub type Address = (usize, u32);

#[derive(Debug, Clone)]
pub enum Input {
    Wake,
    Poll,
    View { number: u64, entries: Rc<Vec<Entry>> },
    Stored { ticket: u64, outcome: Outcome },
    Asked { from: Address, nonce: Name, payload: Bytes },
    Answered { nonce: Name, payload: Option<Bytes> },
    Warm { post: Post, turn: u64 },
    Released { post: Post, turn: u64 },
    Tick { post: Post, tick: u64 },
    LastRead { post: Post, epoch: u64 },
    LastFlush { post: Post },
    LinkLost { session: u32 },
    LinkBack,
}

pub struct World {
    pub now: Micros,
    pub rng: Rng,
    queue: BinaryHeap<Reverse<(Micros, u64, usize)>>,
    events: Vec<Option<Event>>,
    order: u64,
    pub schedule: Schedule,
    pub nodes: Vec<Node>,
    venues: BTreeMap<Name, u32>,
    pub posts: Vec<Post>,
    pub weights: BTreeMap<Post, u64>,
    bucket: Bucket,
    pub server_up: bool,
    pub session: u32,
    pub lossy: bool,
    pub market: Market,
    pub checks: Checks,
    /// Requests between members that wait for a reply, by number.
    replies: BTreeMap<u64, (Address, Name)>,
    trace: bool,
}

impl World {
    pub fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let schedule = Schedule::of(&mut rng);
        let mut venues = BTreeMap::from([(Name::from("x"), rng.u32(2..=5))]);
        if rng.bool() {
            venues.insert(Name::from("y"), rng.u32(1..=4));
        }
        let posts: Vec<Post> =
            venues.iter().flat_map(|(venue, shards)| Post::all_of(venue, *shards)).collect();
        let mut world = Self {
            now: 0,
            rng,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            order: 0,
            schedule,
            nodes: Vec::new(),
            venues,
            posts,
            weights: BTreeMap::new(),
            bucket: Bucket::default(),
            server_up: true,
            session: 1,
            lossy: false,
            market: Market::default(),
            checks: Checks::default(),
            replies: BTreeMap::new(),
            trace,
        };
        world.set_weights();
        world.begin();
        world
    }

    fn begin(&mut self) {
        for place in 0..self.schedule.members {
            let mut node = Node::new(place, 0, self.venues.clone(), &self.posts, &mut self.rng);
            node.runs = false;
            self.nodes.push(node);
            if place < self.schedule.at_start {
                let at = self.rng.u64(..300 * MS);
                self.at(at, Event::Fault(Fault::Start(place)));
            }
        }
        for (at, fault) in self.schedule.faults.clone() {
            self.at(at, Event::Fault(fault));
        }
        for post in self.posts.clone() {
            if let Part::Shard(_) = post.part {
                self.at(0, Event::Trade(post));
            }
        }
        self.at(0, Event::Check);
    }

    /// The last member may run the first venue only.
    fn venues_of(&mut self, place: usize) -> BTreeMap<Name, u32> {
        let mut venues = self.venues.clone();
        if place + 1 == self.schedule.members && place > 1 && self.rng.u8(..4) == 0 {
            venues.remove("y");
        }
        venues
    }

    fn set_weights(&mut self) {
        for post in &self.posts {
            let weight = if post.part == Part::Catalogue { 1 } else { self.rng.u64(60..100) };
            self.weights.insert(post.clone(), weight);
        }
    }

    /// Runs the schedule to its end.
    pub fn run(mut self) -> Result<Seen, String> {
        while let Some(Reverse((at, _, slot))) = self.queue.pop() {
            if at > self.schedule.end {
                break;
            }
            self.now = at;
            if let Some(event) = self.events[slot].take() {
                self.happen(event)?;
            }
        }
        self.check_end()?;
        Ok(self.checks.seen)
    }

    pub fn at(&mut self, at: Micros, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((at.max(self.now), self.order, self.events.len())));
        self.events.push(Some(event));
    }

    fn to(&mut self, at: Micros, address: Address, input: Input) {
        self.at(at, Event::To(address, input));
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Fault(fault) => self.fault(fault),
            Event::Check => {
                self.at(self.now + CHECK_EVERY, Event::Check);
                self.check_carried()
            }
            Event::Trade(post) => {
                self.trade(post);
                Ok(())
            }
            Event::ReadLands { from, number } => {
                self.read_lands(from, number);
                Ok(())
            }
            Event::WriteLands { from, sent, ticket, key, value, expected } => {
                self.write_lands(from, sent, ticket, key, value, expected);
                Ok(())
            }
            Event::To((place, life), input) => {
                let node = &mut self.nodes[place];
                if node.life != life || !node.runs {
                    return Ok(());
                }
                if node.frozen {
                    node.backlog.push(Event::To((place, life), input));
                    return Ok(());
                }
                self.input(place, input)
            }
        }
    }

    // ---- faults -------------------------------------------------------------------------------------------------

    fn fault(&mut self, fault: Fault) -> Result<(), String> {
        self.say(|| format!("{fault:?}"));
        if !self.schedule.planned {
            self.checks.calm_since = self.now;
        }
        match fault {
            Fault::Crash(place) => self.nodes[place].runs = false,
            Fault::Start(place) => self.start(place),
            Fault::Freeze(place) => self.nodes[place].frozen = true,
            Fault::Thaw(place) => return self.thaw(place),
            Fault::Cut(place) => self.cut(place),
            Fault::Heal(place) => return self.heal(place),
            Fault::ServerDown { wipe } => self.server_down(wipe),
            Fault::ServerUp => self.server_comes_up(),
            Fault::Lossy(lossy) => self.lossy = lossy,
            Fault::WallJump(place, jump) => {
                self.nodes[place].wall_offset += jump;
                self.checks.jumped += jump.unsigned_abs();
            }
            Fault::Drain(place) => return self.drain(place),
            Fault::Weights(seed) => return self.change_weights(seed),
        }
        Ok(())
    }

    fn start(&mut self, place: usize) {
        if self.nodes[place].runs {
            return;
        }
        let life = self.nodes[place].life + 1;
        let venues = self.venues_of(place);
        let cut = self.nodes[place].cut;
        self.nodes[place] = Node::new(place, life, venues, &self.posts, &mut self.rng);
        self.nodes[place].cut = cut;
        let at = self.now + self.rng.u64(10 * MS..200 * MS);
        self.to(at, (place, life), Input::LinkBack);
        self.to(at, (place, life), Input::Poll);
    }

    /// What waited comes in the order in which it came.
    fn thaw(&mut self, place: usize) -> Result<(), String> {
        self.nodes[place].frozen = false;
        for event in std::mem::take(&mut self.nodes[place].backlog) {
            self.happen(event)?;
        }
        // The list may have changed meanwhile.
        let (weights, mono) = (self.weights.clone(), self.nodes[place].mono(self.now));
        self.nodes[place].member.weights(weights, mono);
        if self.nodes[place].runs { self.act(place) } else { Ok(()) }
    }

    fn cut(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        (node.cut, node.cut_at) = (true, self.now);
        let (address, session) = ((place, node.life), node.session);
        // A cut line shows only when something times out, if at all.
        let at = self.now + self.rng.u64(..3 * SECOND);
        self.to(at, address, Input::LinkLost { session });
    }

    fn heal(&mut self, place: usize) -> Result<(), String> {
        self.nodes[place].cut = false;
        let (address, session) = ((place, self.nodes[place].life), self.nodes[place].session);
        for (post, row) in std::mem::take(&mut self.nodes[place].held_back) {
            if session == self.session && self.server_up {
                self.publish_row(&post, row)?;
            }
        }
        if session != self.session {
            self.to(self.now, address, Input::LinkLost { session });
        }
        Ok(())
    }

    fn server_down(&mut self, wipe: bool) {
        self.server_up = false;
        self.session += 1;
        if wipe {
            self.bucket.wipe();
            self.market.last.clear();
            self.checks.wiped_at = Some(self.now);
        }
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            let (address, session, cut) = ((place, node.life), node.session, node.cut);
            if !cut {
                let at = self.now + self.rng.u64(..20 * MS);
                self.to(at, address, Input::LinkLost { session });
            }
        }
    }

    fn server_comes_up(&mut self) {
        self.server_up = true;
        if let Some(at) = &mut self.checks.wiped_at {
            *at = self.now;
        }
    }

    fn drain(&mut self, place: usize) -> Result<(), String> {
        let others =
            self.nodes.iter().enumerate().filter(|(at, node)| *at != place && node.runs && !node.drained);
        let node = &self.nodes[place];
        // Somebody must be left to carry.
        if !node.runs || node.drained || others.count() == 0 {
            return Ok(());
        }
        self.nodes[place].drained = true;
        let (mono, deadline) = (self.nodes[place].mono(self.now), self.nodes[place].mono(self.now + GRACE));
        if !self.nodes[place].frozen {
            self.nodes[place].member.drain(deadline, mono);
            return self.act(place);
        }
        self.nodes[place].drained = false;
        Ok(())
    }

    fn change_weights(&mut self, seed: u64) -> Result<(), String> {
        let mut rng = Rng::with_seed(seed);
        let shards = self.weights.iter_mut().filter(|(post, _)| post.part != Part::Catalogue);
        shards.for_each(|(_, weight)| *weight = rng.u64(20..150));
        for place in 0..self.nodes.len() {
            if self.nodes[place].runs && !self.nodes[place].frozen {
                let (weights, mono) = (self.weights.clone(), self.nodes[place].mono(self.now));
                self.nodes[place].member.weights(weights, mono);
                self.act(place)?;
            }
        }
        Ok(())
    }

    // ---- network ------------------------------------------------------------------------------------------------

    fn delay(&mut self) -> Micros {
        let slow = self.lossy && self.rng.u8(..10) == 0;
        if slow { self.rng.u64(100 * MS..3 * SECOND) } else { self.rng.u64(MS / 5..20 * MS) }
    }

    fn is_lost(&mut self) -> bool {
        self.lossy && self.rng.u8(..8) == 0
    }

    /// Whether a process's packets reach the server now.
    fn reaches(&self, place: usize) -> bool {
        let node = &self.nodes[place];
        !node.cut && self.server_up && node.session == self.session
    }

    fn read_lands(&mut self, from: Address, number: u64) {
        if !self.reaches(from.0) || self.is_lost() {
            return;
        }
        let behind = if self.rng.u8(..20) == 0 { self.rng.usize(1..=3) } else { 0 };
        let entries = self.bucket.read(behind);
        let at = self.now + self.delay();
        self.to(at, from, Input::View { number, entries });
    }

    fn write_lands(
        &mut self,
        from: Address,
        sent: Micros,
        ticket: u64,
        key: String,
        value: Bytes,
        expected: u64,
    ) {
        // A packet that left before the cut still arrives, now and then.
        let node = &self.nodes[from.0];
        let on_its_way =
            node.life != from.1 || (node.cut && sent < node.cut_at && node.session == self.session);
        let arrives = self.server_up && (self.reaches(from.0) || (on_its_way && self.rng.bool()));
        if !arrives || self.is_lost() {
            return;
        }
        let shown = String::from_utf8_lossy(&value).into_owned();
        let outcome = self.bucket.put(key.clone(), value, expected);
        if !key.starts_with("member") {
            self.say(|| format!("  {key} {shown} over {expected}: {outcome:?}"));
        }
        if !self.is_lost() && self.reaches(from.0) {
            let at = self.now + self.delay();
            self.to(at, from, Input::Stored { ticket, outcome });
        }
    }

    // ---- one process --------------------------------------------------------------------------------------------

    fn input(&mut self, place: usize, input: Input) -> Result<(), String> {
        let mono = self.nodes[place].mono(self.now);
        let node = &mut self.nodes[place];
        match input {
            Input::Wake => {
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

    fn read(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if node.linked {
            node.reads += 1;
            let (from, number) = ((place, node.life), node.reads);
            let at = self.now + self.delay();
            self.at(at, Event::ReadLands { from, number });
        }
    }

    fn link_lost(&mut self, place: usize, session: u32) {
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
    fn link_back(&mut self, place: usize) {
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
        node.linked = true;
        let weights = self.weights.clone();
        node.member.weights(weights, mono);
        node.member.nats_back(mono);
        if !self.schedule.planned {
            self.checks.calm_since = self.now;
        }
    }

    /// Does what the member wants done, and sees to it that it is called again.
    fn act(&mut self, place: usize) -> Result<(), String> {
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
                self.to(at, address, Input::Wake);
            }
        }
        self.check_alone(place)
    }

    fn do_one(&mut self, place: usize, act: Act) -> Result<(), String> {
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

    fn write(&mut self, place: usize, ticket: u64, key: String, value: Bytes, expected: u64) {
        let node = &mut self.nodes[place];
        node.writes.insert(ticket);
        let (from, linked) = ((place, node.life), node.linked);
        let patience = if linked { WRITE_TIMEOUT } else { 0 };
        self.to(self.now + patience, from, Input::Stored { ticket, outcome: Outcome::Failed });
        if linked {
            let (at, sent) = (self.now + self.delay(), self.now);
            self.at(at, Event::WriteLands { from, sent, ticket, key, value, expected });
        }
    }

    fn ask(&mut self, from: Address, nonce: Name, peer: &str, payload: Bytes) {
        self.say(|| format!("{} asks {peer} {}", self.nodes[from.0].id, String::from_utf8_lossy(&payload)));
        let timeout = Input::Answered { nonce: Name::clone(&nonce), payload: None };
        self.to(self.now + Times::default().ask_timeout, from, timeout);
        let Some(place) = self.nodes.iter().position(|node| node.runs && &*node.id == peer) else { return };
        if self.reaches(from.0) && self.reaches(place) && !self.is_lost() {
            let (at, address) = (self.now + self.delay() + self.delay(), (place, self.nodes[place].life));
            self.to(at, address, Input::Asked { from, nonce, payload });
        }
    }

    // ---- the runtime --------------------------------------------------------------------------------------------

    /// Gives when the exchange's ticks begin to come.
    fn subscribe(&mut self, place: usize, post: &Post, state: State) -> Micros {
        let at = self.now + self.rng.u64(20 * MS..100 * MS);
        let carrier =
            Carrier { subscribed_at: at, delivered_at: at, state, flush_due: false, last_kept_at: 0 };
        self.nodes[place].carriers.insert(post.clone(), carrier);
        at
    }

    fn carry(&mut self, place: usize, post: Post, epoch: u64) {
        self.say(|| format!("{} carries {post}", self.nodes[place].id));
        self.checks.seen.takes += 1;
        if post.part == Part::Catalogue {
            return;
        }
        match self.nodes[place].carriers.get_mut(&post) {
            None => drop(self.subscribe(place, &post, State::Reading(Vec::new(), epoch))),
            Some(carrier) => match &mut carrier.state {
                State::Released(row) => {
                    carrier.state = State::Live(*row);
                    return;
                }
                State::Warming(kept) => carrier.state = State::Reading(std::mem::take(kept), epoch),
                State::Reading(..) | State::Live(_) => return,
            },
        }
        let (at, address) = (self.now + self.delay() + self.delay(), (place, self.nodes[place].life));
        self.to(at, address, Input::LastRead { post, epoch });
    }

    fn last_read(&mut self, place: usize, post: &Post, epoch: u64) -> Result<(), String> {
        let last = self.market.last.get(post).copied().unwrap_or_default();
        let Some(carrier) = self.nodes[place].carriers.get_mut(post) else { return Ok(()) };
        let State::Reading(kept, of) = &mut carrier.state else { return Ok(()) };
        if *of != epoch {
            return Ok(());
        }
        let newest = kept.last().copied();
        carrier.state = State::Live(last);
        newest.map_or(Ok(()), |tick| self.publish(place, post, tick))
    }

    fn go_on(&mut self, place: usize, post: &Post, rows: &Bytes) -> Result<(), String> {
        self.say(|| format!("{} goes on with {post}", self.nodes[place].id));
        self.checks.seen.hand_overs += 1;
        let text = std::str::from_utf8(rows).unwrap();
        let (v, tick) = text.split_once(' ').unwrap();
        let row = Row { v: v.parse().unwrap(), tick: tick.parse().unwrap() };
        let Some(carrier) = self.nodes[place].carriers.get_mut(post) else {
            return Err(self.problem(&format!("{post} goes on without being prepared")));
        };
        let State::Warming(kept) = std::mem::replace(&mut carrier.state, State::Live(row)) else {
            return Err(self.problem(&format!("{post} goes on and was not warming")));
        };
        kept.into_iter().try_for_each(|tick| self.publish(place, post, tick))
    }

    /// Stops, with MD_LAST up to date; who has not read it yet goes on from what it says.
    fn release(&mut self, place: usize, post: &Post) {
        let last = self.market.last.get(post).copied().unwrap_or_default();
        self.flush(place, post);
        if let Some(carrier) = self.nodes[place].carriers.get_mut(post) {
            match carrier.state {
                State::Live(row) => carrier.state = State::Released(row),
                State::Reading(..) => carrier.state = State::Released(last),
                State::Warming(_) | State::Released(_) => {}
            }
        }
    }

    fn export(&self, place: usize, post: &Post) -> Bytes {
        match self.nodes[place].carriers.get(post).map(|carrier| &carrier.state) {
            Some(State::Released(row)) => Bytes::from(format!("{} {}", row.v, row.tick)),
            _ => Bytes::new(),
        }
    }

    fn trade(&mut self, post: Post) {
        let tick = self.market.tick(&post);
        for place in 0..self.nodes.len() {
            let lag = self.rng.u64(MS..25 * MS);
            let node = &mut self.nodes[place];
            let address = (place, node.life);
            if let Some(carrier) =
                node.carriers.get_mut(&post).filter(|carrier| carrier.subscribed_at <= self.now)
            {
                carrier.delivered_at = carrier.delivered_at.max(self.now + lag);
                let at = carrier.delivered_at;
                self.to(at, address, Input::Tick { post: post.clone(), tick });
            }
        }
        let next = self.now + self.rng.u64(50 * MS..200 * MS);
        self.at(next, Event::Trade(post));
    }

    fn ticked(&mut self, place: usize, post: &Post, tick: u64) -> Result<(), String> {
        let Some(carrier) = self.nodes[place].carriers.get_mut(post) else { return Ok(()) };
        match &mut carrier.state {
            State::Warming(kept) | State::Reading(kept, _) => kept.push(tick),
            State::Live(_) => return self.publish(place, post, tick),
            State::Released(_) => {}
        }
        Ok(())
    }

    /// As the outlet does: the fence first, then the rule of versions. What the fence stops counts as unknown.
    fn publish(&mut self, place: usize, post: &Post, tick: u64) -> Result<(), String> {
        let node = &mut self.nodes[place];
        let (open, wall, linked) = (node.is_open(post, self.now), node.wall(self.now), node.linked);
        let Some(carrier) = node.carriers.get_mut(post) else { return Ok(()) };
        let State::Live(row) = &mut carrier.state else { return Ok(()) };
        if !open || !linked || tick <= row.tick {
            return Ok(());
        }
        *row = Row { v: tickwire_common::row::next_version(row.v, wall), tick };
        let row = *row;
        let due = carrier.last_kept_at + LAST_EVERY;
        if due > self.now && !std::mem::replace(&mut carrier.flush_due, true) {
            let address = (place, node.life);
            self.to(due, address, Input::LastFlush { post: post.clone() });
        } else if due <= self.now {
            self.flush(place, post);
        }
        if self.nodes[place].cut {
            self.nodes[place].held_back.push((post.clone(), row));
            return Ok(());
        }
        if self.reaches(place) { self.publish_row(post, row) } else { Ok(()) }
    }

    fn publish_row(&mut self, post: &Post, row: Row) -> Result<(), String> {
        let before = self.market.client.get(post).map(|(_, at)| *at);
        let taken = self.market.show(post, row, self.now);
        if let Some(before) = before {
            self.checks.seen.longest_hole = self.checks.seen.longest_hole.max(self.now - before);
        }
        self.check_row(post, row, &taken)
    }

    fn flush(&mut self, place: usize, post: &Post) {
        let reaches = self.reaches(place);
        let (now, open) = (self.now, self.nodes[place].is_open(post, self.now));
        let Some(carrier) = self.nodes[place].carriers.get_mut(post) else { return };
        carrier.flush_due = false;
        if let State::Live(row) = carrier.state
            && reaches
            && open
            && row.v > 0
        {
            carrier.last_kept_at = now;
            self.market.keep(post, row);
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9.3} ms  {}", self.now as f64 / 1e3, what());
        }
    }
}
