//! Puts the edge together: NATS, hub, feed, doors; and takes it apart again on SIGTERM: readiness off, every client told
//! when to come back, closes paced, then the end.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use tickwire_common::admin::{self, Metrics};
use tickwire_common::task::{Spawner, Tasks, shutdown_signal};
use tickwire_common::time::now_ms;
use tickwire_common::wire::frame::heartbeat;
use tickwire_nats::Nats;
use tickwire_nats::snapshot::Snapshots;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::accept::{self, Door};
use crate::config::Config;
use crate::feed::{Feed, FeedConfig, Names};
use crate::hub::Hub;
use crate::hub::ask::ASKS_MAX;
use crate::rest::{self, Rest};
use crate::ws::frame;

/// Connections that wait to be accepted; the kernel takes `net.core.somaxconn` if that is less.
const ACCEPT_QUEUE: u32 = 65_535;

/// Runs the edge until a signal or a failure.
///
/// # Errors
/// What stands in the way of starting: an address in use, a credentials file that cannot be read.
pub async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let shutdown = shutdown_signal()?;
    let metrics = Metrics::install()?;
    let listener = bind(config.listen, "edge.listen")?;
    let admin_listener = bind(config.admin_listen, "admin.listen")?;
    let (address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);
    let nats = Nats::connect(&config.nats, "edge").await?;

    let tasks = Tasks::new();
    let names = Arc::new(RwLock::new(Names::new(config.venue_order.clone(), config.open_symbols)));
    let (ask, asks) = mpsc::channel(ASKS_MAX);
    let hub_config = Arc::new(config.hub.clone());
    let hub = Hub::start(&hub_config, &ask, &tasks.spawner()).context("starting the workers")?;
    let feed_config = FeedConfig { linger: config.linger };
    let feed = Feed::new(&nats, hub.clone(), asks, Arc::clone(&names), &feed_config);
    // The feed serves clients until the last of them is gone.
    tasks.spawn_last("edge-feed", feed.run(tasks.last_token()));
    tasks.spawn("edge-heartbeat", beat(hub.clone(), config.hub.heartbeat, tasks.spawner()));
    tasks.spawn("edge-drain", drain(hub.clone(), config.drain_spread, tasks.spawner()));

    let door = Door { hub, connections_max: config.connections_max, spawner: tasks.spawner() };
    let rest = Rest::new(Arc::clone(&names), Snapshots::new(&nats), config.hub.label.clone());
    let router = rest::router(door, rest, config.echo);
    tasks.spawn("edge-accept", accept::serve(listener, router, tasks.spawner(), tasks.token()));
    let not_ready = readiness(&nats, names, &tasks);
    tasks.spawn_last("admin", admin::serve(admin_listener, metrics, not_ready, tasks.last_token()));

    say_ready(address, admin_address);
    let verdict = tasks.run_until_shutdown(shutdown, config.drain_grace).await;
    nats.drain().await;
    Ok(verdict.exit_code())
}

fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let hint = || {
        format!("{setting} = {address} cannot be opened; is another program using it? Choose another port")
    };
    listen(address).with_context(hint)
}

/// A listener whose queue takes a storm of reconnects: the kernel drops what does not fit, and those clients try again
/// only after a second.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}

/// What speaks against new clients.
fn readiness(
    nats: &Nats,
    names: Arc<RwLock<Names>>,
    tasks: &Tasks,
) -> impl Fn() -> Vec<String> + Send + Sync + 'static {
    let (nats, token) = (nats.clone(), tasks.token());
    let primed = AtomicBool::new(false);
    move || {
        let mut reasons = Vec::new();
        if token.is_cancelled() {
            reasons.push("draining".to_owned());
        }
        if !nats.is_connected() {
            reasons.push("NATS is not connected".to_owned());
        }
        let loaded = names.read().unwrap_or_else(PoisonError::into_inner).is_loaded();
        // Once is enough: a catalogue that empties later is no reason to send clients away.
        if loaded {
            primed.store(true, Ordering::Relaxed);
        }
        if !primed.load(Ordering::Relaxed) {
            reasons.push("no catalogue yet: no ingestor has published its symbols".to_owned());
        }
        reasons
    }
}

/// One heartbeat for everyone, framed once.
async fn beat(hub: Hub, every: Duration, spawner: Spawner) -> anyhow::Result<()> {
    let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let token = spawner.token();
    loop {
        tokio::select! {
            _ = beats.tick() => hub.tell(&frame::text(&heartbeat(now_ms()))),
            () = token.cancelled() => return Ok(()),
        }
    }
}

async fn drain(hub: Hub, spread: Duration, spawner: Spawner) -> anyhow::Result<()> {
    spawner.token().cancelled().await;
    tracing::info!(clients = hub.connections(), "draining");
    hub.drain(spread);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the ready line is for whoever started this process")]
fn say_ready(address: SocketAddr, admin: SocketAddr) {
    println!("tickwire-edge ready: http://{} admin http://{}", reachable(address), reachable(admin));
}

/// An address that can be opened: a wildcard is shown as loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}
