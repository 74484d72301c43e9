//! The driver of a [`Member`]: reads the bucket, does the writes, asks and answers other members, and passes orders to
//! the process's runtime. Decides nothing. Everything runs inside one task; what waits for NATS waits beside it.
//!
//! How much waits is bounded by the protocol: one write a key, one request a post, one reading.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tickwire_nats::leases::{CasError, Expect, Hints, Leases};
use tickwire_nats::peers::{Asked, Peers, Reply};
use tickwire_nats::{ApiError, Bytes, LinkError, LinkState, Nats};
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::handle::{Clock, Handle, Order, Told};
use super::lease::Outcome;
use super::member::{Act, Disagreement, Entry, Member, MemberConfig};
use super::post::{Name, Post};
use crate::streams::Ready;
use crate::venue::contract::Micros;

mod meters;

use meters::Meters;

/// A write that was not answered by then counts as unanswered; it may still land.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// Hints come in bursts; one reading is enough for what comes within this time.
const READ_PAUSE: Duration = Duration::from_millis(20);
/// Messages of the runtime that wait; it waits when they are more.
const TOLD_CAPACITY: usize = 1_024;
/// Requests of other members that wait for the runtime. Beyond them the oldest goes unanswered; its asker tries again.
const REPLIES_MAX: usize = 4_096;

/// What the orders of a process's member are given to. Must not wait: a member that waits loses its leases.
pub trait Runtime: Send {
    /// One order, see [`crate::fleet`].
    fn order(&mut self, order: Order);
}

impl<F: FnMut(Order) + Send> Runtime for F {
    fn order(&mut self, order: Order) {
        self(order);
    }
}

/// A process's part of the fleet, not yet running.
#[derive(Debug)]
pub struct Fleet {
    member: Member,
    config: MemberConfig,
    nats: Nats,
    ready: watch::Receiver<Ready>,
    told: mpsc::Receiver<Told>,
    handle: Handle,
}

/// What came back from NATS.
enum Done {
    Stored(u64, Outcome),
    Answered(Name, Option<Bytes>),
    Read(u64, Result<Vec<Entry>, ApiError>),
    Replied,
}

struct Driver<R> {
    member: Member,
    clock: Clock,
    runtime: R,
    leases: Leases,
    peers: Peers,
    waiting: FuturesUnordered<BoxFuture<'static, Done>>,
    replies: BTreeMap<u64, Reply>,
    next_reply: u64,
    /// For which connection the member believes the link to be up.
    epoch: Option<u64>,
    reading: bool,
    read_again: bool,
    meters: Meters,
    /// What was said of them.
    disagreements: BTreeSet<Disagreement>,
    members: watch::Sender<u32>,
    patience: Duration,
}

impl Fleet {
    /// A member on this connection. `ready` tells for which connection the bucket of leases was ensured.
    pub fn new(config: MemberConfig, nats: &Nats, ready: watch::Receiver<Ready>) -> Self {
        let member = Member::new(config.clone());
        let clock = Clock::start();
        let (sender, told) = mpsc::channel(TOLD_CAPACITY);
        let fences = member.fences().map(|(post, fence)| (post.clone(), Arc::clone(fence))).collect();
        let handle = Handle::new(clock, fences, sender);
        Self { member, config, nats: nats.clone(), ready, told, handle }
    }

