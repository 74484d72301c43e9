//! One open WebSocket: frames leave in time or not at all, and it ends in order (RFC 6455, section 7).

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::venue::contract::Reason;

/// Longest time for a frame of ours to leave. A venue that does not read is as good as dead.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time for a goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// See the module; generic over the stream below.
pub(super) struct Line<S>(WebSocketStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub(super) fn new(socket: WebSocketStream<S>) -> Self {
        Self(socket)
    }

    /// The next frame; `None` after the last one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Result<Message, WsError>> {
        self.0.next().await
    }

    /// Sends these texts, and the answer to a ping that the library has in its buffer.
    ///
    /// # Errors
    /// [`Reason::Io`].
    pub(super) async fn send(&mut self, texts: impl Iterator<Item = String>) -> Result<(), Reason> {
        let socket = &mut self.0;
        let sending = async {
            for text in texts {
                socket.feed(Message::text(text)).await?;
            }
            socket.flush().await
        };
        let sent: Result<Result<(), WsError>, _> = timeout(SEND_TIMEOUT, sending).await;
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Reason::Io) }
    }

    /// Says goodbye to a socket that still works; the venue's answer is of no use to a socket that is to be replaced.
    pub(super) async fn goodbye(&mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _in_time = timeout(CLOSE_TIMEOUT, self.0.close(Some(frame))).await;
    }

    /// Goodbye and the venue's answer to it.
    pub(super) async fn close(&mut self) {
        self.goodbye().await;
        let answered = async { while let Some(Ok(_)) = self.0.next().await {} };
        let _in_time = timeout(CLOSE_TIMEOUT, answered).await;
    }
}
