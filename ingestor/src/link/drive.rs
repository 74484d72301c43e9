//! One open socket and its session: frames in, time in; prices, frames and events out. Generic over the stream below,
//! so that tests run it over memory.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use metrics::{Counter, counter};
use tickwire_common::time::now_us;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Link;
use crate::feed::Reporter;
use crate::publish::Outlet;
use crate::venue::contract::{Carried, Event, Frame, Micros, Out, Reason, Session};

/// Frames that are read before their prices are published together: bounds the delay of the first one.
const FRAMES_AT_ONCE: usize = 64;

/// Longest time for a frame of ours to leave. A venue that does not read is as good as dead.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time for a goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Garbage is counted always and logged this often.
const COMPLAINT_EVERY: Duration = Duration::from_secs(10);

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Why; `None` if we were asked to stop.
    pub reason: Option<Reason>,
    /// How long prices had been coming.
    pub live_for: Duration,
}

/// An open socket.
pub struct Drive<S> {
    name: String,
    socket: WebSocketStream<S>,
    session: Box<dyn Session>,
    outlet: Arc<Outlet>,
    reporter: Reporter,
    /// Zero of the session's time.
    started: Instant,
    out: Out,
    frames: u64,
    live_since: Option<Instant>,
    /// A pong is in the library's buffer.
    pong_waits: bool,
    teller: Teller,
    counter: Counter,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drive<S> {
    pub(super) fn new(link: &Link, socket: WebSocketStream<S>, session: Box<dyn Session>) -> Self {
        Self {
            name: link.name.clone(),
            socket,
            session,
            outlet: Arc::clone(&link.outlet),
            reporter: link.reporter.clone(),
            started: Instant::now(),
            out: Out::default(),
            frames: 0,
            live_since: None,
            pong_waits: false,
            teller: Teller {
                name: link.name.clone(),
                venue: link.venue.id(),
                symbols: link.symbols.clone(),
                complained: None,
            },
            counter: counter!("tickwire_ingest_frames_total", "venue" => link.venue.id()),
        }
    }

    /// Runs until the socket ends or `token` is cancelled.
    pub async fn run(mut self, token: &CancellationToken) -> Ended {
        let reason = match token.run_until_cancelled(self.turn()).await {
            Some(reason @ (Reason::Closed | Reason::Io)) => Some(reason),
            Some(reason) => {
                self.goodbye().await;
                Some(reason)
            }
            None => {
                self.close().await;
                None
            }
        };
        Ended { reason, live_for: self.live_since.map_or(Duration::ZERO, |since| since.elapsed()) }
    }

    async fn turn(&mut self) -> Reason {
        self.session.opened(0, &mut self.out);
        loop {
            if let Err(reason) = self.settle().await {
                return reason;
            }
            if let Err(reason) = self.step().await {
                return reason;
            }
        }
    }

    /// Waits for a deadline or for frames, and takes as many as are there.
    async fn step(&mut self) -> Result<(), Reason> {
        let deadline = self.session.next_deadline().map(|at| self.started + Duration::from_micros(at));
        let first = tokio::select! {
            biased;
            () = sleep_until(deadline.unwrap_or(self.started)), if deadline.is_some() => {
                let now = self.now();
                self.session.deadline(now, &mut self.out);
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
        self.out.events.drain(..).try_for_each(|event| self.teller.tell(event))?;
        // The library has put the pong into its buffer; without a flush it would wait for the next frame.
        if std::mem::take(&mut self.pong_waits) || !self.out.send.is_empty() {
            let sent = timeout(SEND_TIMEOUT, send_all(&mut self.socket, &mut self.out.send)).await;
            return if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Reason::Io) };
        }
        Ok(())
    }

    fn publish(&mut self) {
        if self.out.updates.is_empty() {
            return;
        }
        let now_us = now_us();
        self.outlet.publish(&self.out.updates, now_us, std::time::Instant::now());
        self.out.updates.clear();
        self.reporter.tick(now_us / 1_000);
        if self.live_since.is_none() {
            self.live_since = Some(Instant::now());
            self.reporter.live();
        }
    }

    fn now(&self) -> Micros {
        Micros::try_from(self.started.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }

    /// Says goodbye to a socket that still works; the venue's answer is of no use to a socket that is to be replaced.
    async fn goodbye(&mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _in_time = timeout(CLOSE_TIMEOUT, self.socket.close(Some(frame))).await;
    }

    /// Goodbye and the venue's answer to it: the end of a connection by RFC 6455, section 7.
    async fn close(&mut self) {
        self.goodbye().await;
        let answered = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _in_time = timeout(CLOSE_TIMEOUT, answered).await;
    }
}

async fn send_all<S>(socket: &mut WebSocketStream<S>, texts: &mut Vec<String>) -> Result<(), WsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for text in texts.drain(..) {
        socket.feed(Message::text(text)).await?;
    }
    socket.flush().await
}

/// Counts and logs what is no price.
#[derive(Debug)]
struct Teller {
    name: String,
    venue: &'static str,
    symbols: Vec<Carried>,
    complained: Option<Instant>,
}

impl Teller {
    fn tell(&mut self, event: Event) -> Result<(), Reason> {
        let venue = self.venue;
        match event {
            Event::Subscribed => info!(link = self.name, "every subscription is answered"),
            Event::Rejected { symbol, reason } => {
                let key =
                    self.symbols.iter().find(|carried| carried.index == symbol).map(|carried| &carried.key);
                counter!("tickwire_ingest_rejected_symbols_total", "venue" => venue).increment(1);
                warn!(
                    link = self.name,
                    symbol = key,
                    reason,
                    "the venue does not carry this symbol; the others go on"
                );
            }
            Event::Ignored(kind) => {
                counter!("tickwire_ingest_ignored_frames_total", "venue" => venue, "kind" => kind)
                    .increment(1);
            }
            Event::Superseded(stream) => {
                counter!("tickwire_ingest_superseded_total", "venue" => venue, "stream" => stream)
                    .increment(1);
            }
            Event::Garbage(kind) => {
                counter!("tickwire_ingest_decode_errors_total", "venue" => venue, "kind" => kind)
                    .increment(1);
                self.complain(kind);
            }
            Event::Reconnect(reason) => return Err(reason),
        }
        Ok(())
    }

    fn complain(&mut self, kind: &'static str) {
        let now = Instant::now();
        if self.complained.is_none_or(|last| now.duration_since(last) >= COMPLAINT_EVERY) {
            self.complained = Some(now);
            warn!(link = self.name, kind, "skipped a frame that cannot be read; more are only counted");
        }
    }
}