    /// For the runtime: fences, and what it has to tell.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until `token` is cancelled and everything is handed over or released, at most for `grace` after that.
    ///
    /// # Errors
    /// When the connection to NATS is closed before.
    pub async fn run(
        self,
        runtime: impl Runtime,
        token: CancellationToken,
        grace: Duration,
    ) -> Result<(), LinkError> {
        let Self { member, config, nats, mut ready, mut told, handle } = self;
        let mut asked = Peers::new(&nats).listen(&config.id).await?;
        let mut hints = Leases::new(&nats).hint().await?;
        let mut polls = interval(Duration::from_micros(config.times.poll));
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut link = nats.state();
        let mut driver = Driver {
            member,
            clock: handle.clock(),
            runtime,
            leases: Leases::new(&nats),
            peers: Peers::new(&nats),
            waiting: FuturesUnordered::new(),
            replies: BTreeMap::new(),
            next_reply: 0,
            epoch: None,
            reading: false,
            read_again: false,
            meters: Meters::default(),
            disagreements: BTreeSet::new(),
            members: handle.members_sender(),
            patience: Duration::from_micros(config.times.ask_timeout),
        };
        // From here on only the runtime keeps the way of its words open.
        drop(handle);
        info!(member = %config.id, "joins the fleet");
        let mut draining = false;
        loop {
            driver.follow_link(*link.borrow(), ready.borrow().epoch);
            // Also the last ones: the answer that hands the last post over is among them.
            driver.act();
            if driver.has_ended() {
                break;
            }
            tokio::select! {
                () = driver.next((&mut asked, &mut hints, &mut polls, &mut told)) => {}
                changed = link.changed() => changed.map_err(|_| LinkError::Closed)?,
                changed = ready.changed() => changed.map_err(|_| LinkError::Closed)?,
                () = token.cancelled(), if !draining => {
                    draining = true;
                    driver.drain(grace);
                }
            }
        }
        info!(member = %config.id, "has left the fleet");
        Ok(())
    }
}

type Sources<'a> = (&'a mut Asked, &'a mut Hints, &'a mut Interval, &'a mut mpsc::Receiver<Told>);

impl<R: Runtime> Driver<R> {
    /// Waits for one thing and gives it to the member. Cancel-safe.
    async fn next(&mut self, (asked, hints, polls, told): Sources<'_>) {
        let wake = self.member.next_deadline().map(|at| self.clock.instant(at));
        tokio::select! {
            Some(done) = self.waiting.next() => self.done(done),
            Some(question) = asked.next() => self.question(question.payload, question.reply),
            Some(()) = hints.next() => self.read(READ_PAUSE),
            Some(told) = told.recv() => self.told(told),
            _ = polls.tick() => self.read(Duration::ZERO),
            () = at(wake) => self.member.tick(self.now()),
        }
    }

    /// Another connection is a lost link and a new one, also if the time between went unseen.
    fn follow_link(&mut self, state: LinkState, ready: u64) {
        let up = (state.connected && ready >= state.epoch).then_some(state.epoch);
        if up == self.epoch {
            return;
        }
        if self.epoch.is_some() {
            self.member.nats_lost();
        }
        self.epoch = up;
        if up.is_some() {
            self.member.nats_back(self.now());
        }
    }

    fn drain(&mut self, grace: Duration) {
        let now = self.now();
        let grace = Micros::try_from(grace.as_micros()).unwrap_or(Micros::MAX);
        self.member.drain(now.saturating_add(grace), now);
    }

    fn has_ended(&self) -> bool {
        self.member.has_ended() && self.waiting.is_empty()
    }

    fn done(&mut self, done: Done) {
        let now = self.now();
        match done {
            Done::Stored(ticket, outcome) => {
                self.meters.written(outcome);
                self.member.stored(ticket, outcome, now);
            }
            Done::Answered(nonce, payload) => self.member.answered(&nonce, payload.as_ref(), now),
            Done::Read(epoch, read) => self.have_read(epoch, read, now),
            Done::Replied => {}
        }
    }

    fn have_read(&mut self, epoch: u64, read: Result<Vec<Entry>, ApiError>, now: Micros) {
        self.reading = false;
        match read {
            // A reading over an earlier connection may show an earlier bucket.
            Ok(entries) if self.epoch == Some(epoch) => {
                self.member.view(&entries, now);
                let members = self.member.members_alive(now);
                self.members.send_replace(members);
                self.tell_disagreements(now);
            }
            Ok(_) => {}
            Err(error) => {
                self.meters.read_failed();
                debug!(%error, "the leases cannot be read");
            }
        }
        if std::mem::take(&mut self.read_again) {
            self.read(READ_PAUSE);
        }
    }

    /// Says once what a person has to mend.
    fn tell_disagreements(&mut self, now: Micros) {
        let disagreements = self.member.disagreements(now);
        for Disagreement { venue, ours, theirs, waits } in disagreements.difference(&self.disagreements) {
            let then = if *waits { "; it is left to them" } else { "" };
            error!(
                "venues.{venue}.shards is {ours} here and {theirs} in another ingestor: make them equal{then}"
            );
        }
        self.disagreements = disagreements;
    }

