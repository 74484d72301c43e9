//! Opening one socket: the venue's invitation where it has one, then TCP, TLS and the WebSocket handshake (RFC 6455),
//! all within a time. Nothing here may log an address: it can hold a token.

use std::time::Duration;

use thiserror::Error;
use tickwire_common::time::now_us;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::Route;
use crate::rest::RestError;
use crate::venue::contract::{Endpoint, Reason};

/// Longest time for TCP, TLS and the handshake together.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes read from the socket at once. The library allocates them per socket; a busy socket fills them in a burst.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// Most bytes that wait to be written: a few subscribe messages.
const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// An open exchange socket.
pub(super) type Socket = MaybeTlsStream<TcpStream>;

/// Why a socket could not be opened. All of it may be better later.
#[derive(Debug, Error)]
pub(super) enum ConnectError {
    /// The venue gave no address.
    #[error("ask for the socket's address: {0}")]
    Invitation(#[from] RestError),
    /// TCP, TLS or the handshake failed.
    #[error("connect: {0}")]
    Handshake(Box<WsError>),
    /// It took too long.
    #[error("connect: no answer within {}s", OPEN_TIMEOUT.as_secs())]
    TimedOut,
}

impl ConnectError {
    /// The reason to count it under.
    pub(super) fn reason(&self) -> Reason {
        if let Self::Invitation(_) = self { Reason::Invitation } else { Reason::Connect }
    }
}

/// Opens a socket.
pub(super) async fn open(route: &Route) -> Result<(WebSocketStream<Socket>, Endpoint), ConnectError> {
    let answer = match route.venue.invitation() {
        Some(request) => route.rest.ask(request).await?,
        None => Vec::new(),
    };
    let endpoint =
        route.venue.endpoint(route.ws_url.as_deref(), &answer, now_us()).map_err(RestError::from)?;
    let bytes_max = Some(route.venue.facts().message_bytes_max);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(bytes_max)
        .max_frame_size(bytes_max);
    let connected = timeout(OPEN_TIMEOUT, connect_async_with_config(&endpoint.url, Some(config), true)).await;
    let (socket, _response) = connected
        .map_err(|_| ConnectError::TimedOut)?
        .map_err(|error| ConnectError::Handshake(Box::new(error)))?;
    Ok((socket, endpoint))
}
