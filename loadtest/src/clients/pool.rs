//! The sockets of all clients on one thread and one poll: opens them as the ramp says, wakes clients when theirs is
//! ready, and counts how far they have come. What classes do by the clock is in `habits`.
//!
//! At most [`SETTLING_MAX`] clients are on their way to their first ack at a time; those behind them wait, and their
//! wait counts as connect time, because it runs from when the ramp was to begin them.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::event::Event;
use mio::{Events, Poll, Token, Waker};

use super::args::Plan;
use super::bench::Bench;
use super::choice::Dealer;
use super::class::Class;
use super::client::{Client, End, Stage};
use super::delivery::Slots;
use super::handshake;
use super::latency::{Percentiles, histogram};
use super::peer::{Peer, SCRATCH_BYTES};
use super::timers::Timers;
use super::units::as_us;

mod habits;

/// Clients that connect or subscribe at a time: below the usual listen backlog of 4,096.
const SETTLING_MAX: usize = 512;

/// How long a client may take from its connect to its last ack.
const SETTLE_MAX: Duration = Duration::from_secs(20);

/// Events taken at one wake: few enough that the loop looks at its clock in between, however much there is.
const EVENTS_MAX: usize = 1_024;

/// The waker's token; clients are numbered from 0.
const WAKE: Token = Token(usize::MAX);

/// All clients.
#[derive(Debug)]
pub(crate) struct Pool<'a> {
    plan: &'a Plan,
    request: Vec<u8>,
    poll: Poll,
    events: Option<Events>,
    scratch: Box<[u8]>,
    peers: Vec<Peer>,
    pub(crate) bench: Bench,
    /// Clients that the ramp has begun.
    started: usize,
    /// Clients that were live once, or were given up.
    settled: usize,
    settling: usize,
    live: usize,
    ended: usize,
    epoch: Instant,
    timers: Timers,
    /// Clients that are to come back now; each is there once at most.
    returning: VecDeque<usize>,
    /// Nobody leaves or comes back any more, and everybody reads.
    calm: bool,
    random: fastrand::Rng,
    /// From the scheduled begin of a client to its last ack, µs.
    pub(crate) settle: Histogram<u64>,
    /// When the last turns began that each left something to the next, oldest first. The kernel hands out ready sockets
    /// in turn, so none waits for more turns than it takes to serve them all.
    full_turns: VecDeque<Instant>,
    /// How long that lasts, at the end of the last turn; zero if nothing was ready.
    pub(crate) lag: Duration,
}

impl<'a> Pool<'a> {
    /// All clients of the plan, none of them begun.
    ///
    /// # Errors
    /// If the kernel gives no poll.
    pub(crate) fn new(plan: &'a Plan) -> anyhow::Result<Self> {
        let mut bench = Bench::new(plan.names.clone())?;
        let mut dealer = Dealer::new(plan.choice, plan.names.len(), plan.per_client, plan.seed);
        let epoch = Instant::now();
        let peers = plan.classes.iter().map(|class| {
            bench.classes.of(*class).clients += 1;
            Peer::new(Client::new(*class, bench.delivery.add_client(&dealer.deal()), plan.encoding), epoch)
        });
        let peers = peers.collect();
        Ok(Self {
            plan,
            request: handshake::request(&plan.target.authority(), plan.target.path(), plan.encoding),
            poll: Poll::new()?,
            events: Some(Events::with_capacity(EVENTS_MAX)),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            peers,
            bench,
            started: 0,
            settled: 0,
            settling: 0,
            live: 0,
            ended: 0,
            epoch,
            timers: Timers::new(plan.classes.len()),
            returning: VecDeque::new(),
            calm: false,
            random: fastrand::Rng::with_seed(plan.seed),
            settle: histogram()?,
            full_turns: VecDeque::new(),
            lag: Duration::ZERO,
        })
    }

