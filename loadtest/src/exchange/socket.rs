//! One client connection: carries a session's actions to the socket, market data from the queue, faults from the plan.
//!
//! Reads and writes in one task. Data is taken from the queue only when the last batch has been written, so that a
//! client that reads slowly is felt by the feed, and not hidden in memory here.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use super::faults::{Fault, Garbage, Schedule};
use super::hub::SocketId;
use super::outbox::{OUTBOX_FRAMES, Outbox};
use super::session::{Action, Incoming, Session};
use super::venue::Venue;

/// Largest message taken from a client, in bytes; 1024 streams of 40 characters fit.
const MAX_CLIENT_MESSAGE_BYTES: usize = 256 * 1024;
/// Bytes collected before a write to the kernel.
const WRITE_BUFFER_BYTES: usize = 128 * 1024;
/// Frames written before reading has its turn.
const WRITE_BURST: usize = 1_024;
/// Time a closing connection gets for its last frames and for the client's close frame.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Serves one connection until it ends, in whatever way.
pub(crate) async fn serve<S, T>(venue: Arc<Venue>, io: T, session: S, stop: CancellationToken)
where
    S: Session,
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let config = WebSocketConfig::default()
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_CLIENT_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_CLIENT_MESSAGE_BYTES));
    let websocket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let outbox = Arc::new(Outbox::new(OUTBOX_FRAMES));
    let id = venue.hub.attach(Arc::clone(&outbox), session.wrapped());
    venue.stats.socket_opened();
    let garbage = Garbage::new(&venue.faults);
    let wire = Wire { websocket, queue: VecDeque::new(), unflushed: false };
    let mut connection = Connection { venue, id, outbox, session, wire, garbage };
    let end = connection.run(&stop).await;
    connection.venue.hub.detach(id);
    connection.end(end, &stop).await;
    connection.venue.stats.socket_closed();
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client went, or was closed on earlier.
    Gone,
    /// Dropped without a close frame, nothing flushed.
    Dropped,
    /// Dropped without a close frame, after what was sent.
    Cut,
    /// Closed with a code.
    Close(u16, &'static str),
    /// Silent, but open.
    Stalled,
}

struct Connection<S, T> {
    venue: Arc<Venue>,
    id: SocketId,
    outbox: Arc<Outbox>,
    session: S,
    wire: Wire<T>,
    garbage: Garbage,
}

