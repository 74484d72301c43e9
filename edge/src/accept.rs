//! The door to the stream: judges upgrades and gives upgraded sockets to the hub. Who may not come in is told so over the
//! same socket.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tickwire_common::task::Spawner;
use tickwire_common::wire::encoding::Encoding;
use tokio::net::TcpStream;

use crate::address::TrustedProxies;
use crate::admission::{Admission, Permit, Refused};
use crate::choice::choose;
use crate::farewell::Farewells;
use crate::hub::Hub;
use crate::hub::client::{Arrival, Mode};
use crate::ws::handshake::{self, Refusal};

/// What an upgrade needs.
#[derive(Debug, Clone)]
pub struct Door {
    /// Takes the sockets.
    pub hub: Hub,
    /// Lets them in.
    pub admission: Arc<Admission>,
    /// Whose word on a client's address counts.
    pub trusted_proxies: TrustedProxies,
    /// Places for the last words to those who may not come in.
    pub farewells: Farewells,
    /// Runs the moment between the HTTP answer and the hub.
    pub spawner: Spawner,
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
    let choice = match choose(request.headers(), request.uri()) {
        Ok(choice) => choice,
        Err(unknown) => return (StatusCode::BAD_REQUEST, format!("{unknown}\n")).into_response(),
    };
    let address = door.trusted_proxies.client(peer.ip(), request.headers());
    let upgraded = hyper::upgrade::on(&mut request);
    let upgrades = match door.admission.admit(address) {
        Ok(permit) => {
            welcome(door, upgraded, (mode, choice.encoding, address, permit));
            true
        }
        Err(refused) => turn_away(door, upgraded, address, refused),
    };
    if upgrades { switching(accept, choice.subprotocol) } else { no_room() }
}

/// What is known of a client before its socket is there.
type Admitted = (Mode, Encoding, IpAddr, Permit);

fn welcome(door: &Door, upgraded: hyper::upgrade::OnUpgrade, admitted: Admitted) {
    let hub = door.hub.clone();
    door.spawner.spawn_job("edge-upgrade", async move {
        match upgraded.await {
            Ok(upgraded) => hand_over(&hub, upgraded, admitted),
            Err(error) => tracing::debug!(%error, "a client left before its upgrade"),
        }
        Ok(())
    });
}

/// Tells the client after its upgrade why it may not stay; gives false if too many are being told already.
fn turn_away(door: &Door, upgraded: hyper::upgrade::OnUpgrade, address: IpAddr, refused: Refused) -> bool {
    let reason = refused.as_str();
    metrics::counter!("tickwire_edge_refused_connections_total", "reason" => reason).increment(1);
    tracing::debug!(%address, reason, "a connection is refused");
    let Some(farewell) = door.farewells.begin(refused) else { return false };
    door.spawner.spawn_job("edge-farewell", async move {
        if let Some((socket, _)) = upgraded.await.ok().and_then(socket) {
            farewell.say(socket).await;
        }
        Ok(())
    });
    true
}

fn no_room() -> Response {
    let retry = [(header::RETRY_AFTER, "5")];
    (StatusCode::SERVICE_UNAVAILABLE, retry, "no room for another connection\n").into_response()
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

fn switching(accept: HeaderValue, subprotocol: Option<&'static str>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    response
}

/// Takes the bare socket back from the HTTP part, with what that has read too much.
fn socket(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection is not a TCP socket");
        return None;
    };
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

fn hand_over(hub: &Hub, upgraded: Upgraded, (mode, encoding, address, permit): Admitted) {
    let Some((socket, early)) = socket(upgraded) else { return };
    match socket.into_std() {
        Ok(socket) => hub.adopt(Arrival { socket, early, mode, encoding, address, permit }),
        Err(error) => tracing::warn!(%error, %address, "a socket could not be taken over"),
    }
}
