//! The last words to a connection that is refused: an error message and a close frame over the upgraded socket, because
//! a browser shows its page nothing of an upgrade that was answered 503. Bounded in number and in time, and none of the
//! workers' business.

use std::sync::Arc;
use std::time::Duration;

use tickwire_common::wire::frame::Reply;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::admission::Refused;
use crate::ws::frame;

/// Farewells at once; whoever is refused beyond them gets the plain 503.
pub const FAREWELLS_MAX: usize = 64;

/// How long one may take, the other side's answer included.
const PATIENCE: Duration = Duration::from_secs(2);

/// Read at a time, in bytes: what a refused client still sends is not looked at.
const READ_BYTES: usize = 1_024;

/// Places for those who are told.
#[derive(Debug, Clone)]
pub struct Farewells(Arc<Semaphore>);

/// One of these places.
#[derive(Debug)]
pub struct Farewell {
    refused: Refused,
    _place: OwnedSemaphorePermit,
}

impl Default for Farewells {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FAREWELLS_MAX)))
    }
}

impl Farewells {
    /// A place, unless all are taken.
    pub fn begin(&self, refused: Refused) -> Option<Farewell> {
        let place = Arc::clone(&self.0).try_acquire_owned().ok()?;
        Some(Farewell { refused, _place: place })
    }
}

impl Farewell {
    /// Says why, closes, and waits a moment for the other side: a socket with unread bytes would be reset, and the words
    /// lost with it.
    pub async fn say(self, mut socket: TcpStream) {
        let said = async {
            let body = self.refused.body();
            let reply = Reply { error: Some(&body), ..Reply::new(None, None, false) };
            socket.write_all(&frame::text(&reply.encode())).await?;
            socket.write_all(&frame::close(self.refused.close_code())).await?;
            socket.shutdown().await?;
            let mut unread = [0; READ_BYTES];
            while socket.read(&mut unread).await? > 0 {}
            std::io::Result::Ok(())
        };
        if !matches!(tokio::time::timeout(PATIENCE, said).await, Ok(Ok(()))) {
            tracing::debug!("a refused client did not take its farewell");
        }
    }
}