impl<S, T> Connection<S, T>
where
    S: Session,
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    async fn run(&mut self, stop: &CancellationToken) -> End {
        let mut cuts = self.venue.cuts.subscribe();
        let mut faults = Schedule::new(&self.venue.faults, Instant::now());
        let mut actions = Vec::new();
        self.session.open(Instant::now(), &mut actions);
        loop {
            if let Some(end) = self.apply(&mut actions) {
                return end;
            }
            let deadline = self.session.deadline();
            let wake_at = faults.next_at().map_or(deadline, |fault| fault.min(deadline));
            let is_idle = self.wire.queue.is_empty();
            tokio::select! {
                event = poll_fn(|cx| self.wire.poll(cx)) => match event {
                    Event::Received(message) => self.receive(&message, &mut actions),
                    Event::Written => {}
                    Event::Gone => return End::Gone,
                },
                batch = self.outbox.take(), if is_idle => self.enqueue(batch),
                () = sleep_until(wake_at) => {}
                () = self.outbox.closed() => return End::Dropped,
                _ = cuts.changed() => return End::Dropped,
                () = stop.cancelled() => return End::Close(1001, "going away"),
            }
            let now = Instant::now();
            match faults.due(now) {
                Some(Fault::Cut) => return End::Dropped,
                Some(Fault::Stall) => return End::Stalled,
                Some(Fault::Notice) => actions.extend(self.session.farewell().map(Action::Send)),
                None => {}
            }
            if now >= self.session.deadline() {
                self.session.expire(now, &mut actions);
            }
        }
    }

    fn receive(&mut self, message: &Message, actions: &mut Vec<Action>) {
        let incoming = match message {
            Message::Text(text) => Incoming::Text(text),
            Message::Binary(bytes) => Incoming::Binary(bytes),
            Message::Ping(_) => Incoming::Ping,
            Message::Pong(payload) => Incoming::Pong(payload),
            Message::Close(_) | Message::Frame(_) => return,
        };
        self.venue.stats.message_received();
        self.session.receive(incoming, Instant::now(), actions);
    }

    fn enqueue(&mut self, batch: Vec<Message>) {
        self.venue.stats.frames_sent(batch.len());
        for frame in batch {
            let garbage = self.garbage.after(&frame);
            self.wire.queue.push_back(frame);
            if let Some(garbage) = garbage {
                self.venue.stats.garbage_sent();
                self.wire.queue.push_back(garbage);
            }
        }
    }

    fn apply(&mut self, actions: &mut Vec<Action>) -> Option<End> {
        let hub = &self.venue.hub;
        for action in actions.drain(..) {
            match action {
                Action::Send(text) => self.wire.queue.push_back(Message::text(text)),
                Action::Ping(payload) => self.wire.queue.push_back(Message::Ping(payload.into())),
                Action::Join(channel) => hub.join(self.id, channel),
                Action::Leave(channel) => hub.leave(self.id, channel),
                Action::Subscribed { by_message, streams, muted } => {
                    self.venue.stats.subscribed(by_message, streams, muted);
                }
                Action::Unsubscribed(streams) => self.venue.stats.unsubscribed(streams),
                Action::Wrap(wrapped) => hub.wrap(self.id, wrapped),
                Action::Violation(kind) => self.venue.stats.violation(kind),
                Action::Close(code, reason) => return Some(End::Close(code, reason)),
                Action::Cut => return Some(End::Cut),
            }
        }
        hub.set_streams(self.id, self.session.streams());
        None
    }

    async fn end(&mut self, end: End, stop: &CancellationToken) {
        match end {
            End::Gone | End::Dropped => {}
            // A client that does not even take the last frames is dropped all the same.
            End::Cut => drop(timeout(CLOSE_GRACE, self.wire.written()).await),
            End::Close(code, reason) => {
                let reason = Utf8Bytes::from_static(reason);
                self.wire.queue.push_back(Message::Close(Some(CloseFrame { code: code.into(), reason })));
                drop(timeout(CLOSE_GRACE, self.wire.gone()).await);
            }
            End::Stalled => self.stall(stop).await,
        }
    }

    /// Swallows what the client sends without parsing it, so that not even a ping is answered.
    async fn stall(&mut self, stop: &CancellationToken) {
        let mut cuts = self.venue.cuts.subscribe();
        let mut scratch = [0; 1_024];
        loop {
            tokio::select! {
                read = self.wire.websocket.get_mut().read(&mut scratch) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                },
                _ = cuts.changed() => return,
                () = stop.cancelled() => return,
            }
        }
    }
}

#[derive(Debug)]
enum Event {
    Received(Message),
    /// The queue has become empty.
    Written,
    Gone,
}

struct Wire<T> {
    websocket: WebSocketStream<T>,
    queue: VecDeque<Message>,
    unflushed: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    /// Writes what can be written, then reads. Cancel-safe: nothing is held outside `self`.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let had_work = !self.queue.is_empty();
        if self.poll_write(cx).is_err() {
            return Poll::Ready(Event::Gone);
        }
        if had_work && self.queue.is_empty() {
            return Poll::Ready(Event::Written);
        }
        match ready!(Pin::new(&mut self.websocket).poll_next(cx)) {
            Some(Ok(message)) => Poll::Ready(Event::Received(message)),
            Some(Err(_)) | None => Poll::Ready(Event::Gone),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        for _ in 0..WRITE_BURST {
            if self.queue.is_empty() {
                break;
            }
            let Poll::Ready(ready) = Pin::new(&mut self.websocket).poll_ready(cx) else { return Ok(()) };
            ready?;
            if let Some(message) = self.queue.pop_front() {
                self.unflushed = true;
                Pin::new(&mut self.websocket).start_send(message)?;
            }
        }
        if !self.queue.is_empty() {
            cx.waker().wake_by_ref();
        } else if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.websocket).poll_flush(cx)
        {
            self.unflushed = false;
            flushed?;
        }
        Ok(())
    }

    /// Waits until everything queued is with the kernel, or the client is gone.
    async fn written(&mut self) {
        while !self.queue.is_empty() || self.unflushed {
            if matches!(poll_fn(|cx| self.poll(cx)).await, Event::Gone) {
                return;
            }
        }
    }

    /// Waits until the client is gone.
    async fn gone(&mut self) {
        while !matches!(poll_fn(|cx| self.poll(cx)).await, Event::Gone) {}
    }
}
