//! Who gets which channel: sockets join channels, a feed fills their queues in batches.
//!
//! Knows no venue and no protocol. A channel is a number; its name is the venue's business.

use std::collections::BTreeSet;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use slab::Slab;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;

use super::frame::Frame;
use super::outbox::Outbox;

/// Position of a channel in its venue.
pub type ChannelId = usize;
/// Position of an attached socket.
pub type SocketId = usize;

/// What happens to a socket that does not read as fast as the market moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenSlow {
    /// It is cut, as venues do.
    Cut,
    /// The market waits for it: nothing is lost, time runs slower.
    Wait,
}

/// The routes of one venue.
#[derive(Debug)]
pub struct Hub {
    routes: Mutex<Routes>,
    streams: AtomicUsize,
    joined: Notify,
}

#[derive(Debug, Default)]
struct Routes {
    channels: Vec<Vec<SocketId>>,
    sockets: Slab<Attached>,
    filled: Vec<SocketId>,
    scratch: BytesMut,
}

#[derive(Debug)]
struct Attached {
    outbox: Arc<Outbox>,
    wrapped: bool,
    joined: BTreeSet<ChannelId>,
    streams: usize,
    batch: Vec<Message>,
}

impl Hub {
    /// Routes for `channels` channels.
    pub fn new(channels: usize) -> Self {
        let routes = Routes { channels: vec![Vec::new(); channels], ..Routes::default() };
        Self { routes: Mutex::new(routes), streams: AtomicUsize::new(0), joined: Notify::new() }
    }

    /// Adds a socket. `wrapped`: whether it gets frames with their wrapping.
    pub fn attach(&self, outbox: Arc<Outbox>, wrapped: bool) -> SocketId {
        let (joined, batch) = (BTreeSet::new(), Vec::new());
        self.routes().sockets.insert(Attached { outbox, wrapped, joined, streams: 0, batch })
    }

    /// Removes a socket and everything it joined.
    pub fn detach(&self, id: SocketId) {
        let mut routes = self.routes();
        let Some(gone) = routes.sockets.try_remove(id) else { return };
        for channel in &gone.joined {
            routes.drop_from(*channel, id);
        }
        routes.filled.retain(|one| *one != id);
        self.streams.fetch_sub(gone.streams, Ordering::Relaxed);
        gone.outbox.close();
    }

    /// Puts a socket on a channel; joining twice changes nothing.
    pub fn join(&self, id: SocketId, channel: ChannelId) {
        let mut routes = self.routes();
        let Routes { channels, sockets, .. } = &mut *routes;
        if let (Some(socket), Some(members)) = (sockets.get_mut(id), channels.get_mut(channel))
            && socket.joined.insert(channel)
        {
            members.push(id);
        }
    }

    /// Takes a socket off a channel.
    pub fn leave(&self, id: SocketId, channel: ChannelId) {
        let mut routes = self.routes();
        if routes.sockets.get_mut(id).is_some_and(|socket| socket.joined.remove(&channel)) {
            routes.drop_from(channel, id);
        }
    }

    /// Changes whether a socket gets wrapped frames.
    pub fn wrap(&self, id: SocketId, wrapped: bool) {
        if let Some(socket) = self.routes().sockets.get_mut(id) {
            socket.wrapped = wrapped;
        }
    }

    /// Notes how many streams a socket holds, silent ones included.
    pub fn set_streams(&self, id: SocketId, count: usize) {
        let mut routes = self.routes();
        let Some(socket) = routes.sockets.get_mut(id) else { return };
        let before = mem::replace(&mut socket.streams, count);
        drop(routes);
        self.streams.fetch_add(count, Ordering::Relaxed);
        self.streams.fetch_sub(before, Ordering::Relaxed);
        if count != before {
            self.joined.notify_one();
        }
    }

    /// Streams held by all sockets, silent ones included.
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Channels that somebody is on.
    pub fn channels_joined(&self) -> usize {
        self.routes().channels.iter().filter(|members| !members.is_empty()).count()
    }

    /// Resolves when the number of streams has changed. For one waiting task.
    pub async fn streams_changed(&self) {
        self.joined.notified().await;
    }

