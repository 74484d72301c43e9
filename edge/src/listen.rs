//! The accept loop: takes sockets, answers their HTTP requests through axum, and lets go of them once they are upgraded.
//! A socket that is not upgraded has a place among a bounded number and a deadline for each request, so that nobody who
//! trickles bytes can keep others out for long. At the bound the newest is refused.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tickwire_common::task::Spawner;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Unsent bytes that the kernel holds for one client before it calls the socket full: beyond them rows wait where they
/// can be folded.
#[cfg(target_os = "linux")]
const NOTSENT_BYTES: u32 = 16 << 10;

/// Largest request line and headers together, in bytes: 500 names of 60 characters in a query fit. It bounds what those
/// cost who send headers without end.
const HEADERS_BYTES_MAX: usize = 32 << 10;

/// Connections that wait to be accepted; the kernel takes `net.core.somaxconn` if that is less.
const ACCEPT_QUEUE: u32 = 65_535;

/// After an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the newest hears when all places are taken.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// How sockets are treated until they are upgraded.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// Most sockets that are not upgraded.
    pub handshakes_max: usize,
    /// From the connect, or the answer before, until complete request headers.
    pub handshake: Duration,
    /// How long the kernel waits for a peer that acknowledges nothing or takes nothing. Linux only.
    pub unacknowledged: Duration,
    /// How long answers under way have once the edge ends.
    pub drain: Duration,
}

/// Opens a listener whose queue takes a storm of reconnects: the kernel drops what does not fit, and those clients try
/// again only after a second.
///
/// # Errors
/// What the operating system says: most often that the address is in use.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}

/// Accepts until `token` is cancelled. One task a connection, until it is upgraded or done.
///
/// # Errors
/// None: a failed accept is logged and tried again.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    manners: Manners,
    spawner: Spawner,
    token: CancellationToken,
) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(manners.handshakes_max));
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = token.cancelled() => return Ok(()),
        };
        match accepted {
            Ok((socket, peer)) => {
                failing = false;
                match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        prepare(&socket, &manners);
                        let served =
                            http(socket, peer, router.clone(), Place::new(place), manners, token.clone());
                        spawner.spawn_job("edge-http", served);
                    }
                    Err(_) => refuse(&socket),
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn prepare(socket: &TcpStream, manners: &Manners) {
    if let Err(error) = socket.set_nodelay(true).and_then(|()| bound_kernel(socket, manners)) {
        tracing::debug!(%error, "a socket option was refused");
    }
}

/// How much, and for how long, the kernel holds what a peer does not take: tcp(7).
#[cfg(target_os = "linux")]
fn bound_kernel(socket: &TcpStream, manners: &Manners) -> std::io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    socket.set_tcp_notsent_lowat(NOTSENT_BYTES)?;
    socket.set_tcp_user_timeout(Some(manners.unacknowledged))
}

#[cfg(not(target_os = "linux"))]
fn bound_kernel(_socket: &TcpStream, _manners: &Manners) -> std::io::Result<()> {
    Ok(())
}

/// Costs no task: the answer fits an empty send buffer, and if not, the close says enough.
fn refuse(socket: &TcpStream) {
    metrics::counter!("tickwire_edge_refused_connections_total", "reason" => "handshakes").increment(1);
    let _ = socket.try_write(FULL);
}

/// A place among the sockets that are not upgraded.
struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("tickwire_edge_http_connections").increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("tickwire_edge_http_connections").decrement(1.0);
    }
}

async fn http(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    _place: Place,
    manners: Manners,
    token: CancellationToken,
) -> anyhow::Result<()> {
    let asked = AtomicBool::new(false);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let mut server = http1::Builder::new();
    // The timer runs from the first look for a request to its last header, whatever comes between.
    server.timer(TokioTimer::new()).header_read_timeout(manners.handshake).max_buf_size(HEADERS_BYTES_MAX);
    let mut served = pin!(server.serve_connection(TokioIo::new(socket), service).with_upgrades());
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = token.cancelled() => {
            if !asked.load(Ordering::Relaxed) {
                return Ok(());
            }
            served.as_mut().graceful_shutdown();
            let Ok(ended) = tokio::time::timeout(manners.drain, served).await else { return Ok(()) };
            ended
        }
    };
    if let Err(error) = ended {
        if error.is_timeout() && !asked.load(Ordering::Relaxed) {
            metrics::counter!("tickwire_edge_handshake_timeouts_total").increment(1);
        }
        tracing::debug!(%error, %peer, "an HTTP connection ended");
    }
    Ok(())
}