    fn question(&mut self, payload: Bytes, reply: Reply) {
        self.next_reply += 1;
        self.replies.insert(self.next_reply, reply);
        if self.replies.len() > REPLIES_MAX {
            self.replies.pop_first();
            self.meters.question_dropped();
        }
        self.member.asked(self.next_reply, &payload, self.now());
    }

    fn told(&mut self, told: Told) {
        let now = self.now();
        match told {
            Told::Warm { post, turn } => self.member.warm(&post, turn, now),
            Told::Released { post, turn, rows } => self.member.released(&post, turn, rows, now),
            Told::Weights(weights) => self.member.weights(weights, now),
        }
    }

    /// Does what the member wants done.
    fn act(&mut self) {
        let acts = self.member.take_acts();
        if acts.is_empty() {
            return;
        }
        for act in acts {
            match act {
                Act::Write { ticket, key, value, expected } => self.write(ticket, key, value, expected),
                Act::Read => self.read(Duration::ZERO),
                Act::Ask { nonce, post, peer, payload } => self.ask(nonce, &post, peer, payload),
                Act::Reply { reply, payload } => self.reply(reply, payload),
                Act::Prepare { post, turn } => self.order(Order::Prepare { post, turn }),
                Act::Carry { post, epoch } => self.order(Order::Carry { post, epoch }),
                Act::Publish { post, epoch, rows } => self.order(Order::Publish { post, epoch, rows }),
                Act::Release { post, turn } => self.order(Order::Release { post, turn }),
                Act::Stop { post, reason } => self.order(Order::Stop { post, reason }),
            }
        }
        self.meters.holds(self.member.fences().map(|(post, _)| post), self.member.held());
    }

    fn order(&mut self, order: Order) {
        info!("the fleet orders: {order}");
        self.meters.ordered(&order);
        self.runtime.order(order);
    }

    fn now(&self) -> Micros {
        self.clock.now()
    }

    fn write(&mut self, ticket: u64, key: String, value: Bytes, expected: u64) {
        let leases = self.leases.clone();
        let expect = if expected == 0 { Expect::Absent } else { Expect::Revision(expected) };
        self.waiting.push(Box::pin(async move {
            let outcome = match timeout(WRITE_TIMEOUT, leases.put(&key, value, expect)).await {
                Ok(Ok(revision)) => Outcome::Stored(revision),
                Ok(Err(CasError::Conflict)) => Outcome::Conflict,
                Ok(Err(error)) => {
                    debug!(key, %error, "a lease was not written");
                    Outcome::Failed
                }
                Err(_) => Outcome::Failed,
            };
            Done::Stored(ticket, outcome)
        }));
    }

    /// One reading at a time, so that they are seen in the order in which they were made.
    fn read(&mut self, pause: Duration) {
        let Some(epoch) = self.epoch else { return };
        if std::mem::replace(&mut self.reading, true) {
            self.read_again |= pause.is_zero();
            return;
        }
        let leases = self.leases.clone();
        self.waiting.push(Box::pin(async move {
            sleep(pause).await;
            let read = leases.read_all().await;
            let entry =
                |e: tickwire_nats::leases::Entry| Entry { key: e.key, revision: e.revision, value: e.value };
            Done::Read(epoch, read.map(|entries| entries.into_iter().map(entry).collect()))
        }));
    }

    fn ask(&mut self, nonce: Name, post: &Post, peer: Name, payload: Bytes) {
        self.meters.asks(post, Instant::now());
        let (peers, patience) = (self.peers.clone(), self.patience);
        self.waiting.push(Box::pin(async move {
            let answer = peers.ask(&peer, payload, patience).await;
            if let Err(error) = &answer {
                warn!(%peer, %error, "asked for a post in vain");
            }
            Done::Answered(nonce, answer.ok())
        }));
    }

    fn reply(&mut self, reply: u64, payload: Bytes) {
        let Some(reply) = self.replies.remove(&reply) else { return };
        self.waiting.push(Box::pin(async move {
            if let Err(error) = reply.answer(payload).await {
                // The other member sees the lease in the bucket and goes on from the last values.
                warn!(%error, "an answer did not go out");
            }
            Done::Replied
        }));
    }
}

async fn at(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
