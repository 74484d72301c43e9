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
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::accept::Door;
use crate::admission::Admission;
use crate::config::Config;
use crate::farewell::Farewells;
use crate::feed::{Feed, FeedConfig, Names};
use crate::hub::Hub;
use crate::hub::ask::ASKS_MAX;
use crate::listen::{self, Manners};
use crate::memory;
use crate::rest::{self, Rest};
use crate::ws::frame;

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
    let feed_config = FeedConfig { linger: config.linger, patience: config.patience };
    let feed = Feed::new(&nats, hub.clone(), asks, Arc::clone(&names), &feed_config);
    let standing = feed.standing();
    // The feed serves clients until the last of them is gone.
    tasks.spawn_last("edge-feed", feed.run(tasks.last_token()));
    tasks.spawn("edge-heartbeat", beat(hub.clone(), config.hub.heartbeat, tasks.spawner()));
    let admission = Admission::new(config.hub.limits);
    tasks.spawn("edge-memory", memory::watch(Arc::clone(&admission), tasks.token()));
    let door = Door {
        hub,
        admission,
        trusted_proxies: config.guards.trusted_proxies.clone(),
        farewells: Farewells::default(),
        spawner: tasks.spawner(),
    };
    tasks.spawn("edge-drain", drain(door.clone(), config.drain_spread, tasks.token()));
    let rest = Rest::new(Arc::clone(&names), standing, Snapshots::new(&nats), config.hub.label.clone());
    let router = rest::router(door, rest, config.echo);
    tasks.spawn(
        "edge-accept",
        listen::serve(listener, router, manners(&config), tasks.spawner(), tasks.token()),
    );
    let not_ready = readiness(&nats, names, &tasks);
    tasks.spawn_last("admin", admin::serve(admin_listener, metrics, not_ready, tasks.last_token()));

    say_ready(address, admin_address);
    let verdict = tasks.run_until_shutdown(shutdown, config.drain_grace).await;
    nats.drain().await;
    Ok(verdict.exit_code())
}

/// How much longer than a client's own stall the kernel waits: it only ends what we cannot judge.
const KERNEL_PATIENCE: Duration = Duration::from_secs(5);

/// Left of the grace for what comes after the last HTTP answer.
const LAST_STEPS: Duration = Duration::from_secs(1);

fn manners(config: &Config) -> Manners {
    Manners {
        handshakes_max: config.guards.handshakes_max,
        handshake: Duration::from_millis(config.hub.limits.handshake_ms.into()),
        unacknowledged: config.hub.stall + KERNEL_PATIENCE,
        drain: config.drain_grace.saturating_sub(LAST_STEPS),
    }
}

fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let hint = || {
        format!("{setting} = {address} cannot be opened; is another program using it? Choose another port")
    };
    listen::bind(address).with_context(hint)
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

/// What a heartbeat is about; no venue is called so.
const HEARTBEAT: &str = "(heartbeat)";

/// One heartbeat for everyone, framed once.
async fn beat(hub: Hub, every: Duration, spawner: Spawner) -> anyhow::Result<()> {
    let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (subject, token) = (Arc::from(HEARTBEAT), spawner.token());
    loop {
        tokio::select! {
            _ = beats.tick() => hub.tell(&subject, &frame::text(&heartbeat(now_ms()))),
            () = token.cancelled() => return Ok(()),
        }
    }
}

async fn drain(door: Door, spread: Duration, token: CancellationToken) -> anyhow::Result<()> {
    token.cancelled().await;
    tracing::info!(clients = door.admission.connections(), "draining");
    door.hub.drain(spread);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the ready line is for whoever started this process")]
fn say_ready(address: SocketAddr, admin_address: SocketAddr) {
    println!(
        "tickwire-edge ready: http://{} admin http://{}",
        admin::reachable(address),
        admin::reachable(admin_address)
    );
}