    /// Something that wakes [`Pool::turn`] from another thread.
    ///
    /// # Errors
    /// If the kernel gives none.
    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKE)
    }

    /// Clients that are live.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Clients that are live, will be, or will be again.
    pub(crate) fn remaining(&self) -> usize {
        if self.calm { self.live } else { self.peers.len() - self.ended }
    }

    /// Whether every client has been live or is over.
    pub(crate) fn settled(&self) -> bool {
        self.settled == self.peers.len()
    }

    /// The symbols of every steady client, and whether it is live.
    pub(crate) fn steady(&self) -> impl Iterator<Item = (Slots, bool)> + Clone {
        let steady =
            self.peers.iter().map(|peer| &peer.client).filter(|client| client.class == Class::Steady);
        steady.map(|client| (client.slots, client.stage == Stage::Live))
    }

    /// Begins the clients whose turn has come, and does what is due by the clock; says when the next thing is.
    pub(crate) fn begin_due(&mut self) -> Option<Instant> {
        self.act_due();
        let ramp = self.begin_ramp();
        [ramp, self.timers.next()].into_iter().flatten().min()
    }

    fn begin_ramp(&mut self) -> Option<Instant> {
        while self.settling < SETTLING_MAX {
            if let Some(index) = self.returning.pop_front() {
                self.begin(index);
                continue;
            }
            if self.started == self.peers.len() {
                return None;
            }
            let due = self.due(self.started);
            if due > Instant::now() {
                return Some(due);
            }
            self.started += 1;
            self.begin(self.started - 1);
        }
        None
    }

    /// When the ramp begins a client.
    fn due(&self, index: usize) -> Instant {
        let clients = u64::try_from(self.peers.len()).unwrap_or(u64::MAX).max(1);
        let step = as_us(self.plan.ramp).saturating_mul(index as u64) / clients;
        self.epoch + Duration::from_micros(step)
    }

    fn begin(&mut self, index: usize) {
        let Self { plan, peers, poll, bench, .. } = self;
        let Some(peer) = peers.get_mut(index) else { return };
        let source = plan.sources.get(index % plan.sources.len().max(1)).copied();
        let newest_v = if peer.settled { bench.delivery.comes_back(peer.client.slots) } else { 0 };
        let begun = peer.connect(poll.registry(), Token(index), plan.address, source, newest_v);
        self.settling += 1;
        if let Err(error) = begun {
            self.fail(index, &connect_failure(&error));
        }
    }

    /// Waits up to `timeout` for sockets to become ready, and serves all that are; says when it was done.
    ///
    /// # Errors
    /// If the poll itself fails.
    pub(crate) fn turn(&mut self, timeout: Duration) -> io::Result<Instant> {
        let Some(mut events) = self.events.take() else { return Ok(Instant::now()) };
        let polled = self.poll.poll(&mut events, Some(timeout));
        self.full_turns.push_back(Instant::now());
        for event in &events {
            if event.token() != WAKE {
                self.serve(event.token().0, event);
            }
        }
        let (taken, done) = (events.iter().count(), Instant::now());
        let begun = self.full_turns.front().filter(|_| taken > 0).copied();
        self.lag = begun.map_or(Duration::ZERO, |begun| done.saturating_duration_since(begun));
        if taken < EVENTS_MAX {
            self.full_turns.clear();
        } else if self.full_turns.len() > self.peers.len() / EVENTS_MAX {
            self.full_turns.pop_front();
        }
        self.events = Some(events);
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(done),
        }
    }

    fn serve(&mut self, index: usize, event: &Event) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if peer.client.stage == Stage::Connecting {
            match peer.connected(&self.request) {
                Ok(false) => return,
                Ok(true) => {}
                Err(error) => return self.fail(index, &connect_failure(&error)),
            }
        }
        let before = peer.client.stage;
        let mut result = Ok(());
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            result = peer.read(&mut self.scratch, &mut self.bench, event.is_read_closed());
        }
        peer.flush();
        if before < Stage::Live && peer.client.stage == Stage::Live {
            self.has_settled(index);
        }
        if let Err(end) = result {
            self.end(index, end);
        }
    }

    /// A client has its last ack.
    fn has_settled(&mut self, index: usize) {
        (self.live, self.settling) = (self.live + 1, self.settling - 1);
        let waited = Instant::now().saturating_duration_since(self.due(index));
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.begun = Instant::now();
        if std::mem::replace(&mut peer.settled, true) {
            self.bench.classes.of(peer.client.class).reconnects += 1;
        } else {
            self.settled += 1;
            self.settle.saturating_record(as_us(waited));
        }
        self.take_up_habits(index);
    }

    /// A connection is over.
    fn end(&mut self, index: usize, end: End) {
        let Some(peer) = self.peers.get(index) else { return };
        match (peer.client.stage, end) {
            (Stage::Leaving, _) => self.has_left(index),
            (Stage::Live, _) => self.was_closed(index, end),
            (_, End::Closed(code)) => self.fail(index, &format!("subscribe: closed with {code}")),
            _ => self.fail(index, &end.to_string()),
        }
    }

    /// A client did not become live: for the first time, which ends it, or again.
    fn fail(&mut self, index: usize, reason: &str) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if peer.settled {
            self.bench.classes.of(peer.client.class).failed_returns += 1;
            return self.come_back(index);
        }
        peer.settled = true;
        self.settled += 1;
        self.bench.tally.failures.add(reason);
        self.leave_for(index, Stage::Ended);
    }

    /// Closes a client's socket and counts where the client is now.
    fn leave_for(&mut self, index: usize, stage: Stage) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let before = peer.client.stage;
        self.live -= usize::from(before == Stage::Live);
        self.settling -= usize::from(before.is_settling());
        self.ended += usize::from(stage == Stage::Ended);
        self.timers.clear(index);
        peer.close(self.poll.registry(), stage);
    }

    /// Ends the attempts that have not settled in time.
    pub(crate) fn expire(&mut self) {
        if self.settling == 0 {
            return;
        }
        for index in 0..self.started {
            let Some(peer) = self.peers.get(index) else { return };
            let stage = peer.client.stage;
            if stage.is_settling() && peer.begun.elapsed() > SETTLE_MAX {
                self.fail(index, stage.lacks());
            }
        }
    }

    /// The measured window opens.
    pub(crate) fn open(&mut self, now_us: u64) {
        self.bench.delivery.open();
        self.bench.latency.open();
        self.bench.age.open();
        for peer in self.peers.iter_mut().filter(|peer| peer.settled && peer.client.stage != Stage::Ended) {
            peer.client.pulse.begin(now_us);
        }
    }

    /// The measured window ends; of each steady client the longest time without a row, µs.
    ///
    /// # Errors
    /// As [`histogram`].
    pub(crate) fn shut(&mut self, now_us: u64) -> anyhow::Result<Percentiles> {
        self.bench.delivery.close(now_us);
        let mut gaps = histogram()?;
        for Peer { client, .. } in &mut self.peers {
            let live = client.stage == Stage::Live;
            self.bench.classes.of(client.class).connected += u64::from(live);
            let gap = client.pulse.end(now_us).filter(|_| client.class == Class::Steady);
            gap.iter().for_each(|gap| gaps.saturating_record(*gap));
            if live && client.class == Class::Steady {
                self.bench.end_ages(client.slots, now_us);
            }
        }
        Ok(Percentiles::of(&gaps))
    }

    /// Says goodbye to every server side and closes all sockets.
    pub(crate) fn close(&mut self) {
        for peer in &mut self.peers {
            peer.say_goodbye();
            peer.close(self.poll.registry(), Stage::Ended);
        }
    }
}

fn connect_failure(error: &io::Error) -> String {
    format!("connect: {}", error.kind())
}
