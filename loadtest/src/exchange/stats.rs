//! Counters of one simulated venue, so that a test can ask whether a client kept the rules.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Live counters.
#[derive(Debug, Default)]
pub struct Stats {
    opened: AtomicU64,
    closed: AtomicU64,
    frames: AtomicU64,
    garbage: AtomicU64,
    received: AtomicU64,
    requests: AtomicU64,
    slow: AtomicU64,
    connects: AtomicU64,
    subscribes: AtomicU64,
    subscribed: AtomicU64,
    unsubscribes: AtomicU64,
    unsubscribed: AtomicU64,
    muted: AtomicU64,
    violations: Mutex<BTreeMap<&'static str, u64>>,
}

/// The counters at one moment, as `/stats` shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Sockets open now.
    pub sockets_open: u64,
    /// Sockets opened since the start.
    pub sockets_opened: u64,
    /// Handshakes asked for, refused ones included.
    pub connects: u64,
    /// Streams held by open sockets, silent ones included; one that two sockets hold counts twice.
    pub streams: u64,
    /// Different streams that are delivered to somebody.
    pub streams_delivered: u64,
    /// Messages that asked for streams and were granted.
    pub subscribe_messages: u64,
    /// Streams that they added, in the URL or by message.
    pub streams_subscribed: u64,
    /// Messages that gave streams up.
    pub unsubscribe_messages: u64,
    /// Streams that they took away.
    pub streams_unsubscribed: u64,
    /// Streams that were granted and stay silent, as a symbol is muted.
    pub streams_muted: u64,
    /// Market data frames handed to sockets.
    pub frames_sent: u64,
    /// Garbage frames sent on request.
    pub garbage_sent: u64,
    /// Frames received from clients, pings and pongs included.
    pub messages_received: u64,
    /// REST requests answered.
    pub rest_requests: u64,
    /// Sockets cut because their client read too slowly.
    pub slow_cut: u64,
    /// Broken limits by kind; empty when clients kept all of them.
    pub violations: BTreeMap<String, u64>,
}

impl Stats {
    pub(crate) fn socket_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn socket_closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connect_asked(&self) {
        self.connects.fetch_add(1, Ordering::Relaxed);
    }

    /// Streams granted by a message, or by the URL of a connection.
    pub(crate) fn subscribed(&self, by_message: bool, streams: usize, muted: usize) {
        self.subscribes.fetch_add(by_message.into(), Ordering::Relaxed);
        self.subscribed.fetch_add(streams as u64, Ordering::Relaxed);
        self.muted.fetch_add(muted as u64, Ordering::Relaxed);
    }

    pub(crate) fn unsubscribed(&self, streams: usize) {
        self.unsubscribes.fetch_add(1, Ordering::Relaxed);
        self.unsubscribed.fetch_add(streams as u64, Ordering::Relaxed);
    }

    pub(crate) fn frames_sent(&self, count: usize) {
        self.frames.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn garbage_sent(&self) {
        self.garbage.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn message_received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn request_answered(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn slow_cut(&self, count: u64) {
        self.slow.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn violation(&self, kind: &'static str) {
        let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        *violations.entry(kind).or_default() += 1;
    }

    /// The counters now; of `streams` held, so many different ones are `delivered`.
    pub fn snapshot(&self, streams: usize, delivered: usize) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            sockets_open: read(&self.opened).saturating_sub(read(&self.closed)),
            sockets_opened: read(&self.opened),
            connects: read(&self.connects),
            streams: streams as u64,
            streams_delivered: delivered as u64,
            subscribe_messages: read(&self.subscribes),
            streams_subscribed: read(&self.subscribed),
            unsubscribe_messages: read(&self.unsubscribes),
            streams_unsubscribed: read(&self.unsubscribed),
            streams_muted: read(&self.muted),
            frames_sent: read(&self.frames),
            garbage_sent: read(&self.garbage),
            messages_received: read(&self.received),
            rest_requests: read(&self.requests),
            slow_cut: read(&self.slow),
            violations: violations.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
        }
    }
}
