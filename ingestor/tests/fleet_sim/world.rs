//! The world around the members: time, the network, the server, the exchange, and the schedule of faults. Everything
//! happens in the order of one queue, so a seed is one world.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use fastrand::Rng;
use tickwire_ingestor::fleet::{Entry, Name, Outcome, Part, Post};
use tickwire_ingestor::venue::contract::Micros;
use tickwire_nats::Bytes;

use crate::bucket::Bucket;
use crate::check::{Checks, Seen};
use crate::market::Market;
use crate::node::Node;
use crate::schedule::{Fault, MS, Schedule};

mod faults;
mod network;
mod process;
mod runtime;

/// Time between two looks at what must hold.
const CHECK_EVERY: Micros = 200 * MS;

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
    Wake { at: Micros },
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

    pub fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9.3} ms  {}", self.now as f64 / 1e3, what());
        }
    }
}
