//! The HTTP door: accepts connections, answers plain requests through axum, and gives upgraded sockets to the hub.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::conn::auto::upgrade::downcast;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tickwire_common::task::Spawner;
use tickwire_common::wire::SUBPROTOCOL_JSON;
use tickwire_common::wire::encoding::Encoding;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::hub::Permit;
use crate::hub::client::{Arrival, Mode};
use crate::ws::handshake::{self, Refusal};

/// How long a client may take over its request headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Unsent bytes that the kernel holds for one client before it calls the socket full: beyond them rows wait where they
/// can be folded.
const NOTSENT_BYTES: u32 = 16 << 10;

/// After an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What an upgrade needs.
#[derive(Debug, Clone)]
pub struct Door {
    /// Takes the sockets.
    pub hub: Hub,
    /// Most connections.
    pub connections_max: usize,
    /// Runs the moment between the HTTP answer and the hub.
    pub spawner: Spawner,
}

/// Accepts until `token` is cancelled. One task a connection, until it is upgraded or done.
///
/// # Errors
/// None: a failed accept is logged and tried again.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    spawner: Spawner,
    token: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = token.cancelled() => return Ok(()),
        };
        match accepted {
            Ok((socket, peer)) => {
                prepare(&socket);
                let service = router.clone().layer(Extension(ConnectInfo(peer)));
                spawner.spawn_job("edge-http", http(socket, service, token.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn prepare(socket: &TcpStream) {
    let set = socket.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let set = set.and_then(|()| SockRef::from(socket).set_tcp_notsent_lowat(NOTSENT_BYTES));
    if let Err(error) = set {
        tracing::debug!(%error, "a socket option was refused");
    }
}

async fn http(socket: TcpStream, router: Router, token: CancellationToken) -> anyhow::Result<()> {
    let mut server = auto::Builder::new(TokioExecutor::new()).http1_only();
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let served =
        server.serve_connection_with_upgrades(TokioIo::new(socket), TowerToHyperService::new(router));
    tokio::select! {
        served = served => {
            if let Err(error) = served {
                tracing::debug!(error, "an HTTP connection ended");
            }
        }
        // An upgraded socket is the hub's and not cut by this.
        () = token.cancelled() => {}
    }
    Ok(())
}

/// `GET /v1/stream`.
pub async fn stream(State(door): State<Door>, peer: ConnectInfo<SocketAddr>, request: Request) -> Response {
    upgrade(&door, peer.0, request, Mode::Stream)
}

/// `GET /debug/echo`.
pub async fn echo(State(door): State<Door>, peer: ConnectInfo<SocketAddr>, request: Request) -> Response {
    upgrade(&door, peer.0, request, Mode::Echo)
}

fn upgrade(door: &Door, peer: SocketAddr, mut request: Request, mode: Mode) -> Response {
    let accept = match handshake::accept(request.headers()) {
        Ok(accept) => accept,
        Err(refusal) => return refused(refusal),
    };
    let Some(permit) = door.hub.permit(door.connections_max) else {
        metrics::counter!("tickwire_edge_refused_connections_total").increment(1);
        let retry = [(header::RETRY_AFTER, "5")];
        return (StatusCode::SERVICE_UNAVAILABLE, retry, "no room for another connection\n").into_response();
    };
    let subprotocol = handshake::offers(request.headers(), SUBPROTOCOL_JSON);
    let upgraded = hyper::upgrade::on(&mut request);
    let hub = door.hub.clone();
    door.spawner.spawn_job("edge-upgrade", async move {
        match upgraded.await {
            Ok(upgraded) => hand_over(&hub, upgraded, mode, peer, permit),
            Err(error) => tracing::debug!(%error, "a client left before its upgrade"),
        }
        Ok(())
    });
    switching(accept, subprotocol)
}

fn refused(refusal: Refusal) -> Response {
    let text = format!("{refusal}\n");
    match refusal {
        Refusal::NotWebSocket => {
            let upgrade = [(header::UPGRADE, "websocket"), (header::CONNECTION, "upgrade")];
            (StatusCode::UPGRADE_REQUIRED, upgrade, text).into_response()
        }
        Refusal::Version => {
            (StatusCode::UPGRADE_REQUIRED, [(header::SEC_WEBSOCKET_VERSION, "13")], text).into_response()
        }
        Refusal::Key => (StatusCode::BAD_REQUEST, text).into_response(),
    }
}

fn switching(accept: HeaderValue, subprotocol: bool) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL_JSON));
    }
    response
}

/// Takes the bare socket back from the HTTP part, with what that has read too much.
fn hand_over(hub: &Hub, upgraded: hyper::upgrade::Upgraded, mode: Mode, peer: SocketAddr, permit: Permit) {
    let Ok(parts) = downcast::<TokioIo<TcpStream>>(upgraded) else {
        tracing::error!("an upgraded connection is not a TCP socket");
        return;
    };
    match parts.io.into_inner().into_std() {
        Ok(socket) => hub.adopt(Arrival {
            socket,
            early: parts.read_buf.to_vec(),
            mode,
            encoding: Encoding::Json,
            peer,
            permit,
        }),
        Err(error) => tracing::warn!(%error, "a socket could not be taken over"),
    }
}