    /// Lets `write` put frames on channels, then hands each socket its part. Returns how many sockets were cut.
    pub async fn publish(&self, when_slow: WhenSlow, write: impl FnOnce(&mut Fill<'_>)) -> u64 {
        let mut cut = 0;
        for (outbox, mut batch) in self.fill(write) {
            match when_slow {
                WhenSlow::Wait => outbox.put_waiting(batch).await,
                WhenSlow::Cut if !outbox.put(&mut batch) => {
                    outbox.close();
                    cut += 1;
                }
                WhenSlow::Cut => {}
            }
        }
        cut
    }

    fn fill(&self, write: impl FnOnce(&mut Fill<'_>)) -> Vec<(Arc<Outbox>, Vec<Message>)> {
        let mut routes = self.routes();
        write(&mut Fill { routes: &mut routes });
        let Routes { sockets, filled, .. } = &mut *routes;
        filled
            .drain(..)
            .filter_map(|id| {
                let socket = sockets.get_mut(id)?;
                Some((Arc::clone(&socket.outbox), mem::take(&mut socket.batch)))
            })
            .collect()
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Routes {
    fn drop_from(&mut self, channel: ChannelId, id: SocketId) {
        if let Some(members) = self.channels.get_mut(channel) {
            members.retain(|one| *one != id);
        }
    }
}

/// One batch being written.
#[derive(Debug)]
pub struct Fill<'a> {
    routes: &'a mut Routes,
}

/// Room reserved at a time for frames that share one allocation, in bytes.
const SCRATCH_BYTES: usize = 64 * 1024;

impl Fill<'_> {
    /// True when somebody is on the channel: else a frame need not be formatted.
    pub fn wanted(&self, channel: ChannelId) -> bool {
        self.routes.channels.get(channel).is_some_and(|members| !members.is_empty())
    }

    /// Formats one frame with `write`, which returns the range of its bare form, if somebody is on the channel.
    pub fn write(&mut self, channel: ChannelId, write: impl FnOnce(&mut BytesMut) -> std::ops::Range<usize>) {
        if !self.wanted(channel) {
            return;
        }
        let scratch = &mut self.routes.scratch;
        if scratch.capacity() < 4 * 1024 {
            scratch.reserve(SCRATCH_BYTES);
        }
        let body = write(scratch);
        let text = scratch.split().freeze();
        self.push(channel, &Frame::new(text, body));
    }

    /// Puts one frame on a channel.
    pub fn push(&mut self, channel: ChannelId, frame: &Frame) {
        let Routes { channels, sockets, filled, .. } = &mut *self.routes;
        for id in channels.get(channel).into_iter().flatten() {
            let Some(socket) = sockets.get_mut(*id) else { continue };
            if socket.batch.is_empty() {
                filled.push(*id);
            }
            socket.batch.push(frame.message(socket.wrapped));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn a_frame_reaches_the_members_of_its_channel_in_their_form() {
        let hub = Hub::new(2);
        let (one, two) = (Arc::new(Outbox::new(8)), Arc::new(Outbox::new(8)));
        let first = hub.attach(Arc::clone(&one), true);
        let second = hub.attach(Arc::clone(&two), false);
        hub.join(first, 0);
        hub.join(first, 0);
        hub.join(second, 0);
        hub.join(second, 1);
        let frame = Frame::new(Bytes::from_static(b"[body]"), 1..5);
        hub.publish(WhenSlow::Cut, |fill| fill.push(0, &frame)).await;
        assert_eq!(one.take().await, [Message::text("[body]")]);
        assert_eq!(two.take().await, [Message::text("body")]);
        hub.leave(first, 0);
        hub.detach(second);
        hub.publish(WhenSlow::Cut, |fill| assert!(!fill.wanted(0) && !fill.wanted(1))).await;
    }

    #[tokio::test]
    async fn a_slow_socket_is_cut_and_others_go_on() {
        let hub = Hub::new(1);
        let (slow, fast) = (Arc::new(Outbox::new(1)), Arc::new(Outbox::new(8)));
        for outbox in [&slow, &fast] {
            hub.join(hub.attach(Arc::clone(outbox), true), 0);
        }
        let frame = Frame::whole(Bytes::from_static(b"x"));
        assert_eq!(hub.publish(WhenSlow::Cut, |fill| fill.push(0, &frame)).await, 0);
        assert_eq!(hub.publish(WhenSlow::Cut, |fill| fill.push(0, &frame)).await, 1);
        slow.closed().await;
        assert_eq!(fast.take().await.len(), 2);
    }

    #[test]
    fn streams_are_counted_over_all_sockets() {
        let hub = Hub::new(0);
        let id = hub.attach(Arc::new(Outbox::new(1)), true);
        hub.set_streams(id, 5);
        hub.set_streams(id, 3);
        assert_eq!(hub.streams(), 3);
        hub.detach(id);
        assert_eq!(hub.streams(), 0);
    }
}
