//! One connection to NATS that is never given up: it comes back by itself, says so once, and tells when everything
//! subscribed before is active again. Retries for ever, so an unreachable server is no error here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::client::Request;
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use thiserror::Error;
use tickwire_common::task::Tasks;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::NatsConfig;
use crate::link::{self, Events};

/// Longest wait for an answer of the server: the library's 10 s are too long for anything a client waits for.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// A silent link is asked this often and given up after three unanswered questions. The library's 60 s would leave a
/// half-open link in use for minutes.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Messages that one subscription holds for a reader that is behind. When it is full the NEWEST message is dropped,
/// so it is large enough for a burst of a busy venue; at most 184 bytes and the payload each.
pub const SUBSCRIPTION_CAPACITY: usize = 16_384;

/// Commands that wait for the socket, shared by all users of the connection.
pub const COMMAND_CAPACITY: usize = 4_096;

/// Longest wait of [`Nats::drain`] for the socket to take what is queued.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// What stands in the way of even trying to connect: the configuration.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Not an address of a server; says why, without the address, which may hold a secret.
    #[error("nats.url {0}")]
    Url(String),
    /// The credentials file cannot be used.
    #[error("nats.credentials_file: cannot use {path}: {source}", path = path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What reading or parsing it said.
        source: std::io::Error,
    },
    /// The client library refused the options.
    #[error("NATS options were refused: {0}")]
    Options(String),
}

/// Why a round trip to the server failed. Retry when [`Nats::state`] says that the link is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LinkError {
    /// There is no connection at the moment.
    #[error("NATS is not connected")]
    Disconnected,
    /// The server did not answer in time.
    #[error("NATS did not answer in time")]
    TimedOut,
    /// The connection was closed on purpose.
    #[error("the connection to NATS is closed")]
    Closed,
}

/// What is known of the link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkState {
    /// The server answers and every subscription made before is active on it.
    pub connected: bool,
    /// How many times the link came up. When it grows, messages may have been missed: snapshot again, publish all
    /// last values again, ensure streams again.
    pub epoch: u64,
}

/// A connection to NATS; clones share it. Dropping the last clone closes it.
#[derive(Debug, Clone)]
pub struct Nats {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    state: watch::Receiver<LinkState>,
    events: Arc<Events>,
    tasks: Tasks,
    _stop: DropGuard,
}

impl Nats {
    /// Starts to connect and returns at once; [`Nats::state`] tells when the link is up. `role` names the connection
    /// on the server and its inbox: replies come to `_INBOX_<role>.>`, so that permissions can part the roles.
    ///
    /// # Errors
    /// Only for a configuration that can never work: a bad address, an unusable credentials file.
    pub async fn connect(config: &NatsConfig, role: &str) -> Result<Self, ConnectError> {
        let servers = config.servers()?;
        let events = Arc::new(Events::new(NatsConfig::describe(&servers)));
        let options = with_behaviour(config.options().await?, role, &events);
        let client =
            options.connect(servers).await.map_err(|error| ConnectError::Options(error.to_string()))?;
        let (sender, state) = watch::channel(LinkState::default());
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        let follow = link::follow(client.clone(), Arc::clone(&events), sender);
        let stopped = stop.clone();
        // A job, for it ends by itself when the connection is closed on purpose.
        tasks.spawner().spawn_job(format!("nats-link-{role}"), async move {
            stopped.run_until_cancelled(follow).await;
            Ok(())
        });
        Ok(Self { inner: Arc::new(Inner { client, state, events, tasks, _stop: stop.drop_guard() }) })
    }

    /// The link's state and its changes.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.inner.state.clone()
    }

    /// Whether the link is up and everything subscribed is active.
    pub fn is_connected(&self) -> bool {
        self.inner.state.borrow().connected
    }

    /// How many messages full subscriptions of this connection have dropped so far; at least, for the library may lose
    /// count in a storm. When it grows, newest rows may be missing: snapshot again.
    pub fn dropped_messages(&self) -> u64 {
        self.inner.events.dropped()
    }

    /// Waits until the link is up.
    ///
    /// # Errors
    /// [`LinkError::Closed`] after [`Nats::drain`].
    pub async fn connected(&self) -> Result<LinkState, LinkError> {
        let mut state = self.state();
        let up = state.wait_for(|state| state.connected).await;
        up.map(|state| *state).map_err(|_| LinkError::Closed)
    }

    /// A round trip on this connection. When it returns, the server it is connected to has registered every
    /// subscription made before the call. Other servers of a cluster may learn of them a moment later.
    ///
    /// # Errors
    /// When the link is down or does not answer within [`REQUEST_TIMEOUT`].
    pub async fn barrier(&self) -> Result<(), LinkError> {
        round_trip(&self.inner.client).await
    }

    /// Unsubscribes everything, hands what is queued to the socket and closes the connection for all clones. Ends
    /// after at most 3 s, also when NATS is away.
    pub async fn drain(&self) {
        let client = &self.inner.client;
        let flushed = async {
            if client.connection_state() == State::Connected {
                let _ = client.flush().await;
            }
            if client.drain().await.is_ok() {
                let mut state = self.state();
                // The follower drops its sender when the connection is closed.
                while state.changed().await.is_ok() {}
            }
        };
        if timeout(DRAIN_TIMEOUT, flushed).await.is_err() {
            tracing::warn!("NATS did not take the last messages in time");
        }
        self.inner.tasks.token().cancel();
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    /// What the server of the present or the last connection calls itself; empty before the first.
    pub(crate) fn server_version(&self) -> String {
        self.inner.client.server_info().version
    }

    pub(crate) fn is_open(&self) -> bool {
        self.inner.client.connection_state() == State::Connected
    }
}

fn with_behaviour(options: ConnectOptions, role: &str, events: &Arc<Events>) -> ConnectOptions {
    let (on_event, on_delay) = (Arc::clone(events), Arc::clone(events));
    options
        .name(format!("tickwire-{role}"))
        .custom_inbox_prefix(format!("_INBOX_{role}"))
        .retry_on_initial_connect()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .client_capacity(COMMAND_CAPACITY)
        .event_callback(move |event| {
            on_event.take(&event);
            std::future::ready(())
        })
        .reconnect_delay_callback(move |_attempt| on_delay.next_delay())
}

/// Publishes to an inbox of our own and waits for it to come back: the server handles the lines of one connection in
/// order. Unlike a request to a subject without a responder, it also works beside somebody who listens to `>`.
pub(crate) async fn round_trip(client: &Client) -> Result<(), LinkError> {
    if client.connection_state() != State::Connected {
        return Err(LinkError::Disconnected);
    }
    let inbox = client.new_inbox();
    let request = Request::new().inbox(inbox.clone()).payload(Bytes::new()).timeout(None);
    match timeout(REQUEST_TIMEOUT, client.send_request(inbox, request)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(LinkError::Closed),
        Err(_) => Err(LinkError::TimedOut),
    }
}
