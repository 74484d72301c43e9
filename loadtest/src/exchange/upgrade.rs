//! The server's side of a WebSocket handshake: RFC 6455, section 4.2.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tickwire_common::task::Spawner;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::session::Session;
use super::socket;
use super::venue::Venue;

/// Header by which every simulated answer can be told from a real one.
pub(crate) const SIMULATED: HeaderName = HeaderName::from_static("x-tickwire-simulated");

/// The answer to a request that is no handshake.
pub(crate) type Refusal = (StatusCode, &'static str);

/// Takes the handshake of `request`: the answer, and the connection that follows it.
///
/// # Errors
/// When the request is no WebSocket handshake.
pub(crate) fn accept(request: &mut Request<Body>) -> Result<(Response<Body>, OnUpgrade), Refusal> {
    let headers = request.headers();
    let is_websocket =
        has_token(headers, &CONNECTION, "upgrade") && has_token(headers, &UPGRADE, "websocket");
    let version = headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    let (true, Some(b"13"), Some(key)) = (is_websocket, version, headers.get(SEC_WEBSOCKET_KEY)) else {
        return Err((StatusCode::BAD_REQUEST, "a WebSocket handshake was expected here"));
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(request);
    let answer = (
        StatusCode::SWITCHING_PROTOCOLS,
        [
            (CONNECTION, "upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_ACCEPT, accept.as_str()),
            (SIMULATED, "true"),
        ],
    );
    Ok((answer.into_response(), upgrade))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}

/// Serves the connection that follows a handshake, in a task of its own.
pub(crate) fn serve(spawner: &Spawner, venue: Arc<Venue>, upgrade: OnUpgrade, session: impl Session) {
    let stop = spawner.token();
    spawner.spawn_job("socket", async move {
        // A client that goes away between handshake and upgrade is no error of ours.
        if let Ok(upgraded) = upgrade.await {
            socket::serve(venue, TokioIo::new(upgraded), session, stop).await;
        }
        Ok(())
    });
}
