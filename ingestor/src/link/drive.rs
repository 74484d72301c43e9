//! One open socket and its session: frames, time and the load in; prices, frames and events out. Generic over the stream
//! below.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use metrics::{Counter, counter};
use tickwire_common::time::now_us;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::line::Line;
use super::tell::Teller;
use super::{Link, Load, Retire, Route};
use crate::venue::contract::{Carried, Frame, Micros, Out, Reason, Session};

/// Frames that are read before their prices are published together: bounds the delay of the first one.
const FRAMES_AT_ONCE: usize = 64;

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// Why; `None` if we were asked to stop.
    pub(super) reason: Option<Reason>,
    /// How long prices had been coming.
    pub(super) live_for: Duration,
}

/// An open socket.
pub(super) struct Drive<S> {
    name: String,
    number: u32,
    route: Arc<Route>,
    socket: Line<S>,
    session: Box<dyn Session>,
    load: watch::Receiver<Load>,
    /// What the session was told to carry.
    carried: Load,
    /// Zero of the session's time.
    started: Instant,
    /// When to ask for a replacement, unless that was done.
    retire_at: Option<Instant>,
    out: Out,
    frames: u64,
    live_since: Option<Instant>,
    /// A pong is in the library's buffer.
    pong_waits: bool,
    teller: Teller,
    counter: Counter,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drive<S> {
    pub(super) fn new(
        link: &Link,
        socket: WebSocketStream<S>,
        session: Box<dyn Session>,
        retire_at: Instant,
    ) -> Self {
        Self {
            name: link.name.clone(),
            number: link.socket,
            route: Arc::clone(&link.route),
            socket: Line::new(socket),
            session,
            load: link.load.clone(),
            carried: Load::new(),
            started: Instant::now(),
            retire_at: Some(retire_at),
            out: Out::default(),
            frames: 0,
            live_since: None,
            pong_waits: false,
            teller: Teller::new(link),
            counter: counter!("tickwire_ingest_frames_total", "venue" => link.route.venue.id()),
        }
    }

    /// Runs until the socket ends or `token` is cancelled.
    pub(super) async fn run(mut self, token: &CancellationToken) -> Ended {
        let reason = match token.run_until_cancelled(self.turn()).await {
            Some(reason @ (Reason::Closed | Reason::Io)) => Some(reason),
            Some(reason) => {
                self.socket.goodbye().await;
                Some(reason)
            }
            None => {
                self.socket.close().await;
                None
            }
        };
        Ended { reason, live_for: self.live_since.map_or(Duration::ZERO, |since| since.elapsed()) }
    }

    async fn turn(&mut self) -> Reason {
        self.session.opened(0, &mut self.out);
        self.follow_load();
        loop {
            if let Err(reason) = self.settle().await {
                return reason;
            }
            if let Err(reason) = self.step().await {
                return reason;
            }
        }
    }

    /// Waits for a deadline, another load or frames, and takes as many frames as are there.
    async fn step(&mut self) -> Result<(), Reason> {
        let due = self.session.next_deadline().map(|at| self.started + Duration::from_micros(at));
        let wake = [due, self.retire_at].into_iter().flatten().min();
        let first = tokio::select! {
            biased;
            () = sleep_until(wake.unwrap_or(self.started)), if wake.is_some() => {
                self.deadline();
                return Ok(());
            }
            // An error means that the pool has let go: then this link is cancelled.
            Ok(()) = self.load.changed() => {
                self.follow_load();
                return Ok(());
            }
            first = self.socket.next() => first,
        };
        let now = self.now();
        self.take(first, now)?;
        for _ in 1..FRAMES_AT_ONCE {
            let Some(next) = self.socket.next().now_or_never() else { return Ok(()) };
            self.take(next, now)?;
        }
        // There may be more: the connection to NATS, which may share our core, goes first.
        tokio::task::yield_now().await;
        Ok(())
    }

    fn deadline(&mut self) {
        if self.retire_at.is_some_and(|at| Instant::now() >= at) {
            self.retire_at = None;
            self.route.view.retire(self.number, Retire::Lifetime);
        }
        self.session.deadline(self.now(), &mut self.out);
    }

    /// Tells the session how the load has changed.
    fn follow_load(&mut self) {
        let (now, load) = (self.now(), self.load.borrow_and_update().clone());
        // By number and key: a number may have been given to another symbol since the last look.
        let differs = |from: &Load, (symbol, key): (&u32, &String)| from.get(symbol) != Some(key);
        let gone: Vec<u32> =
            self.carried.iter().filter(|held| differs(&load, *held)).map(|(symbol, _)| *symbol).collect();
        let new: Vec<Carried> = load
            .iter()
            .filter(|wanted| differs(&self.carried, *wanted))
            .map(|(index, key)| Carried { index: *index, key: key.clone() })
            .collect();
        if !gone.is_empty() {
            self.session.unsubscribe(&gone, now, &mut self.out);
        }
        if !new.is_empty() {
            self.session.subscribe(new, now, &mut self.out);
        }
        self.carried = load;
    }

    fn take(&mut self, frame: Option<Result<Message, WsError>>, now: Micros) -> Result<(), Reason> {
        self.frames += 1;
        match frame {
            Some(Ok(Message::Text(text))) => {
                self.session.frame(Frame::Text(text.as_bytes()), now, &mut self.out)
            }
            Some(Ok(Message::Binary(bytes))) => self.session.frame(Frame::Binary(&bytes), now, &mut self.out),
            Some(Ok(Message::Ping(_))) => {
                self.session.frame(Frame::Ping, now, &mut self.out);
                self.pong_waits = true;
            }
            Some(Ok(Message::Close(close))) => {
                let close = close.map(|close| format!("{} {}", u16::from(close.code), close.reason));
                info!(link = self.name, close, "the venue closes the socket");
                return Err(Reason::Closed);
            }
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
            None | Some(Err(WsError::ConnectionClosed | WsError::AlreadyClosed)) => {
                return Err(Reason::Closed);
            }
            Some(Err(error)) => {
                warn!(link = self.name, %error, "the socket failed");
                return Err(Reason::Io);
            }
        }
        Ok(())
    }

    /// Does what the session asked for.
    async fn settle(&mut self) -> Result<(), Reason> {
        self.counter.increment(std::mem::take(&mut self.frames));
        self.publish();
        self.out.events.drain(..).try_for_each(|event| self.teller.tell(event, &self.carried))?;
        // The library has put the pong into its buffer; without a flush it would wait for the next frame.
        if std::mem::take(&mut self.pong_waits) || !self.out.send.is_empty() {
            return self.socket.send(self.out.send.drain(..)).await;
        }
        Ok(())
    }

    fn publish(&mut self) {
        if self.out.updates.is_empty() {
            return;
        }
        self.route.sink.updates(self.number, &self.out.updates, now_us(), std::time::Instant::now());
        self.out.updates.clear();
        self.live_since.get_or_insert_with(Instant::now);
    }

    fn now(&self) -> Micros {
        Micros::try_from(self.started.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }
}
